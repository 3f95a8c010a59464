#![doc = include_str!("README.md")]

use super::pace::Pace;
use super::pace::Rule;
use super::state::Duty;
use super::state::Knock;
use super::state::State;
use super::state::Turn;
use crate::engine::Engine;
use crate::engine::Phase;
use crate::error::SuspendError;
use crate::event_loop::Sink;
use crate::job::Job;
use crate::job::Panic;
use crate::job::Route;
use crate::job::contain;
use crate::qos::Qos;
use crate::queue::Accept;
use crate::sync::Arc;
use crate::sync::Mutex;
use crate::sync::OnceLock;
use crate::sync::runs_beside_others;
use crate::sync::spin_loop;
use crate::time::Clock;
use crate::time::Nanos;
use crate::time::now;
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

    /// True if it listens between two turns only, because the handler changes what it listens to.
    #[doc(hidden)]
    const LISTENS: bool = false;

    /// True if what comes is told once, or a few times, and then not again until a turn takes it. Such a source cannot wait
    /// for "the next event": there is none.
    #[doc(hidden)]
    const TOLD_ONCE: bool = false;

    /// Listens from the end of a turn on. True if there is something already, and another turn is due.
    #[doc(hidden)]
    fn listen(&self) -> bool {
        false
    }

    /// A time has come that it waits for, and a turn is due. Called on the event loop's thread.
    #[doc(hidden)]
    fn ring(&self) {}

    /// Listens no more until a turn ends: the source is suspended, and wakes nobody.
    #[doc(hidden)]
    fn pause(&self) {}
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

/// How long a turn that has followed another at once lets merges gather, in pauses of the processor: about a microsecond. A
/// model has none.
const GATHERING: u32 = if cfg!(any(concourse_loom, concourse_shuttle)) { 0 } else { 64 };

/// What a merge touches: one cache line, as long as what is pending fits.
#[repr(align(64))]
struct Hot<P> {
    state: State,
    pending: P,
}

/// The way from something pending to a handler on a target queue.
pub(crate) struct Delivery<P: Pending> {
    hot: Hot<P>,
    /// Never held for longer than it takes to exchange them: see the module's page.
    handlers: Mutex<Handlers<P::Value>>,
    target: Arc<dyn Accept>,
    /// Set at the activation, if at all.
    label: OnceLock<Arc<str>>,
    /// Likewise.
    pace: OnceLock<Box<Pace>>,
}

impl<P: Pending> Delivery<P> {
    /// A delivery that keeps what comes until it is [activated](Self::activate).
    pub(crate) fn inactive(pending: P, target: Arc<dyn Accept>) -> Arc<Self> {
        let hot = Hot { state: State::inactive(), pending };
        let handlers = Mutex::new(Handlers::default());
        Arc::new(Self { hot, handlers, target, label: OnceLock::new(), pace: OnceLock::new() })
    }

    /// Gives an inactive delivery its handlers, a label if it is not to be called as its target, and a pace if its turns
    /// are not to come at once, and lets them begin.
    pub(crate) fn activate(
        self: &Arc<Self>,
        label: Option<Arc<str>>,
        handlers: Handlers<P::Value>,
        pace: Option<Rule>,
    ) {
        self.name(label);
        if let Some(rule) = pace {
            let rule = if P::TOLD_ONCE { rule.without_next_event() } else { rule };
            let pace = self.pace.get_or_init(|| Box::new(Pace::new(rule)));
            if rule.times_merges() {
                self.hot.state.time_merges();
            }
            if self.hot.state.is_owed() {
                pace.stamp(now(Clock::Monotonic), true);
            }
        }
        let registers = handlers.registered.is_some();
        *self.handlers.lock() = handlers;
        if registers {
            self.owe_another();
        }
        // An inactive source is suspended once, and only this ends it: there is nothing to be out of range.
        if let Ok(duty) = self.hot.state.resume() {
            self.owe(duty);
        }
    }

