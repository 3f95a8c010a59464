//! What schedules do to timers that run.

use crate::let_time_pass;
use crate::timed::GENEROUS;
use crate::timed::HOUR;
use crate::timed::Record;
use crate::timed::finish;
use crate::timed::millis;
use crate::timed::now;
use crate::timed::runtime;
use crate::timed::wait_until;
use concourse::Clock;
use concourse::Deadline;
use concourse::Dispatch;
use concourse::Event;
use concourse::Qos;
use concourse::Source;
use concourse::source::Schedule;
use concourse::source::Timer;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

/// What the handler of a timer was given.
type Fires = Arc<Mutex<Vec<u64>>>;

/// A timer with `schedule`, and what its handler is given.
fn timer(queue: &impl Dispatch, schedule: Schedule) -> (Source<Timer>, Fires) {
    let fires = Fires::default();
    let handler = Arc::clone(&fires);
    let builder = Source::timer(queue).after(HOUR).on_event(move |fires| handler.lock().push(fires));
    let timer = builder.activate().unwrap();
    timer.set(schedule).unwrap();
    (timer, fires)
}

#[test]
fn a_timer_without_an_interval_fires_once_and_can_be_set_again() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let (timer, fires) = timer(&queue, Schedule::after(millis(2)));
    for call in 1..4 {
        wait_until(|| fires.lock().len() >= call);
        let_time_pass(&queue, 5);
        assert_eq!(*fires.lock(), vec![1; call]);
        timer.set(Schedule::after(millis(2))).unwrap();
    }
    finish(&runtime);
}

#[test]
fn no_time_is_early_on_any_clock() {
    let runtime = runtime();
    for clock in [Clock::Monotonic, Clock::Boottime, Clock::Wall] {
        let (queue, called) = (runtime.serial("main"), Event::new());
        let (due, tell) = (Deadline::now(clock) + millis(10), called.clone());
        let handler = move |fires| {
            assert!(fires == 1 && Deadline::now(clock) >= due);
            tell.set();
        };
        let by_delay = Source::timer(&queue).clock(clock).after(millis(10)).on_event(handler.clone()).activate();
        called.wait();
        called.reset();
        let by_deadline = Source::timer(&queue).at(due).on_event(handler).activate();
        called.wait();
        drop((by_delay.unwrap(), by_deadline.unwrap()));
    }
    let (queue, called) = (runtime.serial("main"), Event::new());
    let (instant, time, tell) = (Instant::now() + millis(10), SystemTime::now() + millis(20), called.clone());
    let timer = Source::timer(&queue).at(instant).on_event_with(move |timer, _| {
        assert!(Instant::now() >= instant);
        if SystemTime::now() < time {
            return timer.set(Schedule::at(time)).unwrap();
        }
        tell.set();
    });
    let timer = timer.activate().unwrap();
    called.wait();
    drop(timer);
    finish(&runtime);
}

#[test]
fn times_that_pass_while_the_handler_runs_come_in_one_call() {
    let runtime = runtime();
    let (record, slow) = (Record::new(now(), millis(2)), millis(9));
    let timer = record.timer(&runtime.serial("main"), move |_| thread::sleep(slow));
    wait_until(|| record.calls() >= 10);
    assert!(record.fires() > 9 * 4, "four and more for each call but the first: {}", record.fires());
    drop(timer);
    finish(&runtime);
}

#[test]
fn a_deadline_that_has_passed_is_due_with_all_its_repetitions() {
    let runtime = runtime();
    let (queue, start) = (runtime.serial("main"), now() - millis(1000));
    let (timer, fires) = timer(&queue, Schedule::at(start).every(millis(400)));
    wait_until(|| !fires.lock().is_empty());
    let first = fires.lock()[0];
    assert!(first >= 3 && start + millis(400) * u32::try_from(first - 1).unwrap() <= now(), "{first}");
    drop(timer);
    finish(&runtime);
}

#[test]
fn setting_a_schedule_drops_the_times_that_were_not_delivered() {
    let runtime = runtime();
    let (queue, other) = (runtime.serial("main"), runtime.serial("other"));
    for by_queue in [false, true] {
        let (timer, fires) = timer(&queue, Schedule::never());
        if by_queue {
            queue.suspend().unwrap()
        } else {
            timer.suspend().unwrap()
        }
        timer.set(Schedule::after(Duration::ZERO).every(millis(1))).unwrap();
        let_time_pass(&other, 3);
        timer.set(Schedule::never()).unwrap();
        if by_queue {
            queue.resume().unwrap()
        } else {
            timer.resume().unwrap()
        }
        let_time_pass(&queue, 3);
        assert!(fires.lock().is_empty(), "{fires:?}");
        timer.set(Schedule::after(Duration::ZERO)).unwrap();
        wait_until(|| !fires.lock().is_empty());
        assert_eq!(*fires.lock(), [1]);
    }
    finish(&runtime);
}

