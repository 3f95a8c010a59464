//! `group`: waiting for 100 members on 100 queues of their own; using the group again; a wait of 5 s for members that
//! sleep for 7 s, and a second one that succeeds; a notification on the main queue, of a group that nobody has any
//! more; and 200,000 times a notification that has to come, while a few members leave as the group is told of it.
//!
//! Members that sleep do so at the same time, or the second wait would fail. Their times are never shortened, so
//! that a busy machine has room on both sides. Where the original picks the number of members at random, here it goes
//! through all numbers in turn.

use crate::profile::count;
use crate::profile::tolerance;
use crate::timed::GENEROUS;
use crate::timed::finish;
use crate::timed::runtime;
use concourse::Group;
use concourse::Qos;
use concourse::Queue;
use concourse::Runtime;
use concourse::WaitError;
use concourse::wait_for;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

/// A group with a member on each of `count` queues, of which nobody has a handle any more.
fn members(runtime: &Runtime, count: usize, work: impl Fn() + Clone + Send + 'static) -> Group {
    let group = Group::new();
    for _ in 0..count {
        group.exec_async(&runtime.serial("one of many"), work.clone());
    }
    group
}

/// A member's work that adds 1, and the sum.
fn counted() -> (impl Fn() + Clone + Send + 'static, Arc<AtomicUsize>) {
    let sum = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sum);
    (move || _ = counter.fetch_add(1, Ordering::Relaxed), sum)
}

#[test]
fn a_wait_ends_when_all_members_have_run_and_the_group_is_used_again() {
    let runtime = runtime();
    let (work, ran) = counted();
    let group = members(&runtime, 100, work.clone());
    for round in 0..100 {
        group.wait_timeout(GENEROUS).unwrap();
        assert_eq!((ran.load(Ordering::Relaxed), group.count()), (100 + round, 0));
        group.exec_async(&runtime.global(Qos::Default), work.clone());
    }
    group.wait_timeout(GENEROUS).unwrap();
    assert_eq!(ran.load(Ordering::Relaxed), 200);
    finish(&runtime);
}

#[test]
fn a_wait_that_timed_out_may_be_repeated_and_sleeping_members_overlap() {
    const FIVE_SECONDS: Duration = Duration::from_secs(5);
    let runtime = runtime();
    // Three members that block behind the runtime's back, on two threads.
    let group = members(&runtime, 3, || thread::sleep(Duration::from_secs(7)));
    assert_eq!(group.wait_timeout(FIVE_SECONDS), Err(WaitError::TimedOut { after: FIVE_SECONDS }));
    assert_eq!(group.count(), 3);
    assert_eq!(group.wait_timeout(FIVE_SECONDS), Ok(()));
    finish(&runtime);
}

#[test]
fn a_notification_comes_on_its_own_queue_after_all_members_of_a_group_that_nobody_has() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let (work, ran) = counted();
    for round in 1..=20 {
        let group = members(&runtime, 100, work.clone());
        let told = wait_for(GENEROUS, |done| {
            let ran = Arc::clone(&ran);
            group.notify(&queue, move || drop(done.send((Queue::current(), ran.load(Ordering::Relaxed)))));
            drop(group);
        });
        assert_eq!(told, Ok((Some(queue.clone()), 100 * round)));
    }
    finish(&runtime);
}

#[test]
fn no_notification_is_lost_while_members_leave() {
    let runtime = runtime();
    let notified = runtime.serial("notify");
    let (tested, completed) = (Group::new(), Arc::new(AtomicUsize::new(0)));
    // The queues of one cycle go in the next.
    let mut queues = Vec::new();
    for cycle in 1..=count(20_000, 200_000) {
        let member = tested.enter();
        let group = Group::new();
        group.enter_raw();
        let fresh: Vec<_> = (0..1 + cycle % 8).map(|number| runtime.serial(&format!("T{cycle}-{number}"))).collect();
        for queue in &fresh {
            group.exec_async(queue, move || _ = black_box((black_box(cycle) as f64).recip().sin()));
        }
        group.leave_raw().unwrap();
        let last = Arc::clone(&completed);
        group.notify(&notified, move || {
            last.store(cycle, Ordering::Relaxed);
            drop(member);
        });
        queues = fresh;
        drop(group);
        tested.wait_timeout(tolerance(Duration::from_secs(1))).unwrap_or_else(|_| panic!("in cycle {cycle}"));
        assert_eq!(completed.load(Ordering::Relaxed), cycle);
    }
    drop(queues);
    finish(&runtime);
}
