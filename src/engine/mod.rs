//! What a queue knows of its runtime: where jobs go, which phase of life it is in, and who is told of losses.

mod loop_slot;
mod state;

use crate::collections::BlockCache;
use crate::error::EventLoopError;
use crate::error::SubmitError;
use crate::error::WatchError;
use crate::event_loop::EventLoop;
use crate::event_loop::Interest;
use crate::event_loop::Watch;
use crate::event_loop::Watcher;
use crate::job;
use crate::job::Executor;
use crate::job::Job;
use crate::job::Panic;
use crate::sync::Arc;
use crate::sync::Line;
use crate::sync::Mutex;
use crate::sync::Weak;
use crate::sync::is_child;
use loop_slot::LoopSlot;
use state::Life;
pub(crate) use state::Phase;
use state::Tally;
use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::os::fd::BorrowedFd;
use std::panic::Location;

/// A panic that a closure of a queue, a source or a timer raised, and that the runtime has contained.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PanicReport<'a> {
    /// The label of the queue that ran the closure.
    pub label: &'a str,
    /// The panic's message, or a note that it was not a text.
    pub message: &'a str,
    /// Where the panic was raised. `None` if the program has replaced the panic hook since the runtime was built.
    pub location: Option<&'static Location<'static>>,
    /// The name of the closure's type, which names the function that wrote the closure.
    pub closure: &'static str,
}

/// A closure that will never run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LossReport<'a> {
    /// The label of the queue that it was submitted to.
    pub label: &'a str,
    /// The name of the closure's type, which names the function that wrote the closure.
    pub closure: &'static str,
}

/// Starts an event loop of this name.
pub(crate) type StartLoop = Box<dyn Fn(&str) -> Result<Arc<EventLoop>, EventLoopError> + Send + Sync>;

pub(crate) type PanicHook = Arc<dyn Fn(&PanicReport<'_>) + Send + Sync>;
pub(crate) type LossHook = Arc<dyn Fn(&LossReport<'_>) + Send + Sync>;

/// The user's hooks. They run on the thread that met the event, with no lock held; a panic in one is swallowed.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) on_panic: Option<PanicHook>,
    pub(crate) on_dropped: Option<LossHook>,
    pub(crate) on_rejected: Option<LossHook>,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}

/// Why a closure is dropped instead of run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// It was accepted, and cancelled later. Sources and lanes that stand in line keep their places.
    Cancelled,
    /// It was accepted, and the runtime ended before it ran. Nothing keeps its place.
    Ended,
    /// It came after shutdown. Sources and lanes that stand in line keep their places.
    Rejected,
}

/// A queue that the runtime's threads do not empty, as a shutdown sees it: a suspended one, or the main queue.
pub(crate) trait Suspended: Send + Sync {
    /// The queue's label, if jobs wait in it.
    fn holds_back(&self) -> Option<Arc<str>>;

    /// Drops and reports what waits.
    fn drop_pending(&self);
}

/// A runtime's main queue, as the runtime knows it.
pub(crate) trait MainLane: Suspended + Any {
    /// True if the calling thread runs one of its jobs.
    fn is_current(&self) -> bool;

    /// True if it is the calling thread that runs its jobs; nobody else will from now on.
    fn belongs_here(&self) -> bool;

    /// Runs what waits, on the thread that it belongs to. False if there was nothing.
    fn serve_all(&self) -> bool;
}

/// What a shutdown ends before anything else: the runtime's token.
pub(crate) trait Scope: Any + Send + Sync {
    /// Cancels it, and returns the first panic of what that dropped.
    fn end(self: Arc<Self>) -> Option<Panic>;
}

/// A runtime as its queues see it.
pub struct Engine {
    executor: Arc<dyn Executor>,
    /// On a line of its own: it is written for every block, what stands beside it is read for every job.
    pub(crate) blocks: Line<BlockCache>,
    event_loop: LoopSlot,
    start_loop: StartLoop,
    life: Life,
    name: Arc<str>,
    hooks: Hooks,
    suspended: Mutex<Roll>,
    panics: Tally,
    dropped: Tally,
    rejected: Tally,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("name", &self.name).field("phase", &self.phase()).finish_non_exhaustive()
    }
}

/// The suspended queues, each with the how-manieth it was: their names are addresses, and those decide nothing.
#[derive(Default)]
struct Roll {
    queues: BTreeMap<usize, (u64, Weak<dyn Suspended>)>,
    noted: u64,
}

