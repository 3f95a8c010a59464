//! Clocks, and instants on them that cannot overflow.
//!
//! Inside the crate an instant is a [`Nanos`], a plain count whose clock is known from the context; outside it is a
//! [`Deadline`], which carries its clock. All arithmetic saturates: what would lie beyond the last instant is
//! "forever", and forever absorbs whatever is added or subtracted. This is libdispatch's rule, and it makes "in ten
//! thousand years" a timer that never fires instead of one that fires at once.
//!
//! [`now`] is the only place where timers learn the time, so an engine with a virtual clock has one function to stand
//! in for.

use crate::sync::virtual_time;
use rustix::time::ClockId;
use rustix::time::Timespec;
use rustix::time::clock_gettime;
use std::cmp::Ordering;
use std::ops::Add;
use std::ops::Sub;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

const NANOS_PER_SEC: u64 = 1_000_000_000;

/// Which clock a time is measured on.
///
/// The clocks differ in what a suspended machine and a corrected clock do to them:
///
/// | clock | while the machine sleeps | when somebody sets the time |
/// |---|---|---|
/// | `Monotonic` | stands still | does not notice |
/// | `Boottime` | goes on | does not notice |
/// | `Wall` | goes on | jumps, forwards or back |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Clock {
    /// Time during which the machine was awake, as [`Instant`] measures it on Linux: for delays, intervals and
    /// timeouts.
    #[default]
    Monotonic,
    /// Time since the machine was started, sleep included: for leases and expiries that others keep counting.
    Boottime,
    /// The time of day, as [`SystemTime`] measures it: for appointments.
    Wall,
}

/// An instant in nanoseconds from its clock's origin, or [`FOREVER`](Nanos::FOREVER).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub(crate) u64);

impl Nanos {
    /// The origin of the clock; nothing is earlier.
    pub(crate) const ZERO: Self = Self(0);
    /// Later than every instant.
    pub(crate) const FOREVER: Self = Self(u64::MAX);

    /// The instant `delay` later. Saturates to `FOREVER`.
    #[inline]
    pub(crate) fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(length(delay)))
    }

    /// The instant `time` earlier, but not before the origin. `FOREVER` stays `FOREVER`.
    #[inline]
    pub(crate) fn before(self, time: Duration) -> Self {
        if self == Self::FOREVER { self } else { Self(self.0.saturating_sub(length(time))) }
    }

    /// How long `earlier` has passed at this instant; zero if it has not.
    #[cfg(test)]
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    fn from_timespec(time: Timespec) -> Self {
        // A wall clock that is set before 1970 reads as its origin.
        let Ok(seconds) = u64::try_from(time.tv_sec) else { return Self::ZERO };
        Self(seconds.saturating_mul(NANOS_PER_SEC).saturating_add(time.tv_nsec.unsigned_abs()))
    }

    /// The instant as the kernel takes it.
    pub(crate) fn to_timespec(self) -> Timespec {
        // 2^64 nanoseconds are 584 years: neither part can exceed its field.
        Timespec { tv_sec: (self.0 / NANOS_PER_SEC) as i64, tv_nsec: (self.0 % NANOS_PER_SEC) as i64 }
    }
}

/// A duration in nanoseconds; `u64::MAX` if it is longer than 584 years.
#[inline]
pub(crate) fn length(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Where a virtual clock starts. The times of day begin with the millennium; no clock begins with its origin, so that
/// there are deadlines in the past.
fn virtual_start(clock: Clock) -> Nanos {
    const DAY: u64 = 86_400;
    Nanos(
        NANOS_PER_SEC
            * match clock {
                Clock::Monotonic => DAY,
                Clock::Boottime => 2 * DAY,
                Clock::Wall => 978_307_200,
            },
    )
}

/// The time on `clock`, which is virtual on a thread of a simulation.
#[inline]
pub(crate) fn now(clock: Clock) -> Nanos {
    if let Some(elapsed) = virtual_time() {
        return virtual_start(clock).after(elapsed);
    }
    Nanos::from_timespec(clock_gettime(match clock {
        Clock::Monotonic => ClockId::Monotonic,
        Clock::Boottime => ClockId::Boottime,
        Clock::Wall => ClockId::Realtime,
    }))
}

/// An instant on a named clock, or never.
///
/// Adding and subtracting saturates: a deadline beyond the year 2554 (on the other clocks, 584 years after the machine
/// was started) is [`Deadline::FOREVER`], which stays what it is whatever is added or subtracted, and a deadline
/// before the clock's origin is the origin.
///
/// Deadlines of different clocks have no order: comparing them gives `None`, and every `<` is false. Forever is
/// forever on all of them.
///
/// ```
/// use concourse::{Clock, Deadline};
/// use std::time::Duration;
///
/// let start = Deadline::now(Clock::Monotonic);
/// assert!(start + Duration::from_millis(1) > start);
/// assert_eq!(start + Duration::MAX, Deadline::FOREVER);
/// assert_eq!(Deadline::FOREVER - Duration::from_secs(1), Deadline::FOREVER);
/// assert_eq!(start.partial_cmp(&Deadline::now(Clock::Wall)), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Deadline {
    clock: Clock,
    at: Nanos,
}

impl Deadline {
    /// The instant that is never reached.
    pub const FOREVER: Self = Self { clock: Clock::Monotonic, at: Nanos::FOREVER };

