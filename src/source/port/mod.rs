//! Sources of messages: see [`Source::port`].
//!
//! A port is a line of messages under a lock. A send puts one at its end and knocks; a turn takes the whole line, and
//! gives it to the handler as [`Messages`], which puts back what the handler leaves. A bound is a semaphore: a send
//! takes a permit, and a message that the handler takes gives one back.
//!
//! ```text
//! send ── room? ── line, knock ── turn: take the line ── handler: next() makes room ── the rest: back in line, knock
//! ```
//!
//! Whether a message is sent is decided under the lock. Before the port closes it is in the line, and is received, or
//! left to the cancel handler; afterwards it goes back to its sender. A channel that throws away what it has when its
//! receiver goes cannot promise that, and one that blocks its senders by itself hides that from the pool.
//!
//! # The races it fears
//!
//! - *The port closes while senders wait for room.* Closing leaves one permit. Whoever takes it finds the port closed and
//!   leaves it for the next, so everybody gets away, sooner or later.
//! - *It closes between a permit and the line.* The lock decides, as above.
//! - *Messages come while the handler runs.* They are a line of their own; what the handler leaves goes before them.
//! - *A handler unwinds.* Its messages go back as they are dropped, all but the ones that it took.
//! - *The last sender goes while a turn takes.* Both happen under the lock. Whichever comes second tells the handler: the
//!   turn, by a look at the count, or the sender, by a knock for a turn with nothing but that.
//! - *The handler sends to its own port, which is full.* Nobody else can make room: the wait would never end, and the
//!   send says so. Likewise on the queue that has to call the handler.

mod messages;
mod sender;

pub use messages::Messages;
pub use sender::Sender;

use super::Handle;
use super::Source;
use super::SourceBuilder;
use super::delivery::Delivery;
use super::delivery::Pending;
use super::delivery::Sealed;
use crate::error::PortError;
use crate::group::Notification;
use crate::queue::Dispatch;
use crate::semaphore::Semaphore;
use crate::sync::Arc;
use crate::sync::Mutex;
use crate::sync::OnceLock;
use crate::sync::Parker;
use crate::sync::Weak;
use crate::sync::is_child;
use crate::sync::parker;
use crate::sync::planted;
use std::collections::VecDeque;
use std::fmt;
use std::mem;

/// The largest empty line, in messages, whose memory is kept for the next.
const KEPT: usize = 1024;

/// Messages that wait for their handler: see [`Source::port`].
pub struct Port<T: Send + 'static> {
    line: Mutex<Line<T>>,
    bound: Option<Bound>,
    /// Where the port belongs.
    own: OnceLock<Weak<Delivery<Self>>>,
}

/// What keeps senders from sending too much.
struct Bound {
    capacity: usize,
    room: Semaphore,
}

struct Line<T> {
    messages: VecDeque<T>,
    senders: usize,
    /// The last sender has gone, and the handler has not been told.
    deserted: bool,
    /// The thread that is in the handler, if there is one.
    receiver: Option<Arc<Parker>>,
    /// Nothing is sent any more.
    closed: bool,
    /// Who is told when that comes.
    mourners: Vec<Notification>,
    /// Where the cancel handler finds what was not received.
    legacy: Option<Arc<Mutex<Vec<T>>>>,
}

impl<T: Send + 'static> Port<T> {
    fn new(capacity: Option<usize>) -> Self {
        let line = Line {
            messages: VecDeque::new(),
            senders: 0,
            deserted: false,
            receiver: None,
            closed: false,
            mourners: Vec::new(),
            legacy: None,
        };
        let bound = capacity.map(|capacity| Bound { capacity, room: Semaphore::new(capacity) });
        Self { line: Mutex::new(line), bound, own: OnceLock::new() }
    }

    /// Puts a message at the end of the line, or gives it back if the port is closed.
    fn push(&self, message: T) -> Result<(), T> {
        let mut line = self.line.lock();
        if line.closed && !planted!("port_takes_what_it_drops") {
            return Err(message);
        }
        line.messages.push_back(message);
        Ok(())
    }

    /// Puts what a handler has left before what has come since. True if there is something to receive.
    fn put_back(&self, mut left: VecDeque<T>) -> bool {
        let mut line = self.line.lock();
        if line.closed {
            drop(line);
            // Its drop may run anything, and finds the lock free.
            drop(left);
            return false;
        }
        if !left.is_empty() {
            left.append(&mut line.messages);
            line.messages = left;
            return true;
        }
        // The next messages have its memory.
        if line.messages.capacity() == 0 && left.capacity() <= KEPT {
            line.messages = left;
        }
        false
    }

    /// One message less waits, or one sender that has found the port closed leaves its permit to the next.
    fn make_room(&self) {
        if let Some(Bound { room, .. }) = &self.bound {
            room.signal();
        }
    }

    /// True if the calling thread is in the handler.
    fn is_received_here(&self) -> bool {
        self.line.lock().receiver.as_ref().is_some_and(|receiver| Arc::ptr_eq(receiver, &parker()))
    }
}

