//! When an operation's pause is over.

use super::record::Record;
use crate::error::EventLoopError;
use crate::error::OperationError;
use crate::event_loop::EventLoop;
use crate::event_loop::TimerKey;
use crate::job::Job;
use crate::sync::Arc;
use crate::sync::Weak;
use crate::time;
use crate::time::Clock;
use std::time::Duration;

/// A timer that waits, or has waited, for an operation.
#[derive(Debug)]
pub(super) struct Alarm {
    event_loop: Weak<EventLoop>,
    key: TimerKey,
}

impl Alarm {
    /// Lets `record` come in after so long. `None` if the runtime has ended; then the operation has been dropped.
    pub(super) fn set(record: &Arc<Record>, pause: Duration) -> Result<Option<Self>, EventLoopError> {
        let event_loop = record.station.engine.event_loop()?;
        let ring = Ring(Some(Arc::clone(record)));
        let Some(event_loop) = event_loop else { return Ok(None) };
        let due = time::now(Clock::Monotonic).after(pause);
        // A token, so that a shutdown does not report this closure as lost: it is not the user's.
        let job = Job::token(move || ring.ring());
        let armed = event_loop.arm(Clock::Monotonic, due, Duration::ZERO, Arc::clone(record) as _, Some(job));
        Ok(armed.ok().map(|key| Self { event_loop: Arc::downgrade(event_loop), key }))
    }

    pub(super) fn cancel(self) {
        // What is taken back is dropped here, and finds its operation ended.
        let _ = self.event_loop.upgrade().and_then(|event_loop| event_loop.cancel(self.key));
    }
}

/// The end of a pause, on its way.
struct Ring(Option<Arc<Record>>);

impl Ring {
    fn ring(mut self) {
        self.0.take().inspect(Record::come_in);
    }
}

impl Drop for Ring {
    /// It will never come.
    fn drop(&mut self) {
        if let Some(record) = self.0.take() {
            record.station.lose(&record, OperationError::Dropped);
        }
    }
}
