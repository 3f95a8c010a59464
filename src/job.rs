//! One type-erased unit to run: a [`Shape`] and three words, and the one place that contains panics.
//!
//! A [`Job`] is 32 bytes. A closure of up to three words is stored in place, a larger one is boxed. What a lane must
//! know of a job before it runs it (is it a barrier, a waiter, a marker?) stands in the shape, which is a constant per
//! closure type, so a job carries no tag of its own.
//!
//! The two traits through which lower layers call up are here as well: [`Executor`], where jobs go.
#![allow(unsafe_code, reason = "a closure is stored as untyped words and given back its type by its own shape")]

use crate::qos::Qos;
use crate::sync::thread_local;
use std::any::Any;
use std::any::type_name;
use std::cell::Cell;
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::panic::{AssertUnwindSafe, Location, PanicHookInfo};

/// What a lane does with a job when it reaches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Run it; on a concurrent lane beside others.
    Job,
    /// As `Job`, and it was registered while jobs were accepted, for an event that has come now: a drain takes it still.
    Promised,
    /// Run it alone.
    Barrier,
    /// Run a lane that targets this one. Cancelling this lane leaves it in place.
    Token,
    /// A thread waits here for its turn; the first word is its waiter, or the job is the body that it has lent.
    Sync,
    /// As `Sync`, and it counts like an async job.
    CountedSync,
    /// As `Sync`, for its turn alone.
    SyncBarrier,
    /// Everything before this has been served; the first word is a waiter.
    Cancel,
    /// A served slot that could not be taken out of the middle.
    Noop,
}

impl Kind {
    /// True if this is a closure of the user's, and no place in line.
    pub(crate) fn is_closure(self) -> bool {
        matches!(self, Self::Job | Self::Promised | Self::Barrier)
    }

    /// True if a thread waits for this.
    pub(crate) fn is_sync(self) -> bool {
        matches!(self, Self::Sync | Self::CountedSync | Self::SyncBarrier)
    }

    /// True if this runs alone on a concurrent lane.
    pub(crate) fn is_barrier(self) -> bool {
        matches!(self, Self::Barrier | Self::SyncBarrier)
    }
}

/// Whether a closure is taken in a drain, too: it is if it was registered before.
///
/// What is registered in a drain is not, or a callback that registers its like would keep the drain going for ever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promise(pub(crate) bool);

/// Three words of a closure's captures, or a pointer to them.
pub(crate) type Words = [MaybeUninit<usize>; 3];

/// What can be done with the words of one closure type.
pub(crate) struct Shape {
    pub(crate) kind: Kind,
    /// Runs the closure and consumes the words, also when it unwinds.
    run: unsafe fn(*mut Words),
    /// Drops the closure and consumes the words, also when it unwinds.
    discard: unsafe fn(*mut Words),
    name: fn() -> &'static str,
}

/// A unit to run, once. Dropping it drops the closure unrun.
pub struct Job {
    shape: &'static Shape,
    words: Words,
}

// SAFETY: every constructor demands `Send` of what it stores; a marker's pointer is only followed by a lane under the
// rules of its waiter.
unsafe impl Send for Job {}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("kind", &self.shape.kind).field("type", &self.type_name()).finish()
    }
}

/// The shapes of one closure type, for each kind that carries a closure. Reports speak of it as of `N`.
struct Shapes<F, N>(PhantomData<(F, N)>);

impl<F: FnOnce() + Send, N> Shapes<F, N> {
    const INLINE: bool = size_of::<F>() <= size_of::<Words>() && align_of::<F>() <= align_of::<Words>();
    const JOB: Shape = Self::of(Kind::Job);
    const PROMISED: Shape = Self::of(Kind::Promised);
    const BARRIER: Shape = Self::of(Kind::Barrier);
    const TOKEN: Shape = Self::of(Kind::Token);
    const SYNC: Shape = Self::of(Kind::Sync);
    const COUNTED_SYNC: Shape = Self::of(Kind::CountedSync);
    const SYNC_BARRIER: Shape = Self::of(Kind::SyncBarrier);

    const fn of(kind: Kind) -> Shape {
        if Self::INLINE {
            Shape { kind, run: Self::run_inline, discard: Self::discard_inline, name: type_name::<N> }
        } else {
            Shape { kind, run: Self::run_boxed, discard: Self::discard_boxed, name: type_name::<N> }
        }
    }

