//! Operations: closures with a value that run when what they depend on is there.
//!
//! An [`OperationQueue`] runs operations a limited number at a time. An [`Operation`] may depend on others, of any queue, and
//! be called with their values; it may be delayed, tried again, limited in time and cancelled. It is over in one way, which
//! everybody who depends on it, waits for it or watches it is told.
//!
//! ```
//! use concourse::{OperationQueue, Retry};
//!
//! let (network, disk) = (OperationQueue::builder("network").max_concurrent(2).build(), OperationQueue::new("disk"));
//! let list = network.operation("list").retry(Retry::up_to(3), |_| Ok::<_, std::io::Error>(vec![1, 2, 3]));
//! let sum = disk.operation("sum").with(&list).run(|list| list.iter().sum::<i32>());
//! assert_eq!(*sum.wait()?, 6);
//! # Ok::<(), concourse::OperationError>(())
//! ```
//!
//! Whoever comes from `NSOperationQueue` finds a row for each of its facilities on [a page of the guide](crate::guide::operation).
//!
//! # Protocol and races
//!
//! There is one lock for each operation and one for each queue, and nobody holds two of them. Under either of them changes
//! are put into the inboxes of observers, which have locks of their own. Whoever takes an operation from one stage to the next
//! does, without a lock, what follows.
//!
//! - **An operation is cancelled while it is on its way into the line.** It is over, and whoever takes it out of the line
//!   finds that it cannot begin, and takes the next.
//! - **A dependency ends while somebody subscribes to it.** Under its lock: the subscription is taken along, or finds how it
//!   has ended.
//! - **A dependent is over before what it depends on.** It says so under the lock of that, after it has ended. It is in the list
//!   by then and can be taken out, or comes later, finds that it has ended, and stays away.
//! - **A dependency is added while the last one ends.** Under the lock of the operation that waits: it waits for one thing
//!   more, or is ready, and then goes back out of the line, unless it has begun.
//! - **The place that an operation takes becomes free when it is over.** What is over is told first, and then the next one
//!   begins, so that nobody sees more running than may.
//! - **A barrier is cancelled while somebody looks for a way through it.** What is behind it has all barriers before it to wait
//!   for, and whoever looks is told of all of them at once: that there is one fewer hides none of the others.
//! - **Nobody is left to let an operation go on**, as its runtime has ended: every turn, timer and queue that goes says so,
//!   and what waits is dropped.

mod alarm;
mod builder;
mod context;
mod dot;
mod graph;
mod input;
mod line;
mod observers;
mod progress;
mod queue;
mod record;
mod retry;
mod roll;
mod station;

pub use builder::OperationBuilder;
pub use context::OperationContext;
pub use input::Ending;
pub use input::Input;
pub use input::Or;
pub use line::Order;
pub use line::Priority;
pub use observers::OperationChange;
pub use observers::OperationState;
pub use progress::Progress;
pub use queue::OperationQueue;
pub use queue::OperationQueueBuilder;
pub use queue::SuspendedOperations;
pub use retry::Retry;

use crate::error::DependencyError;
use crate::error::OperationError;
use crate::job::Job;
use crate::queue::Dispatch;
use crate::sync::Arc;
use crate::sync::Reason;
use crate::sync::Waiting;
use crate::sync::deadline_after;
use crate::sync::wait_at;
use crate::work_item::Cancellation;
use input::Slot;
use record::Record;
use record::Withdrawal;
use std::fmt;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

/// A closure that an [`OperationQueue`] runs once what it depends on is there, and the value that it gives.
///
/// A handle is cheap to clone; all clones are the same operation, and each may wait for the value, which they share. Dropping
/// a handle changes nothing. It is a future as well.
///
/// ```
/// use concourse::{OperationQueue, OperationState};
///
/// let ops = OperationQueue::new("answers");
/// let answer = ops.operation("answer").run(|| 42);
/// let same = answer.clone();
/// assert_eq!((*answer.wait()?, *concourse::block_on(same)?), (42, 42));
/// assert_eq!(answer.state(), OperationState::Finished);
/// # Ok::<(), concourse::OperationError>(())
/// ```
pub struct Operation<T> {
    record: Arc<Record>,
    value: Arc<Slot<T>>,
    waiting: Option<Waiting<Record>>,
}

