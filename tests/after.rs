//! Jobs that are submitted later.

mod records;

use concourse::Dispatch;
use concourse::Event;
use concourse::Group;
use concourse::Qos;
use concourse::Runtime;
use concourse::Shutdown;
use records::Fate;
use records::Records;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use std::time::Instant;

/// No test waits for so long unless it fails.
const GENEROUS: Duration = Duration::from_secs(60);

const LONG: Duration = Duration::from_secs(3_600);

fn runtime() -> Runtime {
    Runtime::builder().threads(2).build().unwrap()
}

#[test]
fn no_delay_is_a_submission() {
    let runtime = runtime();
    let queue = runtime.serial("at once");
    let (done, asked) = (Event::new(), Instant::now());
    let told = done.clone();
    let handle = queue.after(Duration::ZERO, move || told.set()).unwrap();
    done.wait_timeout(GENEROUS).unwrap();
    assert!(asked.elapsed() < Duration::from_secs(10));
    assert!(!handle.cancel());
}

#[test]
fn nothing_comes_early() {
    let runtime = runtime();
    let queue = runtime.serial("not early");
    let group = Group::new();
    let early = Arc::new(AtomicUsize::new(0));
    for delay in (0..50).map(Duration::from_millis) {
        let (membership, early, asked) = (group.enter(), Arc::clone(&early), Instant::now());
        let _ = queue
            .after(delay, move || {
                early.fetch_add(usize::from(asked.elapsed() < delay), SeqCst);
                drop(membership);
            })
            .unwrap();
    }
    group.wait_timeout(GENEROUS).unwrap();
    assert_eq!(early.load(SeqCst), 0);
}

#[test]
fn earlier_deadlines_come_first_however_they_were_asked_for() {
    let runtime = runtime();
    let queue = runtime.serial("in time");
    let (group, noted) = (Group::new(), Arc::new(Mutex::new(Vec::new())));
    // Held back, so that all are asked for long before the first is due to run.
    for number in [7_u64, 2, 9, 0, 5, 3, 8, 1, 6, 4] {
        let (membership, noted) = (group.enter(), Arc::clone(&noted));
        let delay = Duration::from_millis(200 + 10 * number);
        let _ = queue
            .after(delay, move || {
                noted.lock().unwrap().push(number);
                drop(membership);
            })
            .unwrap();
    }
    group.wait_timeout(GENEROUS).unwrap();
    assert!(noted.lock().unwrap().iter().copied().eq(0..10));
}

#[test]
fn a_cancelled_job_never_runs_and_its_captures_are_gone() {
    let records = Records::default();
    let runtime = records.of(Runtime::builder().threads(1)).build().unwrap();
    let queue = runtime.serial("cancelled");
    let captured = Arc::new(());
    let handles: Vec<_> = (0..100)
        .map(|_| {
            let captured = Arc::clone(&captured);
            queue.after(LONG, move || drop(captured)).unwrap()
        })
        .collect();
    assert_eq!(Arc::strong_count(&captured), 101);
    assert!(handles.into_iter().all(concourse::After::cancel));
    assert_eq!(Arc::strong_count(&captured), 1);
    // Whoever has cancelled knows it: nothing is left to report.
    let report = runtime.shutdown(Shutdown::Drain);
    assert_eq!((report.complete, report.dropped), (true, 0));
}

#[test]
fn each_job_runs_or_is_cancelled() {
    let runtime = runtime();
    let queue = runtime.serial("either");
    let ran = Arc::new(AtomicUsize::new(0));
    let (group, mut cancelled) = (Group::new(), 0);
    for round in 0..1_000_u64 {
        let (membership, ran) = (group.enter(), Arc::clone(&ran));
        let handle = queue.after(Duration::from_micros(round % 100), move || {
            ran.fetch_add(1, SeqCst);
            drop(membership);
        });
        let handle = handle.unwrap();
        if round % 2 == 0 {
            std::thread::yield_now();
        }
        cancelled += usize::from(handle.cancel());
    }
    // A cancelled one has left the group with what it captured.
    group.wait_timeout(GENEROUS).unwrap();
    assert_eq!(ran.load(SeqCst) + cancelled, 1_000);
}

