//! What all queues have in common, for users and for what is built on queues.

use super::After;
use super::line::QueueLine;
use crate::engine::Engine;
use crate::error::TimerError;
use crate::event_loop::Sink;
use crate::job::Job;
use crate::sync::Arc;
use std::time::Duration;

/// What groups, sources and timers deliver to: any queue, with its type erased.
///
/// The trait is public in name only, so that [`Dispatch`] can be sealed by it.
pub trait Accept: Send + Sync + 'static {
    /// Takes a job. After shutdown the job is reported to the runtime's rejection hook and dropped.
    fn accept(&self, job: Job);

    /// The queue's label.
    fn label(&self) -> &Arc<str>;

    /// The queue's runtime.
    fn engine(&self) -> &Arc<Engine>;

    /// Where a timer delivers a job for the queue.
    fn sink(&self) -> Arc<dyn Sink>;

    /// The queue itself, for whoever waits for one of its jobs; none if its jobs have no order.
    fn line(&self) -> Option<QueueLine> {
        None
    }
}

/// What every queue can do: a private [`Queue`](crate::Queue) as well as a [`GlobalQueue`](crate::GlobalQueue) and the
/// [`MainQueue`](crate::MainQueue).
///
/// The trait is sealed: queues come from a [`Runtime`](crate::Runtime).
pub trait Dispatch: Accept + Clone {
    /// Submits `f` to run on the queue and returns at once.
    ///
    /// Nothing is merged or lost: `f` runs once, or, when the runtime has been shut down, is reported to its rejection
    /// hook and dropped. Does not allocate in the steady state if `f` captures at most three words. This is libdispatch's
    /// `dispatch_async`.
    fn exec_async<F: FnOnce() + Send + 'static>(&self, f: F) {
        self.accept(Job::new(f));
    }

    /// Submits `f` to the queue once `delay` has passed on the monotonic clock.
    ///
    /// Dropping the returned handle does not cancel; [`After::cancel`] does. `f` is submitted at the earliest after
    /// `delay`, and runs when the queue gets to it: a suspended queue holds it. A delay that is too large to count is for
    /// ever. This is libdispatch's `dispatch_after`, without its rounding of the deadline.
    ///
    /// # Errors
    ///
    /// [`TimerError`] if the kernel refuses the descriptors or the thread of the event loop, which the first timer of a
    /// runtime starts.
    ///
    /// ```
    /// use concourse::{Dispatch, Event, Queue};
    /// use std::time::Duration;
    ///
    /// let queue = Queue::serial("reminder");
    /// let rung = Event::new();
    /// let bell = rung.clone();
    /// queue.after(Duration::from_millis(5), move || bell.set())?;
    /// let never = queue.after(Duration::from_secs(3600), || unreachable!())?;
    /// rung.wait();
    /// assert!(never.cancel());
    /// # Ok::<(), concourse::TimerError>(())
    /// ```
    fn after<F: FnOnce() + Send + 'static>(&self, delay: Duration, f: F) -> Result<After, TimerError> {
        After::arm(self, delay, Job::new(f))
    }
}
