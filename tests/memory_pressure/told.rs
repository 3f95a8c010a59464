//! What is told of stalls that there are.

use crate::GENEROUS;
use crate::MEMORY;
use crate::finish;
use crate::has_pressure;
use crate::runtime;
use crate::stall::Stall;
use crate::wait_until;
use concourse::Dispatch;
use concourse::Event;
use concourse::Queue;
use concourse::Shutdown;
use concourse::Source;
use concourse::source::MemoryPressure;
use concourse::source::PressureLevels;
use concourse::source::SourceBuilder;
use parking_lot::Mutex;
use std::fs;
use std::mem;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const NORMAL: PressureLevels = PressureLevels::NORMAL;
const WARN: PressureLevels = PressureLevels::WARN;
const CRITICAL: PressureLevels = PressureLevels::CRITICAL;

/// The least stall that counts.
const ANY: Duration = Duration::from_micros(1);

/// The levels that a handler was given.
#[derive(Clone, Debug, Default)]
struct Record(Arc<Mutex<Vec<PressureLevels>>>);

impl Record {
    fn levels(&self) -> Vec<PressureLevels> {
        self.0.lock().clone()
    }

    fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// A source that is at a level for any stall, and for a tenth of a second.
    fn sensitive(&self, queue: &Queue, levels: PressureLevels) -> SourceBuilder<MemoryPressure> {
        let record = self.clone();
        let builder = Source::memory_pressure(queue, levels).warn_at(ANY).critical_at(ANY);
        builder.calm(Duration::from_millis(100)).on_event(move |level| record.0.lock().push(level))
    }
}

/// Stalls until `condition` holds.
#[track_caller]
fn stall_until(stall: &Stall, condition: impl Fn() -> bool) {
    wait_until(|| {
        stall.make();
        condition()
    });
}

#[test]
fn a_level_comes_with_stalls_and_goes_without() {
    if !has_pressure(MEMORY) {
        return;
    }
    let Some(stall) = Stall::new("comes-and-goes") else { return };
    let runtime = runtime();
    let queue = runtime.serial("main");
    for level in [WARN, CRITICAL] {
        let record = Record::default();
        let source = record.sensitive(&queue, NORMAL | level).activate().unwrap();
        stall_until(&stall, || record.len() > 0);
        wait_until(|| record.len() > 1);
        assert_eq!(record.levels()[..2], [level, NORMAL]);
        stall_until(&stall, || record.len() > 2);
        for (place, told) in record.levels().into_iter().enumerate() {
            assert_eq!(told, if place % 2 == 0 { level } else { NORMAL }, "it is told when it changes");
        }
        drop(source);
    }
    finish(&runtime);
}

#[test]
fn only_the_levels_asked_for_are_told() {
    if !has_pressure(MEMORY) {
        return;
    }
    let Some(stall) = Stall::new("asked-for") else { return };
    let runtime = runtime();
    let queue = runtime.serial("main");
    let sets = [NORMAL, WARN, CRITICAL, WARN | CRITICAL];
    let records = sets.map(|_| Record::default());
    let sources: Vec<_> = sets
        .iter()
        .zip(&records)
        .map(|(levels, record)| record.sensitive(&queue, *levels).activate().unwrap())
        .collect();
    stall_until(&stall, || records.iter().all(|record| record.len() > 0));
    for (levels, record) in sets.iter().zip(&records) {
        assert!(
            record.levels().iter().all(|level| levels.contains(*level)),
            "{levels:?}: {record:?}",
            record = record.0
        );
    }
    drop(sources);
    finish(&runtime);
}

#[test]
fn stalls_while_the_source_is_suspended_wake_nobody_and_come_in_one_call() {
    if !has_pressure(MEMORY) {
        return;
    }
    let Some(stall) = Stall::new("suspended") else { return };
    let (runtime, other) = (runtime(), runtime());
    let (queue, record) = (runtime.serial("main"), Record::default());
    let source = record.sensitive(&queue, NORMAL | WARN | CRITICAL).activate().unwrap();
    // A turn or a wake-up may be under way at the first suspension. There is neither after the second and a timer.
    source.suspend().unwrap();
    queue.exec_sync(|| ());
    source.suspend().unwrap();
    let settled = Event::new();
    let tell = settled.clone();
    let _ = queue.after(Duration::from_millis(1), move || tell.set()).unwrap();
    settled.wait_timeout(GENEROUS).unwrap();
    // Normal, if no other test has stalled already.
    let level = mem::take(&mut *record.0.lock()).last().copied();
    let wakeups = runtime.statistics().event_loop_wakeups;
    // One that is not suspended is told of both, twice.
    let beside = [WARN, CRITICAL].map(|level| (level, Record::default()));
    let awake = other.serial("other");
    let awake = beside.each_ref().map(|(level, record)| record.sensitive(&awake, NORMAL | *level).activate().unwrap());
    stall_until(&stall, || beside.iter().all(|(_, record)| record.len() >= 3));
    drop(awake);
    assert_eq!((runtime.statistics().event_loop_wakeups, record.levels()), (wakeups, vec![]));
    source.resume().unwrap();
    source.resume().unwrap();
    wait_until(|| record.levels().last() == Some(&NORMAL));
    assert!(record.levels()[0] == CRITICAL || level == Some(CRITICAL), "{level:?}, then {record:?}");
    drop(source);
    finish(&runtime);
    finish(&other);
}

