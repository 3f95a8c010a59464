//! The main queue: its jobs run on one thread, which the program provides.

use super::Accept;
use super::Dispatch;
use super::here;
use super::lane::Lane;
use super::line::QueueLine;
use super::main_thread::MainThread;
use super::waiter::Frame;
use crate::engine::Engine;
use crate::engine::MainLane as _;
use crate::error::MainQueueError;
use crate::error::SubmitError;
use crate::error::SyncError;
use crate::event_loop::Sink;
use crate::job;
use crate::job::Job;
use crate::runtime::Runtime;
use crate::sync::Arc;
use crate::sync::Reason;
use std::any::Any;
use std::fmt;
use std::os::fd::BorrowedFd;
use std::panic::Location;
use std::panic::RefUnwindSafe;
use std::panic::UnwindSafe;

/// A serial queue whose jobs all run on one thread, the *main thread*: for what may be touched there only, a window for
/// instance.
///
/// The main thread is the first one that calls [`run`](Self::run) or [`turn`](Self::turn), for good; until then jobs wait.
/// `run` gives the thread to the queue until [`stop`](Self::stop). A program with a loop of its own, around `poll` or inside
/// a toolkit, waits there for [`as_fd`](Self::as_fd) and calls `turn` when it is readable. Each runtime has one main queue.
///
/// What is submitted here runs on the main thread, always, sync calls from other threads and the jobs of queues that
/// [target](crate::QueueBuilder::target) this one included. There are no barriers and no suspension: such a method does not
/// exist. This is libdispatch's main queue, which on Linux moves to threads of the pool once `dispatch_main` is called.
///
/// A shutdown that drains leaves what waits here to the main thread, and names the queue in its report as it does suspended
/// ones; on the main thread itself, outside of the queue's jobs, it runs them. After a shutdown that cancels, a sync call runs
/// on the thread that makes it.
///
/// ```
/// use concourse::{Queue, main_queue};
///
/// Queue::serial("worker").exec_async(|| {
///     let answer = 6 * 7;
///     main_queue().exec_async(move || {
///         println!("{answer}");
///         main_queue().stop();
///     });
/// });
/// concourse::run_main()?;
/// # Ok::<(), concourse::MainQueueError>(())
/// ```
#[derive(Clone)]
pub struct MainQueue {
    lane: Arc<Lane>,
}

impl fmt::Debug for MainQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MainQueue").field(&self.label()).finish()
    }
}

impl PartialEq for MainQueue {
    /// True for handles of one runtime's main queue.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.lane, &other.lane)
    }
}

impl Eq for MainQueue {}

// As for a private queue, a panic leaves it whole.
impl UnwindSafe for MainQueue {}
impl RefUnwindSafe for MainQueue {}

impl Accept for MainQueue {
    fn accept(&self, job: Job) {
        self.lane.exec_async(job);
    }

    fn label(&self) -> &Arc<str> {
        self.lane.label()
    }

    fn engine(&self) -> &Arc<Engine> {
        self.lane.engine()
    }

    fn sink(&self) -> Arc<dyn Sink> {
        Arc::clone(&self.lane) as Arc<dyn Sink>
    }

    fn line(&self) -> Option<QueueLine> {
        Some(QueueLine::new(&self.lane))
    }
}

impl Dispatch for MainQueue {}

impl MainQueue {
    #[cfg(all(test, any(concourse_loom, concourse_shuttle)))]
    pub(crate) fn on(engine: Arc<Engine>) -> Self {
        Self { lane: Lane::main(engine) }
    }

    pub(crate) fn lane(&self) -> &Arc<Lane> {
        &self.lane
    }

    /// The queue's label: `main`.
    #[must_use]
    pub fn label(&self) -> &str {
        self.lane.label()
    }

