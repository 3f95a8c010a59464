//! Sets of tasks as streams.

use super::Map;
use super::Tasks;
use super::Unordered;
use crate::error::TaskError;
use crate::queue::Dispatch;
use futures_core::Stream;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

/// Values of tasks as a stream, for any executor: what [`Tasks::stream`], [`Map::stream`] and [`Unordered::stream`] give.
///
/// Its items are those of the iterator that it was made of, which is a type of its own so that `next`, `map` and the like
/// mean one thing. A future of the next item may be dropped at any time, and nothing is lost with it. Dropping the stream is
/// dropping the iterator.
///
/// ```
/// use concourse::{Queue, block_on};
/// use futures_lite::StreamExt;
///
/// let lengths = Queue::concurrent("lengths").map(["grand", "central"], str::len).stream();
/// assert_eq!(block_on(lengths.try_collect::<_, _, Vec<_>>()), Ok(vec![5, 7]));
/// ```
#[derive(Debug)]
#[must_use = "a stream does nothing unless it is polled"]
pub struct TaskStream<S>(S);

/// What is in it is never pinned.
impl<S> Unpin for TaskStream<S> {}

impl<T: Send + 'static> Tasks<T> {
    /// The tasks as they are done, with their numbers, as a stream.
    pub fn stream(self) -> TaskStream<Self> {
        TaskStream(self)
    }
}

impl<I, F, Q, T> Map<I, F, Q, T> {
    /// The values in the order of the items, as a stream. Items are taken and calls submitted as it is polled.
    pub fn stream(self) -> TaskStream<Self> {
        TaskStream(self)
    }
}

impl<I, F, Q, T> Unordered<I, F, Q, T> {
    /// The values as they come, with the places of their items, as a stream. Items are taken and calls submitted as it is
    /// polled.
    pub fn stream(self) -> TaskStream<Self> {
        TaskStream(self)
    }
}

impl<T: Send + 'static> Stream for TaskStream<Tasks<T>> {
    type Item = (usize, Result<T, TaskError>);

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_done(context)
    }
}

impl<I, F, Q, T> Stream for TaskStream<Map<I, F, Q, T>>
where
    I: Iterator<Item: Send + 'static>,
    F: Fn(I::Item) -> T + Send + Sync + 'static,
    Q: Dispatch,
    T: Send + 'static,
{
    type Item = Result<T, TaskError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let map = &mut self.0;
        map.look_ahead();
        let Some(task) = map.under_way.front_mut() else { return Poll::Ready(None) };
        let value = ready!(Pin::new(task).poll(context));
        map.under_way.pop_front();
        map.fetched += 1;
        Poll::Ready(Some(value))
    }
}

impl<I, F, Q, T> Stream for TaskStream<Unordered<I, F, Q, T>>
where
    I: Iterator<Item: Send + 'static>,
    F: Fn(I::Item) -> T + Send + Sync + 'static,
    Q: Dispatch,
    T: Send + 'static,
{
    type Item = (usize, Result<T, TaskError>);

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.look_ahead();
        self.0.tasks.poll_done(context)
    }
}
