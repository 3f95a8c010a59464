//! `apply`: each of 32 indices comes once, three nested loops of 32 come to 32,768, and while a spinning job occupies each
//! thread a loop of 32 on the same queue still ends, on the calling thread, with none of those jobs ended.
//!
//! The original uses the global queue. Here a private concurrent queue and, where it makes a difference, a serial one go
//! through the same.

use crate::timed::GENEROUS;
use concourse::Qos;
use concourse::Runtime;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Instant;

fn runtime(threads: usize) -> Runtime {
    Runtime::builder().threads(threads).build().unwrap()
}

/// How often each index of a loop came.
fn counts(n: usize) -> Vec<AtomicUsize> {
    (0..n).map(|_| AtomicUsize::new(0)).collect()
}

fn assert_once_each(counts: &[AtomicUsize]) {
    assert!(counts.iter().all(|count| count.load(Relaxed) == 1));
}

fn wait_until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + GENEROUS;
    while !condition() {
        assert!(Instant::now() < deadline, "the condition never came");
        thread::yield_now();
    }
}

#[test]
fn each_of_32_indices_comes_once() {
    let runtime = runtime(2);
    let queues = [runtime.serial("serial"), runtime.concurrent("concurrent")];
    for queue in queues {
        let seen = counts(32);
        queue.apply(32, |i| _ = seen[i].fetch_add(1, Relaxed));
        assert_once_each(&seen);
    }
    let seen = counts(32);
    runtime.global(Qos::Default).apply(32, |i| _ = seen[i].fetch_add(1, Relaxed));
    assert_once_each(&seen);
}

#[test]
fn three_nested_loops_of_32_come_to_32768() {
    let runtime = runtime(2);
    let (queue, global) = (runtime.concurrent("nested"), runtime.global(Qos::Default));
    let count = AtomicUsize::new(0);
    queue.apply(32, |_| queue.apply(32, |_| queue.apply(32, |_| _ = count.fetch_add(1, Relaxed))));
    assert_eq!(count.swap(0, Relaxed), 32_768);
    global.apply(32, |_| global.apply(32, |_| global.apply(32, |_| _ = count.fetch_add(1, Relaxed))));
    assert_eq!(count.into_inner(), 32_768);
}

#[test]
fn while_all_threads_are_busy_the_caller_does_it_alone() {
    let runtime = runtime(2);
    let (queue, global) = (runtime.concurrent("busy"), runtime.global(Qos::Default));
    let (stop, begun, finished) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::default());
    for _ in 0..2 {
        let (stop, begun, finished) = (Arc::clone(&stop), Arc::clone(&begun), Arc::<AtomicUsize>::clone(&finished));
        queue.exec_async(move || {
            begun.fetch_add(1, SeqCst);
            while !stop.load(SeqCst) {
                std::hint::spin_loop();
            }
            finished.fetch_add(1, SeqCst);
        });
    }
    wait_until(|| begun.load(SeqCst) == 2);
    let caller = thread::current().id();
    let seen = [counts(32), counts(32)];
    let visit = |seen: &[AtomicUsize], i: usize| {
        assert_eq!(thread::current().id(), caller);
        seen[i].fetch_add(1, Relaxed);
    };
    queue.apply(32, |i| visit(&seen[0], i));
    global.apply(32, |i| visit(&seen[1], i));
    seen.iter().for_each(|seen| assert_once_each(seen));
    assert_eq!(finished.load(SeqCst), 0);
    stop.store(true, SeqCst);
    wait_until(|| finished.load(SeqCst) == 2);
}
