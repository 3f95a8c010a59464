//! What a thread leaves on its own stack: a [`Waiter`] while it stands in a lane's line, a [`Loan`] while another thread
//! runs its sync body, a [`Frame`] while it runs a lane's jobs.
//!
//! A waiter is reached by pointer, from its slot in the list and from the lane's control. Three rules keep the pointer
//! good. Its state changes only under the control of the lane it stands at. Whoever stores a state that lets the thread
//! go (`Come`, `Go`, `Done`) has cloned the parker before, and does not touch the waiter after. And between the
//! push of its slot and the end of its wait nothing on the waiting thread may unwind; a guard turns that into an abort.
//!
//! A loan is reached by one pointer, in the job that was pushed for it. The lender does not return before it has been told,
//! the job tells it once, when it has run or is dropped unrun, and that is the last that the job does.
#![allow(unsafe_code, reason = "waiters and frames live on their thread's stack and are reached by pointer")]

use super::control::Control;
use super::current;
use super::lane::Lane;
use super::state::Told;
pub(super) use super::state::Turn;
use crate::job::Job;
use crate::sync::Arc;
use crate::sync::Parker;
use crate::sync::Reason;
use crate::sync::park_while;
use crate::sync::parker;
use crate::sync::spin_loop;
use std::cell::Cell;
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

/// A sync body that the lane's own thread runs while its caller waits.
struct Loan<'a> {
    waiter: Waiter,
    lane: *const Lane,
    site: Site,
    /// What the caller holds: as long as it waits, whoever runs the body holds that too.
    lender: *const Frame,
    body: Cell<Option<&'a mut dyn FnMut()>>,
}

/// The job's end of a [`Loan`].
struct Borrowed<'a>(NonNull<Loan<'a>>);

// SAFETY: the lender touches nothing of the loan but its word until it is told. Every sync call demands `Send` of its
// closure and of the value, so the body may run on another thread.
unsafe impl Send for Borrowed<'_> {}

impl Borrowed<'_> {
    fn run(self) {
        // SAFETY: the lender waits until `drop` has told it, so the loan is alive.
        let loan = unsafe { self.0.as_ref() };
        if let Some(body) = loan.body.take() {
            // SAFETY: the thread that runs the job holds the lane, and keeps it alive.
            let lane = unsafe { &*loan.lane };
            Frame::enter(lane, Mode::Exclusive, Some(loan.site), loan.lender, body);
        }
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        // SAFETY: as in `run`; the lender is told here, and only here.
        let waiter = unsafe { &self.0.as_ref().waiter };
        let parker = Arc::clone(&waiter.parker);
        // From here on the lender's stack may be gone.
        waiter.told.tell(Turn::Done, 0);
        parker.unpark();
    }
}

/// Lets the thread that runs `lane`'s jobs run `body`, in its place in line, and returns when it has, or when the job was
/// dropped unrun. `body` contains its own panics.
pub(super) fn lend(lane: &Lane, site: Site, body: &mut dyn FnMut()) {
    let waiter = Waiter::new();
    let loan = Loan { waiter, lane, site, lender: current::top(), body: Cell::new(Some(body)) };
    let borrowed = Borrowed(NonNull::from(&loan));
    // SAFETY: only the lifetime changes. The job does not use the loan after it has told the lender, who waits for that.
    let borrowed = unsafe { std::mem::transmute::<Borrowed<'_>, Borrowed<'static>>(borrowed) };
    without_unwinding(|| {
        lane.enqueue(Job::token(move || borrowed.run()));
        loan.waiter.wait(&lane.reason_to_wait());
    });
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

    /// The newest lane.
    pub(super) fn current() -> Option<Arc<Lane>> {
        // SAFETY: as in `held`.
        Self::find(|frame| Some(unsafe { (*frame.lane).to_arc() }))
    }
}

/// Spins on `attempt` for about ten microseconds: longer than a short job takes, shorter than a park and a wake.
#[inline]
pub(super) fn spin_for<R>(mut attempt: impl FnMut() -> Option<R>) -> Option<R> {
    const TRIES: u32 = if cfg!(any(concourse_loom, concourse_shuttle)) { 1 } else { 400 };
    for tries in 1..=TRIES {
        let found = attempt();
        if found.is_some() || tries == TRIES {
            return found;
        }
        spin_loop();
    }
    None
}
