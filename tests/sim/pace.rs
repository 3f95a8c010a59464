//! Paced sources in virtual time, where every call comes to the nanosecond.

use super::hold;
use concourse::source::{Edge, Paced, SourceBuilder};
use concourse::{Clock, Deadline, Event, Qos, Runtime, Semaphore, Shutdown, Sim, Source};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);
const MS: Duration = Duration::from_millis(1);

/// The calls of a handler: how many milliseconds after the start each came, and what it was given.
#[derive(Clone)]
struct Calls(Deadline, Arc<Mutex<Vec<(u32, u64)>>>);

impl Calls {
    fn from_now() -> Self {
        Self(now(), Arc::default())
    }

    /// The present time, which has to be a whole number of milliseconds.
    fn time(&self) -> u32 {
        let now = now();
        (0..).find(|ms| self.0 + *ms * MS >= now).filter(|ms| self.0 + *ms * MS == now).expect("between two times")
    }

    fn take(&self) -> Vec<(u32, u64)> {
        std::mem::take(&mut self.1.lock().unwrap())
    }

    fn handler(&self) -> impl FnMut(u64) + Send + 'static {
        let calls = self.clone();
        move |value| calls.1.lock().unwrap().push((calls.time(), value))
    }

    /// Sleeps until `ms` have passed since the start.
    fn sleep_until(&self, ms: u32) {
        let passed = self.time();
        assert!(Semaphore::new(0).wait_timeout((ms - passed) * MS).is_err());
    }
}

fn now() -> Deadline {
    Deadline::now(Clock::Monotonic)
}

type Describe = fn(SourceBuilder) -> SourceBuilder<concourse::source::Add, Paced>;

/// The events of the pictures in the documentation, in milliseconds.
const MERGES: [u32; 6] = [0, 2, 4, 8, 13, 34];

/// The calls that these events lead to.
fn calls(runtime: &Runtime, describe: Describe) -> Vec<(u32, u64)> {
    let calls = Calls::from_now();
    let source = describe(Source::add(&runtime.serial("paced"))).on_event(calls.handler()).activate().unwrap();
    for ms in MERGES {
        calls.sleep_until(ms);
        source.merge(1);
    }
    calls.sleep_until(100);
    calls.take()
}

#[test]
fn the_calls_of_a_throttle_come_to_the_nanosecond() {
    hold(|runtime| {
        let throttled = |describe| calls(runtime, describe);
        assert_eq!(throttled(|builder| builder.throttle(10 * MS)), [(0, 1), (10, 3), (20, 1), (34, 1)]);
        let leading = throttled(|builder| builder.throttle(10 * MS).edge(Edge::Leading));
        assert_eq!(leading, [(0, 1), (13, 4), (34, 1)]);
        let trailing = throttled(|builder| builder.throttle(10 * MS).edge(Edge::Trailing));
        assert_eq!(trailing, [(10, 4), (20, 1), (44, 1)]);
        let bounded = throttled(|builder| builder.throttle(10 * MS).edge(Edge::Leading).max_delay(7 * MS));
        assert_eq!(bounded, [(0, 1), (9, 3), (20, 1), (34, 1)]);
    });
}

#[test]
fn the_calls_of_a_debounce_come_to_the_nanosecond() {
    hold(|runtime| {
        let debounced = |describe| calls(runtime, describe);
        assert_eq!(debounced(|builder| builder.debounce(10 * MS)), [(23, 5), (44, 1)]);
        let leading = debounced(|builder| builder.debounce(10 * MS).edge(Edge::Leading));
        assert_eq!(leading, [(0, 1), (34, 5)]);
        let both = debounced(|builder| builder.debounce(10 * MS).edge(Edge::Both));
        assert_eq!(both, [(0, 1), (23, 4), (34, 1)]);
        let bounded = debounced(|builder| builder.debounce(10 * MS).max_delay(7 * MS));
        assert_eq!(bounded, [(7, 3), (15, 2), (41, 1)]);
    });
}

