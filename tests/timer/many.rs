//! Ten thousand timers.

use crate::timed::HOUR;
use crate::timed::finish;
use crate::timed::millis;
use crate::timed::now;
use crate::timed::runtime;
use crate::timed::wait_until;
use concourse::Clock;
use concourse::Deadline;
use concourse::Source;
use concourse::source::Schedule;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

const TIMERS: u64 = 10_000;
/// How often each fires.
const TIMES: u64 = 3;

/// Timers on two clocks, of intervals and leeways from nothing to more than the interval.
fn schedule(number: u64, start: [Deadline; 2]) -> (Deadline, Duration, Duration) {
    let first = start[(number % 2) as usize] + Duration::from_micros(number * 20);
    let interval = millis(50 + number % 100);
    (first, interval, [Duration::ZERO, millis(5), millis(20), HOUR][(number / 2 % 4) as usize])
}

#[test]
fn ten_thousand_timers_fire_exactly_and_share_their_wake_ups() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let (fires, early, done) =
        (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let start = [Clock::Monotonic, Clock::Boottime].map(|clock| Deadline::now(clock) + millis(20));
    let timers: Vec<_> = (0..TIMERS)
        .map(|number| {
            let (first, interval, leeway) = schedule(number, start);
            let (fires, early, done) = (Arc::clone(&fires), Arc::clone(&early), Arc::clone(&done));
            let mut own = 0;
            let timer = Source::timer(&queue).at(first).every(interval).leeway(leeway);
            let timer = timer.on_event_with(move |timer, times| {
                // Later ones of a call that was late belong to nobody.
                let times = times.min(TIMES - own);
                own += times;
                fires.fetch_add(times, Ordering::Relaxed);
                let due = first + interval * u32::try_from(own - 1).unwrap();
                early.fetch_or(Deadline::now(first.clock()) < due, Ordering::Relaxed);
                if own == TIMES {
                    done.fetch_add(1, Ordering::Relaxed);
                    timer.cancel();
                }
            });
            timer.activate().unwrap()
        })
        .collect();
    wait_until(|| done.load(Ordering::Relaxed) == TIMERS);
    let statistics = runtime.statistics();
    drop(timers);
    finish(&runtime);
    assert_eq!(fires.load(Ordering::Relaxed), TIMERS * TIMES);
    assert!(!early.load(Ordering::Relaxed));
    let due = (0..TIMERS).flat_map(|number| {
        let (first, interval, _) = schedule(number, start);
        (0..TIMES as u32).map(move |n| first + interval * n)
    });
    let distinct = due.collect::<HashSet<_>>().len() as u64;
    assert!(
        statistics.event_loop_wakeups < distinct,
        "{} wake-ups for {distinct} deadlines",
        statistics.event_loop_wakeups
    );
    assert!(statistics.timer_wakeups_saved > 0, "leeway is never made use of");
}

#[test]
fn ten_thousand_suspended_timers_leave_the_event_loop_alone() {
    let runtime = runtime();
    let (queue, fires) = (runtime.serial("main"), Arc::new(AtomicU64::new(0)));
    queue.suspend().unwrap();
    let start = now();
    let timers: Vec<_> = (0..TIMERS)
        .map(|_| {
            let fires = Arc::clone(&fires);
            let timer = Source::timer(&queue).at(start).every(millis(1));
            timer.on_event(move |times| _ = fires.fetch_add(times, Ordering::Relaxed)).activate().unwrap()
        })
        .collect();
    // Each fires once, and then waits for its handler. A last timer says when they all have.
    let (other, told) = (runtime.serial("other"), Arc::new(AtomicBool::new(false)));
    let tell = Arc::clone(&told);
    let last = Source::timer(&other).after(millis(5)).on_event(move |_| tell.store(true, Ordering::Relaxed));
    let last = last.activate().unwrap();
    wait_until(|| told.load(Ordering::Relaxed));
    let before = runtime.statistics().event_loop_wakeups;
    told.store(false, Ordering::Relaxed);
    last.set(Schedule::after(millis(50))).unwrap();
    wait_until(|| told.load(Ordering::Relaxed));
    assert_eq!(runtime.statistics().event_loop_wakeups, before + 1, "only the last one's");
    assert_eq!(fires.load(Ordering::Relaxed), 0);
    queue.resume().unwrap();
    queue.exec_sync(|| ());
    assert!(fires.load(Ordering::Relaxed) >= TIMERS * 50, "at least 50 times each");
    drop(timers);
    finish(&runtime);
}
