//! The scenarios of libdispatch's own test suite, in less time and with exact counts.

use crate::HOUR;
use crate::Record;
use crate::finish;
use crate::let_time_pass;
use crate::millis;
use crate::now;
use crate::runtime;
use crate::wait_until;
use concourse::Event;
use concourse::Group;
use concourse::Qos;
use concourse::Source;
use concourse::source::Schedule;
use concourse::source::Timer;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// `timer`.
#[test]
fn one_shots_fire_once_and_a_repeating_timer_until_it_is_cancelled_in_its_third_call() {
    let runtime = runtime();
    let (main, global) = (runtime.serial("main"), runtime.global(Qos::Default));
    let (shots, repeats) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let start = now();
    let one_shots = [1, 2, 3, 4, 5].map(|number| {
        let (due, shots) = (start + millis(20 * number + 2), Arc::clone(&shots));
        let timer = Source::timer(&global).at(due).every(Duration::MAX).on_event(move |fires| {
            assert!(now() >= due, "early");
            shots.lock().push((number, fires));
        });
        timer.activate().unwrap()
    });
    let (called, ended, mut calls) = (Arc::clone(&repeats), Arc::clone(&repeats), 0);
    let repeating = Source::timer(&main)
        .every(millis(20))
        .on_event_with(move |timer, fires| {
            assert!(fires >= 1);
            calls += 1;
            called.lock().push("call");
            if calls == 3 {
                timer.set(Schedule::after(Duration::ZERO));
                timer.cancel();
            }
        })
        .on_cancel(move || ended.lock().push("cancelled"))
        .activate()
        .unwrap();
    wait_until(|| repeats.lock().len() >= 4 && shots.lock().len() >= 5);
    let_time_pass(&main, 5);
    assert_eq!(*repeats.lock(), ["call", "call", "call", "cancelled"]);
    let mut shots = shots.lock().clone();
    shots.sort_unstable();
    assert_eq!(shots, [(1, 1), (2, 1), (3, 1), (4, 1), (5, 1)]);
    drop((one_shots, repeating));
    finish(&runtime);
}

/// `timer_short`.
#[test]
fn a_hot_timer_coalesces_and_is_not_starved_by_hot_timers_on_a_suspended_queue() {
    const BLOCKED: usize = 2_500;
    let interval = Duration::from_micros(5);
    let runtime = runtime();
    let (queue, global) = (runtime.serial("blocked"), runtime.global(Qos::Default));
    let (registered, captured, cancels) = (Group::new(), Arc::new(()), Arc::new(AtomicU64::new(0)));
    queue.suspend().unwrap();
    let blocked: Vec<_> = (0..BLOCKED)
        .map(|_| {
            let (own, member) = (Arc::new(OnceLock::<Source<Timer>>::new()), registered.enter());
            let (slot, captured, cancels) = (Arc::clone(&own), Arc::clone(&captured), Arc::clone(&cancels));
            let builder = Source::timer(&queue).every(interval).on_registered(move || {
                own.get().unwrap().suspend().unwrap();
                drop(member);
            });
            let builder = builder.on_event(move |_| panic!("{captured:?}: it is suspended until it is cancelled"));
            let builder = builder.on_cancel(move || _ = cancels.fetch_add(1, Ordering::Relaxed));
            let timer = builder.activate().unwrap();
            slot.set(timer.clone()).unwrap();
            timer
        })
        .collect();
    queue.resume().unwrap();
    registered.wait();
    queue.suspend().unwrap();
    for timer in &blocked {
        timer.resume().unwrap();
    }
    let record = Record::new(now(), interval);
    let measured = record.timer(&global, |_| ());
    wait_until(|| record.fires() >= 40_000);
    assert!(record.calls() < record.fires(), "so many calls, and every one for itself");
    blocked.iter().for_each(Source::cancel);
    drop((blocked, measured));
    queue.resume().unwrap();
    wait_until(|| Arc::strong_count(&captured) == 1);
    wait_until(|| cancels.load(Ordering::Relaxed) == BLOCKED as u64);
    finish(&runtime);
}

/// `timer_timeout`.
#[test]
fn a_hot_timer_whose_handler_suspends_its_queue_is_called_once_and_holds_up_no_other() {
    let runtime = runtime();
    let (queue, other) = (runtime.serial("suspended"), runtime.serial("other"));
    let record = Record::new(now(), Duration::from_nanos(100));
    let (suspends, held, count) = (Arc::new(AtomicU64::new(0)), queue.clone(), 3);
    let suspended = Arc::clone(&suspends);
    let mut hot = Some(record.timer(&queue, move |_| {
        held.suspend().unwrap();
        suspended.fetch_add(1, Ordering::Relaxed);
    }));
    for call in 1..=count {
        wait_until(|| suspends.load(Ordering::Relaxed) == call);
        let_time_pass(&other, 5);
        assert_eq!(record.calls(), call);
        if call == count {
            hot = None;
        }
        record.next_call_is_later();
        queue.resume().unwrap();
    }
    wait_until(|| Arc::strong_count(&suspends) == 1);
    assert_eq!((record.calls(), hot.is_none()), (count, true));
    finish(&runtime);
}

