//! The operation queue's handle, and how one is built.

use super::OperationBuilder;
use super::dot::dot;
use super::graph::is_held_up;
use super::line::Order;
use super::observers::OperationChange;
use super::record::Withdrawal;
use super::station::Station;
use crate::engine::Engine;
use crate::error::OperationError;
use crate::error::SuspendError;
use crate::qos::Qos;
use crate::queue::Accept;
use crate::queue::Dispatch;
use crate::queue::GlobalQueue;
use crate::runtime::Runtime;
use crate::sync::Arc;
use crate::sync::Reason;
use crate::sync::deadline_after;
use crate::sync::is_child;
use crate::sync::wait_at;
use crate::time;
use crate::time::Clock;
use std::fmt;
use std::time::Duration;

/// What all handles of a queue are.
struct Handle {
    station: Arc<Station>,
    /// A handle of the queue below, for as long as somebody may add operations.
    _below: Arc<dyn Accept>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Nobody is left who could let it go on. A child's operations are its parent's.
        if !is_child() {
            self.station.abandon();
        }
    }
}

/// Runs operations when what they depend on is there, a limited number at a time: Foundation's `OperationQueue`.
///
/// A handle is cheap to clone; all clones are the same queue. Dropping the last handle lets what was added go on. If
/// nothing can go on by then, as the queue is suspended or `max_concurrent` is 0, what has not begun is dropped and
/// reported to the runtime's `on_dropped` hook. See the [module](crate::operation) for the whole picture.
///
/// ```
/// use concourse::OperationQueue;
///
/// let ops = OperationQueue::builder("sync").max_concurrent(3).build();
/// let page = ops.operation("fetch").run(|| "grand central".to_owned());
/// let words = ops.operation("count").with(&page).run(|page| page.split(' ').count());
/// assert_eq!(*words.wait()?, 2);
/// # Ok::<(), concourse::OperationError>(())
/// ```
#[derive(Clone)]
pub struct OperationQueue {
    handle: Arc<Handle>,
}

impl OperationQueue {
    /// A queue on the default runtime that runs as many operations at a time as there are threads.
    #[must_use]
    pub fn new(label: &str) -> Self {
        Self::builder(label).build()
    }

    /// Builds a queue.
    pub fn builder(label: &str) -> OperationQueueBuilder {
        OperationQueueBuilder {
            label: Arc::from(label),
            engine: None,
            below: None,
            qos: Qos::default(),
            max_concurrent: usize::MAX,
            order: Order::default(),
            seed: None,
        }
    }

    pub(super) fn station(&self) -> &Arc<Station> {
        &self.handle.station
    }

    /// Describes an operation, which its builder then adds to the queue.
    ///
    /// Labels need not differ. They name operations in errors, reports and graphs.
    pub fn operation(&self, label: &str) -> OperationBuilder {
        OperationBuilder::new(self.clone(), label)
    }

