//! Jobs in order for each key, and side by side across keys.
//!
//! # Protocol
//!
//! A key is in the map as long as a *turn* of it is on its way or running, and so the turn is the only one that runs the
//! key's jobs. A turn takes one job, runs it, and goes to the end of the queue's line if the key has more; otherwise it takes
//! the key out. Whoever finds no entry makes one, and sends the turn.
//!
//! - **A job comes while the last one of its key runs.** The entry is still there, and empty: the job goes in, and the turn,
//!   which looks under the same lock when it has run, finds it.
//! - **A job panics.** The panic is contained and reported, and the turn goes on, or takes the key out.
//! - **A turn is dropped unrun**, as the runtime has ended. It drops what the key has, and takes the key out.

use crate::engine::Engine;
use crate::engine::Loss;
use crate::engine::Phase;
use crate::error::SubmitError;
use crate::event_loop::Sink;
use crate::job::Job;
use crate::job::contain;
use crate::queue::Accept;
use crate::queue::Dispatch;
use crate::sync::Arc;
use crate::sync::Mutex;
use crate::time::Nanos;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::Hash;
use std::num::NonZeroUsize;

struct Lines<K> {
    /// No handle: what waits does not keep its queue from being closed, which may be what lets it go.
    queue: Arc<dyn Sink>,
    engine: Arc<Engine>,
    bound: usize,
    /// What waits for each key that has a turn.
    waiting: Mutex<HashMap<K, VecDeque<Job>>>,
}

impl<K: Eq + Hash + Clone + Send + 'static> Lines<K> {
    /// Puts the job that `job` makes of `f` in line, unless the line is full.
    fn put<F>(self: &Arc<Self>, key: K, f: F, job: impl FnOnce(F) -> Job) -> Result<(), F> {
        let mut waiting = self.waiting.lock();
        match waiting.entry(key.clone()) {
            Entry::Occupied(line) if line.get().len() >= self.bound => return Err(f),
            Entry::Occupied(mut line) => {
                line.get_mut().push_back(job(f));
                return Ok(());
            }
            Entry::Vacant(place) => _ = place.insert(VecDeque::from([job(f)])),
        }
        drop(waiting);
        self.send(key);
        Ok(())
    }

    /// Sends a turn of the key. It is a token, so that cancelling the queue's pending jobs leaves it in its place.
    fn send(self: &Arc<Self>, key: K) {
        let turn = Turn(Some((Arc::clone(self), key)));
        Arc::clone(&self.queue).fire(Some(Job::token(move || turn.run())), Nanos::ZERO);
    }

    fn lose(&self, jobs: VecDeque<Job>, loss: Loss) {
        jobs.into_iter().for_each(|job| self.engine.lose(self.queue.label(), job, loss));
    }
}

/// A turn of a key, on its way or running.
struct Turn<K: Eq + Hash + Clone + Send + 'static>(Option<(Arc<Lines<K>>, K)>);

impl<K: Eq + Hash + Clone + Send + 'static> Turn<K> {
    fn run(mut self) {
        // A global queue's turns still come when the runtime has been cancelled: they are dropped here.
        let Some((lines, key)) = self.0.take_if(|(lines, _)| lines.engine.phase() != Phase::Cancelling) else { return };
        let job = lines.waiting.lock().get_mut(&key).and_then(VecDeque::pop_front);
        // When the job has run.
        let _next = Next { lines: &lines, key };
        if let Some(job) = job {
            let closure = job.type_name();
            if let Err(panic) = contain(|| job.run()) {
                lines.engine.report_panic(lines.queue.label(), panic, closure);
            }
        }
    }
}

impl<K: Eq + Hash + Clone + Send + 'static> Drop for Turn<K> {
    fn drop(&mut self) {
        if let Some((lines, key)) = self.0.take() {
            let line = lines.waiting.lock().remove_entry(&key);
            line.into_iter().for_each(|(_, jobs)| lines.lose(jobs, Loss::Ended));
        }
    }
}

/// What follows a turn.
struct Next<'a, K: Eq + Hash + Clone + Send + 'static> {
    lines: &'a Arc<Lines<K>>,
    key: K,
}

impl<K: Eq + Hash + Clone + Send + 'static> Drop for Next<'_, K> {
    fn drop(&mut self) {
        let mut waiting = self.lines.waiting.lock();
        if waiting.get(&self.key).is_some_and(|line| !line.is_empty()) {
            drop(waiting);
            self.lines.send(self.key.clone());
        } else {
            let line = waiting.remove_entry(&self.key);
            drop(waiting);
            drop(line);
        }
    }
}

