//! How a simulation ends: with a value, a panic, too many steps, or a shutdown of its own.

use super::seeds;
use concourse::sim::{Cause, Failure};
use concourse::{
    BuildError, Clock, Deadline, Dispatch, Event, Group, Qos, Runtime, RuntimeError, Semaphore, Shutdown, Sim,
};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn a_panic_of_the_program_is_a_failure_with_its_seed() {
    let failure = Sim::seeded(7).run(|_| panic!("no {}", "good")).map(|never: ()| never).unwrap_err();
    let text = failure.to_string();
    assert!(text.starts_with("with seed 7: the program panicked at tests/sim/endings.rs:"), "{text}");
    assert!(text.ends_with(": no good"), "{text}");
}

#[test]
fn a_panic_in_a_job_goes_to_the_hook_and_the_queue_goes_on() {
    let messages = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&messages);
    let hooked = Runtime::builder()
        .on_panic(move |report| heard.lock().unwrap().push(format!("{}: {}", report.label, report.message)));
    let panics = Sim::seeded(7).runtime(hooked).run(|runtime| {
        let queue = runtime.serial("fragile");
        queue.exec_async(|| panic!("in a queue"));
        queue.exec_sync(|| ());
        runtime.global(Qos::Default).exec_async(|| panic!("alone"));
        runtime.shutdown(Shutdown::Drain).panics
    });
    assert_eq!(panics.unwrap(), 2);
    assert_eq!(*messages.lock().unwrap(), ["fragile: in a queue", "global: alone"]);
}

#[test]
fn a_program_that_goes_round_in_circles_is_stopped() {
    let circles = |runtime: &Runtime| {
        let queue = runtime.serial("circle");
        let until = Deadline::now(Clock::Monotonic) + HOUR;
        while Deadline::now(Clock::Monotonic) < until {
            queue.exec_sync(|| ());
        }
    };
    let failure = Sim::seeded(0).max_steps(1_000).run(circles).unwrap_err();
    assert!(matches!(failure, Failure { seed: 0, cause: Cause::TooManySteps { steps: 1_000 }, .. }), "{failure}");
}

#[test]
fn a_runtime_that_cannot_be_built_is_a_failure() {
    let none = Runtime::builder().threads(0);
    let failure = Sim::seeded(0).runtime(none).run(|_| ()).unwrap_err();
    assert!(matches!(failure.cause, Cause::Runtime(RuntimeError::ZeroThreads)), "{failure}");
}

#[test]
fn a_drain_runs_what_was_accepted_and_drops_what_waits_for_its_time() {
    for seed in seeds() {
        let (ran, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (count, losses) = (Arc::clone(&ran), Arc::clone(&dropped));
        let hooked = Runtime::builder().on_dropped(move |_| _ = losses.fetch_add(1, Ordering::SeqCst));
        let report = Sim::seeded(seed).runtime(hooked).run(move |runtime| {
            let (queue, all) = (runtime.serial("queue"), runtime.concurrent("all"));
            for _ in 0..3 {
                let (count, other) = (Arc::clone(&count), Arc::clone(&count));
                queue.exec_async(move || _ = count.fetch_add(1, Ordering::SeqCst));
                all.exec_async(move || _ = other.fetch_add(1, Ordering::SeqCst));
            }
            let _ = queue.after(HOUR, || unreachable!("the runtime ends before")).unwrap();
            let report = runtime.shutdown(Shutdown::Drain.within(HOUR));
            assert!(queue.try_exec_async(|| ()).is_err());
            assert!(matches!(runtime.queue("late").build(), Err(BuildError::ShutDown { .. })));
            report
        });
        let report = report.unwrap_or_else(|failure| panic!("{failure}"));
        assert!(report.complete, "seed {seed}: {report:?}");
        assert_eq!((ran.load(Ordering::SeqCst), report.dropped, dropped.load(Ordering::SeqCst)), (6, 1, 1));
    }
}

#[test]
fn a_drain_makes_every_call_that_was_registered_before_it() {
    for seed in seeds() {
        let called = Arc::new(AtomicUsize::new(0));
        let calls = Arc::clone(&called);
        let report = Sim::seeded(seed).run(move |runtime| {
            let (work, group) = (runtime.global(Qos::Utility), Group::new());
            let homes = [runtime.serial("serial"), runtime.concurrent("concurrent")];
            for home in &homes {
                let (told, notified) = (Arc::clone(&calls), Arc::clone(&calls));
                work.submit(|| ()).on_complete(home, move |_| _ = told.fetch_add(1, Ordering::SeqCst));
                group.exec_async(&work, || ());
                group.notify(home, move || _ = notified.fetch_add(1, Ordering::SeqCst));
            }
            runtime.shutdown(Shutdown::Drain.within(HOUR))
        });
        let report = report.unwrap_or_else(|failure| panic!("{failure}"));
        assert!(report.complete, "seed {seed}: {report:?}");
        assert_eq!((called.load(Ordering::SeqCst), report.rejected), (4, 0), "seed {seed}: {report:?}");
    }
}

#[test]
fn a_cancelling_shutdown_runs_or_drops_every_job() {
    for seed in seeds() {
        let ran = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&ran);
        let report = Sim::seeded(seed).run(move |runtime| {
            let queue = runtime.serial("queue");
            for _ in 0..4 {
                let (count, other) = (Arc::clone(&count), Arc::clone(&count));
                queue.exec_async(move || _ = count.fetch_add(1, Ordering::SeqCst));
                runtime.global(Qos::Utility).exec_async(move || _ = other.fetch_add(1, Ordering::SeqCst));
            }
            runtime.shutdown(Shutdown::CancelPending)
        });
        let report = report.unwrap_or_else(|failure| panic!("{failure}"));
        assert!(report.complete, "seed {seed}: {report:?}");
        assert_eq!(ran.load(Ordering::SeqCst) as u64 + report.dropped, 8, "seed {seed}");
    }
}

