//! Sources: events that are merged as fast as they come, and delivered as fast as a handler takes them.
//!
//! A [`Source`] stands between those who have news and the one who wants to hear it. However often it is merged into,
//! its handler runs one call at a time on a target queue, and each call receives everything since the one before. A
//! progress bar that is told of every byte is redrawn as often as it can be redrawn, and ends at exactly 100 %.
//!
//! | made by | merges | its handler receives |
//! |---|---|---|
//! | [`Source::add`] | `u64` | the sum |
//! | [`Source::or`] | `u64` | the bits |
//! | [`Source::replace`] | any `T` | the latest |
//! | [`Source::merging`] | any [`Merge`] | what they came to |
//! | [`Source::timer`] | the times that come | how many they are |
//! | `Source::readable` | bytes and connections | about how many bytes there are |
//! | `Source::writable` | room | about how many bytes fit |
//! | `Source::signal` | a signal's arrivals | how many they are, and who sent the last |
//! | `Source::memory_pressure` | stalls for want of memory | the level when it changes |
//! | `Source::process` | the end of a process | how it has ended |
//! | `Source::child` | the end of a child, which it reaps | how it has ended |
//! | `Source::file` | what happens at a path, or below it | the paths, each with its events |
//! | `Source::vnode` | what happens to an open file | the events |
//! | [`Source::clock_steps`] | steps of the wall clock | how far it was set |
//! | [`Source::port`] | messages from [`Sender`]s | the messages, in order |
//!
//! # Pace
//!
//! A source calls its handler as soon as its queue gets there. One that shall wait is given a pace:
//! [`throttle`](SourceBuilder::throttle) bounds how often the handler is called, [`debounce`](SourceBuilder::debounce)
//! waits until it has become quiet, and [`max_delay`](SourceBuilder::max_delay) bounds every wait. None of them drops
//! anything: what waits is merged. Activating such a source starts the runtime's event loop, and fails if that does.
//!
//! # Streams
//!
//! Every builder has `stream` beside `activate`: it starts the source as a [`SourceStream`] for any executor, with the same
//! values, and the same contract in a handler's place.
//!
//! ```
//! use concourse::{Queue, Source, block_on};
//! use futures_lite::StreamExt;
//! use std::time::Duration;
//!
//! let queue = Queue::serial("com.example.clock");
//! let mut ticks = Source::timer(&queue).every(Duration::from_millis(1)).stream()?;
//! let so_many = block_on(ticks.next());
//! assert!(so_many >= Some(1));
//! # Ok::<(), concourse::TimerError>(())
//! ```
//!
//! # Life
//!
//! A source is described by a [`SourceBuilder`], which ends in `activate`. Before that nothing
//! is delivered, but a [`Handle`] from the builder can be merged into already. From then on:
//!
//! - The registration handler runs first, once, and every call of every handler is alone, even on a concurrent queue.
//! - The source is rescheduled at the tail of its target after each call, so that it never keeps others from the queue.
//! - [`suspend`](Source::suspend) holds the handlers back; what is merged meanwhile arrives in one call afterwards.
//! - [`cancel`](Source::cancel) ends the source: what was not delivered is dropped, and the cancel handler runs once, last.
//! - Dropping the last [`Source`] ends it as well, but silently, suspended or not. A handler that captures a clone of
//!   its own source keeps it alive until it is cancelled; [`on_event_with`](SourceBuilder::on_event_with) lends it instead.
//! - What the handlers captured is dropped on the target queue, before the cancel handler runs.
//! - A handler that panics has consumed its value; the panic goes to the runtime's panic hook, and the source goes on.
//! - If the target's runtime is shut down before a delivery, the source ends there: nothing runs, everything is dropped.

mod clock_steps;
mod data;
pub(crate) mod delivery;
#[cfg(feature = "io")]
mod fd;
#[cfg(feature = "fs")]
mod file;
#[cfg(feature = "io")]
mod memory_pressure;
mod merge;
pub(crate) mod pace;
mod port;
#[cfg(feature = "process")]
mod process;
#[cfg(feature = "signal")]
pub(crate) mod signal;
pub(crate) mod state;
pub(crate) mod stream;
mod timer;

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests;