impl Engine {
    pub(crate) fn with_loop(
        name: Arc<str>,
        executor: Arc<dyn Executor>,
        hooks: Hooks,
        start_loop: StartLoop,
    ) -> Arc<Self> {
        Arc::new(Self {
            executor,
            start_loop,
            blocks: Line(BlockCache::new()),
            event_loop: LoopSlot::new(),
            life: Life::new(),
            name,
            hooks,
            suspended: Mutex::new(Roll::default()),
            panics: Tally::new(),
            dropped: Tally::new(),
            rejected: Tally::new(),
        })
    }

    pub(crate) fn executor(&self) -> &dyn Executor {
        &*self.executor
    }

    /// The event loop, started on first use; `None` once it has ended with the runtime, and in a forked child.
    #[inline]
    pub(crate) fn event_loop(&self) -> Result<Option<&Arc<EventLoop>>, EventLoopError> {
        match self.event_loop.running() {
            _ if is_child() => Ok(None),
            Some(event_loop) => Ok(Some(event_loop)),
            None => self.event_loop.get_or_start(|| (self.start_loop)(&format!("{}-events", self.name))),
        }
    }

    /// Has the event loop [watch](EventLoop::watch) a descriptor, and starts it if this is its first use. `None` once it
    /// has ended with the runtime.
    #[cfg_attr(not(feature = "io"), allow(dead_code, reason = "the sources that need it are left out"))]
    pub(crate) fn watch<W: Watcher>(
        &self,
        fd: BorrowedFd<'_>,
        interest: Interest,
        watcher: &Arc<W>,
    ) -> Result<Option<Watch>, WatchError> {
        let label = || watcher.label().into();
        if is_child() {
            return Err(WatchError::Forked { label: label() });
        }
        let event_loop = self.event_loop().map_err(|error| WatchError::NoEventLoop { label: label(), error })?;
        event_loop.map_or(Ok(None), |event_loop| event_loop.watch(fd, interest, watcher))
    }

    /// The event loop, if anybody has needed it and it has not ended.
    #[inline]
    pub(crate) fn running_event_loop(&self) -> Option<&Arc<EventLoop>> {
        self.event_loop.running()
    }

    /// The event loop, if anybody has needed it, for the caller to stop. There will be no other.
    pub(crate) fn end_event_loop(&self) -> Option<Arc<EventLoop>> {
        self.event_loop.close()
    }

    pub(crate) fn phase(&self) -> Phase {
        self.life.phase()
    }

    /// True if a queue takes a new job of this kind. A drain still serves sources and lanes that stand in line already, and
    /// keeps promises while there is somebody to run them.
    #[inline]
    pub(crate) fn accepts(&self, kind: job::Kind) -> bool {
        match self.phase() {
            Phase::Open => true,
            Phase::Draining if kind == job::Kind::Promised => !self.executor().is_over(),
            Phase::Draining => kind == job::Kind::Token || kind.is_sync(),
            Phase::Cancelling | Phase::Forked => false,
        }
    }

    /// For a closure that is registered now, and submitted when something else has happened.
    pub(crate) fn promise(&self) -> job::Promise {
        job::Promise(self.phase() == Phase::Open)
    }

    /// Gives a closure back with the reason, if no new ones are accepted.
    pub(crate) fn admit<F>(&self, f: F) -> Result<F, SubmitError<F>> {
        match self.phase() {
            Phase::Open => Ok(f),
            Phase::Draining | Phase::Cancelling => Err(SubmitError::ShutDown(f)),
            Phase::Forked => Err(SubmitError::Forked(f)),
        }
    }

    /// Goes forward to `phase`; going back is ignored.
    pub(crate) fn advance_to(&self, phase: Phase) {
        self.life.advance_to(phase);
    }

    /// Takes note of a suspended queue, for the report of a shutdown.
    pub(crate) fn note_suspended(&self, id: usize, queue: Weak<dyn Suspended>) {
        let mut roll = self.suspended.lock();
        roll.noted += 1;
        let number = roll.noted;
        roll.queues.insert(id, (number, queue));
    }

    /// Forgets a queue that is suspended no more.
    pub(crate) fn forget_suspended(&self, id: usize) {
        self.suspended.lock().queues.remove(&id);
    }