#[test]
fn a_timer_with_an_interval_of_a_nanosecond_can_be_steered() {
    let runtime = runtime();
    let start = now();
    let (total, ended) = (Arc::new(AtomicU64::new(0)), Event::new());
    let (counted, tell) = (Arc::clone(&total), ended.clone());
    let builder = Source::timer(&runtime.serial("main")).at(start).every(Duration::from_nanos(1));
    let builder = builder.on_event_with(move |timer, fires| {
        let total = counted.fetch_add(fires, Ordering::Relaxed) + fires;
        assert!(start + Duration::from_nanos(total - 1) <= now(), "more fires than nanoseconds");
        if total > 1_000_000 {
            timer.cancel();
        }
    });
    let timer = builder.on_cancel(move || tell.set()).activate().unwrap();
    ended.wait();
    assert!(total.load(Ordering::Relaxed) > 1_000_000);
    drop(timer);
    finish(&runtime);
}

#[test]
fn leeway_lets_a_timer_wait_for_the_wake_up_of_another() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let deadline = Instant::now() + GENEROUS;
    // On a busy machine the first may be due before the second is there: then they try again.
    while runtime.statistics().timer_wakeups_saved == 0 {
        assert!(Instant::now() < deadline, "leeway is never made use of");
        let (patient, patient_fires) = timer(&queue, Schedule::after(millis(40)).leeway(HOUR));
        let (exact, exact_fires) = timer(&queue, Schedule::after(millis(60)));
        for fires in [&patient_fires, &exact_fires] {
            wait_until(|| *fires.lock() == [1]);
        }
        drop((patient, exact));
    }
    finish(&runtime);
}

#[test]
fn the_registration_handler_comes_first_and_no_two_handlers_run_at_once() {
    let runtime = runtime();
    let queue = runtime.global(Qos::Default);
    for _ in 0..20 {
        let (inside, registered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (first, second, ended) = (Arc::clone(&registered), Arc::clone(&registered), Event::new());
        let (tell, mut calls) = (ended.clone(), 0);
        let timer = Source::timer(&queue)
            .every(Duration::from_micros(1))
            .on_registered(move || first.store(true, Ordering::Relaxed))
            .on_event_with(move |timer, _| {
                assert!(second.load(Ordering::Relaxed) && !inside.swap(true, Ordering::Relaxed));
                thread::yield_now();
                calls += 1;
                if calls == 20 {
                    timer.cancel();
                }
                assert!(inside.swap(false, Ordering::Relaxed));
            })
            .on_cancel(move || tell.set())
            .activate()
            .unwrap();
        ended.wait();
        drop(timer);
    }
    finish(&runtime);
}

#[test]
fn a_handler_that_panics_has_had_its_fires_and_the_timer_goes_on() {
    let runtime = runtime();
    let (total, queue) = (Arc::new(AtomicU64::new(0)), runtime.serial("main"));
    let counted = Arc::clone(&total);
    let builder = Source::timer(&queue).every(millis(1)).on_event(move |fires| {
        if counted.fetch_add(fires, Ordering::Relaxed) == 0 {
            std::panic::resume_unwind(Box::new("once"));
        }
    });
    let timer = builder.activate().unwrap();
    wait_until(|| total.load(Ordering::Relaxed) >= 5);
    drop(timer);
    assert_eq!(runtime.shutdown(concourse::Shutdown::Drain.within(GENEROUS)).panics, 1);
}

#[test]
fn a_timer_may_be_set_suspended_and_cancelled_from_many_threads() {
    let runtime = runtime();
    let queue = runtime.concurrent("main");
    for _ in 0..20 {
        let (inside, cancels, ended) = (AtomicBool::new(false), Arc::new(AtomicU64::new(0)), Event::new());
        let (seen, counted, tell) = (Arc::clone(&cancels), Arc::clone(&cancels), ended.clone());
        let timer = Source::timer(&queue)
            .every(Duration::from_micros(3))
            .on_event(move |_| {
                assert!(!inside.swap(true, Ordering::Relaxed), "two at once");
                assert_eq!(seen.load(Ordering::Relaxed), 0, "an event after the end");
                inside.store(false, Ordering::Relaxed);
            })
            .on_cancel(move || {
                counted.fetch_add(1, Ordering::Relaxed);
                tell.set();
            })
            .activate()
            .unwrap();
        thread::scope(|scope| {
            for thread in 0..3 {
                let timer = &timer;
                scope.spawn(move || {
                    for round in 0..50 {
                        let _suspended = timer.suspend_guard().unwrap();
                        let schedule = Schedule::after(Duration::from_micros(round)).every(Duration::from_micros(5));
                        timer.set(schedule.clock(if round % 2 == 0 { Clock::Monotonic } else { Clock::Wall })).unwrap();
                        if thread == 0 && round == 40 {
                            timer.cancel();
                        }
                    }
                });
            }
        });
        ended.wait();
        assert_eq!(cancels.load(Ordering::Relaxed), 1);
    }
    finish(&runtime);
}
