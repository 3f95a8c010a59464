#![doc = include_str!("README.md")]

pub(crate) mod backlog;
mod crew;
mod current;
mod nice;
mod roster;
mod sentinel;
pub(crate) mod slot;
pub(crate) mod state;
mod worker;

#[cfg(all(test, any(concourse_loom, concourse_shuttle)))]
pub(crate) use roster::Errand;
#[cfg(all(test, any(concourse_loom, concourse_shuttle)))]
pub(crate) use roster::Rest;
#[cfg(all(test, any(concourse_loom, concourse_shuttle)))]
pub(crate) use roster::Roster;

use crate::job;
use crate::job::Executor;
use crate::job::Job;
use crate::job::Route;
use crate::job::Stint;
use crate::qos::Qos;
use crate::sync::Arc;
use crate::sync::JoinHandle;
use crate::sync::Reason;
use crate::sync::ThreadBuilder;
use crate::sync::is_child;
use crew::Crew;
pub(crate) use nice::NiceLevels;
pub(crate) use state::MAX_THREADS;
use std::io;
use std::time::Duration;
use std::time::Instant;

/// Starts a thread.
pub(crate) type Spawn =
    Arc<dyn Fn(ThreadBuilder, Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> + Send + Sync>;

/// What a pool does when all its threads are blocked, and jobs are queued that might free them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StallPolicy {
    /// Report who waits for what, and wait.
    #[default]
    Report,
    /// Report, and start one thread beyond the cap, up to this many in all. They go when they are no longer needed.
    Grow(usize),
    /// Report, and end the process, so that whoever watches it can start it again.
    Abort,
}

/// How a pool is made.
pub(crate) struct Config {
    /// How many workers run at a time: at least 1.
    pub(crate) threads: usize,
    /// How many live at a time, blocked ones included: at least `threads`, at most [`MAX_THREADS`].
    pub(crate) max_threads: usize,
    /// Workers are called `name-0`, `name-1`, ...
    pub(crate) name: String,
    /// How long a worker beyond `threads` sleeps before it goes.
    pub(crate) spare_idle: Duration,
    /// Runs on each worker's thread before its first job.
    pub(crate) on_thread_start: Option<Arc<dyn Fn() + Send + Sync>>,
    /// Runs on each worker's thread after its last job.
    pub(crate) on_thread_stop: Option<Arc<dyn Fn() + Send + Sync>>,
    /// Is told what nobody else would hear of, on whichever thread notices, and never under a lock.
    pub(crate) on_event: Arc<dyn Fn(PoolEvent) + Send + Sync>,
    pub(crate) stall: StallPolicy,
    /// If given, each worker's thread has the nice value of its job's class.
    pub(crate) nice: Option<NiceLevels>,
    /// Starts the threads.
    pub(crate) spawn: Spawn,
}

impl Config {
    /// A pool of `threads` that grows up to `max_threads`, and tells nobody anything.
    pub(crate) fn new(threads: usize, max_threads: usize) -> Self {
        Self {
            threads,
            max_threads,
            name: "pool".into(),
            spare_idle: Duration::from_secs(5),
            on_thread_start: None,
            on_thread_stop: None,
            on_event: Arc::new(|_| {}),
            stall: StallPolicy::Report,
            nice: None,
            spawn: Arc::new(ThreadBuilder::spawn),
        }
    }

    /// Brings the numbers into their bounds.
    fn bounded(mut self) -> Self {
        self.threads = self.threads.clamp(1, state::MAX_THREADS);
        self.max_threads = self.max_threads.clamp(self.threads, state::MAX_THREADS);
        if let StallPolicy::Grow(more) = &mut self.stall {
            *more = (*more).min(state::MAX_THREADS - self.max_threads);
        }
        self
    }

    /// How many threads may ever live at a time.
    fn slots(&self) -> usize {
        match self.stall {
            StallPolicy::Grow(more) => self.max_threads + more,
            StallPolicy::Report | StallPolicy::Abort => self.max_threads,
        }
    }
}

