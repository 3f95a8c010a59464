//! Building queues, active or not yet.

use super::Queue;
use super::lane::Kind;
use super::lane::Lane;
use crate::engine::Engine;
use crate::engine::Phase;
use crate::error::BuildError;
use crate::job::Job;
use crate::qos::Qos;
use crate::sync::Arc;
use std::num::NonZeroUsize;

/// Builds a [`Queue`]: serial unless [`concurrent`](Self::concurrent) is called.
///
/// ```
/// let thumbnails = concourse::Queue::builder("thumbnails").concurrent().width(4).build()?;
/// thumbnails.exec_sync(|| println!("one of at most four"));
/// # Ok::<(), concourse::BuildError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct QueueBuilder {
    engine: Arc<Engine>,
    label: Arc<str>,
    concurrent: bool,
    width: Option<usize>,
    qos: Qos,
}

impl QueueBuilder {
    pub(crate) fn new(engine: Arc<Engine>, label: &str) -> Self {
        Self { engine, label: Arc::from(label), concurrent: false, width: None, qos: Qos::default() }
    }

    /// Lets jobs overlap. They still start in order, and barriers run alone.
    pub fn concurrent(mut self) -> Self {
        self.concurrent = true;
        self
    }

    /// Bounds how many jobs of a concurrent queue run at the same time, sync calls included.
    ///
    /// Without it async jobs are bounded by the runtime's `max_threads`, and sync calls, which bring their own thread,
    /// are not bounded.
    pub fn width(mut self, width: usize) -> Self {
        self.width = Some(width);
        self
    }

    /// Says how urgent the queue's jobs are. See [`Qos`] for what that means today.
    pub fn qos(mut self, qos: Qos) -> Self {
        self.qos = qos;
        self
    }

    /// Builds the queue, ready to run.
    ///
    /// # Errors
    ///
    /// [`BuildError::ZeroWidth`] for a width of 0, [`BuildError::WidthOfSerial`] for a width without `concurrent`, and
    /// [`BuildError::ShutDown`] if the runtime has ended.
    pub fn build(self) -> Result<Queue, BuildError> {
        self.create(false)
    }

    /// Builds a queue that collects jobs and runs none until it is activated.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn build_inactive(self) -> Result<InactiveQueue, BuildError> {
        Ok(InactiveQueue { queue: self.create(true)? })
    }

    fn create(self, suspended: bool) -> Result<Queue, BuildError> {
        let label = self.label;
        let kind = match (self.concurrent, self.width.map(NonZeroUsize::new)) {
            (_, Some(None)) => return Err(BuildError::ZeroWidth { label }),
            (false, Some(Some(_))) => return Err(BuildError::WidthOfSerial { label }),
            (false, None) => Kind::Serial,
            (true, None) => Kind::Concurrent { width: None },
            (true, Some(width)) => Kind::Concurrent { width },
        };
        if self.engine.phase() != Phase::Open {
            return Err(BuildError::ShutDown { label });
        }
        Ok(Queue { lane: Lane::new(label, kind, self.qos, self.engine, suspended) })
    }
}

/// A queue that has not been activated: it collects jobs and runs none.
///
/// Activating consumes it, so it happens once. Dropping it instead drops what was collected, and reports each closure to
/// the runtime's `on_dropped` hook; libdispatch ends the process there.
///
/// ```
/// let queue = concourse::Queue::builder("later").build_inactive()?;
/// queue.exec_async(|| println!("not before `activate`"));
/// let queue = queue.activate();
/// queue.exec_sync(|| ());
/// # Ok::<(), concourse::BuildError>(())
/// ```
#[derive(Debug)]
#[must_use = "an inactive queue runs nothing until `activate` is called"]
pub struct InactiveQueue {
    queue: Queue,
}

impl InactiveQueue {
    /// Submits a job that will run once the queue is active.
    pub fn exec_async<F: FnOnce() + Send + 'static>(&self, f: F) {
        self.queue.lane.exec_async(Job::new(f));
    }

    /// The queue's label.
    #[must_use]
    pub fn label(&self) -> &str {
        self.queue.label()
    }

    /// Starts the queue.
    pub fn activate(self) -> Queue {
        self.queue.lane.resume_last();
        self.queue
    }
}
