//! Tasks: closures and futures on a queue that give a value.
//!
//! A [`Task`] is the receiving end. Behind it stands a [`WorkItem`], which knows how far the work has come, who waits and
//! whether it is still wanted, and a slot for the value. What is new here is how a future is polled on a queue:
//! [`spawn`].

mod block_on;
mod map;
mod spawn;
mod state;
mod stream;
mod tasks;

pub use block_on::block_on;
pub use map::Map;
pub use map::Unordered;
pub use stream::TaskStream;
pub use tasks::Tasks;

use crate::error::HeldQueue;
use crate::error::SubmitError;
use crate::error::TaskError;
use crate::job::Job;
use crate::job::Panic;
use crate::job::contain;
use crate::queue::Dispatch;
use crate::queue::GlobalQueue;
use crate::queue::MainQueue;
use crate::queue::Queue;
use crate::queue::QueueLine;
use crate::sync::Arc;
use crate::sync::Limit;
use crate::sync::Mutex;
use crate::sync::Waiting;
use crate::sync::Weak;
use crate::sync::deadline_after;
use crate::work_item::Cancellation;
use crate::work_item::Item;
use crate::work_item::Outcome;
use crate::work_item::WorkItem;
use spawn::Fiber;
use spawn::Withdraw;
#[cfg(all(test, any(concourse_loom, concourse_shuttle)))]
pub(crate) use state::State;
use std::fmt;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

/// Where the value waits to be fetched, or what the panic said.
struct Slot<T>(Mutex<Option<Result<T, Arc<str>>>>);

impl<T> Slot<T> {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(None)))
    }

    fn put(&self, value: T) {
        *self.0.lock() = Some(Ok(value));
    }

    fn put_panic(&self, panic: &Panic) {
        *self.0.lock() = Some(Err(Arc::from(panic.message())));
    }

    /// What there is after this outcome.
    fn take(&self, outcome: Outcome) -> Result<T, TaskError> {
        match (self.0.lock().take(), outcome) {
            (Some(Ok(value)), _) => Ok(value),
            (Some(Err(message)), _) => Err(TaskError::Panicked { message }),
            (None, Outcome::Cancelled) => Err(TaskError::Cancelled),
            (None, Outcome::Dropped) => Err(TaskError::Dropped),
            (None, Outcome::Finished | Outcome::Panicked) => Err(TaskError::Taken),
        }
    }
}

/// A value that a queue is computing: what [`Queue::submit`] and [`Queue::spawn`] give.
///
/// The value is there once, for whoever waits, looks, awaits, or has it sent on with [`on_complete`](Self::on_complete). A
/// panic or a cancellation comes in its place, as a [`TaskError`] that says which. Dropping a task lets the work go on, and
/// drops the value when there is one.
///
/// It is the counterpart of Python's `concurrent.futures.Future`, without callbacks on "some thread": they run on the queue
/// that you name.
///
/// # Examples
///
/// ```
/// use concourse::{Queue, TaskError};
///
/// let queue = Queue::concurrent("numbers");
/// let tasks: Vec<_> = (1..=3_u64).map(|n| queue.submit(move || n * n)).collect();
/// let squares: Result<Vec<_>, TaskError> = tasks.into_iter().map(|task| task.wait()).collect();
/// assert_eq!(squares?, [1, 4, 9]);
///
/// let failed = queue.submit(|| -> u64 { panic!("out of numbers") }).wait();
/// assert_eq!(failed.unwrap_err().to_string(), "the task panicked: out of numbers");
/// # Ok::<(), TaskError>(())
/// ```
#[must_use = "a task whose handle is dropped goes on, and its value is dropped; use `exec_async` if there is none"]
pub struct Task<T> {
    item: WorkItem,
    slot: Arc<Slot<T>>,
    /// The line in which the task waits for its turn.
    line: Option<QueueLine>,
    label: Arc<str>,
    /// What is polled, if it is a future.
    fiber: Option<Weak<dyn Withdraw>>,
    waiting: Option<Waiting<Item>>,
}

