//! The words of a lane beside its list: the gate, the summary, what a waiter is told, and the count of handles.
//!
//! The gate is what a drain looks at between two jobs. Its flags stand beside the drain's own position, so that a lane that is never suspended pays one load from its own
//! cache line per job. They change only under the lane's control lock, which holds the counts behind them; a set flag
//! sends the drain there.
//!
//! ```text
//! 7           2      1         0
//! [ 0          ][CANCEL][SUSPENDED]
//! ```
//!
//! * `SUSPENDED`: the count of suspensions is above zero. The drain parks the lane before its next job.
//! * `CANCEL`: somebody waits for pending jobs to be dropped. The drain drops them before its next job.
//!
//! Every combination is legal; each flag mirrors its count.

use crate::sync::AtomicU8;
use crate::sync::AtomicU32;
use crate::sync::AtomicUsize;
use crate::sync::Ordering;
use crate::sync::planted;

/// A condition that stops a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flag {
    Suspended = 1,
    Cancel = 2,
}

/// The flags.
#[derive(Debug)]
pub(super) struct Gate(AtomicU8);

impl Gate {
    pub(super) fn new() -> Self {
        Self(AtomicU8::new(0))
    }

    /// True if the drain must look at the control before its next job.
    ///
    /// It must ask after it has seen the job: then a job that was pushed after a suspension finds the gate shut, because
    /// the job's publication (E3) carries the flag along.
    #[inline]
    pub(super) fn is_shut(&self) -> bool {
        // Relaxed: E3 orders the flag for jobs pushed after it; for others a suspension has no fixed instant.
        self.0.load(Ordering::Relaxed) != 0
    }

    /// True if the lane is suspended. For whoever runs below it, under the same rule as `is_shut`.
    #[inline]
    pub(super) fn is_suspended(&self) -> bool {
        self.0.load(Ordering::Relaxed) & Flag::Suspended as u8 != 0 // As in `is_shut`.
    }

    /// Sets or clears a flag. The control is locked.
    pub(super) fn set(&self, flag: Flag, on: bool) {
        // Relaxed: the control's lock orders what stands behind the flag.
        if on {
            self.0.fetch_or(flag as u8, Ordering::Relaxed);
        } else {
            self.0.fetch_and(!(flag as u8), Ordering::Relaxed);
        }
    }
}

/// What the control of a *plain* lane says, in one word: nobody has locked the control, nobody waits in line, and nothing
/// is suspended, cancelled or held back. Then each of the small changes below is one exchange instead of a locked section.
///
/// ```text
/// a serial lane        31                            2          1          0
///                      [ 0                            ][SCHEDULED][GUARDED]
/// a concurrent lane    31                            2          1          0
///                      [ RUNNING                      ][EXCLUSIVE][GUARDED]
/// ```
///
/// * `GUARDED`: the lane is not plain. The control alone knows, and the rest of the word means nothing.
/// * `SCHEDULED`: a token is on its way; whoever redeems it, or claims the lane before, keeps the lane. Else a thread does,
///   or the lane is idle, and no token is left of an earlier time.
/// * `RUNNING`: how many readers run; `EXCLUSIVE`: a barrier does. Not both.
///
/// Whoever locks the control of a plain lane sets `GUARDED` and takes the rest over. Somebody who unlocks it later, and finds
/// it plain again, writes it back. So an exchange that finds `GUARDED` clear is a locked section of its own, before or after
/// every other.
#[derive(Debug)]
pub(super) struct Summary(AtomicU32);

const GUARDED: u32 = 1;
const SCHEDULED: u32 = 2;
const EXCLUSIVE: u32 = 2;
const RUNNING: u32 = 4;

/// The summary of a plain concurrent lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Occupancy {
    pub(super) running: usize,
    pub(super) exclusive: bool,
}

impl Occupancy {
    /// The most readers that the word is given to count. As many again have room: each is a thread that waits for its own.
    pub(super) const MOST: usize = (u32::MAX / RUNNING / 2) as usize;

