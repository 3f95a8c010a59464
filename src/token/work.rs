//! Work that a token covers: it has not begun when the token is cancelled, and never will.

use super::CancelToken;
use super::node::Place;
use crate::error::Cancelled;
use crate::job::Job;
use crate::queue::Dispatch;
use crate::task::Task;
use crate::work_item::WorkItem;
use std::future::poll_fn;
use std::pin::Pin;
use std::pin::pin;
use std::task::Poll;

impl CancelToken {
    /// Makes a closure that the token covers of `f`, for whatever takes one: [`Queue::exec_async`], [`Dispatch::after`],
    /// [`Group::exec_async`], [`Keyed::exec_async`], a barrier, a thread.
    ///
    /// Once the token is cancelled, an `f` that has not begun never does. What it captured is dropped at once, by whoever
    /// cancels, or by the runtime if it is a deadline; its place in the queue is an empty job. An `f` that has begun goes on,
    /// and may [`check`](Self::check) the token. Nobody is told which it was: [`submit`](Self::submit) tells.
    ///
    /// [`Queue::exec_async`]: crate::Queue::exec_async
    /// [`Group::exec_async`]: crate::Group::exec_async
    /// [`Keyed::exec_async`]: crate::Keyed::exec_async
    ///
    /// ```
    /// use concourse::{CancelToken, Group, Queue};
    ///
    /// let (queue, group) = (Queue::serial("renders"), Group::new());
    /// let guard = queue.suspend_guard()?;
    /// let page = CancelToken::new();
    /// group.exec_async(&queue, page.job(|| unreachable!("the page was closed")));
    /// page.cancel();
    /// drop(guard);
    /// group.wait();
    /// # Ok::<(), concourse::SuspendError>(())
    /// ```
    pub fn job<F: FnOnce() + Send + 'static>(&self, f: F) -> impl FnOnce() + Send + 'static + use<F> {
        self.cover(WorkItem::new(f))
    }

    /// Submits `f` to `queue` and returns a [`Task`] that its value comes to. As [`Queue::submit`], and the token cancels
    /// it, as [`Task::cancel`] does.
    ///
    /// Once the token is cancelled, an `f` that has not begun never does: what it captured is dropped as [`job`](Self::job)
    /// says, and the task ends with [`TaskError::Cancelled`]. With a token that has been cancelled nothing runs at all. A
    /// future is covered by [`run_until_cancelled`](Self::run_until_cancelled).
    ///
    /// [`Queue::submit`]: crate::Queue::submit
    /// [`TaskError::Cancelled`]: crate::TaskError::Cancelled
    ///
    /// ```
    /// use concourse::{Cancellation, CancelToken, Queue, TaskError};
    ///
    /// let queue = Queue::serial("thumbnails");
    /// let guard = queue.suspend_guard()?;
    /// let folder = CancelToken::new();
    /// let thumbnail = folder.submit(&queue, || "a picture");
    /// folder.cancel();
    /// assert_eq!(thumbnail.cancel(), Cancellation::NeverRan);
    /// assert_eq!(thumbnail.wait(), Err(TaskError::Cancelled));
    /// # Ok::<(), concourse::SuspendError>(())
    /// ```
    pub fn submit<T, F>(&self, queue: &impl Dispatch, f: F) -> Task<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let task = Task::prepare(queue, f);
        queue.accept(Job::wrapping::<F, _>(self.cover(task.item().clone())));
        task
    }

    /// Runs `future` until it is ready or the token is cancelled; then the future is dropped where it stands.
    ///
    /// `queue.spawn(token.run_until_cancelled(future))` covers a future on a queue, which is dropped there. A token that was
    /// cancelled before polls nothing. This is tokio-util's method of the same name, for any executor.
    ///
    /// # Errors
    ///
    /// [`Cancelled`].
    ///
    /// ```
    /// use concourse::{CancelToken, Cancelled, Queue, Semaphore};
    ///
    /// let (token, slots) = (CancelToken::new(), Semaphore::new(0));
    /// let waiting = token.run_until_cancelled(async move {
    ///     let _permit = slots.acquire_async().await;
    /// });
    /// let task = Queue::serial("downloads").spawn(waiting);
    /// token.cancel();
    /// assert_eq!(task.wait(), Ok(Err(Cancelled)));
    /// ```
    pub fn run_until_cancelled<F: Future>(
        &self,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Cancelled>> + use<F> {
        let mut cancelled = self.cancelled();
        async move {
            let mut future = pin!(future);
            poll_fn(|context| match Pin::new(&mut cancelled).poll(context) {
                Poll::Ready(()) => Poll::Ready(Err(Cancelled)),
                Poll::Pending => future.as_mut().poll(context).map(Ok),
            })
            .await
        }
    }

    /// The job of an item that has not been submitted.
    fn cover(&self, item: WorkItem) -> impl FnOnce() + Send + 'static + use<> {
        let covered = Covered { token: self.clone(), place: self.enlist(&item), item };
        move || covered.run()
    }

    /// Has the token cancel the item; at once, if it has been cancelled.
    fn enlist(&self, item: &WorkItem) -> Option<Place> {
        let listed = item.clone();
        self.call(move || _ = listed.cancel())
    }
}

/// An item on its way to be run. Dropping it ends the item, if nobody has.
struct Covered {
    token: CancelToken,
    place: Option<Place>,
    item: WorkItem,
}

impl Covered {
    fn run(mut self) {
        if self.token.is_cancelled() {
            // Whoever cancels it may not have come here yet.
            self.item.cancel();
        }
        // What has begun is cancelled no more.
        self.place = None;
        if let Ok(job) = self.item.job() {
            job();
        }
    }
}

impl Drop for Covered {
    fn drop(&mut self) {
        self.item.abandon();
    }
}
