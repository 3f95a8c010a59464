//! Waits that a token interrupts.
//!
//! A thread has one ticket, which stands in the line of what it waits for and is known to the token. Whoever serves the line
//! grants it, the token gives it up; one exchange decides. From there on an interruption is a timeout, with everything that a
//! line knows of timeouts: a permit that was on its way goes to the next.

use super::CancelToken;
use super::node::Listener;
use crate::error::Cancelled;
use crate::error::TaskError;
use crate::error::WaitError;
use crate::event::Event;
use crate::group::Group;
use crate::semaphore::Permit;
use crate::semaphore::Semaphore;
use crate::sync::Arc;
use crate::sync::Limit;
use crate::sync::Reason;
use crate::sync::Ticket;
use crate::task::Task;
use crate::work_item::Outcome;
use crate::work_item::WorkItem;

impl Limit for &CancelToken {
    fn wait(self, ticket: &Arc<Ticket>, reason: &Reason) -> bool {
        let known = Arc::clone(ticket);
        let _place = self.node.register(Listener::Word(Box::new(move || known.interrupt())));
        ticket.wait(reason, None)
    }
}

/// Waits, unless the token has been cancelled before.
fn wait_or(token: &CancelToken, wait: impl FnOnce(&CancelToken) -> bool) -> Result<(), Cancelled> {
    token.check()?;
    if wait(token) { Ok(()) } else { Err(Cancelled) }
}

impl Semaphore {
    /// Takes a permit, waiting until there is one or the token is cancelled.
    ///
    /// With a token that has been cancelled nothing is taken, even if a permit is free. A permit that comes at the very
    /// moment of the cancellation is either taken or left for others, never lost.
    ///
    /// # Errors
    ///
    /// [`Cancelled`].
    ///
    /// ```
    /// use concourse::{CancelToken, Cancelled, Semaphore};
    ///
    /// let (slots, token) = (Semaphore::new(1), CancelToken::new());
    /// let permit = slots.acquire_or(&token)?;
    /// std::thread::scope(|scope| {
    ///     let waiter = scope.spawn(|| slots.acquire_or(&token).map(drop));
    ///     token.cancel();
    ///     assert_eq!(waiter.join().unwrap(), Err(Cancelled));
    /// });
    /// drop(permit);
    /// assert_eq!(slots.available(), 1);
    /// # Ok::<(), Cancelled>(())
    /// ```
    pub fn acquire_or(&self, token: &CancelToken) -> Result<Permit, Cancelled> {
        self.wait_or(token).map(|()| self.permit())
    }

    /// As [`acquire_or`](Self::acquire_or), without the guard: [`signal`](Self::signal) gives the permit back.
    ///
    /// # Errors
    ///
    /// [`Cancelled`].
    pub fn wait_or(&self, token: &CancelToken) -> Result<(), Cancelled> {
        wait_or(token, |token| self.wait_within(token))
    }
}

impl Event {
    /// Waits until the event is set or the token is cancelled.
    ///
    /// With a token that has been cancelled it does not pass, even if the event is set. A set of an automatic event that
    /// comes at the very moment of the cancellation either ends the wait or stays for others.
    ///
    /// # Errors
    ///
    /// [`Cancelled`].
    pub fn wait_or(&self, token: &CancelToken) -> Result<(), Cancelled> {
        wait_or(token, |token| self.wait_within(token))
    }
}

impl Group {
    /// Waits until the group is empty or the token is cancelled.
    ///
    /// # Errors
    ///
    /// [`Cancelled`], with a token that was cancelled before also if the group is empty. The group goes on as if nobody had
    /// waited.
    pub fn wait_or(&self, token: &CancelToken) -> Result<(), Cancelled> {
        wait_or(token, |token| self.wait_within(token))
    }
}

impl WorkItem {
    /// Waits until the item has ended or the token is cancelled, and says how it has ended.
    ///
    /// The token ends this wait only; [`CancelToken::job`] is for work that it is to cancel.
    ///
    /// # Errors
    ///
    /// [`WaitError::Interrupted`] if the token was cancelled before the item had ended; [`WaitError::WouldDeadlock`] where
    /// [`wait`](Self::wait) panics.
    pub fn wait_or(&self, token: &CancelToken) -> Result<Outcome, WaitError> {
        self.wait_within(Some(token))?.ok_or(WaitError::Interrupted)
    }
}

impl<T: Send + 'static> Task<T> {
    /// Waits for the value until the token is cancelled.
    ///
    /// The token ends this wait only; [`CancelToken::submit`] is for tasks that it is to cancel.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait), and [`TaskError::Interrupted`] if the token was cancelled before there was a value; then the
    /// task goes on, and may be waited for again.
    ///
    /// ```
    /// use concourse::{CancelToken, Queue, TaskError};
    ///
    /// let (queue, token) = (Queue::serial("held"), CancelToken::new());
    /// let guard = queue.suspend_guard()?;
    /// let mut task = queue.submit(|| 42);
    /// token.cancel();
    /// assert_eq!(task.wait_or(&token), Err(TaskError::Interrupted));
    /// drop(guard);
    /// assert_eq!(task.wait(), Ok(42));
    /// # Ok::<(), concourse::SuspendError>(())
    /// ```
    pub fn wait_or(&mut self, token: &CancelToken) -> Result<T, TaskError> {
        self.wait_within(Some(token)).unwrap_or(Err(TaskError::Interrupted))
    }
}
