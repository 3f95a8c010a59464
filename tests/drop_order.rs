//! Handles that go in awkward places: inside jobs, inside captures, in long chains.

mod records;

use concourse::Event;
use concourse::Group;
use concourse::Queue;
use concourse::Runtime;
use concourse::Shutdown;
use concourse::Source;
use records::Fate;
use records::Records;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// No test waits for so long unless it fails.
const GENEROUS: Duration = Duration::from_secs(60);

/// A chain as long as this fits no stack.
const LONG: usize = 20_000;

fn recorded() -> (Runtime, Records) {
    let records = Records::default();
    (records.of(Runtime::builder().threads(2)).build().unwrap(), records)
}

/// Waits until nobody but the caller has `shared`.
fn wait_for_the_last<T>(shared: &Arc<T>) {
    let deadline = Instant::now() + GENEROUS;
    while Arc::strong_count(shared) > 1 {
        assert!(Instant::now() < deadline, "somebody keeps what was captured");
        thread::yield_now();
    }
}

/// Calls a function when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn the_last_handle_may_go_inside_a_job_of_the_queue() {
    let (runtime, records) = recorded();
    let (group, ran) = (Group::new(), Arc::new(AtomicUsize::new(0)));
    for round in 0..500 {
        let queue = if round % 2 == 0 { runtime.serial("own") } else { runtime.concurrent("own") };
        let (own, first, second) = (queue.clone(), Arc::clone(&ran), Arc::clone(&ran));
        group.exec_async(&queue, move || {
            first.fetch_add(1, SeqCst);
            drop(own);
        });
        group.exec_async(&queue, move || _ = second.fetch_add(1, SeqCst));
    }
    group.wait_timeout(GENEROUS).unwrap();
    assert_eq!(ran.load(SeqCst), 1_000);
    assert!(records.labels(Fate::Dropped).is_empty());
}

#[test]
fn a_capture_may_hold_the_last_handle_of_another_queue() {
    let (runtime, records) = recorded();
    let (group, ran) = (Group::new(), Arc::new(AtomicUsize::new(0)));
    let first = runtime.serial("first");
    for _ in 0..200 {
        let other = runtime.serial("other");
        let (count, member) = (Arc::clone(&ran), group.enter());
        group.exec_async(&first, move || {
            other.exec_async(move || {
                count.fetch_add(1, SeqCst);
                drop(member);
            });
        });
    }
    drop(first);
    group.wait_timeout(GENEROUS).unwrap();
    assert_eq!(ran.load(SeqCst), 200);
    assert!(records.labels(Fate::Dropped).is_empty());
}

#[test]
fn a_queue_may_be_captured_by_its_own_pending_jobs() {
    let (runtime, records) = recorded();
    let captured = Arc::new(());
    for queue in [runtime.serial("serial"), runtime.concurrent("concurrent")] {
        queue.suspend().unwrap();
        for _ in 0..10 {
            let (own, captured) = (queue.clone(), Arc::clone(&captured));
            queue.exec_async(move || drop((own, captured)));
        }
        // Its jobs keep it: without this call it would stay suspended, and be kept, for ever.
        queue.resume().unwrap();
    }
    wait_for_the_last(&captured);
    assert!(records.labels(Fate::Dropped).is_empty());
}

/// A chain of suspended queues, each with the last handle of the next in its only job.
fn chain(runtime: &Runtime, concurrent: bool, captured: &Arc<()>) -> Queue {
    let captured = Arc::clone(captured);
    let mut next: Box<dyn FnOnce() + Send> = Box::new(move || drop(captured));
    let mut first = None;
    for _ in 0..LONG {
        let builder = runtime.queue("link");
        let queue = if concurrent { builder.concurrent() } else { builder }.build().unwrap();
        queue.suspend().unwrap();
        queue.exec_async(next);
        let kept = queue.clone();
        next = Box::new(move || drop(kept));
        first = Some(queue);
    }
    drop(next);
    first.unwrap()
}

#[test]
fn a_long_chain_of_suspended_serial_queues_is_dropped_link_by_link() {
    let (runtime, records) = recorded();
    let captured = Arc::new(());
    drop(chain(&runtime, false, &captured));
    wait_for_the_last(&captured);
    assert_eq!(records.labels(Fate::Dropped).len(), LONG);
}

#[test]
fn a_long_chain_of_suspended_concurrent_queues_is_dropped_link_by_link() {
    let (runtime, records) = recorded();
    let captured = Arc::new(());
    drop(chain(&runtime, true, &captured));
    wait_for_the_last(&captured);
    assert_eq!(records.labels(Fate::Dropped).len(), LONG);
}

#[test]
fn a_long_chain_is_dropped_link_by_link_at_the_end_of_the_runtime() {
    for concurrent in [false, true] {
        let (runtime, records) = recorded();
        let captured = Arc::new(());
        let first = chain(&runtime, concurrent, &captured);
        let report = runtime.shutdown(Shutdown::CancelPending);
        assert_eq!(report.dropped, LONG as u64);
        assert_eq!((records.labels(Fate::Dropped).len(), Arc::strong_count(&captured)), (LONG, 1));
        drop(first);
    }
}

