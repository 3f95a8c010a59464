#![doc = include_str!("README.md")]

mod bell;
mod graceful;
mod handler;
pub(crate) mod state;

pub use graceful::GracefulShutdown;
pub use graceful::graceful_shutdown;
pub use state::SignalSender;

use super::Source;
use super::SourceBuilder;
use super::delivery::Delivery;
use super::delivery::Pending;
use super::delivery::Sealed;
use crate::error::SignalError;
use crate::queue::Dispatch;
use crate::signal::Signal;
use crate::sync::Arc;
use crate::sync::Mutex;
use crate::sync::is_child;
use bell::Bell;
use bell::Listening;
use handler::Observer;
use handler::Registration;
use handler::check;
use state::First;
use state::Tally;
use std::fmt;

/// What has come of a signal since the handler's last call: see [`Source::signal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Arrivals {
    /// The signal.
    pub signal: Signal,
    /// How often it has arrived, at least once. Each run of the operating system's handler is one arrival.
    pub count: u64,
    /// Who sent the last of these arrivals, if a process did: with `kill`, `sigqueue` or a call like these.
    ///
    /// `None` if the kernel sent it, for a key that was pressed or a child that has ended, or does not say: the
    /// sender may live in a container that is invisible from here. If the next arrivals come just as these are taken, it
    /// may be one of theirs. The process and the user are always those of one sender.
    ///
    /// This is for a log line, and not a proof: `sigqueue` lets its caller fill in what it likes, and the process may
    /// be gone and its number another's.
    pub sender: Option<SignalSender>,
}

/// Arrivals of a signal: see [`Source::signal`].
pub struct Signals {
    signal: Signal,
    tally: Arc<Tally>,
    first: Option<Arc<First>>,
    /// From the activation to the end.
    observation: Mutex<Option<Observation>>,
}

/// A source that is told of its signal. First of all it lets go of the signal.
struct Observation {
    _registration: Registration,
    _listening: Listening,
}

impl Signals {
    /// All arrivals of a signal; or just the first one of all signals that share `first`.
    fn new(signal: Signal, first: Option<Arc<First>>) -> Self {
        Self { signal, tally: Arc::new(Tally::new()), first, observation: Mutex::new(None) }
    }

    /// Observes the signal for a source that holds this; false if the runtime has ended.
    fn observe(&self, delivery: &Arc<Delivery<Self>>) -> Result<bool, SignalError> {
        let signal = self.signal;
        if is_child() {
            return Err(SignalError::Forked { signal });
        }
        check(signal)?;
        let Some(bell) = Bell::of(delivery.engine(), signal)? else { return Ok(false) };
        let (tally, eventfd) = (Arc::clone(&self.tally), bell.eventfd());
        // It listens before anybody can ring for it.
        let listening = bell.listen(delivery);
        let registration = Registration::new(signal, Observer { tally, bell: eventfd, first: self.first.clone() })?;
        *self.observation.lock() = Some(Observation { _registration: registration, _listening: listening });
        Ok(true)
    }
}

impl Sealed for Signals {}

impl Pending for Signals {
    type Value = Arrivals;

    // It hears all the time, and is to be told of suspensions.
    const LISTENS: bool = true;

    const TOLD_ONCE: bool = true;

    fn take(&self) -> Option<Arrivals> {
        let (count, sender) = self.tally.take();
        (count != 0).then_some(Arrivals { signal: self.signal, count, sender })
    }

    fn pause(&self) {
        self.tally.mute();
    }

    fn close(&self) {
        let observation = self.observation.lock().take();
        // Outside of the lock: it waits for handlers that are running.
        drop(observation);
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signals").field("signal", &self.signal).finish_non_exhaustive()
    }
}