/// The calling thread's stay in the handler.
struct Reception<T: Send + 'static>(Arc<Delivery<Port<T>>>);

impl<T: Send + 'static> Reception<T> {
    fn begin(delivery: &Arc<Delivery<Port<T>>>) -> Self {
        delivery.pending().line.lock().receiver = Some(parker());
        Self(Arc::clone(delivery))
    }
}

impl<T: Send + 'static> Drop for Reception<T> {
    fn drop(&mut self) {
        self.0.pending().line.lock().receiver = None;
    }
}

impl<T: Send + 'static> Sealed for Port<T> {}

impl<T: Send + 'static> Pending for Port<T> {
    type Value = Messages<T>;

    const TOLD_ONCE: bool = true;

    fn take(&self) -> Option<Messages<T>> {
        let delivery = self.own.get().and_then(Weak::upgrade)?;
        let mut line = self.line.lock();
        let deserted = mem::take(&mut line.deserted);
        if line.messages.is_empty() && !deserted {
            return None;
        }
        Some(Messages::new(delivery, mem::take(&mut line.messages), line.senders == 0))
    }

    fn close(&self) {
        let mut line = self.line.lock();
        line.closed = true;
        let (rest, mourners) = (mem::take(&mut line.messages), mem::take(&mut line.mourners));
        let legacy = line.legacy.take();
        drop(line);
        if !planted!("port_closes_on_the_waiting") {
            self.make_room();
        }
        mourners.into_iter().for_each(Notification::submit);
        match legacy {
            Some(legacy) => *legacy.lock() = rest.into(),
            None => drop(rest),
        }
    }
}

impl<T: Send + 'static> fmt::Debug for Port<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port")
            .field("capacity", &self.bound.as_ref().map(|bound| bound.capacity))
            .finish_non_exhaustive()
    }
}

impl Source {
    /// A port: a source of messages, which any number of [`Sender`]s send from any thread, and its handler receives in
    /// order.
    ///
    /// The handler is given all [`Messages`] that wait. What it does not take stays in line, and it is called again, at
    /// the tail of the target, so that a port with much to do keeps nobody from the queue. Messages of one sender keep
    /// their order, each is received once, and none is merged with another. While the port is not active yet, or
    /// suspended, they wait.
    ///
    /// When the last sender is gone the handler is told by [`Messages::is_last`], if need be with no message at all. When the port
    /// is gone the senders are told: see [`Sender::on_dead`].
    ///
    /// Nothing bounds how many messages wait. Where senders may be faster than the handler for long, use a
    /// [bounded port](Self::bounded_port).
    ///
    /// # How a port ends
    ///
    /// | end | messages that were not received |
    /// |---|---|
    /// | cancelled, with [`on_cancel_with`](SourceBuilder::on_cancel_with) | are given to that handler |
    /// | cancelled otherwise | are dropped before the cancel handler runs |
    /// | the last [`Source`] dropped, or the runtime shut down | are dropped |
    ///
    /// In each case the senders see that the port is dead before any message is dropped, and a message that is not in
    /// this table comes back from its send: none disappears in between. A runtime that is shut down is noticed by the
    /// next send.
    ///
    /// This stands for libdispatch's `DISPATCH_SOURCE_TYPE_MACH_RECV`, within one process; [`Sender::on_dead`] stands for
    /// `DISPATCH_SOURCE_TYPE_MACH_SEND`.
    ///
    /// # Examples
    ///
    /// ```
    /// use concourse::{Event, Queue, Source};
    ///
    /// let (total, finished) = (Queue::serial("com.example.total"), Event::new());
    /// let (mut sum, tell) = (0, finished.clone());
    /// let port = Source::port(&total).on_event(move |messages| {
    ///     let is_last = messages.is_last();
    ///     sum += messages.sum::<u64>();
    ///     if is_last {
    ///         assert_eq!(sum, 5050);
    ///         tell.set();
    ///     }
    /// });
    /// let sender = port.sender();
    /// let port = port.activate()?;
    /// for n in 1..=100 {
    ///     sender.send(n)?;
    /// }
    /// drop(sender);
    /// finished.wait();
    /// # drop(port);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn port<T: Send + 'static>(target: &impl Dispatch) -> SourceBuilder<Port<T>> {
        SourceBuilder::for_port(Port::new(None), target)
    }

    /// A [port](Self::port) in which at most `capacity` messages wait: senders are slowed down to what the handler can
    /// take.
    ///
    /// A message makes room when the handler takes it out of its [`Messages`]. Senders that wait for room get it in the
    /// order in which they came. A capacity of 0 is refused by the [activation](SourceBuilder::activate).
    ///
    /// ```
    /// use concourse::{Queue, SendError, Source};
    ///
    /// let port = Source::bounded_port(&Queue::serial("com.example.slow"), 2);
    /// let sender = port.sender();
    /// assert_eq!((sender.try_send("a"), sender.try_send("b")), (Ok(()), Ok(())));
    /// assert_eq!(sender.try_send("c"), Err(SendError::Full("c")));
    /// ```
    pub fn bounded_port<T: Send + 'static>(target: &impl Dispatch, capacity: usize) -> SourceBuilder<Port<T>> {
        SourceBuilder::for_port(Port::new(Some(capacity)), target)
    }
}

