#![doc = include_str!("README.md")]

mod after;
mod builder;
mod concurrent;
mod control;
mod current;
mod dispatch;
mod forked;
mod global;
mod idle;
mod lane;
mod life;
mod line;
mod loan;
mod main_lane;
mod main_queue;
mod main_thread;
mod readers;
mod serial;
mod specific;
mod state;
mod suspension;
mod sync;
mod target;
mod token;
mod turns;
mod waiter;
mod walk;

pub use after::After;
pub use builder::InactiveQueue;
pub use builder::QueueBuilder;
pub(crate) use dispatch::Accept;
pub use dispatch::Dispatch;
pub use global::GlobalQueue;
pub(crate) use line::QueueLine;
pub use main_queue::MainQueue;
pub use main_queue::main_queue;
pub use main_queue::run_main;
pub use specific::SpecificKey;
pub use target::Target;

use crate::engine::Engine;
use crate::error::BuildError;
use crate::error::SubmitError;
use crate::error::SuspendError;
use crate::error::SyncError;
use crate::event_loop::Sink;
use crate::job;
use crate::job::Job;
use crate::qos::Qos;
use crate::runtime::Runtime;
use crate::sync::Arc;
use crate::sync::is_child;
use lane::Kind;
use lane::Lane;
use std::fmt;
use std::panic::Location;
use std::panic::RefUnwindSafe;
use std::panic::UnwindSafe;
use waiter::Frame;

/// A serial or concurrent dispatch queue.
///
/// A serial queue runs one job at a time, in the order of submission; what one job wrote, the next one sees. A
/// concurrent queue starts its jobs in order and lets them overlap, except for barriers, which run alone.
///
/// A handle is cheap to clone. Dropping the last handle lets a queue finish what it has; a *suspended* queue whose last
/// handle goes drops what is pending and reports each closure to the runtime's `on_dropped` hook, where libdispatch ends
/// the process.
///
/// ```
/// use concourse::Queue;
///
/// let queue = Queue::serial("com.example.counter");
/// let mut count = 0;
/// queue.exec_sync(|| count += 1); // may borrow: it runs before the call returns
/// queue.exec_async(|| println!("some time later, in order"));
/// assert_eq!(queue.exec_sync(|| count), 1);
/// ```
pub struct Queue {
    lane: Arc<Lane>,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Queue").field(&self.label()).finish()
    }
}

impl Clone for Queue {
    fn clone(&self) -> Self {
        self.lane.add_handle();
        Self { lane: Arc::clone(&self.lane) }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // A child looks through no list: a thread of the parent may have been about to write into it.
        if self.lane.remove_handle() && !is_child() {
            self.lane.close();
        }
    }
}

impl PartialEq for Queue {
    /// True for handles of one queue.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.lane, &other.lane)
    }
}

impl Eq for Queue {}

// A panic leaves no queue half changed: it is contained, or goes on after the queue has been released.
impl UnwindSafe for Queue {}
impl RefUnwindSafe for Queue {}

impl Accept for Queue {
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

impl Dispatch for Queue {}

impl Queue {
    pub(crate) fn serial_on(engine: Arc<Engine>, label: &str) -> Self {
        Self { lane: Lane::new(Arc::from(label), Kind::Serial, Qos::default(), engine, false) }
    }

    pub(crate) fn concurrent_on(engine: Arc<Engine>, label: &str) -> Self {
        Self { lane: Lane::new(Arc::from(label), Kind::Concurrent { width: None }, Qos::default(), engine, false) }
    }

    /// A new serial queue on the default runtime.
    #[must_use]
    pub fn serial(label: &str) -> Self {
        Runtime::default_runtime().serial(label)
    }

    /// A new concurrent queue on the default runtime, without a width of its own.
    #[must_use]
    pub fn concurrent(label: &str) -> Self {
        Runtime::default_runtime().concurrent(label)
    }

    /// Builds a queue on the default runtime.
    pub fn builder(label: &str) -> QueueBuilder {
        Runtime::default_runtime().queue(label)
    }

