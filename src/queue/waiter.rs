//! What a thread leaves on its own stack: a [`Waiter`] while it stands in a lane's line, a [`Frame`] while it runs a
//! lane's jobs.
//!
//! A waiter is reached by pointer, from its slot in the list and from the lane's control. Three rules keep the pointer
//! good. Its state changes only under the control of the lane it stands at. Whoever stores a state that lets the thread
//! go (`Come`, `Go`, `Done`) has cloned the parker before, and does not touch the waiter after. And between the
//! push of its slot and the end of its wait nothing on the waiting thread may unwind; a guard turns that into an abort.
#![allow(unsafe_code, reason = "waiters and frames live on their thread's stack and are reached by pointer")]

use super::control::Control;
use super::current;
use super::lane::Lane;
use super::state::Told;
pub(super) use super::state::Turn;
use crate::sync::Arc;
use crate::sync::Parker;
use crate::sync::Reason;
use crate::sync::park_while;
use crate::sync::parker;
use crate::sync::runs_beside_others;
use crate::sync::spin_loop;
use std::panic::Location;
use std::ptr;
use std::ptr::NonNull;

/// A thread that stands in a lane's line.
#[derive(Debug)]
pub(super) struct Waiter {
    told: Told,
    parker: Arc<Parker>,
}

/// Spins before parking: a hand-over between running threads takes less than a microsecond.
const SPINS: u32 = 40;

impl Waiter {
    /// A waiter of the calling thread.
    pub(super) fn new() -> Self {
        Self { told: Told::new(), parker: parker() }
    }

    pub(super) fn turn(&self) -> Turn {
        self.told.turn()
    }

    /// Stands in line again, after a turn that was not the last. The control is locked.
    pub(super) fn rejoin(&self, _: &mut Control) {
        self.told.untell();
    }

    /// What `Done` came with.
    pub(super) fn count(&self) -> usize {
        self.told.count()
    }

    /// Blocks until the turn is something else than `Wait`.
    pub(super) fn wait(&self, reason: &Reason) {
        if !cfg!(any(concourse_loom, concourse_shuttle)) {
            for _ in 0..SPINS {
                if self.turn() != Turn::Wait {
                    return;
                }
                spin_loop();
            }
        }
        park_while(&self.parker, reason, None, || self.turn() == Turn::Wait);
    }

    pub(super) fn pointer(&self) -> WaiterPointer {
        WaiterPointer(NonNull::from(self))
    }
}

/// A waiter as its lane knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WaiterPointer(NonNull<Waiter>);

// SAFETY: a waiter is only touched under its lane's control, see the module.
unsafe impl Send for WaiterPointer {}

impl WaiterPointer {
    /// As the first word of a slot.
    pub(super) fn to_word(self) -> *const () {
        self.0.as_ptr().cast()
    }

    /// From the first word of a slot. Nothing is followed here: a wrong word would be met by `tell`.
    pub(super) fn from_word(word: *const ()) -> Option<Self> {
        NonNull::new(word.cast_mut().cast()).map(Self)
    }

    /// Tells the waiter its turn, under the control of the lane where it stands. The returned parker must be unparked
    /// once the control is unlocked.
    #[must_use]
    pub(super) fn tell(self, turn: Turn, count: usize, control: &mut Control) -> Arc<Parker> {
        control.unlink(self);
        // SAFETY: the thread leaves its wait only after a turn was stored under this control, and that is done once: a
        // waiter that is told is in the line or in a slot of this lane, and both places are given up by telling it.
        let waiter = unsafe { self.0.as_ref() };
        let parker = Arc::clone(&waiter.parker);
        // From here on the waiter's stack may be gone.
        waiter.told.tell(turn, count);
        parker
    }
}

/// Runs `f`, and ends the process if it unwinds: somebody may hold a pointer into the stack that it would leave.
///
/// `panicking` does not tell: the call may come from a destructor while the thread unwinds for another reason.
pub(super) fn without_unwinding<R>(f: impl FnOnce() -> R) -> R {
    struct Abort;
    impl Drop for Abort {
        fn drop(&mut self) {
            std::process::abort();
        }
    }
    let abort = Abort;
    let value = f();
    std::mem::forget(abort);
    value
}

/// How a thread holds a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Alone: a serial lane, or a barrier.
    Exclusive,
    /// Beside others, on a concurrent lane.
    Shared,
    /// Looking through a concurrent lane's list, where nothing starts meanwhile.
    Walking,
}

/// Where a sync call was made.
pub(super) type Site = &'static Location<'static>;

