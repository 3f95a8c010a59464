//! How timers end, and what is left of them: nothing.

use crate::let_time_pass;
use crate::timed::GENEROUS;
use crate::timed::HOUR;
use crate::timed::finish;
use crate::timed::millis;
use crate::timed::runtime;
use crate::timed::wait_until;
use concourse::Runtime;
use concourse::Shutdown;
use concourse::Source;
use concourse::source::Schedule;
use concourse::source::Timer;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

/// Counts how often it is checked or dropped on the event loop's thread.
struct NotOnTheLoop(Arc<AtomicU64>);

impl NotOnTheLoop {
    fn check(&self) {
        if thread::current().name().is_some_and(|name| name.ends_with("-events")) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for NotOnTheLoop {
    fn drop(&mut self) {
        self.check();
    }
}

#[test]
fn a_timer_that_was_cancelled_cannot_be_set_again() {
    let runtime = runtime();
    let (queue, cancelled, calls) = (runtime.serial("main"), Arc::new(AtomicBool::new(false)), Arc::new(()));
    let (ended, captured) = (Arc::clone(&cancelled), Arc::clone(&calls));
    let builder = Source::timer(&queue).after(HOUR).on_event(move |_| panic!("{captured:?}: it was cancelled"));
    let timer = builder.on_cancel(move || assert!(!ended.swap(true, Ordering::Relaxed))).activate().unwrap();
    timer.cancel();
    timer.set(Schedule::after(Duration::ZERO).every(millis(1))).unwrap();
    wait_until(|| cancelled.load(Ordering::Relaxed));
    timer.set(Schedule::after(Duration::ZERO).every(millis(1))).unwrap();
    let_time_pass(&queue, 5);
    assert_eq!(Arc::strong_count(&calls), 1);
    finish(&runtime);
}

#[test]
fn dropping_the_last_handle_ends_a_timer_silently_whatever_it_waits_for() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    for schedule in
        [Schedule::after(HOUR), Schedule::after(Duration::ZERO).every(Duration::from_nanos(1)), Schedule::never()]
    {
        for suspended in [false, true] {
            let captured = Arc::new(());
            let (event, cancel) = (Arc::clone(&captured), Arc::clone(&captured));
            let builder = Source::timer(&queue).after(HOUR).on_event(move |_| _ = &event);
            let timer = builder.on_cancel(move || panic!("{cancel:?}: nobody cancelled it")).activate().unwrap();
            timer.set(schedule).unwrap();
            if suspended {
                timer.suspend().unwrap();
            }
            let handle = timer.handle().clone();
            drop(timer);
            wait_until(|| Arc::strong_count(&captured) == 1);
            assert!(handle.has_ended());
        }
    }
    finish(&runtime);
}

#[test]
fn a_builder_that_is_dropped_arms_nothing() {
    let runtime = runtime();
    let captured = Arc::new(());
    let event = Arc::clone(&captured);
    let builder = Source::timer(&runtime.serial("main")).on_event(move |_| panic!("{event:?}: it is not active"));
    let handle = builder.handle();
    drop(builder);
    assert!(handle.has_ended());
    assert_eq!((Arc::strong_count(&captured), runtime.statistics().event_loop_wakeups), (1, 0));
    finish(&runtime);
}

#[test]
fn timers_are_quiet_after_their_runtime_and_leave_nothing() {
    for how in [Shutdown::Drain, Shutdown::CancelPending] {
        let runtime = runtime();
        let (queue, captured, calls) = (runtime.serial("main"), Arc::new(()), Arc::new(AtomicU64::new(0)));
        let timers = [HOUR, Duration::ZERO, millis(1)].map(|delay| {
            let (captured, calls) = (Arc::clone(&captured), Arc::clone(&calls));
            let builder =
                Source::timer(&queue).after(delay).every(delay.max(Duration::from_nanos(1))).on_event(move |_| {
                    let _captured = &captured;
                    calls.fetch_add(1, Ordering::Relaxed);
                });
            builder.on_cancel(|| panic!("nobody cancelled it")).activate().unwrap()
        });
        wait_until(|| calls.load(Ordering::Relaxed) > 10);
        let report = runtime.shutdown(how.within(GENEROUS));
        assert!(report.complete && report.panics == 0, "{report:?}");
        let at_the_end = calls.load(Ordering::Relaxed);
        for timer in timers {
            timer.set(Schedule::after(Duration::ZERO)).unwrap();
            drop(timer);
        }
        assert_eq!(Arc::strong_count(&captured), 1);
        assert_eq!(calls.load(Ordering::Relaxed), at_the_end);
    }
}

#[test]
fn a_timer_that_comes_after_the_runtimes_end_has_ended() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    drop(runtime);
    let captured = Arc::new(());
    let event = Arc::clone(&captured);
    let builder = Source::timer(&queue).on_event(move |_| panic!("{event:?}: there is no thread to run it"));
    let timer = builder.activate().unwrap();
    assert!(timer.handle().has_ended());
    timer.set(Schedule::after(Duration::ZERO)).unwrap();
    assert_eq!(Arc::strong_count(&captured), 1);
}

#[test]
fn the_event_loops_thread_runs_and_drops_nothing_of_the_users() {
    let breaches = Arc::new(AtomicU64::new(0));
    let watch = || NotOnTheLoop(Arc::clone(&breaches));
    let (refused, runtime) = (watch(), Runtime::builder().threads(2).name("timed"));
    let runtime = runtime.on_rejected(move |_| refused.check()).build().unwrap();
    for round in 0..300 {
        let (queue, captures) = (runtime.concurrent("main"), [watch(), watch(), watch()]);
        let [registered, event, cancelled] = captures;
        let timer = Source::timer(&queue)
            .every(Duration::from_nanos(100))
            .on_registered(move || registered.check())
            .on_event(move |_| event.check())
            .on_cancel(move || cancelled.check())
            .activate()
            .unwrap();
        if round % 3 == 0 {
            // The source has the last handle of a suspended queue, whose jobs go with it.
            let pending = watch();
            queue.suspend().unwrap();
            queue.exec_async(move || pending.check());
        }
        drop(queue);
        match round % 4 {
            0 => thread::yield_now(),
            1 => timer.cancel(),
            2 => timer.cancel_now(),
            _ => {}
        }
        drop(timer);
    }
    let queue = runtime.serial("to the end");
    let timers: Vec<Source<Timer>> = (0..100)
        .map(|_| {
            let event = watch();
            let builder = Source::timer(&queue).every(Duration::from_micros(1)).on_event(move |_| event.check());
            builder.activate().unwrap()
        })
        .collect();
    assert_eq!(runtime.shutdown(Shutdown::CancelPending.within(GENEROUS)).panics, 0);
    drop((timers, queue, runtime));
    assert_eq!(breaches.load(Ordering::Relaxed), 0);
    assert_eq!(Arc::strong_count(&breaches), 1, "nothing is left");
}
