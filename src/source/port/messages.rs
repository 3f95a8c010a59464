//! What a port's handler is given.

use super::Port;
use crate::source::delivery::Delivery;
use crate::sync::Arc;
use std::collections::VecDeque;
use std::fmt;
use std::iter::FusedIterator;
use std::mem;

/// The messages that wait in a [port](crate::Source::port), in order.
///
/// Iterating takes them, one by one; how many are left is its [`len`](ExactSizeIterator::len). Dropping it puts the
/// ones that were not taken back in line, before those that came since, and the handler is called again for them. So a
/// handler may break off after a while, to let others have the queue, and one that panics loses only the message that it
/// has in hand.
///
/// It may be sent to another thread, and is put back from there; if the port has ended by then, what is left is dropped.
#[must_use = "what is not taken is delivered again"]
pub struct Messages<T: Send + 'static> {
    delivery: Arc<Delivery<Port<T>>>,
    line: VecDeque<T>,
    is_last: bool,
}

impl<T: Send + 'static> Messages<T> {
    pub(super) fn new(delivery: Arc<Delivery<Port<T>>>, line: VecDeque<T>, is_last: bool) -> Self {
        Self { delivery, line, is_last }
    }

    pub(super) fn delivery(&self) -> &Arc<Delivery<Port<T>>> {
        &self.delivery
    }

    /// True if the last sender is gone: no message follows these, unless somebody makes [another](crate::Source::sender).
    ///
    /// When the last sender goes, a call of the handler says so, if need be one with no message at all; and so does each
    /// call for messages that were put back since.
    pub fn is_last(&self) -> bool {
        self.is_last
    }
}

impl<T: Send + 'static> Iterator for Messages<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let message = self.line.pop_front()?;
        self.delivery.pending().make_room();
        Some(message)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.line.iter().size_hint()
    }
}

impl<T: Send + 'static> ExactSizeIterator for Messages<T> {}

impl<T: Send + 'static> FusedIterator for Messages<T> {}

impl<T: Send + 'static> Drop for Messages<T> {
    fn drop(&mut self) {
        if self.delivery.pending().put_back(mem::take(&mut self.line)) {
            self.delivery.knock();
        }
    }
}

impl<T: Send + 'static> fmt::Debug for Messages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages").field("len", &self.line.len()).field("is_last", &self.is_last).finish()
    }
}