    fn from_word(word: u32) -> Self {
        Self { running: (word / RUNNING) as usize, exclusive: word & EXCLUSIVE != 0 }
    }

    fn to_word(self) -> u32 {
        (EXCLUSIVE * u32::from(self.exclusive)) | (RUNNING * self.running as u32)
    }
}

// AcqRel everywhere, E6: what a keeper leaves, its position above all, is for whoever claims the lane; what a reader did
// comes before the barrier that follows, and the other way round; and each exchange finds the control as the last one to
// unlock it has left it.
impl Summary {
    /// Of an idle lane.
    pub(super) fn new(is_plain: bool) -> Self {
        Self(AtomicU32::new(if is_plain { 0 } else { GUARDED }))
    }

    /// A reading that an exchange will confirm.
    fn glance(&self) -> u32 {
        if cfg!(concourse_loom) {
            // Of all that loom could read here the newest suffices: an exchange would refuse an older one. An exchange that
            // fails reads that, and writes nothing.
            return self.exchange(u32::MAX, u32::MAX).unwrap_or_else(|now| now);
        }
        self.0.load(Ordering::Relaxed)
    }

    fn exchange(&self, from: u32, to: u32) -> Result<u32, u32> {
        self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
    }

    /// Leaves a plain serial lane to a token, which the caller, who keeps the lane, sends. False if the lane is not plain.
    #[inline]
    #[must_use]
    pub(super) fn try_schedule(&self) -> bool {
        if planted!("summary_ignores_the_guard") {
            return self.0.fetch_or(SCHEDULED, Ordering::AcqRel) & SCHEDULED == 0;
        }
        self.exchange(0, SCHEDULED).is_ok()
    }

    /// True if the lane was plain and scheduled a moment ago. The lane is a serial one.
    pub(super) fn seems_scheduled(&self) -> bool {
        self.0.load(Ordering::Relaxed) == SCHEDULED
    }

    /// Redeems the token of a plain serial lane that is scheduled: the caller keeps it then.
    #[inline]
    #[must_use]
    pub(super) fn try_redeem(&self) -> bool {
        self.exchange(SCHEDULED, 0).is_ok()
    }

    /// Counts a reader in, or a barrier, on a plain concurrent lane. False if it may not start now, `None` if the lane is
    /// not plain.
    #[inline]
    pub(super) fn try_enter(&self, alone: bool) -> Option<bool> {
        let mut now = self.glance();
        loop {
            if now & GUARDED != 0 {
                return None;
            }
            let next = match (alone, now) {
                (true, 0) => EXCLUSIVE,
                (false, now) if now & EXCLUSIVE == 0 => now + RUNNING,
                _ => return Some(false),
            };
            match self.exchange(now, next) {
                Ok(_) => return Some(true),
                Err(other) => now = other,
            }
        }
    }

    /// Counts out what `try_enter` has counted in, if the lane is plain.
    #[inline]
    #[must_use]
    pub(super) fn try_exit(&self, alone: bool) -> bool {
        let one = if alone { EXCLUSIVE } else { RUNNING };
        let mut now = self.glance();
        while now & GUARDED == 0 || planted!("reader_leaves_blindly") {
            match self.exchange(now, now - one) {
                Ok(_) => return true,
                Err(other) => now = other,
            }
        }
        false
    }

    /// Takes the summary of a plain serial lane over: true if it is scheduled. The control is locked.
    pub(super) fn guard_keeping(&self) -> bool {
        // Acquire, E6.
        let acquire = if planted!("guard_relaxed") { Ordering::Relaxed } else { Ordering::Acquire };
        self.0.fetch_or(GUARDED, acquire) & SCHEDULED != 0
    }

    /// Takes the summary of a plain concurrent lane over. The control is locked.
    pub(super) fn guard_occupancy(&self) -> Occupancy {
        // Acquire, E6.
        Occupancy::from_word(self.0.fetch_or(GUARDED, Ordering::Acquire))
    }

