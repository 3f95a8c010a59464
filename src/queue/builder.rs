//! Building queues, active or not yet.

use super::Queue;
use super::lane::Kind;
use super::lane::Lane;
use super::target::Aim;
use super::target::Target;
use crate::engine::Engine;
use crate::engine::Phase;
use crate::error::BuildError;
use crate::job::Job;
use crate::qos::Qos;
use crate::sync::Arc;
use crate::sync::Mutex;
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
    target: Option<Aim>,
}

impl QueueBuilder {
    pub(crate) fn new(engine: Arc<Engine>, label: &str) -> Self {
        Self { engine, label: Arc::from(label), concurrent: false, width: None, qos: Qos::default(), target: None }
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

    /// Says how urgent the queue's jobs are; see [`Qos`] for what follows. Below a target the target's class counts.
    pub fn qos(mut self, qos: Qos) -> Self {
        self.qos = qos;
        self
    }

    /// Lets the queue run where `target` runs: its drains stand in the target's line like jobs of the target.
    ///
    /// So a serial target runs one job of all the queues that target it at a time, a target's width bounds their sum, a
    /// barrier on the target excludes them, and suspending the target holds them all. The queue's own order, width and
    /// barriers hold below that; its class does not count, as its drains are scheduled by the target. A chain of targets
    /// never becomes a cycle: a queue is given its target before it is active, and a target is active. The queue keeps its
    /// target alive, but a target that is suspended when its last handle goes drops its own jobs and lets the queues above
    /// it go on. A queue that targets the [main queue](crate::MainQueue) runs its jobs on the main thread. This is
    /// libdispatch's `dispatch_set_target_queue`, before activation.
    ///
    /// ```
    /// use concourse::Queue;
    ///
    /// let disk = Queue::serial("disk");
    /// let log = Queue::builder("log").target(&disk).build()?;
    /// let index = Queue::builder("index").concurrent().target(&disk).build()?;
    /// log.exec_async(|| println!("one of the two at a time"));
    /// index.exec_async(|| println!("as both share the disk"));
    /// disk.barrier_sync(|| println!("and this one excludes them both"));
    /// # Ok::<(), concourse::BuildError>(())
    /// ```
    pub fn target(mut self, target: &impl Target) -> Self {
        self.target = Some(target.aim());
        self
    }

    /// Builds the queue, ready to run.
    ///
    /// # Errors
    ///
    /// [`BuildError::ZeroWidth`] for a width of 0, [`BuildError::WidthOfSerial`] for a width without `concurrent`,
    /// [`BuildError::ForeignTarget`] for a target of another runtime, [`BuildError::ChainTooLong`] for a target that stands
    /// on too many others, and [`BuildError::ShutDown`] if the runtime has ended.
    pub fn build(self) -> Result<Queue, BuildError> {
        let (queue, target) = self.create(false)?;
        target.inspect(|target| target.bear(&queue));
        Ok(queue)
    }

    /// Builds a queue that collects jobs and runs none until it is activated.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn build_inactive(self) -> Result<InactiveQueue, BuildError> {
        let (queue, target) = self.create(true)?;
        Ok(InactiveQueue { queue, target: Mutex::new(target) })
    }

    fn create(self, suspended: bool) -> Result<(Queue, Option<Aim>), BuildError> {
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
        if let Some(target) = &self.target {
            target.may_bear(&label, &self.engine)?;
        }
        Ok((Queue { lane: Lane::new(label, kind, self.qos, self.engine, suspended) }, self.target))
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
    /// The queue gets it when it is activated, and keeps it for good.
    target: Mutex<Option<Aim>>,
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

    /// Changes which queue this one will target. See [`QueueBuilder::target`].
    ///
    /// # Errors
    ///
    /// [`BuildError::ForeignTarget`] and [`BuildError::ChainTooLong`]; the target stays as it was.
    ///
    /// ```
    /// use concourse::Queue;
    ///
    /// let disk = Queue::serial("disk");
    /// let log = Queue::builder("log").build_inactive()?;
    /// log.set_target(&disk)?;
    /// assert_eq!(log.activate().target(), Some(disk));
    /// # Ok::<(), concourse::BuildError>(())
    /// ```
    pub fn set_target(&self, target: &impl Target) -> Result<(), BuildError> {
        let target = target.aim();
        target.may_bear(self.queue.lane.label(), self.queue.lane.engine())?;
        let before = self.target.lock().replace(target);
        drop(before); // Its last handle may run destructors: not under the lock.
        Ok(())
    }

    /// Starts the queue. Its target, if any, is fixed from now on.
    pub fn activate(self) -> Queue {
        let target = self.target.lock().take();
        target.inspect(|target| target.bear(&self.queue));
        self.queue.lane.resume_last();
        self.queue
    }
}
