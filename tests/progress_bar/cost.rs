//! What the bar costs.

use crate::profile;
use crate::program::Run;
use crate::scratch::Scratch;
use std::fs::File;
use std::time::Duration;
use std::time::Instant;

/// The median time of runs with and without a bar's sources, which take turns.
#[test]
fn progress_costs_next_to_nothing() {
    let scratch = Scratch::new();
    let bytes = profile::count(256 << 20, 4 << 30);
    File::create(scratch.0.join("zeros")).unwrap().set_len(bytes).unwrap();
    let time = |style: &str| {
        let started = Instant::now();
        let run: Run = scratch.run(&format!("--progress {style} ."));
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        started.elapsed()
    };
    let (mut with, mut without): (Vec<Duration>, Vec<Duration>) = (Vec::new(), Vec::new());
    for _ in 0..profile::count(3, 10) {
        without.push(time("none"));
        with.push(time("json"));
    }
    let [with, without] = [with, without].map(|mut times| {
        times.sort();
        times[times.len() / 2]
    });
    // On a busy machine it is only a bound for what would be absurd.
    let more = if profile::is_full() { without / 50 } else { without + Duration::from_secs(5) };
    assert!(with <= without + more, "with {with:?}, without {without:?}");
}
