//! The lane: what a queue handle points at.
//!
//! A lane is a job list, the drain's position in it, a gate, and a control. Push, a drain step and sync in place touch
//! the list and the gate only. Everything else is a plain state machine, the [`Control`], under one lock.
//!
//! While the list is not idle, exactly one *keeper* is responsible for it: a thread, which then has a [`Holder`], the
//! pool, which has been sent a token, or nobody at all, because the lane is suspended and parked. A holder leaves only
//! by declaring the list idle, by [`give`](Lane::give), or by a hand-over to the waiter at the front.
#![allow(unsafe_code, reason = "a holder is the proof that its thread may consume the list")]

use super::state::Barriers;
use super::state::Flag;
use super::state::Gate;
use super::state::Handles;
use super::waiter::Frame;
use super::waiter::Turn;
use super::waiter::WaiterPointer;
use crate::collections::BlockList;
use crate::collections::Consumer;
use crate::collections::Front;
use crate::collections::Pushed;
use crate::collections::dismantle;
use crate::engine::Engine;
use crate::engine::Loss;
use crate::engine::Phase;
use crate::engine::Suspended;
use crate::error::SuspendError;
use crate::job;
use crate::job::Job;
use crate::job::Route;
use crate::qos::Qos;
use crate::sync::Arc;
use crate::sync::Line;
use crate::sync::Mutex;
use crate::sync::MutexGuard;
use crate::sync::Parker;
use crate::sync::Weak;
use crate::sync::yield_point;
use std::collections::VecDeque;
use std::fmt;
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

/// Who is responsible for a serial lane that is not idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeper {
    /// A thread with a [`Holder`]; also while the lane is idle.
    Thread,
    /// The token in the pool, or whoever claims it first.
    Scheduled,
    /// Nobody until the lane is resumed.
    Parked,
}

/// Everything about a lane that is not a push, a drain step or a sync in place.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) suspends: u32,
    pub(super) keeper: Keeper,
    /// Drain jobs that are in the pool; a stale one ends when it runs. At most one for a serial lane.
    pub(super) tokens: usize,
    waiters: VecDeque<WaiterPointer>,
    /// Threads that wait for a running drain to drop what is pending. Each stands in line too.
    cancellers: Vec<WaiterPointer>,
    // The rest is the monitor of a concurrent lane.
    pub(super) width: usize,
    /// Sync calls count against the width too.
    pub(super) bounded: bool,
    pub(super) running: usize,
    pub(super) exclusive: bool,
    /// A thread looks through the list without the lock: nothing starts meanwhile.
    pub(super) walking: bool,
    /// It must go on to the end of the list, for another thread that was to drop everything.
    pub(super) sweep: Option<Loss>,
}

impl Control {
    /// Puts a waiter in line, once.
    pub(super) fn link(&mut self, waiter: WaiterPointer) {
        if !self.waiters.contains(&waiter) {
            self.waiters.push_back(waiter);
        }
    }

    pub(super) fn unlink(&mut self, waiter: WaiterPointer) {
        if let Some(place) = self.waiters.iter().position(|other| *other == waiter) {
            self.waiters.remove(place);
        }
    }

    pub(super) fn has_cancellers(&self) -> bool {
        !self.cancellers.is_empty()
    }

    pub(super) fn first_canceller(&self) -> Option<WaiterPointer> {
        self.cancellers.first().copied()
    }

    pub(super) fn first_waiter(&self) -> Option<WaiterPointer> {
        self.waiters.front().copied()
    }
}

/// What producers write: their own cache line.
#[derive(Debug)]
struct Producers {
    list: BlockList,
    handles: Handles,
}

/// What the drain touches for every job: its own cache line too.
struct Drain {
    front: Front,
    gate: Gate,
}