    unsafe fn run_inline(words: *mut Words) {
        // SAFETY: the words hold an `F` that nobody else will read (the caller's promise).
        let f = unsafe { words.cast::<F>().read() };
        f();
    }

    unsafe fn discard_inline(words: *mut Words) {
        // SAFETY: as in `run_inline`.
        drop(unsafe { words.cast::<F>().read() });
    }

    unsafe fn run_boxed(words: *mut Words) {
        // SAFETY: the first word holds the box's pointer, and nobody else will read it (the caller's promise).
        let f = unsafe { Box::from_raw(words.cast::<*mut F>().read()) };
        #[cfg(concourse_planted = "leak")]
        // SAFETY: the box is not used again: its allocation is the leak that AddressSanitizer must report.
        let f = unsafe { Box::into_raw(f).read() };
        f();
        #[cfg(concourse_planted = "use_after_free")]
        // SAFETY: none. This is the use after free that AddressSanitizer must report.
        unsafe {
            words.cast::<*mut u8>().read().read_volatile();
        }
    }

    unsafe fn discard_boxed(words: *mut Words) {
        // SAFETY: as in `run_boxed`.
        drop(unsafe { Box::from_raw(words.cast::<*mut F>().read()) });
    }
}

impl Job {
    /// A job that runs `f`. Allocates only if `f` is larger than three words.
    #[inline]
    pub(crate) fn new<F: FnOnce() + Send + 'static>(f: F) -> Self {
        Self::with_shape(f, &Shapes::<F, F>::JOB)
    }

    /// A job that runs `f`, of which reports speak as of `N`: the user's closure, which `f` wraps.
    #[inline]
    pub(crate) fn wrapping<N, F: FnOnce() + Send + 'static>(f: F) -> Self {
        Self::with_shape(f, &Shapes::<F, N>::JOB)
    }

    /// As [`wrapping`](Self::wrapping), alone on a concurrent lane.
    #[inline]
    pub(crate) fn wrapping_alone<N, F: FnOnce() + Send + 'static>(f: F) -> Self {
        Self::with_shape(f, &Shapes::<F, N>::BARRIER)
    }

    /// As [`wrapping`](Self::wrapping), and it was registered before it is submitted.
    pub(crate) fn registered<N, F: FnOnce() + Send + 'static>(promise: Promise, f: F) -> Self {
        Self::with_shape(f, if promise.0 { &Shapes::<F, N>::PROMISED } else { &Shapes::<F, N>::JOB })
    }

    /// A job that runs `f` alone on a concurrent lane.
    #[inline]
    pub(crate) fn barrier<F: FnOnce() + Send + 'static>(f: F) -> Self {
        Self::with_shape(f, &Shapes::<F, F>::BARRIER)
    }

    /// A job that runs a lane's drain.
    #[inline]
    pub(crate) fn token<F: FnOnce() + Send + 'static>(f: F) -> Self {
        Self::with_shape(f, &Shapes::<F, F>::TOKEN)
    }

    /// A job that runs the body of a sync call, for a thread that waits for it.
    pub(crate) fn lent<F: FnOnce() + Send + 'static>(kind: Kind, f: F) -> Self {
        match kind {
            Kind::Token => Self::with_shape(f, &Shapes::<F, F>::TOKEN),
            Kind::SyncBarrier => Self::with_shape(f, &Shapes::<F, F>::SYNC_BARRIER),
            Kind::CountedSync => Self::with_shape(f, &Shapes::<F, F>::COUNTED_SYNC),
            _ => Self::with_shape(f, &Shapes::<F, F>::SYNC),
        }
    }

    #[inline]
    fn with_shape<F: FnOnce() + Send>(f: F, shape: &'static Shape) -> Self {
        let mut words = [MaybeUninit::uninit(); 3];
        let place = words.as_mut_ptr();
        if Shapes::<F, F>::INLINE {
            // SAFETY: `INLINE` says that an `F` fits the words in size and alignment.
            unsafe { place.cast::<F>().write(f) };
        } else {
            // SAFETY: a thin pointer fits the first word.
            unsafe { place.cast::<*mut F>().write(Box::into_raw(Box::new(f))) };
        }
        Self { shape, words }
    }

    /// A slot that a lane interprets by itself: `pointer` is its first word.
    pub(crate) fn marker(kind: Kind, pointer: *const ()) -> Self {
        const fn shape(kind: Kind) -> Shape {
            Shape { kind, run: ignore, discard: ignore, name: || "a marker" }
        }
        unsafe fn ignore(_: *mut Words) {}
        const SYNC: Shape = shape(Kind::Sync);
        const COUNTED_SYNC: Shape = shape(Kind::CountedSync);
        const SYNC_BARRIER: Shape = shape(Kind::SyncBarrier);
        const CANCEL: Shape = shape(Kind::Cancel);
        const NOOP: Shape = shape(Kind::Noop);
        let shape = match kind {
            Kind::Sync => &SYNC,
            Kind::CountedSync => &COUNTED_SYNC,
            Kind::SyncBarrier => &SYNC_BARRIER,
            Kind::Cancel => &CANCEL,
            Kind::Noop | Kind::Job | Kind::Promised | Kind::Barrier | Kind::Token => &NOOP,
        };
        let mut words = [MaybeUninit::uninit(); 3];
        // SAFETY: a thin pointer fits the first word.
        unsafe { words.as_mut_ptr().cast::<*const ()>().write(pointer) };
        Self { shape, words }
    }

    /// Splits the job for storing it in a slot. The words must find their shape again.
    #[inline]
    pub(crate) fn into_parts(self) -> (&'static Shape, Words) {
        let job = ManuallyDrop::new(self);
        (job.shape, job.words)
    }

    /// Puts a stored job together again.
    ///
    /// # Safety
    ///
    /// The parts come from one `into_parts` and are used once.
    #[inline]
    pub(crate) unsafe fn from_parts(shape: &'static Shape, words: Words) -> Self {
        Self { shape, words }
    }

    /// Runs the job. What the closure captured is gone afterwards, also when it unwinds.
    #[inline]
    pub(crate) fn run(self) {
        let mut job = ManuallyDrop::new(self);
        // SAFETY: the words belong to the shape, and `ManuallyDrop` keeps `drop` from using them again.
        unsafe { (job.shape.run)(&mut job.words) }
    }

    /// The shape, for what a lane must know.
    #[inline]
    pub(crate) fn shape(&self) -> &'static Shape {
        self.shape
    }

    /// The name of the closure's type.
    pub(crate) fn type_name(&self) -> &'static str {
        self.shape.type_name()
    }
}

