//! Queues that take no more than so much at a time, and say what becomes of the rest.
//!
//! A [`Bounded`] stands before a queue, which knows nothing of it: a queue without a bound pays nothing. [`Bound`] counts
//! the places, and [`Line`] holds the jobs that are in them.

mod bound;
mod line;
mod policy;

pub use policy::WhenFull;

use crate::engine::Loss;
use crate::error::SubmitError;
use crate::job::Job;
use crate::job::contain;
use crate::queue::Accept;
use crate::queue::Dispatch;
use crate::sync::Arc;
use crate::sync::Reason;
use crate::sync::deadline_after;
use crate::sync::wait_at;
use bound::Bound;
use bound::Producer;
use line::Displaced;
use line::Line;
use std::fmt;
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::time::Duration;
use std::time::Instant;

/// A way into a queue that lets only so many jobs wait at a time.
///
/// The bound is on what waits: a job has a place from its submission until it begins, or is dropped. Its place comes back then,
/// whatever becomes of it: it runs, panics, is cancelled with [`Queue::cancel_pending`], or dropped with its queue or its
/// runtime. What happens while all places are taken is up to [`WhenFull`]; nothing is dropped silently. The bound says
/// nothing of how many jobs run at the same time, which is the queue's width.
///
/// Several queues may share one bound, for instance all that target one queue: [`beside`](Self::beside). Jobs that are
/// submitted to the queue itself are not counted. They keep their order with those that come this way, unless one of these
/// makes way: the rest moves up then.
///
/// A handle is cheap to clone; all clones have the same places. In Python, an executor's queue grows without a bound, and
/// a `queue.Queue(maxsize)` is a channel without an executor; Java's `ThreadPoolExecutor` has policies of this kind.
///
/// [`Queue::cancel_pending`]: crate::Queue::cancel_pending
///
/// # Examples
///
/// A producer that is faster than the disk waits for it:
///
/// ```
/// use concourse::{Bounded, Queue, WhenFull};
/// use std::num::NonZeroUsize;
///
/// let disk = Queue::serial("disk");
/// let blocks = Bounded::new(&disk, NonZeroUsize::new(4).unwrap()).when_full(WhenFull::Block);
/// for block in 0..100 {
///     blocks.exec_async(move || println!("block {block}"));
///     assert!(blocks.waiting() <= 4);
/// }
/// disk.exec_sync(|| ());
/// ```
///
/// Only the last three readings are of interest:
///
/// ```
/// use concourse::{Bounded, Queue, WhenFull};
/// use std::num::NonZeroUsize;
/// use std::sync::{Arc, Mutex};
///
/// let screen = Queue::serial("screen");
/// let guard = screen.suspend_guard()?;
/// let readings = Bounded::new(&screen, NonZeroUsize::new(3).unwrap()).when_full(WhenFull::DropOldest);
/// let shown = Arc::new(Mutex::new(Vec::new()));
/// for reading in 0..10 {
///     let shown = Arc::clone(&shown);
///     readings.exec_async(move || shown.lock().unwrap().push(reading));
/// }
/// drop(guard);
/// screen.exec_sync(|| ());
/// assert_eq!(*shown.lock().unwrap(), [7, 8, 9]);
/// assert_eq!(readings.dropped(), 7);
/// # Ok::<(), concourse::SuspendError>(())
/// ```
pub struct Bounded<K = ()> {
    line: Arc<Line<K>>,
    /// A handle, for as long as somebody may submit.
    queue: Arc<dyn Accept>,
    when_full: WhenFull,
}

impl Bounded {
    /// A way into `queue` that lets `capacity` jobs wait, and rejects others.
    pub fn new(queue: &impl Dispatch, capacity: NonZeroUsize) -> Self {
        Self::keyed(queue, capacity)
    }
}

