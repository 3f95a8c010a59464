//! What stalls come to: the level, when it falls, and what of that a handler is told. Nothing here knows a kernel or a
//! clock.

use crate::time::Nanos;
use std::fmt;
use std::ops::BitOr;
use std::time::Duration;

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
#[path = "../tests/gauge.rs"]
mod tests;

/// Levels of memory pressure, one or more of them. They are libdispatch's `DISPATCH_MEMORYPRESSURE_*`.
///
/// [`Source::memory_pressure`](crate::Source::memory_pressure) takes those that its handler is to hear of, and the handler
/// receives one at a time.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PressureLevels(u8);

impl PressureLevels {
    /// Memory suffices again, after one of the others.
    pub const NORMAL: Self = Self(1);
    /// Some of the threads wait for memory, now and then: give up what is easily had again.
    pub const WARN: Self = Self(1 << 1);
    /// All of the threads wait for memory at once, so that no work gets done: give up whatever can be given up.
    pub const CRITICAL: Self = Self(1 << 2);

    /// True if all of `levels` are among these.
    #[must_use]
    pub const fn contains(self, levels: Self) -> bool {
        self.0 & levels.0 == levels.0
    }
}

impl BitOr for PressureLevels {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for PressureLevels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [(Self::NORMAL, "NORMAL"), (Self::WARN, "WARN"), (Self::CRITICAL, "CRITICAL")];
        let names = names.iter().filter(|(level, _)| self.contains(*level)).map(|(_, name)| *name);
        names.enumerate().try_for_each(|(place, name)| write!(f, "{}{name}", if place == 0 { "" } else { " | " }))
    }
}

/// The level that stalls have led to.
pub(super) struct Gauge {
    /// For how long a stall keeps its level up.
    calm: Duration,
    /// Until when the two kinds of stalls keep it up.
    warn_until: Nanos,
    critical_until: Nanos,
    level: PressureLevels,
}

impl Gauge {
    pub(super) fn new(calm: Duration) -> Self {
        Self { calm, warn_until: Nanos::ZERO, critical_until: Nanos::ZERO, level: PressureLevels::NORMAL }
    }

    /// There was a stall that leads to `level`.
    pub(super) fn stall(&mut self, level: PressureLevels, now: Nanos) {
        let until = self.until(now);
        if level == PressureLevels::CRITICAL {
            self.critical_until = until;
        } else {
            self.warn_until = until;
        }
    }

    /// Until when a stall of this moment keeps its level up.
    pub(super) fn until(&self, now: Nanos) -> Nanos {
        now.after(self.calm)
    }

    /// The level, if it is another one than at the last call.
    pub(super) fn change(&mut self, now: Nanos) -> Option<PressureLevels> {
        let level = match now {
            now if now < self.critical_until => PressureLevels::CRITICAL,
            now if now < self.warn_until => PressureLevels::WARN,
            _ => PressureLevels::NORMAL,
        };
        let has_changed = level != self.level;
        self.level = level;
        has_changed.then_some(level)
    }

    /// When the level falls if there is no other stall.
    pub(super) fn falls(&self) -> Nanos {
        match self.level {
            PressureLevels::CRITICAL => self.critical_until,
            PressureLevels::WARN => self.warn_until,
            _ => Nanos::FOREVER,
        }
    }
}
