//! Many timers.

use super::curve::{Contender, Curve, Growth, Load};
use crate::peers::{Closure, Tokio, runtime};
use crate::row::Sample;
use concourse::Dispatch;
use std::time::{Duration, Instant};
use tokio_util::time::DelayQueue;

pub(super) const CURVES: &[Curve] = &[Curve {
    name: "timers",
    what: "So many timers are armed, then all are cancelled in the order in which they were armed. They are due between one and two hours later, in no order.",
    axis: "armed timers",
    points: &[1, 10, 100, 1_000, 10_000, 100_000, 1_000_000],
    operations: 1_000_000,
    growth: Growth::Operations,
    footprint: 120,
    metrics: &["ns per arm", "ns per cancel"],
    contenders: &[
        Contender { name: "concourse", run: concourse_timers },
        Contender { name: "tokio DelayQueue", run: delay_queue },
    ],
}];

/// The delay of a timer: a scatter that is the same in every run.
fn delay(number: u64) -> Duration {
    const HOUR: u64 = 3_600_000_000;
    Duration::from_micros(HOUR + number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % HOUR)
}

fn concourse_timers(load: Load) -> Sample {
    let queue = runtime().serial("timers");
    let mut timers = Vec::with_capacity(load.amount as usize);
    load.rounds(|| {
        let start = Instant::now();
        for number in 0..load.amount {
            let timer = queue.after(delay(number), move || unreachable!("timer {number} is cancelled"));
            timers.push(timer.expect("the event loop starts"));
        }
        let armed = Instant::now();
        let cancelled = timers.drain(..).filter_map(|timer| timer.cancel().then_some(())).count();
        let end = Instant::now();
        assert_eq!(cancelled as u64, load.amount, "a timer was lost");
        [armed - start, end - armed]
    })
}

/// A queue of boxed closures that one task would own and run.
fn delay_queue(load: Load) -> Sample {
    let _context = Tokio::runtime().enter();
    let mut queue = DelayQueue::<Closure>::new();
    let mut keys = Vec::with_capacity(load.amount as usize);
    load.rounds(|| {
        let start = Instant::now();
        for number in 0..load.amount {
            let job = Box::new(move || unreachable!("timer {number} is cancelled"));
            keys.push(queue.insert(job, delay(number)));
        }
        let armed = Instant::now();
        assert_eq!(queue.len() as u64, load.amount, "a timer was lost");
        keys.drain(..).for_each(|key| drop(queue.remove(&key)));
        let end = Instant::now();
        assert!(queue.is_empty(), "a timer is left");
        [armed - start, end - armed]
    })
}
