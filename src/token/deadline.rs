//! Deadlines: a timer of the runtime's event loop that cancels a token.
//!
//! The loop thread raises the flags, wakes the threads and submits the callbacks by itself: a pool whose threads all wait
//! for this very deadline has nobody to do it. What drops captures goes to the pool. Work whose captures are still there
//! looks at the token before it begins.

use super::CancelToken;
use super::node::Node;
use super::node::perform;
use crate::engine::Engine;
use crate::error::TimerError;
use crate::event_loop::EventLoop;
use crate::event_loop::Sink;
use crate::event_loop::TimerKey;
use crate::job::Job;
use crate::job::Panic;
use crate::qos::Qos;
use crate::queue::Accept;
use crate::queue::GlobalQueue;
use crate::runtime::Runtime;
use crate::sync::Arc;
use crate::sync::Weak;
use crate::sync::is_child;
use crate::time::Clock;
use crate::time::Deadline;
use crate::time::Nanos;
use crate::time::now;
use std::time::Duration;

/// A timer that waits, taken back when it is dropped.
pub(super) struct Alarm {
    event_loop: Weak<EventLoop>,
    key: TimerKey,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(event_loop) = self.event_loop.upgrade() {
            drop(event_loop.cancel(self.key));
        }
    }
}

/// What the timer cancels. It keeps no token alive.
struct Bell {
    node: Weak<Node>,
    engine: Arc<Engine>,
}

impl Sink for Bell {
    fn fire(self: Arc<Self>, _: Option<Job>, _: Nanos) {
        let Some(node) = self.node.upgrade() else { return };
        let deeds = node.cancel().spread();
        if !deeds.is_empty() {
            let hands = GlobalQueue::on(Arc::clone(&self.engine), Qos::default());
            hands.accept(Job::token(move || _ = perform(deeds).map(Panic::resume)));
        }
    }

    fn label(&self) -> &str {
        "a token's deadline"
    }
}

impl CancelToken {
    /// A token below this one that is cancelled at `deadline` as well. One that has passed has cancelled it already.
    ///
    /// It costs a timer of the event loop, and no thread: of the runtime whose [`Runtime::token`] the token descends from,
    /// or else of the default runtime; a simulation has its own. The timer is taken back when the token is cancelled, or its
    /// last handle dropped. In a forked child, whose timers are the parent's, the token is cancelled at once.
    ///
    /// # Errors
    ///
    /// [`TimerError`] if the kernel refuses the descriptors or the thread of the event loop.
    ///
    /// ```
    /// use concourse::{CancelToken, Clock, Deadline};
    /// use std::time::Duration;
    ///
    /// let request = CancelToken::new();
    /// let lookup = request.at(Deadline::now(Clock::Boottime) + Duration::from_millis(5))?;
    /// lookup.wait();
    /// assert!(!request.is_cancelled());
    /// # Ok::<(), concourse::TimerError>(())
    /// ```
    pub fn at(&self, deadline: Deadline) -> Result<Self, TimerError> {
        let token = self.child();
        if deadline.is_forever() || token.is_cancelled() {
            return Ok(token);
        }
        let armed = deadline.at() > now(deadline.clock()) && token.arm(deadline)?;
        if !armed {
            token.cancel();
        }
        Ok(token)
    }

    /// A token below this one that is cancelled after `delay` as well: C#'s `CancelAfter`. As [`at`](Self::at), on the
    /// monotonic clock.
    ///
    /// # Errors
    ///
    /// As [`at`](Self::at).
    ///
    /// ```
    /// use concourse::{CancelToken, Event};
    /// use std::time::Duration;
    ///
    /// let answer = Event::new();
    /// let patience = CancelToken::new().after(Duration::from_millis(5))?;
    /// assert!(answer.wait_or(&patience).is_err());
    /// # Ok::<(), concourse::TimerError>(())
    /// ```
    pub fn after(&self, delay: Duration) -> Result<Self, TimerError> {
        self.at(Deadline::now(Clock::Monotonic) + delay)
    }

    /// False if there is no timer any more.
    fn arm(&self, deadline: Deadline) -> Result<bool, TimerError> {
        if is_child() {
            return Ok(false);
        }
        let engine = match &self.node.engine {
            Some(engine) => Arc::clone(engine),
            None => Arc::clone(Runtime::default_runtime().engine()),
        };
        let Some(event_loop) = engine.event_loop()?.cloned() else { return Ok(false) };
        let bell = Arc::new(Bell { node: Arc::downgrade(&self.node), engine });
        let Ok(key) = event_loop.arm(deadline.clock(), deadline.at(), Duration::ZERO, bell, None) else {
            return Ok(false);
        };
        self.node.keep(Alarm { event_loop: Arc::downgrade(&event_loop), key });
        Ok(true)
    }
}