impl<T: Send + 'static> Task<T> {
    fn submit<F: FnOnce() -> T + Send + 'static>(queue: &impl Dispatch, f: F) -> Self {
        let task = Self::prepare(queue, f);
        // The item is new: its job has not been taken.
        if let Ok(job) = task.item.job() {
            queue.accept(Job::wrapping::<F, _>(job));
        }
        task
    }

    /// A task of `queue` that has not been submitted: its item's job is still to be taken.
    pub(crate) fn prepare<F: FnOnce() -> T + Send + 'static>(queue: &impl Dispatch, f: F) -> Self {
        let slot = Slot::new();
        let item = WorkItem::new({
            let slot = Arc::clone(&slot);
            move || match contain(f) {
                Ok(value) => slot.put(value),
                Err(panic) => {
                    slot.put_panic(&panic);
                    // Whoever runs the queue reports it.
                    panic.resume();
                }
            }
        });
        Self { item, slot, line: queue.line(), label: Arc::clone(queue.label()), fiber: None, waiting: None }
    }

    fn try_submit<F: FnOnce() -> T + Send + 'static>(queue: &impl Dispatch, f: F) -> Result<Self, SubmitError<F>> {
        queue.engine().admit(f).map(|f| Self::submit(queue, f))
    }

    fn spawn<F: Future<Output = T> + Send + 'static>(queue: &impl Dispatch, future: F) -> Self {
        let (slot, item) = (Slot::new(), WorkItem::without_closure());
        let fiber = Fiber::start(future, item.clone(), Arc::clone(&slot), queue.sink(), Arc::clone(queue.engine()));
        Self { item, slot, line: queue.line(), label: Arc::clone(queue.label()), fiber: Some(fiber), waiting: None }
    }

    /// Waits for the value.
    ///
    /// A thread that waits on a worker of a [`Runtime`](crate::Runtime) does not keep a core from other work. A task cannot
    /// see every wait in a circle, but that the calling thread itself holds the task's queue is reported.
    ///
    /// # Errors
    ///
    /// [`TaskError`]: the task panicked, was cancelled or dropped, its value has been taken, or the wait would never end.
    ///
    /// ```
    /// use concourse::{Queue, TaskError};
    ///
    /// let queue = Queue::serial("own");
    /// let own = queue.clone();
    /// let outer = queue.submit(move || own.submit(|| ()).wait());
    /// assert!(matches!(outer.wait()?, Err(TaskError::WouldDeadlock { .. })));
    /// # Ok::<(), TaskError>(())
    /// ```
    pub fn wait(mut self) -> Result<T, TaskError> {
        self.wait_timeout(Duration::MAX)
    }

    /// Waits for the value, for at most `timeout`. A timeout too long for the clock is none.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait), and [`TaskError::TimedOut`], after which the task goes on and may be waited for again.
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<T, TaskError> {
        let limit = (!timeout.is_zero()).then(|| deadline_after(timeout));
        self.wait_within(limit).unwrap_or(Err(TaskError::TimedOut { after: timeout }))
    }

    /// Waits for the value; none if the limit came first. Without a limit it is a mere look.
    pub(crate) fn wait_within(&mut self, limit: Option<impl Limit>) -> Option<Result<T, TaskError>> {
        if let Some(outcome) = self.item.outcome() {
            return Some(self.slot.take(outcome));
        }
        if let Some((queue, held)) = self.held_up().filter(|_| limit.is_some()) {
            return Some(Err(TaskError::WouldDeadlock { queue, held }));
        }
        match self.item.wait_within(limit) {
            Ok(outcome) => outcome.map(|outcome| self.slot.take(outcome)),
            Err(_) => Some(Err(TaskError::WouldDeadlock { queue: Arc::clone(&self.label), held: Vec::new() })),
        }
    }

    fn held_up(&self) -> Option<(Arc<str>, Vec<HeldQueue>)> {
        self.line.as_ref().and_then(QueueLine::is_held_up)
    }

    /// Takes what has become of the task, if that is settled. Does not wait.
    pub fn try_take(&mut self) -> Option<Result<T, TaskError>> {
        self.item.outcome().map(|outcome| self.slot.take(outcome))
    }

    /// True if it is settled what has become of the task: a wait would not wait.
    pub fn is_done(&self) -> bool {
        self.item.outcome().is_some()
    }

    /// Says that the value is not wanted any more, and how far the task has come.
    ///
    /// A task that has not begun never will; what it captured is dropped before the call returns. A closure that runs is not
    /// stopped, and its value still comes. A future that is under way is dropped on its queue, at its next `await`, and
    /// the task ends as cancelled; that too is [`Cancellation::Running`], and once it is gone, `NeverRan`: it never ran to its
    /// end.
    ///
    /// ```
    /// use concourse::{Cancellation, Queue, TaskError};
    ///
    /// let queue = Queue::serial("held");
    /// let guard = queue.suspend_guard()?;
    /// let task = queue.submit(|| 1);
    /// assert_eq!(task.cancel(), Cancellation::NeverRan);
    /// assert_eq!(task.wait(), Err(TaskError::Cancelled));
    /// # Ok::<(), concourse::SuspendError>(())
    /// ```
    pub fn cancel(&self) -> Cancellation {
        self.withdraw()
    }

    /// Submits `f` to `queue` once, with what has become of the task, as soon as that is settled.
    ///
    /// Nothing is merged or lost beyond what [`Dispatch::exec_async`] says of `queue`. A panic of `f` is contained and
    /// reported as for any job.
    ///
    /// ```
    /// use concourse::{Event, Queue};
    ///
    /// let (work, screen) = (Queue::serial("work"), Queue::serial("screen"));
    /// let shown = Event::new();
    /// let show = shown.clone();
    /// work.submit(|| 6 * 7).on_complete(&screen, move |answer| {
    ///     assert_eq!(answer, Ok(42));
    ///     show.set();
    /// });
    /// shown.wait();
    /// ```
    pub fn on_complete<F>(self, queue: &impl Dispatch, f: F)
    where
        F: FnOnce(Result<T, TaskError>) + Send + 'static,
    {
        let slot = self.slot;
        self.item.notify_as::<F>(queue, move |outcome| f(slot.take(outcome)));
    }
}