    /// Declares a serial lane plain, scheduled or not. The control is locked.
    pub(super) fn unguard_keeping(&self, is_scheduled: bool) {
        // Release, E6.
        self.0.store(SCHEDULED * u32::from(is_scheduled), Ordering::Release);
    }

    /// Declares a concurrent lane plain. The control is locked.
    pub(super) fn unguard_occupancy(&self, occupancy: Occupancy) {
        // Release, E6.
        self.0.store(occupancy.to_word(), Ordering::Release);
    }
}

/// What a waiter is told. `Wait` and one of the others at a time; `Come` may be told several times, `Go` or `Done` is the
/// last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Turn {
    /// Not yet.
    Wait,
    /// Look again: the lane is kept for you, or a job that is ahead of you may start.
    Come,
    /// It is your turn.
    Go,
    /// What you waited for has been done.
    Done,
}

/// A waiter's word: what it is told, under its lane's control, and the number that comes with `Done`.
#[derive(Debug)]
pub(super) struct Told {
    turn: AtomicU32,
    count: AtomicUsize,
}

impl Told {
    pub(super) fn new() -> Self {
        Self { turn: AtomicU32::new(Turn::Wait as u32), count: AtomicUsize::new(0) }
    }

    pub(super) fn turn(&self) -> Turn {
        // Acquire, E4: what the teller did before. (A waiter that looks under the control's lock has that order as well.)
        match self.turn.load(Ordering::Acquire) {
            0 => Turn::Wait,
            1 => Turn::Come,
            2 => Turn::Go,
            _ => Turn::Done,
        }
    }

    /// The number that came with `Done`.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed) // Ordered by `turn`.
    }

    /// Lets the waiting thread go. It may be gone, and this word with it, when this returns.
    pub(super) fn tell(&self, turn: Turn, count: usize) {
        self.count.store(count, Ordering::Relaxed); // Ordered by `turn`.
        // Release, E4: what the teller did before.
        self.turn.store(turn as u32, Ordering::Release);
    }

    /// The waiter waits again. Only the waiter says so.
    pub(super) fn untell(&self) {
        self.turn.store(Turn::Wait as u32, Ordering::Relaxed); // The control's lock orders it.
    }
}

/// How many barriers stand in a concurrent lane's line: while there is none, a reader need not line up behind jobs that it
/// may overlap with. Each has a slot of 32 bytes, so memory ends before the count does.
#[derive(Debug)]
pub(super) struct Barriers(AtomicU32);

impl Barriers {
    pub(super) fn none() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Before a barrier is pushed, so that whoever comes after it finds it counted.
    pub(super) fn add(&self) {
        // Relaxed: a reader that must see it comes after it by some other order, and reads of one word do not go back.
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// When it has left the line. If it starts, the control is locked and says so in the same section.
    pub(super) fn remove(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed); // As in `add`.
    }

    pub(super) fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0 // As in `add`.
    }
}

/// How many handles users have on a lane; its memory is counted by `Arc`.
#[derive(Debug)]
pub(super) struct Handles(AtomicUsize);

impl Handles {
    pub(super) fn one() -> Self {
        Self(AtomicUsize::new(1))
    }

