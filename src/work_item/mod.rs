//! Work items: a closure that is submitted once, and can be waited for, watched and cancelled.
//!
//! # Protocol and races
//!
//! The item's word says how far it has come; whoever takes it out of `Pending` owns the closure, takes it out of its place
//! under the lock, runs or drops it there and then, and ends the item under the lock again, with everybody who waits.
//!
//! - **A cancel comes when the queue reaches the item.** One exchange of the word decides. The loser finds no closure to
//!   run, or hears that it runs.
//! - **The item ends between a wait's look at it and its joining.** The second look is under the lock that the end holds.
//! - **A notification is registered when the item ends.** Under the lock again: it is taken along, or finds the outcome.
//! - **The captures' destructors panic, or wait for the item.** The end comes from a guard; and the thread that runs or
//!   drops the closure is known under the lock while it does, so that its own wait is told from others'.
//!
//! *Nobody waits for ever for an item that can end*: the closure's owner ends the item however it leaves; an item that
//! is pending has a job, whose drop ends it, or a handle, and the last handle's drop ends it too.

mod item;
mod state;

pub(crate) use item::Item;
pub(crate) use item::Run;
pub use state::Outcome;

use crate::error::WaitError;
use crate::error::WorkItemError;
use crate::job::Job;
use crate::queue::Dispatch;
use crate::sync::Arc;
use crate::sync::Limit;
use crate::sync::Waiting;
use crate::sync::deadline_after;
use item::Body;
use item::End;
use state::Withdrawal;
use std::fmt;
use std::time::Duration;

/// What [`WorkItem::cancel`] has achieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cancellation {
    /// The closure has not run and never will.
    NeverRan,
    /// The closure is running. It can see that it is unwanted, and is not stopped.
    Running,
    /// The closure has run.
    Done,
}

/// The item on its way to be run. Dropping it drops the closure, if that is still there.
struct Submission(WorkItem);

impl Submission {
    fn run(self) {
        let item = &*self.0.item;
        if !item.state.start() {
            return;
        }
        let mut end = End { item, outcome: Outcome::Panicked };
        if let Some(body) = item.take_body() {
            body(&self.0);
            end.outcome = Outcome::Finished;
        }
    }
}

impl Drop for Submission {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// A closure that can be submitted once, waited for, watched, and cancelled: libdispatch's block object.
///
/// A handle is cheap to clone; all clones are the same item. A queue's own [`exec_async`](Dispatch::exec_async) is cheaper
/// where none of this is needed.
///
/// An item ends exactly once, with an [`Outcome`] that waits and notifications are told: it ran, it panicked, it was
/// cancelled, or it was dropped unrun. What the closure captured is gone by then. Differences from libdispatch: an item
/// runs once at most; any number of threads may wait, with or without notifications; a cancelled item gives its captures
/// up at once, and its place in the queue is an empty job; and an item that a queue drops ends as well.
///
/// # Examples
///
/// ```
/// use concourse::{Cancellation, Outcome, Queue, WorkItem};
///
/// let queue = Queue::serial("thumbnails");
/// let guard = queue.suspend_guard()?;
///
/// let wanted = WorkItem::new(|| println!("rendered"));
/// let unwanted = WorkItem::new(|| unreachable!());
/// for item in [&wanted, &unwanted] {
///     item.exec_async(&queue).unwrap();
/// }
/// assert_eq!(unwanted.cancel(), Cancellation::NeverRan);
///
/// drop(guard);
/// assert_eq!(wanted.wait(), Outcome::Finished);
/// assert_eq!(unwanted.wait(), Outcome::Cancelled);
/// # Ok::<(), concourse::SuspendError>(())
/// ```
///
/// A closure that looks whether it is still wanted:
///
/// ```
/// use concourse::{Cancellation, Queue, WorkItem};
///
/// let endless = WorkItem::new_with(|item| {
///     while !item.is_cancelled() {
///         std::thread::yield_now();
///     }
/// });
/// endless.exec_async(&Queue::serial("endless")).unwrap();
/// while endless.cancel() == Cancellation::Running {
///     std::thread::yield_now();
/// }
/// endless.wait();
/// ```
///
/// Later, alone, or in a group: whatever takes a closure takes the item's [`job`](Self::job).
///
/// ```
/// use concourse::{Dispatch, Outcome, Queue, WorkItem};
/// use std::time::Duration;
///
/// let queue = Queue::concurrent("cache");
/// let sweep = WorkItem::new(|| println!("swept"));
/// queue.barrier_async(sweep.job().unwrap());
/// assert_eq!(sweep.wait(), Outcome::Finished);
///
/// let reminder = WorkItem::new(|| unreachable!());
/// let timer = queue.after(Duration::from_secs(3600), reminder.job().unwrap())?;
/// assert!(timer.cancel());
/// assert_eq!(reminder.wait(), Outcome::Dropped);
/// # Ok::<(), concourse::TimerError>(())
/// ```
#[derive(Clone)]
pub struct WorkItem {
    item: Arc<Item>,
}

impl WorkItem {
    /// An item that runs `f`.
    pub fn new(f: impl FnOnce() + Send + 'static) -> Self {
        Self::new_with(|_| f())
    }