    /// The queue whose job the calling thread is running; the innermost one if sync calls nest. `None` outside of any
    /// private queue, and on the [main queue](crate::MainQueue::assert_current).
    #[must_use]
    pub fn current() -> Option<Self> {
        let lane = Frame::current().filter(|lane| lane.main_thread().is_none())?;
        lane.add_handle();
        Some(Self { lane })
    }

    pub(crate) fn is_concurrent(&self) -> bool {
        self.lane.is_concurrent()
    }

    /// The queue's label.
    #[must_use]
    pub fn label(&self) -> &str {
        self.lane.label()
    }

    /// The queue's quality of service.
    #[must_use]
    pub fn qos(&self) -> Qos {
        self.lane.qos()
    }

    /// The queue that this one targets: where it was told to run, and which holds and bounds it. `None` if that is the
    /// runtime itself, or the main queue, which is no `Queue`.
    #[must_use]
    pub fn target(&self) -> Option<Self> {
        let lane = Arc::clone(self.lane.target().filter(|lane| lane.main_thread().is_none())?);
        lane.add_handle();
        Some(Self { lane })
    }

    /// Panics unless the caller runs on this queue: in one of its jobs, in a job of a queue that targets it, or in a sync
    /// call from there.
    ///
    /// This is libdispatch's `dispatch_assert_queue`.
    ///
    /// # Panics
    ///
    /// If the calling thread runs something else.
    ///
    /// ```
    /// let queue = concourse::Queue::serial("state");
    /// queue.exec_sync(|| queue.assert_current());
    /// queue.assert_not_current();
    /// ```
    #[track_caller]
    pub fn assert_current(&self) {
        assert!(Frame::is_within(&self.lane), "this must run on queue \"{}\", but runs on {}", self.label(), here());
    }

    /// Panics if the caller runs on this queue, as [`assert_current`](Self::assert_current) understands it.
    ///
    /// # Panics
    ///
    /// If the calling thread does run on it.
    #[track_caller]
    pub fn assert_not_current(&self) {
        assert!(!Frame::is_within(&self.lane), "this must not run on queue \"{}\", but does", self.label());
    }

    /// Submits `f` to run on the queue and returns at once.
    ///
    /// Nothing is merged or lost: `f` runs once, or is reported: to the runtime's `on_dropped` hook if the queue is
    /// cancelled or goes away suspended, to `on_rejected` if the runtime has been shut down or this is a forked child. A
    /// panic in `f` is contained and reported to `on_panic`; the queue goes on. Does not allocate in the steady state if
    /// `f` captures at most three words. This is libdispatch's `dispatch_async`.
    ///
    /// ```
    /// let queue = concourse::Queue::serial("log");
    /// for line in ["first", "second"] {
    ///     queue.exec_async(move || println!("{line}"));
    /// }
    /// queue.exec_sync(|| ()); // both have been printed
    /// ```
    #[inline]
    pub fn exec_async<F: FnOnce() + Send + 'static>(&self, f: F) {
        self.lane.exec_async(Job::new(f));
    }

