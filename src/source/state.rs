//! The state word of a source: whose turn it is, what holds it back, and how it ends.
//!
//! One word decides everything that two threads could want at the same time: who schedules a turn, whether a turn may
//! begin, and which turn is the last. What has been merged lies elsewhere ([`Pending`](super::Pending)); the handshake
//! between the two, with its proof, is in `README.md`.
//!
//! ```text
//!  31          7     6       5       4         3       2     0
//! ┌─────────────┬───────┬───────┬────────┬───────────┬─────────┐
//! │  SUSPENDS   │ SATED │ TIMED │ ENDING │ CANCELLED │  PHASE  │
//! └─────────────┴───────┴───────┴────────┴───────────┴─────────┘
//! ```
//!
//! - **PHASE** says who owes the source a turn.
//!   - `IDLE`: nobody. Whoever merges next makes it `SCHEDULED`, and schedules.
//!   - `SCHEDULED`: a job in the target queue, or held back by the source's [pace](super::pace).
//!   - `RUNNING`: the thread in the turn, which started before anything that was merged since.
//!   - `DIRTY`: as `RUNNING`, and something was merged since: the turn ends by scheduling the next.
//!   - `PARKED`: what holds the source. Whoever lifts it schedules. A source that is not active yet is a suspended one.
//!   - `CLOSED`: nobody, ever again.
//! - **CANCELLED**: somebody called `cancel` or `cancel_now`. The next turn is the last, and runs the cancel handler.
//! - **ENDING**: `cancel_now` was called or the last handle is gone. The next turn is the last, and a suspension no
//!   longer keeps it from beginning.
//! - **TIMED**: the source's pace wants to know when each merge comes. Set once, before the source is active.
//! - **SATED**: a [stream](super::stream) has a value, and nobody has asked for the next. Set in a turn, and as good as a
//!   suspension until somebody asks, but that a cancellation overrules it as well.
//! - **SUSPENDS**: how often `suspend` was called without a `resume`. A turn that has begun is not touched by it.
//!
//! | phase | from | excludes | who goes on |
//! |---|---|---|---|
//! | `IDLE` | `finish` | a turn | the next `knock`, `cancel`, `end` |
//! | `SCHEDULED` | any of these, `resume`, or `finish` of a dirty turn | a second job | that job: `begin` |
//! | `RUNNING` | `begin` | a second turn | that turn: `finish` or `close` |
//! | `DIRTY` | `knock`, `cancel`, `end` during a turn | the same | the same |
//! | `PARKED` | any of these while held | a job that would only find itself held | `resume`, `ask`, `end` |
//! | `CLOSED` | `close` | everything | nobody |

use crate::sync::AtomicU32;
use crate::sync::Ordering;
use crate::sync::handshake;
use crate::sync::yield_point;
use core::fmt;

const PHASE_BITS: u32 = 3;
const PHASE: u32 = (1 << PHASE_BITS) - 1;
const CANCELLED: u32 = 1 << PHASE_BITS;
const ENDING: u32 = CANCELLED << 1;
const TIMED: u32 = ENDING << 1;
const SATED: u32 = TIMED << 1;
const SUSPEND: u32 = SATED << 1;
const SUSPENDS: u32 = u32::MAX << SUSPEND.trailing_zeros();
const _: () = assert!(PHASE | CANCELLED | ENDING | TIMED | SATED | SUSPENDS == u32::MAX);
const _: () = assert!(PHASE + CANCELLED + ENDING + TIMED + SATED == !SUSPENDS);

/// Who owes the source a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum Phase {
    Idle,
    Scheduled,
    Running,
    Dirty,
    Parked,
    Closed,
}

/// One value of the word.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Snapshot(u32);

impl Snapshot {
    /// A source that has not been activated: held, and nothing to do.
    const INACTIVE: Self = Self(SUSPEND | Phase::Idle as u32);

    fn phase(self) -> Phase {
        match self.0 & PHASE {
            0 => Phase::Idle,
            1 => Phase::Scheduled,
            2 => Phase::Running,
            3 => Phase::Dirty,
            4 => Phase::Parked,
            _ => Phase::Closed,
        }
    }

    fn with(self, phase: Phase) -> Self {
        Self(self.0 & !PHASE | phase as u32)
    }

    fn is_cancelled(self) -> bool {
        self.0 & CANCELLED != 0
    }

    /// The next turn is the last, or there was one.
    fn has_ended(self) -> bool {
        self.0 & (CANCELLED | ENDING) != 0 || self.phase() == Phase::Closed
    }

    fn suspends(self) -> u32 {
        self.0 / SUSPEND
    }

