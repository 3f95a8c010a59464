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
use crate::sync::yield_now;
use std::panic::Location;
use std::ptr;
use std::ptr::NonNull;

/// A thread that stands in a lane's line.
#[derive(Debug)]
pub(super) struct Waiter {
    told: Told,
    /// The nearest lane above the one where the thread stands that the thread shares, or null. For comparison only.
    shared: *const Lane,
    parker: Arc<Parker>,
}

/// Spins before parking: a hand-over between running threads takes less than a microsecond.
const SPINS: u32 = 40;

impl Waiter {
    /// A waiter of the calling thread.
    pub(super) fn new() -> Self {
        Self { told: Told::new(), parker: parker(), shared: ptr::null() }
    }

    /// A waiter of the calling thread, which waits for what it lends to `lane`.
    pub(super) fn below(lane: &Lane) -> Self {
        Self { shared: Frame::shared_above(lane).map_or(ptr::null(), ptr::from_ref), ..Self::new() }
    }

    pub(super) fn turn(&self) -> Turn {
        self.told.turn()
    }

    /// Stands in line again, after a turn that was not the last. The control is locked.
    pub(super) fn rejoin(&self, _: &mut Control) {
        self.told.untell();
    }

    /// Stands in the line of `lane`. A thread that shares a lane above comes first: whoever else is told to come may have to
    /// wait up there for this one.
    pub(super) fn link(&self, lane: &Lane, control: &mut Control) {
        match self.shared(lane) {
            Some(_) => control.link_first(self.pointer()),
            None => control.link(self.pointer()),
        }
    }

    /// The lane above `lane` that the thread shared when it came.
    pub(super) fn shared<'a>(&self, lane: &'a Lane) -> Option<&'a Lane> {
        if self.shared.is_null() { None } else { lane.chain().find(|above| ptr::eq(*above, self.shared)) }
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
    /// The newest frame of the thread whose sync body this one runs, if it is not its own: it waits meanwhile.
    lender: *const Frame,
    outer: *const Frame,
}

impl Frame {
    /// Runs `f`, which runs or drops jobs of the lane, with `lane` as the thread's current one.
    #[inline]
    pub(super) fn run<R>(lane: &Lane, mode: Mode, f: impl FnOnce() -> R) -> R {
        Self::enter(lane, mode, None, ptr::null(), f)
    }

    /// Runs the body of a sync call with `lane` as the thread's current one.
    #[inline]
    pub(super) fn run_body<R>(lane: &Lane, mode: Mode, site: Site, f: impl FnOnce() -> R) -> R {
        Self::enter(lane, mode, Some(site), ptr::null(), f)
    }

    /// Runs the body of a sync call for the thread that has made it, whose newest frame is `lender`.
    pub(super) fn run_lent<R>(lane: &Lane, mode: Mode, site: Site, lender: *const Self, f: impl FnOnce() -> R) -> R {
        Self::enter(lane, mode, Some(site), lender, f)
    }

    #[inline]
    fn enter<R>(lane: &Lane, mode: Mode, site: Option<Site>, lender: *const Frame, f: impl FnOnce() -> R) -> R {
        struct Restore(*const Frame);
        impl Drop for Restore {
            #[inline]
            fn drop(&mut self) {
                current::replace_top(self.0);
            }
        }
        let frame = Frame { lane, mode, site, lender, outer: current::top() };
        let _restore = Restore(current::replace_top(ptr::from_ref(&frame)));
        f()
    }

    /// True if the calling thread holds any lane.
    pub(super) fn is_any() -> bool {
        !current::top().is_null()
    }

    /// Shows the thread's frames to `look`, newest first and those of a lender before what the thread held before, until
    /// it has found something.
    fn find<R>(mut look: impl FnMut(&Self) -> Option<R>) -> Option<R> {
        Self::find_from(current::top(), &mut look)
    }

    fn find_from<R>(mut next: *const Self, look: &mut impl FnMut(&Self) -> Option<R>) -> Option<R> {
        // SAFETY: a frame in the chain is on this thread's stack below us, or on that of a lender, who waits until the
        // frame of its body has been taken out; on each stack a frame is taken out before it goes.
        while let Some(frame) = unsafe { next.as_ref() } {
            let found = look(frame).or_else(|| Self::find_from(frame.lender, look));
            if found.is_some() {
                return found;
            }
            next = frame.outer;
        }
        None
    }