    /// The queue's label.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.station().label
    }

    /// How many operations may run at the same time.
    #[must_use]
    pub fn max_concurrent(&self) -> usize {
        self.station().max_concurrent()
    }

    /// Changes how many operations may run at the same time. With 0 none begins.
    ///
    /// Those that run go on if there are more of them, and the next begins when there are fewer.
    pub fn set_max_concurrent(&self, max_concurrent: usize) {
        self.station().set_max_concurrent(max_concurrent);
    }

    /// Keeps operations from beginning until the queue has been resumed as often as suspended.
    ///
    /// Those that run go on. Operations may still be added, cancelled and waited for.
    ///
    /// # Errors
    ///
    /// [`SuspendError::TooManySuspensions`] after 2<sup>32</sup> - 1 of them.
    pub fn suspend(&self) -> Result<(), SuspendError> {
        self.station().suspend()
    }

    /// Takes one suspension back; the last one sets the queue going again.
    ///
    /// # Errors
    ///
    /// [`SuspendError::OverResume`] if the queue is not suspended.
    pub fn resume(&self) -> Result<(), SuspendError> {
        self.station().resume()
    }

    /// Suspends the queue until the guard is dropped. Forgetting the guard leaves the queue suspended.
    ///
    /// # Errors
    ///
    /// As [`suspend`](Self::suspend).
    ///
    /// ```
    /// use concourse::{OperationQueue, OperationState};
    ///
    /// let ops = OperationQueue::new("held");
    /// let guard = ops.suspend_guard()?;
    /// let held = ops.operation("not while the guard lives").run(|| ());
    /// assert_eq!(held.state(), OperationState::Ready);
    /// drop(guard);
    /// assert!(held.wait().is_ok());
    /// # Ok::<(), concourse::SuspendError>(())
    /// ```
    pub fn suspend_guard(&self) -> Result<SuspendedOperations, SuspendError> {
        self.suspend()?;
        Ok(SuspendedOperations { queue: self.clone() })
    }

    /// Cancels everything in the queue, as [`Operation::cancel`](crate::Operation::cancel) does, the latest first. Returns
    /// how many operations have not begun and never will.
    pub fn cancel_all(&self) -> usize {
        let unfinished = self.station().unfinished();
        unfinished.iter().rev().filter(|record| matches!(record.cancel(), Withdrawal::NeverRan)).count()
    }

    /// Waits until the queue has nothing left, what is added meanwhile included.
    ///
    /// A thread that waits on a worker of a [`Runtime`] does not keep a core from other work. What a suspended queue has
    /// stays there until somebody resumes it.
    ///
    /// # Errors
    ///
    /// [`OperationError::WouldDeadlock`] on a thread that runs an operation of this queue, or one that this queue waits for.
    pub fn wait_until_finished(&self) -> Result<(), OperationError> {
        self.wait_timeout(Duration::MAX)
    }

    /// Waits until the queue has nothing left, for at most `timeout`. A timeout too long for the clock is none.
    ///
    /// # Errors
    ///
    /// As [`wait_until_finished`](Self::wait_until_finished), and [`OperationError::TimedOut`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), OperationError> {
        let station = self.station();
        let is_finished = if timeout.is_zero() {
            station.is_empty()
        } else if is_held_up(station.unfinished()) {
            return Err(OperationError::WouldDeadlock { label: Arc::clone(&station.label) });
        } else {
            wait_at(&**station, &Reason::Completion, deadline_after(timeout))
        };
        if is_finished { Ok(()) } else { Err(OperationError::TimedOut { after: timeout }) }
    }

    /// How many operations have been added and are not over, barriers included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.station().len()
    }

    /// True if every operation that has been added is over.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.station().is_empty()
    }

    /// How many operations run at this moment.
    #[must_use]
    pub fn running(&self) -> usize {
        self.station().running()
    }

    /// Calls `handler` on `queue` with each change of the state of each operation that is added from now on, and of those
    /// that are there.
    ///
    /// Nothing is merged. The changes of one operation come in their order, unless `queue` lets jobs overtake each other.
    /// The handler stays as long as the queue does; one that captures a handle of this queue keeps both for ever.
    ///
    /// ```
    /// use concourse::{OperationQueue, OperationState, Queue};
    ///
    /// let (ops, screen) = (OperationQueue::new("ops"), Queue::serial("screen"));
    /// let (told, states) = std::sync::mpsc::channel();
    /// ops.on_change(&screen, move |change| told.send(change.state).unwrap());
    /// ops.operation("draw").run(|| ());
    /// let states: Vec<_> = states.iter().take(4).collect();
    /// assert_eq!(states, [
    ///     OperationState::Pending,
    ///     OperationState::Ready,
    ///     OperationState::Running,
    ///     OperationState::Finished,
    /// ]);
    /// ```
    pub fn on_change(&self, queue: &impl Dispatch, handler: impl Fn(OperationChange) + Send + Sync + 'static) {
        let is_own = Arc::ptr_eq(queue.engine(), &self.station().engine);
        self.station().observers.add(queue, is_own, handler);
    }
}

