//! Sources as streams: what [`SourceBuilder`]'s `stream` methods give.
//!
//! A stream is a source whose handler puts what it is given on a tray, from which polls take it. What asks for the next
//! value is the poll after the one that took the last: it is to a stream what returning is to a handler. In between the
//! source is *sated*, which is as good as suspended: what comes is merged where it is merged in any case, and a descriptor
//! wakes nobody. So there is never more than one value on the tray, and none is overwritten.
//!
//! ```text
//! turn:   begin, take, sate the source, put the value on the tray, wake
//! poll:   take it from the tray
//! poll:   find nothing there, leave the waker, ask, look again
//!         ask: the source is sated no more; what has come meanwhile is a turn
//! ```
//!
//! The first value is asked for by the activation. The handlers own the turn's side of the tray, and drop it when the
//! source ends, however that comes: then what is still pending is put down as the last value, and the stream ends.
//!
//! # The races it fears
//!
//! - *A value comes while a poll leaves its waker.* The poll looks again when the waker is in its place: the turn has put
//!   its value down before, or finds the waker.
//! - *Somebody asks before the turn is over that has brought the value.* The source was sated before the value could be seen,
//!   so the ask comes after it, and the turn ends as one of a source that is not held.
//! - *The stream is dropped while a turn brings a value.* The turn finds the tray left and drops the value on the queue,
//!   when no lock is held; messages of a port go back to it, and the next turn, which is the last, finds them.
//! - *The runtime is shut down while somebody waits for nothing.* No job of the source is anywhere to be dropped, so each
//!   stream is on the runtime's list of what its threads do not empty, and is ended with the rest of that.
//! - *The last value's look unwinds*, as it may run a predicate of the user's. A guard ends the tray all the same.
//!
//! `models/stream.rs` runs the first two, and the end, under loom and shuttle.

mod builder;
mod messages;
pub(crate) mod tray;

pub use messages::MessageStream;

use super::Source;
use super::SourceBuilder;
use super::delivery::Delivery;
use super::delivery::Pending;
use crate::engine::Suspended;
use crate::sync::Arc;
use crate::sync::Weak;
use futures_core::Stream;
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use tray::Tray;

/// A source as a stream of what its handler would receive, for any executor.
///
/// It comes from `stream`, which every [`SourceBuilder`] has beside `activate`, and replaces the handler of events. All the
/// rest is as with a handler: the target queue, the other handlers, suspension, the pace, and what is merged.
///
/// - The source delivers its first value as soon as its queue gets there. Polling again is to a stream what returning is to
///   a handler: **what comes in between is merged**, and a descriptor is looked at again only then. So a slow consumer gets
///   fewer and larger values, and nothing is overwritten.
/// - Cancelling the [`source`](Self::source) ends the stream: the values that were delivered come, then what was still
///   pending, as one, then `None`. It can include what was merged between the cancellation and the source's last turn.
/// - No source ends by itself. After the end of a process or of a file the stream waits, as a handler would: for nothing.
/// - Dropping the stream cancels the source, also if it is suspended, and its cancel handler runs; what was not polled is
///   dropped. A future of the next value may be dropped at any time, and nothing is lost with it.
/// - A source with a suspended queue, or that is suspended itself, brings nothing, and the stream waits. So does one whose
///   queue is serial and blocked, be it by a job that waits for this very stream; a future that the queue polls does not block
///   it.
/// - If the target's runtime is shut down, the stream ends, after what was pending. A drain wakes nobody for it who waits for
///   what never comes: the drop of the [`Runtime`](crate::Runtime) does.
///
/// | made by | its values |
/// |---|---|
/// | [`Source::add`] | `u64`: the sum since the last one |
/// | [`Source::or`] | `u64`: the bits since the last one |
/// | [`Source::replace`] | the latest |
/// | [`Source::merging`] | what was merged since the last one |
/// | [`Source::timer`] | `u64`: how many times have come since the last one |
/// | `Source::readable`, `Source::writable` | about how many bytes there are, or fit |
/// | `Source::signal` | how often the signal has come since the last one, and who sent the last |
/// | `Source::memory_pressure` | the level when it has changed |
/// | `Source::process`, `Source::child` | how it has ended |
/// | `Source::file`, `Source::vnode` | the paths and events since the last one, the events |
/// | [`Source::clock_steps`] | how far the wall clock was set |
/// | [`Source::port`] | the messages, one by one: a [`MessageStream`] |
///
/// # Examples
///
/// ```
/// use concourse::{Queue, Source, block_on};
/// use futures_lite::StreamExt;
///
/// let mut bytes = Source::add(&Queue::serial("com.example.progress")).stream();
/// let (work, progress) = (Queue::concurrent("com.example.work"), bytes.source().clone());
/// work.exec_async(move || {
///     for _ in 0..1_000 {
///         progress.merge(4_096);
///     }
///     progress.cancel();
/// });
/// let total = block_on(async {
///     let mut total = 0;
///     while let Some(more) = bytes.next().await {
///         total += more;
///     }
///     total
/// });
/// assert_eq!(total, 4_096_000);
/// ```
#[must_use = "dropping a stream cancels its source"]
pub struct SourceStream<K: Pending> {
    source: Source<K>,
    tray: Arc<Tray<K::Value>>,
    awaited: Arc<Awaited<K>>,
}

