//! Operations: graphs, retries, cancellations and ends, in every order of their steps.

use super::hold;
use concourse::{
    Clock, Deadline, DependencyError, Event, Group, Operation, OperationError, OperationQueue, OperationState, Qos,
    Retry, Runtime, Shutdown, Sim,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3_600);

fn queue(runtime: &Runtime, label: &str, width: usize) -> OperationQueue {
    OperationQueue::builder(label).on(runtime).max_concurrent(width).seed(7).build()
}

/// A graph over two queues, one of which is suspended meanwhile, with a part that fails at first and one that fails for good.
fn build(runtime: &Runtime) -> (u64, String) {
    let (compile, link) = (queue(runtime, "compile", 2), queue(runtime, "link", 1));
    let inside = Arc::new(AtomicUsize::new(0));
    let parts: Vec<_> = (1..=3_u64)
        .map(|part| {
            let inside = Arc::clone(&inside);
            compile.operation("part").retry(Retry::up_to(3).pause(10 * MS), move |context| {
                assert!(inside.fetch_add(1, Ordering::SeqCst) < 2, "two at a time");
                let patience = context.sleep(MS);
                inside.fetch_sub(1, Ordering::SeqCst);
                if patience && context.attempt() == 2 { Ok(part) } else { Err("try again") }
            })
        })
        .collect();
    let other = link.clone();
    runtime.global(Qos::Default).exec_async(move || {
        let _guard = other.suspend_guard().unwrap();
    });
    let bad = link.operation("bad").try_run(|_| Err::<u64, _>("bad"));
    let sum =
        link.operation("sum").with((&parts, bad.or(100))).run(|(parts, more)| parts.into_iter().sum::<u64>() + more);
    let skipped = link.operation("skipped").after(&sum).after(&bad).run(|| unreachable!());
    let error: Result<Arc<()>, _> = skipped.wait();
    let sum = *sum.wait().unwrap();
    [&compile, &link].into_iter().for_each(|queue| queue.wait_until_finished().unwrap());
    (sum, error.unwrap_err().to_string())
}

#[test]
fn a_graph_comes_to_the_same_end_in_every_order() {
    let said = "the operation was skipped, as it depends on \"bad\": the operation failed: bad".to_owned();
    assert!(hold(build).iter().all(|end| *end == (106, said.clone())));
}

#[test]
fn a_seed_builds_a_graph_in_the_same_steps_every_time() {
    for seed in [0, 1, 42] {
        let [(first, trace), (again, same)] = [(); 2].map(|()| Sim::seeded(seed).record(build));
        assert_eq!((first.unwrap(), trace.digest()), (again.unwrap(), same.digest()));
    }
}

#[test]
fn retries_pause_for_the_same_times_again_and_an_hour_costs_nothing() {
    let attempts = |runtime: &Runtime| {
        let ops = queue(runtime, "retries", 2);
        let start = Deadline::now(Clock::Monotonic);
        let times = Arc::new(Mutex::new(Vec::new()));
        let retry = Retry::up_to(6).pause(HOUR).longest_pause(8 * HOUR);
        let operations: Vec<_> = (0..2)
            .map(|place| {
                let times = Arc::clone(&times);
                ops.operation("retried").retry(retry, move |context| {
                    let mut passed = Duration::ZERO;
                    while start + passed < Deadline::now(Clock::Monotonic) {
                        passed += Duration::from_secs(1);
                    }
                    times.lock().unwrap().push((place, context.attempt(), passed));
                    Err::<(), _>("again")
                })
            })
            .collect();
        operations.iter().for_each(|operation| assert!(operation.wait().is_err()));
        let mut times = times.lock().unwrap().clone();
        times.sort();
        times
    };
    let times = Sim::seeded(1).run(attempts).unwrap();
    assert_eq!(times, Sim::seeded(2).run(attempts).unwrap(), "pauses follow from the queue's seed");
    let of = |place: usize| times.iter().filter(move |time| time.0 == place).map(|time| time.2);
    assert!(of(0).ne(of(1)), "each operation has its own");
    for place in 0..2 {
        let times: Vec<_> = of(place).collect();
        assert_eq!(times.len(), 6);
        for (pair, longest) in times.windows(2).zip([1, 2, 4, 8, 8]) {
            let pause = pair[1] - pair[0];
            assert!(
                pause >= longest * HOUR / 2 - Duration::from_secs(1)
                    && pause <= longest * HOUR + Duration::from_secs(1)
            );
        }
    }
}

