//! How an operation is described before it is added.

use super::Operation;
use super::context::OperationContext;
use super::input::Edges;
use super::input::Held;
use super::input::Input;
use super::input::Slot;
use super::line::Priority;
use super::progress::Progress;
use super::queue::OperationQueue;
use super::record::Body;
use super::record::Need;
use super::record::Plan;
use super::retry::Retry;
use crate::engine::Loss;
use crate::error::OperationError;
use crate::job::Job;
use crate::sync::Arc;
use crate::token::CancelToken;
use std::any::type_name;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// An operation that has not been added to its queue: from [`OperationQueue::operation`].
///
/// It is added by [`run`](Self::run), [`try_run`](Self::try_run) or [`retry`](Self::retry). What it depends on is said
/// before, and exists by then, so that no cycle can be built, and an operation cannot be added twice: both are questions of
/// types here. Dependencies may belong to other queues, and to other runtimes.
///
/// ```compile_fail,E0382
/// # let ops = concourse::OperationQueue::new("twice");
/// let operation = ops.operation("once");
/// operation.run(|| ());
/// operation.run(|| ());
/// ```
#[must_use = "an operation is added by `run`, `try_run` or `retry`"]
pub struct OperationBuilder<I = ()> {
    queue: OperationQueue,
    label: Arc<str>,
    edges: Edges,
    priority: Priority,
    delay: Duration,
    limit: Option<Duration>,
    is_barrier: bool,
    progress: Option<Progress>,
    token: Option<CancelToken>,
    input: I,
}

impl OperationBuilder {
    pub(super) fn new(queue: OperationQueue, label: &str) -> Self {
        Self {
            queue,
            label: Arc::from(label),
            edges: Edges::default(),
            priority: Priority::default(),
            delay: Duration::ZERO,
            limit: None,
            is_barrier: false,
            progress: None,
            token: None,
            input: (),
        }
    }

    /// Has the closure called with values of other operations, which this one then depends on: see [`Input`].
    ///
    /// ```
    /// use concourse::OperationQueue;
    ///
    /// let ops = OperationQueue::new("sums");
    /// let (two, lost) = (ops.operation("two").run(|| 2), ops.operation("lost").try_run(|_| Err::<i32, _>("lost")));
    /// let sum = ops.operation("sum").with((&two, lost.or(40))).run(|(a, b)| a + b);
    /// assert_eq!(*sum.wait()?, 42);
    ///
    /// let parts: Vec<_> = (1..=3).map(|n| ops.operation("part").run(move || n)).collect();
    /// let total = ops.operation("total").with(&parts).run(|parts| parts.into_iter().sum::<i32>());
    /// assert_eq!(*total.wait()?, 6);
    ///
    /// let skipped = ops.operation("skipped").with(&lost).run(|_| ());
    /// assert_eq!(skipped.wait().unwrap_err().to_string(),
    ///     "the operation was skipped, as it depends on \"lost\": the operation failed: lost");
    /// # Ok::<(), concourse::OperationError>(())
    /// ```
    pub fn with<I: Input>(mut self, input: I) -> OperationBuilder<I::Held> {
        let held = input.hold(&mut self.edges);
        let Self { queue, label, edges, priority, delay, limit, is_barrier, progress, token, input: () } = self;
        OperationBuilder { queue, label, edges, priority, delay, limit, is_barrier, progress, token, input: held }
    }