/// One lane that the thread runs jobs of; frames nest.
#[derive(Debug)]
pub(super) struct Frame {
    lane: *const Lane,
    mode: Mode,
    /// `None` if the thread runs the lane's own jobs, which belong to nobody further down the stack.
    site: Option<Site>,
    outer: *const Frame,
}

impl Frame {
    /// Runs `f`, which runs or drops jobs of the lane, with `lane` as the thread's current one.
    #[inline]
    pub(super) fn run<R>(lane: &Lane, mode: Mode, f: impl FnOnce() -> R) -> R {
        Self::enter(lane, mode, None, f)
    }

    /// Runs the body of a sync call with `lane` as the thread's current one.
    #[inline]
    pub(super) fn run_body<R>(lane: &Lane, mode: Mode, site: Site, f: impl FnOnce() -> R) -> R {
        Self::enter(lane, mode, Some(site), f)
    }

    #[inline]
    fn enter<R>(lane: &Lane, mode: Mode, site: Option<Site>, f: impl FnOnce() -> R) -> R {
        struct Restore(*const Frame);
        impl Drop for Restore {
            #[inline]
            fn drop(&mut self) {
                current::replace_top(self.0);
            }
        }
        let frame = Frame { lane, mode, site, outer: current::top() };
        let _restore = Restore(current::replace_top(ptr::from_ref(&frame)));
        f()
    }

    /// The thread's frames, newest first.
    fn all() -> impl Iterator<Item = &'static Self> {
        let mut next = current::top();
        std::iter::from_fn(move || {
            // SAFETY: a frame in the chain is on this thread's stack below us, and is taken out before it goes; the
            // iterator does not leave this module, whose functions return before any frame ends.
            let frame = unsafe { next.as_ref() }?;
            next = frame.outer;
            Some(frame)
        })
    }

    /// How the thread holds `lane`, if it does; the strongest hold if there are several.
    #[inline]
    pub(super) fn hold_of(lane: &Lane) -> Option<Mode> {
        let mut held = None;
        for frame in Self::all().filter(|frame| ptr::eq(frame.lane, lane)) {
            if frame.mode != Mode::Shared {
                return Some(frame.mode);
            }
            held = Some(Mode::Shared);
        }
        held
    }

    /// True if the thread looks through `lane`'s list, further up its stack.
    pub(super) fn is_walking(lane: &Lane) -> bool {
        Self::all().any(|frame| ptr::eq(frame.lane, lane) && frame.mode == Mode::Walking)
    }

    /// True if a sync call onto `lane` from this thread could never return: the thread holds the lane, or one that it
    /// targets, in a way that excludes the call.
    #[inline]
    pub(super) fn forbids(lane: &Lane, exclusive: bool) -> bool {
        !current::top().is_null() && Self::forbids_one_of(lane, exclusive)
    }

    fn forbids_one_of(lane: &Lane, exclusive: bool) -> bool {
        // What the thread shares, it may share again, with all that is above it.
        let held = lane.chain().find_map(|above| Some((above, Self::hold_of(above)?)));
        held.is_some_and(|(above, mode)| mode != Mode::Shared || exclusive && ptr::eq(above, lane))
    }

    /// The labels of the lanes that the thread holds and the sync calls by which it came to them, newest first.
    pub(super) fn held() -> Vec<(Arc<str>, Option<Site>)> {
        // SAFETY: whoever runs a lane's jobs keeps the lane alive.
        Self::all().map(|frame| (Arc::clone(unsafe { (*frame.lane).label() }), frame.site)).collect()
    }

    /// True if what the thread runs belongs to `lane`: it is the newest lane, a target of it, or the one from which a
    /// sync call came here.
    pub(super) fn is_within(lane: &Lane) -> bool {
        for frame in Self::all() {
            // SAFETY: as in `held`.
            if unsafe { &*frame.lane }.chain().any(|above| ptr::eq(above, lane)) {
                return true;
            }
            if frame.site.is_none() {
                return false;
            }
        }
        false
    }

    /// The newest lane.
    pub(super) fn current() -> Option<Arc<Lane>> {
        // SAFETY: as in `held`.
        Self::all().next().map(|frame| unsafe { (*frame.lane).to_arc() })
    }
}

/// Spins on `attempt` for about ten microseconds: longer than a short job takes, shorter than a park and a wake.
#[inline]
pub(super) fn spin_for<R>(mut attempt: impl FnMut() -> Option<R>) -> Option<R> {
    const TRIES: u32 = if cfg!(any(concourse_loom, concourse_shuttle)) { 1 } else { 400 };
    for tries in 1..=TRIES {
        let found = attempt();
        if found.is_some() || tries == TRIES || !runs_beside_others() {
            return found;
        }
        spin_loop();
    }
    None
}
