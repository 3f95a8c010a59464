//! Operations whose captures, callbacks and wakers look back, and ends that meet each other.

use super::GENEROUS;
use super::outcome;
use super::runtime;
use super::wait_until;
use concourse::CancelToken;
use concourse::Cancellation;
use concourse::DependencyError;
use concourse::Event;
use concourse::Operation;
use concourse::OperationError;
use concourse::OperationQueue;
use concourse::OperationState;
use concourse::Progress;
use concourse::Retry;
use concourse::Semaphore;
use concourse::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc;
use std::task::Context;
use std::task::Wake;
use std::task::Waker;
use std::thread;
use std::time::Duration;

/// Calls a closure when it is dropped, as a capture may.
struct Last<F: FnMut()>(F);

impl<F: FnMut()> Drop for Last<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn a_cancelled_barrier_leaves_those_before_it_in_force() {
    let runtime = runtime();
    let ops = OperationQueue::builder("barriers").on(&runtime).max_concurrent(8).build();
    let (gate, log) = (Event::new(), Arc::new(Mutex::new(Vec::new())));
    let held = gate.clone();
    let note = |name: &'static str| {
        let log = Arc::clone(&log);
        move || log.lock().unwrap().push(name)
    };
    let first = note("first");
    ops.operation("first").run(move || {
        held.wait();
        first();
    });
    ops.operation("barrier").barrier().run(note("barrier"));
    let second = ops.operation("cancelled barrier").barrier().run(|| ());
    ops.operation("before the cancellation").run(note("later"));
    second.cancel();
    let last = ops.operation("after it").run(note("later"));
    assert!(last.wait_timeout(Duration::from_millis(20)).is_err());
    gate.set();
    ops.wait_timeout(GENEROUS).unwrap();
    assert_eq!(*log.lock().unwrap(), ["first", "barrier", "later", "later"]);
}

#[test]
fn a_cancellation_that_meets_a_failing_attempt_ends_the_retries() {
    let runtime = runtime();
    let ops = OperationQueue::builder("retries").on(&runtime).build();
    for round in 0..3_000 {
        let begun = Event::new();
        let tell = begun.clone();
        let for_ever = Retry::up_to(u32::MAX).pause(Duration::ZERO).without_jitter();
        let retried = ops.operation("in vain").retry(for_ever, move |_| {
            tell.set();
            Err::<(), _>("no")
        });
        begun.wait();
        (0..round % 64).for_each(|_| std::hint::spin_loop());
        retried.cancel();
        assert!(!matches!(retried.wait_timeout(GENEROUS), Err(OperationError::TimedOut { .. })), "round {round}");
    }
}

#[test]
fn a_capture_that_is_dropped_with_its_operation_may_look_at_what_has_ended_it() {
    let runtime = runtime();
    let ops = OperationQueue::builder("captures").on(&runtime).build();
    let guard = ops.suspend_guard().unwrap();
    let failing = ops.operation("failing").try_run(|_| Err::<i32, _>("bad"));
    let (told, seen) = mpsc::channel();
    let look = |other: Operation<i32>, told: mpsc::Sender<bool>| Last(move || _ = told.send(other.wait().is_err()));
    let capture = look(failing.clone(), told);
    let dependent = ops.operation("dependent").after(&failing).run(move || drop(capture));
    drop(guard);
    assert!(matches!(outcome(&dependent), Err(OperationError::Skipped { .. })));
    assert_eq!(seen.recv_timeout(GENEROUS), Ok(true));
}

#[test]
fn a_capture_that_waits_for_its_own_queue_is_told_that_this_never_ends() {
    let runtime = runtime();
    let ops = OperationQueue::builder("captures").on(&runtime).build();
    let _guard = ops.suspend_guard().unwrap();
    let (told, seen) = mpsc::channel();
    let own = ops.clone();
    let capture = Last(move || _ = told.send(own.wait_until_finished()));
    let cancelled = ops.operation("cancelled").run(move || drop(capture));
    assert_eq!(cancelled.cancel(), Cancellation::NeverRan);
    assert!(matches!(seen.recv_timeout(GENEROUS), Ok(Err(OperationError::WouldDeadlock { .. }))));
    ops.wait_timeout(GENEROUS).unwrap();
}

#[test]
fn a_refused_completion_may_look_at_its_operation() {
    let (runtime, gone) = (runtime(), runtime());
    let queue = gone.serial("gone");
    gone.shutdown(Shutdown::Drain);
    let ops = OperationQueue::builder("completions").on(&runtime).build();
    let guard = ops.suspend_guard().unwrap();
    let operation = ops.operation("operation").run(|| 1);
    let (own, (told, seen)) = (operation.clone(), mpsc::channel());
    let capture = Last(move || _ = told.send(*own.wait().unwrap()));
    operation.on_complete(&queue, move |_| drop(capture));
    drop(guard);
    assert_eq!(seen.recv_timeout(GENEROUS), Ok(1));
    assert_eq!(*outcome(&operation).unwrap(), 1);
}