    /// Adds the operation, which calls `f` once: it has finished when `f` returns.
    ///
    /// Nothing is merged or lost: the operation ends in one way, which its handle tells.
    pub fn run<T, F>(self, f: F) -> Operation<T>
    where
        T: Send + Sync + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let mut f = Some(f);
        self.add::<T, F>(None, move |context, ()| once(&mut f, |f| context.judge(Ok::<_, OperationError>(f()))))
    }

    /// Adds the operation, which calls `f` once: it has finished when `f` returns a value, and failed when `f` returns an
    /// error.
    ///
    /// ```
    /// use concourse::{OperationError, OperationQueue};
    ///
    /// let ops = OperationQueue::new("numbers");
    /// let number = ops.operation("parse").try_run(|_| "4x".parse::<u32>());
    /// let Err(OperationError::Failed { error }) = number.wait() else { panic!("it is no number") };
    /// assert!(error.is::<std::num::ParseIntError>());
    /// ```
    pub fn try_run<T, E, F>(self, f: F) -> Operation<T>
    where
        T: Send + Sync + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
        F: FnOnce(&OperationContext<'_>) -> Result<T, E> + Send + 'static,
    {
        let mut f = Some(f);
        self.add::<T, F>(None, move |context, ()| once(&mut f, |f| context.judge(f(context))))
    }

    /// Adds the operation, which calls `f` until it returns a value, as [`Retry`] says.
    ///
    /// ```
    /// use concourse::{OperationQueue, Retry};
    /// use std::time::Duration;
    ///
    /// let ops = OperationQueue::new("network");
    /// let page = ops.operation("fetch").retry(Retry::up_to(3).pause(Duration::from_millis(1)), |context| {
    ///     if context.attempt() < 3 { Err("no answer") } else { Ok("a page") }
    /// });
    /// assert_eq!(*page.wait()?, "a page");
    /// # Ok::<(), concourse::OperationError>(())
    /// ```
    pub fn retry<T, E, F>(self, retry: Retry, mut f: F) -> Operation<T>
    where
        T: Send + Sync + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
        F: FnMut(&OperationContext<'_>) -> Result<T, E> + Send + 'static,
    {
        self.add::<T, F>(Some(retry), move |context, ()| context.judge(f(context)))
    }
}

impl<I: Held> OperationBuilder<I> {
    /// As without values, with the values that the operation takes.
    pub fn run<T, F>(self, f: F) -> Operation<T>
    where
        T: Send + Sync + 'static,
        F: FnOnce(I::Values<'_>) -> T + Send + 'static,
    {
        let mut f = Some(f);
        self.add::<T, F>(None, move |context, input| {
            let values = values(input)?;
            once(&mut f, |f| context.judge(Ok::<_, OperationError>(f(values))))
        })
    }

    /// As without values, with the values that the operation takes.
    pub fn try_run<T, E, F>(self, f: F) -> Operation<T>
    where
        T: Send + Sync + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
        F: FnOnce(&OperationContext<'_>, I::Values<'_>) -> Result<T, E> + Send + 'static,
    {
        let mut f = Some(f);
        self.add::<T, F>(None, move |context, input| {
            let values = values(input)?;
            once(&mut f, |f| context.judge(f(context, values)))
        })
    }

    /// As without values, with the values that the operation takes.
    pub fn retry<T, E, F>(self, retry: Retry, mut f: F) -> Operation<T>
    where
        T: Send + Sync + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
        F: FnMut(&OperationContext<'_>, I::Values<'_>) -> Result<T, E> + Send + 'static,
    {
        self.add::<T, F>(Some(retry), move |context, input| context.judge(f(context, values(input)?)))
    }
}

/// What an operation without a retry has: one call of its closure.
fn once<F, T>(f: &mut Option<F>, call: impl FnOnce(F) -> Result<T, OperationError>) -> Result<T, OperationError> {
    f.take().map_or(Err(OperationError::Dropped), call)
}

/// The values of an operation that has begun, and for which they are there therefore.
fn values<I: Held>(input: &I) -> Result<I::Values<'_>, OperationError> {
    input.values().ok_or(OperationError::Dropped)
}

impl<I: Send + 'static> OperationBuilder<I> {
    /// Runs the operation once `other` has finished. It is skipped if `other` ends without a value.
    pub fn after<T>(mut self, other: &Operation<T>) -> Self {
        self.edges.add(other, Need::Success);
        self
    }

    /// Runs the operation once `other` has ended, with a value or without one: what `NSOperation` calls a dependency.
    ///
    /// ```
    /// use concourse::OperationQueue;
    ///
    /// let ops = OperationQueue::new("files");
    /// let write = ops.operation("write").try_run(|_| Err::<(), _>("disk full"));
    /// let clean = ops.operation("clean up").after_end_of(&write).run(|| "removed");
    /// assert_eq!(*clean.wait()?, "removed");
    /// # Ok::<(), concourse::OperationError>(())
    /// ```
    pub fn after_end_of<T>(mut self, other: &Operation<T>) -> Self {
        self.edges.add(other, Need::End);
        self
    }

    /// How urgent the operation is among those that are ready. [`Operation::set_priority`] changes it.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Begins the operation at the earliest when so long has passed from now on, that is, from when it is added.
    ///
    /// It may depend on others as well, and begins when all of that is over. An operation that waits for its time when its
    /// runtime ends is dropped, in a drain too.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// How long an attempt at the operation may take, from the moment in which it begins.
    ///
    /// The operation is told by its [context](OperationContext), and is to return then. It is not stopped: one that does not
    /// listen keeps its place among those that run, and whoever waits for it waits. When it returns, whatever it returns is
    /// dropped, and the attempt has failed with [`OperationError::Expired`].
    ///
    /// ```
    /// use concourse::{OperationError, OperationQueue};
    /// use std::time::Duration;
    ///
    /// let ops = OperationQueue::new("network");
    /// let answer = ops.operation("ask").timeout(Duration::from_millis(2)).try_run(|context| {
    ///     while context.sleep(Duration::from_millis(1)) {}
    ///     Err::<(), _>("no answer in time")
    /// });
    /// assert!(matches!(answer.wait(), Err(OperationError::Expired { .. })));
    /// ```
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Makes the operation a barrier: it runs when everything that is in the queue now has ended, and whatever is added
    /// after it runs when it has ended itself, or was cancelled. This is `addBarrierBlock`.
    pub fn barrier(mut self) -> Self {
        self.is_barrier = true;
        self
    }

    /// Makes the operation a part of `progress` that is worth so many of its units, and is done when the operation is over,
    /// however that is. A closure that is called with its [context](OperationContext::part) may say more on the way.
    ///
    /// ```
    /// use concourse::{OperationQueue, Progress};
    ///
    /// let (ops, all) = (OperationQueue::new("copies"), Progress::new(3));
    /// let copy = ops.operation("copy").progress(&all, 2).try_run(|context| {
    ///     let bytes = context.part(4_096);
    ///     bytes.add(1_024);
    ///     Ok::<_, std::io::Error>(bytes.fraction())
    /// });
    /// assert_eq!(*copy.wait()?, 0.25);
    /// assert_eq!(all.completed(), 2);
    /// # Ok::<(), concourse::OperationError>(())
    /// ```
    pub fn progress(mut self, progress: &Progress, units: u64) -> Self {
        self.progress = Some(progress.child(units, 1));
        self
    }

    /// Cancels the operation when `token` is, as [`Operation::cancel`] does. Its [own](OperationContext::token) is below that.
    ///
    /// ```
    /// use concourse::{CancelToken, OperationError, OperationQueue};
    ///
    /// let (ops, request) = (OperationQueue::builder("steps").max_concurrent(0).build(), CancelToken::new());
    /// let steps = ["look up", "answer"].map(|label| ops.operation(label).under(&request).run(|| ()));
    /// request.cancel();
    /// assert!(steps.iter().all(|step| matches!(step.wait(), Err(OperationError::Cancelled))));
    /// ```
    pub fn under(mut self, token: &CancelToken) -> Self {
        self.token = Some(token.child());
        self
    }

    fn add<T, F>(
        self,
        retry: Option<Retry>,
        mut attempt: impl FnMut(&OperationContext<'_>, &I) -> Result<T, OperationError> + Send + 'static,
    ) -> Operation<T>
    where
        T: Send + Sync + 'static,
    {
        let Self { queue, label, edges, priority, delay, limit, is_barrier, progress, token, input } = self;
        let Edges(dependencies) = edges;
        let (station, value) = (queue.station(), Arc::new(Slot::new()));
        let slot = Arc::clone(&value);
        let body = move |context: &OperationContext<'_>| {
            // There is one attempt that gives a value.
            attempt(context, &input).map(|value| _ = slot.set(Arc::new(value)))
        };
        let (body, is_admitted): (Body, bool) = match station.engine.admit(body) {
            Ok(body) => (Box::new(body), true),
            Err(refused) => {
                let job = Job::new(move || drop(refused));
                station.engine.lose(&station.label, job, Loss::Rejected);
                (Box::new(|_| Err(OperationError::Dropped)), false)
            }
        };
        let plan = Plan { label, priority, dependencies, limit, retry, is_barrier, progress, token };
        let record = station.add(plan, delay, body, type_name::<F>(), is_admitted);
        Operation::new(record, value)
    }
}

impl<I> fmt::Debug for OperationBuilder<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperationBuilder").field("label", &self.label).finish_non_exhaustive()
    }
}
