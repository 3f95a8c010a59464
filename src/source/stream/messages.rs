//! A port as a stream.

use super::SourceStream;
use crate::source::Messages;
use crate::source::Port;
use crate::source::Source;
use futures_core::Stream;
use std::fmt;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

/// The messages of a [port](Source::port) as a stream, one by one: the receiving end of a channel.
///
/// As a [`SourceStream`], with these differences. It ends when the last [`Sender`](crate::source::Sender) is gone and every
/// message has been polled; if another sender is made afterwards, polling goes on. A message of a
/// [bounded port](Source::bounded_port) makes room when it is polled. When the stream is dropped, the messages that were not
/// polled are given to the cancel handler of [`on_cancel_with`](crate::source::SourceBuilder::on_cancel_with), in order, or
/// dropped; if the source was cancelled before, they belong to the stream.
///
/// ```
/// use concourse::{Queue, Source, block_on};
/// use futures_lite::StreamExt;
///
/// let port = Source::bounded_port(&Queue::serial("com.example.inbox"), 4);
/// let sender = port.sender();
/// let numbers = port.stream()?;
/// let worker = std::thread::spawn(move || (1..=100).try_for_each(|n| sender.send(n)));
/// assert_eq!(block_on(numbers.fold(0, |sum, n| sum + n)), 5050);
/// assert!(worker.join().is_ok_and(|sent| sent.is_ok()));
/// # Ok::<(), concourse::PortError>(())
/// ```
#[must_use = "dropping a stream cancels its source"]
pub struct MessageStream<T: Send + 'static> {
    /// What was taken from the port last. It goes back before the stream cancels it.
    taken: Option<Messages<T>>,
    batches: SourceStream<Port<T>>,
}

impl<T: Send + 'static> MessageStream<T> {
    pub(super) fn new(batches: SourceStream<Port<T>>) -> Self {
        Self { taken: None, batches }
    }

    /// The source, to make more senders, to suspend it, or to cancel it.
    pub fn source(&self) -> &Source<Port<T>> {
        self.batches.source()
    }
}

impl<T: Send + 'static> Drop for MessageStream<T> {
    fn drop(&mut self) {
        // In this order they are in order in their port: each goes before what is there.
        drop(self.batches.leave());
        drop(self.taken.take());
    }
}

/// No message is pinned: it is taken by value.
impl<T: Send + 'static> Unpin for MessageStream<T> {}

impl<T: Send + 'static> Stream for MessageStream<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        loop {
            let message = self.taken.as_mut().and_then(Messages::next);
            if message.is_some() {
                return Poll::Ready(message);
            }
            if self.taken.take().is_some_and(|taken| taken.is_last()) {
                return Poll::Ready(None);
            }
            match ready!(Pin::new(&mut self.batches).poll_next(context)) {
                Some(batch) => self.taken = Some(batch),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl<T: Send + 'static> fmt::Debug for MessageStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageStream").field("taken", &self.taken).field("batches", &self.batches).finish()
    }
}
