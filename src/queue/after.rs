//! Jobs that are submitted later.

use super::Accept;
use super::lane::Lane;
use crate::error::TimerError;
use crate::event_loop::EventLoop;
use crate::event_loop::Sink;
use crate::event_loop::TimerKey;
use crate::job::Job;
use crate::sync::Arc;
use crate::sync::Weak;
use crate::time;
use crate::time::Clock;
use crate::time::Nanos;
use std::fmt;
use std::time::Duration;

/// A job that waits for its time; from [`Dispatch::after`](crate::Dispatch::after).
///
/// Dropping the handle lets the job run.
#[must_use = "dropping the handle does not cancel; use `let _ =` if it will never be cancelled"]
pub struct After {
    event_loop: Weak<EventLoop>,
    key: TimerKey,
}

impl fmt::Debug for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("After").finish_non_exhaustive()
    }
}

impl After {
    pub(super) fn arm(queue: &impl Accept, delay: Duration, job: Job) -> Result<Self, TimerError> {
        let event_loop = queue.engine().event_loop()?;
        let due = time::now(Clock::Monotonic).after(delay);
        let key = event_loop.arm(Clock::Monotonic, due, Duration::ZERO, queue.sink(), Some(job));
        Ok(Self { event_loop: Arc::downgrade(&event_loop), key })
    }

    /// Takes the job back and drops it. True if it will never run; false if its time has come and it has been submitted,
    /// or the runtime has ended.
    pub fn cancel(self) -> bool {
        let Some(event_loop) = self.event_loop.upgrade() else { return false };
        let Some(cancelled) = event_loop.cancel(self.key) else { return false };
        // The captures' destructors are the canceller's own code: their panic is the canceller's.
        drop(cancelled);
        true
    }
}

impl Sink for Lane {
    fn fire(self: Arc<Self>, job: Option<Job>, _: Nanos) {
        if let Some(job) = job {
            self.exec_async(job);
        }
    }
}
