//! Jobs that are submitted later.

use super::Accept;
use super::lane::Lane;
use crate::engine::Engine;
use crate::engine::Loss;
use crate::error::TimerError;
use crate::event_loop::Sink;
use crate::event_loop::TimerKey;
use crate::job::Job;
use crate::sync::Arc;
use crate::time;
use crate::time::Clock;
use crate::time::Nanos;
use std::fmt;
use std::time::Duration;

/// A job that waits for its time; from [`Dispatch::after`](crate::Dispatch::after).
///
/// Dropping the handle lets the job run. A job that is to be cancelled even after its time has come, or waited for, is a
/// [`WorkItem`](crate::WorkItem)'s.
#[must_use = "dropping the handle does not cancel; use `let _ =` if it will never be cancelled"]
pub struct After {
    /// `None` if the runtime had ended.
    armed: Option<(Arc<Engine>, TimerKey)>,
}

impl fmt::Debug for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("After").finish_non_exhaustive()
    }
}

impl After {
    pub(super) fn arm(queue: &impl Accept, delay: Duration, job: Job) -> Result<Self, TimerError> {
        let reject = |job| queue.engine().lose(queue.label(), job, Loss::Rejected);
        let Some(event_loop) = queue.engine().event_loop()? else {
            reject(job);
            return Ok(Self { armed: None });
        };
        let due = time::now(Clock::Monotonic).after(delay);
        let armed = match event_loop.arm(Clock::Monotonic, due, Duration::ZERO, queue.sink(), Some(job)) {
            Ok(key) => Some((Arc::clone(queue.engine()), key)),
            Err(refused) => {
                refused.job.into_iter().for_each(reject);
                None
            }
        };
        Ok(Self { armed })
    }

    /// Takes the job back and drops it. True if it will never run; false if its time has come and it has been submitted,
    /// or the runtime has ended.
    pub fn cancel(self) -> bool {
        let Some((engine, key)) = self.armed else { return false };
        // What is taken back is dropped here: the captures' destructors run, and may panic, on the canceller's thread.
        engine.running_event_loop().and_then(|event_loop| event_loop.cancel(key)).is_some()
    }
}

impl Sink for Lane {
    fn fire(self: Arc<Self>, job: Option<Job>, _: Nanos) {
        if let Some(job) = job {
            self.exec_async(job);
        }
    }

    fn label(&self) -> &str {
        Lane::label(self)
    }
}
