//! What a queue knows of its runtime: where jobs go, which phase of life it is in, and who is told of losses.

use crate::collections::BlockCache;
use crate::error::TimerError;
use crate::event_loop::EventLoop;
use crate::job;
use crate::job::Executor;
use crate::job::Job;
use crate::job::Panic;
use crate::sync::Arc;
use crate::sync::AtomicU32;
use crate::sync::AtomicU64;
use crate::sync::Mutex;
use crate::sync::Ordering;
use crate::sync::Weak;
use std::collections::BTreeMap;
use std::fmt;
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
    /// It was accepted, and cancelled later.
    Dropped,
    /// It came after shutdown.
    Rejected,
}

/// How far a runtime's life has come. It only goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Everything is accepted.
    Open,
    /// Nothing new is accepted; what was, runs.
    Draining,
    /// Nothing new is accepted; what has not started is dropped.
    Cancelling,
}

/// A suspended queue, as a shutdown sees it.
pub(crate) trait Suspended: Send + Sync {
    /// The queue's label, if jobs wait in it.
    fn holds_back(&self) -> Option<Arc<str>>;

    /// Drops and reports what waits.
    fn drop_pending(&self);
}

/// A runtime as its queues see it.
pub(crate) struct Engine {
    executor: Arc<dyn Executor>,
    pub(crate) blocks: BlockCache,
    event_loop: Mutex<Option<Arc<EventLoop>>>,
    phase: AtomicU32,
    name: Arc<str>,
    hooks: Hooks,
    suspended: Mutex<BTreeMap<usize, Weak<dyn Suspended>>>,
    panics: AtomicU64,
    dropped: AtomicU64,
    rejected: AtomicU64,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("name", &self.name).field("phase", &self.phase()).finish_non_exhaustive()
    }
}

impl Engine {
    pub(crate) fn new(name: Arc<str>, executor: Arc<dyn Executor>, hooks: Hooks) -> Arc<Self> {
        Arc::new(Self {
            executor,
            blocks: BlockCache::new(),
            event_loop: Mutex::new(None),
            phase: AtomicU32::new(Phase::Open as u32),
            name,
            hooks,
            suspended: Mutex::new(BTreeMap::new()),
            panics: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
        })
    }

    pub(crate) fn executor(&self) -> &dyn Executor {
        &*self.executor
    }

    /// The event loop, started on first use; `None` once the runtime ends.
    pub(crate) fn event_loop(&self) -> Result<Option<Arc<EventLoop>>, TimerError> {
        let mut slot = self.event_loop.lock();
        if let Some(event_loop) = &*slot {
            return Ok(Some(Arc::clone(event_loop)));
        }
        // Under the lock: a shutdown changes the phase before it takes the loop, so none is started after that.
        if self.phase() != Phase::Open {
            return Ok(None);
        }
        let event_loop = EventLoop::start(&format!("{}-events", self.name))?;
        *slot = Some(Arc::clone(&event_loop));
        Ok(Some(event_loop))
    }

    /// The event loop, if anybody has needed it.
    pub(crate) fn take_event_loop(&self) -> Option<Arc<EventLoop>> {
        self.event_loop.lock().take()
    }

    pub(crate) fn phase(&self) -> Phase {
        // Acquire, L1: whoever sees a phase sees what was set up before it.
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Open,
            1 => Phase::Draining,
            _ => Phase::Cancelling,
        }
    }

    /// Goes forward to `phase`; going back is ignored.
    pub(crate) fn advance_to(&self, phase: Phase) {
        // Release, L1.
        self.phase.fetch_max(phase as u32, Ordering::AcqRel);
    }

    /// Takes note of a suspended queue, for the report of a shutdown.
    pub(crate) fn note_suspended(&self, id: usize, queue: Weak<dyn Suspended>) {
        self.suspended.lock().insert(id, queue);
    }

    /// Forgets a queue that is suspended no more.
    pub(crate) fn forget_suspended(&self, id: usize) {
        self.suspended.lock().remove(&id);
    }

    /// All suspended queues that still exist.
    pub(crate) fn suspended(&self) -> Vec<Arc<dyn Suspended>> {
        self.suspended.lock().values().filter_map(Weak::upgrade).collect()
    }

    /// Reports a contained panic and drops its payload.
    pub(crate) fn report_panic(&self, label: &str, panic: Panic, closure: &'static str) {
        self.panics.fetch_add(1, Ordering::Relaxed); // A statistic.
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

    /// Reports a closure that the pool has dropped unrun.
    pub(crate) fn note_lost(&self, label: &str, closure: &'static str) {
        self.count_lost(label, closure, Loss::Dropped);
    }

    fn count_lost(&self, label: &str, closure: &'static str, loss: Loss) {
        let (count, hook) = match loss {
            Loss::Dropped => (&self.dropped, &self.hooks.on_dropped),
            Loss::Rejected => (&self.rejected, &self.hooks.on_rejected),
        };
        count.fetch_add(1, Ordering::Relaxed); // A statistic.
        if let Some(hook) = hook {
            contained(|| hook(&LossReport { label, closure }));
        }
    }

    /// How many panics were contained, closures dropped and closures rejected so far.
    pub(crate) fn losses(&self) -> (u64, u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed); // Statistics.
        (read(&self.panics), read(&self.dropped), read(&self.rejected))
    }
}

#[cfg(test)]
impl Engine {
    /// How many suspended queues are on the list.
    pub(crate) fn noted(&self) -> usize {
        self.suspended.lock().len()
    }

    /// An engine that runs every job in place, for tests below the pool.
    pub(crate) fn in_place() -> Arc<Self> {
        struct InPlace;
        impl Executor for InPlace {
            fn submit(&self, job: Job, _: job::Route) -> Result<(), Job> {
                job.run();
                Ok(())
            }

            fn max_threads(&self) -> usize {
                1
            }

            fn is_quiet(&self) -> bool {
                true
            }
        }
        Self::new("in place".into(), Arc::new(InPlace), Hooks::default())
    }
}

/// Calls a user's hook. A hook that panics has nobody left to report to.
pub(crate) fn contained(hook: impl FnOnce()) {
    if let Err(panic) = job::contain(hook) {
        panic.bury();
    }
}
