#![doc = include_str!("README.md")]

use super::state::Duty;
use super::state::Knock;
use super::state::State;
use super::state::Turn;
use crate::engine::Engine;
use crate::error::SuspendError;
use crate::job::Job;
use crate::job::Panic;
use crate::job::Route;
use crate::job::contain;
use crate::qos::Qos;
use crate::queue::Accept;
use crate::sync::Arc;
use crate::sync::Mutex;
use crate::sync::OnceLock;
use std::fmt;
use std::mem;

/// What a source collects between two turns of its handler.
///
/// The trait is sealed: the types that implement it are the kinds of sources there are.
pub trait Pending: Sealed + Send + Sync + 'static {
    /// What the handler receives.
    type Value: 'static;

    /// Takes what is pending and leaves nothing; `None` if there is nothing that a handler should hear of. Called by one
    /// thread at a time.
    #[doc(hidden)]
    fn take(&self) -> Option<Self::Value>;

    /// Drops what is pending, and from now on whatever comes.
    #[doc(hidden)]
    fn close(&self);
}

/// Keeps [`Pending`] to this crate.
pub trait Sealed {}

/// What a source calls, each alone and on the target queue.
pub(crate) struct Handlers<V> {
    /// Called once before the first event.
    pub(crate) registered: Option<Box<dyn FnOnce() + Send>>,
    /// Called with every value.
    pub(crate) event: Option<Box<dyn FnMut(V) + Send>>,
    /// Called once after a cancelled source has let go of the other two.
    pub(crate) cancelled: Option<Box<dyn FnOnce() + Send>>,
}

impl<V> Default for Handlers<V> {
    fn default() -> Self {
        Self { registered: None, event: None, cancelled: None }
    }
}

/// What a merge touches: one cache line, as long as what is pending fits.
#[repr(align(64))]
struct Hot<P> {
    state: State,
    pending: P,
}

/// The way from something pending to a handler on a target queue.
pub(crate) struct Delivery<P: Pending> {
    hot: Hot<P>,
    /// Free whenever a turn wants it: see the module's page.
    handlers: Mutex<Handlers<P::Value>>,
    target: Arc<dyn Accept>,
    /// Set at the activation, if at all.
    label: OnceLock<Arc<str>>,
}

impl<P: Pending> Delivery<P> {
    /// A delivery that keeps what comes until it is [activated](Self::activate).
    pub(crate) fn inactive(pending: P, target: Arc<dyn Accept>) -> Arc<Self> {
        let hot = Hot { state: State::inactive(), pending };
        Arc::new(Self { hot, handlers: Mutex::new(Handlers::default()), target, label: OnceLock::new() })
    }

    /// Gives an inactive delivery its handlers, and a label if it is not to be called as its target, and lets its turns
    /// begin.
    pub(crate) fn activate(self: &Arc<Self>, label: Option<Arc<str>>, handlers: Handlers<P::Value>) {
        if let Some(label) = label {
            // Nobody else sets it: a delivery is activated once.
            let _ = self.label.set(label);
        }
        let registers = handlers.registered.is_some();
        *self.handlers.lock() = handlers;
        if registers {
            self.knock();
        }
        // An inactive source is suspended once, and only this ends it: there is nothing to be out of range.
        if let Ok(duty) = self.hot.state.resume() {
            self.owe(duty);
        }
    }

    /// What turns will take from.
    #[inline(always)]
    pub(crate) fn pending(&self) -> &P {
        &self.hot.pending
    }

    /// The runtime of the target.
    pub(crate) fn engine(&self) -> &Arc<Engine> {
        self.target.engine()
    }

    pub(crate) fn label(&self) -> &Arc<str> {
        self.label.get().unwrap_or_else(|| self.target.label())
    }

    /// Drops a reference on the event loop's thread, which runs nothing of the user's. Dropping the target may do that,
    /// if this was its last handle, so the last reference is dropped by the pool.
    pub(crate) fn leave(self: Arc<Self>) {
        if let Some(last) = Arc::into_inner(self) {
            let engine = Arc::clone(last.engine());
            // The event loop ends before the pool does, and the engine after both: the job is not refused, and this is
            // not the engine's last reference.
            drop(engine.executor().submit(Job::token(move || drop(last)), Route::Loose, Qos::default()));
        }
    }

    /// Makes sure that what was merged before this call is delivered. False if the source has ended, and it will be dropped.
    #[inline(always)]
    pub(crate) fn knock(self: &Arc<Self>) -> bool {
        match self.hot.state.knock() {
            Knock::Heard(Duty::Nothing) => true,
            Knock::Heard(Duty::Schedule) => {
                self.schedule();
                true
            }
            Knock::Ended => false,
        }
    }

