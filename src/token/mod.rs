//! Cancellation: tokens in a tree, and everything that one of them can call off.
//!
//! A [`CancelToken`] is a handle of a [`Node`]: a flag, and a list of who is to be told. Tokens below, threads that wait,
//! callbacks and covered work all stand in that list.

mod deadline;
mod node;
mod state;
mod waits;
mod work;

use crate::engine::Engine;
use crate::engine::Scope;
use crate::error::Cancelled;
use crate::error::WaitError;
use crate::job::Job;
use crate::job::Panic;
use crate::queue::Dispatch;
use crate::runtime::Runtime;
use crate::sync::Arc;
use crate::sync::Reason;
use crate::sync::Waiting;
use crate::sync::deadline_after;
use crate::sync::wait_at;
use crate::time::Nanos;
use node::Listener;
use node::Node;
use node::Place;
pub(crate) use node::Place as Registration;
use std::any::Any;
use std::fmt;
use std::time::Duration;
use std::time::Instant;

/// Says of any number of things at once that they are not wanted any more: of a program, a request, one of its steps.
///
/// Tokens stand in a tree. Cancelling one cancels all below it, made by [`child`](Self::child), [`after`](Self::after) or
/// [`at`](Self::at), and nothing above or beside it. It happens once and is never taken back. What a token reaches:
///
/// - Work that it covers and that has not begun: [`job`](Self::job) for closures of all kinds, [`submit`](Self::submit) for
///   tasks, [`run_until_cancelled`](Self::run_until_cancelled) for futures. It never runs, and what it captured is dropped at once.
/// - [Operations](crate::OperationBuilder::under), whether they wait, run, or come later.
/// - Work that runs, if it asks: [`check`](Self::check) and [`is_cancelled`](Self::is_cancelled). Nothing is stopped by force.
/// - Threads that wait, for a permit, an event, a group, a task or an item: [`Semaphore::acquire_or`] and the `wait_or` of
///   the others return at once.
/// - Callbacks, on a queue that is named: [`on_cancel`](Self::on_cancel).
///
/// A handle is cheap to clone; all clones are the same token. Dropping the last handle cancels nothing: what it covers is
/// then cancelled by the tokens above only. [`Runtime::token`] is the top of a tree that ends with its runtime.
///
/// | elsewhere | what is different here |
/// |---|---|
/// | `NSOperation.cancel` | marks one operation, which has to look, and stays in its queue; a token covers many, and wakes those that wait |
/// | C#'s `CancellationToken` | the source and the token are one; callbacks run on a queue instead of inside `Cancel`; a linked token is a `child` |
/// | tokio-util's `CancellationToken` | the same tree and the same futures; threads can wait as well, deadlines are built in, and captures go at once |
/// | Python's `Future.cancel` | cancels one task that has not begun, as [`Task::cancel`] does |
///
/// [`Semaphore::acquire_or`]: crate::Semaphore::acquire_or
/// [`Task::cancel`]: crate::Task::cancel
///
/// # Examples
///
/// A request with a time limit, whose steps give up together:
///
/// ```
/// use concourse::{CancelToken, Cancelled, Queue};
/// use std::time::Duration;
///
/// fn answer(request: &CancelToken) -> Result<u32, Cancelled> {
///     let mut sum = 0;
///     for step in 1..=10 {
///         request.check()?;
///         sum += step;
///     }
///     Ok(sum)
/// }
///
/// let connection = CancelToken::new();
/// let request = connection.after(Duration::from_secs(60))?;
/// let task = request.submit(&Queue::concurrent("requests"), {
///     let request = request.clone();
///     move || answer(&request)
/// });
/// assert_eq!(task.wait(), Ok(Ok(55)));
///
/// connection.cancel();
/// assert_eq!(answer(&request), Err(Cancelled));
/// # Ok::<(), concourse::TimerError>(())
/// ```
#[derive(Clone)]
pub struct CancelToken {
    node: Arc<Node>,
}