#[test]
fn a_long_chain_is_dropped_link_by_link_after_the_end_of_the_runtime() {
    for concurrent in [false, true] {
        let (runtime, _) = recorded();
        let captured = Arc::new(());
        let first = chain(&runtime, concurrent, &captured);
        assert_eq!(runtime.shutdown(Shutdown::Drain).suspended.len(), LONG);
        drop(first);
        wait_for_the_last(&captured);
        assert_eq!(runtime.shutdown(Shutdown::Drain).dropped, LONG as u64);
    }
}

#[test]
fn a_source_may_be_dropped_inside_its_own_handler() {
    let (runtime, _) = recorded();
    let (queue, captured) = (runtime.serial("target"), Arc::new(()));
    let slot = Arc::new(std::sync::Mutex::new(None));
    let (own, kept) = (Arc::clone(&slot), Arc::clone(&captured));
    let source = Source::add(&queue)
        .on_event(move |_| {
            let _kept = &kept;
            drop(own.lock().unwrap().take());
        })
        .activate();
    let handle = source.handle().clone();
    *slot.lock().unwrap() = Some(source);
    handle.merge(1);
    wait_for_the_last(&captured);
    assert!(handle.has_ended());
}

/// Runs `work` on a thread and fails if it does not come back.
fn returns(work: impl FnOnce() + Send + 'static) {
    let done = Event::new();
    let told = done.clone();
    let thread = thread::spawn(move || {
        work();
        told.set();
    });
    done.wait_timeout(Duration::from_secs(20)).expect("the call does not return");
    thread.join().unwrap();
}

#[test]
fn captures_that_sync_onto_the_queue_that_drops_them_are_refused_and_do_not_hang() {
    for concurrent in [false, true] {
        let (runtime, _) = recorded();
        let refused = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&refused);
        returns(move || {
            let queue = if concurrent { runtime.concurrent("own") } else { runtime.serial("own") };
            let again = queue.clone();
            let syncing = OnDrop(move || {
                let unwound = catch_unwind(AssertUnwindSafe(|| again.barrier_sync(|| ())));
                count.fetch_add(usize::from(unwound.is_err()), SeqCst);
            });
            queue.suspend().unwrap();
            queue.exec_async(move || drop(syncing));
            assert_eq!(queue.cancel_pending(), 1);
            queue.resume().unwrap();
            assert_eq!(queue.barrier_sync(|| 1), 1);
        });
        assert_eq!(refused.load(SeqCst), 1);
    }
}

#[test]
fn captures_of_a_rejected_closure_may_sync_onto_its_queue() {
    for concurrent in [false, true] {
        let (runtime, _) = recorded();
        let synced = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&synced);
        returns(move || {
            let queue = if concurrent { runtime.concurrent("own") } else { runtime.serial("own") };
            assert!(runtime.shutdown(Shutdown::Drain).complete);
            let again = queue.clone();
            let syncing = OnDrop(move || _ = again.barrier_sync(|| count.fetch_add(1, SeqCst)));
            queue.exec_async(move || drop(syncing));
            assert_eq!(queue.barrier_sync(|| 1), 1);
        });
        assert_eq!(synced.load(SeqCst), 1);
    }
}

#[test]
fn captures_that_cancel_the_queue_that_drops_them_do_not_hang() {
    for concurrent in [false, true] {
        let (runtime, _) = recorded();
        returns(move || {
            let queue = if concurrent { runtime.concurrent("own") } else { runtime.serial("own") };
            let (again, total) = (queue.clone(), Arc::new(AtomicUsize::new(0)));
            let count = Arc::clone(&total);
            let cancelling = OnDrop(move || _ = count.fetch_add(again.cancel_pending(), SeqCst));
            queue.suspend().unwrap();
            queue.exec_async(|| ());
            queue.exec_async(move || drop(cancelling));
            (0..5).for_each(|_| queue.exec_async(|| ()));
            let outer = queue.cancel_pending();
            assert_eq!(outer + total.load(SeqCst), 7);
        });
    }
}

#[test]
fn captures_may_submit_to_the_queue_that_drops_them() {
    for concurrent in [false, true] {
        let (runtime, _) = recorded();
        let ran = Arc::new(AtomicUsize::new(0));
        let queue = if concurrent { runtime.concurrent("own") } else { runtime.serial("own") };
        queue.suspend().unwrap();
        for _ in 0..100 {
            let (again, count) = (queue.clone(), Arc::clone(&ran));
            let submitting = OnDrop(move || {
                let count = Arc::clone(&count);
                again.exec_async(move || _ = count.fetch_add(1, SeqCst));
            });
            queue.exec_async(move || drop(submitting));
        }
        assert_eq!(queue.cancel_pending(), 100);
        queue.resume().unwrap();
        queue.barrier_sync(|| ());
        assert_eq!(ran.load(SeqCst), 100);
    }
}