    /// Gives the delivery a label, if it is not to be called as its target.
    pub(crate) fn name(&self, label: Option<Arc<str>>) {
        if let Some(label) = label {
            // Nobody else sets it: a delivery is activated once.
            let _ = self.label.set(label);
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

    /// False once the target's runtime has ended, so that no turn will begin.
    pub(crate) fn is_served(&self) -> bool {
        match self.engine().phase() {
            Phase::Open => true,
            Phase::Draining => !self.engine().executor().is_over(),
            Phase::Cancelling | Phase::Forked => false,
        }
    }

    /// True if no turn can begin before the calling thread has returned from what it is running on the target.
    pub(crate) fn target_is_held_here(&self) -> bool {
        self.target.line().is_some_and(|line| line.is_held_up().is_some())
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
    ///
    /// While a turn is owed already, that is one load.
    #[inline(always)]
    pub(crate) fn knock(self: &Arc<Self>) -> bool {
        self.hot.state.hears() || self.knock_again()
    }

    /// The part of a knock that has something to change, or to say.
    #[inline(never)]
    fn knock_again(self: &Arc<Self>) -> bool {
        let leads = self.pace.get().is_some_and(|pace| pace.stamp(now(Clock::Monotonic), !self.hot.state.is_owed()));
        match self.hot.state.knock() {
            Knock::Heard(Duty::Schedule) => self.schedule(),
            Knock::Heard(Duty::Nothing) if leads => self.release(),
            Knock::Heard(Duty::Nothing) => {}
            Knock::Ended => return false,
        }
        true
    }

    /// Makes sure of a turn for something pending that may have been told before, and does not count as an event then.
    #[cfg(feature = "signal")]
    pub(crate) fn remind(self: &Arc<Self>) {
        if !self.hot.state.is_owed() {
            self.knock();
        }
    }

    /// True if its turn waits for quiet, so that it has to be told of everything that comes.
    #[cfg(feature = "fs")]
    pub(crate) fn waits_for_quiet(&self) -> bool {
        self.pace.get().is_some_and(|pace| pace.waits_for_quiet())
    }

    /// Makes sure that a turn follows the one that runs, or the activation. Nothing was merged.
    fn owe_another(self: &Arc<Self>) {
        if let Knock::Heard(duty) = self.hot.state.knock() {
            self.owe(duty);
        }
    }

    pub(crate) fn suspend(self: &Arc<Self>) -> Result<(), SuspendError> {
        let suspended = self.hot.state.suspend();
        self.release();
        suspended.map_err(|_| SuspendError::TooManySuspensions { label: Arc::clone(self.label()) })?;
        self.pause();
        Ok(())
    }

    /// Has a source that is held wake nobody. Whoever lets it go on, has done so already even, makes it look at what has come
    /// meanwhile, and listen again.
    fn pause(self: &Arc<Self>) {
        if P::LISTENS {
            self.hot.pending.pause();
            self.owe_another();
        }
    }

    /// Holds back what follows the value that the calling handler has been given, until somebody [asks](Self::ask) for it.
    pub(crate) fn sate(self: &Arc<Self>) {
        self.hot.state.sate();
        self.pause();
    }

    /// Lets the next value come.
    pub(crate) fn ask(self: &Arc<Self>) {
        self.owe(self.hot.state.ask());
    }

    pub(crate) fn resume(self: &Arc<Self>) -> Result<(), SuspendError> {
        let label = || Arc::clone(self.label());
        let duty = self.hot.state.resume().map_err(|_| SuspendError::OverResume { label: label() })?;
        self.owe(duty);
        Ok(())
    }

    pub(crate) fn cancel(self: &Arc<Self>) {
        self.owe(self.hot.state.cancel());
        self.release();
    }

    pub(crate) fn cancel_now(self: &Arc<Self>) {
        self.owe(self.hot.state.cancel_now());
        self.release();
    }

    /// True if the source is suspended, or waits to be asked: nobody takes what is pending.
    #[cfg(feature = "fs")]
    pub(crate) fn is_held(&self) -> bool {
        self.hot.state.is_held()
    }

    /// Ends without a cancel handler, unless it is cancelled already.
    pub(crate) fn end(self: &Arc<Self>) {
        self.owe(self.hot.state.end());
        self.release();
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
        self.schedule_one(false);
    }

    /// Submits the job of a turn, which follows another one at once if it `is_next`.
    fn schedule_one(self: &Arc<Self>, is_next: bool) {
        let visit = Visit { delivery: Some(Arc::clone(self)), is_next };
        self.submit(Job::token(move || visit.run()));
    }

    /// Submits the job of a turn, once its time has come.
    fn submit(self: &Arc<Self>, turn: Job) {
        let due = match self.pace.get() {
            Some(pace) => pace.hold(turn, self),
            None => Some(turn),
        };
        due.into_iter().for_each(|turn| self.target.accept(turn));
    }

    /// Submits the job of a turn that the pace holds back: its time has come.
    fn release(&self) {
        let turn = self.pace.get().and_then(|pace| pace.release(self.engine()));
        turn.into_iter().for_each(|turn| self.target.accept(turn));
    }

    /// The next turn would call the event handler, if there is anything for it.
    pub(super) fn delivers(&self) -> bool {
        self.hot.state.delivers() && self.handlers.lock().registered.is_none()
    }

    /// One turn: the registration handler, or the event handler with what is pending, or the end.
    fn turn(self: &Arc<Self>, is_next: bool) {
        match self.hot.state.begin() {
            Turn::Parked => {}
            Turn::Deliver => self.deliver(is_next),
            Turn::Close { cancelled } => self.close(cancelled),
        }
    }

    fn deliver(self: &Arc<Self>, is_next: bool) {
        let mut rest = Rest { delivery: self, event: None, was_heard: false, is_next };
        let mut handlers = self.handlers.lock();
        let registered = handlers.registered.take();
        if registered.is_none() {
            rest.event = handlers.event.take();
        }
        drop(handlers);
        if let Some(registered) = registered {
            // The merges so far counted on this turn: it calls for another, which also sees whether the handler has
            // suspended or cancelled the source.
            self.owe_another();
            registered();
            return;
        }
        let pace = self.pace.get();
        if pace.is_some_and(|pace| !pace.begin(now(Clock::Monotonic))) {
            return self.owe_another();
        }
        rest.was_heard = P::LISTENS && rest.event.is_some();
        if let Some((value, event)) = self.hot.pending.take().zip(rest.event.as_mut()) {
            pace.inspect(|pace| pace.call(now(Clock::Monotonic)));
            event(value);
        }
    }

    /// Leaves the cache line to those who merge for a moment, if the worker has nothing else to do. A turn takes it away
    /// from them three times, so that turns without a pause cost each merge more than the merge itself.
    #[cold]
    fn gather(&self) {
        if runs_beside_others() && self.engine().executor().is_quiet() {
            (0..GATHERING).for_each(|_| spin_loop());
        }
    }

    /// Listens for what comes after a turn, unless the source has been suspended, or its runtime ends.
    fn listen(self: &Arc<Self>) {
        let goes_on = !self.hot.state.is_held() && self.engine().phase() == Phase::Open;
        if goes_on && self.hot.pending.listen() {
            self.knock();
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
    /// There is a handler, for which what is pending listens again.
    was_heard: bool,
    /// The turn has followed another one at once.
    is_next: bool,
}

impl<P: Pending> Drop for Rest<'_, P> {
    fn drop(&mut self) {
        if let Some(event) = self.event.take() {
            self.delivery.handlers.lock().event = Some(event);
        }
        if self.was_heard {
            self.delivery.listen();
        }
        if self.is_next {
            self.delivery.gather();
        }
        if self.delivery.hot.state.finish() == Duty::Schedule {
            self.delivery.schedule_one(true);
        }
    }
}

/// A turn on its way through the target queue.
struct Visit<P: Pending> {
    delivery: Option<Arc<Delivery<P>>>,
    /// The turn before has called for this one.
    is_next: bool,
}

impl<P: Pending> Visit<P> {
    fn run(mut self) {
        if let Some(delivery) = self.delivery.take() {
            delivery.turn(self.is_next);
        }
    }
}

impl<P: Pending> Drop for Visit<P> {
    fn drop(&mut self) {
        if let Some(delivery) = self.delivery.take() {
            // The target has been shut down: no turn will ever come.
            delivery.close(false);
        }
    }
}

impl<P: Pending> Sink for Delivery<P> {
    fn fire(self: Arc<Self>, turn: Option<Job>, _: Nanos) {
        match turn {
            Some(held_back) => self.submit(held_back),
            // The source waits for times itself, and one has come.
            None => {
                self.hot.pending.ring();
                self.knock();
            }
        }
        self.leave();
    }

    fn label(&self) -> &str {
        Delivery::label(self)
    }
}

impl<P: Pending> fmt::Debug for Delivery<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("label", self.label()).field("state", &self.hot.state).finish_non_exhaustive()
    }
}