    /// Runs the queue's jobs on the calling thread until [`stop`](Self::stop), and sleeps while there are none.
    ///
    /// What waits behind the job that called `stop` is left for the next `run` or `turn`. A panic in a job is contained and
    /// reported to the runtime's `on_panic` hook. This is libdispatch's `dispatch_main`, except that it returns.
    ///
    /// # Errors
    ///
    /// [`MainQueueError::NotMainThread`] if the queue belongs to another thread, and [`MainQueueError::Reentrant`] in one of
    /// its jobs.
    pub fn run(&self) -> Result<(), MainQueueError> {
        let thread = self.enter()?;
        let reason = Reason::Jobs(Arc::clone(self.lane.label()));
        while !thread.take_stop() {
            self.lane.serve(usize::MAX, || thread.is_stopped());
            thread.wait(&reason);
        }
        Ok(())
    }

    /// Runs at most `budget` of the jobs that wait, on the calling thread, and returns how many: for a loop of your own.
    ///
    /// It never waits for a job; with a budget of 0 it only makes the calling thread the main thread. What is submitted
    /// meanwhile counts as waiting, so a job that submits its own successor uses up the budget. Each job of a queue that
    /// targets this one counts as one, and so does each turn of such a queue or of a source, even if a sync call or a
    /// cancellation has left it nothing to do. [`stop`](Self::stop) does not concern it.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    ///
    /// ```
    /// # let runtime = concourse::Runtime::builder().build().unwrap();
    /// let main = runtime.main_queue();
    /// for line in ["one", "two", "three"] {
    ///     main.exec_async(move || println!("{line}"));
    /// }
    /// assert_eq!(main.turn(2)?, 2);
    /// assert_eq!(main.turn(2)?, 1);
    /// # Ok::<(), concourse::MainQueueError>(())
    /// ```
    pub fn turn(&self, budget: usize) -> Result<usize, MainQueueError> {
        self.enter()?;
        Ok(self.lane.serve(budget, || false))
    }

    fn thread(&self) -> &MainThread {
        match self.lane.main_thread() {
            Some(thread) => thread,
            None => unreachable!("a main lane is made with the place for its thread"),
        }
    }

    /// The calling thread, if it may run jobs now.
    fn enter(&self) -> Result<&MainThread, MainQueueError> {
        if !self.thread().own() {
            return Err(MainQueueError::NotMainThread);
        }
        if self.lane.is_current() { Err(MainQueueError::Reentrant) } else { Ok(self.thread()) }
    }

