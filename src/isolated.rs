//! State that only its queue can touch.

use crate::collections::Protected;
use crate::job::Job;
use crate::queue::Accept;
use crate::queue::Queue;
use crate::sync::Arc;
use std::fmt;

/// State that belongs to a queue: the compiler sees to it that nobody reaches it but through the queue.
///
/// This is what an actor's state is in Swift, and what in GCD is a comment above a variable: "only on this queue". On a
/// serial queue every access is alone; on a concurrent queue [`read`](Self::read)s run side by side, and everything else is
/// a barrier. Accesses come in line with the other jobs of the queue, so that several states may share one queue and change
/// together.
///
/// A handle is cheap to clone; all clones are the same state. The value is dropped with the last handle, or after the last
/// job that was submitted through one, on the thread on which that happens. A panic of a closure leaves the value as it is
/// at that moment, as for any `&mut`.
///
/// # Examples
///
/// ```
/// use concourse::{Isolated, Queue};
///
/// let log = Isolated::new(Queue::serial("log"), Vec::new());
/// for line in ["grand", "central"] {
///     log.exec_async(move |lines| lines.push(line));
/// }
/// assert_eq!(log.exec_sync(|lines| lines.join(" ")), "grand central");
/// ```
///
/// Many readers, one writer:
///
/// ```
/// use concourse::{Isolated, Queue};
/// use std::collections::BTreeMap;
///
/// let cache = Isolated::new(Queue::concurrent("cache"), BTreeMap::new());
/// cache.write(|map| map.insert("platforms", 44));
/// assert_eq!(cache.read(|map| map.get("platforms").copied()), Some(44));
/// ```
///
/// No reference to the state leaves the queue:
///
/// ```compile_fail
/// # use concourse::{Isolated, Queue};
/// let state = Isolated::new(Queue::serial("state"), vec![1]);
/// let first: &i32 = state.exec_sync(|numbers| &numbers[0]);
/// ```
///
/// What is not `Send` stays where it is, and only what is `Sync` is read by several threads:
///
/// ```compile_fail,E0277
/// # use concourse::{Isolated, Queue};
/// let state = Isolated::new(Queue::serial("state"), std::rc::Rc::new(1));
/// state.exec_async(|number| println!("{number}"));
/// ```
///
/// ```compile_fail,E0277
/// # use concourse::{Isolated, Queue};
/// let state = Isolated::new(Queue::concurrent("state"), std::cell::Cell::new(1));
/// state.read(|number| number.get());
/// ```
pub struct Isolated<T> {
    queue: Queue,
    state: Arc<Protected<T>>,
}

impl<T: Send + 'static> Isolated<T> {
    /// Gives `value` to `queue`.
    pub fn new(queue: Queue, value: T) -> Self {
        Self { queue, state: Arc::new(Protected::new(value)) }
    }

    /// The queue that the state belongs to.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Submits `f` to run alone on the queue, with the state.
    ///
    /// As [`Queue::exec_async`], and on a concurrent queue [`Queue::barrier_async`]: nothing is merged or lost.
    pub fn exec_async<F: FnOnce(&mut T) + Send + 'static>(&self, f: F) {
        let state = Arc::clone(&self.state);
        self.queue.accept(Job::wrapping_alone::<F, _>(move || state.alone(f)));
    }

    /// Runs `f` alone on the queue, with the state, and returns its value.
    ///
    /// # Panics
    ///
    /// As [`Queue::barrier_sync`]: if the thread already runs a job of this queue, for instance inside another call of this
    /// method. A panic of `f` goes on in the caller.
    #[track_caller]
    pub fn exec_sync<R: Send>(&self, f: impl FnOnce(&mut T) -> R + Send) -> R {
        self.queue.barrier_sync(|| self.state.alone(f))
    }

    /// As [`exec_sync`](Self::exec_sync), the counterpart of [`read`](Self::read).
    ///
    /// # Panics
    ///
    /// As [`exec_sync`](Self::exec_sync).
    #[track_caller]
    pub fn write<R: Send>(&self, f: impl FnOnce(&mut T) -> R + Send) -> R {
        self.exec_sync(f)
    }

    /// Runs `f` on the queue, with a look at the state, and returns its value. On a concurrent queue, beside other readers.
    ///
    /// # Panics
    ///
    /// As [`Queue::exec_sync`]: if the thread already runs a job of this queue and the queue is serial, or the job a barrier.
    /// A panic of `f` goes on in the caller.
    #[track_caller]
    pub fn read<R: Send>(&self, f: impl FnOnce(&T) -> R + Send) -> R
    where
        T: Sync,
    {
        self.queue.exec_sync(|| self.state.beside(f))
    }

    /// Submits `f` to run on the queue, with a look at the state; on a concurrent queue, beside other readers.
    pub fn read_async<F: FnOnce(&T) + Send + 'static>(&self, f: F)
    where
        T: Sync,
    {
        let state = Arc::clone(&self.state);
        self.queue.accept(Job::wrapping::<F, _>(move || state.beside(f)));
    }
}

impl<T> Clone for Isolated<T> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), state: Arc::clone(&self.state) }
    }
}

impl<T> fmt::Debug for Isolated<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Isolated").field("queue", &self.queue).finish_non_exhaustive()
    }
}