#[test]
fn a_debounced_timer_fires_once_for_all_merges_that_made_its_period_longer() {
    hold(|runtime| {
        let calls = Calls::from_now();
        let builder = Source::add(&runtime.serial("paced")).debounce(10 * MS);
        let source = builder.on_event(calls.handler()).activate().unwrap();
        for ms in 0..100 {
            calls.sleep_until(ms);
            source.merge(1);
        }
        calls.sleep_until(200);
        assert_eq!(calls.take(), [(109, 100)]);
        // Every tenth, when a period would have been over, and the one in the end.
        assert!(runtime.statistics().event_loop_wakeups <= 12, "{:?}", runtime.statistics());
    });
}

#[test]
fn a_throttled_timer_counts_what_it_missed() {
    hold(|runtime| {
        let calls = Calls::from_now();
        let builder = Source::timer(&runtime.serial("paced")).after(MS).every(MS).throttle(10 * MS);
        let timer = builder.on_event(calls.handler()).activate().unwrap();
        calls.sleep_until(35);
        timer.cancel();
        assert_eq!(calls.take(), [(1, 1), (11, 10), (21, 10), (31, 10)]);
    });
}

#[test]
fn time_goes_on_while_a_source_is_suspended() {
    hold(|runtime| {
        let calls = Calls::from_now();
        let builder = Source::add(&runtime.serial("paced")).debounce(10 * MS);
        let source = builder.on_event(calls.handler()).activate().unwrap();
        source.merge(1);
        calls.sleep_until(3);
        source.suspend().unwrap();
        calls.sleep_until(6);
        source.resume().unwrap();
        calls.sleep_until(12);
        source.merge(1);
        source.suspend().unwrap();
        calls.sleep_until(15);
        source.merge(1);
        calls.sleep_until(50);
        source.resume().unwrap();
        calls.sleep_until(60);
        source.merge(1);
        calls.sleep_until(100);
        assert_eq!(calls.take(), [(10, 1), (50, 2), (70, 1)]);
    });
}

#[test]
fn a_slow_handler_does_not_bring_calls_closer_than_their_period() {
    hold(|runtime| {
        let calls = Calls::from_now();
        let (mut handler, stall) = (calls.handler(), Semaphore::new(0));
        let builder = Source::add(&runtime.serial("paced")).throttle(10 * MS);
        let builder = builder.on_event(move |value| {
            handler(value);
            assert!(stall.wait_timeout(if value == 1 { 4 * MS } else { 14 * MS }).is_err());
        });
        let source = builder.activate().unwrap();
        for ms in [0, 2, 3, 12, 25, 26, 27] {
            calls.sleep_until(ms);
            source.merge(1);
        }
        calls.sleep_until(100);
        assert_eq!(calls.take(), [(0, 1), (10, 2), (24, 1), (34, 3)]);
    });
}

#[test]
fn what_was_merged_before_the_activation_counts_from_there_and_the_registration_waits_for_nothing() {
    hold(|runtime| {
        let calls = Calls::from_now();
        let mut registered = calls.handler();
        let builder = Source::add(&runtime.serial("paced")).on_registered(move || registered(0));
        builder.handle().merge(1);
        calls.sleep_until(5);
        let source = builder.debounce(10 * MS).on_event(calls.handler()).activate().unwrap();
        calls.sleep_until(50);
        assert_eq!(calls.take(), [(5, 0), (15, 1)]);
        drop(source);
    });
}

#[test]
fn a_source_that_is_cancelled_while_its_turn_is_scheduled_ends_at_once() {
    hold(|runtime| {
        let (start, ended) = (now(), Event::new());
        let tell = ended.clone();
        let builder = Source::add(&runtime.serial("paced")).debounce(HOUR);
        let builder = builder.on_cancel(move || {
            assert_eq!(now(), start);
            tell.set();
        });
        let source = builder.on_event(|_| panic!("it is cancelled")).activate().unwrap();
        let handle = source.handle().clone();
        runtime.global(Qos::Default).exec_async(move || _ = handle.merge(1));
        source.cancel();
        ended.wait_timeout(HOUR).expect("an end");
    });
}