impl<T> Operation<T> {
    fn new(record: Arc<Record>, value: Arc<Slot<T>>) -> Self {
        Self { record, value, waiting: None }
    }

    /// The operation's label.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.record.label
    }

    /// How far the operation has come.
    #[must_use]
    pub fn state(&self) -> OperationState {
        self.record.state()
    }

    /// True if it is settled what has become of the operation.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.record.ended().is_some()
    }

    /// What has become of the operation, if it is over. Does not wait.
    #[must_use]
    pub fn outcome(&self) -> Option<Result<Arc<T>, OperationError>> {
        self.record.ended().map(|ended| match ended {
            // What has finished has left its value before.
            Ok(()) => self.value.get().cloned().ok_or(OperationError::Dropped),
            Err(error) => Err(error.clone()),
        })
    }

    /// Waits until the operation is over, and gives its value.
    ///
    /// A thread that waits on a worker of a [`Runtime`](crate::Runtime) does not keep a core from other work. That an
    /// operation depends on another is better said to its builder than by a wait inside it.
    ///
    /// # Errors
    ///
    /// [`OperationError`] says what has become of the operation instead, or that the wait would never end.
    ///
    /// ```
    /// use concourse::{OperationError, OperationQueue};
    ///
    /// let ops = OperationQueue::builder("one at a time").max_concurrent(1).build();
    /// let own = ops.clone();
    /// let outer = ops.operation("outer").run(move || own.operation("inner").run(|| ()).wait().unwrap_err());
    /// assert!(matches!(*outer.wait()?, OperationError::WouldDeadlock { .. }));
    /// # Ok::<(), OperationError>(())
    /// ```
    pub fn wait(&self) -> Result<Arc<T>, OperationError> {
        self.wait_timeout(Duration::MAX)
    }

    /// Waits until the operation is over, for at most `timeout`. A timeout too long for the clock is none.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait), and [`OperationError::TimedOut`], after which the operation goes on.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<Arc<T>, OperationError> {
        if !timeout.is_zero() {
            if !self.is_over() && graph::is_held_up(vec![Arc::clone(&self.record)]) {
                return Err(OperationError::WouldDeadlock { label: Arc::clone(&self.record.label) });
            }
            // An operation that has ended is waited for as well, until everybody else has been told.
            // On the thread that tells the others there is nothing to wait for.
            let _ =
                self.record.is_ending_here() || wait_at(&*self.record, &Reason::Completion, deadline_after(timeout));
        }
        // An end that comes at the very moment of the timeout counts.
        self.outcome().unwrap_or(Err(OperationError::TimedOut { after: timeout }))
    }

    /// Says that the operation is not wanted any more, and how far it has come.
    ///
    /// One that has not begun never will; what it captured is dropped before the call returns. One that is between two
    /// attempts has no other. One that runs is told by its [context](OperationContext), and not stopped: if it returns an
    /// error it has been cancelled, and if it returns a value all the same it has finished. A closure of
    /// [`run`](OperationBuilder::run) is not told.
    ///
    /// ```
    /// use concourse::{Cancellation, OperationError, OperationQueue};
    ///
    /// let ops = OperationQueue::new("held");
    /// let guard = ops.suspend_guard()?;
    /// let operation = ops.operation("unwanted").run(|| ());
    /// assert_eq!(operation.cancel(), Cancellation::NeverRan);
    /// assert!(matches!(operation.wait(), Err(OperationError::Cancelled)));
    /// # Ok::<(), concourse::SuspendError>(())
    /// ```
    pub fn cancel(&self) -> Cancellation {
        match self.record.cancel() {
            Withdrawal::NeverRan => Cancellation::NeverRan,
            Withdrawal::Running => Cancellation::Running,
            Withdrawal::Done => Cancellation::Done,
        }
    }

    /// Changes how urgent the operation is among those that are ready. One that has begun goes on as it is.
    pub fn set_priority(&self, priority: Priority) {
        self.record.set_priority(priority);
    }

    /// Runs this operation once `other` has finished as well, as [`OperationBuilder::after`] does, if it has not begun.
    ///
    /// If somebody depends on this operation already, or a barrier stands behind it, everything that `other` depends on is
    /// looked through for a way back. Otherwise there is none, and it costs the same however large the graph is.
    ///
    /// # Errors
    ///
    /// [`DependencyError::Cycle`] with the labels on the way round if `other` depends on this operation, or is it;
    /// [`DependencyError::TooLate`] if this operation has begun or is over. Nothing has changed then, but
    /// observers may have been told that one that was ready was pending for a moment.
    ///
    /// Several threads may be about to close a cycle together, each with one of its dependencies. At least one of them is
    /// refused, so that there is never a cycle; but it may be more of them, and even all, though leaving out one dependency
    /// would do. What has been refused may be tried again.
    ///
    /// ```
    /// use concourse::OperationQueue;
    ///
    /// let ops = OperationQueue::new("knot");
    /// let guard = ops.suspend_guard()?;
    /// let first = ops.operation("first").run(|| ());
    /// let second = ops.operation("second").after(&first).run(|| ());
    /// let error = first.add_dependency(&second).unwrap_err();
    /// assert_eq!(error.to_string(), "these operations would wait for each other for ever: \
    ///     \"first\" after \"second\" after \"first\"; leave one of these dependencies out");
    /// # Ok::<(), concourse::SuspendError>(())
    /// ```
    pub fn add_dependency<U>(&self, other: &Operation<U>) -> Result<(), DependencyError> {
        graph::depend(&self.record, &other.record)
    }
}

