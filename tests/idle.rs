//! Nothing to do costs nothing. A process of its own: it looks at all its threads.

use concourse::Dispatch;
use concourse::Event;
use concourse::Group;
use concourse::Qos;
use concourse::Runtime;
use concourse::Source;
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// How long the runtime is watched.
const WATCHED: Duration = Duration::from_secs(2);

/// The threads whose names begin with `prefix`, by number: name, state, and how often each has gone to sleep and been
/// interrupted.
fn threads(prefix: &str) -> BTreeMap<String, (String, char, u64, u64)> {
    let mut threads = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/task").unwrap() {
        // A thread may end while it is looked at.
        let Ok(status) = fs::read_to_string(entry.unwrap().path().join("status")) else { continue };
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line[name.len()..].trim().to_owned()
        };
        let count = |name: &str| field(name).parse().unwrap();
        if field("Name:").starts_with(prefix) {
            let state = field("State:").chars().next().unwrap();
            let counts = (count("voluntary_ctxt_switches:"), count("nonvoluntary_ctxt_switches:"));
            threads.insert(field("Pid:"), (field("Name:"), state, counts.0, counts.1));
        }
    }
    threads
}

#[test]
fn an_idle_runtime_with_an_armed_timer_sleeps() {
    let name = "idle-rt";
    let runtime =
        Runtime::builder().threads(2).max_threads(4).spare_idle(Duration::from_millis(10)).name(name).build().unwrap();
    // Everything has been used: both kinds of queues, the pool, waits that make it grow, a source, and timers.
    let (serial, concurrent, global) =
        (runtime.serial("serial"), runtime.concurrent("concurrent"), runtime.global(Qos::Utility));
    let (group, sum) = (Group::new(), Arc::new(AtomicUsize::new(0)));
    let total = Arc::clone(&sum);
    let bar = Source::add(&serial).on_event(move |value| _ = total.fetch_add(value as usize, SeqCst)).activate();
    for _ in 0..1_000 {
        let handle = bar.handle().clone();
        group.exec_async(&concurrent, move || _ = handle.merge(1));
        group.exec_async(&global, || ());
    }
    let all = Event::new();
    let arrived = Arc::new(AtomicUsize::new(0));
    for _ in 0..4 {
        let (all, arrived) = (all.clone(), Arc::clone(&arrived));
        group.exec_async(&global, move || {
            if arrived.fetch_add(1, SeqCst) == 3 {
                all.set();
            }
            all.wait();
        });
    }
    let later = group.enter();
    let _ = serial.after(Duration::from_millis(5), move || drop(later)).unwrap();
    let armed = serial.after(Duration::from_secs(3_600), || ()).unwrap();
    group.wait();
    serial.exec_sync(|| ());
    serial.suspend().unwrap();

    // What is left of the work ends by itself: threads beyond the two, and the last look of the others.
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut before = threads(name);
    loop {
        thread::sleep(Duration::from_millis(50));
        let now = threads(name);
        let asleep = now.values().all(|(_, state, ..)| *state == 'S');
        // Two for jobs and one for events, and the one that watches the others, if it is there.
        if asleep && now == before && now.len() <= 4 {
            break;
        }
        assert!(Instant::now() < deadline, "does not calm down: {now:#?}");
        before = now;
    }
    let wakeups = runtime.statistics().event_loop_wakeups;
    thread::sleep(WATCHED);
    assert_eq!(threads(name), before);
    assert_eq!(runtime.statistics().event_loop_wakeups, wakeups);
    assert!(before.values().any(|(thread, ..)| thread == "idle-rt-events"), "{before:#?}");

    // They only sleep.
    serial.resume().unwrap();
    assert!(armed.cancel());
    assert_eq!(sum.load(SeqCst), 1_000);
    let done = Event::new();
    let told = done.clone();
    let _ = concurrent.after(Duration::from_millis(1), move || told.set()).unwrap();
    done.wait_timeout(Duration::from_secs(60)).unwrap();
}