    /// The present instant on `clock`.
    #[must_use]
    pub fn now(clock: Clock) -> Self {
        Self::on(clock, now(clock))
    }

    /// The clock the deadline is measured on.
    #[must_use]
    pub fn clock(self) -> Clock {
        self.clock
    }

    /// True if the deadline is never reached.
    #[must_use]
    pub fn is_forever(self) -> bool {
        self.at == Nanos::FOREVER
    }

    /// The deadline `at` on `clock`. There is one forever, so that it equals itself.
    pub(crate) fn on(clock: Clock, at: Nanos) -> Self {
        if at == Nanos::FOREVER { Self::FOREVER } else { Self { clock, at } }
    }

    /// The instant on the deadline's clock.
    pub(crate) fn at(self) -> Nanos {
        self.at
    }
}

impl Add<Duration> for Deadline {
    type Output = Self;

    fn add(self, delay: Duration) -> Self {
        Self::on(self.clock, self.at.after(delay))
    }
}

impl Sub<Duration> for Deadline {
    type Output = Self;

    fn sub(self, time: Duration) -> Self {
        Self::on(self.clock, self.at.before(time))
    }
}

impl PartialOrd for Deadline {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let comparable = self.clock == other.clock || self.is_forever() || other.is_forever();
        comparable.then(|| self.at.cmp(&other.at))
    }
}

/// The same instant on the monotonic clock, or up to the time between two clock readings later, never earlier.
impl From<Instant> for Deadline {
    fn from(instant: Instant) -> Self {
        // The standard library's reading comes first, so a pause between the two only delays.
        let here = Instant::now();
        let now = Self::now(Clock::Monotonic);
        match instant.checked_duration_since(here) {
            Some(ahead) => now + ahead,
            None => now - here.saturating_duration_since(instant),
        }
    }
}

/// The same instant on the wall clock. Before 1970 is 1970.
impl From<SystemTime> for Deadline {
    fn from(time: SystemTime) -> Self {
        let since_origin = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::on(Clock::Wall, Nanos::ZERO.after(since_origin))
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn overflow_saturates_to_forever_and_forever_absorbs() {
        assert_eq!(Nanos(u64::MAX - 1).after(Duration::from_nanos(1)), Nanos::FOREVER);
        assert_eq!(Nanos(1).after(Duration::MAX), Nanos::FOREVER);
        assert_eq!(Nanos::FOREVER.after(SECOND), Nanos::FOREVER);
        assert_eq!(Nanos::FOREVER.before(SECOND), Nanos::FOREVER);
        assert!((Deadline::now(Clock::Wall) + Duration::MAX).is_forever());
        assert_eq!(Deadline::now(Clock::Wall) + Duration::MAX, Deadline::now(Clock::Boottime) + Duration::MAX);
    }

    #[test]
    fn underflow_saturates_to_the_origin() {
        assert_eq!(Nanos(5).before(SECOND), Nanos::ZERO);
        assert_eq!(Nanos(5).since(Nanos(9)), Duration::ZERO);
        assert_eq!((Deadline::now(Clock::Monotonic) - Duration::MAX).at(), Nanos::ZERO);
    }

    #[test]
    fn the_largest_instant_fits_the_kernels_fields() {
        let last = Nanos(u64::MAX - 1).to_timespec();
        assert_eq!((last.tv_sec, last.tv_nsec), (18_446_744_073, 709_551_614));
        assert_eq!(Nanos::from_timespec(last), Nanos(u64::MAX - 1));
        assert_eq!(Nanos::from_timespec(Timespec { tv_sec: -1, tv_nsec: 5 }), Nanos::ZERO);
        assert_eq!(Nanos::from_timespec(Timespec { tv_sec: i64::MAX, tv_nsec: 0 }), Nanos::FOREVER);
    }

    #[test]
    fn every_clock_goes_forward_and_is_its_own() {
        for clock in [Clock::Monotonic, Clock::Boottime, Clock::Wall] {
            let first = Deadline::now(clock);
            assert!(Deadline::now(clock) >= first && first < Deadline::FOREVER, "{clock:?}");
        }
        assert!(now(Clock::Wall) > now(Clock::Monotonic), "the machine was started after 1970");
        assert!(now(Clock::Boottime) >= now(Clock::Monotonic).before(SECOND), "sleep is only ever added");
    }

    #[test]
    fn a_deadline_from_the_standard_librarys_clocks_is_never_early() {
        let before = Deadline::now(Clock::Monotonic);
        let converted = Deadline::from(Instant::now() + SECOND);
        assert!(converted >= before + SECOND);
        assert!(converted <= Deadline::now(Clock::Monotonic) + SECOND);
        let past = Instant::now();
        assert!(Deadline::from(past) <= Deadline::now(Clock::Monotonic));
        let epoch = SystemTime::UNIX_EPOCH;
        assert_eq!(Deadline::from(epoch + SECOND).at(), Nanos(1_000_000_000));
        assert_eq!(Deadline::from(epoch - SECOND).at(), Nanos::ZERO);
    }

    #[test]
    fn deadlines_of_different_clocks_have_no_order() {
        let (mono, wall) = (Deadline::now(Clock::Monotonic), Deadline::now(Clock::Wall));
        assert_eq!(mono.partial_cmp(&wall), None);
        assert_eq!(wall.partial_cmp(&Deadline::FOREVER), Some(Ordering::Less));
    }
}
