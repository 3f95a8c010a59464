//! How many run, and who goes first.

use super::*;
use concourse::Cancellation;
use concourse::DependencyError;
use concourse::OperationState;
use concourse::Order;
use concourse::Priority;
use concourse::SuspendError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

/// Adds operations with these labels to a held queue, and gives the order in which they run one at a time.
fn order_of(order: Order, operations: &[(&str, Priority)]) -> String {
    let runtime = runtime();
    let ops = OperationQueue::builder("ordered").on(&runtime).max_concurrent(1).order(order).build();
    let (log, guard) = (Log::default(), ops.suspend_guard().unwrap());
    for (label, priority) in operations {
        ops.operation(label).priority(*priority).run(log.entry(label));
    }
    drop(guard);
    ops.wait_timeout(GENEROUS).unwrap();
    log.read()
}

#[test]
fn the_most_urgent_goes_first_and_equals_go_in_order() {
    use Priority::{High, Low, Normal, VeryHigh, VeryLow};
    let operations =
        [("a", VeryLow), ("b", Normal), ("c", High), ("d", Low), ("e", VeryHigh), ("f", Normal), ("g", High)];
    assert_eq!(order_of(Order::Priority, &operations), "e c g b f d a");
    assert_eq!(order_of(Order::Fifo, &operations), "a b c d e f g");
    assert_eq!(order_of(Order::Lifo, &operations), "g f e d c b a");
}

#[test]
fn an_operation_that_is_passed_over_rises_and_nobody_starves() {
    let flood: Vec<_> =
        std::iter::once(("low", Priority::Low)).chain(std::iter::repeat_n(("high", Priority::High), 100)).collect();
    let order = order_of(Order::Priority, &flood);
    let place = order.split(' ').position(|label| label == "low").unwrap() as u64;
    // It has risen to the top, and is older than all others.
    assert_eq!(place, 3 * Priority::PATIENCE);
    let young: Vec<_> = flood.into_iter().rev().collect();
    assert!(order_of(Order::Priority, &young).ends_with(" low"), "it is the youngest, and all have risen with it");
}

#[test]
fn a_priority_may_change_while_the_operation_waits() {
    let runtime = runtime();
    let ops = OperationQueue::builder("changing").on(&runtime).max_concurrent(1).build();
    let (log, guard) = (Log::default(), ops.suspend_guard().unwrap());
    let [.., last] = ["a", "b", "c"].map(|label| ops.operation(label).run(log.entry(label)));
    last.set_priority(Priority::VeryHigh);
    let gate = ops.operation("d").run(log.entry("d"));
    let pending = ops.operation("e").after(&gate).run(log.entry("e"));
    pending.set_priority(Priority::VeryHigh);
    ops.operation("f").run(log.entry("f"));
    drop(guard);
    ops.wait_timeout(GENEROUS).unwrap();
    assert_eq!(log.read(), "c a b d e f");
    last.set_priority(Priority::Low);
    assert_eq!(last.state(), OperationState::Finished);
}

#[test]
fn never_more_run_at_a_time_than_may_and_as_many_do() {
    let runtime = Runtime::builder().threads(8).build().unwrap();
    let ops = OperationQueue::builder("three").on(&runtime).max_concurrent(3).build();
    let (inside, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for _ in 0..300 {
        let (inside, most) = (Arc::clone(&inside), Arc::clone(&most));
        ops.operation("part").run(move || {
            most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
            std::thread::yield_now();
            inside.fetch_sub(1, SeqCst);
        });
    }
    ops.wait_timeout(GENEROUS).unwrap();
    assert!(most.load(SeqCst) <= 3);
    let meeting = Arc::new(std::sync::Barrier::new(3));
    for _ in 0..9 {
        let meeting = Arc::clone(&meeting);
        ops.operation("meeting").run(move || _ = meeting.wait());
    }
    ops.wait_timeout(GENEROUS).unwrap();
}

#[test]
fn with_a_width_of_0_nothing_runs_until_it_is_raised_and_a_lower_one_lets_what_runs_go_on() {
    let runtime = runtime();
    let ops = OperationQueue::builder("live").on(&runtime).max_concurrent(0).build();
    let go = Event::new();
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let go = go.clone();
            ops.operation("waits").run(move || go.wait())
        })
        .collect();
    assert_eq!((ops.running(), ops.len(), ops.max_concurrent()), (0, 4, 0));
    assert!(waiting.iter().all(|operation| operation.state() == OperationState::Ready));
    ops.set_max_concurrent(2);
    wait_until("two run", || ops.running() == 2);
    ops.set_max_concurrent(0);
    assert_eq!(ops.running(), 2);
    go.set();
    wait_until("both are over", || ops.running() == 0);
    assert_eq!(ops.len(), 2);
    ops.set_max_concurrent(usize::MAX);
    ops.wait_timeout(GENEROUS).unwrap();
}