impl Shape {
    /// The name of the closure's type.
    pub(crate) fn type_name(&self) -> &'static str {
        (self.name)()
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shape").field("kind", &self.kind).field("type", &self.type_name()).finish()
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // SAFETY: a job that was run or split never reaches `drop`.
        unsafe { (self.shape.discard)(&mut self.words) }
    }
}

/// What a contained panic leaves behind.
pub(crate) struct Panic {
    payload: Box<dyn Any + Send>,
    /// Where it was raised, if the process's panic hook still passes through ours.
    pub(crate) location: Option<&'static Location<'static>>,
}

impl Panic {
    /// The panic's message, if it is a text.
    pub(crate) fn message(&self) -> &str {
        if let Some(text) = self.payload.downcast_ref::<&'static str>() {
            text
        } else if let Some(text) = self.payload.downcast_ref::<String>() {
            text
        } else {
            "a payload that is not a text"
        }
    }

    /// Goes on unwinding on this thread, without running the panic hook again.
    ///
    /// Whoever contains it next, on this thread, still learns where it was raised.
    pub(crate) fn resume(self) -> ! {
        let _ = LAST_PANIC.try_with(|last| last.set(self.location));
        std::panic::resume_unwind(self.payload)
    }

    /// Drops the payload, whose own drop may panic. A payload that does so is leaked: there is nobody left to tell.
    pub(crate) fn bury(self) {
        if let Err(second) = std::panic::catch_unwind(AssertUnwindSafe(|| drop(self.payload))) {
            std::mem::forget(second);
        }
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Panic").field("message", &self.message()).field("location", &self.location).finish()
    }
}

std::thread_local! {
    static LAST_PANIC: Cell<Option<&'static Location<'static>>> = const { Cell::new(None) };
}

