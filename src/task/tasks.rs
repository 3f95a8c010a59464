//! Several tasks at once: whichever is done first, or all of them.

use super::Task;
use crate::error::TaskError;
use crate::job::contain;
use crate::semaphore::Semaphore;
use crate::sync::Arc;
use crate::sync::Mutex;
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::fmt;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

/// Which tasks are done.
#[derive(Default)]
struct Finished {
    /// In the order in which they came to it.
    numbers: Mutex<VecDeque<usize>>,
    /// Who polls for the next one.
    waker: Mutex<Option<Waker>>,
}

/// A set of tasks that are taken as they are done: Python's `as_completed` and `wait(.., FIRST_COMPLETED)`.
///
/// Each task has a number, in the order in which they were put in. The iterator waits for the next one that is done, and
/// gives its number and what has become of it; it ends when no task is left. Tasks may be put in meanwhile. Those that are
/// left in a set that is dropped go on.
///
/// # Examples
///
/// ```
/// use concourse::{Event, Queue, Tasks};
///
/// let queue = Queue::concurrent("races");
/// let go = Event::new();
/// let gate = go.clone();
/// let mut tasks = Tasks::new();
/// tasks.push(queue.submit(move || {
///     gate.wait();
///     "tortoise"
/// }));
/// tasks.push(queue.submit(|| "hare"));
/// assert_eq!(tasks.next(), Some((1, Ok("hare"))));
/// go.set();
/// assert_eq!(tasks.next(), Some((0, Ok("tortoise"))));
/// assert_eq!(tasks.next(), None);
/// ```
///
/// All or the first failure:
///
/// ```
/// use concourse::{Queue, TaskError, Tasks};
///
/// let queue = Queue::concurrent("sums");
/// let squares: Tasks<u32> = (1..=4).map(|n| queue.submit(move || n * n)).collect();
/// assert_eq!(squares.all()?, [1, 4, 9, 16]);
/// # Ok::<(), TaskError>(())
/// ```
pub struct Tasks<T> {
    pending: BTreeMap<usize, Task<T>>,
    next: usize,
    finished: Arc<Finished>,
    count: Semaphore,
}

impl<T: Send + 'static> Tasks<T> {
    /// An empty set.
    pub fn new() -> Self {
        Self::starting_at(0)
    }

    /// An empty set whose first task has this number.
    pub(super) fn starting_at(next: usize) -> Self {
        Self { pending: BTreeMap::new(), next, finished: Arc::default(), count: Semaphore::new(0) }
    }

    /// Puts a task in, and returns its number: 0 for the first, and so on.
    pub fn push(&mut self, task: Task<T>) -> usize {
        let number = self.next;
        self.next += 1;
        let (finished, count) = (Arc::clone(&self.finished), self.count.clone());
        task.item.notify_inline(move |_| {
            finished.numbers.lock().push_back(number);
            count.signal();
            // After the signal: a poll looks at the count again when its waker is in its place.
            let waker = finished.waker.lock().take();
            // It is an executor's code, and this may be called while the task's panic unwinds.
            if let Some(Err(panic)) = waker.map(|waker| contain(|| waker.wake())) {
                panic.bury();
            }
        });
        self.pending.insert(number, task);
        number
    }

    /// How many tasks have not been taken.
    pub fn len(&self) -> usize {
        self.left()
    }

    /// True if there is no task left to take.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Cancels every task that has not been taken, as [`Task::cancel`] does. They are still to be taken.
    pub fn cancel(&self) {
        self.withdraw();
    }

    /// Takes one of the counted tasks that are done, unless it was given up.
    fn take_done(&mut self) -> Option<(usize, Result<T, TaskError>)> {
        let number = self.finished.numbers.lock().pop_front()?;
        let mut task = self.pending.remove(&number)?;
        task.try_take().map(|ended| (number, ended))
    }

    /// The next task that is done, as a poll of a future has it.
    pub(super) fn poll_done(&mut self, context: &Context<'_>) -> Poll<Option<(usize, Result<T, TaskError>)>> {
        while !self.pending.is_empty() {
            if !self.count.try_wait() {
                let waker = context.waker().clone();
                let before = self.finished.waker.lock().replace(waker);
                drop(before);
                if !self.count.try_wait() {
                    return Poll::Pending;
                }
            }
            let done = self.take_done();
            if done.is_some() {
                return Poll::Ready(done);
            }
        }
        Poll::Ready(None)
    }

    /// Waits for all values, in the order in which the tasks were put in; at the first that fails, cancels the rest.
    ///
    /// Tasks that run at that moment go on, and nobody waits for them.
    ///
    /// # Errors
    ///
    /// The [`TaskError`] of the first task that failed.
    pub fn all(mut self) -> Result<Vec<T>, TaskError> {
        let mut values = BTreeMap::new();
        while let Some((number, ended)) = self.next() {
            match ended {
                Ok(value) => _ = values.insert(number, value),
                Err(error) => {
                    self.cancel();
                    return Err(error);
                }
            }
        }
        Ok(values.into_values().collect())
    }
}

impl<T> Tasks<T> {
    pub(super) fn left(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn withdraw(&self) {
        self.pending.values().for_each(|task| _ = task.withdraw());
    }
}

impl<T: Send + 'static> Iterator for Tasks<T> {
    type Item = (usize, Result<T, TaskError>);

    /// Waits for the next task that is done. If the calling thread keeps the first of them from running, that one comes,
    /// with [`TaskError::WouldDeadlock`], and goes on afterwards.
    fn next(&mut self) -> Option<Self::Item> {
        let (first, task) = self.pending.first_key_value()?;
        if !self.count.try_wait() {
            if let Some((queue, held)) = task.held_up().filter(|_| !task.is_done()) {
                let first = *first;
                self.pending.remove(&first);
                return Some((first, Err(TaskError::WouldDeadlock { queue, held })));
            }
            self.count.wait();
        }
        // What is done and not there was given up above.
        self.take_done().or_else(|| self.next())
    }
}

impl<T: Send + 'static> Default for Tasks<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Send + 'static> FromIterator<Task<T>> for Tasks<T> {
    fn from_iter<I: IntoIterator<Item = Task<T>>>(tasks: I) -> Self {
        let mut all = Self::new();
        all.extend(tasks);
        all
    }
}

impl<T: Send + 'static> Extend<Task<T>> for Tasks<T> {
    fn extend<I: IntoIterator<Item = Task<T>>>(&mut self, tasks: I) {
        tasks.into_iter().for_each(|task| _ = self.push(task));
    }
}

impl<T> fmt::Debug for Tasks<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks").field("left", &self.pending.len()).finish_non_exhaustive()
    }
}
