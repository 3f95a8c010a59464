//! A function over the items of an iterator, on a queue, with bounded look-ahead.

use super::Task;
use super::tasks::Tasks;
use crate::error::TaskError;
use crate::queue::Dispatch;
use crate::queue::GlobalQueue;
use crate::queue::Queue;
use crate::sync::Arc;
use std::collections::VecDeque;
use std::fmt;
use std::iter::Fuse;
use std::num::NonZeroUsize;

/// The values of a function that a queue calls with the items of an iterator: what [`Queue::map`] gives.
///
/// It is an iterator itself, which takes items and submits calls only as values are fetched, so that the source may be
/// endless and at most a [`window`](Self::window) of calls is under way. Dropping it cancels the calls that have not begun.
pub struct Map<I, F, Q, T> {
    items: Fuse<I>,
    f: Arc<F>,
    queue: Q,
    window: NonZeroUsize,
    pub(super) under_way: VecDeque<Task<T>>,
    /// How many values have been fetched in order.
    pub(super) fetched: usize,
}

impl<I, F, Q, T> Map<I, F, Q, T>
where
    I: Iterator<Item: Send + 'static>,
    F: Fn(I::Item) -> T + Send + Sync + 'static,
    Q: Dispatch,
    T: Send + 'static,
{
    fn new(queue: Q, items: I, f: F) -> Self {
        // Enough that every thread has a call, and one to go on with.
        let window = NonZeroUsize::MIN.saturating_add(2 * queue.engine().executor().threads() - 1);
        Self { items: items.fuse(), f: Arc::new(f), queue, window, under_way: VecDeque::new(), fetched: 0 }
    }

    /// Has at most `window` calls under way or fetched ahead; without it, twice as many as the runtime has threads.
    pub fn window(mut self, window: NonZeroUsize) -> Self {
        self.window = window;
        self
    }

    /// Gives the values as they come, with the place of their item in the iterator, instead of in the order of the items.
    pub fn unordered(mut self) -> Unordered<I, F, Q, T> {
        let mut tasks = Tasks::starting_at(self.fetched);
        tasks.extend(self.under_way.drain(..));
        Unordered { map: self, tasks }
    }

    /// Submits calls until as many are under way as may be, or no item is left.
    pub(super) fn look_ahead(&mut self) {
        while self.under_way.len() < self.window.get()
            && let Some(task) = self.submit_next()
        {
            self.under_way.push_back(task);
        }
    }

    fn submit_next(&mut self) -> Option<Task<T>> {
        let item = self.items.next()?;
        let f = Arc::clone(&self.f);
        Some(Task::submit(&self.queue, move || f(item)))
    }
}

impl<I, F, Q, T> Iterator for Map<I, F, Q, T>
where
    I: Iterator<Item: Send + 'static>,
    F: Fn(I::Item) -> T + Send + Sync + 'static,
    Q: Dispatch,
    T: Send + 'static,
{
    type Item = Result<T, TaskError>;

    /// Waits for the value of the next item, as [`Task::wait`] does.
    fn next(&mut self) -> Option<Self::Item> {
        self.look_ahead();
        let next = self.under_way.pop_front()?;
        self.fetched += 1;
        Some(next.wait())
    }
}

impl<I, F, Q, T> Drop for Map<I, F, Q, T> {
    fn drop(&mut self) {
        self.under_way.iter().for_each(|task| _ = task.withdraw());
    }
}

impl<I, F, Q, T> fmt::Debug for Map<I, F, Q, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("window", &self.window)
            .field("under_way", &self.under_way.len())
            .finish_non_exhaustive()
    }
}

/// As [`Map`], with the values in the order in which they come: what [`Map::unordered`] gives.
pub struct Unordered<I, F, Q, T> {
    map: Map<I, F, Q, T>,
    pub(super) tasks: Tasks<T>,
}

impl<I, F, Q, T> Unordered<I, F, Q, T>
where
    I: Iterator<Item: Send + 'static>,
    F: Fn(I::Item) -> T + Send + Sync + 'static,
    Q: Dispatch,
    T: Send + 'static,
{
    /// Submits calls until as many are under way as may be, or no item is left.
    pub(super) fn look_ahead(&mut self) {
        while self.tasks.left() < self.map.window.get()
            && let Some(task) = self.map.submit_next()
        {
            self.tasks.push(task);
        }
    }
}

impl<I, F, Q, T> Iterator for Unordered<I, F, Q, T>
where
    I: Iterator<Item: Send + 'static>,
    F: Fn(I::Item) -> T + Send + Sync + 'static,
    Q: Dispatch,
    T: Send + 'static,
{
    type Item = (usize, Result<T, TaskError>);

    /// Waits for the next value that comes.
    fn next(&mut self) -> Option<Self::Item> {
        self.look_ahead();
        self.tasks.next()
    }
}

impl<I, F, Q, T> Drop for Unordered<I, F, Q, T> {
    fn drop(&mut self) {
        self.tasks.withdraw();
    }
}

impl<I, F, Q, T> fmt::Debug for Unordered<I, F, Q, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Unordered").field(&self.map).field(&self.tasks).finish()
    }
}

impl Queue {
    /// Calls `f` on the queue with each item of `items`, a few ahead, and iterates over the values in the order of the items.
    ///
    /// A panic of a call is the error of its item, and the others go on: Python's `Executor.map`, with a bound on how much is
    /// under way and without losing what came before an error. Nothing happens until the first value is fetched.
    ///
    /// ```
    /// use concourse::{Queue, TaskError};
    /// use std::num::NonZeroUsize;
    ///
    /// let queue = Queue::concurrent("lengths");
    /// let window = NonZeroUsize::new(8).unwrap();
    /// let lengths = queue.map(["grand", "central"], str::len).window(window);
    /// assert_eq!(lengths.collect::<Result<Vec<_>, TaskError>>()?, [5, 7]);
    ///
    /// // Endless, and in whatever order they come.
    /// let squares = queue.map(0_u64.., |n| n * n).unordered();
    /// assert!(squares.take(100).all(|(place, square)| square == Ok(place as u64 * place as u64)));
    /// # Ok::<(), TaskError>(())
    /// ```
    pub fn map<I, F, T>(&self, items: I, f: F) -> Map<I::IntoIter, F, Self, T>
    where
        I: IntoIterator<Item: Send + 'static>,
        F: Fn(I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        Map::new(self.clone(), items.into_iter(), f)
    }
}

impl GlobalQueue {
    /// As [`Queue::map`].
    pub fn map<I, F, T>(&self, items: I, f: F) -> Map<I::IntoIter, F, Self, T>
    where
        I: IntoIterator<Item: Send + 'static>,
        F: Fn(I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        Map::new(self.clone(), items.into_iter(), f)
    }
}