/// A queue for each key: jobs of one key run one at a time, in the order of their submission, those of different keys side by
/// side.
///
/// All of them run on the queue that it stands on, whose width bounds how many run at the same time, and whose order is
/// that of turns: each key runs one job and goes to the end of the line, so that a busy key does not keep others waiting; on
/// a global queue, which has no order, it may run some sixty in a row. A key that has nothing to do costs nothing, not even memory, so that keys may be users, files or addresses.
///
/// It is what people build from a map of serial queues, without the question when to throw one away. A handle is cheap to
/// clone; all clones are the same lines. Dropping the last handle lets what was submitted run.
///
/// # Examples
///
/// ```
/// use concourse::{Keyed, Queue};
/// use std::sync::{Arc, Mutex};
///
/// let crawl = Queue::builder("crawl").concurrent().width(8).build()?;
/// let hosts = Keyed::new(&crawl);
/// let log = Arc::new(Mutex::new(Vec::new()));
/// for (host, page) in [("a.example", 1), ("b.example", 1), ("a.example", 2)] {
///     let log = Arc::clone(&log);
///     hosts.exec_async(host, move || log.lock().unwrap().push((host, page)));
/// }
/// # while hosts.len() > 0 { std::thread::yield_now(); }
/// // However they overlap, the pages of one host come in order.
/// let of_a: Vec<_> = log.lock().unwrap().iter().copied().filter(|(host, _)| *host == "a.example").collect();
/// assert_eq!(of_a, [("a.example", 1), ("a.example", 2)]);
/// # Ok::<(), concourse::BuildError>(())
/// ```
pub struct Keyed<K> {
    lines: Arc<Lines<K>>,
    /// A handle, for as long as somebody may submit.
    queue: Arc<dyn Accept>,
}

impl<K: Eq + Hash + Clone + Send + 'static> Keyed<K> {
    /// Lines that run on `queue`, and are as long as they get.
    pub fn new(queue: &impl Dispatch) -> Self {
        Self::with(queue, usize::MAX)
    }

    /// Lines that run on `queue`, in each of which at most `bound` jobs wait behind the one that runs.
    pub fn bounded(queue: &impl Dispatch, bound: NonZeroUsize) -> Self {
        Self::with(queue, bound.get())
    }

    fn with(queue: &impl Dispatch, bound: usize) -> Self {
        let (sink, engine) = (queue.sink(), Arc::clone(queue.engine()));
        let lines = Lines { queue: sink, engine, bound, waiting: Mutex::new(HashMap::new()) };
        Self { lines: Arc::new(lines), queue: Arc::new(queue.clone()) }
    }

    /// Submits `f` to the line of `key` and returns at once.
    ///
    /// Nothing is merged or lost: `f` runs once, or is reported to the runtime's rejection hook and dropped, if the line
    /// is full or the runtime has been shut down.
    pub fn exec_async(&self, key: K, f: impl FnOnce() + Send + 'static) {
        if let Err(refused) = self.try_exec_async(key, f) {
            let queue = &self.queue;
            queue.engine().lose(queue.label(), Job::new(refused.into_inner()), Loss::Rejected);
        }
    }

    /// Submits `f` to the line of `key`, or gives it back.
    ///
    /// # Errors
    ///
    /// [`SubmitError::Full`] if as many as the [bound](Self::bounded) wait already, [`SubmitError::ShutDown`] and
    /// [`SubmitError::Forked`] as from [`Queue::try_exec_async`](crate::Queue::try_exec_async); each with `f`.
    ///
    /// ```
    /// use concourse::{Keyed, Queue, SubmitError};
    /// use std::num::NonZeroUsize;
    ///
    /// let queue = Queue::serial("held");
    /// let guard = queue.suspend_guard()?;
    /// let lines = Keyed::bounded(&queue, NonZeroUsize::MIN);
    /// assert!(lines.try_exec_async("key", || ()).is_ok());
    /// assert!(matches!(lines.try_exec_async("key", || ()), Err(SubmitError::Full(_))));
    /// assert!(lines.try_exec_async("another key", || ()).is_ok());
    /// # Ok::<(), concourse::SuspendError>(())
    /// ```
    pub fn try_exec_async<F: FnOnce() + Send + 'static>(&self, key: K, f: F) -> Result<(), SubmitError<F>> {
        let f = self.lines.engine.admit(f)?;
        self.lines.put(key, f, Job::new).map_err(SubmitError::Full)
    }

    /// Drops every job that waits in the line of `key`, and returns how many those were. One that runs goes on.
    ///
    /// Each closure was reported to the runtime's `on_dropped` hook when the call returns, and its captures are gone.
    pub fn cancel_pending(&self, key: &K) -> usize {
        let jobs = self.lines.waiting.lock().get_mut(key).map(std::mem::take).unwrap_or_default();
        let count = jobs.len();
        self.lines.lose(jobs, Loss::Cancelled);
        count
    }

    /// How many jobs wait in the line of `key` at this moment.
    pub fn pending(&self, key: &K) -> usize {
        self.lines.waiting.lock().get(key).map_or(0, VecDeque::len)
    }

    /// How many keys have something to do at this moment.
    pub fn len(&self) -> usize {
        self.lines.waiting.lock().len()
    }

    /// True if no key has anything to do at this moment.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K> Clone for Keyed<K> {
    fn clone(&self) -> Self {
        Self { lines: Arc::clone(&self.lines), queue: Arc::clone(&self.queue) }
    }
}

impl<K> fmt::Debug for Keyed<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyed").field("queue", self.queue.label()).finish_non_exhaustive()
    }
}