impl Source {
    /// A source of a signal's arrivals: the handler receives how many have come since its last call, and who sent the last.
    ///
    /// From the activation on, the signal does nothing but reach its sources: its default action is not taken, and an
    /// ignored signal arrives here nevertheless. A handler that was there before goes on being called, and so do those of
    /// others that share signal-hook-registry: signal-hook, tokio and most of Rust do. Any number of sources may observe
    /// one signal, in one runtime or several, and each is told of every arrival. Other signals are not touched, and no
    /// thread has a signal blocked by this.
    ///
    /// When the last source of a signal has ended, what was there before the first one comes back, whether that was the
    /// default action, ignoring, or a handler. Whoever began to share the registry in between hears nothing more then,
    /// until the signal has a source again. A source whose runtime has been shut down is quiet, and keeps its
    /// signal from its earlier effect until it is cancelled or dropped.
    ///
    /// Programs that are started from here are not concerned: `exec` gives handlers up and passes on what is ignored. In
    /// a forked child a signal has its earlier effect, as if there were no source.
    ///
    /// # What is counted, and what is merged
    ///
    /// No arrival is lost: each run of the operating system's handler counts once for each source, also while the source's
    /// handler runs, while the source is suspended, and from its activation to its registration handler. They are merged
    /// into as few calls as it takes. While a call is pending or the source is suspended, arrivals wake nobody.
    ///
    /// What the kernel merges before is not seen by anybody: an ordinary signal that is sent again before it has arrived
    /// is one signal. [Real-time signals](Signal::realtime) are queued, so that as many arrive as were sent, as long as
    /// the kernel's queue has room: `sigqueue` tells its caller that it has none, `kill` does not.
    ///
    /// This is libdispatch's `DISPATCH_SOURCE_TYPE_SIGNAL`, whose count is always 1 on Linux, and which leaves the signal
    /// dead there. A program that ignores the signal first, as it must on Apple's platforms, may go on to do so.
    ///
    /// # Examples
    ///
    /// ```
    /// use concourse::{Event, Queue, Signal, Source};
    ///
    /// let queue = Queue::serial("com.example.service");
    /// let reloaded = Event::new();
    /// let tell = reloaded.clone();
    /// let reload = Source::signal(&queue, Signal::HUP)
    ///     .on_event(move |arrivals| {
    ///         println!("{} came {} times, at last from {:?}", arrivals.signal, arrivals.count, arrivals.sender);
    ///         tell.set();
    ///     })
    ///     .activate()?;
    /// # unsafe { libc::raise(libc::SIGHUP) };
    /// reloaded.wait();
    /// # drop(reload);
    /// # Ok::<(), concourse::SignalError>(())
    /// ```
    ///
    /// For a program that is to end in order, there is [`graceful_shutdown`].
    pub fn signal(target: &impl Dispatch, signal: impl Into<Signal>) -> SourceBuilder<Signals> {
        SourceBuilder::new(Signals::new(signal.into(), None), target)
    }
}

impl<P> SourceBuilder<Signals, P> {
    /// Starts the source: what arrives from here on is delivered, after the registration handler.
    ///
    /// If the target's runtime has been shut down, the source has ended when this returns, and the signal is not touched.
    ///
    /// # Errors
    ///
    /// - [`SignalError::Forbidden`] for what the kernel keeps to itself (`KILL`, `STOP`) and for faults of the thread itself
    ///   (`BUS`, `FPE`, `ILL`, `SEGV`, `SYS`, `TRAP`); [`SignalError::Unknown`] for numbers that are no program's.
    /// - [`SignalError::Replaced`] if the signal was observed before, and has a handler since that does not share it.
    /// - [`SignalError::Forked`] in a forked child, [`SignalError::Unsupported`] in a simulation.
    /// - The others if the kernel lacks what is needed. The first source of a runtime takes a descriptor, and starts the
    ///   event loop if no timer has.
    ///
    /// The handlers are dropped then, and the signal is as it was.
    pub fn activate(self) -> Result<Source<Signals>, SignalError> {
        let delivery = self.source.handle.delivery();
        let is_observed = delivery.pending().observe(delivery)?;
        let source = self.start();
        if !is_observed {
            source.handle.delivery().end();
        }
        Ok(source)
    }
}
