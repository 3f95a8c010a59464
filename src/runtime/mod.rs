//! A runtime: its threads, its event loop, its life.

mod builder;
mod report;
mod threads;

pub use builder::RuntimeBuilder;
#[cfg(feature = "sim")]
pub(crate) use builder::note_panic_locations_once;
pub use report::Report;
pub use report::Shutdown;
pub use report::SpawnFailure;
pub use report::StallReport;
pub use report::Statistics;
pub use report::TimedShutdown;
pub use report::WaitingThread;
pub(crate) use threads::Threads;

use crate::engine::Engine;
use crate::engine::Loss;
use crate::engine::MainLane;
use crate::engine::Phase;
use crate::engine::Scope;
use crate::event_loop::Armed;
use crate::job::Kind;
use crate::sync::Arc;
use crate::sync::Mutex;
use crate::sync::OnceLock;
use crate::sync::deadline_after;
use crate::sync::is_child;
use crate::sync::now;
use crate::time::Nanos;
use std::fmt;
use std::time::Duration;

/// Threads that run queues, and an event loop for their timers.
///
/// Most programs use the default runtime, through [`Queue::serial`](crate::Queue::serial) and its siblings. One of your
/// own has its own threads, limits and hooks, and ends when you say so.
///
/// Dropping a runtime is `shutdown(Shutdown::CancelPending.within(..))` with the builder's `drop_within`: it drops and
/// reports what has not started. Queues outlive their runtime: what is submitted to them afterwards is rejected, and sync
/// calls still run, on the caller's thread.
///
/// A forked child has the runtimes of its parent and none of their threads. What is submitted there is rejected; a sync
/// call runs if its queue was at rest, and is refused otherwise; a wait that nobody could end panics. A job that forks is
/// to end the child itself, or to call `exec`: the child of a job that returns ends there. A child has no runtime of its
/// own.
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
    threads: Arc<dyn Threads>,
    /// Made when somebody asks for it.
    main: OnceLock<Arc<dyn MainLane>>,
    /// As well.
    scope: Mutex<Option<Arc<dyn Scope>>>,
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
    ///
    /// # Panics
    ///
    /// In a forked child, if the parent had runtimes, but not this one.
    pub fn default_runtime() -> &'static Self {
        static DEFAULT: OnceLock<Runtime> = OnceLock::new();
        DEFAULT.get_or_init(|| match Self::builder().build() {
            Ok(runtime) => runtime,
            // The defaults are within their bounds on every machine, but a forked child has no runtime.
            Err(error) => panic!("{error}"),
        })
    }

    /// What the runtime's queues are built on.
    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// The main queue's lane, made with `make` on first use.
    pub(crate) fn main_lane<L: MainLane>(&self, make: impl FnOnce() -> Arc<L>) -> &Arc<dyn MainLane> {
        self.main.get_or_init(|| make())
    }

    /// What a shutdown ends first, made with `make` on first use. After a shutdown it has ended.
    pub(crate) fn scope<S: Scope>(&self, make: impl FnOnce() -> Arc<S>) -> Arc<dyn Scope> {
        let mut place = self.scope.lock();
        let scope = Arc::clone(place.get_or_insert_with(|| make()));
        drop(place);
        // A shutdown that has not found it advances the phase before it looks again. In a forked child it is the parent's.
        if matches!(self.engine.phase(), Phase::Draining | Phase::Cancelling) {
            self.end_scope();
        }
        scope
    }

    fn end_scope(&self) {
        let scope = self.scope.lock().clone();
        if let Some(panic) = scope.and_then(Scope::end) {
            self.engine.report_panic("the runtime's token", panic, "a destructor of what it covered");
        }
    }

    /// How many threads there are and what they do, and what timers cost.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let counts = self.threads.counts();
        let event_loop = self.engine.running_event_loop();
        Statistics {
            threads: counts.live,
            awake: counts.awake,
            blocked: counts.blocked,
            sleeping: counts.sleeping,
            limit: counts.limit,
            started: counts.started,
            queued: counts.queued,
            event_loop_wakeups: event_loop.map_or(0, |event_loop| event_loop.wakeups()),
            timer_wakeups_saved: event_loop.map_or(0, |event_loop| event_loop.wakeups_saved()),
        }
    }

    /// Ends the runtime and says what became of its work.
    ///
    /// Nothing is accepted any more. A drain still makes the calls that were registered before it for what it runs, such as
    /// those of [`Task::on_complete`](crate::Task::on_complete) and [`Group::notify`](crate::Group::notify). Jobs that wait
    /// for their time (`after`) are dropped and reported, in a drain too.
    /// Suspended queues are left alone by a drain, and named in the report. So is the [main queue](crate::MainQueue) while
    /// jobs wait there, unless the drain is called on the main thread, which then runs them. Waits until nothing runs or the
    /// time is up; from a job of this runtime it waits for nothing, and reports that job as running. In a forked child it
    /// ends and waits for nothing, and the report is not complete. May be called again, with a longer time for instance.
    ///
    /// It does not wait for threads of the program. What such a thread runs in a sync call, and what was accepted behind that
    /// call while it held the queue, may still run there afterwards, and the report does not say so.
    pub fn shutdown(&self, how: impl Into<TimedShutdown>) -> Report {
        if is_child() {
            return Report { complete: false, ..self.report(0) };
        }
        let TimedShutdown { how, time } = how.into();
        let deadline = time.and_then(deadline_after);
        // Before anything is refused: callbacks are still accepted.
        self.end_scope();
        // Before anything is refused, so that the event loop's thread never has a refused job to drop.
        self.end_timers(how);
        self.engine.advance_to(match how {
            Shutdown::Drain => Phase::Draining,
            Shutdown::CancelPending => Phase::Cancelling,
        });
        // Once more: somebody may have asked for the first time meanwhile, and saw the phase of before.
        self.end_scope();
        if how == Shutdown::CancelPending {
            self.cancel_pending();
        }
        let main = self.main.get();
        let is_job_of_main = main.is_some_and(|main| main.is_current());
        if (is_job_of_main || self.threads.is_own_thread()) && how == Shutdown::Drain {
            // The drain goes on once this job has returned; nobody can wait for it here.
            return self.report(1);
        }
        // Jobs of the pool may wait for the main queue, whose job would wait for them here.
        let deadline = if is_job_of_main { Some(now()) } else { deadline };
        let main = main.filter(|main| how == Shutdown::Drain && main.belongs_here());
        let calm = self.threads.quiesce(deadline, &|| main.is_some_and(|main| main.serve_all()));
        if !calm {
            // Out of time: what has not started by now will not.
            self.engine.advance_to(Phase::Cancelling);
            self.cancel_pending();
        }
        let still_running = self.threads.stop(deadline.or_else(|| (!calm).then(now)));
        self.report(if calm { still_running } else { still_running.max(1) })
    }

    fn report(&self, still_running: usize) -> Report {
        let suspended = self.engine.suspended();
        let held_back = suspended.iter().map(|queue| queue.holds_back());
        let held_back = held_back.chain(self.main.get().map(|main| main.holds_back()));
        let suspended: Vec<_> = held_back.flatten().map(|label| label.to_string()).collect();
        let (panics, dropped, rejected) = self.engine.losses();
        let complete = still_running == 0 && suspended.is_empty();
        Report { complete, still_running, suspended, dropped, rejected, panics }
    }

    fn end_timers(&self, how: Shutdown) {
        let Some(event_loop) = self.engine.end_event_loop() else { return };
        for Armed { sink, job } in event_loop.stop() {
            match job {
                // A source's turn, which its pace holds back.
                Some(turn) if turn.shape().kind == Kind::Token => match how {
                    Shutdown::Drain => sink.fire(Some(turn), Nanos::FOREVER),
                    Shutdown::CancelPending => self.engine.give_up(sink.label(), turn),
                },
                Some(job) => self.engine.lose(sink.label(), job, Loss::Ended),
                None => {}
            }
        }
    }

    fn cancel_pending(&self) {
        self.threads.cancel_loose();
        for queue in self.engine.suspended() {
            queue.drop_pending();
        }
        self.main.get().inspect(|main| main.drop_pending());
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