impl CancelToken {
    /// A token with nothing above it, not cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self { node: Node::on(None) }
    }

    /// A token below this one: cancelled with it, or alone. Below a token that has been cancelled it is so from the start.
    ///
    /// ```
    /// use concourse::CancelToken;
    ///
    /// let program = CancelToken::new();
    /// let (import, export) = (program.child(), program.child());
    /// import.cancel();
    /// assert!(import.is_cancelled() && !export.is_cancelled());
    /// program.cancel();
    /// assert!(export.is_cancelled() && program.child().is_cancelled());
    /// ```
    #[must_use]
    pub fn child(&self) -> Self {
        Self { node: self.node.child() }
    }

    /// Cancels the token and all below it. A second call does nothing.
    ///
    /// When the call returns, all of them are cancelled, every thread that waited under one of them has been woken, every
    /// callback submitted, and the captures of covered work are gone, or on their way out on a thread that came to the work
    /// just then. If two threads cancel at the same time, one does all that, and the other may return before.
    ///
    /// # Panics
    ///
    /// A panic of a destructor of such captures goes on in the caller, the first of several, once everybody has been told.
    pub fn cancel(&self) {
        if self.is_cancelled() {
            return;
        }
        if let Some(panic) = self.node.cancel().tell() {
            panic.resume();
        }
    }

    /// True once the token has been cancelled. What the canceller did before is visible then.
    #[inline]
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.node.is_cancelled()
    }

    /// Looks whether the token has been cancelled, for a `?` between two steps of long work.
    ///
    /// # Errors
    ///
    /// [`Cancelled`].
    #[inline]
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }

    /// Waits until the token is cancelled. A thread that waits on a worker of a [`Runtime`] does not keep a core from other
    /// work.
    pub fn wait(&self) {
        // Without a deadline there is no way out but the cancellation.
        let _ = self.wait_within(None);
    }

    /// Waits until the token is cancelled, for at most `timeout`: a pause that can be cut short. A timeout too long for the
    /// clock is none.
    ///
    /// # Errors
    ///
    /// [`WaitError::TimedOut`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), WaitError> {
        let cancelled = self.is_cancelled() || (!timeout.is_zero() && self.wait_within(deadline_after(timeout)));
        if cancelled { Ok(()) } else { Err(WaitError::TimedOut { after: timeout }) }
    }

    /// A token at the top of a tree, whose deadlines are timers of this runtime.
    pub(crate) fn on(engine: &Arc<Engine>) -> Self {
        Self { node: Node::on(Some(Arc::clone(engine))) }
    }

    /// Calls `f` once the token has been cancelled, wherever that happens; here and now if it has been. Dropping what comes
    /// back takes the call back.
    pub(crate) fn call(&self, f: impl FnOnce() + Send + 'static) -> Option<Place> {
        self.node.register(Listener::Deed(Box::new(f)))
    }

    fn wait_within(&self, limit: Option<Instant>) -> bool {
        wait_at(&*self.node, &Reason::Token, limit)
    }

    /// Waits until the token is cancelled, as a future of any executor.
    ///
    /// ```
    /// let token = concourse::CancelToken::new();
    /// let cancelled = token.cancelled();
    /// token.cancel();
    /// concourse::block_on(cancelled);
    /// ```
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + Unpin + use<> {
        Waiting::new(Arc::clone(&self.node))
    }

    /// Submits `f` to `queue` when the token is cancelled, or now if it has been.
    ///
    /// Callbacks of one token are submitted in the order of their registration, those of a token above first. Nothing is
    /// merged, and lost only as [`Dispatch::exec_async`] says of `queue`. Dropping the returned handle takes the callback
    /// back, unless it has been submitted; until then it keeps the token alive.
    ///
    /// ```
    /// use concourse::{CancelToken, Event, Queue};
    ///
    /// let (token, queue, closed) = (CancelToken::new(), Queue::serial("sockets"), Event::new());
    /// let close = closed.clone();
    /// let _closing = token.on_cancel(&queue, move || close.set());
    /// drop(token.on_cancel(&queue, || unreachable!("taken back")));
    /// token.cancel();
    /// closed.wait();
    /// ```
    pub fn on_cancel<F: FnOnce() + Send + 'static>(&self, queue: &impl Dispatch, f: F) -> OnCancel {
        let is_own = self.node.engine.as_ref().is_some_and(|engine| Arc::ptr_eq(engine, queue.engine()));
        // No handle: whoever drops the last one may have to drop what waits there, and the event loop does not.
        let (queue, job) = (queue.sink(), Job::registered::<F, _>(queue.engine().promise(), f));
        let submit = Box::new(move || queue.fire(Some(job), Nanos::ZERO));
        // Another runtime may have ended, and drops what it is given.
        let listener = if is_own { Listener::Word(submit) } else { Listener::Deed(submit) };
        OnCancel { place: self.node.register(listener) }
    }
}