#[test]
fn operations_that_wait_hold_no_thread() {
    let runtime = Runtime::builder().threads(1).max_threads(1).build().unwrap();
    let ops = OperationQueue::builder("waiting").on(&runtime).build();
    let gate = OperationQueue::builder("gate").on(&runtime).max_concurrent(0).build();
    let first = gate.operation("first").run(|| 1);
    let waiting: Vec<_> = (0..1_000).map(|n| ops.operation("next").with(&first).run(move |first| first + n)).collect();
    assert_eq!(*outcome(&ops.operation("other").run(|| 7)).unwrap(), 7);
    gate.set_max_concurrent(1);
    let sum = ops.operation("sum").with(&waiting).run(|all| all.into_iter().sum::<i32>());
    assert_eq!(*outcome(&sum).unwrap(), (0..1_000).sum::<i32>() + 1_000);
}

#[test]
fn suspensions_count_and_hold_what_has_not_begun() {
    let runtime = runtime();
    let ops = OperationQueue::builder("held").on(&runtime).build();
    let go = Event::new();
    let running = busy(&ops, &go);
    let guard = ops.suspend_guard().unwrap();
    ops.suspend().unwrap();
    let held = ops.operation("held").run(|| ());
    go.set();
    outcome(&running).unwrap();
    drop(guard);
    assert!(matches!(held.wait_timeout(Duration::ZERO), Err(OperationError::TimedOut { .. })));
    assert_eq!(held.state(), OperationState::Ready);
    ops.resume().unwrap();
    outcome(&held).unwrap();
    let error = ops.resume().unwrap_err();
    assert_eq!(error, SuspendError::OverResume { label: "held".into() });
}

#[test]
fn an_operation_that_suspends_its_queue_is_the_last_to_run() {
    let runtime = runtime();
    let ops = OperationQueue::builder("stops itself").on(&runtime).max_concurrent(1).order(Order::Fifo).build();
    let own = ops.clone();
    let stops = ops.operation("stops").run(move || own.suspend().unwrap());
    let next = ops.operation("next").run(|| ());
    outcome(&stops).unwrap();
    wait_until("its place is free", || ops.running() == 0);
    assert_eq!(next.state(), OperationState::Ready);
    ops.resume().unwrap();
    outcome(&next).unwrap();
}

#[test]
fn cancelling_drops_the_captures_at_once_and_tells_how_far_it_was() {
    let runtime = runtime();
    let ops = OperationQueue::builder("cancelled").on(&runtime).build();
    let guard = ops.suspend_guard().unwrap();
    let captured = Arc::new(());
    let kept = Arc::clone(&captured);
    let operation = ops.operation("unwanted").run(move || drop(kept));
    assert_eq!(Arc::strong_count(&captured), 2);
    assert_eq!(operation.cancel(), Cancellation::NeverRan);
    assert_eq!(Arc::strong_count(&captured), 1);
    assert_eq!((operation.state(), operation.cancel()), (OperationState::Cancelled, Cancellation::NeverRan));
    assert!(ops.is_empty());
    drop(guard);
    let done = ops.operation("done").run(|| ());
    outcome(&done).unwrap();
    assert_eq!((done.cancel(), done.state()), (Cancellation::Done, OperationState::Finished));
}

#[test]
fn a_running_operation_is_told_that_it_is_cancelled_and_its_value_counts_all_the_same() {
    let runtime = runtime();
    let ops = OperationQueue::builder("told").on(&runtime).build();
    for stubborn in [true, false] {
        let began = Event::new();
        let begin = began.clone();
        let operation = ops.operation("told").try_run(move |context| {
            begin.set();
            while context.sleep(GENEROUS) {}
            assert!(context.is_cancelled() && context.must_stop() && !context.is_expired());
            if stubborn { Ok(1) } else { Err("stopped") }
        });
        began.wait_timeout(GENEROUS).unwrap();
        assert_eq!(operation.cancel(), Cancellation::Running);
        match outcome(&operation) {
            Ok(value) => assert!(stubborn && *value == 1),
            Err(error) => assert!(!stubborn && matches!(error, OperationError::Cancelled), "{error}"),
        }
    }
}