    /// An item that runs `f` with itself, so that a long closure can look whether it has been
    /// [cancelled](Self::is_cancelled). A closure that captured a handle of its own item would keep it for ever.
    pub fn new_with(f: impl FnOnce(&Self) + Send + 'static) -> Self {
        Self::with(Some(Box::new(f)))
    }

    /// An item that somebody [begins](Self::begin), instead of a closure that runs.
    pub(crate) fn without_closure() -> Self {
        let item = Self::with(None);
        // Nobody else can have submitted it.
        let _ = item.item.state.submit();
        item
    }

    fn with(body: Option<Body>) -> Self {
        Self { item: Item::new(body) }
    }

    /// Begins the run of an item without a closure, unless it has ended.
    pub(crate) fn begin(&self) -> Option<Run> {
        let item = Arc::clone(&self.item);
        self.item.state.start().then(|| Run(End { item, outcome: Outcome::Dropped }))
    }

    /// Ends an item that has not begun as dropped.
    pub(crate) fn abandon(&self) {
        if self.item.state.abandon() {
            self.item.discard(Outcome::Dropped);
        }
    }

    /// A future that ends with the item.
    pub(crate) fn waiting(&self) -> Waiting<Item> {
        Waiting::new(Arc::clone(&self.item))
    }

    /// Submits the item to `queue`: libdispatch's `dispatch_async` of a block object.
    ///
    /// Nothing is merged or lost: the item ends with one outcome. An item that has been cancelled is submitted as an empty
    /// job. A panic of the closure is contained and reported as for any job.
    ///
    /// # Errors
    ///
    /// [`WorkItemError::AlreadySubmitted`] if it has been submitted, or its [`job`](Self::job) taken.
    pub fn exec_async(&self, queue: &impl Dispatch) -> Result<(), WorkItemError> {
        queue.exec_async(self.job()?);
        Ok(())
    }

    /// The item as a closure, for whatever takes one: [`Dispatch::after`], [`Queue::barrier_async`],
    /// [`Group::exec_async`], a sync call, a thread.
    ///
    /// Dropping the closure unrun ends the item as [`Outcome::Dropped`].
    ///
    /// # Errors
    ///
    /// [`WorkItemError::AlreadySubmitted`], as from [`exec_async`](Self::exec_async).
    ///
    /// [`Queue::barrier_async`]: crate::Queue::barrier_async
    /// [`Group::exec_async`]: crate::Group::exec_async
    pub fn job(&self) -> Result<impl FnOnce() + Send + 'static + use<>, WorkItemError> {
        if !self.item.state.submit() {
            return Err(WorkItemError::AlreadySubmitted);
        }
        let submission = Submission(self.clone());
        Ok(move || submission.run())
    }

    /// Says that the item is not wanted any more, and how far it has come.
    ///
    /// If it has not begun, it never will: what it captured is dropped on this thread before the call returns, a panic in
    /// such a destructor goes on in the caller, and the item has ended as [`Outcome::Cancelled`]. A closure that runs is
    /// not stopped, but sees [`is_cancelled`](Self::is_cancelled); the item goes on to its ordinary end. If a second call
    /// says `NeverRan` the captures may still be on their way out on the thread of the first. This is libdispatch's
    /// `dispatch_block_cancel`, which keeps the captures until the queue reaches the item.
    pub fn cancel(&self) -> Cancellation {
        match self.item.state.cancel() {
            Withdrawal::Mine => {
                self.item.discard(Outcome::Cancelled);
                Cancellation::NeverRan
            }
            Withdrawal::NeverRan => Cancellation::NeverRan,
            Withdrawal::Running => Cancellation::Running,
            Withdrawal::Done => Cancellation::Done,
        }
    }

    /// True once [`cancel`](Self::cancel) has been called, unless the item had ended by then. What was done before the call
    /// is visible.
    pub fn is_cancelled(&self) -> bool {
        self.item.state.is_cancelled()
    }

    /// How the item has ended, if it has.
    pub fn outcome(&self) -> Option<Outcome> {
        self.item.state.outcome()
    }

    /// Waits until the item has ended, and says how: libdispatch's `dispatch_block_wait`, as often as you like.
    ///
    /// An item that nobody has submitted may be waited for; somebody may still do it. A thread that waits on a worker of
    /// a [`Runtime`](crate::Runtime) does not keep a core from other work. An item cannot see that a job of a queue waits
    /// for an item behind it on the same queue: such a wait never ends.
    ///
    /// # Panics
    ///
    /// If the calling thread is running the item, or dropping what it captured: the wait would never end.
    #[track_caller]
    pub fn wait(&self) -> Outcome {
        match self.wait_timeout(Duration::MAX) {
            Ok(outcome) => outcome,
            Err(error) => panic!("{error}"),
        }
    }

