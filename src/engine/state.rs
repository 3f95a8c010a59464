//! How far a runtime's life has come: one small word that only goes forward, and the numbers of what went wrong on the
//! way.
//!
//! ```text
//! 31     2 1   0
//! [ 0     ][PHASE]
//! ```
//!
//! | phase | new jobs | jobs that were accepted |
//! |---|---|---|
//! | `Open` | accepted | run |
//! | `Draining` | rejected | run |
//! | `Cancelling` | rejected | dropped and reported |
//! | `Forked` | rejected | left alone: they are the parent's |
//!
//! `Forked` is not stored: it is what every phase is in a forked child.

use crate::sync::AtomicU32;
use crate::sync::AtomicU64;
use crate::sync::Ordering;
use crate::sync::is_child;

/// How far a runtime's life has come. It only goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub(crate) enum Phase {
    /// Everything is accepted.
    Open,
    /// Nothing new is accepted; what was, runs.
    Draining,
    /// Nothing new is accepted; what has not started is dropped.
    Cancelling,
    /// This is a forked child, and the threads are the parent's. Nothing new is accepted.
    Forked,
}

/// The word.
#[derive(Debug)]
pub(super) struct Life(AtomicU32);

impl Life {
    pub(super) fn new() -> Self {
        Self(AtomicU32::new(Phase::Open as u32))
    }

    #[inline]
    pub(super) fn phase(&self) -> Phase {
        if is_child() {
            return Phase::Forked;
        }
        // Acquire, E5: whoever sees a phase sees what was done before it began.
        match self.0.load(Ordering::Acquire) {
            0 => Phase::Open,
            1 => Phase::Draining,
            _ => Phase::Cancelling,
        }
    }

    /// Goes forward to `phase`; going back is ignored.
    pub(super) fn advance_to(&self, phase: Phase) {
        // Release, E5.
        self.0.fetch_max(phase as u32, Ordering::AcqRel);
    }
}

/// A number that orders nothing.
#[derive(Debug)]
pub(super) struct Tally(AtomicU64);

impl Tally {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(super) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed); // A statistic.
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed) // A statistic.
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use super::Life;
    use super::Phase;

    #[test]
    fn a_life_only_goes_forward() {
        let phases = [Phase::Open, Phase::Draining, Phase::Cancelling];
        for first in phases {
            for second in phases {
                let life = Life::new();
                assert_eq!(life.phase(), Phase::Open);
                life.advance_to(first);
                assert_eq!(life.phase(), first);
                life.advance_to(second);
                assert_eq!(life.phase(), first.max(second));
            }
        }
    }
}