/// The object behind a queue. What both sides read for every job stands apart from what either of them writes.
#[repr(C)]
pub(crate) struct Lane {
    producers: Line<Producers>,
    drain: Line<Drain>,
    pub(super) kind: Kind,
    qos: Qos,
    pub(super) engine: Arc<Engine>,
    label: Arc<str>,
    pub(super) barriers: Barriers,
    control: Mutex<Control>,
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("label", &self.label).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Lane {
    /// A lane with one user handle. Lanes live in an `Arc` only.
    pub(super) fn new(label: Arc<str>, kind: Kind, qos: Qos, engine: Arc<Engine>, suspended: bool) -> Arc<Self> {
        let (width, bounded) = match kind {
            Kind::Serial => (1, true),
            Kind::Concurrent { width: Some(width) } => (width.get(), true),
            Kind::Concurrent { width: None } => (engine.executor().max_threads(), false),
        };
        let lane = Arc::new(Self {
            producers: Line(Producers { list: BlockList::new(), handles: Handles::one() }),
            drain: Line(Drain { front: Front::new(), gate: Gate::new() }),
            kind,
            qos,
            engine,
            label,
            barriers: Barriers::none(),
            control: Mutex::new(Control {
                suspends: 0,
                keeper: Keeper::Thread,
                tokens: 0,
                waiters: VecDeque::new(),
                cancellers: Vec::new(),
                width,
                bounded,
                running: 0,
                exclusive: false,
                walking: false,
                sweep: None,
            }),
        });
        if suspended {
            // One suspension of a fresh lane cannot be too many.
            let _ = lane.suspend();
        }
        lane
    }

    pub(super) fn label(&self) -> &Arc<str> {
        &self.label
    }

    pub(super) fn qos(&self) -> Qos {
        self.qos
    }

    pub(super) fn is_concurrent(&self) -> bool {
        matches!(self.kind, Kind::Concurrent { .. })
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
    pub(super) fn control(&self) -> MutexGuard<'_, Control> {
        yield_point();
        self.control.lock()
    }

    // The list.

    /// Appends a job; `Some` if the lane was idle and the caller holds it now.
    #[inline]
    #[must_use]
    pub(super) fn push(&self, job: Job) -> Option<Holder<'_>> {
        match self.producers.list.push(job, &self.engine.blocks) {
            Pushed::Queued => None,
            Pushed::Edge => Some(Holder(self)),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.producers.list.is_idle()
    }

    /// Takes an idle lane in place. It may turn out not to be empty.
    #[inline]
    #[must_use]
    pub(super) fn acquire(&self) -> Option<Acquired<'_>> {
        let position = self.producers.list.try_hold()?;
        let mut hold = Holder(self);
        let empty = hold.consumer().is_at(position);
        Some(if empty && !self.gate().is_shut() { Acquired::Free(hold) } else { Acquired::Held(hold) })
    }

    /// The list of a concurrent lane, which is consumed under the control.
    pub(super) fn consumer<'a>(&'a self, _: &'a mut Control) -> Consumer<'a> {
        assert!(self.is_concurrent(), "a serial lane is consumed by its holder");
        // SAFETY: the control's lock makes its owner the only consumer; `walk` is excluded by `walking`, which every
        // user of this tests.
        unsafe { self.producers.list.consumer(&self.drain.front, &self.engine.blocks) }
    }