#[test]
fn a_cancelling_shutdown_leaves_no_job_to_a_serial_queue_that_is_suspended() {
    for seed in seeds() {
        let report = Sim::seeded(seed).run(|runtime| {
            let queue = runtime.serial("suspended");
            queue.suspend().unwrap();
            for _ in 0..3 {
                let queue = queue.clone();
                runtime.global(Qos::Utility).exec_async(move || queue.exec_async(|| unreachable!("it is suspended")));
            }
            runtime.shutdown(Shutdown::CancelPending)
        });
        let report = report.unwrap_or_else(|failure| panic!("{failure}"));
        assert!(report.complete, "seed {seed}: {report:?}");
        assert_eq!(report.dropped + report.rejected, 3, "seed {seed}: {report:?}");
    }
}

#[test]
fn a_shutdown_waits_for_a_blocked_job_in_virtual_time_only() {
    let report = Sim::seeded(1).run(|runtime| {
        let (started, release) = (Event::new(), Semaphore::new(0));
        let (tell, wait) = (started.clone(), release.clone());
        runtime.serial("slow").exec_async(move || {
            tell.set();
            wait.wait();
        });
        started.wait();
        let start = Deadline::now(Clock::Monotonic);
        let report = runtime.shutdown(Shutdown::Drain.within(HOUR));
        assert_eq!(Deadline::now(Clock::Monotonic), start + HOUR);
        release.signal();
        report
    });
    let report = report.unwrap();
    assert_eq!((report.complete, report.still_running), (false, 1));
}

#[test]
fn blocked_workers_are_replaced_up_to_the_limit() {
    let limited = Runtime::builder().threads(1).max_threads(3);
    let statistics = Sim::seeded(11).runtime(limited).run(|runtime| {
        let (jobs, release, arrived) = (runtime.global(Qos::Default), Semaphore::new(0), Group::new());
        let here = Semaphore::new(0);
        for _ in 0..3 {
            let (release, here) = (release.clone(), here.clone());
            arrived.exec_async(&jobs, move || {
                here.signal();
                release.wait();
            });
        }
        (0..3).for_each(|_| here.wait());
        let statistics = runtime.statistics();
        (0..3).for_each(|_| _ = release.signal());
        arrived.wait();
        statistics
    });
    let statistics = statistics.unwrap();
    assert_eq!((statistics.threads, statistics.started, statistics.limit), (3, 3, 1), "{statistics:?}");
    assert!(statistics.blocked >= 2, "{statistics:?}");
}

#[test]
fn a_thread_of_ones_own_is_turned_away() {
    let turned_away = Sim::seeded(0).run(|runtime| {
        let queue = runtime.serial("inside");
        std::thread::spawn(move || queue.exec_async(|| ())).join().is_err()
    });
    assert!(turned_away.unwrap());
}
