//! The lane: what a queue handle points at.
//!
//! A lane is a job list, the drain's position in it, a gate, a summary, and a control. Push, a drain step and sync in place
//! touch the list and the gate only. Everything else is a plain state machine, the [`Control`], under one lock; what of it
//! happens often is one exchange on the summary while the lane is plain.
//!
//! While the list is not idle, exactly one *keeper* is responsible for it: a thread, which then has a [`Holder`], a
//! token, which has been sent to the pool or into the target's line, a waiter on its way, or nobody at all, because the
//! lane is suspended and parked. A holder leaves only by declaring the list idle, by [`give`](Lane::give), or by keeping
//! the lane for the waiter at the front.
//!
//! There may be a hundred thousand of them: what is needed seldom stands in boxes of its own, and no field is aligned to a
//! cache line. Instead what is written by those who push is so far from what is written by the drain that no line holds
//! both, with what is needed seldom in between.
#![allow(unsafe_code, reason = "a holder is the proof that its thread may consume the list")]

use super::control::Control;
use super::control::Keeper;
use super::control::Locked;
use super::main_thread::MainThread;
use super::specific::Baggage;
use super::state::Barriers;
use super::state::Gate;
use super::state::Handles;
use super::state::Summary;
use super::waiter::Frame;
use super::waiter::Turn;
use super::waiter::WaiterPointer;
use crate::collections::BlockList;
use crate::collections::Consumer;
use crate::collections::Front;
use crate::collections::Peek;
use crate::collections::Position;
use crate::collections::Pushed;
use crate::collections::dismantle;
use crate::engine::Engine;
use crate::engine::Loss;
use crate::job::Job;
use crate::qos::Qos;
use crate::sync::Arc;
use crate::sync::Mutex;
use crate::sync::OnceLock;
use crate::sync::Parker;
use crate::sync::Reason;
use crate::sync::planted;
use crate::sync::yield_point;
use std::fmt;
use std::mem::offset_of;
use std::num::NonZeroUsize;
use std::ptr;

/// Whether a lane runs one job at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Serial,
    /// `None`: async jobs are bounded by the runtime's threads, sync calls are not bounded.
    Concurrent {
        width: Option<NonZeroUsize>,
    },
}

/// Where a lane's drains are scheduled, if not in the pool.
#[derive(Debug)]
pub(super) enum Home {
    /// In the line of its target.
    Target(Arc<Lane>),
    /// With the one thread that may run its jobs.
    MainThread(MainThread),
}

/// All that a push touches, unless it is the edge or its block is full.
struct Entrance {
    list: BlockList,
    handles: Handles,
    barriers: Barriers,
    is_concurrent: bool,
    /// Sync calls have counted against its width since it was made.
    is_born_bounded: bool,
    engine: Arc<Engine>,
}

/// All that the drain touches for every job; first what it writes.
#[repr(C)]
struct Drain {
    front: Front,
    gate: Gate,
    qos: Qos,
    summary: Summary,
    /// The same as at the entrance, which the drain would have to fetch anew after every push.
    engine: Arc<Engine>,
    /// Empty if drains are scheduled in the pool. Set before the lane is active, and never again.
    home: OnceLock<Box<Home>>,
}

/// The object behind a queue.
#[repr(C)]
pub(crate) struct Lane {
    entrance: Entrance,
    control: Mutex<Control>,
    drain: Drain,
    label: Arc<str>,
    baggage: OnceLock<Box<Baggage>>,
}

/// Words with so many bytes between them are never in one cache line, wherever the lane begins.
const APART: usize = 64 - size_of::<usize>();
/// A model's types are of other sizes.
const IS_MODEL: bool = cfg!(any(concourse_loom, concourse_shuttle));
const _: () = assert!(IS_MODEL || size_of::<Lane>() == 184);
const _: () = assert!(IS_MODEL || offset_of!(Lane, drain) >= size_of::<Entrance>() + APART);
// The next lane in memory may begin where this one ends.
const _: () = assert!(IS_MODEL || size_of::<Lane>() >= offset_of!(Lane, drain) + offset_of!(Drain, engine) + APART);

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_concurrent = self.is_concurrent();
        f.debug_struct("Lane")
            .field("label", &self.label)
            .field("is_concurrent", &is_concurrent)
            .finish_non_exhaustive()
    }
}

