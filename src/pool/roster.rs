//! The protocol between the word and the set of sleepers: who is to be woken, and when a sleeper may close its eyes.
//!
//! The roster knows neither threads nor queues, so that its models run without them: callers tell it whether work is
//! visible, and do the [`Errand`] it gives them.

use crate::pool::slot::SlotSet;
use crate::pool::state::Need;
use crate::pool::state::State;
use crate::sync::planted;

/// What the caller has to do so that nobody forgets queued work.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    /// Nothing.
    Done,
    /// Ring the bell of this slot's worker, who counts as searching already.
    Call(usize),
    /// Start a thread, if [`State::start`] agrees.
    Start,
    /// Rely on the sentinel.
    Watch,
    /// Empty the queues: the pool has stopped.
    Discard,
}

/// What a worker that has entered the set of sleepers does.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// It waits for its bell.
    Sleep,
    /// It waits for its bell, but first relies on the sentinel: there is work, and enough others are active.
    Watch,
    /// It is awake and counts as searching again.
    Up,
}

/// The counts and the sleepers.
#[derive(Debug)]
pub(crate) struct Roster {
    pub(crate) state: State,
    sleepers: SlotSet,
}

impl Roster {
    /// For `slots` slots, as many active workers as `threads` at rest, and at most `cap` threads.
    pub(crate) fn new(threads: usize, cap: usize, slots: usize) -> Self {
        Self { state: State::new(threads, cap), sleepers: SlotSet::new(slots) }
    }

    /// What a submitter owes after its push.
    pub(crate) fn notify(&self) -> Errand {
        match self.state.need() {
            Need::Nobody => Errand::Done,
            Need::Sleeper => self.call(),
            Need::Thread => Errand::Start,
            Need::Sentinel => Errand::Watch,
            Need::Discard => Errand::Discard,
        }
    }

    /// What whoever has just left a count owes: a submitter's duty if there is work.
    pub(crate) fn hand_over(&self, is_work_visible: impl FnOnce() -> bool) -> Errand {
        let now = self.state.settle();
        if now.is_stopped() || is_work_visible() { self.notify() } else { Errand::Done }
    }

    /// Takes a sleeper out of the set and counts it. In this order: counted first and then not found, it would hold a
    /// place in the search on behalf of nobody, and a submitter in between would count on it.
    pub(crate) fn call(&self) -> Errand {
        match self.sleepers.pop() {
            Some(slot) => {
                self.state.call();
                Errand::Call(slot)
            }
            // It is on its way into the set, and looks at the queues when it is there.
            None => Errand::Done,
        }
    }

    /// A searcher has found a job.
    pub(crate) fn found(&self, is_work_visible: impl FnOnce() -> bool) -> Errand {
        if self.state.found() { self.hand_over(is_work_visible) } else { Errand::Done }
    }

    /// A running worker is about to park in an own wait.
    pub(crate) fn block(&self, is_work_visible: impl FnOnce() -> bool) -> Errand {
        self.state.block();
        self.hand_over(is_work_visible)
    }

    /// A worker that counts as asleep enters the set, and looks once more.
    pub(crate) fn enter(&self, slot: usize, is_work_visible: impl FnOnce() -> bool) -> Rest {
        self.sleepers.insert(slot);
        let now = self.state.settle();
        if planted!("pool_no_recheck") {
            return Rest::Sleep;
        }
        if !now.is_stopped() && !is_work_visible() {
            Rest::Sleep
        } else if !now.is_stopped() && now.active() >= now.limit() {
            if now.is_relied() { Rest::Sleep } else { Rest::Watch }
        } else if self.sleepers.remove(slot) {
            self.state.call();
            Rest::Up
        } else {
            Rest::Sleep
        }
    }

    /// A sleeper has slept too long: true if it is awake and counts as running, false if somebody has called it.
    #[must_use]
    pub(crate) fn rise(&self, slot: usize) -> bool {
        let risen = self.sleepers.remove(slot);
        if risen {
            self.state.rise();
        }
        risen
    }

    /// A running worker is gone. After a stop nobody waits for it any more, so it touches no job: who pushes one then
    /// also drops it.
    pub(crate) fn leave(&self, is_work_visible: impl FnOnce() -> bool) -> Errand {
        self.state.leave();
        match self.hand_over(is_work_visible) {
            Errand::Discard => Errand::Done,
            errand => errand,
        }
    }

    /// A thread could not be started: whoever has counted on it needs somebody else. Only sleepers can help now.
    pub(crate) fn unstart(&self, is_work_visible: impl FnOnce() -> bool) -> Errand {
        self.state.unstart();
        match self.hand_over(is_work_visible) {
            Errand::Start => Errand::Watch,
            errand => errand,
        }
    }
}