/// Two cancel what a third lets go. Gives the states at the end.
fn cancelled(runtime: &Runtime) -> Vec<OperationState> {
    let ops = queue(runtime, "cancelled", 1);
    let guard = ops.suspend_guard().unwrap();
    let ran = Arc::new(AtomicUsize::new(0));
    let operation = |label| {
        let ran = Arc::clone(&ran);
        ops.operation(label).run(move || _ = ran.fetch_add(1, Ordering::SeqCst))
    };
    let (first, second) = (operation("first"), operation("second"));
    let after = ops.operation("after").after(&first).after_end_of(&second).run(|| ());
    let (threads, group) = (runtime.global(Qos::Default), Group::new());
    for unwanted in [first.clone(), second.clone()] {
        group.exec_async(&threads, move || _ = unwanted.cancel());
    }
    group.exec_async(&threads, move || drop(guard));
    ops.wait_until_finished().unwrap();
    group.wait();
    let states = vec![first.state(), second.state(), after.state()];
    let finished = states[..2].iter().filter(|state| **state == OperationState::Finished).count();
    assert_eq!(ran.load(Ordering::SeqCst), finished);
    let expected =
        if states[0] == OperationState::Finished { OperationState::Finished } else { OperationState::Failed };
    assert_eq!(states[2], expected, "it depends on the value of the first");
    assert_eq!((ops.len(), ops.running()), (0, 0));
    states
}

#[test]
fn a_cancellation_and_a_beginning_leave_one_of_two_ends() {
    let ends = hold(cancelled);
    for state in [OperationState::Finished, OperationState::Cancelled] {
        assert!(ends.iter().any(|states| states[0] == state), "no order ends with {state:?}");
    }
}

/// Three operations of three queues, each of which another thread makes depend on the next.
fn ring(runtime: &Runtime) -> usize {
    let queues: Vec<_> = ["a", "b", "c"].map(|label| queue(runtime, label, 0)).into();
    let ring: Vec<_> = queues.iter().map(|queue| queue.operation(queue.label()).run(|| ())).collect();
    let (threads, group, refused) = (runtime.global(Qos::Default), Group::new(), Arc::new(AtomicUsize::new(0)));
    for place in 0..3 {
        let (this, next, refused) = (ring[place].clone(), ring[(place + 1) % 3].clone(), Arc::clone(&refused));
        group.exec_async(&threads, move || match this.add_dependency(&next) {
            Ok(()) => {}
            Err(DependencyError::Cycle { labels }) => {
                assert_eq!((labels.len(), labels.first()), (4, labels.last()));
                refused.fetch_add(1, Ordering::SeqCst);
            }
            Err(other) => panic!("{other}"),
        });
    }
    group.wait();
    queues.iter().for_each(|queue| queue.set_max_concurrent(1));
    ring.iter().for_each(|operation| _ = operation.wait().unwrap());
    refused.load(Ordering::SeqCst)
}

#[test]
fn a_cycle_that_three_close_together_is_never_left_standing() {
    let refused = hold(ring);
    assert!(refused.iter().all(|refused| *refused > 0));
}