    /// As [`exec_async`](Self::exec_async), but gives `f` back if the runtime has been shut down.
    ///
    /// # Errors
    ///
    /// [`SubmitError::ShutDown`], with the closure; in a forked child [`SubmitError::Forked`]. A shutdown that begins at
    /// the same time may still reject the closure through the `on_rejected` hook after `Ok`.
    pub fn try_exec_async<F: FnOnce() + Send + 'static>(&self, f: F) -> Result<(), SubmitError<F>> {
        let f = self.lane.engine_at_entrance().admit(f)?;
        self.exec_async(f);
        Ok(())
    }

    /// Runs `f` in the caller's place when everything that was submitted before it has run, and returns its value. On a
    /// concurrent queue it overlaps with other jobs, and waits for the barriers before it, and for the width if there is
    /// one.
    ///
    /// `f` may borrow from the caller's stack. On an idle queue the call costs about as much as a mutex. While it waits
    /// in line, on a serial queue, behind a barrier or for a width, the calling thread may run jobs that are ahead of `f`:
    /// such a job must not wait for what the caller does after the call. On a queue with a target that is busy `f` may run
    /// on another thread, as if on the caller's: what the caller holds counts, and a panic goes back to it; below the
    /// [main queue](crate::MainQueue) it always runs on the main thread. A suspended queue holds the call until it is
    /// resumed. On a concurrent queue a thread that runs one of the queue's jobs may call this again. After shutdown it
    /// still works. This is libdispatch's `dispatch_sync`.
    ///
    /// A call that finds the queue busy tries again for some microseconds before it takes its place in line, and a few times
    /// more if other calls keep it busy and the processors are too. Until then what other threads submit may come before it.
    ///
    /// # Panics
    ///
    /// If the thread already holds this queue, or one that it targets: the call could never return. The message names
    /// the queues, and the sync calls by which the thread came to them. A panic of `f` goes on in the caller; the queue is
    /// released first.
    ///
    /// ```
    /// let queue = concourse::Queue::serial("inventory");
    /// let names = vec!["bolt", "nut"];
    /// let longest = queue.exec_sync(|| names.iter().map(|name| name.len()).max());
    /// assert_eq!(longest, Some(4));
    /// ```
    #[track_caller]
    pub fn exec_sync<F: FnOnce() -> R + Send, R: Send>(&self, f: F) -> R {
        self.lane.sync_or_panic(job::Kind::Sync, Location::caller(), f)
    }

    /// As [`exec_sync`](Self::exec_sync), but gives `f` back instead of panicking if the thread already holds the queue,
    /// or one that it targets.
    ///
    /// # Errors
    ///
    /// [`SyncError::WouldDeadlock`], with the closure, and the queues that the thread holds. In a forked child
    /// [`SyncError::Forked`], if the call would have to wait.
    ///
    /// ```
    /// let queue = concourse::Queue::serial("outer");
    /// let error = queue.exec_sync(|| queue.try_exec_sync(|| ()).unwrap_err());
    /// assert!(error.to_string().contains("\"outer\""));
    /// ```
    #[track_caller]
    pub fn try_exec_sync<F: FnOnce() -> R + Send, R: Send>(&self, f: F) -> Result<R, SyncError<F>> {
        self.lane.try_sync(job::Kind::Sync, Location::caller(), f)
    }

    /// Runs `f` in line with the queue's async jobs, on the calling thread, and returns its value.
    ///
    /// It differs from [`exec_sync`](Self::exec_sync) on a concurrent queue only: `f` starts after every job before it has
    /// started, and counts against the width, also against the bound that the runtime's threads put on a queue without one.
    /// This is libdispatch's `dispatch_async_and_wait`.
    ///
    /// # Panics
    ///
    /// As [`exec_sync`](Self::exec_sync).
    ///
    /// ```
    /// let queue = concourse::Queue::builder("two at a time").concurrent().width(2).build()?;
    /// assert_eq!(queue.exec_and_wait(|| 6 * 7), 42);
    /// # Ok::<(), concourse::BuildError>(())
    /// ```
    #[track_caller]
    pub fn exec_and_wait<F: FnOnce() -> R + Send, R: Send>(&self, f: F) -> R {
        self.lane.sync_or_panic(job::Kind::CountedSync, Location::caller(), f)
    }

    /// Submits `f` to run alone: after everything before it has finished, and before anything after it starts.
    ///
    /// On a serial queue every job is a barrier. This is libdispatch's `dispatch_barrier_async`; a global queue has no
    /// such method, where libdispatch silently forgets the barrier.
    pub fn barrier_async<F: FnOnce() + Send + 'static>(&self, f: F) {
        self.lane.exec_async(Job::barrier(f));
    }

    /// Runs `f` alone on the calling thread and returns its value.
    ///
    /// # Panics
    ///
    /// If the thread already runs a job of this queue, or holds one that it targets: the call could never return. A panic
    /// of `f` goes on in the caller.
    #[track_caller]
    pub fn barrier_sync<F: FnOnce() -> R + Send, R: Send>(&self, f: F) -> R {
        self.lane.sync_or_panic(job::Kind::SyncBarrier, Location::caller(), f)
    }

    /// Holds the queue: no further job starts until it has been resumed as often as suspended.
    ///
    /// A job that runs is not stopped. Jobs may still be submitted, and a queue may suspend itself from its own job: then
    /// the next job does not start. A sync call waits. This is libdispatch's `dispatch_suspend`.
    ///
    /// # Errors
    ///
    /// [`SuspendError::TooManySuspensions`] after 2^32 - 1 of them.
    pub fn suspend(&self) -> Result<(), SuspendError> {
        self.lane.suspend()
    }

    /// Takes one suspension back; the last one sets the queue going again.
    ///
    /// # Errors
    ///
    /// [`SuspendError::OverResume`] if the queue is not suspended, where libdispatch ends the process.
    pub fn resume(&self) -> Result<(), SuspendError> {
        self.lane.resume()
    }

    /// Suspends the queue until the guard is dropped. Forgetting the guard leaves the queue suspended.
    ///
    /// # Errors
    ///
    /// As [`suspend`](Self::suspend).
    ///
    /// ```
    /// let queue = concourse::Queue::serial("held");
    /// let guard = queue.suspend_guard()?;
    /// queue.exec_async(|| println!("not while the guard lives"));
    /// drop(guard);
    /// # Ok::<(), concourse::SuspendError>(())
    /// ```
    pub fn suspend_guard(&self) -> Result<SuspendGuard, SuspendError> {
        self.suspend()?;
        Ok(SuspendGuard { queue: self.clone() })
    }

    /// Drops every job that has been submitted and has not started, and returns how many those were.
    ///
    /// Their captures are gone when the call returns, each closure was reported to the runtime's `on_dropped` hook, and
    /// sync calls keep their place. If a job of a serial queue is running, the call waits until it ends; from a job of the
    /// queue itself, and on a concurrent queue, it acts at once.
    pub fn cancel_pending(&self) -> usize {
        if is_child() {
            return 0; // It is the parent's.
        }
        if self.lane.is_concurrent() {
            self.lane.concurrent_cancel_pending()
        } else {
            self.lane.serial_cancel_pending()
        }
    }

    /// Changes how many jobs of a concurrent queue may run at the same time, sync calls included. Running jobs go on.
    ///
    /// # Errors
    ///
    /// [`BuildError::ZeroWidth`] and [`BuildError::WidthOfSerial`], as when the queue is built.
    pub fn set_width(&self, width: usize) -> Result<(), BuildError> {
        let label = || Arc::clone(self.lane.label());
        if !self.lane.is_concurrent() {
            return Err(BuildError::WidthOfSerial { label: label() });
        }
        if width == 0 {
            return Err(BuildError::ZeroWidth { label: label() });
        }
        self.lane.set_width(width);
        Ok(())
    }
}

