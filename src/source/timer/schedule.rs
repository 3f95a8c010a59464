//! When a timer fires.

use super::Missed;
use crate::error::TimerError;
use crate::time::Clock;
use crate::time::Deadline;
use crate::time::Nanos;
use crate::time::length;
use std::time::Duration;

/// When a timer fires: at first, how often from then on, and how exactly.
///
/// [`Source::set`](crate::Source::set) takes one. The setters of a timer's builder are those of a schedule.
///
/// ```
/// use concourse::source::Schedule;
/// use concourse::{Clock, Deadline};
/// use std::time::{Duration, SystemTime};
///
/// let minute = Duration::from_secs(60);
/// let once_in_a_minute = Schedule::after(minute);
/// let each_minute_from_now_on = Schedule::after(Duration::ZERO).every(minute).leeway(minute / 10);
/// let tomorrow = Schedule::at(SystemTime::now() + minute * 60 * 24);
/// let at_last = Schedule::at(Deadline::now(Clock::Boottime) + minute);
/// # let _ = (once_in_a_minute, each_minute_from_now_on, tomorrow, at_last);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a schedule does nothing until it is set"]
pub struct Schedule {
    first: First,
    clock: Clock,
    interval: Option<Duration>,
    leeway: Duration,
    missed: Missed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// Counted from when the schedule is set.
    After(Duration),
    At(Deadline),
}

impl Schedule {
    /// Once, when `delay` has passed from the moment in which the schedule is set, on the monotonic clock unless
    /// [`clock`](Self::clock) names another.
    pub fn after(delay: Duration) -> Self {
        Self::first(First::After(delay))
    }

    /// Once, at `deadline`, which names its clock itself. One that has passed is due at once; with an
    /// [interval](Self::every), the times that have passed are missed ones.
    pub fn at(deadline: impl Into<Deadline>) -> Self {
        Self::first(First::At(deadline.into()))
    }

    /// Never: a timer that is set to this stays quiet until it is set again.
    pub fn never() -> Self {
        Self::at(Deadline::FOREVER)
    }

    fn first(first: First) -> Self {
        let (clock, missed) = (Clock::default(), Missed::default());
        Self { first, clock, interval: None, leeway: Duration::ZERO, missed }
    }

    /// The same, with another first time.
    pub(super) fn beginning(self, first: First) -> Self {
        Self { first, ..self }
    }

    /// Repeats the first time every `interval`. One of 0 is refused when the schedule is set; libdispatch makes it one
    /// nanosecond.
    pub fn every(mut self, interval: Duration) -> Self {
        self.interval = Some(interval);
        self
    }

    /// Allows each time to come up to `leeway` late if that saves a wake-up of the processor, and only then. Half of the
    /// interval is the most that is made use of.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// The clock on which a delay is counted. A deadline has a clock of its own, which this does not change.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// What becomes of times that come before the handler could be called for those before: see [`Missed`].
    pub fn missed(mut self, missed: Missed) -> Self {
        self.missed = missed;
        self
    }

    /// Whether there is a time between two times.
    pub(super) fn check(&self) -> Result<(), TimerError> {
        if self.interval == Some(Duration::ZERO) { Err(TimerError::ZeroInterval) } else { Ok(()) }
    }

    /// The times of this schedule, which can be kept, if it is set at `now`.
    pub(super) fn times(self, now: impl FnOnce(Clock) -> Nanos) -> Times {
        let (clock, next) = match self.first {
            First::After(delay) => (self.clock, now(self.clock).after(delay)),
            First::At(deadline) => (deadline.clock(), deadline.at()),
        };
        // An interval for ever makes the second time one that never comes.
        let interval = self.interval.map_or(u64::MAX, length);
        let leeway = self.leeway.min(Duration::from_nanos(interval / 2));
        Times { clock, next, interval, leeway, missed: self.missed }
    }
}

/// The times at which a timer is due and that have not been taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) clock: Clock,
    pub(super) next: Nanos,
    /// Nanoseconds, at least one.
    pub(super) interval: u64,
    pub(super) leeway: Duration,
    pub(super) missed: Missed,
}

impl Times {
    /// True if there are times to take.
    pub(super) fn are_due(&self, now: Nanos) -> bool {
        self.next <= now && self.next != Nanos::FOREVER
    }

    /// Takes the times up to `now`, or the first of them if they are to come one by one, and says how many the handler is
    /// to hear of.
    pub(super) fn take(&mut self, now: Nanos) -> u64 {
        if !self.are_due(now) {
            return 0;
        }
        let late = now.0 - self.next.0;
        let latest = now.0 - late % self.interval;
        let (taken, before_the_next) = match self.missed {
            Missed::Count => ((late / self.interval).saturating_add(1), latest),
            Missed::Skip => (1, latest),
            Missed::Burst => (1, self.next.0),
            Missed::Delay => (1, now.0),
        };
        self.next = Nanos(before_the_next.saturating_add(self.interval));
        taken
    }
}
