//! What the system does not tell, and says so.

use crate::MEMORY;
use crate::finish;
use crate::has_pressure;
use crate::runtime;
use crate::wait_until;
use concourse::MemoryPressureError;
use concourse::Source;
use concourse::source::PressureLevels;
use std::fs;
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn what_is_no_pressure_file_is_unsupported_and_stays_what_it_is() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("no-pressure-{}", process::id()));
    fs::create_dir(&folder).unwrap();
    let (empty, precious) = (folder.join("empty"), folder.join("precious"));
    fs::write(&empty, "").unwrap();
    fs::write(&precious, "somebody's file").unwrap();
    let other =
        [PathBuf::from("/dev/null"), folder.join("missing"), precious.join("below"), folder.clone(), PathBuf::new()];
    for path in [empty.clone(), precious.clone()].into_iter().chain(other) {
        let captured = Arc::new(());
        let event = Arc::clone(&captured);
        let builder = Source::memory_pressure(&queue, PressureLevels::WARN).file(&path);
        let refused = builder.on_event(move |_| panic!("{event:?}")).activate().unwrap_err();
        assert_eq!(refused, MemoryPressureError::Unsupported { path });
        wait_until(|| Arc::strong_count(&captured) == 1);
    }
    assert_eq!(
        (fs::read_to_string(empty).unwrap(), fs::read_to_string(precious).unwrap().as_str()),
        (String::new(), "somebody's file")
    );
    fs::remove_dir_all(folder).unwrap();
    finish(&runtime);
}

#[test]
fn a_system_has_pressure_or_says_that_it_has_none() {
    let runtime = runtime();
    let source = Source::memory_pressure(&runtime.serial("main"), PressureLevels::CRITICAL).activate();
    if has_pressure(MEMORY) {
        drop(source.unwrap());
    } else {
        assert_eq!(source.unwrap_err(), MemoryPressureError::Unsupported { path: MEMORY.into() });
    }
    finish(&runtime);
}

#[test]
fn stalls_that_cannot_be_watched_for_are_invalid() {
    if !has_pressure(MEMORY) {
        return;
    }
    let runtime = runtime();
    let queue = runtime.serial("main");
    let (millis, seconds) = (Duration::from_millis, Duration::from_secs);
    let wraps = Duration::from_micros((1 << 32) + 1);
    let invalid = [
        (Duration::ZERO, seconds(2)),
        (Duration::from_nanos(999), seconds(2)),
        (seconds(2) + Duration::from_nanos(1), seconds(2)),
        (millis(1), millis(499)),
        (millis(1), seconds(10) + Duration::from_micros(1)),
        (wraps, seconds(2)),
        (wraps, wraps),
        (Duration::MAX, Duration::MAX),
    ];
    for (stall, window) in invalid {
        let builder = Source::memory_pressure(&queue, PressureLevels::WARN).warn_at(stall).window(window);
        assert_eq!(builder.activate().unwrap_err(), MemoryPressureError::InvalidStall { stall, window });
        let builder = Source::memory_pressure(&queue, PressureLevels::CRITICAL).critical_at(stall).window(window);
        assert_eq!(builder.activate().unwrap_err(), MemoryPressureError::InvalidStall { stall, window });
        // What is not watched for is not looked at.
        let builder = Source::memory_pressure(&queue, PressureLevels::WARN).critical_at(seconds(1)).warn_at(millis(1));
        drop(builder.critical_at(stall).activate().unwrap());
    }
    for window in [2, 4, 6, 8, 10].map(seconds) {
        let builder = Source::memory_pressure(&queue, PressureLevels::WARN | PressureLevels::CRITICAL).window(window);
        drop(builder.warn_at(window).critical_at(Duration::from_micros(1)).activate().unwrap());
    }
    finish(&runtime);
}

#[cfg(feature = "sim")]
#[test]
fn a_simulation_has_no_pressure() {
    use concourse::Sim;
    use concourse::WatchError;
    if !has_pressure(MEMORY) {
        return;
    }
    let refused = Sim::seeded(1).run(|runtime| {
        Source::memory_pressure(&runtime.serial("simulated"), PressureLevels::WARN).activate().unwrap_err()
    });
    let error = WatchError::Unsupported { label: "simulated".into() };
    assert_eq!(refused.unwrap(), MemoryPressureError::NotWatched { error });
}