    /// The list of a concurrent lane, for the thread that has set `walking`.
    pub(super) fn walker(&self) -> Consumer<'_> {
        assert!(self.is_concurrent(), "a serial lane is walked by its holder");
        // SAFETY: nobody else consumes while `walking` is set.
        unsafe { self.producers.list.consumer(&self.drain.front, &self.engine.blocks) }
    }

    // Keepers.

    /// Takes a scheduled serial lane over from its token.
    #[must_use]
    pub(super) fn claim(&self, control: &mut Control) -> Option<Holder<'_>> {
        (control.keeper == Keeper::Scheduled).then(|| self.take_over(control))
    }

    /// Takes a parked serial lane over from its suspension.
    #[must_use]
    pub(super) fn unpark(&self, control: &mut Control) -> Option<Holder<'_>> {
        (control.keeper == Keeper::Parked).then(|| self.take_over(control))
    }

    fn take_over(&self, control: &mut Control) -> Holder<'_> {
        control.keeper = Keeper::Thread;
        Holder(self) // The one that `give` or `park` consumed.
    }

    /// The hold that the calling thread has further up its stack, for looking through the list only: the duty to pass
    /// it on stays there.
    pub(super) fn held_by_caller(&self) -> Option<Holder<'_>> {
        (!self.is_concurrent() && Frame::hold_of(self).is_some()).then_some(Holder(self))
    }

    /// The hold that a waiter was given with [`Turn::Drain`].
    pub(super) fn handed_over(&self, turn: Turn) -> Option<Holder<'_>> {
        (turn == Turn::Drain).then_some(Holder(self)) // The one that `give` or `hand_over` consumed.
    }

    /// Sends a drain job to the pool.
    pub(super) fn submit_token(&self, route: Route) {
        let token = Token(Some(self.to_arc()));
        // After the end of the pool the job comes back, and its drop sees to the lane.
        drop(self.engine.executor().submit(Job::token(move || token.run()), route, self.qos));
    }

    /// Drops a job unrun, and reports it.
    pub(super) fn lose(&self, job: Job, loss: Loss) {
        self.engine.lose(&self.label, job, loss);
    }

    // Cancellation.

    /// Makes the running drain drop what is pending, for `canceller`, which stands in line meanwhile.
    pub(super) fn register_canceller(&self, control: &mut Control, canceller: WaiterPointer) {
        control.cancellers.push(canceller);
        control.link(canceller);
        self.gate().set(Flag::Cancel, true);
    }

    /// Undoes `register_canceller`, if it has been done.
    pub(super) fn deregister_canceller(&self, control: &mut Control, canceller: WaiterPointer) {
        control.cancellers.retain(|other| *other != canceller);
        if control.cancellers.is_empty() {
            self.gate().set(Flag::Cancel, false);
        }
    }

    /// Tells a canceller how many jobs were dropped for it. Unpark the result after unlocking.
    #[must_use]
    pub(super) fn complete(&self, canceller: WaiterPointer, count: usize, control: &mut Control) -> Arc<Parker> {
        self.deregister_canceller(control, canceller);
        canceller.tell(Turn::Done, count, control)
    }

    // Suspension.

    /// Counts one more suspension. No job starts after this has returned, except one that was already chosen.
    pub(super) fn suspend(&self) -> Result<(), SuspendError> {
        let mut control = self.control();
        let Some(suspends) = control.suspends.checked_add(1) else {
            return Err(SuspendError::TooManySuspensions { label: Arc::clone(&self.label) });
        };
        control.suspends = suspends;
        if suspends == 1 {
            self.gate().set(Flag::Suspended, true);
            let weak: Weak<dyn Suspended> = Arc::downgrade(&self.to_arc()) as Weak<dyn Suspended>;
            self.engine.note_suspended(self.id(), weak);
        }
        Ok(())
    }

    /// Counts one suspension less. `Ok(true)` if that was the last one: the lane must be set going.
    pub(super) fn end_suspension(&self, control: &mut Control) -> Result<bool, SuspendError> {
        let Some(suspends) = control.suspends.checked_sub(1) else {
            return Err(SuspendError::OverResume { label: Arc::clone(&self.label) });
        };
        control.suspends = suspends;
        if suspends == 0 {
            self.open_gate();
        }
        Ok(suspends == 0)
    }

    /// Ends all suspensions of a lane that nobody can resume any more.
    pub(super) fn end_all_suspensions(&self, control: &mut Control) {
        if control.suspends > 0 {
            control.suspends = 0;
            self.open_gate();
        }
    }

    fn open_gate(&self) {
        self.gate().set(Flag::Suspended, false);
        self.engine.forget_suspended(self.id());
    }

    fn id(&self) -> usize {
        ptr::from_ref(self).addr()
    }

    // Handles.

    pub(super) fn add_handle(&self) {
        self.producers.handles.add();
    }

    /// True if it was the last one.
    #[must_use]
    pub(super) fn remove_handle(&self) -> bool {
        self.producers.handles.remove()
    }

    /// True if somebody can still resume the lane. The control is locked: the last handle looks under it after it went.
    pub(super) fn has_handles(&self) -> bool {
        self.producers.handles.any()
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if self.control().suspends > 0 {
            // Else the engine's weak reference would keep the memory.
            self.engine.forget_suspended(self.id());
        }
        // A lane with a keeper is not dropped: the keeper has a reference. What is left here was parked when the runtime
        // ended, and is reported like everything that never runs.
        let left = dismantle(&mut self.producers.0.list, &mut self.drain.0.front, &self.engine.blocks);
        for job in left {
            match job.shape().kind {
                job::Kind::Job | job::Kind::Barrier => self.lose(job, Loss::Ended),
                _ => self.engine.give_up(&self.label, job),
            }
        }
    }
}

