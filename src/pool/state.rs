//! The counts of a pool: who lives, who is awake, and who relies on whom, in one word.
//!
//! Every decision to wake, start, sleep or retire a worker is a reading of this word after a fence, or an exchange on
//! it; the [README](super) says why that loses no job. What a method leaves its caller to do is in its return value.
//!
//! ```text
//! 63   60 59      48 47       36 35       24 23        12 11          0
//! [flags ][ LIMIT  ][ LIVE     ][ AWAKE    ][ BLOCKED   ][ SEARCHING  ]
//!    |
//!    63 RELIED   62 WATCHED   61 CANCELLED   60 STOPPED
//! ```
//!
//! * `SEARCHING`: awake workers that look for work and will look again after they have left this count. A worker that
//!   was called counts from the call on, a started thread from its start on.
//! * `BLOCKED`: awake workers inside an own wait.
//! * `AWAKE`: live workers that are not in the set of sleepers, nor on their way into it.
//! * `LIVE`: threads, from before they are started until their last act. At most the cap.
//! * `LIMIT`: how many workers may be active (awake and not blocked) at a time. Passed for moments by workers that come
//!   back from a wait; the first one to look for work then lies down as surplus.
//! * `STOPPED`: no job is taken or started any more. Never cleared.
//! * `CANCELLED`: loose jobs are dropped instead of run. Never cleared.
//! * `WATCHED`: the sentinel ticks. Set by whoever relies on it, who then wakes it; cleared by the sentinel alone, with
//!   an exchange that `RELIED` defeats.
//! * `RELIED`: somebody has relied on the sentinel since its last tick. Only together with `WATCHED`.
//!
//! | `SEARCHING + BLOCKED` | `AWAKE` | `LIVE` | meaning |
//! |---|---|---|---|
//! | 0 | 0 | 0 | no threads |
//! | 0 | 0 | > 0 | all sleep |
//! | = `AWAKE` | > 0 | >= `AWAKE` | nobody runs |
//! | < `AWAKE` | > 0 | >= `AWAKE` | the difference runs |

use crate::bits::Field;
use crate::sync::AtomicU64;
use crate::sync::Line;
use crate::sync::Ordering;
use crate::sync::fence;
use crate::sync::planted;

const SEARCHING: Field = Field::lowest(12);
const BLOCKED: Field = SEARCHING.above(12);
const AWAKE: Field = BLOCKED.above(12);
const LIVE: Field = AWAKE.above(12);
const LIMIT: Field = LIVE.above(12);
const STOPPED: Field = LIMIT.above(1);
const CANCELLED: Field = STOPPED.above(1);
const WATCHED: Field = CANCELLED.above(1);
const RELIED: Field = WATCHED.above(1);
const _: () = assert!(RELIED.end() == 64);

/// The most threads that the counts have room for.
pub(crate) const MAX_THREADS: usize = LIVE.max() as usize;

/// A reading of the word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Snapshot(u64);

impl Snapshot {
    pub(crate) fn searching(self) -> usize {
        SEARCHING.get(self.0) as usize
    }

    pub(crate) fn blocked(self) -> usize {
        BLOCKED.get(self.0) as usize
    }

    pub(crate) fn awake(self) -> usize {
        AWAKE.get(self.0) as usize
    }

    pub(crate) fn live(self) -> usize {
        LIVE.get(self.0) as usize
    }

    pub(crate) fn limit(self) -> usize {
        LIMIT.get(self.0) as usize
    }

    pub(crate) fn active(self) -> usize {
        self.awake() - self.blocked()
    }

    pub(crate) fn sleeping(self) -> usize {
        self.live() - self.awake()
    }

    pub(crate) fn is_surplus(self) -> bool {
        self.active() > self.limit()
    }

    pub(crate) fn is_stopped(self) -> bool {
        self.0 & STOPPED.mask() != 0
    }

    pub(crate) fn is_cancelled(self) -> bool {
        self.0 & CANCELLED.mask() != 0
    }

    pub(crate) fn is_watched(self) -> bool {
        self.0 & WATCHED.mask() != 0
    }

    pub(crate) fn is_relied(self) -> bool {
        self.0 & RELIED.mask() != 0
    }

    /// True if a worker may just take the next job: the pool neither ends nor has too many active.
    #[inline]
    pub(crate) fn is_plain(self) -> bool {
        self.0 & (STOPPED.mask() | CANCELLED.mask()) == 0 && !self.is_surplus()
    }