    /// A turn may not begin.
    fn is_held(self) -> bool {
        let is_suspended = self.suspends() != 0 && self.0 & ENDING == 0;
        let is_sated = self.0 & SATED != 0 && self.0 & (CANCELLED | ENDING) == 0;
        is_suspended || is_sated
    }

    /// A turn is to come that will find what was merged before this.
    fn is_owed(self) -> bool {
        matches!(self.phase(), Phase::Scheduled | Phase::Dirty | Phase::Parked)
    }

    /// A merge has nobody to tell of itself.
    fn hears(self) -> bool {
        self.is_owed() && self.0 & (CANCELLED | ENDING | TIMED) == 0
    }

    /// A turn is wanted, and nobody owes it.
    fn due(self) -> Self {
        self.with(if self.is_held() { Phase::Parked } else { Phase::Scheduled })
    }

    /// Something was merged, or a flag was set: whoever owes a turn, or will, has to know.
    fn knocked(self) -> Self {
        match self.phase() {
            Phase::Idle => self.due(),
            Phase::Running => self.with(Phase::Dirty),
            Phase::Scheduled | Phase::Dirty | Phase::Parked | Phase::Closed => self,
        }
    }

    /// A parked turn goes on if nothing holds it any more.
    fn released(self) -> Self {
        if self.phase() == Phase::Parked { self.due() } else { self }
    }

    fn suspended(self) -> Option<Self> {
        self.0.checked_add(SUSPEND).map(Self)
    }

    fn resumed(self) -> Option<Self> {
        self.0.checked_sub(SUSPEND).map(|word| Self(word).released())
    }

    fn asked(self) -> Self {
        Self(self.0 & !SATED).released()
    }

    fn cancelled(self) -> Self {
        Self(self.0 | CANCELLED).knocked().released()
    }

    fn ending(self) -> Self {
        Self(self.0 | ENDING).knocked().released()
    }

    fn begun(self) -> Self {
        self.with(if self.is_held() { Phase::Parked } else { Phase::Running })
    }

    fn finished(self) -> Self {
        if self.phase() == Phase::Dirty { self.due() } else { self.with(Phase::Idle) }
    }

    /// What the one who replaced `self` by `next` owes.
    fn duty(self, next: Self) -> Duty {
        let scheduled = self.phase() != Phase::Scheduled && next.phase() == Phase::Scheduled;
        if scheduled { Duty::Schedule } else { Duty::Nothing }
    }
}

/// What a transition leaves for its caller to do.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duty {
    /// Nothing: the source has its turn, will have it, or needs none.
    Nothing,
    /// Submit one job that begins a turn.
    Schedule,
}

/// What a merge met.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Knock {
    /// A turn will find what was merged, and the caller owes this.
    Heard(Duty),
    /// The source is cancelled, ending or closed: what was merged will be dropped.
    Ended,
}

/// What the job of a turn may do.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing: the source is suspended, and resuming it schedules another job.
    Parked,
    /// Deliver, then `finish`.
    Deliver,
    /// Let go of everything, then `close`. This is the last turn.
    Close {
        /// The source was cancelled, and not just left by its last handle.
        cancelled: bool,
    },
}

/// A count of suspensions at its end: none to undo, or too many to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfRange;

/// The word.
///
/// Every access is `SeqCst`. Merges and turns need it, because each changes one word and then reads another (`README.md`);
/// the rest is rare.
pub(crate) struct State(AtomicU32);

impl State {
    /// The word of a source that has not been activated. Activating it is its first [`resume`](Self::resume).
    pub(crate) fn inactive() -> Self {
        Self(AtomicU32::new(Snapshot::INACTIVE.0))
    }

    fn load(&self) -> Snapshot {
        Snapshot(self.0.load(Ordering::SeqCst))
    }

    /// Changes the word by `next`; the value before and the value after.
    fn change(&self, next: impl Fn(Snapshot) -> Snapshot) -> (Snapshot, Snapshot) {
        yield_point();
        let mut before = self.load();
        loop {
            let after = next(before);
            if cfg!(concourse_planted = "split_change") {
                self.0.store(after.0, Ordering::SeqCst);
                return (before, after);
            }
            match self.0.compare_exchange(before.0, after.0, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return (before, after),
                Err(now) => before = Snapshot(now),
            }
        }
    }

    /// True if a turn will begin after this call, which follows a change of what is pending, and nobody has to hear of it.
    /// If not, a [`knock`](Self::knock) follows.
    #[inline(always)]
    pub(crate) fn hears(&self) -> bool {
        yield_point();
        if !cfg!(concourse_planted = "knock_without_handshake") {
            handshake();
        }
        self.load().hears()
    }