/// A lane's drain, on its way through the pool. A pool that has ended drops it unrun: if what was accepted is to run, it
/// runs here then, on the thread that leaves the lane last; else it is dropped.
struct Token(Option<Arc<Lane>>);

impl Token {
    fn run(mut self) {
        self.redeem();
    }

    fn redeem(&mut self) {
        if let Some(lane) = self.0.take() {
            match lane.engine.phase() {
                Phase::Cancelling => lane.abandon(),
                Phase::Open | Phase::Draining if lane.is_concurrent() => lane.run_concurrent(),
                Phase::Open | Phase::Draining => lane.run_serial(),
            }
        }
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.redeem();
    }
}

/// What taking an idle lane in place gave.
#[derive(Debug)]
#[must_use]
pub(super) enum Acquired<'a> {
    /// The lane was empty and is not suspended.
    Free(Holder<'a>),
    /// There is something to do first.
    Held(Holder<'a>),
}

/// The proof that the calling thread keeps the lane, and the duty to pass it on.
#[derive(Debug)]
#[must_use]
pub(super) struct Holder<'a>(&'a Lane);

impl<'a> Holder<'a> {
    pub(super) fn lane(&self) -> &'a Lane {
        self.0
    }

    #[inline]
    pub(super) fn consumer(&mut self) -> Consumer<'_> {
        // SAFETY: holders are made by the transitions of this file only, one for each period in which the list is not
        // idle, and are consumed when the duty passes on.
        unsafe { self.0.producers.list.consumer(&self.0.drain.front, &self.0.engine.blocks) }
    }

    /// Declares the lane idle. Gives the hold back if something has been pushed.
    #[inline]
    pub(super) fn try_idle(mut self) -> Result<(), Self> {
        yield_point();
        if self.consumer().try_idle() { Ok(()) } else { Err(self) }
    }

    /// Leaves the lane to its suspension.
    pub(super) fn park(self, control: &mut Control) {
        control.keeper = Keeper::Parked;
    }

    /// Leaves the lane to the pool. True if a token must be sent.
    #[must_use]
    pub(super) fn schedule(self, control: &mut Control) -> bool {
        control.keeper = Keeper::Scheduled;
        control.tokens == 0
    }

    /// Hands the lane to a waiter. Unpark the result after unlocking.
    #[must_use]
    pub(super) fn hand_over(self, waiter: WaiterPointer, control: &mut Control) -> Arc<Parker> {
        waiter.tell(Turn::Drain, 0, control)
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use crate::engine::Engine;
    use crate::queue::Queue;
    use crate::sync::Arc;

    #[test]
    fn a_queue_that_goes_while_it_is_suspended_leaves_nothing_behind() {
        let engine = Engine::in_place();
        for build in [Queue::serial_on, Queue::concurrent_on] {
            let queue = build(Arc::clone(&engine), "suspended");
            queue.suspend().unwrap();
            assert_eq!(engine.noted(), 1);
            drop(queue);
            assert_eq!((engine.noted(), Arc::strong_count(&engine)), (0, 1));
        }
    }
}
