//! The gate: what a drain looks at between two jobs.
//!
//! The flags stand beside the drain's own position, so that a lane that is never suspended pays one load from its own
//! cache line per job. They change only under the lane's control lock, which holds the counts behind them; a set flag
//! sends the drain there.
//!
//! ```text
//! 31          2      1         0
//! [ 0          ][CANCEL][SUSPENDED]
//! ```
//!
//! * `SUSPENDED`: the count of suspensions is above zero. The drain parks the lane before its next job.
//! * `CANCEL`: somebody waits for pending jobs to be dropped. The drain drops them before its next job.
//!
//! Every combination is legal; each flag mirrors its count.

use crate::sync::AtomicU32;
use crate::sync::Ordering;

/// A condition that stops a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flag {
    Suspended = 1,
    Cancel = 2,
}

/// The flags.
#[derive(Debug)]
pub(super) struct Gate(AtomicU32);

impl Gate {
    pub(super) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// True if the drain must look at the control before its next job.
    ///
    /// It must ask after it has seen the job: then a job that was pushed after a suspension finds the gate shut, because
    /// the job's publication (B3) carries the flag along.
    #[inline]
    pub(super) fn is_shut(&self) -> bool {
        // Relaxed: B3 orders the flag for jobs pushed after it; for others a suspension has no fixed instant.
        self.0.load(Ordering::Relaxed) != 0
    }

    /// Sets or clears a flag. The control is locked.
    pub(super) fn set(&self, flag: Flag, on: bool) {
        // Relaxed: the control's lock orders what stands behind the flag.
        if on {
            self.0.fetch_or(flag as u32, Ordering::Relaxed);
        } else {
            self.0.fetch_and(!(flag as u32), Ordering::Relaxed);
        }
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use super::Flag;
    use super::Gate;

    #[test]
    fn the_gate_is_shut_while_either_flag_is_set() {
        for before in 0..4_u32 {
            for (flag, other) in [(Flag::Suspended, Flag::Cancel), (Flag::Cancel, Flag::Suspended)] {
                let gate = Gate::new();
                gate.set(Flag::Suspended, before & 1 != 0);
                gate.set(Flag::Cancel, before & 2 != 0);
                assert_eq!(gate.is_shut(), before != 0);
                gate.set(flag, true);
                assert!(gate.is_shut());
                gate.set(flag, false);
                assert_eq!(gate.is_shut(), before & other as u32 != 0);
            }
        }
    }
}