#[test]
fn a_refused_completion_that_waits_for_what_comes_after_its_operation_is_told_so() {
    for is_barrier in [false, true] {
        let (runtime, gone) = (runtime(), runtime());
        let queue = gone.serial("gone");
        gone.shutdown(Shutdown::Drain);
        let ops = OperationQueue::builder("completions").on(&runtime).build();
        let guard = ops.suspend_guard().unwrap();
        let operation = ops.operation("operation").run(|| ());
        let (later, (told, seen)) = (Arc::new(Mutex::new(None::<Operation<()>>)), mpsc::channel());
        let awaited = Arc::clone(&later);
        let capture = Last(move || {
            let after = awaited.lock().unwrap().clone();
            _ = told.send(after.map(|after| after.wait()));
        });
        operation.on_complete(&queue, move |_| drop(capture));
        let after = ops.operation("after");
        let after = if is_barrier { after.barrier() } else { after.after_end_of(&operation) }.run(|| ());
        *later.lock().unwrap() = Some(after.clone());
        drop(guard);
        assert!(matches!(seen.recv_timeout(GENEROUS), Ok(Some(Err(OperationError::WouldDeadlock { .. })))));
        outcome(&after).unwrap();
    }
}

#[test]
fn a_destructor_may_wait_for_a_thread_that_waits_for_the_dependency() {
    let runtime = runtime();
    let ops = OperationQueue::builder("joined").on(&runtime).build();
    let guard = ops.suspend_guard().unwrap();
    let failing = ops.operation("failing").try_run(|_| Err::<i32, _>("bad"));
    let awaited = failing.clone();
    let mut waiter = Some(thread::spawn(move || awaited.wait().is_err()));
    let capture = Last(move || assert!(waiter.take().unwrap().join().unwrap()));
    let dependent = ops.operation("dependent").after(&failing).run(move || drop(capture));
    drop(guard);
    assert!(matches!(outcome(&dependent), Err(OperationError::Skipped { .. })));
}

#[test]
fn an_attempt_that_fails_after_the_last_handle_of_a_suspended_queue_has_gone_is_the_last() {
    let runtime = runtime();
    let ops = OperationQueue::builder("abandoned").on(&runtime).build();
    let (begun, gate) = (Event::new(), Event::new());
    let (tell, held) = (begun.clone(), gate.clone());
    let retried = ops.operation("retried").retry(Retry::up_to(3).pause(Duration::from_millis(1)), move |_| {
        tell.set();
        held.wait();
        Err::<(), _>("no")
    });
    begun.wait();
    ops.suspend().unwrap();
    drop(ops);
    gate.set();
    assert!(matches!(outcome(&retried), Err(OperationError::Dropped)));
}

#[test]
fn a_long_chain_between_two_queues_ends_with_its_runtime() {
    const LENGTH: usize = 20_000;
    let runtime = runtime();
    let queues = ["even", "odd"].map(|label| OperationQueue::builder(label).on(&runtime).build());
    let mut last = queues[0].operation("first").delay(Duration::from_secs(3_600)).run(|| ());
    for number in 1..LENGTH {
        last = queues[number % 2].operation("link").after_end_of(&last).run(|| ());
    }
    drop(runtime);
    assert!(matches!(outcome(&last), Err(OperationError::Dropped)));
}

#[test]
fn parts_of_parts_of_progress_may_go_deeper_than_any_stack() {
    let whole = Progress::new(1);
    let deepest = (0..100_000).fold(whole.clone(), |part, _| part.child(1, 1));
    deepest.finish();
    drop(deepest);
    assert!(whole.is_finished());
}

#[test]
fn an_observer_whose_calls_were_cancelled_misses_those_changes_and_no_others() {
    let runtime = runtime();
    let ops = OperationQueue::builder("observed").on(&runtime).max_concurrent(1).build();
    let (screen, (told, changes)) = (runtime.serial("screen"), mpsc::channel());
    ops.on_change(&screen, move |change| told.send((change.label.to_string(), change.state)).unwrap());
    let guard = screen.suspend_guard().unwrap();
    ops.operation("unseen").run(|| ()).wait().unwrap();
    assert_eq!(screen.cancel_pending(), 4);
    drop(guard);
    ops.operation("seen").run(|| ());
    let states = [OperationState::Pending, OperationState::Ready, OperationState::Running, OperationState::Finished];
    for state in states {
        assert_eq!(changes.recv_timeout(GENEROUS), Ok(("seen".to_owned(), state)));
    }
}

#[test]
fn an_observer_keeps_no_handle_of_its_queue() {
    let runtime = runtime();
    let captured = Arc::new(());
    let ops = OperationQueue::builder("observed").on(&runtime).build();
    let screen = runtime.serial("screen");
    screen.suspend().unwrap();
    let kept = Arc::clone(&captured);
    ops.on_change(&screen, move |_| _ = &kept);
    drop(screen);
    ops.operation("operation").run(|| ()).wait().unwrap();
    drop(ops);
    wait_until("the handler is gone", || Arc::strong_count(&captured) == 1);
}