pub use clock_steps::ClockStep;
pub use clock_steps::ClockSteps;
pub use data::Add;
pub use data::Mergeable;
pub use data::Merging;
pub use data::Or;
pub use data::Replace;
pub use delivery::Pending;
#[cfg(feature = "io")]
pub use fd::{Descriptor, Direction, Input, Output, Readable, Writable};
#[cfg(feature = "fs")]
pub use file::{File, FileChanges, FileEvents, Vnode};
#[cfg(feature = "io")]
pub use memory_pressure::{MemoryPressure, PressureLevels};
pub use merge::Last;
pub use merge::Max;
pub use merge::Merge;
pub use merge::Min;
pub use pace::Edge;
pub use pace::Paced;
pub use pace::Unpaced;
pub use port::Messages;
pub use port::Port;
pub use port::Sender;
#[cfg(feature = "process")]
pub use process::{ChildProcess, CpuTimes, Exit, Process, ProcessEvents};
#[cfg(feature = "signal")]
pub use signal::Arrivals;
#[cfg(feature = "signal")]
pub use signal::GracefulShutdown;
#[cfg(feature = "signal")]
pub use signal::SignalSender;
#[cfg(feature = "signal")]
pub use signal::Signals;
#[cfg(feature = "signal")]
pub use signal::graceful_shutdown;
pub use stream::MessageStream;
pub use stream::SourceStream;
pub use timer::Missed;
pub use timer::Schedule;
pub use timer::Timer;

use crate::error::SuspendError;
use crate::queue::Dispatch;
use crate::sync::Arc;
use crate::sync::Weak;
use delivery::Delivery;
use delivery::Handlers;
use pace::Rule;
use std::fmt;
use std::marker::PhantomData;

/// An event source that delivers to a handler on a queue; `K` says what it collects.
///
/// Handles are cheap to clone. When the last one is dropped, the source ends silently: see the [module](self).
#[must_use = "dropping the last handle ends the source"]
pub struct Source<K: Pending = Add> {
    handle: Handle<K>,
    owner: Arc<Owner<K>>,
}

/// What all clones of a source share, so that the last one ends it.
struct Owner<K: Pending>(Handle<K>);

impl<K: Pending> Drop for Owner<K> {
    fn drop(&mut self) {
        self.0.0.end();
    }
}

/// Merges into a source without keeping it alive.
///
/// It comes from [`SourceBuilder::handle`] or [`Source::handle`], before the source is active as well as after, and can be
/// given to whoever has news. Once the source is gone, what it merges is ignored.
pub struct Handle<K: Pending = Add>(Arc<Delivery<K>>);

impl<K: Pending> Handle<K> {
    #[inline(always)]
    fn delivery(&self) -> &Arc<Delivery<K>> {
        &self.0
    }

    /// True if the source was cancelled or is gone, so that nothing will be delivered any more.
    pub fn has_ended(&self) -> bool {
        self.0.has_ended()
    }
}

impl<K: Pending> Source<K> {
    /// A handle that merges into this source and does not keep it alive.
    #[inline]
    pub fn handle(&self) -> &Handle<K> {
        &self.handle
    }

    /// Holds the handlers back until as many [`resume`](Self::resume)s follow.
    ///
    /// A call that is running goes on; none begins afterwards. If called on the target queue of a serial source, or from
    /// one of its handlers, none begins after this very call. What is merged meanwhile folds into one call.
    ///
    /// # Errors
    ///
    /// [`SuspendError::TooManySuspensions`] after 2²⁵ - 1 suspensions without a resume.
    pub fn suspend(&self) -> Result<(), SuspendError> {
        self.handle.0.suspend()
    }

    /// Undoes one [`suspend`](Self::suspend); the last one lets the handlers run again.
    ///
    /// Unlike libdispatch's, this never activates: a source that exists is active.
    ///
    /// # Errors
    ///
    /// [`SuspendError::OverResume`] if nothing was suspended.
    pub fn resume(&self) -> Result<(), SuspendError> {
        self.handle.0.resume()
    }

    /// Suspends until the guard is dropped. The guard does not keep the source alive.
    ///
    /// # Errors
    ///
    /// As [`suspend`](Self::suspend).
    pub fn suspend_guard(&self) -> Result<SuspendedSource<K>, SuspendError> {
        self.suspend()?;
        Ok(SuspendedSource(Arc::clone(&self.handle.0)))
    }

    /// Ends the source: drops what has not been delivered, ignores what is merged from now on, and runs the cancel handler
    /// once, after the call that is running.
    ///
    /// Returns at once, and may be called any number of times, also from a handler. No event handler begins after the
    /// cancel handler; from the target queue of a serial source, or from one of its handlers, none begins after this
    /// call. While the source is suspended, the cancel handler waits for it to be resumed.
    pub fn cancel(&self) {
        self.handle.0.cancel();
    }

    /// Ends the source like [`cancel`](Self::cancel), without waiting for the end of a suspension: for shutting down.
    pub fn cancel_now(&self) {
        self.handle.0.cancel_now();
    }

    /// True from the moment of [`cancel`](Self::cancel) on.
    pub fn is_cancelled(&self) -> bool {
        self.handle.0.is_cancelled()
    }

