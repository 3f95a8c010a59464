//! What a timer costs that does not fire, which is what most timeouts do.

use crate::peers::{Tokio, runtime};
use crate::row::{Contender, Goal, Row, Sample, per_operation, timed};
use concourse::{After, Dispatch, GlobalQueue, Qos};
use futures_lite::future::{block_on, poll_once};
use std::hint::black_box;
use std::pin::Pin;
use std::time::{Duration, Instant};
use tokio_util::time::{DelayQueue, delay_queue};

macro_rules! contenders {
    ($run:ident) => {
        [
            Contender { name: "concourse", run: $run::<Concourse> },
            Contender { name: "tokio DelayQueue", run: $run::<TokioDelayQueue> },
            Contender { name: "tokio sleep", run: $run::<TokioSleep> },
            Contender { name: "smol Timer", run: $run::<Smol> },
        ]
    };
}

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "timer_churn",
        what: "One thread arms a timer of an hour and cancels it.",
        metrics: &["ns per pair"],
        size: 1_000_000,
        quick: 1_000,
        contenders: &contenders!(churn),
        goal: Goal::AtMost(30.0),
    },
    Row {
        name: "timer_1m_arm",
        what: "One thread arms a million timers, between one and two hours in a random order.",
        metrics: &["ns per timer"],
        size: 1_000_000,
        quick: 1_000,
        contenders: &contenders!(arm),
        goal: Goal::AtMost(45.0),
    },
];

const HOUR: Duration = Duration::from_secs(3_600);

/// A way to have something happen later, used by one thread.
trait Timers {
    type Armed;

    fn new() -> Self;

    fn arm(&mut self, number: u64, delay: Duration) -> Self::Armed;

    /// True if the timer had not fired.
    fn cancel(&mut self, armed: Self::Armed) -> bool;
}

fn churn<T: Timers>(size: u64) -> Sample {
    let mut timers = T::new();
    let mut run = |pairs| {
        timed(pairs, || {
            (0..pairs)
                .map(|number| {
                    let armed = timers.arm(number, black_box(HOUR));
                    u64::from(timers.cancel(armed))
                })
                .sum()
        })
    };
    run(size / 10);
    per_operation(run(size), size)
}

fn arm<T: Timers>(size: u64) -> Sample {
    let mut timers = T::new();
    let mut run = |size: u64| {
        let mut armed = Vec::with_capacity(size as usize);
        let start = Instant::now();
        armed.extend((0..size).map(|number| timers.arm(number, HOUR + scattered(number, HOUR))));
        let time = start.elapsed();
        let cancelled = armed.into_iter().map(|armed| u64::from(timers.cancel(armed))).sum::<u64>();
        assert_eq!(cancelled, size, "not every timer was armed");
        time
    };
    run(size / 10);
    per_operation(run(size), size)
}

/// A part of `span` that looks random, and is the same for everybody.
pub(super) fn scattered(number: u64, span: Duration) -> Duration {
    // The golden ratio's multiples spread evenly, and neighbours land far apart.
    let part = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    Duration::from_nanos(((span.as_nanos() * u128::from(part)) >> 32) as u64)
}

struct Concourse(GlobalQueue);

impl Timers for Concourse {
    type Armed = After;

    fn new() -> Self {
        Self(runtime().global(Qos::Default))
    }

    fn arm(&mut self, number: u64, delay: Duration) -> After {
        self.0.after(delay, move || unreachable!("timer {number} takes an hour")).expect("the event loop runs")
    }

    fn cancel(&mut self, armed: After) -> bool {
        armed.cancel()
    }
}

/// In one thread's hands, without the lock or the channel through which others would reach it.
struct TokioDelayQueue {
    queue: DelayQueue<u64>,
    _context: tokio::runtime::EnterGuard<'static>,
}

impl Timers for TokioDelayQueue {
    type Armed = delay_queue::Key;

    fn new() -> Self {
        Self { _context: Tokio::runtime().enter(), queue: DelayQueue::new() }
    }

    fn arm(&mut self, number: u64, delay: Duration) -> delay_queue::Key {
        self.queue.insert(number, delay)
    }

    fn cancel(&mut self, armed: delay_queue::Key) -> bool {
        self.queue.try_remove(&armed).is_some()
    }
}

/// Boxed, for a sleep that has been polled cannot move. Armed by its first poll, and cancelled by being dropped.
struct TokioSleep {
    _context: tokio::runtime::EnterGuard<'static>,
}

impl Timers for TokioSleep {
    type Armed = Pin<Box<tokio::time::Sleep>>;

    fn new() -> Self {
        Self { _context: Tokio::runtime().enter() }
    }

    fn arm(&mut self, _: u64, delay: Duration) -> Self::Armed {
        let mut sleep = Box::pin(tokio::time::sleep(delay));
        assert!(block_on(poll_once(&mut sleep)).is_none(), "an hour has not passed");
        sleep
    }

    fn cancel(&mut self, armed: Self::Armed) -> bool {
        !armed.is_elapsed()
    }
}

/// Armed by its first poll, and cancelled by being dropped.
struct Smol;

impl Timers for Smol {
    type Armed = async_io::Timer;

    fn new() -> Self {
        Self
    }

    fn arm(&mut self, _: u64, delay: Duration) -> async_io::Timer {
        let mut timer = async_io::Timer::after(delay);
        assert!(block_on(poll_once(&mut timer)).is_none(), "an hour has not passed");
        timer
    }

    fn cancel(&mut self, armed: async_io::Timer) -> bool {
        armed.will_fire()
    }
}

#[cfg(test)]
mod tests {
    use super::{HOUR, scattered};

    #[test]
    fn deadlines_fill_their_span_evenly() {
        let mut tenths = [0; 10];
        for number in 0..1_000 {
            tenths[(scattered(number, HOUR).as_secs() / 360) as usize] += 1;
        }
        assert!(tenths.iter().all(|count| (95..=105).contains(count)), "{tenths:?}");
    }
}
