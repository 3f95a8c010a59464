//! `timer_set_time`: a timer fires after 1 s and then each second. Its first call sets it to start now and fire each
//! 0.1 s; 15 calls have come within 10 s.
//!
//! Here the interval before is an hour, so that a timer that keeps it never gets there, however slow the machine is.

use crate::profile::time;
use crate::profile::tolerance;
use crate::timed::GENEROUS;
use crate::timed::HOUR;
use crate::timed::finish;
use crate::timed::millis;
use crate::timed::runtime;
use concourse::Event;
use concourse::Source;
use concourse::source::Schedule;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

#[test]
fn a_schedule_set_in_the_first_call_takes_effect_for_the_second() {
    let runtime = runtime();
    let (first, interval) = (time(millis(1_000)), time(millis(100)));
    let (calls, ended) = (Arc::new(Mutex::new(Vec::new())), Event::new());
    let (called, tell, asked) = (Arc::clone(&calls), ended.clone(), Instant::now());
    let builder = Source::timer(&runtime.serial("main")).after(first).every(HOUR).on_event_with(move |timer, fires| {
        let mut called = called.lock();
        called.push(fires);
        match called.len() {
            1 => timer.set(Schedule::after(Duration::ZERO).every(interval)).unwrap(),
            15 => timer.cancel(),
            _ => {}
        }
    });
    let timer = builder.on_cancel(move || tell.set()).activate().unwrap();
    ended.wait_timeout(GENEROUS).unwrap();
    let elapsed = asked.elapsed();
    let calls = calls.lock();
    // The second schedule's first time is due at once, and each of the others an interval later.
    let later_times = u32::try_from(calls[1..].iter().sum::<u64>()).unwrap() - 1;
    assert_eq!((calls.len(), calls[0]), (15, 1));
    assert!(elapsed >= first + interval * later_times, "{elapsed:?} is too early for {calls:?}");
    assert!(elapsed < tolerance(Duration::from_secs(10)), "{elapsed:?}");
    drop(timer);
    finish(&runtime);
}
