//! Who is told, and in which order.

use super::*;
use concourse::OperationChange;
use concourse::OperationState;
use concourse::Retry;
use std::collections::BTreeMap;
use std::sync::mpsc;

/// The states of each operation, by its number, once so many changes have come.
fn states(changes: &mpsc::Receiver<OperationChange>, count: usize) -> BTreeMap<u64, Vec<OperationState>> {
    let mut states = BTreeMap::<u64, Vec<OperationState>>::new();
    for _ in 0..count {
        let change = changes.recv_timeout(GENEROUS).expect("another change");
        states.entry(change.number).or_default().push(change.state);
    }
    states
}

#[test]
fn changes_of_an_operation_are_told_in_their_order_and_none_is_merged() {
    use OperationState::{Cancelled, Failed, Finished, Pending, Ready, Running};
    let runtime = runtime();
    let (ops, told) = (OperationQueue::builder("watched").on(&runtime).build(), runtime.serial("told"));
    let (sender, changes) = mpsc::channel();
    ops.on_change(&told, move |change| sender.send(change).unwrap());
    let retry = Retry::up_to(2).pause(Duration::from_millis(1));
    ops.operation("retried").retry(retry, |context| if context.attempt() == 1 { Err("once") } else { Ok(()) });
    let failed = ops.operation("failed").try_run(|_| Err::<(), _>("failed"));
    ops.operation("skipped").after(&failed).run(|| ());
    let guard = ops.suspend_guard().unwrap();
    ops.operation("cancelled").run(|| ()).cancel();
    drop(guard);
    let states = states(&changes, 7 + 4 + 2 + 3);
    assert_eq!(states[&1], [Pending, Ready, Running, Pending, Ready, Running, Finished]);
    assert_eq!(states[&2], [Pending, Ready, Running, Failed]);
    assert_eq!(states[&3], [Pending, Failed]);
    assert_eq!(states[&4], [Pending, Ready, Cancelled]);
}

#[test]
fn a_thousand_operations_on_several_threads_are_each_told_in_order() {
    use OperationState::{Finished, Pending, Ready, Running};
    let runtime = runtime();
    let (ops, told) = (OperationQueue::builder("watched").on(&runtime).build(), runtime.serial("told"));
    let (sender, changes) = mpsc::channel();
    ops.on_change(&told, move |change| sender.send(change).unwrap());
    for _ in 0..1_000 {
        ops.operation("one of many").run(|| ());
    }
    let states = states(&changes, 4_000);
    assert_eq!(states.len(), 1_000);
    assert!(states.values().all(|states| *states == [Pending, Ready, Running, Finished]));
}

#[test]
fn completions_run_on_the_queue_that_is_named_with_what_has_become() {
    let runtime = runtime();
    let (ops, screen) = (OperationQueue::builder("completed").on(&runtime).build(), runtime.serial("screen"));
    let (sender, said) = mpsc::channel();
    let guard = ops.suspend_guard().unwrap();
    let operations = [ops.operation("one").run(|| 1), ops.operation("two").run(|| -> i32 { panic!("no two") })];
    for operation in &operations {
        for _ in 0..2 {
            let (sender, here) = (sender.clone(), screen.clone());
            operation.on_complete(&screen, move |outcome| {
                here.assert_current();
                sender.send(outcome.map(|value| *value).map_err(|error| error.to_string())).unwrap();
            });
        }
    }
    drop(guard);
    ops.wait_timeout(GENEROUS).unwrap();
    let mut all: Vec<_> = (0..4).map(|_| said.recv_timeout(GENEROUS).unwrap()).collect();
    all.sort();
    assert_eq!(all[..2], [Ok(1), Ok(1)]);
    assert!(all[2..].iter().all(|error| error.as_ref().is_err_and(|error| error.ends_with("no two"))));
    // One that comes late is told as well, and a panic of a completion stays there.
    let sender = sender.clone();
    operations[0].on_complete(&screen, move |outcome| {
        sender.send(Ok(*outcome.unwrap())).unwrap();
        panic!("in a completion");
    });
    assert_eq!(said.recv_timeout(GENEROUS).unwrap(), Ok(1));
    screen.exec_sync(|| ());
}

#[test]
fn an_operation_is_awaited_by_any_number() {
    let runtime = runtime();
    let ops = OperationQueue::builder("awaited").on(&runtime).build();
    let go = Event::new();
    let gate = go.clone();
    let operation = ops.operation("value").run(move || {
        gate.wait();
        "value".to_owned()
    });
    let queue = runtime.concurrent("awaiting");
    let tasks: Vec<_> = (0..8).map(|_| queue.spawn(operation.clone())).collect();
    go.set();
    for mut task in tasks {
        assert_eq!(**task.wait_timeout(GENEROUS).unwrap().as_ref().unwrap(), "value");
    }
    assert_eq!(*concourse::block_on(operation).unwrap(), "value");
}