#[test]
fn a_drain_delivers_at_once_what_is_being_held_back_and_nothing_else_does() {
    fn program(runtime: &Runtime, how: Shutdown) -> Vec<(u32, u64)> {
        let calls = Calls::from_now();
        let builder = Source::add(&runtime.serial("paced")).debounce(HOUR).max_delay(HOUR);
        let source = builder.on_event(calls.handler()).activate().unwrap();
        source.merge(1);
        source.merge(2);
        let report = runtime.shutdown(how);
        assert_eq!((report.complete, report.dropped, report.rejected), (true, 0, 0));
        drop(source);
        calls.take()
    }
    let drained = hold(|runtime| program(runtime, Shutdown::Drain));
    assert!(drained.iter().all(|calls| *calls == [(0, 3)]), "{drained:?}");
    let cancelled = hold(|runtime| program(runtime, Shutdown::CancelPending));
    assert!(cancelled.iter().all(Vec::is_empty));
}

#[test]
fn no_unit_is_lost_and_no_period_is_cut_short_by_mergers_and_suspensions() {
    fn program(runtime: &Runtime, describe: Describe, at_most_one: bool) {
        let calls = Calls::from_now();
        let (total, mut before) = (Arc::new(AtomicU64::new(0)), None);
        let sum = Arc::clone(&total);
        let builder = describe(Source::add(&runtime.concurrent("paced"))).on_event(move |value| {
            let call = now();
            assert!(!at_most_one || before.is_none_or(|before| call >= before + 10 * MS), "two calls in one period");
            before = Some(call);
            sum.fetch_add(value, Ordering::Relaxed);
        });
        let source = builder.activate().unwrap();
        let done = Semaphore::new(0);
        for merger in 0..3 {
            let (source, done, calls) = (source.clone(), done.clone(), calls.clone());
            runtime.global(Qos::Default).exec_async(move || {
                for ms in [merger, 5 + 3 * merger, 20, 21 + 12 * merger] {
                    if calls.time() < ms {
                        calls.sleep_until(ms);
                    }
                    let suspended = (merger == 2).then(|| source.suspend_guard().unwrap());
                    source.merge(1);
                    drop(suspended);
                }
                done.signal();
            });
        }
        (0..3).for_each(|_| done.wait());
        calls.sleep_until(200);
        assert_eq!(runtime.shutdown(Shutdown::Drain).panics, 0);
        drop(source);
        assert_eq!(total.load(Ordering::Relaxed), 12);
    }
    hold(|runtime| program(runtime, |builder| builder.throttle(10 * MS), true));
    hold(|runtime| program(runtime, |builder| builder.throttle(10 * MS).edge(Edge::Trailing), true));
    hold(|runtime| program(runtime, |builder| builder.throttle(10 * MS).edge(Edge::Leading), true));
    hold(|runtime| program(runtime, |builder| builder.debounce(5 * MS), false));
    hold(|runtime| program(runtime, |builder| builder.debounce(5 * MS).edge(Edge::Both).max_delay(8 * MS), false));
}

#[test]
fn a_suspended_paced_source_takes_no_steps() {
    let idle = |hours: u32| {
        let program = move |runtime: &Runtime| {
            let builder = Source::add(&runtime.serial("paced")).debounce(MS).max_delay(2 * MS);
            let source = builder.on_event(|_| panic!("it is suspended")).activate().unwrap();
            source.merge(1);
            source.suspend().unwrap();
            source.merge(1);
            assert!(Semaphore::new(0).wait_timeout(hours * HOUR).is_err());
        };
        let (result, trace) = Sim::seeded(1).record(program);
        result.unwrap();
        trace.steps.len()
    };
    assert_eq!(idle(1), idle(10_000));
}
