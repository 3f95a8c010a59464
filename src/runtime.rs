//! A runtime: its threads, its event loop, its life.

use crate::engine::Engine;
use crate::engine::Hooks;
use crate::engine::Loss;
use crate::engine::LossReport;
use crate::engine::PanicReport;
use crate::engine::Phase;
use crate::engine::contained;
use crate::error::RuntimeError;
use crate::job;
use crate::job::Executor;
use crate::pool::Config;
use crate::pool::MAX_THREADS;
use crate::pool::Pool;
use crate::pool::PoolEvent;
use crate::pool::StallPolicy;
use crate::sync::Arc;
use crate::sync::OnceLock;
use crate::sync::Weak;
use crate::sync::available_parallelism;
use crate::sync::deadline_after;
use crate::sync::now;
use crate::sync::panicking;
use std::fmt;
use std::io;
use std::time::Duration;

/// The most threads that a runtime has unless its builder says otherwise.
const MAX_THREADS_BY_DEFAULT: usize = 64;

/// How long dropping a runtime waits for its jobs unless its builder says otherwise.
const DROP_WITHIN: Duration = Duration::from_secs(5);

/// How a runtime ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shutdown {
    /// Run what has been accepted, refuse what comes.
    Drain,
    /// Drop and report what has not started, refuse what comes.
    CancelPending,
}

impl Shutdown {
    /// Waits no longer than `time`. What a drain has not started by then is dropped and reported.
    #[must_use]
    pub fn within(self, time: Duration) -> TimedShutdown {
        TimedShutdown { how: self, time: Some(time) }
    }
}

/// A [`Shutdown`] and how long it may take; from [`Shutdown::within`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedShutdown {
    how: Shutdown,
    time: Option<Duration>,
}

impl From<Shutdown> for TimedShutdown {
    /// Without a limit: waits for as long as a job runs.
    fn from(how: Shutdown) -> Self {
        Self { how, time: None }
    }
}

/// What became of a runtime's work when it was shut down.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// True if everything that was accepted has run, or was dropped because that was asked for, and nothing runs any
    /// more.
    pub complete: bool,
    /// Jobs that were still running at the deadline. Their threads are left to end by themselves.
    pub still_running: usize,
    /// Labels of suspended queues that hold jobs back. Those jobs are dropped and reported with their queue.
    pub suspended: Vec<String>,
    /// Closures that were dropped unrun since the runtime was built: cancelled, or cut off by a shutdown.
    pub dropped: u64,
    /// Closures that came too late since the runtime was built.
    pub rejected: u64,
    /// Panics that were contained since the runtime was built.
    pub panics: u64,
}

/// A thread that was blocked when its runtime stalled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaitingThread {
    /// The thread's number among the runtime's threads.
    pub number: usize,
    /// What it waits for.
    pub reason: String,
}

/// A stall: every thread of the runtime is blocked, and jobs are queued that might free them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StallReport {
    /// Who waits for what.
    pub waiting: Vec<WaitingThread>,
    /// About how many jobs are queued.
    pub queued: usize,
}

impl fmt::Display for StallReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "all {} threads are blocked and {} jobs are queued:", self.waiting.len(), self.queued)?;
        for thread in &self.waiting {
            write!(f, "\n  thread {} waits for {}", thread.number, thread.reason)?;
        }
        Ok(())
    }
}

type ThreadHook = Arc<dyn Fn() + Send + Sync>;
type StallHook = Arc<dyn Fn(&StallReport) + Send + Sync>;
type SpawnHook = Arc<dyn Fn(&io::Error) + Send + Sync>;

/// Builds a [`Runtime`].
///
/// ```
/// use concourse::Runtime;
///
/// let runtime = Runtime::builder().threads(2).name("imports").on_panic(|report| eprintln!("{report:?}")).build()?;
/// runtime.serial("parse").exec_sync(|| ());
/// # Ok::<(), concourse::RuntimeError>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct RuntimeBuilder {
    threads: Option<usize>,
    max_threads: Option<usize>,
    name: String,
    spare_idle: Duration,
    drop_within: Duration,
    stall: StallPolicy,
    hooks: Hooks,
    on_thread_start: Option<ThreadHook>,
    on_thread_stop: Option<ThreadHook>,
    on_stall: Option<StallHook>,
    on_spawn_failure: Option<SpawnHook>,
}