/// Runs `f` and contains its panic. The only `catch_unwind` of the crate besides [`Panic::bury`].
pub(crate) fn contain<R>(f: impl FnOnce() -> R) -> Result<R, Panic> {
    std::panic::catch_unwind(AssertUnwindSafe(f))
        .map_err(|payload| Panic { payload, location: LAST_PANIC.try_with(Cell::take).ok().flatten() })
}

type Ending = Box<dyn FnOnce()>;

thread_local! {
    /// What ends after what the thread is ending; `None` if it is ending nothing.
    static TO_END: RefCell<Option<Vec<Ending>>> = const { RefCell::new(None) };
}

/// Calls `end`, or leaves it to the call further up the stack that is ending another one: the end of one may end the next,
/// and such a chain may be longer than any stack. The first panic goes on once all have ended.
pub(crate) fn end_in_turn(end: impl FnOnce() + 'static) {
    let mut end = Some(end);
    // A thread that is ending may have no list any more: then nobody else would call it.
    let _ = TO_END.try_with(|line| match &mut *line.borrow_mut() {
        Some(line) => line.extend(end.take().map(|end| Box::new(end) as Ending)),
        none => *none = Some(Vec::new()),
    });
    let Some(end) = end else { return };
    let mut panic = contain(end).err();
    while let Some(end) = next_to_end() {
        match (contain(end), &panic) {
            (Err(first), None) => panic = Some(first),
            (Err(another), Some(_)) => another.bury(),
            (Ok(()), _) => {}
        }
    }
    if let Some(panic) = panic {
        panic.resume();
    }
}

/// What ends next. Without anything the thread is ending nothing any more.
fn next_to_end() -> Option<Ending> {
    let next = |line: &RefCell<Option<Vec<Ending>>>| {
        let mut line = line.borrow_mut();
        let next = line.as_mut().and_then(Vec::pop);
        if next.is_none() {
            *line = None;
        }
        next
    };
    TO_END.try_with(next).ok().flatten()
}

/// Makes the process's panic hook note where a panic was raised, before it does what it did before.
///
/// Call it once, from a thread that is not panicking.
pub(crate) fn note_panic_locations() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
        let location = info.location().map(|location| {
            // The location of a panic is a constant of the program, but the hook lends it for the call only.
            // SAFETY: `Location`s are made by the compiler as statics (`Location::caller`); there is no constructor.
            unsafe { std::mem::transmute::<&Location<'_>, &'static Location<'static>>(location) }
        });
        let _ = LAST_PANIC.try_with(|last| last.set(location));
        before(info);
    }));
}

/// Which of the pool's two doors a job takes, and how soon it is to be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// A lane's drain, or anything else that must not wait behind a flood of loose jobs.
    Lane,
    /// A lane's drain that somebody else is to run beside the caller's job: it stands in the pool's line, where everybody
    /// sees it, and not with the caller's own jobs.
    Beside,
    /// A job of its own.
    Loose,
    /// A lane's drain that has used up its budget: behind everything that waits now.
    Back,
}

/// Where jobs go to be run: the pool, a simulation, or a model.
pub(crate) trait Executor: Send + Sync {
    /// Takes the job. After shutdown it comes back.
    fn submit(&self, job: Job, route: Route, qos: Qos) -> Result<(), Job>;

    /// How many jobs run at the same time while none of them blocks.
    fn threads(&self) -> usize {
        self.max_threads()
    }

    /// The most jobs that can ever run at the same time.
    fn max_threads(&self) -> usize;

    /// True if it takes no more jobs.
    fn is_over(&self) -> bool;

    /// True if the calling worker has nothing else at hand, or the executor has ended, so that a drain may go on in place.
    fn is_quiet(&self) -> bool;

    /// True if a drain of class `qos` makes way before its next job: something more urgent may wait for a thread, or its
    /// turn has lasted long enough for others of its class.
    fn is_to_make_way(&self, _qos: Qos, _stint: &Stint) -> bool {
        false
    }
}

/// A drain's turn, as long as an executor's clock tells it: it begins with the drain's first look at the clock, which is
/// after its first job.
#[derive(Debug, Default)]
pub(crate) struct Stint(Cell<Option<u64>>);

impl Stint {
    /// True if the clock, which stands at `tick`, has moved since the first look.
    #[inline]
    pub(crate) fn has_lasted(&self, tick: u64) -> bool {
        match self.0.get() {
            Some(first) => first != tick,
            None => {
                self.0.set(Some(tick));
                false
            }
        }
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests;
