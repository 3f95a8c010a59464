//! The state word of a spawned future: who polls it.
//!
//! | phase | who goes on |
//! |---|---|
//! | `IDLE` | whoever wakes the future: it becomes `SCHEDULED` |
//! | `SCHEDULED` | the job in the queue, which polls |
//! | `POLLED` | the thread that polls; it ends in `IDLE`, `SCHEDULED` or `OVER` |
//! | `WOKEN` | the same, and the future was woken since: it is polled again |
//! | `OVER` | nobody, ever again |
//!
//! *No wake-up is lost*: a wake during a poll leaves `WOKEN`, which the end of the poll finds by its exchange; a wake
//! before the job has begun is served by it. *No two polls overlap*: one thread makes `SCHEDULED` out of another phase,
//! and only its job begins a poll.

use crate::sync::AtomicU32;
use crate::sync::Ordering;
use crate::sync::planted;
use crate::sync::yield_point;

const IDLE: u32 = 0;
const SCHEDULED: u32 = 1;
const POLLED: u32 = 2;
const WOKEN: u32 = 3;
const OVER: u32 = 4;

/// The word. Every change is `AcqRel`: what was done before a wake is seen by the poll that it causes, and a poll sees
/// what the one before has left.
#[derive(Debug)]
pub(crate) struct State(AtomicU32);

impl State {
    /// A future whose first poll is scheduled by its maker.
    pub(crate) fn scheduled() -> Self {
        Self(AtomicU32::new(SCHEDULED))
    }

    /// True if the caller has to schedule a poll.
    #[must_use]
    pub(crate) fn wake(&self) -> bool {
        yield_point();
        let woken = |word| match word {
            IDLE => Some(SCHEDULED),
            POLLED if !planted!("task_forgets_a_wake") => Some(WOKEN),
            // A wake that changes nothing publishes all the same.
            word => Some(word),
        };
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, woken) == Ok(IDLE)
    }

    /// Begins the poll of a scheduled job.
    pub(crate) fn begin(&self) {
        self.0.swap(POLLED, Ordering::AcqRel);
    }

    /// Ends a poll of a future that is not ready. True if the caller has to schedule another.
    #[must_use]
    pub(crate) fn rest(&self) -> bool {
        yield_point();
        let rested = |word| Some(if word == WOKEN { SCHEDULED } else { IDLE });
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, rested) == Ok(WOKEN)
    }

    /// The future is gone.
    pub(crate) fn end(&self) {
        self.0.swap(OVER, Ordering::AcqRel);
    }
}