#[test]
fn nothing_follows_the_cancel_handler() {
    if !has_pressure(MEMORY) {
        return;
    }
    let runtime = runtime();
    let queue = runtime.serial("main");
    for suspended in [false, true] {
        let (cancelled, captured) = (Event::new(), Arc::new(()));
        let (tell, event) = (cancelled.clone(), Arc::clone(&captured));
        let builder = Record::default().sensitive(&queue, WARN).on_event(move |_| _ = &event);
        let source = builder.on_cancel(move || tell.set()).activate().unwrap();
        if suspended {
            source.suspend().unwrap();
            source.cancel_now();
        } else {
            source.cancel();
        }
        cancelled.wait_timeout(GENEROUS).unwrap();
        assert_eq!(Arc::strong_count(&captured), 1, "the handler is gone");
        drop(source);
    }
    finish(&runtime);
}

/// How many descriptors of this file the program has.
fn open(file: &Path) -> usize {
    let links = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
    links.filter(|link| fs::read_link(link).is_ok_and(|target| target == file)).count()
}

#[test]
fn every_end_of_a_source_closes_its_triggers() {
    // One that no other test opens: pressure is pressure.
    let file = "/proc/pressure/io";
    if !has_pressure(file) {
        return;
    }
    let runtime = runtime();
    let queue = runtime.serial("main");
    for round in 0..40 {
        let builder = Record::default().sensitive(&queue, WARN | CRITICAL).file(file);
        if round % 4 == 0 {
            drop(builder);
            continue;
        }
        let source = builder.activate().unwrap();
        assert_eq!(open(Path::new(file)), 2);
        match round % 4 {
            1 => source.cancel(),
            2 => source.suspend().unwrap(),
            _ => {}
        }
        drop(source);
        wait_until(|| open(Path::new(file)) == 0);
    }
    let left = Record::default().sensitive(&queue, WARN).file(file).activate().unwrap();
    assert_eq!(open(Path::new(file)), 1, "a level that is not asked for has no trigger");
    assert_eq!(runtime.shutdown(Shutdown::Drain.within(GENEROUS)).panics, 0);
    let late = Record::default().sensitive(&queue, WARN).file(file).activate().unwrap();
    assert!(late.handle().has_ended());
    drop((left, late));
    assert_eq!(open(Path::new(file)), 0);
}

/// A control group of the second version, with nobody in it.
struct ControlGroup(PathBuf);

impl ControlGroup {
    /// `None` if there are none, or if this process may make none.
    fn new() -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let root = mounts.lines().find_map(|line| {
            let fields: Vec<_> = line.split(' ').collect();
            (fields[2] == "cgroup2").then(|| fields[1].to_owned())
        });
        let path = Path::new(&root?).join(format!("concourse-{}", std::process::id()));
        let made = fs::create_dir(&path).is_ok();
        let group = made.then_some(Self(path))?;
        group.file().exists().then_some(group)
    }

    fn file(&self) -> PathBuf {
        self.0.join("memory.pressure")
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).unwrap();
    }
}

#[test]
fn a_source_of_a_control_group_that_is_removed_is_quiet() {
    let Some(group) = ControlGroup::new() else {
        return println!("nothing to hold: this process may make no control group of version 2");
    };
    let runtime = runtime();
    let (queue, record) = (runtime.serial("main"), Record::default());
    let source = record.sensitive(&queue, NORMAL | WARN | CRITICAL).file(group.file()).activate().unwrap();
    drop(group);
    // A trigger that is gone seems to have fired, once for each level.
    let wakeups = || runtime.statistics().event_loop_wakeups;
    wait_until(|| wakeups() > 0);
    for _ in 0..20 {
        thread::sleep(Duration::from_millis(10));
        assert!(wakeups() <= 2, "it goes round and round");
    }
    assert_eq!(record.levels(), []);
    drop(source);
    finish(&runtime);
}