/// What a pool's owner is told.
#[derive(Debug)]
pub(crate) enum PoolEvent {
    /// The system refused a thread. Told once until a start succeeds again.
    SpawnFailed { error: io::Error, live: usize },
    /// All threads have been blocked for a while, and jobs are queued. Told once per episode.
    Stalled(Stall),
    /// A job or a hook panicked. The worker goes on.
    JobPanicked { panic: job::Panic, type_name: &'static str },
    /// A job was dropped unrun, as the pool was cancelled or stopped.
    JobDropped { type_name: &'static str },
}

/// Who waits for what while nobody is left to run anything.
#[derive(Clone, Debug)]
pub(crate) struct Stall {
    /// The blocked workers: number and reason.
    pub(crate) blocked: Vec<(usize, Reason)>,
    /// About how many jobs are queued.
    pub(crate) queued: usize,
}

/// A pool at a glance. The numbers are read one after the other and may not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) live: usize,
    pub(crate) awake: usize,
    pub(crate) blocked: usize,
    pub(crate) sleeping: usize,
    /// How many may be active at the moment.
    pub(crate) limit: usize,
    /// Threads started so far, the sentinel not counted.
    pub(crate) started: u64,
    /// About how many jobs are queued.
    pub(crate) queued: usize,
}

/// The handle of a crew of threads. Dropping it stops them.
pub(crate) struct Pool {
    crew: Arc<Crew>,
}

impl Pool {
    /// A pool without threads: they are started when they are first needed.
    pub(crate) fn new(config: Config) -> Arc<Self> {
        Arc::new(Self { crew: Crew::new(config.bounded()) })
    }

    /// Waits until no job is queued or running; a blocked job is a running one. False if the deadline passes first, or
    /// at once if the caller is itself a job of this pool. Jobs that are submitted from outside meanwhile may or may not
    /// be waited for.
    ///
    /// Jobs may wait for the calling thread: `errand` does what they want of it, and says whether there was anything to do.
    /// Whoever has something for it unparks the thread.
    pub(crate) fn quiesce(&self, deadline: Option<Instant>, errand: &dyn Fn() -> bool) -> bool {
        let is_done = || {
            loop {
                // In this order: from a calm pool nothing more comes for the errand.
                let is_calm = self.crew.is_calm();
                if !errand() {
                    return is_calm;
                }
            }
        };
        !self.is_own_thread() && self.crew.wait_until(deadline, is_done)
    }

    /// Drops and reports jobs of their own from now on, instead of running them. Drains still run.
    pub(crate) fn cancel_loose(&self) {
        self.crew.roster.state.cancel();
    }

    /// Refuses jobs from now on, drops and reports what is queued, and waits for the threads until the deadline. Returns
    /// how many still run a job then. Called from a job of this pool it waits for nobody, and does not count itself.
    pub(crate) fn stop(&self, deadline: Option<Instant>) -> usize {
        self.crew.close();
        let state = &self.crew.roster.state;
        if self.is_own_thread() {
            return state.read().awake().saturating_sub(1);
        }
        if !self.crew.wait_until(deadline, || state.settle().live() == 0) {
            return state.settle().awake();
        }
        self.crew.join(deadline);
        0
    }

    pub(crate) fn counts(&self) -> Counts {
        self.crew.counts()
    }

    /// True on a thread of this pool.
    pub(crate) fn is_own_thread(&self) -> bool {
        current::with(&self.crew, |worker| worker.is_some())
    }
}

impl Executor for Pool {
    fn submit(&self, job: Job, route: Route, qos: Qos) -> Result<(), Job> {
        // In a forked child none of the threads exist, and none is to be started.
        if is_child() || self.crew.roster.state.read().is_stopped() {
            return Err(job);
        }
        current::with(&self.crew, |worker| match worker {
            Some(worker) => worker.push(job, route, qos as usize),
            None => self.crew.inject(job, route, qos as usize),
        });
        Ok(())
    }

    fn threads(&self) -> usize {
        self.crew.config.threads
    }

    fn max_threads(&self) -> usize {
        self.crew.config.max_threads
    }

    fn is_over(&self) -> bool {
        self.crew.roster.state.read().is_stopped()
    }

    fn is_quiet(&self) -> bool {
        // After the end nothing will come: whoever runs a drain then goes on.
        current::with(&self.crew, |worker| match worker {
            Some(worker) => worker.is_idle(),
            None => self.crew.roster.state.read().is_stopped(),
        })
    }

    fn is_to_make_way(&self, qos: Qos, stint: &Stint) -> bool {
        let now = self.crew.backlog.demand.read();
        now.classes().reach_above(qos as usize) || stint.has_lasted(now.ticks())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if is_child() {
            return; // The queued jobs are the parent's.
        }
        self.crew.close();
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests;
