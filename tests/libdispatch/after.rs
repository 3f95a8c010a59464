//! `after`: a chain of jobs on one queue, each of which asks for the next. The first is asked for in 6 s and comes
//! within (5.5 s, 6.5 s), the second in 2 s and comes within (1.5 s, 2.5 s), the third at once and comes within 0.5 s,
//! strictly later than it was asked for. Here none may be early at all.

use crate::profile::time;
use crate::profile::tolerance;
use crate::timed::GENEROUS;
use crate::timed::finish;
use crate::timed::millis;
use crate::timed::runtime;
use concourse::Dispatch;
use concourse::Done;
use concourse::Queue;
use concourse::wait_for;
use std::time::Duration;
use std::time::Instant;

/// What was asked for, and how long it took to come.
type Waits = Vec<(Duration, Duration)>;

/// Asks for a job after the last of `delays`, which asks for the others; sends all waits at the end.
fn ask(queue: &Queue, mut delays: Vec<Duration>, mut waits: Waits, done: Done<Waits>) {
    let Some(delay) = delays.pop() else { return drop(done.send(waits)) };
    let (next, asked) = (queue.clone(), Instant::now());
    let job = move || {
        waits.push((delay, asked.elapsed()));
        ask(&next, delays, waits, done);
    };
    let _ = queue.after(delay, job).unwrap();
}

#[test]
fn a_chain_of_delays_comes_in_time() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let delays = [0, 2, 6].map(|seconds| time(Duration::from_secs(seconds)));
    let waits = wait_for(GENEROUS, |done| ask(&queue, delays.to_vec(), Waits::new(), done)).unwrap();
    assert!(waits.iter().map(|wait| wait.0).eq(delays.into_iter().rev()), "{waits:?}");
    for (delay, waited) in waits {
        assert!(waited >= delay && !waited.is_zero(), "{waited:?} is too early for {delay:?}");
        assert!(waited < delay + tolerance(millis(500)), "{waited:?} is too late for {delay:?}");
    }
    finish(&runtime);
}