impl<K: Pending> SourceStream<K> {
    /// The source, to merge into it, to suspend it, or to cancel it.
    pub fn source(&self) -> &Source<K> {
        &self.source
    }

    /// Polls no more: what lies on the tray is the caller's to drop.
    fn leave(&self) -> VecDeque<K::Value> {
        self.tray.leave()
    }
}

impl<K: Pending> Stream for SourceStream<K> {
    type Item = K::Value;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<K::Value>> {
        let delivery = self.source.handle.delivery();
        let polled = self.tray.poll(context, || delivery.ask());
        if polled.is_pending() && !delivery.is_served() {
            // No turn will come, but to end the source.
            delivery.end();
        }
        polled
    }
}

impl<K: Pending> Drop for SourceStream<K> {
    fn drop(&mut self) {
        self.source.handle.delivery().engine().forget_suspended(self.awaited.id());
        let _last = Cancellation(&self.source);
        // Before the end: messages go back to their port, where the cancel handler finds them.
        drop(self.leave());
    }
}

/// Cancels a source when it is dropped, also if that is because the drop of a value unwinds.
struct Cancellation<'a, K: Pending>(&'a Source<K>);

impl<K: Pending> Drop for Cancellation<'_, K> {
    fn drop(&mut self) {
        self.0.cancel_now();
    }
}

impl<K: Pending> fmt::Debug for SourceStream<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SourceStream").field(&*self.source.handle.0).finish()
    }
}

/// A stream as a shutdown sees it.
struct Awaited<K: Pending>(Weak<Delivery<K>>);

impl<K: Pending> Awaited<K> {
    /// Puts the stream of a source on the list of its runtime.
    fn noted(delivery: &Arc<Delivery<K>>) -> Arc<Self> {
        let awaited = Arc::new(Self(Arc::downgrade(delivery)));
        let weak = Arc::downgrade(&awaited);
        delivery.engine().note_suspended(awaited.id(), weak);
        awaited
    }

    /// The address, as queues have it: no other thing is there while this one is.
    fn id(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self).addr()
    }
}

impl<K: Pending> Suspended for Awaited<K> {
    fn holds_back(&self) -> Option<Arc<str>> {
        None
    }

    fn drop_pending(&self) {
        if let Some(delivery) = self.0.upgrade() {
            delivery.end();
        }
    }
}

/// The turn's side of a tray, which ends with the handlers.
pub(crate) struct Server<K: Pending> {
    tray: Arc<Tray<K::Value>>,
    delivery: Weak<Delivery<K>>,
}

impl<K: Pending> Server<K> {
    pub(crate) fn new(tray: Arc<Tray<K::Value>>, delivery: &Arc<Delivery<K>>) -> Self {
        Self { tray, delivery: Arc::downgrade(delivery) }
    }

    /// Brings a value, and none before somebody asks for the next.
    pub(crate) fn serve(&self, value: K::Value) {
        if let Some(delivery) = self.delivery.upgrade() {
            delivery.sate();
        }
        drop(self.tray.put(value));
    }
}

impl<K: Pending> Drop for Server<K> {
    fn drop(&mut self) {
        let _end = End(&self.tray);
        if !self.tray.is_left() {
            let last = self.delivery.upgrade().and_then(|delivery| delivery.pending().take());
            drop(last.and_then(|last| self.tray.put(last)));
        }
    }
}

/// Ends a tray, also when its last value's look unwinds.
struct End<'a, V>(&'a Tray<V>);

impl<V> Drop for End<'_, V> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl<K: Pending<Value: Send>, P> SourceBuilder<K, P> {
    /// Has `activate` start the source with a stream in the handler's place.
    fn stream_by<E>(self, activate: impl FnOnce(Self) -> Result<Source<K>, E>) -> Result<SourceStream<K>, E> {
        let tray = Tray::new();
        let server = Server::new(Arc::clone(&tray), self.source.handle.delivery());
        let source = activate(self.on_event(move |value| server.serve(value)))?;
        let awaited = Awaited::noted(source.handle.delivery());
        Ok(SourceStream { source, tray, awaited })
    }
}
