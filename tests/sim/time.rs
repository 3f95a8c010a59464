//! Virtual time.

use concourse::{Clock, ClockError, Deadline, Dispatch, Event, Runtime, Semaphore, Sim, Source, WaitError, wait_for};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3_600);
const MS: Duration = Duration::from_millis(1);

/// Runs the program with one seed.
fn run<T: Send + 'static>(program: impl FnOnce(&Runtime) -> T + Send + 'static) -> T {
    Sim::seeded(42).run(program).unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn an_hour_passes_at_once_and_to_the_nanosecond() {
    let real = Instant::now();
    run(|runtime| {
        for clock in [Clock::Monotonic, Clock::Boottime, Clock::Wall] {
            let start = Deadline::now(clock);
            let rung = Event::new();
            let bell = rung.clone();
            let _ = runtime.serial("bell").after(HOUR, move || bell.set()).unwrap();
            rung.wait();
            assert_eq!(Deadline::now(clock), start + HOUR);
        }
    });
    assert!(real.elapsed() < HOUR);
}

#[test]
fn timeouts_end_in_the_order_of_their_deadlines() {
    let order = run(|runtime| {
        let (ended, order) = (Semaphore::new(0), Arc::new(Mutex::new(Vec::new())));
        let never = Semaphore::new(0);
        for (place, hours) in [(0, 3), (1, 1), (2, 2)] {
            let (ended, order, never) = (ended.clone(), Arc::clone(&order), never.clone());
            runtime.concurrent("sleepers").exec_async(move || {
                let timeout = hours * HOUR;
                assert_eq!(never.wait_timeout(timeout), Err(WaitError::TimedOut { after: timeout }));
                order.lock().unwrap().push(place);
                ended.signal();
            });
        }
        (0..3).for_each(|_| ended.wait());
        order.lock().unwrap().clone()
    });
    assert_eq!(order, [1, 2, 0]);
}

#[test]
fn a_timer_is_on_time_and_counts_what_it_missed() {
    let calls = run(|runtime| {
        let (queue, done) = (runtime.serial("clockwork"), Event::new());
        let (tell, start) = (done.clone(), Deadline::now(Clock::Monotonic));
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (noted, stall) = (Arc::clone(&calls), Semaphore::new(0));
        let timer = Source::timer(&queue).after(MS).every(MS).on_event_with(move |timer, fires| {
            let now = Deadline::now(Clock::Monotonic);
            let passed = (1_u32..).find(|ms| start + *ms * MS >= now).unwrap();
            assert_eq!(now, start + passed * MS, "never between two times");
            noted.lock().unwrap().push((passed, fires));
            match passed {
                // The handler takes five milliseconds.
                2 => assert!(stall.wait_timeout(5 * MS).is_err()),
                10.. => {
                    timer.cancel();
                    tell.set();
                }
                _ => {}
            }
        });
        let timer = timer.activate().unwrap();
        done.wait();
        drop(timer);
        let statistics = runtime.statistics();
        assert!(statistics.event_loop_wakeups >= 5, "{statistics:?}");
        calls.lock().unwrap().clone()
    });
    assert_eq!(calls, [(1, 1), (2, 1), (7, 5), (8, 1), (9, 1), (10, 1)]);
}

#[test]
fn nothing_to_do_takes_no_steps() {
    let idle = |hours: u32| {
        let program = move |runtime: &Runtime| {
            runtime.serial("idle").exec_sync(|| {
                assert!(Semaphore::new(0).wait_timeout(hours * HOUR).is_err());
            });
        };
        let (result, trace) = Sim::seeded(1).record(program);
        result.unwrap();
        trace.steps.len()
    };
    assert_eq!(idle(1), idle(10_000));
}

#[test]
fn an_answer_that_comes_too_late_goes_back() {
    run(|runtime| {
        let (queue, refused) = (runtime.serial("late"), Event::new());
        let tell = refused.clone();
        let answer = wait_for(HOUR, |done| {
            let _ = queue.after(2 * HOUR, move || {
                assert_eq!(done.send(1), Err(1));
                tell.set();
            });
        });
        assert_eq!(answer, Err(WaitError::TimedOut { after: HOUR }));
        refused.wait();
    });
}

#[test]
fn clocks_that_nobody_sets_have_no_steps_to_tell_of() {
    run(|runtime| {
        let steps = Source::clock_steps(&runtime.serial("main")).label("watch").on_event(|_| unreachable!()).activate();
        assert_eq!(steps.unwrap_err(), ClockError::Unsupported { label: "watch".into() });
    });
}