    pub(crate) fn suspend(&self) -> Result<(), SuspendError> {
        self.hot.state.suspend().map_err(|_| SuspendError::TooManySuspensions { label: Arc::clone(self.label()) })
    }

    pub(crate) fn resume(self: &Arc<Self>) -> Result<(), SuspendError> {
        let label = || Arc::clone(self.label());
        let duty = self.hot.state.resume().map_err(|_| SuspendError::OverResume { label: label() })?;
        self.owe(duty);
        Ok(())
    }

    pub(crate) fn cancel(self: &Arc<Self>) {
        self.owe(self.hot.state.cancel());
    }

    pub(crate) fn cancel_now(self: &Arc<Self>) {
        self.owe(self.hot.state.cancel_now());
    }

    /// True if the source is suspended: nobody takes what is pending.
    pub(crate) fn is_held(&self) -> bool {
        self.hot.state.is_held()
    }

    /// Ends without a cancel handler, unless it is cancelled already.
    pub(crate) fn end(self: &Arc<Self>) {
        self.owe(self.hot.state.end());
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.hot.state.is_cancelled()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.hot.state.has_ended()
    }

    fn owe(self: &Arc<Self>, duty: Duty) {
        if duty == Duty::Schedule {
            self.schedule();
        }
    }

    /// Submits the job of a turn. It is a token, so that cancelling the target's pending jobs leaves it in its place.
    #[cold]
    fn schedule(self: &Arc<Self>) {
        let visit = Visit(Some(Arc::clone(self)));
        self.target.accept(Job::token(move || visit.run()));
    }

    /// One turn: the registration handler, or the event handler with what is pending, or the end.
    fn turn(self: &Arc<Self>) {
        match self.hot.state.begin() {
            Turn::Parked => {}
            Turn::Deliver => self.deliver(),
            Turn::Close { cancelled } => self.close(cancelled),
        }
    }

    fn deliver(self: &Arc<Self>) {
        let mut rest = Rest { delivery: self, event: None };
        let mut handlers = self.handlers.lock();
        let registered = handlers.registered.take();
        if registered.is_none() {
            rest.event = handlers.event.take();
        }
        drop(handlers);
        if let Some(registered) = registered {
            // The merges so far counted on this turn: it calls for another, which also sees whether the handler has
            // suspended or cancelled the source.
            self.knock();
            registered();
            return;
        }
        if let Some((value, event)) = self.hot.pending.take().zip(rest.event.as_mut()) {
            event(value);
        }
    }

    /// Lets go of everything; only the owner of the turn may. The cancel handler comes last and is not kept from it by a
    /// capture or a pending value that panics when it is dropped.
    fn close(&self, cancelled: bool) {
        let handlers = mem::take(&mut *self.handlers.lock());
        self.hot.state.close();
        let Handlers { registered, event, cancelled: announce } = handlers;
        let dropped = [contain(|| drop((registered, event))), contain(|| self.hot.pending.close())];
        if let Some(announce) = announce.filter(|_| cancelled) {
            announce();
        }
        let mut panics = dropped.into_iter().filter_map(Result::err);
        if let Some(panic) = panics.next() {
            panics.for_each(Panic::bury);
            panic.resume();
        }
    }
}

/// The end of a turn, also when its handler unwinds.
struct Rest<'a, P: Pending> {
    delivery: &'a Arc<Delivery<P>>,
    /// The event handler, away from its place while it runs.
    event: Option<Box<dyn FnMut(P::Value) + Send>>,
}

impl<P: Pending> Drop for Rest<'_, P> {
    fn drop(&mut self) {
        if let Some(event) = self.event.take() {
            self.delivery.handlers.lock().event = Some(event);
        }
        self.delivery.owe(self.delivery.hot.state.finish());
    }
}

/// A turn on its way through the target queue.
struct Visit<P: Pending>(Option<Arc<Delivery<P>>>);

impl<P: Pending> Visit<P> {
    fn run(mut self) {
        if let Some(delivery) = self.0.take() {
            delivery.turn();
        }
    }
}

impl<P: Pending> Drop for Visit<P> {
    fn drop(&mut self) {
        if let Some(delivery) = self.0.take() {
            // The target has been shut down: no turn will ever come.
            delivery.close(false);
        }
    }
}

impl<P: Pending> fmt::Debug for Delivery<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("label", self.label()).field("state", &self.hot.state).finish_non_exhaustive()
    }
}