    /// Makes sure that a turn will begin after this call, unless the source has ended.
    pub(crate) fn knock(&self) -> Knock {
        let before = self.load();
        if before.has_ended() {
            Knock::Ended
        } else if before.is_owed() {
            Knock::Heard(Duty::Nothing)
        } else {
            let (before, after) = self.change(Snapshot::knocked);
            Knock::Heard(before.duty(after))
        }
    }

    /// Has no merge [heard](Self::hears) without a knock.
    pub(crate) fn time_merges(&self) {
        self.change(|word| Snapshot(word.0 | TIMED));
    }

    /// A turn is to come that will find what was merged before this call.
    pub(crate) fn is_owed(&self) -> bool {
        self.load().is_owed()
    }

    /// The turn that is to come would deliver: the source is neither held nor at its end.
    pub(crate) fn delivers(&self) -> bool {
        let word = self.load();
        !word.is_held() && !word.has_ended()
    }

    /// Begins the turn of a scheduled job.
    pub(crate) fn begin(&self) -> Turn {
        #[cfg(concourse_planted = "stale_turn")]
        let stale = self.load();
        let (_, after) = self.change(Snapshot::begun);
        #[cfg(concourse_planted = "stale_turn")]
        let after = stale.begun();
        if !cfg!(concourse_planted = "begin_without_handshake") {
            handshake();
        }
        if after.phase() == Phase::Parked {
            Turn::Parked
        } else if after.has_ended() {
            Turn::Close { cancelled: after.is_cancelled() }
        } else {
            Turn::Deliver
        }
    }

    /// Ends a turn that was not the last.
    pub(crate) fn finish(&self) -> Duty {
        if cfg!(concourse_planted = "finish_blindly") {
            self.0.fetch_and(!PHASE, Ordering::SeqCst);
            return Duty::Nothing;
        }
        let (before, after) = self.change(Snapshot::finished);
        before.duty(after)
    }

    /// Ends the last turn, or gives up the job that would have begun one.
    pub(crate) fn close(&self) {
        self.change(|word| word.with(Phase::Closed));
    }

    /// Holds back every turn that has not begun.
    pub(crate) fn suspend(&self) -> Result<(), OutOfRange> {
        self.count(Snapshot::suspended).map(|_| ())
    }

    /// Undoes one `suspend`.
    pub(crate) fn resume(&self) -> Result<Duty, OutOfRange> {
        self.count(Snapshot::resumed).map(|(before, after)| before.duty(after))
    }

    /// Changes the count of suspensions, as far as it goes.
    fn count(&self, next: impl Fn(Snapshot) -> Option<Snapshot>) -> Result<(Snapshot, Snapshot), OutOfRange> {
        let (before, after) = self.change(|word| next(word).unwrap_or(word));
        // A count that could not go on left the word as it was, and only that does.
        if before == after { Err(OutOfRange) } else { Ok((before, after)) }
    }

    /// Holds back every turn but the last until somebody [asks](Self::ask). Only a turn does this.
    pub(crate) fn sate(&self) {
        self.change(|word| Snapshot(word.0 | SATED));
    }

    /// Undoes `sate`.
    pub(crate) fn ask(&self) -> Duty {
        let (before, after) = self.change(Snapshot::asked);
        before.duty(after)
    }

    /// Makes the next turn the last one; it still waits for the end of a suspension.
    pub(crate) fn cancel(&self) -> Duty {
        let (before, after) = self.change(Snapshot::cancelled);
        before.duty(after)
    }

    /// Makes the next turn the last one, suspended or not.
    pub(crate) fn cancel_now(&self) -> Duty {
        let (before, after) = self.change(|word| word.cancelled().ending());
        before.duty(after)
    }

    /// Makes the next turn the last one, suspended or not, and does not count as a cancellation.
    pub(crate) fn end(&self) -> Duty {
        let (before, after) = self.change(Snapshot::ending);
        before.duty(after)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.load().is_cancelled()
    }

    /// The next turn is the last, or there was one.
    pub(crate) fn has_ended(&self) -> bool {
        self.load().has_ended()
    }

    /// No turn may begin before a suspension has ended, or somebody has asked.
    pub(crate) fn is_held(&self) -> bool {
        self.load().is_held()
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.load().fmt(f)
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.phase())?;
        let flags = [(CANCELLED, " cancelled"), (ENDING, " ending"), (TIMED, " timed"), (SATED, " sated")];
        flags.iter().filter(|(flag, _)| self.0 & flag != 0).try_for_each(|(_, name)| f.write_str(name))?;
        match self.suspends() {
            0 => Ok(()),
            count => write!(f, " suspended {count} times"),
        }
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
#[path = "tests/state.rs"]
mod tests;
