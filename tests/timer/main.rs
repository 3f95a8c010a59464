//! Timer sources. Nothing here says how late a timer may be: a test counts the fires that its handler was given, and
//! holds the count against the clock on both sides. None is early, and none that was due when the call began is missing.

mod ending;
mod many;
mod missed;
mod schedule;
#[path = "../timed/mod.rs"]
mod timed;

use concourse::Dispatch;
use timed::Record;
use timed::millis;
use timed::now;
use timed::wait_until;

/// Waits until `count` calls have been made of a timer that is made for that, on the same queue: what a timer of that
/// queue would have done in the meantime, it has done by then.
#[track_caller]
fn let_time_pass(queue: &impl Dispatch, count: u64) {
    let record = Record::new(now(), millis(3));
    let clock = record.timer(queue, |_| ());
    wait_until(|| record.calls() >= count);
    drop(clock);
}