/// `timer_bit31`, but for the size of the interval, which is a matter of arithmetic.
#[test]
fn a_first_fire_is_never_early_and_cancelling_in_the_handler_runs_the_cancel_handler_once() {
    let runtime = runtime();
    let (queue, cancels) = (runtime.serial("main"), Arc::new(AtomicU64::new(0)));
    let (asked, delay, cancelled) = (now(), millis(40), Arc::clone(&cancels));
    let builder = Source::timer(&queue).after(delay).every(delay).on_event_with(move |timer, _| {
        assert!(now() >= asked + delay && !timer.is_cancelled());
        timer.cancel();
    });
    let timer = builder.on_cancel(move || _ = cancelled.fetch_add(1, Ordering::Relaxed)).activate().unwrap();
    wait_until(|| cancels.load(Ordering::Relaxed) > 0);
    let_time_pass(&queue, 5);
    assert_eq!(cancels.load(Ordering::Relaxed), 1);
    drop(timer);
    finish(&runtime);
}

/// `timer_bit63`.
#[test]
fn an_interval_with_its_top_bit_set_fires_at_once_and_never_again() {
    let runtime = runtime();
    for interval in [Duration::from_nanos(0x8000_0000_0000_0001), Duration::MAX] {
        let (queue, fired) = (runtime.serial("main"), Arc::new(Mutex::new(Vec::new())));
        let calls = Arc::clone(&fired);
        let builder = Source::timer(&queue).every(interval).on_event(move |fires| calls.lock().push(fires));
        let timer = builder.activate().unwrap();
        let_time_pass(&queue, 10);
        wait_until(|| !fired.lock().is_empty());
        let_time_pass(&queue, 10);
        assert_eq!(*fired.lock(), [1]);
        drop(timer);
    }
    finish(&runtime);
}

/// `timer_set_time`.
#[test]
fn a_schedule_set_in_the_first_call_takes_effect_for_the_second() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let (total, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (fired, cancelled, mut calls) = (Arc::clone(&total), Arc::clone(&ended), 0);
    let builder = Source::timer(&queue).every(HOUR).on_event_with(move |timer, fires| {
        calls += 1;
        if calls == 1 {
            assert_eq!(fires, 1);
            timer.set(Schedule::after(Duration::ZERO).every(millis(4)));
        }
        if fired.fetch_add(fires, Ordering::Relaxed) + fires >= 15 {
            timer.cancel();
        }
    });
    let timer = builder.on_cancel(move || _ = cancelled.fetch_add(1, Ordering::Relaxed)).activate().unwrap();
    wait_until(|| ended.load(Ordering::Relaxed) == 1);
    assert!(total.load(Ordering::Relaxed) >= 15);
    drop(timer);
    finish(&runtime);
}

/// `drift`.
#[test]
fn a_repeating_timer_does_not_drift() {
    let runtime = runtime();
    let record = Record::new(now() + millis(10), millis(10));
    let timer = record.timer(&runtime.serial("main"), |_| ());
    wait_until(|| record.fires() >= 120);
    drop(timer);
    finish(&runtime);
}

/// `suspend_timer`.
#[test]
fn what_a_suspended_timer_misses_comes_in_one_call_and_the_phase_goes_on() {
    for by_queue in [false, true] {
        let runtime = runtime();
        let (queue, other) = (runtime.serial("main"), runtime.serial("controller"));
        let record = Record::new(now() + millis(20), millis(20));
        let (held, calls, suspended) = (queue.clone(), record.clone(), Event::new());
        let tell = suspended.clone();
        let timer = record.timer(&queue, move |timer| match calls.calls() {
            3 => {
                if by_queue {
                    held.suspend().unwrap()
                } else {
                    timer.suspend().unwrap()
                }
                tell.set();
            }
            7 => timer.cancel(),
            _ => {}
        });
        suspended.wait();
        let fires = record.fires();
        let misses = record.due(fires + 4);
        wait_until(|| now() > misses);
        let_time_pass(&other, 2);
        assert_eq!((record.calls(), record.fires()), (3, fires), "nothing comes while it is suspended");
        record.next_call_is_later();
        if by_queue {
            queue.resume().unwrap()
        } else {
            timer.resume().unwrap()
        }
        wait_until(|| record.calls() >= 4);
        assert!(record.fires() >= fires + 5, "the first call has all that was missed");
        wait_until(|| record.calls() == 7);
        let_time_pass(&queue, 10);
        assert_eq!(record.calls(), 7);
        drop(timer);
        finish(&runtime);
    }
}