#[test]
fn a_waker_that_panics_keeps_nobody_else_asleep() {
    struct Angry;
    impl Wake for Angry {
        fn wake(self: Arc<Self>) {
            panic!("not now")
        }
    }
    let runtime = runtime();
    let ops = OperationQueue::builder("awaited").on(&runtime).build();
    let gate = Event::new();
    let held = gate.clone();
    let operation = ops.operation("awaited").run(move || held.wait());
    let mut future = operation.clone();
    let waker = Waker::from(Arc::new(Angry));
    assert!(Pin::new(&mut future).poll(&mut Context::from_waker(&waker)).is_pending());
    let waiter = thread::spawn(move || operation.wait_timeout(GENEROUS).is_ok());
    gate.set();
    assert!(waiter.join().unwrap());
    ops.wait_timeout(GENEROUS).unwrap();
}

#[test]
fn a_queue_that_runs_nothing_for_a_moment_is_no_deadlock() {
    let runtime = runtime();
    let ops = OperationQueue::builder("held").on(&runtime).max_concurrent(4).build();
    let (own, begun) = (ops.clone(), Event::new());
    let tell = begun.clone();
    let gate = Event::new();
    let held = gate.clone();
    let outer = ops.operation("outer").run(move || {
        tell.set();
        held.wait();
        own.operation("inner").run(|| 5).wait().map(|value| *value)
    });
    begun.wait();
    ops.set_max_concurrent(0);
    gate.set();
    wait_until("the inner operation is there", || ops.len() == 2 || outer.is_over());
    ops.set_max_concurrent(4);
    assert!(matches!(*outcome(&outer).unwrap(), Ok(5)));
}

#[test]
fn a_dependency_between_two_attempts_comes_too_late() {
    let runtime = runtime();
    let ops = OperationQueue::builder("late").on(&runtime).build();
    let begun = Event::new();
    let tell = begun.clone();
    let retried = ops.operation("retried").retry(Retry::up_to(2).pause(Duration::from_secs(60)), move |_| {
        tell.set();
        Err::<(), _>("no")
    });
    let other = ops.operation("other").run(|| ());
    begun.wait();
    wait_until("the first attempt is over", || retried.state() == OperationState::Pending);
    assert!(matches!(retried.add_dependency(&other), Err(DependencyError::TooLate { .. })));
    retried.cancel();
}

#[test]
fn a_token_over_operations_cancels_those_that_wait_and_tells_those_that_run() {
    let runtime = runtime();
    let ops = OperationQueue::builder("request").on(&runtime).max_concurrent(1).build();
    let (request, begun, mail) = (CancelToken::new(), Event::new(), Semaphore::new(0));
    let tell = begun.clone();
    let running = ops.operation("running").under(&request).try_run(move |context| {
        tell.set();
        mail.wait_or(&context.token())
    });
    let captured = Arc::new(());
    let kept = Arc::clone(&captured);
    let waiting = ops.operation("waiting").under(&request).run(move || drop(kept));
    let other = ops.operation("of another request").run(|| ());
    begun.wait();
    request.cancel();
    assert_eq!(Arc::strong_count(&captured), 1, "its captures are gone when the call returns");
    assert!(matches!(outcome(&running), Err(OperationError::Cancelled)));
    assert!(matches!(outcome(&waiting), Err(OperationError::Cancelled)));
    assert!(outcome(&other).is_ok());
    let late = ops.operation("late").under(&request).run(|| ());
    assert!(matches!(outcome(&late), Err(OperationError::Cancelled)));
}

#[test]
fn the_token_of_an_operation_is_cancelled_with_it_and_keeps_it_no_longer_than_it_lasts() {
    let runtime = runtime();
    let ops = OperationQueue::builder("steps").on(&runtime).build();
    let (request, (told, token)) = (CancelToken::new(), mpsc::channel());
    let operation = ops.operation("first").under(&request).try_run(move |context| {
        let own = context.token();
        told.send(own.clone()).unwrap();
        own.wait_timeout(GENEROUS).map_err(|_| "not in time")?;
        Err::<(), _>("cancelled")
    });
    let own: CancelToken = token.recv_timeout(GENEROUS).unwrap();
    assert!(!own.is_cancelled());
    assert_eq!(operation.cancel(), Cancellation::Running);
    assert!(own.is_cancelled() && !request.is_cancelled());
    assert!(matches!(outcome(&operation), Err(OperationError::Cancelled)));
    let kept = Arc::new(());
    let capture = Arc::clone(&kept);
    let over = ops.operation("second").under(&request).run(move || drop(capture));
    outcome(&over).unwrap();
    request.cancel();
    assert!(outcome(&over).is_ok(), "what is over stays as it is");
}
