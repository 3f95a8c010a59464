//! Building a runtime, and passing on what its pool has to tell.

use super::Runtime;
use super::Threads;
use super::report::SpawnFailure;
use super::report::StallReport;
use super::report::WaitingThread;
use crate::engine::Engine;
use crate::engine::Hooks;
use crate::engine::LossReport;
use crate::engine::PanicReport;
use crate::engine::StartLoop;
use crate::engine::contained;
use crate::error::RuntimeError;
use crate::event_loop::EventLoop;
use crate::job;
use crate::pool::Config;
use crate::pool::MAX_THREADS;
use crate::pool::NiceLevels;
use crate::pool::Pool;
use crate::pool::PoolEvent;
use crate::pool::StallPolicy;
use crate::sync::Arc;
use crate::sync::Mutex;
use crate::sync::OnceLock;
use crate::sync::Weak;
use crate::sync::available_parallelism;
use crate::sync::is_child;
use crate::sync::panicking;
use crate::sync::watch_forks;
use std::fmt;
use std::time::Duration;

/// The most threads that a runtime has unless its builder says otherwise.
const MAX_THREADS_BY_DEFAULT: usize = 64;

/// How long dropping a runtime waits for its jobs unless its builder says otherwise.
const DROP_WITHIN: Duration = Duration::from_secs(5);

type ThreadHook = Arc<dyn Fn() + Send + Sync>;
type StallHook = Arc<dyn Fn(&StallReport) + Send + Sync>;
type SpawnHook = Arc<dyn Fn(&SpawnFailure<'_>) + Send + Sync>;

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
    nice_levels: bool,
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
    pub(super) fn new() -> Self {
        Self {
            threads: None,
            max_threads: None,
            name: "concourse".into(),
            spare_idle: Duration::from_secs(1),
            drop_within: DROP_WITHIN,
            stall: StallPolicy::Report,
            nice_levels: false,
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

    /// Whether a thread takes the nice value of its job's class, so that the operating system knows of it too. Off by
    /// default.
    ///
    /// While a thread runs jobs of [`Qos::Utility`](crate::Qos::Utility) it is nicer than the thread that calls `build` by
    /// 5, for [`Qos::Background`](crate::Qos::Background) by 10, and otherwise not at all: no class is less nice, which
    /// takes privileges. Against jobs of other threads and other processes on a busy machine, such work then gets less of
    /// the processor.
    ///
    /// It costs a system call when a thread goes from one of these levels to another. A job that runs keeps its level
    /// until it ends, whoever waits for it, and threads that it starts itself inherit it. What a thread runs while it
    /// waits in `exec_sync` runs at the level which that thread has.
    ///
    /// `build` tries on a thread of its own whether the way back is permitted, and starts the thread that serves the timers
    /// at once, lest it inherit the level of a job.
    ///
    /// ```
    /// use concourse::{Runtime, RuntimeError};
    ///
    /// let runtime = match Runtime::builder().nice_levels(true).build() {
    ///     // Ordinary users may only become nicer, unless the administrator has set RLIMIT_NICE.
    ///     Err(RuntimeError::NiceLevels { .. }) => Runtime::builder().build()?,
    ///     other => other?,
    /// };
    /// # drop(runtime);
    /// # Ok::<(), RuntimeError>(())
    /// ```
    pub fn nice_levels(mut self, follow: bool) -> Self {
        self.nice_levels = follow;
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
    pub fn on_spawn_failure(mut self, hook: impl Fn(&SpawnFailure<'_>) + Send + Sync + 'static) -> Self {
        self.on_spawn_failure = Some(Arc::new(hook));
        self
    }

    /// As [`threads`](Self::threads), unless that has been called.
    #[cfg(feature = "sim")]
    pub(crate) fn threads_by_default(mut self, threads: usize) -> Self {
        self.threads.get_or_insert(threads);
        self
    }

    /// Builds the runtime. No thread is started before it is needed, except with [`nice_levels`](Self::nice_levels).
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] if the numbers of threads are 0, contradict each other or are too large, if the name contains a
    /// NUL byte, or if nice levels are not permitted.
    pub fn build(self) -> Result<Runtime, RuntimeError> {
        self.build_on(Pool::new, Box::new(EventLoop::start))
    }

    /// Builds the runtime on threads and an event loop that its caller brings.
    pub(crate) fn build_on<T: Threads + 'static>(
        self,
        employ: impl FnOnce(Config) -> Arc<T>,
        start_loop: StartLoop,
    ) -> Result<Runtime, RuntimeError> {
        if is_child() {
            return Err(RuntimeError::Forked);
        }
        watch_forks();
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
        let nice = self.nice_levels.then(NiceLevels::probe).transpose();
        let nice =
            nice.map_err(|error| RuntimeError::NiceLevels { errno: error.raw_os_error().unwrap_or_default() })?;
        if self.hooks.on_panic.is_some() {
            note_panic_locations_once();
        }
        let name: Arc<str> = self.name.as_str().into();
        let told = Arc::new(OnceLock::<Weak<Engine>>::new());
        let threads = employ(Config {
            name: self.name,
            spare_idle: self.spare_idle,
            on_thread_start: self.on_thread_start,
            on_thread_stop: self.on_thread_stop,
            on_event: listener(Arc::clone(&told), self.on_stall, self.on_spawn_failure),
            stall: self.stall,
            nice,
            ..Config::new(threads, max_threads)
        });
        let engine = Engine::with_loop(name, Arc::clone(&threads) as _, self.hooks, start_loop);
        // No thread has been started yet, so nobody has asked before.
        let _ = told.set(Arc::downgrade(&engine));
        if nice.is_some() {
            // If it cannot be started now, the first timer tries again and reports it.
            let _ = engine.event_loop();
        }
        Ok(Runtime { engine, threads, main: OnceLock::new(), scope: Mutex::default(), drop_within: self.drop_within })
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
            PoolEvent::SpawnFailed { error, live } => {
                if let Some(hook) = &on_spawn_failure {
                    contained(|| hook(&SpawnFailure { error: &error, live }));
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

/// Makes the process's panic hook note where a panic is raised, unless it does already.
pub(crate) fn note_panic_locations_once() {
    static NOTED: OnceLock<()> = OnceLock::new();
    // Replacing the hook is not allowed while panicking; the next runtime does it then.
    if !panicking() {
        NOTED.get_or_init(job::note_panic_locations);
    }
}
