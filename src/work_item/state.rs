//! How far a work item has come: one word, which decides between running, cancelling and dropping.
//!
//! ```text
//! 31       5          4          3 2     0
//! [ 0       ][CANCELLED][SUBMITTED][ STAGE ]
//! ```
//!
//! * `STAGE`: where the closure is. It goes from `Pending` to `Running` or `Discarding`, and from there to an outcome.
//!   Whoever takes it out of `Pending` owns the closure, and takes it on to the outcome.
//! * `SUBMITTED`: there is, or was, a job for the item. Set once.
//! * `CANCELLED`: somebody has called `cancel` before the end. A running closure may look at it.
//!
//! | stage | `SUBMITTED` | `CANCELLED` |
//! |---|---|---|
//! | `Pending` | any | no |
//! | `Running`, `Finished`, `Panicked` | yes | any |
//! | `Discarding` | any | yes if it becomes `Cancelled`, no if it becomes `Dropped` |
//! | `Cancelled` | any | yes |
//! | `Dropped` | any | no |

use crate::sync::AtomicU32;
use crate::sync::Ordering;
use crate::sync::planted;
use crate::sync::yield_point;

const STAGE: u32 = SUBMITTED - 1;
const SUBMITTED: u32 = 1 << 3;
const CANCELLED: u32 = 1 << 4;

const PENDING: u32 = 0;
const RUNNING: u32 = 1;
const DISCARDING: u32 = 2;
const FINISHED: u32 = 3;
const PANICKED: u32 = 4;
const WITHDRAWN: u32 = 5;
const DROPPED: u32 = 6;

const _: () = assert!(DROPPED <= STAGE && STAGE & (SUBMITTED | CANCELLED) == 0);

/// How a work item has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The closure ran to its end.
    Finished,
    /// The closure ran and panicked. The runtime's `on_panic` hook was told.
    Panicked,
    /// It was cancelled before the closure ran.
    Cancelled,
    /// The closure was dropped unrun: the queue was cancelled or went away suspended, the runtime had been shut down, or
    /// nobody who could submit the item is left.
    Dropped,
}

/// What `cancel` came upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Withdrawal {
    /// The closure was waiting, and is the caller's to drop now.
    Mine,
    /// Somebody else has dropped it or is about to.
    NeverRan,
    /// It runs, and can see that it is unwanted.
    Running,
    /// It has run.
    Done,
}

/// The word.
#[derive(Debug)]
pub(super) struct State(AtomicU32);

impl State {
    pub(super) fn new() -> Self {
        Self(AtomicU32::new(PENDING))
    }

    /// True for the first call.
    #[must_use]
    pub(super) fn submit(&self) -> bool {
        // Relaxed: it decides who submits, and tells nobody anything.
        self.0.fetch_or(SUBMITTED, Ordering::Relaxed) & SUBMITTED == 0
    }

    /// True if the closure is the caller's to run.
    #[must_use]
    pub(super) fn start(&self) -> bool {
        self.claim(RUNNING)
    }

    /// True if the closure is the caller's to drop, unwanted by nobody.
    #[must_use]
    pub(super) fn abandon(&self) -> bool {
        self.claim(DISCARDING)
    }