impl Lane {
    /// A lane with one user handle. Lanes live in an `Arc` only.
    pub(super) fn new(label: Arc<str>, kind: Kind, qos: Qos, engine: Arc<Engine>, suspended: bool) -> Arc<Self> {
        let control = Control::new(kind, engine.executor().max_threads());
        let entrance = Entrance {
            list: BlockList::new(),
            handles: Handles::one(),
            barriers: Barriers::none(),
            is_concurrent: kind != Kind::Serial,
            is_born_bounded: control.bounded,
            engine: Arc::clone(&engine),
        };
        let summary = Summary::new(control.is_plain());
        let drain = Drain { front: Front::new(), gate: Gate::new(), qos, summary, engine, home: OnceLock::new() };
        let baggage = OnceLock::new();
        let lane = Arc::new(Self { entrance, control: Mutex::new(control), drain, label, baggage });
        if suspended {
            // One suspension of a fresh lane cannot be too many.
            let _ = lane.suspend();
            lane.control().inactive = true;
        }
        lane
    }

    pub(super) fn label(&self) -> &Arc<str> {
        &self.label
    }

    pub(super) fn qos(&self) -> Qos {
        self.drain.qos
    }

    #[inline]
    pub(super) fn engine(&self) -> &Arc<Engine> {
        &self.drain.engine
    }

    /// The same, for whoever is about to push: nothing that the drain writes stands in its line.
    #[inline]
    pub(super) fn engine_at_entrance(&self) -> &Arc<Engine> {
        &self.entrance.engine
    }

    pub(super) fn is_inactive(&self) -> bool {
        self.gate().is_suspended() && self.control().inactive
    }

    pub(super) fn is_concurrent(&self) -> bool {
        self.entrance.is_concurrent
    }

    /// True if it had a width when it was made. It may have been given one since.
    pub(super) fn is_born_bounded(&self) -> bool {
        self.entrance.is_born_bounded
    }

    pub(super) fn barriers(&self) -> &Barriers {
        &self.entrance.barriers
    }

    pub(super) fn to_arc(&self) -> Arc<Self> {
        let this = ptr::from_ref(self);
        // SAFETY: `new` is the only constructor and returns an `Arc`, whose count is above zero while `self` is borrowed.
        unsafe {
            Arc::increment_strong_count(this);
            Arc::from_raw(this)
        }
    }

    #[inline]
    pub(super) fn gate(&self) -> &Gate {
        &self.drain.gate
    }

