//! `drift`: a timer of 10 ms without leeway, for 25 s. The mean of how much later each firing is than the one before is
//! below 0.001 s, or below 0.1 s with lenient deadlines.
//!
//! These add up to the lateness of the last firing, so the mean alone says little. Here each call is also held against
//! a schedule that is computed from the start: none of its times is early, and none is missing.

use crate::profile::count;
use crate::profile::is_full;
use crate::timed::GENEROUS;
use crate::timed::Record;
use crate::timed::finish;
use crate::timed::millis;
use crate::timed::runtime;
use concourse::Deadline;
use concourse::wait_for;
use std::time::Duration;
use std::time::Instant;

const INTERVAL: Duration = Duration::from_millis(10);

#[test]
fn a_repeating_timer_does_not_drift() {
    let runtime = runtime();
    let (main, firings) = (runtime.serial("main"), count(250, 2_500) as u64);
    let start = Instant::now();
    let record = Record::new(Deadline::from(start) + INTERVAL, INTERVAL);
    let lateness = move |fires: u64| Instant::now() - (start + INTERVAL * u32::try_from(fires).unwrap());
    let mut timer = None;
    let jitter = wait_for(2 * GENEROUS, |done| {
        let (fired, mut first, mut done) = (record.clone(), None, Some(done));
        timer = Some(record.timer(&main, move |timer| {
            let fires = fired.fires();
            let late = lateness(fires);
            let first = *first.get_or_insert(late);
            if fires >= firings
                && let Some(done) = done.take()
            {
                let _ = done.send(late.abs_diff(first));
                timer.cancel();
            }
        }));
    });
    let drift = jitter.unwrap() / u32::try_from(record.fires() - 1).unwrap();
    assert!(drift < millis(if is_full() { 1 } else { 100 }), "{drift:?}");
    drop(timer);
    finish(&runtime);
}