impl OperationQueue {
    /// The queue's operations that are not over, and what they depend on, in the language of Graphviz's `dot`.
    ///
    /// Each has its label and its [state](crate::OperationState), and those of other queues the label of their queue. A dashed
    /// arrow asks for an end only, and a solid one for a value. Every operation is shown as it is when it is looked at.
    ///
    /// ```
    /// use concourse::OperationQueue;
    ///
    /// let ops = OperationQueue::builder("build").max_concurrent(0).build();
    /// let compile = ops.operation("compile").run(|| "main.o");
    /// let link = ops.operation("link").with(&compile).run(|object| format!("{object} linked"));
    /// assert_eq!(ops.dot(), r#"digraph "build" {
    ///     rankdir=LR;
    ///     node [shape=box];
    ///     n0 [label="compile\nReady"];
    ///     n1 [label="link\nPending"];
    ///     n0 -> n1;
    /// }
    /// "#);
    /// ```
    #[must_use]
    pub fn dot(&self) -> String {
        dot(self.station())
    }
}

impl fmt::Debug for OperationQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperationQueue").field("label", &self.label()).finish_non_exhaustive()
    }
}

/// Holds an operation queue suspended until it is dropped.
#[derive(Debug)]
#[must_use = "the queue is resumed when the guard is dropped"]
pub struct SuspendedOperations {
    queue: OperationQueue,
}

impl Drop for SuspendedOperations {
    fn drop(&mut self) {
        // Somebody who resumed too often has taken this suspension back already.
        let _ = self.queue.resume();
    }
}

/// How an [`OperationQueue`] is built.
#[must_use = "a builder builds nothing until `build` is called"]
pub struct OperationQueueBuilder {
    label: Arc<str>,
    engine: Option<Arc<Engine>>,
    below: Option<Arc<dyn Accept>>,
    qos: Qos,
    max_concurrent: usize,
    order: Order,
    seed: Option<u64>,
}

impl OperationQueueBuilder {
    /// Runs the operations on the threads of `runtime`, instead of the default one.
    pub fn on(mut self, runtime: &Runtime) -> Self {
        self.engine = Some(Arc::clone(runtime.engine()));
        self
    }

    /// Runs the operations on `queue`, and so on the threads of its runtime: `underlyingQueue`.
    ///
    /// They are in line with its other jobs, and its width, its barriers and its suspension hold for them.
    pub fn target(mut self, queue: &impl Dispatch) -> Self {
        self.below = Some(Arc::new(queue.clone()));
        self
    }

    /// How urgent the operations are among everything else that the runtime runs. A [target](Self::target) has a class of
    /// its own.
    pub fn qos(mut self, qos: Qos) -> Self {
        self.qos = qos;
        self
    }

    /// How many operations run at the same time. Without it, or beyond them, as many as there are threads.
    ///
    /// An operation that waits holds no thread. With 0 nothing runs until
    /// [`set_max_concurrent`](OperationQueue::set_max_concurrent) says otherwise; with 1 one at a time, in the
    /// [order](Self::order) in which they are ready.
    pub fn max_concurrent(mut self, max_concurrent: usize) -> Self {
        self.max_concurrent = max_concurrent;
        self
    }

    /// Which of the operations that are ready goes first.
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// What the jitter of [retries](crate::Retry) follows from. Without it, from the time of day, which in a simulation is
    /// virtual.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Builds the queue.
    ///
    /// Once its runtime has been shut down, a queue can be built all the same. What is added to it is reported to the
    /// rejection hook, and is over as [`OperationError::Dropped`].
    #[must_use]
    pub fn build(self) -> OperationQueue {
        let Self { label, engine, below, qos, max_concurrent, order, seed } = self;
        let below = below.unwrap_or_else(|| {
            let engine = engine.unwrap_or_else(|| Arc::clone(Runtime::default_runtime().engine()));
            Arc::new(GlobalQueue::on(engine, qos))
        });
        let seed = seed.unwrap_or_else(|| time::now(Clock::Wall).0);
        let station = Station::new(label, &*below, max_concurrent, order, seed);
        OperationQueue { handle: Arc::new(Handle { station, _below: below }) }
    }
}

impl fmt::Debug for OperationQueueBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperationQueueBuilder").field("label", &self.label).finish_non_exhaustive()
    }
}