    /// All suspended queues that still exist, in the order in which they were suspended.
    pub(crate) fn suspended(&self) -> Vec<Arc<dyn Suspended>> {
        let mut noted: Vec<_> = self.suspended.lock().queues.values().cloned().collect();
        noted.sort_unstable_by_key(|(number, _)| *number);
        noted.iter().filter_map(|(_, queue)| queue.upgrade()).collect()
    }

    /// Reports a contained panic and drops its payload.
    pub(crate) fn report_panic(&self, label: &str, panic: Panic, closure: &'static str) {
        self.panics.add_one();
        if let Some(hook) = &self.hooks.on_panic {
            let report = PanicReport { label, message: panic.message(), location: panic.location, closure };
            contained(|| hook(&report));
        }
        panic.bury();
    }

    /// Drops a closure unrun, and reports it.
    pub(crate) fn lose(&self, label: &str, job: Job, loss: Loss) {
        let closure = job.type_name();
        self.count_lost(label, closure, loss);
        if let Err(panic) = job::contain(|| drop(job)) {
            self.report_panic(label, panic, closure);
        }
    }

    /// Drops a place in line that will never be served: its source or lane ends.
    pub(crate) fn give_up(&self, label: &str, token: Job) {
        let closure = token.type_name();
        if let Err(panic) = job::contain(|| drop(token)) {
            self.report_panic(label, panic, closure);
        }
    }

    /// Reports a closure that the pool has dropped unrun.
    pub(crate) fn note_lost(&self, label: &str, closure: &'static str) {
        self.count_lost(label, closure, Loss::Ended);
    }

    fn count_lost(&self, label: &str, closure: &'static str, loss: Loss) {
        let (count, hook) = match loss {
            Loss::Cancelled | Loss::Ended => (&self.dropped, &self.hooks.on_dropped),
            Loss::Rejected => (&self.rejected, &self.hooks.on_rejected),
        };
        count.add_one();
        if let Some(hook) = hook {
            contained(|| hook(&LossReport { label, closure }));
        }
    }

    /// How many panics were contained, closures dropped and closures rejected so far.
    pub(crate) fn losses(&self) -> (u64, u64, u64) {
        (self.panics.get(), self.dropped.get(), self.rejected.get())
    }
}

#[cfg(test)]
impl Engine {
    /// An engine with an event loop that waits on the kernel.
    pub(crate) fn new(name: Arc<str>, executor: Arc<dyn Executor>, hooks: Hooks) -> Arc<Self> {
        Self::with_loop(name, executor, hooks, Box::new(EventLoop::start))
    }

    /// How many suspended queues are on the list.
    pub(crate) fn noted(&self) -> usize {
        self.suspended.lock().queues.len()
    }

    /// An engine that runs every job in place, for tests below the pool.
    pub(crate) fn in_place() -> Arc<Self> {
        Self::in_place_with_loop(Box::new(EventLoop::start))
    }

    /// The same, with an event loop that the test starts.
    pub(crate) fn in_place_with_loop(start_loop: StartLoop) -> Arc<Self> {
        struct InPlace;
        impl Executor for InPlace {
            fn submit(&self, job: Job, _: job::Route, _: crate::qos::Qos) -> Result<(), Job> {
                job.run();
                Ok(())
            }

            fn max_threads(&self) -> usize {
                1
            }

            fn is_over(&self) -> bool {
                false
            }

            fn is_quiet(&self) -> bool {
                true
            }
        }
        Self::with_loop("in place".into(), Arc::new(InPlace), Hooks::default(), start_loop)
    }
}

/// Calls a user's hook. A hook that panics has nobody left to report to.
pub(crate) fn contained(hook: impl FnOnce()) {
    if let Err(panic) = job::contain(hook) {
        panic.bury();
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn an_event_loop_that_has_ended_is_never_started_again() {
        let needed = Engine::in_place();
        let running = needed.event_loop().unwrap().expect("nothing has ended it");
        assert!(Arc::ptr_eq(running, needed.event_loop().unwrap().unwrap()), "there is one");
        needed.end_event_loop().unwrap().stop();
        let unneeded = Engine::in_place();
        assert!(unneeded.end_event_loop().is_none());
        for engine in [needed, unneeded] {
            assert!(engine.event_loop().unwrap().is_none());
            assert!(engine.running_event_loop().is_none() && engine.end_event_loop().is_none());
        }
    }
}