    /// Waits until the item has ended, for at most `timeout`, and says how. A timeout too long for the clock is none.
    ///
    /// # Errors
    ///
    /// [`WaitError::TimedOut`]; the item goes on as if nobody had waited. [`WaitError::WouldDeadlock`] where
    /// [`wait`](Self::wait) panics.
    ///
    /// ```
    /// use concourse::{Outcome, WaitError, WorkItem};
    /// use std::time::Duration;
    ///
    /// let item = WorkItem::new_with(|item| {
    ///     assert_eq!(item.wait_timeout(Duration::MAX), Err(WaitError::WouldDeadlock));
    /// });
    /// assert!(item.wait_timeout(Duration::ZERO).is_err());
    /// item.job().unwrap()();
    /// assert_eq!(item.wait_timeout(Duration::ZERO), Ok(Outcome::Finished));
    /// ```
    pub fn wait_timeout(&self, timeout: Duration) -> Result<Outcome, WaitError> {
        let limit = (!timeout.is_zero()).then(|| deadline_after(timeout));
        self.wait_within(limit)?.ok_or(WaitError::TimedOut { after: timeout })
    }

    /// Waits until the item has ended; none if the limit came first. Without a limit it is a mere look.
    pub(crate) fn wait_within(&self, limit: Option<impl Limit>) -> Result<Option<Outcome>, WaitError> {
        self.item.wait(limit)
    }

    /// Waits until the item has ended, and says how, as a future of any executor.
    ///
    /// ```
    /// use concourse::{Outcome, Queue, WorkItem};
    ///
    /// let item = WorkItem::new(|| println!("printed"));
    /// item.exec_async(&Queue::serial("printer")).unwrap();
    /// assert_eq!(concourse::block_on(item.wait_async()), Outcome::Finished);
    /// ```
    pub fn wait_async(&self) -> impl Future<Output = Outcome> + Send + use<> {
        let item = self.clone();
        async move {
            loop {
                // Nobody is served before the end, so that there is an outcome after the first turn.
                item.waiting().await;
                if let Some(outcome) = item.outcome() {
                    return outcome;
                }
            }
        }
    }

    /// Submits `f` to `queue` once, with the outcome, as soon as the item has ended: libdispatch's
    /// `dispatch_block_notify`.
    ///
    /// If it has ended, that is now. Otherwise any number may be registered, and all of them are submitted in the order of
    /// their registration. Nothing is merged or lost beyond what [`Dispatch::exec_async`] says of `queue`.
    ///
    /// ```
    /// use concourse::{Event, Outcome, Queue, WorkItem};
    ///
    /// let (work, screen) = (Queue::serial("work"), Queue::serial("screen"));
    /// let (shown, item) = (Event::new(), WorkItem::new(|| panic!("out of paper")));
    /// let show = shown.clone();
    /// item.notify(&screen, move |outcome| {
    ///     assert_eq!(outcome, Outcome::Panicked);
    ///     show.set();
    /// });
    /// item.exec_async(&work).unwrap();
    /// shown.wait();
    /// ```
    pub fn notify<F: FnOnce(Outcome) + Send + 'static>(&self, queue: &impl Dispatch, f: F) {
        self.notify_as::<F>(queue, f);
    }

    /// As [`notify`](Self::notify); reports speak of `f` as of `N`, which it wraps.
    pub(crate) fn notify_as<N>(&self, queue: &impl Dispatch, f: impl FnOnce(Outcome) + Send + 'static) {
        let (queue, promise) = (queue.clone(), queue.engine().promise());
        self.notify_inline(move |outcome| queue.accept(Job::registered::<N, _>(promise, move || f(outcome))));
    }

    /// Calls `f` as soon as the item has ended, on the thread that ends it. It does not wait for anything.
    pub(crate) fn notify_inline(&self, f: impl FnOnce(Outcome) + Send + 'static) {
        self.item.notify(Box::new(f));
    }
}

impl fmt::Debug for WorkItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cancelled = self.is_cancelled();
        f.debug_struct("WorkItem")
            .field("outcome", &self.outcome())
            .field("cancelled", &cancelled)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, any(concourse_loom, concourse_shuttle)))]
impl WorkItem {
    /// How many are registered.
    pub(crate) fn registered(&self) -> usize {
        self.item.registered()
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use super::*;
    use crate::sync::Mutex;
    use crate::sync::OnPark;
    use crate::sync::Reason;
    use crate::sync::enter_host;

    #[test]
    fn the_host_is_told_of_a_wait_that_blocks_and_no_lock_is_held_then() {
        let item = WorkItem::new(|| ());
        let job = Mutex::new(Some(item.job().unwrap()));
        let host = OnPark::new(move || job.lock().take().unwrap()());
        let _guard = enter_host(host.clone());
        assert_eq!(item.wait(), Outcome::Finished);
        assert_eq!(host.reasons(), [Reason::Completion]);
        assert_eq!(item.wait(), Outcome::Finished);
        assert_eq!(host.reasons(), [Reason::Completion], "a wait that does not block tells nobody");
    }
}