impl<T> Task<T> {
    pub(crate) fn item(&self) -> &WorkItem {
        &self.item
    }

    fn withdraw(&self) -> Cancellation {
        // Before the item is cancelled: from then on only this call drops a future that has not been polled.
        let fiber = self.fiber.as_ref().and_then(Weak::upgrade);
        let cancellation = self.item.cancel();
        if let Some(fiber) = fiber {
            fiber.withdraw(cancellation);
        }
        cancellation
    }
}

impl<T: Send + 'static> Future for Task<T> {
    type Output = Result<T, TaskError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let task = &mut *self;
        let waiting = task.waiting.get_or_insert_with(|| task.item.waiting());
        // Nobody is served before the end, so that there is an outcome.
        match Pin::new(waiting).poll(context) {
            Poll::Ready(()) => task.try_take().map_or(Poll::Pending, Poll::Ready),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("outcome", &self.item.outcome()).finish_non_exhaustive()
    }
}

impl Queue {
    /// Submits `f` to run on the queue, and returns a [`Task`] that its value comes to.
    ///
    /// As [`exec_async`](Self::exec_async) otherwise: nothing is merged or lost, and once the runtime has been shut down
    /// the closure is reported to its rejection hook and the task ends as dropped. Allocates three times.
    ///
    /// ```
    /// let queue = concourse::Queue::serial("arithmetic");
    /// assert_eq!(queue.submit(|| 6 * 7).wait(), Ok(42));
    /// ```
    pub fn submit<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> Task<T> {
        Task::submit(self, f)
    }

    /// As [`submit`](Self::submit), or gives `f` back.
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with the closure, once the runtime has been shut down and in a forked child. A shutdown at the very
    /// moment of the call may still take the closure, and ends the task as dropped.
    pub fn try_submit<T, F>(&self, f: F) -> Result<Task<T>, SubmitError<F>>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        Task::try_submit(self, f)
    }

    /// Polls `future` on the queue until it is ready, and returns a [`Task`] that its value comes to.
    ///
    /// Each poll is a job of the queue, in line with the others; it is submitted when the future is woken. Two polls of one
    /// future never overlap, and on a serial queue no poll overlaps any other job, but other jobs come in between: see
    /// [`spawn_exclusive`](Self::spawn_exclusive). The future may wait for anything, of any executor. A panic ends the task,
    /// and is reported as for any job. [`cancel_pending`](Self::cancel_pending) drops futures that have not begun, and so
    /// does the end of a suspended queue; one that is under way goes on. When no poll will come any more, because the runtime
    /// has ended or nobody is left who could wake the future, it is dropped and the task ends as dropped. A future that owns
    /// the only handle of what it waits for keeps itself waiting.
    ///
    /// ```
    /// use concourse::{Queue, Semaphore};
    ///
    /// let queue = Queue::serial("fetch");
    /// let slots = Semaphore::new(2);
    /// let fetched = queue.spawn(async move {
    ///     let _permit = slots.acquire_async().await;
    ///     "a page"
    /// });
    /// assert_eq!(fetched.wait(), Ok("a page"));
    /// ```
    pub fn spawn<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Task<T> {
        Task::spawn(self, future)
    }

    /// Runs `future` to its end as one job of the queue, which holds the queue across every `await`.
    ///
    /// The job's thread waits meanwhile, without keeping a core from other work. A future under way is not stopped by
    /// [`Task::cancel`]. It must not wait for another job of the same serial queue.
    pub fn spawn_exclusive<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Task<T> {
        Task::submit(self, move || block_on(future))
    }
}

impl GlobalQueue {
    /// As [`Queue::submit`].
    pub fn submit<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> Task<T> {
        Task::submit(self, f)
    }

    /// As [`Queue::try_submit`].
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with the closure.
    pub fn try_submit<T, F>(&self, f: F) -> Result<Task<T>, SubmitError<F>>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        Task::try_submit(self, f)
    }

    /// As [`Queue::spawn`].
    pub fn spawn<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Task<T> {
        Task::spawn(self, future)
    }
}

impl MainQueue {
    /// As [`Queue::submit`], on the main thread.
    pub fn submit<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> Task<T> {
        Task::submit(self, f)
    }

    /// As [`Queue::try_submit`], on the main thread.
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with the closure.
    pub fn try_submit<T, F>(&self, f: F) -> Result<Task<T>, SubmitError<F>>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        Task::try_submit(self, f)
    }

    /// As [`Queue::spawn`], on the main thread.
    pub fn spawn<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Task<T> {
        Task::spawn(self, future)
    }
}