    fn claim(&self, stage: u32) -> bool {
        yield_point();
        if planted!("work_item_claims_in_two_steps") {
            let is_pending = self.0.load(Ordering::Relaxed) & STAGE == PENDING;
            self.0.fetch_or(stage, Ordering::Relaxed);
            return is_pending;
        }
        // Relaxed: the exchange only decides. The closure lies under the item's lock, which carries it.
        let claimed = |word| (word & STAGE == PENDING).then_some(word | stage);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, claimed).is_ok()
    }

    /// Says that the item is unwanted.
    pub(super) fn cancel(&self) -> Withdrawal {
        yield_point();
        let cancelled = |word| match word & STAGE {
            PENDING => Some(word | CANCELLED | DISCARDING),
            RUNNING => Some(word | CANCELLED),
            _ => None,
        };
        // Release: pairs with `is_cancelled`. Acquire on failure: pairs with `end`, for the caller that hears that it is
        // done.
        let before = self.0.fetch_update(Ordering::Release, Ordering::Acquire, cancelled).unwrap_or_else(|word| word);
        match before & STAGE {
            PENDING => Withdrawal::Mine,
            RUNNING => Withdrawal::Running,
            FINISHED | PANICKED => Withdrawal::Done,
            _ => Withdrawal::NeverRan,
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        // Acquire: pairs with `cancel`, so that whoever stops sees what was done before it was told to.
        self.0.load(Ordering::Acquire) & CANCELLED != 0
    }

    /// Ends the item. Only whoever has claimed the closure, or withdrawn it, calls this, once.
    pub(super) fn end(&self, outcome: Outcome) {
        let stage = match outcome {
            Outcome::Finished => FINISHED,
            Outcome::Panicked => PANICKED,
            Outcome::Cancelled => WITHDRAWN,
            Outcome::Dropped => DROPPED,
        };
        // Release: pairs with `outcome`, so that whoever sees the end sees what the closure did, or that its captures
        // are gone. The flags may change meanwhile, so it is an exchange, and it always succeeds.
        let release = if planted!("work_item_ends_relaxed") { Ordering::Relaxed } else { Ordering::Release };
        let _ = self.0.fetch_update(release, Ordering::Relaxed, |word| Some(word & !STAGE | stage));
    }

    pub(super) fn outcome(&self) -> Option<Outcome> {
        // Acquire: pairs with `end`.
        match self.0.load(Ordering::Acquire) & STAGE {
            FINISHED => Some(Outcome::Finished),
            PANICKED => Some(Outcome::Panicked),
            WITHDRAWN => Some(Outcome::Cancelled),
            DROPPED => Some(Outcome::Dropped),
            _ => None,
        }
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use super::*;

    /// Every legal word, by its stage.
    fn words(stage: u32) -> Vec<u32> {
        let flags: &[u32] = match stage {
            PENDING | DROPPED => &[0, SUBMITTED],
            RUNNING | FINISHED | PANICKED => &[SUBMITTED, SUBMITTED | CANCELLED],
            DISCARDING => &[0, SUBMITTED, CANCELLED, SUBMITTED | CANCELLED],
            WITHDRAWN => &[CANCELLED, SUBMITTED | CANCELLED],
            _ => &[],
        };
        flags.iter().map(|flags| flags | stage).collect()
    }

    fn at(word: u32) -> State {
        State(AtomicU32::new(word))
    }

    fn word(state: &State) -> u32 {
        state.0.load(Ordering::Relaxed)
    }

    #[test]
    fn a_claim_takes_a_pending_item_only() {
        for stage in PENDING..=DROPPED {
            for before in words(stage) {
                for (claim, after) in [(State::start as fn(&State) -> bool, RUNNING), (State::abandon, DISCARDING)] {
                    let state = at(before);
                    assert_eq!(claim(&state), stage == PENDING);
                    assert_eq!(word(&state), if stage == PENDING { before | after } else { before });
                }
            }
        }
    }

    #[test]
    fn a_cancel_leaves_a_mark_until_the_item_has_ended() {
        for stage in PENDING..=DROPPED {
            for before in words(stage) {
                let state = at(before);
                let (withdrawal, after) = match stage {
                    PENDING => (Withdrawal::Mine, before | CANCELLED | DISCARDING),
                    RUNNING => (Withdrawal::Running, before | CANCELLED),
                    FINISHED | PANICKED => (Withdrawal::Done, before),
                    _ => (Withdrawal::NeverRan, before),
                };
                assert_eq!((state.cancel(), word(&state)), (withdrawal, after));
                assert_eq!(state.is_cancelled(), after & CANCELLED != 0);
            }
        }
    }

    #[test]
    fn an_end_keeps_the_flags_and_tells_the_outcome() {
        for (claimed, outcomes) in
            [(RUNNING, [Outcome::Finished, Outcome::Panicked]), (DISCARDING, [Outcome::Cancelled, Outcome::Dropped])]
        {
            for before in words(claimed) {
                for outcome in outcomes {
                    let state = at(before);
                    assert_eq!(state.outcome(), None);
                    state.end(outcome);
                    assert_eq!(state.outcome(), Some(outcome));
                    assert_eq!(word(&state) & !STAGE, before & !STAGE);
                }
            }
        }
    }

    #[test]
    fn only_the_first_submission_is_one() {
        let state = State::new();
        assert!(state.submit() && !state.submit());
        for word in (PENDING..=DROPPED).flat_map(words) {
            assert_eq!(at(word).submit(), word & SUBMITTED == 0);
        }
    }
}