    /// Fewer threads could run than may: starting one is allowed below `cap`.
    fn may_start(self, cap: usize) -> bool {
        self.live() - self.blocked() < self.limit() && self.live() < cap
    }

    fn may_search(self) -> bool {
        !self.is_surplus() && self.searching() * 2 < self.limit()
    }

    fn is_legal(self) -> bool {
        self.searching() + self.blocked() <= self.awake()
            && self.awake() <= self.live()
            && self.limit() >= 1
            && (self.is_watched() || !self.is_relied())
    }

    fn need(self, cap: usize) -> Need {
        if self.is_stopped() {
            Need::Discard
        } else if self.searching() > 0 {
            Need::Nobody
        } else if self.active() < self.limit() && self.sleeping() > 0 {
            Need::Sleeper
        } else if self.active() < self.limit() && self.may_start(cap) {
            Need::Thread
        } else if self.is_relied() {
            Need::Nobody
        } else {
            Need::Sentinel
        }
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("searching", &self.searching())
            .field("blocked", &self.blocked())
            .field("awake", &self.awake())
            .field("live", &self.live())
            .field("limit", &self.limit())
            .field("stopped", &self.is_stopped())
            .field("cancelled", &self.is_cancelled())
            .field("watched", &self.is_watched())
            .field("relied", &self.is_relied())
            .finish()
    }
}

/// What queued work needs so that nobody forgets it.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Somebody looks for it already.
    Nobody,
    /// A sleeper is to be called, if one is in the set; one that is not there yet looks by itself.
    Sleeper,
    /// A thread is to be started.
    Thread,
    /// The sentinel is to be relied upon: whoever may run is busy or blocked.
    Sentinel,
    /// The pool has stopped: the queues are to be emptied.
    Discard,
}

/// The word, and the two numbers that never change.
#[derive(Debug)]
pub(crate) struct State {
    word: Line<AtomicU64>,
    threads: usize,
    cap: usize,
}