#[test]
fn everything_in_a_queue_is_cancelled_together() {
    let runtime = runtime();
    let ops = OperationQueue::builder("all").on(&runtime).max_concurrent(1).build();
    let began = Event::new();
    let begin = began.clone();
    let running = ops.operation("running").try_run(move |context| {
        begin.set();
        while context.sleep(GENEROUS) {}
        Err::<(), _>("stopped")
    });
    began.wait_timeout(GENEROUS).unwrap();
    let waiting: Vec<_> = (0..10).map(|_| ops.operation("waiting").run(|| unreachable!())).collect();
    let after = ops.operation("after").with(&waiting).run(|_: Vec<&()>| unreachable!());
    assert_eq!(ops.cancel_all(), 11);
    ops.wait_timeout(GENEROUS).unwrap();
    for operation in waiting.iter().chain([&running, &after]) {
        assert_eq!(operation.state(), OperationState::Cancelled);
    }
}

#[test]
fn a_wait_from_within_an_operation_of_the_same_queue_is_an_error() {
    let runtime = runtime();
    let ops = OperationQueue::builder("own").on(&runtime).max_concurrent(1).build();
    let own = ops.clone();
    let inner = ops.operation("waits").run(move || {
        let next = own.operation("next").run(|| 1);
        let errors = [own.wait_until_finished().unwrap_err(), next.wait().unwrap_err()];
        (errors, next)
    });
    let inner = outcome(&inner).unwrap();
    let (errors, next) = &*inner;
    let labels: Vec<_> = errors
        .iter()
        .map(|error| match error {
            OperationError::WouldDeadlock { label } => label.to_string(),
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(labels, ["own", "next"]);
    assert_eq!(*outcome(next).unwrap(), 1);
}

#[test]
fn a_wait_for_what_depends_on_the_waiting_operation_is_an_error() {
    let runtime = runtime();
    let (ops, other) =
        (OperationQueue::builder("ops").on(&runtime).build(), OperationQueue::builder("other").on(&runtime));
    let other = other.build();
    let (sent, received) = std::sync::mpsc::channel::<Operation<()>>();
    let all = other.clone();
    let waits = ops.operation("waits").run(move || {
        let error = received.recv().unwrap().wait().unwrap_err();
        assert!(matches!(all.wait_until_finished(), Err(OperationError::WouldDeadlock { .. })));
        assert!(matches!(all.wait_timeout(Duration::ZERO), Err(OperationError::TimedOut { .. })));
        error
    });
    let first = other.operation("first").after(&waits).run(|| ());
    let second = other.operation("second").after(&first).run(|| ());
    sent.send(second.clone()).unwrap();
    assert!(matches!(&*outcome(&waits).unwrap(), OperationError::WouldDeadlock { label } if &**label == "second"));
    outcome(&second).unwrap();
}

#[test]
fn an_operation_may_wait_for_another_that_has_a_place() {
    let runtime = Runtime::builder().threads(1).build().unwrap();
    let ops = OperationQueue::builder("two").on(&runtime).max_concurrent(2).build();
    let own = ops.clone();
    let outer = ops.operation("outer").run(move || *own.operation("inner").run(|| 42).wait().unwrap());
    assert_eq!(*outcome(&outer).unwrap(), 42);
}

#[test]
fn operations_run_on_the_queue_that_is_named() {
    let runtime = runtime();
    let target = runtime.serial("target");
    let ops = OperationQueue::builder("above").target(&target).build();
    let guard = target.suspend_guard().unwrap();
    let here = target.clone();
    let operation = ops.operation("here").run(move || here.assert_current());
    assert_eq!(operation.state(), OperationState::Ready);
    drop(guard);
    outcome(&operation).unwrap();
    let error = target.exec_sync(|| ops.operation("behind").run(|| ()).wait()).unwrap_err();
    assert!(matches!(error, OperationError::WouldDeadlock { .. }), "{error}");
    ops.wait_timeout(GENEROUS).unwrap();
}

#[test]
fn a_refused_dependency_leaves_an_operation_in_its_place() {
    let runtime = runtime();
    let ops = OperationQueue::builder("line").on(&runtime).order(Order::Fifo).max_concurrent(1).build();
    let (log, guard) = (Log::default(), ops.suspend_guard().unwrap());
    let first = ops.operation("first").run(log.entry("first"));
    let _second = ops.operation("second").run(log.entry("second"));
    let third = ops.operation("third").after(&first).run(log.entry("third"));
    assert!(matches!(first.add_dependency(&third), Err(DependencyError::Cycle { .. })));
    drop(guard);
    ops.wait_timeout(GENEROUS).unwrap();
    assert_eq!(log.read(), "first second third");
}