/// Two operations that two threads make depend on each other, and then one thread again. Gives how many were refused at first.
fn mutual(runtime: &Runtime) -> usize {
    let ops = queue(runtime, "mutual", 0);
    let log = Arc::new(Mutex::new(Vec::new()));
    let [a, b] = ["a", "b"].map(|label| {
        let log = Arc::clone(&log);
        ops.operation(label).run(move || log.lock().unwrap().push(label))
    });
    let (threads, group, first) = (runtime.global(Qos::Default), Group::new(), Arc::new(Mutex::new(None)));
    let (this, other, added) = (a.clone(), b.clone(), Arc::clone(&first));
    group.exec_async(&threads, move || {
        let outcome = this.add_dependency(&other);
        *added.lock().unwrap() = Some(outcome);
    });
    let second = b.add_dependency(&a);
    group.wait();
    let first = first.lock().unwrap().take().unwrap();
    let again = [first.clone().or_else(|_| a.add_dependency(&b)), second.clone().or_else(|_| b.add_dependency(&a))];
    let order = match again {
        [Ok(()), Err(DependencyError::Cycle { .. })] => ["b", "a"],
        [Err(DependencyError::Cycle { .. }), Ok(())] => ["a", "b"],
        other => panic!("one of them stays: {other:?}"),
    };
    assert_eq!(ops.dot().lines().filter(|line| line.contains("->")).count(), 1);
    ops.set_max_concurrent(1);
    ops.wait_until_finished().unwrap();
    assert_eq!(*log.lock().unwrap(), order);
    [first, second].iter().filter(|outcome| outcome.is_err()).count()
}

#[test]
fn a_cycle_that_two_close_together_is_refused_to_one_at_least_and_both_may_try_again() {
    let refused = hold(mutual);
    assert!(refused.contains(&1) && refused.contains(&2) && !refused.contains(&0));
}

/// An operation that is to wait for one behind two barriers, the second of which is cancelled meanwhile.
fn bypassed(runtime: &Runtime) -> bool {
    let ops = queue(runtime, "bypassed", 0);
    let first = ops.operation("first").run(|| ());
    let [_, second] = [(); 2].map(|()| ops.operation("barrier").barrier().run(|| ()));
    let last = ops.operation("last").run(|| ());
    let (threads, group) = (runtime.global(Qos::Default), Group::new());
    group.exec_async(&threads, move || _ = second.cancel());
    let added = first.add_dependency(&last);
    group.wait();
    ops.set_max_concurrent(1);
    assert!(matches!(added, Err(DependencyError::Cycle { .. })), "the first barrier stays");
    ops.wait_until_finished().unwrap();
    first.outcome().unwrap().is_ok() && last.outcome().unwrap().is_ok()
}

#[test]
fn a_barrier_that_is_cancelled_hides_no_other_from_who_looks_for_a_cycle() {
    assert!(hold(bypassed).into_iter().all(|finished| finished));
}

/// A runtime that ends while operations are added, run, pause and depend on each other. Everything has an outcome.
fn ended(runtime: &Runtime, how: Shutdown) -> BTreeMap<&'static str, usize> {
    let ops = queue(runtime, "ended", 1);
    let began = Event::new();
    let begin = began.clone();
    let mut operations: Vec<Operation<()>> = vec![ops.operation("begins").run(move || begin.set())];
    operations.push(ops.operation("pauses").retry(Retry::up_to(9).pause(HOUR), |_| Err("again")));
    operations.push(ops.operation("delayed").delay(HOUR).run(|| ()));
    for place in 0..3 {
        let after = ops.operation("after").after(&operations[place]).run(|| ());
        operations.push(after);
    }
    let (more, threads, late) = (ops.clone(), runtime.global(Qos::Default), Arc::new(Mutex::new(None)));
    let place = Arc::clone(&late);
    threads.exec_async(move || *place.lock().unwrap() = Some(more.operation("late").barrier().run(|| ())));
    began.wait();
    assert!(runtime.shutdown(how).complete);
    operations.extend(late.lock().unwrap().take());
    let mut ends = BTreeMap::new();
    for operation in &operations {
        let end = match operation.outcome().unwrap_or_else(|| panic!("{operation:?} has none")) {
            Ok(_) => "finished",
            Err(OperationError::Dropped) => "dropped",
            Err(OperationError::Skipped { .. }) => "skipped",
            Err(other) => panic!("{other}"),
        };
        *ends.entry(end).or_default() += 1;
    }
    ends
}

#[test]
fn the_end_of_a_runtime_leaves_no_operation_without_an_outcome() {
    hold(|runtime| ended(runtime, Shutdown::CancelPending));
    let drained = hold(|runtime| ended(runtime, Shutdown::Drain));
    assert!(drained.iter().all(|ends| ends["finished"] >= 2), "what could run has run");
}