impl<T: Send + 'static> SourceBuilder<Port<T>> {
    fn for_port(port: Port<T>, target: &impl Dispatch) -> Self {
        let builder = Self::new(port, target);
        let delivery = builder.source.handle.delivery();
        // Nobody else has it yet.
        let _ = delivery.pending().own.set(Arc::downgrade(delivery));
        builder
    }
}

impl<T: Send + 'static, P> SourceBuilder<Port<T>, P> {
    /// A sender to this port. What it sends before the activation waits for it.
    pub fn sender(&self) -> Sender<T> {
        Sender::to(&self.source.handle)
    }

    /// Runs `f` as [`on_cancel`](Self::on_cancel) does, and gives it the messages that were not received, in order.
    ///
    /// Every message that was sent has been received or is among them. Replaces a cancel handler set before.
    ///
    /// ```
    /// use concourse::{Event, Queue, Source};
    ///
    /// let cancelled = Event::new();
    /// let tell = cancelled.clone();
    /// let port = Source::port(&Queue::serial("com.example.orders")).on_cancel_with(move |rest| {
    ///     assert_eq!(rest, ["first", "second"]);
    ///     tell.set();
    /// });
    /// let sender = port.sender();
    /// sender.send("first")?;
    /// sender.send("second")?;
    /// let port = port.on_registered(|| ()).activate()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_cancel_with(self, f: impl FnOnce(Vec<T>) + Send + 'static) -> Self {
        let legacy = Arc::new(Mutex::new(Vec::new()));
        let rest = Arc::clone(&legacy);
        self.source.handle.delivery().pending().line.lock().legacy = Some(legacy);
        self.on_cancel(move || {
            let rest = mem::take(&mut *rest.lock());
            f(rest);
        })
    }

    /// Starts the port: what was sent so far is delivered after the registration handler.
    ///
    /// A port without a handler drops what it receives. If the target's runtime has been shut down, the port has ended
    /// when this returns.
    ///
    /// # Errors
    ///
    /// [`PortError::ZeroCapacity`], and [`PortError::Forked`] in a forked child. The handlers are dropped then, and the
    /// port is dead.
    pub fn activate(mut self) -> Result<Source<Port<T>>, PortError> {
        let delivery = Arc::clone(self.source.handle.delivery());
        let label = || self.label.clone().unwrap_or_else(|| Arc::clone(delivery.label()));
        if delivery.pending().bound.as_ref().is_some_and(|bound| bound.capacity == 0) {
            return Err(PortError::ZeroCapacity { label: label() });
        }
        if is_child() {
            return Err(PortError::Forked { label: label() });
        }
        if self.pace.is_some() {
            delivery.engine().event_loop().map_err(|error| PortError::NoEventLoop { label: label(), error })?;
        }
        let mut event = self.handlers.event.take().unwrap_or_else(|| Box::new(|messages| messages.for_each(drop)));
        self.handlers.event = Some(Box::new(move |messages| {
            let _reception = Reception::begin(messages.delivery());
            event(messages);
        }));
        let source = self.start();
        if !delivery.is_served() {
            delivery.end();
        }
        Ok(source)
    }
}

impl<T: Send + 'static> Source<Port<T>> {
    /// A sender to this port.
    ///
    /// It does not keep the port alive. After [`Messages::is_last`] it begins another life of the port, as it were: the
    /// handler is told again when it is gone.
    pub fn sender(&self) -> Sender<T> {
        Sender::to(&self.handle)
    }
}

impl<T: Send + 'static> Handle<Port<T>> {
    fn port(&self) -> &Port<T> {
        self.delivery().pending()
    }
}
