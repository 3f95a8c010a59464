//! What Foundation's documentation demands of an operation queue, and its users have met; each under what it says there.

use super::*;
use concourse::Cancellation;
use concourse::OperationState;
use concourse::Order;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

#[test]
fn a_cancelled_dependency_counts_as_finished() {
    let runtime = runtime();
    let ops = OperationQueue::builder("ops").on(&runtime).build();
    let guard = ops.suspend_guard().unwrap();
    let cancelled = ops.operation("cancelled").run(|| ());
    let dependent = ops.operation("dependent").after_end_of(&cancelled).run(|| ());
    cancelled.cancel();
    assert_eq!(dependent.state(), OperationState::Ready);
    drop(guard);
    outcome(&dependent).unwrap();
}

#[test]
fn a_cancelled_operation_never_runs_and_is_over_before_its_dependencies_are() {
    let runtime = runtime();
    let ops = OperationQueue::builder("ops").on(&runtime).build();
    let go = Event::new();
    let running = busy(&ops, &go);
    let waits: Operation<()> = ops.operation("waits").after(&running).run(|| unreachable!());
    assert_eq!(waits.cancel(), Cancellation::NeverRan);
    assert!(waits.is_over() && !running.is_over());
    go.set();
    ops.wait_timeout(GENEROUS).unwrap();
}

#[test]
fn the_completion_runs_for_a_cancelled_operation_too() {
    let runtime = runtime();
    let ops = OperationQueue::builder("ops").on(&runtime).max_concurrent(0).build();
    let (told, tell) = (Event::new(), Event::new());
    let operation = ops.operation("cancelled").run(|| ());
    let (ring, queue) = (told.clone(), runtime.serial("completions"));
    operation.on_complete(&queue, move |outcome| {
        assert!(matches!(outcome, Err(OperationError::Cancelled)));
        ring.set();
    });
    operation.cancel();
    told.wait_timeout(GENEROUS).unwrap();
    operation.on_complete(&queue, {
        let tell = tell.clone();
        move |_| tell.set()
    });
    tell.wait_timeout(GENEROUS).unwrap();
}

#[test]
fn waiting_for_the_queue_includes_what_is_added_meanwhile() {
    let runtime = runtime();
    let ops = OperationQueue::builder("ops").on(&runtime).max_concurrent(1).build();
    let count = Arc::new(AtomicUsize::new(0));
    fn add(ops: &OperationQueue, left: usize, count: &Arc<AtomicUsize>) {
        let (own, counted) = (ops.clone(), Arc::clone(count));
        ops.operation("adds another").run(move || {
            counted.fetch_add(1, SeqCst);
            if left > 0 {
                add(&own, left - 1, &counted);
            }
        });
    }
    add(&ops, 99, &count);
    ops.wait_timeout(GENEROUS).unwrap();
    assert_eq!(count.load(SeqCst), 100);
}

#[test]
fn one_at_a_time_and_in_order_is_a_serial_queue() {
    let runtime = runtime();
    let ops = OperationQueue::builder("serial").on(&runtime).max_concurrent(1).order(Order::Fifo).build();
    let log = Arc::new(Mutex::new(Vec::new()));
    for n in 0..1_000 {
        let log = Arc::clone(&log);
        ops.operation("entry").run(move || log.lock().unwrap().push(n));
    }
    ops.wait_timeout(GENEROUS).unwrap();
    assert!(log.lock().unwrap().iter().copied().eq(0..1_000));
}

#[test]
fn a_limited_queue_does_not_starve_the_pool() {
    let runtime = Runtime::builder().threads(2).max_threads(2).build().unwrap();
    let ops = OperationQueue::builder("limited").on(&runtime).max_concurrent(1).build();
    let go = Event::new();
    let running = busy(&ops, &go);
    for _ in 0..1_000 {
        ops.operation("waits").run(|| ());
    }
    // The other thread is free, as nothing that waits has one.
    runtime.serial("other").submit(|| ()).wait_timeout(GENEROUS).unwrap();
    go.set();
    ops.wait_timeout(GENEROUS).unwrap();
    assert!(running.is_over());
}

#[test]
fn a_suspended_queue_takes_operations_and_cancels_them_at_once() {
    let runtime = runtime();
    let ops = OperationQueue::builder("suspended").on(&runtime).build();
    let _guard = ops.suspend_guard().unwrap();
    let operations: Vec<_> = (0..10).map(|_| ops.operation("held").run(|| ())).collect();
    assert_eq!((ops.len(), ops.cancel_all(), ops.len()), (10, 10, 0));
    ops.wait_timeout(GENEROUS).unwrap();
    assert!(operations.iter().all(Operation::is_over));
}

#[test]
fn a_wait_with_a_timeout_gives_up_and_the_queue_goes_on() {
    let runtime = runtime();
    let ops = OperationQueue::builder("ops").on(&runtime).build();
    let go = Event::new();
    let running = busy(&ops, &go);
    let short = Duration::from_millis(2);
    assert!(matches!(ops.wait_timeout(short), Err(OperationError::TimedOut { after }) if after == short));
    assert!(matches!(running.wait_timeout(short), Err(OperationError::TimedOut { after }) if after == short));
    go.set();
    ops.wait_until_finished().unwrap();
    outcome(&running).unwrap();
}