impl State {
    /// `threads` is the limit at rest, `cap` the most threads that may live.
    pub(crate) fn new(threads: usize, cap: usize) -> Self {
        Self { word: Line(AtomicU64::new(LIMIT.put(threads as u64))), threads, cap }
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    pub(crate) fn cap(&self) -> usize {
        self.cap
    }

    /// A reading that is only a hint.
    pub(crate) fn read(&self) -> Snapshot {
        Snapshot(self.word.load(Ordering::Relaxed))
    }

    /// A reading that decides, made after what the caller has published and before it looks at what others have.
    pub(crate) fn settle(&self) -> Snapshot {
        // The fence of the protocol: the caller has pushed a job, or has left a count, or has entered the set of
        // sleepers, and whoever does the opposite fences in between too. One of the two sees the other.
        if !planted!("pool_no_fence") {
            fence(Ordering::SeqCst);
        }
        // Acquire: who sees that everybody sleeps or is gone also sees what their jobs did.
        Snapshot(self.word.load(Ordering::Acquire))
    }

    /// What a job that was just pushed needs.
    pub(crate) fn need(&self) -> Need {
        self.settle().need(self.cap)
    }

    /// Counts a sleeper that the caller has taken out of the set as awake and searching.
    pub(crate) fn call(&self) {
        self.add(AWAKE.one() + SEARCHING.one());
    }

    /// Counts the caller, who has taken itself out of the set of sleepers, as running.
    pub(crate) fn rise(&self) {
        self.add(AWAKE.one());
    }

    /// Counts a thread that the caller is about to start, unless enough live. It counts as searching.
    #[must_use]
    pub(crate) fn start(&self, cap: usize) -> bool {
        self.exchange(|now| {
            (!now.is_stopped() && now.may_start(cap)).then(|| now.0 + LIVE.one() + AWAKE.one() + SEARCHING.one())
        })
    }

    /// Takes [`State::start`] back. The caller looks at the queues afterwards.
    pub(crate) fn unstart(&self) {
        self.sub(LIVE.one() + AWAKE.one() + SEARCHING.one());
    }

    /// Counts the calling thread, which is not a worker, as a running one, if nobody else is active.
    #[must_use]
    pub(crate) fn stand_in(&self) -> bool {
        self.exchange(|now| {
            (!now.is_stopped() && now.active() == 0 && now.live() < self.cap).then(|| now.0 + LIVE.one() + AWAKE.one())
        })
    }

    /// Counts a worker that runs as gone. The caller looks at the queues afterwards.
    pub(crate) fn leave(&self) {
        self.sub(LIVE.one() + AWAKE.one());
    }

    /// Admits a running worker to the search, unless it is surplus or half of the limit searches already.
    #[must_use]
    pub(crate) fn search(&self) -> bool {
        self.exchange(|now| now.may_search().then(|| now.0 + SEARCHING.one()))
    }

    /// Counts a searcher as running; true if it was the last one, who looks at the queues afterwards.
    #[must_use]
    pub(crate) fn found(&self) -> bool {
        self.sub(SEARCHING.one()).searching() == 0
    }

    /// Counts a running worker as asleep. The caller enters the set of sleepers and looks at the queues afterwards.
    pub(crate) fn lie_down(&self) {
        self.sub(AWAKE.one());
    }

    /// As [`State::lie_down`], for a worker that has searched in vain.
    pub(crate) fn give_up(&self) {
        self.sub(AWAKE.one() + SEARCHING.one());
    }

    /// As [`State::lie_down`], but only while the worker is surplus.
    #[must_use]
    pub(crate) fn lie_down_as_surplus(&self) -> bool {
        self.exchange(|now| now.is_surplus().then(|| now.0 - AWAKE.one()))
    }

    /// Counts a running worker as blocked. The caller looks at the queues afterwards.
    pub(crate) fn block(&self) {
        self.add(BLOCKED.one());
    }

    /// Counts a blocked worker as running.
    pub(crate) fn unblock(&self) {
        self.sub(BLOCKED.one());
    }

    /// Sets how many workers may be active.
    pub(crate) fn set_limit(&self, limit: usize) {
        let _ = self.exchange(|now| Some(now.0 & !LIMIT.mask() | LIMIT.put(limit as u64)));
    }

    /// Relies on the sentinel until its next tick; true if the caller is to wake it.
    #[must_use]
    pub(crate) fn rely(&self) -> bool {
        // Release: the sentinel's tick reads this with Acquire. What it must see of the queues, the fences order.
        let before = self.word.fetch_or(WATCHED.mask() | RELIED.mask(), Ordering::AcqRel);
        !Snapshot(before).is_watched()
    }

    /// The sentinel's tick: nobody relies on it any more, except for what it will see when it looks now.
    pub(crate) fn tick(&self) -> Snapshot {
        let before = Snapshot(self.word.fetch_and(!RELIED.mask(), Ordering::AcqRel));
        // As in `settle`: either the sentinel sees the push, or the pusher sees that it must rely again.
        fence(Ordering::SeqCst);
        before
    }

    /// Ends the sentinel's watch, unless somebody has relied on it since its tick.
    #[must_use]
    pub(crate) fn unwatch(&self) -> bool {
        self.exchange(|now| (!now.is_relied()).then_some(now.0 & !WATCHED.mask()))
    }

    /// Takes [`State::rely`] back, as there is no sentinel.
    pub(crate) fn unrely(&self) {
        self.word.fetch_and(!(WATCHED.mask() | RELIED.mask()), Ordering::AcqRel);
    }

    /// Stops the pool. The caller calls every sleeper and empties the queues afterwards.
    pub(crate) fn stop(&self) {
        self.word.fetch_or(STOPPED.mask(), Ordering::AcqRel);
        // As in `settle`: either the caller sees a sleeper or a push, or they see `STOPPED`.
        fence(Ordering::SeqCst);
    }

    /// From now on loose jobs are dropped.
    pub(crate) fn cancel(&self) {
        self.word.fetch_or(CANCELLED.mask(), Ordering::AcqRel);
    }

    // AcqRel everywhere below: every change of a count continues one chain, so that who reads a count sees what was
    // done before it changed; on the machines we run on it is the same instruction.

    fn add(&self, counts: u64) {
        let before = self.word.fetch_add(counts, Ordering::AcqRel);
        debug_assert!(Snapshot(before + counts).is_legal(), "{:?}", Snapshot(before + counts));
    }

    fn sub(&self, counts: u64) -> Snapshot {
        let after = Snapshot(self.word.fetch_sub(counts, Ordering::AcqRel).wrapping_sub(counts));
        debug_assert!(after.is_legal(), "{after:?}");
        after
    }

    fn exchange(&self, next: impl Fn(Snapshot) -> Option<u64>) -> bool {
        let changed = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| next(Snapshot(now)));
        debug_assert!(changed.is_err() || changed.is_ok_and(|before| next(Snapshot(before)).is_some()));
        changed.is_ok()
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests;