impl Default for CancelToken {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken").field("cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}

/// A callback that waits for a cancellation; from [`CancelToken::on_cancel`]. Dropping it takes the callback back.
#[must_use = "a dropped handle takes its callback back at once"]
pub struct OnCancel {
    /// None if there was nothing to wait for.
    place: Option<Place>,
}

impl fmt::Debug for OnCancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnCancel").field("registered", &self.place.is_some()).finish_non_exhaustive()
    }
}

impl Scope for Node {
    fn end(self: Arc<Self>) -> Option<Panic> {
        self.cancel().tell()
    }
}

impl Runtime {
    /// The runtime's token, cancelled when a [`shutdown`](Self::shutdown) begins, also one that drains.
    ///
    /// Put below it what a shutdown is not to wait for: loops that would go on, waits that would not end, work that has not
    /// begun. What a drain is to finish is better not covered. Callbacks of [`CancelToken::on_cancel`] are submitted before
    /// the runtime refuses anything, so that a drain runs them.
    ///
    /// ```
    /// use concourse::{Runtime, Semaphore, Shutdown};
    /// use std::time::Duration;
    ///
    /// let runtime = Runtime::builder().threads(1).build()?;
    /// let (token, mail) = (runtime.token(), Semaphore::new(0));
    /// runtime.serial("mail").exec_async(move || {
    ///     while mail.wait_or(&token).is_ok() {
    ///         println!("a letter");
    ///     }
    /// });
    /// let report = runtime.shutdown(Shutdown::Drain.within(Duration::from_secs(60)));
    /// assert!(report.complete);
    /// # Ok::<(), concourse::RuntimeError>(())
    /// ```
    #[must_use]
    pub fn token(&self) -> CancelToken {
        let scope: Arc<dyn Any + Send + Sync> = self.scope(|| Node::on(Some(Arc::clone(self.engine()))));
        match scope.downcast() {
            Ok(node) => CancelToken { node },
            Err(_) => unreachable!("a runtime's scope is a token"),
        }
    }
}

#[cfg(test)]
impl CancelToken {
    /// How many are registered.
    pub(crate) fn registered(&self) -> usize {
        self.node.registered()
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::queue::Queue;
    use crate::sync::OnPark;
    use crate::sync::enter_host;

    #[test]
    fn the_host_is_told_of_a_wait_that_blocks_and_no_lock_is_held_then() {
        for wait in [|token: &CancelToken| token.wait(), |token: &CancelToken| _ = Event::new().wait_or(token)] {
            let token = CancelToken::new();
            let host = OnPark::new({
                let token = token.clone();
                move || token.cancel()
            });
            let _guard = enter_host(host.clone());
            wait(&token);
            assert_eq!(host.reasons().len(), 1);
            wait(&token);
            assert_eq!(host.reasons().len(), 1, "a wait that does not block tells nobody");
        }
    }

    #[test]
    fn what_is_over_leaves_nothing_in_a_token_that_lives_on() {
        let (token, queue, event) = (CancelToken::new(), Queue::serial("short"), Event::new());
        event.set();
        for _ in 0..100 {
            queue.exec_async(token.job(|| ()));
            drop(token.submit(&queue, || ()));
            drop(token.on_cancel(&queue, || ()));
            drop(token.job(|| ()));
            drop(token.child().after(Duration::from_secs(3600)).unwrap());
            event.wait_or(&token).unwrap();
        }
        queue.exec_sync(|| ());
        assert_eq!(token.registered(), 0);
        let _child = token.child();
        assert_eq!(token.registered(), 1);
    }
}