impl fmt::Debug for RuntimeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuntimeBuilder")
            .field("threads", &self.threads)
            .field("max_threads", &self.max_threads)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl RuntimeBuilder {
    fn new() -> Self {
        Self {
            threads: None,
            max_threads: None,
            name: "concourse".into(),
            spare_idle: Duration::from_secs(1),
            drop_within: DROP_WITHIN,
            stall: StallPolicy::Report,
            hooks: Hooks::default(),
            on_thread_start: None,
            on_thread_stop: None,
            on_stall: None,
            on_spawn_failure: None,
        }
    }

    /// How many threads run jobs at the same time. By default as many as the process may use at once, its affinity and
    /// cgroup quota included. Threads are started when they are first needed.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// How many threads there may ever be, those that are blocked inside a job included: 64 by default, or `threads` if
    /// that is more.
    ///
    /// It is a hard limit. If jobs at the limit all wait for jobs that are queued, with semaphores or groups, they wait
    /// for ever, and `on_stall` is told. The event loop and the watch over blocked threads have a thread of their own
    /// each, which run no jobs and are not counted.
    pub fn max_threads(mut self, max_threads: usize) -> Self {
        self.max_threads = Some(max_threads);
        self
    }

    /// The threads are called `name-0`, `name-1` and so on.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How long a thread beyond `threads` stays without work before it ends. One second by default.
    pub fn spare_idle(mut self, time: Duration) -> Self {
        self.spare_idle = time;
        self
    }

    /// How long dropping the runtime waits for running jobs. Five seconds by default.
    pub fn drop_within(mut self, time: Duration) -> Self {
        self.drop_within = time;
        self
    }

    /// What happens when every thread is blocked while jobs are queued.
    pub fn stall_policy(mut self, policy: StallPolicy) -> Self {
        self.stall = policy;
        self
    }

    /// Runs on each thread before its first job.
    pub fn on_thread_start(mut self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_thread_start = Some(Arc::new(hook));
        self
    }

    /// Runs on each thread after its last job.
    pub fn on_thread_stop(mut self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_thread_stop = Some(Arc::new(hook));
        self
    }

    /// Is told of each panic that was contained. The process's panic hook has run before; it is wrapped once, so that it
    /// notes the location.
    pub fn on_panic(mut self, hook: impl Fn(&PanicReport<'_>) + Send + Sync + 'static) -> Self {
        self.hooks.on_panic = Some(Arc::new(hook));
        self
    }

    /// Is told of each closure that was accepted and will never run.
    pub fn on_dropped(mut self, hook: impl Fn(&LossReport<'_>) + Send + Sync + 'static) -> Self {
        self.hooks.on_dropped = Some(Arc::new(hook));
        self
    }

    /// Is told of each closure that came after the shutdown.
    pub fn on_rejected(mut self, hook: impl Fn(&LossReport<'_>) + Send + Sync + 'static) -> Self {
        self.hooks.on_rejected = Some(Arc::new(hook));
        self
    }

    /// Is told when every thread is blocked while jobs are queued, once each time. Without it the report goes to
    /// standard error: a hang is never silent.
    pub fn on_stall(mut self, hook: impl Fn(&StallReport) + Send + Sync + 'static) -> Self {
        self.on_stall = Some(Arc::new(hook));
        self
    }

    /// Is told when the system refuses a thread. The runtime goes on with the threads it has.
    pub fn on_spawn_failure(mut self, hook: impl Fn(&io::Error) + Send + Sync + 'static) -> Self {
        self.on_spawn_failure = Some(Arc::new(hook));
        self
    }

    /// Builds the runtime. No thread is started before it is needed.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] if the numbers of threads are 0, contradict each other or are too large, or if the name contains a
    /// NUL byte.
    pub fn build(self) -> Result<Runtime, RuntimeError> {
        let threads = self.threads.unwrap_or_else(available_parallelism);
        let max_threads = self.max_threads.unwrap_or(MAX_THREADS_BY_DEFAULT.max(threads));
        if threads == 0 {
            return Err(RuntimeError::ZeroThreads);
        }
        if max_threads < threads {
            return Err(RuntimeError::MaxBelowThreads { threads, max_threads });
        }
        if max_threads > MAX_THREADS {
            return Err(RuntimeError::TooManyThreads { max_threads, limit: MAX_THREADS });
        }
        if self.name.contains('\0') {
            return Err(RuntimeError::BadThreadName);
        }
        if self.hooks.on_panic.is_some() {
            note_panic_locations_once();
        }
        let name: Arc<str> = self.name.as_str().into();
        let told = Arc::new(OnceLock::<Weak<Engine>>::new());
        let pool = Pool::new(Config {
            name: self.name,
            spare_idle: self.spare_idle,
            on_thread_start: self.on_thread_start,
            on_thread_stop: self.on_thread_stop,
            on_event: listener(Arc::clone(&told), self.on_stall, self.on_spawn_failure),
            stall: self.stall,
            ..Config::new(threads, max_threads)
        });
        let engine = Engine::new(name, Arc::clone(&pool) as Arc<dyn Executor>, self.hooks);
        // The pool has no thread yet, so nobody has asked before.
        let _ = told.set(Arc::downgrade(&engine));
        Ok(Runtime { engine, pool, drop_within: self.drop_within })
    }
}

/// The label of jobs that stand in no queue of their own.
const LOOSE: &str = "global";

fn listener(
    engine: Arc<OnceLock<Weak<Engine>>>,
    on_stall: Option<StallHook>,
    on_spawn_failure: Option<SpawnHook>,
) -> Arc<dyn Fn(PoolEvent) + Send + Sync> {
    Arc::new(move |event| {
        let engine = engine.get().and_then(Weak::upgrade);
        match event {
            PoolEvent::JobPanicked { panic, type_name } => match engine {
                Some(engine) => engine.report_panic(LOOSE, panic, type_name),
                None => panic.bury(),
            },
            PoolEvent::JobDropped { type_name } => {
                if let Some(engine) = engine {
                    engine.note_lost(LOOSE, type_name);
                }
            }
            PoolEvent::SpawnFailed { error, .. } => {
                if let Some(hook) = &on_spawn_failure {
                    contained(|| hook(&error));
                }
            }
            PoolEvent::Stalled(stall) => {
                let waiting = stall.blocked.iter();
                let waiting =
                    waiting.map(|(number, reason)| WaitingThread { number: *number, reason: reason.to_string() });
                let report = StallReport { waiting: waiting.collect(), queued: stall.queued };
                match &on_stall {
                    Some(hook) => contained(|| hook(&report)),
                    None => eprintln!("concourse: {report}"),
                }
            }
        }
    })
}

fn note_panic_locations_once() {
    static NOTED: OnceLock<()> = OnceLock::new();
    // Replacing the hook is not allowed while panicking; the next runtime does it then.
    if !panicking() {
        NOTED.get_or_init(job::note_panic_locations);
    }
}

/// Threads that run queues, and an event loop for their timers.
///
/// Most programs use the default runtime, through [`Queue::serial`](crate::Queue::serial) and its siblings. One of your
/// own has its own threads, limits and hooks, and ends when you say so.
///
/// Dropping a runtime is `shutdown(Shutdown::CancelPending.within(..))` with the builder's `drop_within`: it drops and
/// reports what has not started. Queues outlive their runtime: what is submitted to them afterwards is rejected, and sync
/// calls still run, on the caller's thread.
///
/// ```
/// use concourse::{Runtime, Shutdown};
/// use std::time::Duration;
///
/// let runtime = Runtime::builder().threads(1).build()?;
/// let queue = runtime.serial("work");
/// queue.exec_async(|| println!("runs before the runtime ends"));
/// let report = runtime.shutdown(Shutdown::Drain.within(Duration::from_secs(10)));
/// assert!(report.complete);
/// assert!(queue.try_exec_async(|| println!("too late")).is_err());
/// # Ok::<(), concourse::RuntimeError>(())
/// ```
#[must_use = "dropping the runtime ends it"]
pub struct Runtime {
    engine: Arc<Engine>,
    pool: Arc<Pool>,
    drop_within: Duration,
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("engine", &self.engine).finish_non_exhaustive()
    }
}

impl Runtime {
    /// A builder with the default settings.
    pub fn builder() -> RuntimeBuilder {
        RuntimeBuilder::new()
    }

    /// The runtime that [`Queue::serial`](crate::Queue::serial) and its siblings use, built on first use. It is never
    /// dropped: leaving `main` abandons what is queued, as in libdispatch.
    pub fn default_runtime() -> &'static Self {
        static DEFAULT: OnceLock<Runtime> = OnceLock::new();
        DEFAULT.get_or_init(|| match Self::builder().build() {
            Ok(runtime) => runtime,
            // The defaults are within their bounds on every machine.
            Err(error) => unreachable!("{error}"),
        })
    }

    /// What the runtime's queues are built on.
    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Ends the runtime and says what became of its work.
    ///
    /// Nothing is accepted any more. Jobs that wait for their time (`after`) are dropped and reported, in a drain too.
    /// Suspended queues are left alone by a drain, and named in the report. Waits until nothing runs or the time is up;
    /// from a job of this runtime it does not wait for that job, and reports it as running. May be called again, with a
    /// longer time for instance.
    pub fn shutdown(&self, how: impl Into<TimedShutdown>) -> Report {
        let TimedShutdown { how, time } = how.into();
        let deadline = time.and_then(deadline_after);
        self.engine.advance_to(match how {
            Shutdown::Drain => Phase::Draining,
            Shutdown::CancelPending => Phase::Cancelling,
        });
        self.end_timers();
        if how == Shutdown::CancelPending {
            self.cancel_pending();
        }
        let calm = self.pool.quiesce(deadline);
        if !calm {
            // Out of time, or called from a job: what has not started by now will not.
            self.engine.advance_to(Phase::Cancelling);
            self.cancel_pending();
        }
        let still_running = self.pool.stop(deadline.or_else(|| (!calm).then(now)));
        let suspended = self.engine.suspended();
        let suspended: Vec<_> =
            suspended.iter().filter_map(|queue| queue.holds_back()).map(|label| label.to_string()).collect();
        let (panics, dropped, rejected) = self.engine.losses();
        Report {
            complete: calm && still_running == 0 && suspended.is_empty(),
            still_running: if calm { still_running } else { still_running.max(1) },
            suspended,
            dropped,
            rejected,
            panics,
        }
    }

    fn end_timers(&self) {
        let Some(event_loop) = self.engine.take_event_loop() else { return };
        for armed in event_loop.stop() {
            if let Some(job) = armed.job {
                self.engine.lose(armed.sink.label(), job, Loss::Dropped);
            }
        }
    }

    fn cancel_pending(&self) {
        self.pool.cancel_loose();
        for queue in self.engine.suspended() {
            queue.drop_pending();
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let _ = self.shutdown(Shutdown::CancelPending.within(self.drop_within));
    }
}

/// Runs `f`, which blocks, and lets the runtime start another thread in the place of the calling one meanwhile.
///
/// The runtime's own waits do this by themselves, and a plain blocking call is found out after a while; this says so at
/// once. On a thread that belongs to no runtime it just calls `f`.
///
/// ```
/// let text = concourse::blocking(|| std::fs::read_to_string("Cargo.toml"));
/// # drop(text);
/// ```
pub fn blocking<R>(f: impl FnOnce() -> R) -> R {
    crate::sync::blocking(f)
}