impl<K: Eq + Hash + Clone + Send + 'static> Bounded<K> {
    /// As [`new`](Bounded::new), for jobs that have keys: see [`exec_latest`](Self::exec_latest).
    pub fn keyed(queue: &impl Dispatch, capacity: NonZeroUsize) -> Self {
        Self::under(queue, Bound::new(capacity.get()), WhenFull::default())
    }

    fn under(queue: &impl Dispatch, bound: Arc<Bound>, when_full: WhenFull) -> Self {
        Self { line: Line::new(queue, bound), queue: Arc::new(queue.clone()), when_full }
    }

    /// Says what becomes of a job for which there is no place. Other handles are not affected.
    #[must_use]
    pub fn when_full(self, policy: WhenFull) -> Self {
        Self { when_full: policy, ..self }
    }

    /// A way into another queue that shares the places of this one, and has the same policy.
    ///
    /// ```
    /// use concourse::{Bounded, Queue, SubmitError};
    /// use std::num::NonZeroUsize;
    ///
    /// let disk = Queue::serial("disk");
    /// let guard = disk.suspend_guard()?;
    /// let log = Bounded::new(&Queue::builder("log").target(&disk).build()?, NonZeroUsize::MIN);
    /// let index = log.beside(&Queue::builder("index").target(&disk).build()?);
    /// log.exec_async(|| println!("the one that may wait for the disk"));
    /// assert!(matches!(index.try_exec_async(|| ()), Err(SubmitError::Full(_))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn beside(&self, queue: &impl Dispatch) -> Self {
        Self::under(queue, Arc::clone(&self.line.bound), self.when_full)
    }

    /// Submits `f` to the queue, as the policy says.
    ///
    /// Nothing is merged, and nothing lost silently: `f` runs once, or is reported, to the runtime's rejection hook if it is
    /// refused, to its `on_dropped` hook if it has made way for another job.
    pub fn exec_async(&self, f: impl FnOnce() + Send + 'static) {
        self.keep_or_report(None, f);
    }

    /// Submits `f` to the queue, as the policy says, or gives it back.
    ///
    /// # Errors
    ///
    /// [`SubmitError::Full`] if there was no place, or none in time. [`SubmitError::WouldDeadlock`] if the policy is to wait,
    /// and no place can come back before the calling thread goes on: it runs a job of the very queue that is full.
    /// [`SubmitError::ShutDown`] and [`SubmitError::Forked`] as from [`Queue::try_exec_async`]. Each with `f`.
    ///
    /// [`Queue::try_exec_async`]: crate::Queue::try_exec_async
    pub fn try_exec_async<F: FnOnce() + Send + 'static>(&self, f: F) -> Result<(), SubmitError<F>> {
        self.submit(None, f)
    }

    /// Submits `f` in the place of the job that waits under the same key, or, if there is none, as
    /// [`exec_async`](Self::exec_async).
    ///
    /// So the last job of each key runs, at the place in line of the first. The one that it replaces is dropped, counted, and
    /// reported to the runtime's `on_dropped` hook. A job that runs already is not replaced. To merge the values
    /// themselves, use a [`Source`](crate::Source).
    ///
    /// ```
    /// use concourse::{Bounded, Queue};
    /// use std::num::NonZeroUsize;
    /// use std::sync::{Arc, Mutex};
    ///
    /// let disk = Queue::serial("disk");
    /// let guard = disk.suspend_guard()?;
    /// let saves = Bounded::keyed(&disk, NonZeroUsize::new(16).unwrap());
    /// let saved = Arc::new(Mutex::new(Vec::new()));
    /// for (document, version) in [("letter", 1), ("report", 1), ("letter", 2)] {
    ///     let saved = Arc::clone(&saved);
    ///     saves.exec_latest(document, move || saved.lock().unwrap().push((document, version)));
    /// }
    /// drop(guard);
    /// disk.exec_sync(|| ());
    /// assert_eq!(*saved.lock().unwrap(), [("letter", 2), ("report", 1)]);
    /// # Ok::<(), concourse::SuspendError>(())
    /// ```
    pub fn exec_latest(&self, key: K, f: impl FnOnce() + Send + 'static) {
        self.keep_or_report(Some(key), f);
    }

    /// As [`exec_latest`](Self::exec_latest), or gives `f` back.
    ///
    /// # Errors
    ///
    /// As [`try_exec_async`](Self::try_exec_async), if no job waits under the same key.
    pub fn try_exec_latest<F: FnOnce() + Send + 'static>(&self, key: K, f: F) -> Result<(), SubmitError<F>> {
        self.submit(Some(key), f)
    }

    fn keep_or_report<F: FnOnce() + Send + 'static>(&self, key: Option<K>, f: F) {
        if let Err(refused) = self.submit(key, f) {
            self.line.lose(Job::new(refused.into_inner()), Loss::Rejected);
        }
    }

    fn submit<F: FnOnce() + Send + 'static>(&self, key: Option<K>, f: F) -> Result<(), SubmitError<F>> {
        let f = self.line.engine.admit(f)?;
        let displaced = if self.when_full == WhenFull::DropOldest { Displaced::Oldest } else { Displaced::Nobody };
        let Err((key, f)) = self.line.offer(key, f, displaced) else { return Ok(()) };
        match self.when_full {
            WhenFull::Reject | WhenFull::DropOldest => Err(SubmitError::Full(f)),
            WhenFull::Block => self.wait_and_put(key, f, None),
            WhenFull::BlockFor(Duration::ZERO) => Err(SubmitError::Full(f)),
            WhenFull::BlockFor(time) => self.wait_and_put(key, f, deadline_after(time)),
            WhenFull::DropNewest => {
                self.line.drop_newest(Job::new(f));
                Ok(())
            }
            WhenFull::CallerRuns => {
                if let Err(panic) = contain(f) {
                    self.line.engine.report_panic(self.queue.label(), panic, std::any::type_name::<F>());
                }
                Ok(())
            }
        }
    }

    /// Waits for a place in the line of all who want one.
    fn wait_and_put<F>(&self, key: Option<K>, f: F, deadline: Option<Instant>) -> Result<(), SubmitError<F>>
    where
        F: FnOnce() + Send + 'static,
    {
        let (line, label) = (&self.line, self.queue.label());
        if let Some(held) = line.bound.is_held_up() {
            return Err(SubmitError::WouldDeadlock { closure: f, queue: Arc::clone(label), held });
        }
        // It may panic, before a place is taken.
        let again = key.clone();
        let producer = Producer { bound: &line.bound, member: line.member };
        if !wait_at(&producer, &Reason::Place(Arc::clone(label)), deadline) {
            return Err(SubmitError::Full(f));
        }
        // It may have been a long time.
        match line.engine.admit(f) {
            Ok(f) => line.put(key, again, f),
            Err(refused) => {
                let next = line.bound.give(line.member);
                next.inspect(|next| next.wake());
                return Err(refused);
            }
        }
        Ok(())
    }

    /// How many jobs may wait in all queues that share the bound.
    pub fn capacity(&self) -> usize {
        self.line.bound.capacity
    }

    /// How many places are taken at this moment, by jobs of all queues that share the bound.
    pub fn waiting(&self) -> usize {
        self.line.bound.taken()
    }

    /// How many jobs wait for this queue at this moment.
    pub fn len(&self) -> usize {
        self.line.len()
    }

    /// True if no job waits for this queue at this moment.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many jobs for this queue have been dropped so far to make way for others: the oldest, the newest, and those whose
    /// key came again.
    pub fn dropped(&self) -> u64 {
        self.line.dropped()
    }
}

impl<K> Clone for Bounded<K> {
    fn clone(&self) -> Self {
        Self { line: Arc::clone(&self.line), queue: Arc::clone(&self.queue), when_full: self.when_full }
    }
}

impl<K> fmt::Debug for Bounded<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bounded")
            .field("queue", self.queue.label())
            .field("when_full", &self.when_full)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use super::*;
    use crate::queue::Queue;
    use crate::sync::OnPark;
    use crate::sync::enter_host;

    #[test]
    fn the_host_is_told_of_a_wait_that_blocks_and_no_lock_is_held_then() {
        let queue = Queue::serial("held");
        let guard = queue.suspend_guard().unwrap();
        let bounded = Bounded::new(&queue, NonZeroUsize::MIN).when_full(WhenFull::Block);
        let host = OnPark::new({
            let queue = queue.clone();
            move || assert_eq!(queue.cancel_pending(), 1)
        });
        let _guard = enter_host(host.clone());
        bounded.exec_async(|| ());
        assert_eq!(host.reasons(), []);
        bounded.exec_async(|| ());
        assert_eq!(host.reasons(), [Reason::Place(Arc::from("held"))]);
        drop(guard);
    }
}