    pub(super) fn add(&self) {
        // Relaxed: a handle is made from a handle, or by a job of the lane.
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// True if it was the last one.
    #[must_use]
    pub(super) fn remove(&self) -> bool {
        // AcqRel: what the other handles did is done when the last one goes.
        self.0.fetch_sub(1, Ordering::AcqRel) == 1
    }

    pub(super) fn any(&self) -> bool {
        // Acquire: as in `remove`. Whoever sees that all are gone drops what they have pushed, and must see all of it; the
        // last handle may not have come to the control's lock yet.
        self.0.load(Ordering::Acquire) > 0
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use super::Barriers;
    use super::Flag;
    use super::Gate;
    use super::Handles;
    use super::Occupancy;
    use super::Summary;
    use super::Told;
    use super::Turn;

    #[test]
    fn the_gate_is_shut_while_either_flag_is_set() {
        for before in 0..4_u8 {
            for (flag, other) in [(Flag::Suspended, Flag::Cancel), (Flag::Cancel, Flag::Suspended)] {
                let gate = Gate::new();
                gate.set(Flag::Suspended, before & 1 != 0);
                gate.set(Flag::Cancel, before & 2 != 0);
                assert_eq!(gate.is_shut(), before != 0);
                gate.set(flag, true);
                assert!(gate.is_shut());
                gate.set(flag, false);
                assert_eq!(gate.is_shut(), before & other as u8 != 0);
                assert_eq!(gate.is_suspended(), before & other as u8 & Flag::Suspended as u8 != 0);
            }
        }
    }

    #[test]
    fn the_keeper_of_a_plain_lane_changes_without_the_lock_and_no_other() {
        for is_scheduled in [false, true] {
            let summary = || {
                let summary = Summary::new(true);
                assert!(!summary.guard_keeping());
                summary.unguard_keeping(is_scheduled);
                summary
            };

            let scheduled = summary();
            assert_eq!(scheduled.seems_scheduled(), is_scheduled);
            assert_eq!(scheduled.try_schedule(), !is_scheduled);
            assert!(scheduled.seems_scheduled());
            assert!(scheduled.guard_keeping());

            let redeemed = summary();
            assert_eq!(redeemed.try_redeem(), is_scheduled);
            assert!(!redeemed.guard_keeping());

            let guarded = summary();
            assert_eq!(guarded.guard_keeping(), is_scheduled);
            assert!(!guarded.try_schedule() && !guarded.try_redeem() && !guarded.seems_scheduled());
        }
        let born_with_a_width = Summary::new(false);
        assert_eq!((born_with_a_width.try_enter(false), born_with_a_width.try_enter(true)), (None, None));
    }

    #[test]
    fn readers_and_barriers_of_a_plain_lane_come_and_go_without_the_lock_and_no_other() {
        for (running, exclusive) in [(0, false), (0, true), (1, false), (2, false), (Occupancy::MOST, false)] {
            let occupancy = Occupancy { running, exclusive };
            let summary = || {
                let summary = Summary::new(true);
                assert_eq!(summary.guard_occupancy(), Occupancy { running: 0, exclusive: false });
                summary.unguard_occupancy(occupancy);
                summary
            };

            let read = summary();
            assert_eq!(read.try_enter(false), Some(!exclusive), "{occupancy:?}");
            if !exclusive {
                assert!(read.try_exit(false));
            }
            assert_eq!(read.guard_occupancy(), occupancy);
            assert_eq!((read.try_enter(false), read.try_exit(false)), (None, false));

            let written = summary();
            assert_eq!(written.try_enter(true), Some(running == 0 && !exclusive));
            if running == 0 {
                assert!(written.try_exit(true));
                assert_eq!(written.guard_occupancy(), Occupancy { running: 0, exclusive: false });
                assert_eq!((written.try_enter(true), written.try_exit(true)), (None, false));
            }
        }
    }

    #[test]
    fn a_waiter_hears_what_it_is_told_until_it_waits_again() {
        for turn in [Turn::Wait, Turn::Come, Turn::Go, Turn::Done] {
            let told = Told::new();
            assert_eq!((told.turn(), told.count()), (Turn::Wait, 0));
            told.tell(turn, 7);
            assert_eq!((told.turn(), told.count()), (turn, 7));
            told.untell();
            assert_eq!(told.turn(), Turn::Wait);
        }
    }

    #[test]
    fn barriers_are_counted_in_and_out() {
        let barriers = Barriers::none();
        assert!(!barriers.any());
        barriers.add();
        barriers.add();
        barriers.remove();
        assert!(barriers.any());
        barriers.remove();
        assert!(!barriers.any());
    }

    #[test]
    fn the_last_handle_knows_that_it_is() {
        let handles = Handles::one();
        handles.add();
        assert!(!handles.remove() && handles.any());
        assert!(handles.remove() && !handles.any());
    }
}