impl Runtime {
    /// A new serial queue on this runtime.
    #[must_use]
    pub fn serial(&self, label: &str) -> Queue {
        Queue::serial_on(Arc::clone(self.engine()), label)
    }

    /// A new concurrent queue on this runtime, without a width of its own.
    #[must_use]
    pub fn concurrent(&self, label: &str) -> Queue {
        Queue::concurrent_on(Arc::clone(self.engine()), label)
    }

    /// Builds a queue on this runtime.
    pub fn queue(&self, label: &str) -> QueueBuilder {
        QueueBuilder::new(Arc::clone(self.engine()), label)
    }

    /// The global queue of a class on this runtime.
    #[must_use]
    pub fn global(&self, qos: Qos) -> GlobalQueue {
        GlobalQueue::on(Arc::clone(self.engine()), qos)
    }
}

/// What the calling thread runs, for a message.
fn here() -> String {
    match Frame::current() {
        Some(lane) => format!("queue \"{}\"", lane.label()),
        None => "no private queue".to_owned(),
    }
}

/// Holds a queue suspended until it is dropped.
#[derive(Debug)]
#[must_use = "the queue is resumed when the guard is dropped"]
pub struct SuspendGuard {
    queue: Queue,
}

impl Drop for SuspendGuard {
    fn drop(&mut self) {
        // Somebody who resumed too often has taken this suspension back already.
        let _ = self.queue.resume();
    }
}