    /// How the thread holds `lane`, if it does; the strongest hold if there are several.
    #[inline]
    pub(super) fn hold_of(lane: &Lane) -> Option<Mode> {
        let mut shared = None;
        let alone = Self::find(|frame| {
            if !ptr::eq(frame.lane, lane) {
                return None;
            }
            shared = shared.or((frame.mode == Mode::Shared).then_some(Mode::Shared));
            (frame.mode != Mode::Shared).then_some(frame.mode)
        });
        alone.or(shared)
    }

    /// The nearest lane above `lane` that the thread shares.
    fn shared_above(lane: &Lane) -> Option<&Lane> {
        if current::top().is_null() {
            return None;
        }
        lane.chain().skip(1).find(|above| Self::hold_of(above).is_some())
    }

    /// True if the thread looks through `lane`'s list, further up its stack.
    pub(super) fn is_walking(lane: &Lane) -> bool {
        Self::find(|frame| (ptr::eq(frame.lane, lane) && frame.mode == Mode::Walking).then_some(())).is_some()
    }

    /// True if a sync call onto `lane` from this thread could never return: the thread holds the lane, or one that it
    /// targets, in a way that excludes the call.
    #[inline]
    pub(super) fn forbids(lane: &Lane, exclusive: bool) -> bool {
        !current::top().is_null() && Self::forbids_one_of(lane, exclusive)
    }

    #[inline(never)]
    fn forbids_one_of(lane: &Lane, exclusive: bool) -> bool {
        // What the thread shares, it may share again, with all that is above it.
        let held = lane.chain().find_map(|above| Some((above, Self::hold_of(above)?)));
        held.is_some_and(|(above, mode)| mode != Mode::Shared || exclusive && ptr::eq(above, lane))
    }

    /// The labels of the lanes that the thread holds and the sync calls by which it came to them, newest first.
    pub(super) fn held() -> Vec<(Arc<str>, Option<Site>)> {
        let mut held = Vec::new();
        let _: Option<()> = Self::find(|frame| {
            // SAFETY: whoever runs a lane's jobs keeps the lane alive.
            held.push((Arc::clone(unsafe { (*frame.lane).label() }), frame.site));
            None
        });
        held
    }

    /// True if what the thread runs belongs to `lane`: it is the newest lane, a target of it, or the one from which a
    /// sync call came here.
    pub(super) fn is_within(lane: &Lane) -> bool {
        Self::find(|frame| {
            // SAFETY: as in `held`.
            let is_here = unsafe { &*frame.lane }.chain().any(|above| ptr::eq(above, lane));
            (is_here || frame.site.is_none()).then_some(is_here)
        })
        .unwrap_or(false)
    }

    /// The newest lane; not one that is inactive still, and drops what it has collected.
    pub(super) fn current() -> Option<Arc<Lane>> {
        // SAFETY: as in `held`.
        Self::find(|frame| Some(unsafe { (*frame.lane).to_arc() })).filter(|lane| !lane.is_inactive())
    }
}

/// Spins on `attempt`, which has failed once, for about ten microseconds: longer than a short job takes, shorter than a park
/// and a wake.
///
/// The first look comes late. Where calls follow each other, whoever has the lane makes a few more of them meanwhile; two
/// threads that take turns at each call hand a cache line to and fro three times for it. The price is paid by a call that
/// meets a single other one: a microsecond or less.
pub(super) fn spin_again<R>(mut attempt: impl FnMut() -> Option<R>) -> Option<R> {
    const PAUSES_BEFORE: u32 = 32;
    const TRIES: u32 = 400;
    if IS_MODEL || !runs_beside_others() {
        return None;
    }
    (0..PAUSES_BEFORE).for_each(|_| spin_loop());
    (0..TRIES).find_map(|_| {
        spin_loop();
        attempt()
    })
}

/// Offers the processor to others between two attempts, a few times, as long as `is_worth_it`.
///
/// With more threads than processors, whoever has the lane may have lost its own. Were everybody in line when it comes back,
/// each call from then on would be a switch of threads, since those who have been served are in line again before it has
/// run empty.
pub(super) fn yield_again<R>(is_worth_it: impl Fn() -> bool, mut attempt: impl FnMut() -> Option<R>) -> Option<R> {
    const YIELDS: u32 = 16;
    if IS_MODEL || !runs_beside_others() {
        return None;
    }
    (0..YIELDS).take_while(|_| is_worth_it()).find_map(|_| {
        yield_now();
        attempt()
    })
}

/// To a model these are the same as no attempt at all.
const IS_MODEL: bool = cfg!(any(concourse_loom, concourse_shuttle));
