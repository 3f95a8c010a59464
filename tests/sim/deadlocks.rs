//! What waits for ever is reported, with what it waits for.

use super::deadlock;
use concourse::sim::Cause;
use concourse::{Event, Group, Qos, Runtime, Semaphore, Sim};
use std::time::Duration;

/// Two jobs call from one queue onto the other, each from another side.
fn crossing(runtime: &Runtime) {
    let (a, b, group) = (runtime.serial("a"), runtime.serial("b"), Group::new());
    for (first, second) in [(a.clone(), b.clone()), (b, a)] {
        group.exec_async(&runtime.global(Qos::Default), move || first.exec_sync(|| second.exec_sync(|| ())));
    }
    group.wait();
}

#[test]
fn a_cycle_of_sync_calls_is_named() {
    let (seed, found) = deadlock(crossing);
    let mut cycle = found.cycle.clone();
    assert_eq!(cycle.pop().as_ref(), cycle.first(), "the first again at the end");
    cycle.sort();
    assert_eq!(cycle, ["a", "b"]);
    let text = found.to_string();
    assert!(text.contains("waits for its turn on queue \"a\" (it holds b)"), "{text}");
    assert!(text.contains("waits for its turn on queue \"b\" (it holds a)"), "{text}");
    assert!(text.contains("program waits for a group's last member"), "{text}");
    assert_eq!(found.waiting.len(), 3, "{text}");
    let again = Sim::seeded(seed).run(crossing).unwrap_err();
    assert_eq!(again.to_string(), format!("with seed {seed}: {text}"));
}

#[test]
fn a_semaphore_that_nobody_signals_is_reported() {
    let (seed, found) = deadlock(|_| Semaphore::new(0).wait());
    assert_eq!((seed, found.waiting.len(), found.queued), (0, 1, 0), "every seed finds it");
    assert_eq!(found.cycle, [""; 0]);
    assert_eq!((&*found.waiting[0].name, &*found.waiting[0].reason), ("program", "a semaphore's permit"));
}

#[test]
fn a_job_that_outlives_the_program_in_a_wait_is_reported() {
    let (_, found) = deadlock(|runtime| {
        let started = Event::new();
        let tell = started.clone();
        runtime.serial("hopeless").exec_async(move || {
            tell.set();
            Event::new().wait();
        });
        started.wait();
    });
    assert_eq!(found.waiting.len(), 1);
    assert_eq!((&*found.waiting[0].name, &*found.waiting[0].reason), ("concourse-0", "an event"));
}

#[test]
fn jobs_that_wait_for_jobs_at_the_limit_of_threads_are_reported() {
    let full = Runtime::builder().threads(1).max_threads(2);
    let failure = Sim::seeded(5).runtime(full).run(|runtime| {
        let (jobs, done) = (runtime.global(Qos::Default), Semaphore::new(0));
        for _ in 0..3 {
            let done = done.clone();
            jobs.exec_async(move || done.wait());
        }
        let done = done.clone();
        jobs.exec_async(move || _ = done.signal());
        // The jobs are submitted; the runtime's end would drop what has not begun.
        Event::new().wait();
    });
    let Err(failure) = failure else { panic!("the program waits for ever") };
    let Cause::Deadlock(found) = failure.cause else { panic!("{failure}") };
    assert_eq!(found.waiting[0].name, "program");
    assert!(found.waiting.len() <= 3, "two workers at the most: {found}");
}

#[test]
fn a_wait_that_times_out_is_no_deadlock() {
    let waited = Sim::seeded(9).run(|_| Semaphore::new(0).wait_timeout(Duration::from_secs(1)).is_err());
    assert!(waited.unwrap());
}