    /// Locks the control. A yield point: the caller holds no lock.
    pub(super) fn control(&self) -> Locked<'_> {
        yield_point();
        Locked::new(self.control.lock(), self)
    }

    #[inline]
    pub(super) fn summary(&self) -> &Summary {
        &self.drain.summary
    }

    // The list.

    /// Appends a job; `Some` if the lane was idle and the caller holds it now.
    #[inline(always)]
    #[must_use]
    pub(super) fn push(&self, job: Job) -> Option<Holder<'_>> {
        match self.entrance.list.push(job, || &self.engine_at_entrance().blocks) {
            Pushed::Queued => None,
            Pushed::Edge => Some(Holder(self)),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.entrance.list.is_idle()
    }

    /// Where the list ends at the moment: it is elsewhere when something has been pushed.
    pub(super) fn end(&self) -> Position {
        self.entrance.list.end()
    }

    /// Takes an idle lane in place, for one sync body. If it is suspended the caller holds it all the same, and has something
    /// to do first; if it is not idle it stays whose it is.
    ///
    /// The list's end is not read before: the read would wait for the exchange by which the lane was left, and the next
    /// exchange for the read.
    #[inline]
    pub(super) fn acquire(&self) -> Result<Visit<'_>, Option<Holder<'_>>> {
        if !self.entrance.list.try_hold() {
            return Err(None);
        }
        let hold = Holder(self);
        if self.gate().is_shut() { Err(Some(hold)) } else { Ok(hold.visit()) }
    }

    /// The list of a concurrent lane, which is consumed under the control.
    pub(super) fn consumer<'a>(&'a self, _: &'a mut Control) -> Consumer<'a> {
        assert!(self.is_concurrent(), "a serial lane is consumed by its holder");
        // SAFETY: the control's lock makes its owner the only consumer; `walk` is excluded by `walking`, which every
        // user of this tests.
        unsafe { self.entrance.list.consumer(&self.drain.front, &self.engine().blocks) }
    }

    /// The list of a concurrent lane, for the thread that has set `walking`.
    pub(super) fn walker(&self) -> Walker<'_> {
        assert!(self.is_concurrent(), "a serial lane is walked by its holder");
        Walker(self)
    }

    // Targets.

    /// Where the lane's drains are scheduled, if not in the pool.
    #[inline]
    pub(super) fn home(&self) -> Option<&Home> {
        self.drain.home.get().map(|home| &**home)
    }

    /// The lane in whose line the lane's drains stand, if there is one.
    #[inline]
    pub(super) fn target(&self) -> Option<&Arc<Self>> {
        match self.home() {
            Some(Home::Target(target)) => Some(target),
            Some(Home::MainThread(_)) | None => None,
        }
    }

    /// Settles where the lane's drains are scheduled. The lane is not active yet.
    pub(super) fn settle_at(&self, home: Home) {
        self.control().never_plain |= matches!(home, Home::MainThread(_));
        let unset = self.drain.home.set(Box::new(home)).is_ok();
        debug_assert!(unset, "a lane's home is set once");
    }

    // Keepers.

    /// What a thread tells its host while it stands in line here.
    pub(super) fn reason_to_wait(&self) -> Reason {
        let held = Frame::held().into_iter().map(|(label, _)| label).collect();
        Reason::Sync { queue: Arc::clone(&self.label), held }
    }

    /// Takes a serial lane that is scheduled, or that is kept for `me`.
    #[must_use]
    pub(super) fn claim(&self, me: Option<WaiterPointer>, control: &mut Control) -> Option<Holder<'_>> {
        let may = match control.keeper {
            Keeper::Scheduled => !planted!("lane_no_claim") || me.is_none(),
            Keeper::Due(waiter) => me == Some(waiter),
            Keeper::Thread | Keeper::Parked => false,
        };
        may.then(|| self.take_over(control))
    }

    /// Takes a plain lane that is scheduled, for its token.
    #[inline]
    #[must_use]
    pub(super) fn try_redeem(&self) -> Option<Holder<'_>> {
        // The hold that `schedule` or `try_schedule` consumed.
        self.summary().try_redeem().then_some(Holder(self))
    }

    /// Takes a serial lane that nobody touches, whoever it is kept for, to look through its list.
    #[must_use]
    pub(super) fn claim_for_a_walk(&self, control: &mut Control) -> Option<Holder<'_>> {
        (control.keeper != Keeper::Thread).then(|| self.take_over(control))
    }

    /// Takes a parked serial lane over from its suspension.
    #[must_use]
    pub(super) fn unpark(&self, control: &mut Control) -> Option<Holder<'_>> {
        (control.keeper == Keeper::Parked).then(|| self.take_over(control))
    }

    fn take_over(&self, control: &mut Control) -> Holder<'_> {
        control.keeper = Keeper::Thread;
        if let Some(Home::MainThread(thread)) = self.home() {
            control.tokens = 0;
            thread.hush();
        }
        Holder(self) // The one that `park`, `schedule` or `keep_for` consumed.
    }

    /// The hold that the calling thread has further up its stack, for looking through the list only: the duty to pass
    /// it on stays there.
    pub(super) fn held_by_caller(&self) -> Option<Holder<'_>> {
        (!self.is_concurrent() && Frame::hold_of(self).is_some()).then_some(Holder(self))
    }

    /// Drops a job unrun, and reports it.
    pub(super) fn lose(&self, job: Job, loss: Loss) {
        self.engine().lose(&self.label, job, loss);
    }

    /// How the engine calls the lane.
    pub(super) fn id(&self) -> usize {
        ptr::from_ref(self).addr()
    }

    // Baggage.

    pub(super) fn baggage(&self) -> Option<&Baggage> {
        self.baggage.get().map(|baggage| &**baggage)
    }

    pub(super) fn baggage_to_fill(&self) -> &Baggage {
        self.baggage.get_or_init(Box::default)
    }

    // Handles.

    pub(super) fn add_handle(&self) {
        self.entrance.handles.add();
    }

    /// True if it was the last one.
    #[must_use]
    pub(super) fn remove_handle(&self) -> bool {
        self.entrance.handles.remove()
    }

    /// True if somebody can still resume the lane. The control is locked: the last handle looks under it after it went.
    pub(super) fn has_handles(&self) -> bool {
        self.entrance.handles.any()
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if self.control().suspends > 0 {
            // Else the engine's weak reference would keep the memory.
            self.engine().forget_suspended(self.id());
        }
        // A lane with a keeper is not dropped: the keeper has a reference. What is left here was parked when the runtime
        // ended, and is reported like everything that never runs.
        let left = dismantle(&mut self.entrance.list, &mut self.drain.front, &self.drain.engine.blocks);
        for job in left {
            if job.shape().kind.is_closure() {
                self.lose(job, Loss::Ended);
            } else {
                self.engine().give_up(&self.label, job);
            }
        }
        if let Some(baggage) = self.baggage.take() {
            self.unload(baggage);
        }
    }
}