#[test]
fn a_delay_too_long_to_count_is_for_ever() {
    let runtime = runtime();
    let queue = runtime.serial("never");
    let (captured, done) = (Arc::new(()), Event::new());
    for delay in [Duration::MAX, Duration::from_secs(u64::MAX), Duration::from_nanos(u64::MAX)] {
        let captured = Arc::clone(&captured);
        let _ = queue.after(delay, move || drop(captured)).unwrap();
    }
    let told = done.clone();
    let _ = queue.after(Duration::from_millis(1), move || told.set()).unwrap();
    done.wait_timeout(GENEROUS).unwrap();
    assert_eq!(Arc::strong_count(&captured), 4);
    let report = runtime.shutdown(Shutdown::Drain);
    assert_eq!((report.dropped, Arc::strong_count(&captured)), (3, 1));
}

#[test]
fn a_suspended_queue_holds_it_back() {
    let runtime = runtime();
    let (queue, other) = (runtime.serial("held"), runtime.serial("later"));
    let (ran, due) = (Arc::new(AtomicUsize::new(0)), Event::new());
    queue.suspend().unwrap();
    let count = Arc::clone(&ran);
    let handle = queue.after(Duration::from_millis(1), move || _ = count.fetch_add(1, SeqCst)).unwrap();
    // Timers fire in the order of their deadlines: once this one has run, the other has been submitted.
    let told = due.clone();
    let _ = other.after(Duration::from_millis(5), move || told.set()).unwrap();
    due.wait_timeout(GENEROUS).unwrap();
    assert_eq!(ran.load(SeqCst), 0);
    assert!(!handle.cancel());
    queue.resume().unwrap();
    queue.exec_sync(|| ());
    assert_eq!(ran.load(SeqCst), 1);
}

#[test]
fn a_job_for_later_keeps_its_queue() {
    let runtime = runtime();
    let done = Event::new();
    let told = done.clone();
    let _ = runtime.serial("short-lived handle").after(Duration::from_millis(5), move || told.set()).unwrap();
    done.wait_timeout(GENEROUS).unwrap();
}

#[test]
fn the_global_queue_takes_them_too() {
    let runtime = runtime();
    let (group, count) = (Group::new(), Arc::new(AtomicUsize::new(0)));
    for number in 0..100 {
        let (membership, count) = (group.enter(), Arc::clone(&count));
        let _ = runtime
            .global(Qos::Utility)
            .after(Duration::from_millis(number % 7), move || {
                count.fetch_add(1, SeqCst);
                drop(membership);
            })
            .unwrap();
    }
    group.wait_timeout(GENEROUS).unwrap();
    assert_eq!(count.load(SeqCst), 100);
}

#[test]
fn a_shutdown_drops_and_reports_what_is_not_due() {
    for how in [Shutdown::Drain, Shutdown::CancelPending] {
        let records = Records::default();
        let runtime = records.of(Runtime::builder().threads(1)).build().unwrap();
        let captured = Arc::new(());
        for label in ["first", "second"] {
            let captured = Arc::clone(&captured);
            let _ = runtime.serial(label).after(LONG, move || drop(captured)).unwrap();
        }
        let last = Arc::clone(&captured);
        let handle = runtime.global(Qos::Utility).after(LONG, move || drop(last)).unwrap();
        let report = runtime.shutdown(how);
        assert_eq!((report.complete, report.dropped, Arc::strong_count(&captured)), (true, 3, 1));
        assert_eq!(records.labels(Fate::Dropped), ["first", "second", "global-utility"]);
        assert!(!handle.cancel());
    }
}

#[test]
fn after_the_end_of_the_runtime_it_is_rejected_at_once() {
    let records = Records::default();
    let runtime = records.of(Runtime::builder().threads(1).name("ended")).build().unwrap();
    let queue = runtime.serial("too late");
    // With an event loop that has been used, and without one.
    let _ = queue.after(LONG, || ()).unwrap();
    assert!(runtime.shutdown(Shutdown::Drain).complete);
    let captured = Arc::new(());
    let inside = Arc::clone(&captured);
    let handle = queue.after(LONG, move || drop(inside)).unwrap();
    assert_eq!(records.labels(Fate::Rejected), ["too late"]);
    assert_eq!(Arc::strong_count(&captured), 1);
    assert!(!handle.cancel());
}