    /// The label that the builder was given, or the target queue's.
    pub fn label(&self) -> &str {
        self.handle.0.label()
    }
}

/// Keeps a source suspended: see [`Source::suspend_guard`].
///
/// Forgetting it leaves the source suspended.
#[must_use = "the source is resumed when this is dropped"]
pub struct SuspendedSource<K: Pending = Add>(Arc<Delivery<K>>);

impl<K: Pending> Drop for SuspendedSource<K> {
    fn drop(&mut self) {
        // Somebody may have resumed once too often, which they were told of then; it is nothing to tell here.
        let _ = self.0.resume();
    }
}

/// Describes a source; `activate` starts it. `P` says whether it has a pace: whether [`throttle`](Self::throttle) or
/// [`debounce`](Self::debounce) was called.
///
/// Dropping the builder drops the handlers, and what was merged through its [`handle`](Self::handle).
#[must_use = "a source that is not activated delivers nothing"]
pub struct SourceBuilder<K: Pending = Add, P = Unpaced> {
    source: Source<K>,
    label: Option<Arc<str>>,
    handlers: Handlers<K::Value>,
    pace: Option<Rule>,
    paced: PhantomData<P>,
}

impl<K: Pending> SourceBuilder<K> {
    fn new(pending: K, target: &impl Dispatch) -> Self {
        let handle = Handle(Delivery::inactive(pending, Arc::new(target.clone())));
        let source = Source { owner: Arc::new(Owner(handle.clone())), handle };
        Self { source, label: None, handlers: Handlers::default(), pace: None, paced: PhantomData }
    }
}

impl<K: Pending, P> SourceBuilder<K, P> {
    /// Names the source in errors and reports; without it, it is called as its target queue.
    pub fn label(mut self, label: &str) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Runs `f` once on the target queue, before the first event. Not if the source is cancelled before that.
    pub fn on_registered(mut self, f: impl FnOnce() + Send + 'static) -> Self {
        self.handlers.registered = Some(Box::new(f));
        self
    }

    /// Runs `f` on the target queue with what was merged since its last call.
    ///
    /// Replaces the handler set before. A source without a handler takes what is merged and drops it.
    pub fn on_event(mut self, f: impl FnMut(K::Value) + Send + 'static) -> Self {
        self.handlers.event = Some(Box::new(f));
        self
    }

    /// Runs `f` as [`on_event`](Self::on_event) does, and lends it its own source: to suspend it, cancel it, or merge into
    /// it again.
    pub fn on_event_with(self, mut f: impl FnMut(&Source<K>, K::Value) + Send + 'static) -> Self {
        let owner = Arc::downgrade(&self.source.owner);
        self.on_event(move |value| {
            // Without an owner the source is ending, and the value would have been dropped in the next turn.
            if let Some(source) = Source::borrowed(&owner) {
                f(&source, value);
            }
        })
    }

    /// Runs `f` once on the target queue after the source was cancelled, as the last of its handlers.
    ///
    /// Only [`cancel`](Source::cancel) and [`cancel_now`](Source::cancel_now) lead to it, never the drop of the last
    /// handle, and not if the runtime is shut down first.
    pub fn on_cancel(mut self, f: impl FnOnce() + Send + 'static) -> Self {
        self.handlers.cancelled = Some(Box::new(f));
        self
    }

    /// A handle to merge with, already before the source is active.
    pub fn handle(&self) -> Handle<K> {
        self.source.handle.clone()
    }

    fn start(self) -> Source<K> {
        self.source.handle.0.activate(self.label, self.handlers, self.pace);
        self.source
    }
}

impl<K: Mergeable> SourceBuilder<K> {
    /// Starts the source: what was merged so far is delivered after the registration handler.
    pub fn activate(self) -> Source<K> {
        self.start()
    }
}

impl<K: Pending> Source<K> {
    /// The source that `owner` belongs to, as long as somebody has it.
    fn borrowed(owner: &Weak<Owner<K>>) -> Option<Self> {
        owner.upgrade().map(|owner| Self { handle: owner.0.clone(), owner })
    }
}

impl<K: Pending> Clone for Source<K> {
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone(), owner: Arc::clone(&self.owner) }
    }
}

impl<K: Pending> Clone for Handle<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Pending> fmt::Debug for Source<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&*self.handle.0).finish()
    }
}

impl<K: Pending> fmt::Debug for Handle<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&*self.0).finish()
    }
}

impl<K: Pending> fmt::Debug for SuspendedSource<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SuspendedSource").field(&*self.0).finish()
    }
}

impl<K: Pending, P> fmt::Debug for SourceBuilder<K, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SourceBuilder").field(&*self.source.handle.0).finish()
    }
}