impl<T: Send + Sync + 'static> Operation<T> {
    /// The operation's value as an [input](Input), or `otherwise` if it ends without one.
    pub fn or(&self, otherwise: T) -> Or<T> {
        Or::new(self, otherwise)
    }

    /// Whatever becomes of the operation, as an [input](Input).
    ///
    /// ```
    /// use concourse::OperationQueue;
    ///
    /// let ops = OperationQueue::new("reports");
    /// let sent = ops.operation("send").try_run(|_| Err::<(), _>("no route"));
    /// let report = ops.operation("report").with(sent.result()).run(|sent| match sent {
    ///     Ok(()) => "sent".to_owned(),
    ///     Err(error) => error.to_string(),
    /// });
    /// assert_eq!(*report.wait()?, "the operation failed: no route");
    /// # Ok::<(), concourse::OperationError>(())
    /// ```
    pub fn result(&self) -> Ending<T> {
        Ending::new(self)
    }

    /// Submits `f` to `queue` once, with what has become of the operation, as soon as it is over: `completionBlock`.
    ///
    /// Any number may be registered. All of them are submitted before a wait for the operation is over. A panic
    /// of `f` is contained and reported as for any job.
    pub fn on_complete<F>(&self, queue: &impl Dispatch, f: F)
    where
        F: FnOnce(Result<Arc<T>, OperationError>) + Send + 'static,
    {
        let (queue, operation, promise) = (queue.clone(), self.clone(), queue.engine().promise());
        self.record.notify(Box::new(move || {
            if let Some(outcome) = operation.outcome() {
                queue.accept(Job::registered::<F, _>(promise, move || f(outcome)));
            }
        }));
    }
}

impl<T> Clone for Operation<T> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.record), Arc::clone(&self.value))
    }
}

impl<T> Future for Operation<T> {
    type Output = Result<Arc<T>, OperationError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let operation = &mut *self;
        let waiting = operation.waiting.get_or_insert_with(|| Waiting::new(Arc::clone(&operation.record)));
        match Pin::new(waiting).poll(context) {
            // Nobody is served before the end, so that there is an outcome.
            Poll::Ready(()) => operation.outcome().map_or(Poll::Pending, Poll::Ready),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T> fmt::Debug for Operation<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation").field("label", &self.label()).field("state", &self.state()).finish_non_exhaustive()
    }
}