    /// A descriptor that is readable while jobs wait, for `poll`, `epoll` and the like. It is made on first use.
    ///
    /// When it is readable call [`turn`](Self::turn), which makes it unreadable again unless jobs are left. Do not read from
    /// it or write to it. It lives as long as the queue.
    ///
    /// # Errors
    ///
    /// [`MainQueueError::NoDescriptor`] if the process or the system has none left.
    pub fn as_fd(&self) -> Result<BorrowedFd<'_>, MainQueueError> {
        self.thread().as_fd()
    }

    /// Lets [`run`](Self::run) return after the job that it is running; the next one, if the queue is not being run.
    ///
    /// May be called from anywhere. Several calls before `run` returns are one.
    pub fn stop(&self) {
        self.thread().stop();
    }

    /// Submits `f` to run on the main thread and returns at once.
    ///
    /// Nothing is merged or lost: `f` runs once, or is reported: to the runtime's `on_dropped` hook if the runtime is
    /// cancelled before, to `on_rejected` if it has been shut down. This is libdispatch's `dispatch_async` to the main queue.
    pub fn exec_async<F: FnOnce() + Send + 'static>(&self, f: F) {
        self.lane.exec_async(Job::new(f));
    }

    /// As [`exec_async`](Self::exec_async), but gives `f` back if the runtime has been shut down.
    ///
    /// # Errors
    ///
    /// [`SubmitError::ShutDown`] or, in a forked child, [`SubmitError::Forked`], with the closure. A shutdown that begins at
    /// the same time may still reject the closure through the `on_rejected` hook after `Ok`.
    pub fn try_exec_async<F: FnOnce() + Send + 'static>(&self, f: F) -> Result<(), SubmitError<F>> {
        let f = self.lane.engine().admit(f)?;
        self.exec_async(f);
        Ok(())
    }

    /// Runs `f` on the main thread when everything that was submitted before it has run, and returns its value.
    ///
    /// `f` may borrow from the caller's stack. Another thread lends `f` to the main thread and waits until that has come to
    /// it, so somebody must run the queue; what the waiting thread holds, `f` may not wait for. On the main thread itself the
    /// jobs that are ahead of `f` run in this call. As long as nobody has run the queue, the thread that the process began
    /// with counts as the main thread here. This is libdispatch's `dispatch_sync` to the main queue.
    ///
    /// # Panics
    ///
    /// If the thread runs a job of this queue: the call could never return. A panic of `f` goes on in the caller, on the
    /// caller's thread.
    ///
    /// ```
    /// # let runtime = concourse::Runtime::builder().build().unwrap();
    /// let main = runtime.main_queue();
    /// main.turn(0)?; // this is the main thread
    /// let here = std::thread::current().id();
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| {
    ///         assert_eq!(main.exec_sync(|| std::thread::current().id()), here);
    ///         main.stop();
    ///     });
    ///     main.run()
    /// })?;
    /// # Ok::<(), concourse::MainQueueError>(())
    /// ```
    #[track_caller]
    pub fn exec_sync<F: FnOnce() -> R + Send, R: Send>(&self, f: F) -> R {
        self.lane.sync_or_panic(job::Kind::Sync, Location::caller(), f)
    }

    /// As [`exec_sync`](Self::exec_sync), but gives `f` back instead of panicking if the thread runs a job of this queue.
    ///
    /// # Errors
    ///
    /// [`SyncError::WouldDeadlock`], with the closure, and the queues that the thread holds.
    #[track_caller]
    pub fn try_exec_sync<F: FnOnce() -> R + Send, R: Send>(&self, f: F) -> Result<R, SyncError<F>> {
        self.lane.try_sync(job::Kind::Sync, Location::caller(), f)
    }

    /// Panics unless the caller runs on this queue: in one of its jobs, in a job of a queue that targets it, or in a sync
    /// call from there. Being on the main thread is not enough.
    ///
    /// # Panics
    ///
    /// If the calling thread runs something else.
    #[track_caller]
    pub fn assert_current(&self) {
        assert!(Frame::is_within(&self.lane), "this must run on the main queue, but runs on {}", here());
    }

    /// Panics if the caller runs on this queue, as [`assert_current`](Self::assert_current) understands it.
    ///
    /// # Panics
    ///
    /// If the calling thread does run on it.
    #[track_caller]
    pub fn assert_not_current(&self) {
        assert!(!Frame::is_within(&self.lane), "this must not run on the main queue, but does");
    }
}

/// The main queue of the default runtime. See [`MainQueue`].
#[must_use]
pub fn main_queue() -> MainQueue {
    Runtime::default_runtime().main_queue()
}

/// Runs the jobs of the default runtime's main queue on the calling thread until [`MainQueue::stop`].
///
/// # Errors
///
/// As [`MainQueue::run`].
pub fn run_main() -> Result<(), MainQueueError> {
    main_queue().run()
}

impl Runtime {
    /// The runtime's main queue. See [`MainQueue`].
    #[must_use]
    pub fn main_queue(&self) -> MainQueue {
        let lane = Arc::clone(self.main_lane(|| Lane::main(Arc::clone(self.engine()))));
        match (lane as Arc<dyn Any + Send + Sync>).downcast() {
            Ok(lane) => MainQueue { lane },
            Err(_) => unreachable!("a runtime's main lane is a lane"),
        }
    }
}
