//! Delays, retries and time limits.

use super::*;
use concourse::Cancellation;
use concourse::OperationState;
use concourse::Retry;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;

const MS: Duration = Duration::from_millis(1);

/// A retry that does not keep a test waiting.
fn soon(attempts: u32) -> Retry {
    Retry::up_to(attempts).pause(MS)
}

#[test]
fn a_failing_operation_is_tried_again_until_it_has_a_value() {
    let runtime = runtime();
    let ops = OperationQueue::builder("retried").on(&runtime).build();
    let input = ops.operation("input").run(|| 40);
    let fetched = ops.operation("fetch").with(&input).retry(soon(5), |context, input| {
        if context.attempt() < 3 { Err("not yet") } else { Ok(input + context.attempt()) }
    });
    assert_eq!(*outcome(&fetched).unwrap(), 43);
}

#[test]
fn the_error_of_the_last_attempt_counts_and_a_panic_has_no_other() {
    let runtime = runtime();
    let ops = OperationQueue::builder("retried").on(&runtime).build();
    let failed =
        ops.operation("fails").retry(soon(3), |context| Err::<(), _>(format!("attempt {}", context.attempt())));
    assert_eq!(outcome(&failed).unwrap_err().to_string(), "the operation failed: attempt 3");
    let panicked = ops
        .operation("panics")
        .retry(soon(3), |context| -> Result<(), String> { panic!("attempt {}", context.attempt()) });
    assert!(matches!(outcome(&panicked), Err(OperationError::Panicked { message }) if &*message == "attempt 1"));
}

#[test]
fn a_pause_takes_no_place_and_can_be_cancelled() {
    let runtime = runtime();
    let ops = OperationQueue::builder("pauses").on(&runtime).max_concurrent(1).build();
    let attempts = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&attempts);
    let captured = Arc::downgrade(&attempts);
    let retry = Retry::up_to(2).pause(60 * GENEROUS).longest_pause(60 * GENEROUS);
    let paused = ops.operation("paused").retry(retry, move |_| {
        count.fetch_add(1, SeqCst);
        Err::<(), _>("once")
    });
    wait_until("the first attempt is over", || attempts.load(SeqCst) == 1 && paused.state() == OperationState::Pending);
    outcome(&ops.operation("other").run(|| ())).unwrap();
    assert_eq!(paused.cancel(), Cancellation::Done);
    assert_eq!(paused.state(), OperationState::Cancelled);
    drop(attempts);
    assert!(captured.upgrade().is_none());
}

#[test]
fn a_delayed_operation_begins_after_its_delay() {
    let runtime = runtime();
    let ops = OperationQueue::builder("delayed").on(&runtime).build();
    let added = Instant::now();
    let delayed = ops.operation("delayed").delay(30 * MS).run(Instant::now);
    assert_eq!(delayed.state(), OperationState::Pending);
    assert!(outcome(&delayed).unwrap().duration_since(added) >= 30 * MS);
    let never = ops.operation("never").delay(Duration::MAX).run(|| unreachable!());
    assert_eq!(never.cancel(), Cancellation::NeverRan);
}

#[test]
fn an_operation_that_takes_too_long_is_told_and_has_failed() {
    let runtime = runtime();
    let ops = OperationQueue::builder("limited").on(&runtime).build();
    let limited = ops.operation("listens").timeout(5 * MS).try_run(|context| {
        assert!(context.remaining().unwrap() <= 5 * MS);
        assert!(!context.sleep(GENEROUS) && context.is_expired() && !context.is_cancelled());
        Err::<(), _>("ignored")
    });
    assert!(matches!(outcome(&limited), Err(OperationError::Expired { limit }) if limit == 5 * MS));
    let dropped = Arc::new(());
    let value = Arc::clone(&dropped);
    let deaf = ops.operation("does not listen").timeout(MS).run(move || {
        std::thread::sleep(5 * MS);
        value
    });
    assert!(matches!(outcome(&deaf), Err(OperationError::Expired { .. })));
    assert_eq!(Arc::strong_count(&dropped), 1);
    let quick =
        ops.operation("quick").timeout(GENEROUS).try_run(|context| Ok::<_, OperationError>(context.must_stop()));
    assert!(!*outcome(&quick).unwrap());
}

#[test]
fn each_attempt_has_its_own_time() {
    let runtime = runtime();
    let ops = OperationQueue::builder("limited").on(&runtime).build();
    let second = ops
        .operation("slow at first")
        .timeout(GENEROUS)
        .retry(soon(2), |context| (context.attempt() == 2).then_some(context.remaining()).ok_or("again"));
    assert!(outcome(&second).unwrap().is_some());
    let attempts = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&attempts);
    let expired = ops.operation("always slow").timeout(MS).retry(soon(2), move |context| {
        count.fetch_add(1, SeqCst);
        while context.sleep(GENEROUS) {}
        Ok::<_, OperationError>(())
    });
    assert!(matches!(outcome(&expired), Err(OperationError::Expired { .. })));
    assert_eq!(attempts.load(SeqCst), 2);
}

#[test]
fn a_cancellation_ends_the_attempts() {
    let runtime = runtime();
    let ops = OperationQueue::builder("cancelled").on(&runtime).build();
    let began = Event::new();
    let begin = began.clone();
    let operation = ops.operation("stops").retry(soon(u32::MAX), move |context| {
        begin.set();
        while context.sleep(GENEROUS) {}
        assert_eq!(context.attempt(), 1);
        Err::<(), _>("stopped")
    });
    began.wait_timeout(GENEROUS).unwrap();
    assert_eq!(operation.cancel(), Cancellation::Running);
    assert!(matches!(outcome(&operation), Err(OperationError::Cancelled)));
}