/// The proof that the calling thread keeps the lane, and the duty to pass it on.
#[derive(Debug)]
#[must_use]
pub(super) struct Holder<'a>(&'a Lane);

/// A hold for the length of one sync body, which takes nothing out of the list. Whoever drops it leaves the lane, by one
/// exchange if nothing has been pushed.
#[derive(Debug)]
#[must_use]
pub(super) struct Visit<'a> {
    lane: &'a Lane,
    end: Position,
}

impl Drop for Visit<'_> {
    #[inline]
    fn drop(&mut self) {
        yield_point();
        let mut hold = Holder(self.lane);
        if !hold.consumer().try_idle_at(self.end) {
            self.lane.leave(hold);
        }
    }
}

/// The proof that the calling thread walks through the concurrent lane: it has set `walking`.
#[derive(Debug)]
pub(super) struct Walker<'a>(&'a Lane);

/// Whoever is the only consumer of a lane's list. The consumer lives from one step to the next only: what a step drops may
/// come back to the lane.
pub(super) trait Consume {
    fn consumer(&mut self) -> Consumer<'_>;
}

impl Consume for Holder<'_> {
    #[inline]
    fn consumer(&mut self) -> Consumer<'_> {
        // SAFETY: holders are made by the transitions of this file only, one for each period in which the list is not
        // idle, and are consumed when the duty passes on.
        unsafe { self.0.entrance.list.consumer(&self.0.drain.front, &self.0.engine().blocks) }
    }
}

impl Consume for Walker<'_> {
    fn consumer(&mut self) -> Consumer<'_> {
        // SAFETY: nobody else consumes while `walking` is set.
        unsafe { self.0.entrance.list.consumer(&self.0.drain.front, &self.0.engine().blocks) }
    }
}

impl<'a> Holder<'a> {
    /// Keeps the lane for one sync body.
    #[inline]
    pub(super) fn visit(mut self) -> Visit<'a> {
        Visit { lane: self.0, end: self.consumer().end() }
    }

    /// Declares the lane idle. Gives the hold back if something has been pushed.
    #[inline]
    pub(super) fn try_idle(mut self) -> Result<(), Self> {
        yield_point();
        if self.consumer().try_idle() { Ok(()) } else { Err(self) }
    }

    /// True if the body of a sync call is at the front.
    pub(super) fn is_at_a_sync(&mut self) -> bool {
        matches!(self.consumer().peek(), Peek::Ready(shape) if shape.kind.is_sync())
    }

    /// Leaves the lane to its suspension.
    pub(super) fn park(self, control: &mut Control) {
        control.keeper = Keeper::Parked;
    }

    /// Leaves a plain lane to a token, which must be sent; gives the hold back if the lane is not plain.
    #[inline]
    pub(super) fn try_schedule(self) -> Result<(), Self> {
        if self.0.summary().try_schedule() { Ok(()) } else { Err(self) }
    }

    /// Leaves the lane to a token. True if one must be sent.
    #[must_use]
    pub(super) fn schedule(self, control: &mut Control) -> bool {
        control.keeper = Keeper::Scheduled;
        control.tokens == 0
    }

    /// Leaves the lane to a waiter. Unpark the result after unlocking; a waiter that does not stand in line is awake, and
    /// finds the lane by itself.
    #[must_use]
    pub(super) fn keep_for(self, waiter: WaiterPointer, control: &mut Control) -> Option<Arc<Parker>> {
        control.keeper = Keeper::Due(waiter);
        control.unlink(waiter).then(|| waiter.tell(Turn::Come, 0, control))
    }
}
