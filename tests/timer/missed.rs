//! What timers do with times that pass while they are suspended. The simulation's tests say the same to the nanosecond.

use crate::let_time_pass;
use crate::timed::finish;
use crate::timed::millis;
use crate::timed::now;
use crate::timed::runtime;
use crate::timed::wait_until;
use concourse::Deadline;
use concourse::Source;
use concourse::TimerError;
use concourse::source::Missed;
use concourse::source::Schedule;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// Suspends a timer of 2 ms for some calls of another one. What its handler was given since, each with the instant of
/// the call, until there were `calls`; and an instant before the resume.
fn after_a_suspension(missed: Missed, calls: usize) -> (Deadline, Vec<(u64, Deadline)>, Deadline) {
    let runtime = runtime();
    let (queue, other) = (runtime.serial("main"), runtime.serial("other"));
    let given = Arc::new(Mutex::new(Vec::new()));
    let (handler, start) = (Arc::clone(&given), now());
    let timer = Source::timer(&queue).at(start).every(millis(2)).missed(missed);
    let timer = timer.on_event(move |fires| handler.lock().push((fires, now()))).activate().unwrap();
    queue.exec_sync(|| timer.suspend().unwrap());
    given.lock().clear();
    let_time_pass(&other, 10);
    let resumed = now();
    timer.resume().unwrap();
    wait_until(|| given.lock().len() >= calls);
    timer.cancel();
    queue.exec_sync(|| ());
    finish(&runtime);
    let given = given.lock().clone();
    (start, given, resumed)
}

#[test]
fn counted_times_come_in_one_call() {
    let (_, given, _) = after_a_suspension(Missed::Count, 2);
    assert!(given[0].0 >= 10, "ten calls of 3 ms take longer than that: {given:?}");
}

#[test]
fn skipped_times_come_in_one_call_that_does_not_tell() {
    let (start, given, _) = after_a_suspension(Missed::Skip, 5);
    assert!(given.iter().all(|(fires, _)| *fires == 1), "{given:?}");
    let elapsed = (0..).find(|n| start + millis(2) * *n > given[4].1).unwrap();
    assert!(elapsed > 10 + 5, "ten and more times were skipped: {elapsed}");
}

#[test]
fn a_burst_makes_one_call_for_each_time() {
    let (start, given, resumed) = after_a_suspension(Missed::Burst, 30);
    assert!(given.iter().all(|(fires, _)| *fires == 1), "{given:?}");
    for (n, (_, at)) in (0..).zip(&given) {
        assert!(start + millis(2) * n <= *at, "call {n} is early");
    }
    assert!(given[0].1 >= resumed, "none comes during the suspension");
}

#[test]
fn a_schedule_that_cannot_be_kept_is_refused_and_the_one_before_goes_on() {
    let runtime = runtime();
    let (queue, fires) = (runtime.serial("main"), Arc::new(Mutex::new(0)));
    let handler = Arc::clone(&fires);
    let timer = Source::timer(&queue).every(millis(1)).on_event(move |more| *handler.lock() += more);
    let timer = timer.activate().unwrap();
    let zero = Schedule::after(Duration::ZERO).every(Duration::ZERO);
    assert_eq!(timer.set(zero), Err(TimerError::ZeroInterval));
    let seen = *fires.lock();
    wait_until(|| *fires.lock() > seen);
    assert_eq!(Source::timer(&queue).every(Duration::ZERO).activate().unwrap_err(), TimerError::ZeroInterval);
    finish(&runtime);
}
