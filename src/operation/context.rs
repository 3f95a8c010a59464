//! What a running operation is told.

use super::progress::Progress;
use super::record::Record;
use crate::error::OperationError;
use crate::sync::Arc;
use crate::sync::deadline_after;
use crate::sync::now;
use crate::token::CancelToken;
use std::error::Error;
use std::fmt;
use std::time::Duration;
use std::time::Instant;

/// What an operation knows of itself while it runs: whether it is still wanted, how much time it has, and which attempt
/// this is. Closures of [`try_run`](crate::OperationBuilder::try_run) and
/// [`retry`](crate::OperationBuilder::retry) are called with it.
///
/// Nothing stops an operation from outside. One that is cancelled or has no time left is to return, with any error:
///
/// ```
/// use concourse::OperationQueue;
///
/// let ops = OperationQueue::new("crawl");
/// let endless = ops.operation("poll").try_run(|context| {
///     while !context.must_stop() {
///         context.sleep(std::time::Duration::from_millis(1));
///     }
///     Err::<(), _>("not wanted any more")
/// });
/// endless.cancel();
/// assert!(endless.wait().is_err());
/// ```
pub struct OperationContext<'a> {
    record: &'a Arc<Record>,
    attempt: u32,
    /// How long the attempt may take.
    limit: Option<Duration>,
    /// When that is over.
    deadline: Option<Instant>,
}

impl<'a> OperationContext<'a> {
    pub(super) fn new(record: &'a Arc<Record>, attempt: u32, limit: Option<Duration>) -> Self {
        Self { record, attempt, limit, deadline: limit.and_then(deadline_after) }
    }

    /// What comes of what the closure returned: nothing, if that took too long.
    pub(super) fn judge<T, E: Into<Box<dyn Error + Send + Sync>>>(
        &self,
        returned: Result<T, E>,
    ) -> Result<T, OperationError> {
        match self.limit.filter(|_| self.is_expired()) {
            Some(limit) => Err(OperationError::Expired { limit }),
            None => returned.map_err(|error| OperationError::Failed { error: Arc::from(error.into()) }),
        }
    }

    /// The label of the operation.
    pub fn label(&self) -> &str {
        &self.record.label
    }

    /// The how-manieth attempt this is, from 1 on.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// True once the operation has been cancelled. What was done before the cancellation is visible.
    pub fn is_cancelled(&self) -> bool {
        self.record.is_cancelled()
    }

    /// The operation's token, which is cancelled with it, and not when an attempt has no [time](Self::remaining) left. Whoever
    /// cancels the token cancels the operation.
    ///
    /// It covers what the operation starts, and ends what it waits for: as many [children](CancelToken::child) as it likes
    /// stand below it.
    ///
    /// ```
    /// use concourse::{OperationQueue, Semaphore};
    ///
    /// let (ops, mail) = (OperationQueue::new("mail"), Semaphore::new(0));
    /// let reader = ops.operation("read").try_run(move |context| mail.wait_or(&context.token()));
    /// reader.cancel();
    /// assert!(reader.wait().is_err());
    /// ```
    pub fn token(&self) -> CancelToken {
        self.record.token()
    }

    /// How much time the attempt has left; `None` if it may take as long as it likes. To be given to what it waits for.
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(now()))
    }

    /// True once the attempt has taken longer than it may.
    pub fn is_expired(&self) -> bool {
        self.remaining() == Some(Duration::ZERO)
    }

    /// True once nobody wants what the operation is doing: it has been cancelled, or has no time left.
    pub fn must_stop(&self) -> bool {
        self.is_cancelled() || self.is_expired()
    }

    /// The [progress](Progress) of the operation, as so many units of its own choice, for the attempt that runs.
    ///
    /// They are part of what the operation's [builder](crate::OperationBuilder::progress) has named, or of nothing. Units
    /// that an earlier attempt has done stay done there.
    pub fn part(&self, total: u64) -> Progress {
        match self.record.progress() {
            Some(progress) => progress.child(1, total),
            None => Progress::new(total),
        }
    }

    /// Sleeps for so long, or until the operation must stop. True if it may go on.
    ///
    /// It keeps its place among the operations that run at the same time. A thread of a [`Runtime`](crate::Runtime) that
    /// sleeps here does not keep a core from other work.
    pub fn sleep(&self, time: Duration) -> bool {
        let time = self.remaining().map_or(time, |remaining| remaining.min(time));
        // Nobody but a cancellation ends the sleep early.
        let _ = self.record.token().wait_timeout(time);
        !self.must_stop()
    }
}

impl fmt::Debug for OperationContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperationContext")
            .field("label", &self.label())
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}
