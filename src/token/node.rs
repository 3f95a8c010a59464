//! What the handles of a token share: its flag, its place below another token, and who is to be told.
//!
//! # Protocol and races
//!
//! The flag is raised and the listeners are taken in one step under the lock; who comes later finds the flag, and tells
//! itself. A cancellation raises the flags of the whole tree below, one lock at a time, and tells nobody before.
//!
//! - **Somebody registers while the token is cancelled.** Both hold the lock: the listener is among those that are taken,
//!   or is told at once, by the one who registers it.
//! - **A token is made below one that is being cancelled.** It is a listener like any other.
//! - **A listener is taken back while it is told.** It has left the list by then, and is told: what it does is decided by
//!   a word of its own, a ticket's or an item's.
//! - **A token is cancelled from two sides.** One takes the listeners. The other finds the flag, and goes no further.
//!
//! A token below holds the one above, so that it can leave its list, and is not held by it. Chains of tokens may be
//! longer than a stack: they are cancelled, and dropped, in a loop.

use super::deadline::Alarm;
use super::state::State;
use crate::engine::Engine;
use crate::job::Panic;
use crate::job::contain;
use crate::job::end_in_turn;
use crate::sync::Arc;
use crate::sync::Desk;
use crate::sync::Mutex;
use crate::sync::OnceLock;
use crate::sync::Ticket;
use crate::sync::Weak;
use crate::sync::planted;
use crate::sync::yield_point;
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::mem;

/// What is called when a token is cancelled, without its lock.
pub(super) type Call = Box<dyn FnOnce() + Send>;

/// Who waits, by the addresses of their tickets, each with its number in the order of coming: whoever leaves early, as every
/// covered future does, is found at once.
type Line = BTreeMap<usize, (u64, Arc<Ticket>)>;

/// Who is to be told of a cancellation.
pub(super) enum Listener {
    /// A token below, which is cancelled as well.
    Token(Weak<Node>),
    /// Something that wakes or submits, and so may be done anywhere.
    Word(Call),
    /// Something that drops what is the user's.
    Deed(Call),
}

impl Listener {
    /// Tells one that has come too late to be in a list.
    fn tell(self) {
        match self {
            // It is new, and nobody is in its list.
            Self::Token(below) => below.upgrade().into_iter().for_each(|below| below.state.cancel()),
            Self::Word(call) | Self::Deed(call) => call(),
        }
    }
}

/// What lies under a token's lock.
#[derive(Default)]
struct Listeners {
    /// Who waits for the token itself.
    line: Line,
    /// In the order of their registration.
    calls: BTreeMap<u64, Listener>,
    registered: u64,
    alarm: Option<Alarm>,
}

pub(super) struct Node {
    state: State,
    listeners: Mutex<Listeners>,
    /// Its place in the list of the token above.
    above: OnceLock<Place>,
    /// Whose timers end it; those of the default runtime if there is none.
    pub(super) engine: Option<Arc<Engine>>,
}

impl Node {
    pub(super) fn on(engine: Option<Arc<Engine>>) -> Arc<Self> {
        let (state, listeners, above) = (State::default(), Mutex::default(), OnceLock::new());
        Arc::new(Self { state, listeners, above, engine })
    }

    /// A token below this one, cancelled if this one is.
    pub(super) fn child(self: &Arc<Self>) -> Arc<Self> {
        let child = Self::on(self.engine.clone());
        if let Some(place) = self.register(Listener::Token(Arc::downgrade(&child))) {
            // The child is new, and has no place yet.
            let _ = child.above.set(place);
        }
        child
    }

    #[inline]
    pub(super) fn is_cancelled(&self) -> bool {
        self.state.is_cancelled()
    }

    /// Puts the listener into the list, or tells it here and now if the token has been cancelled.
    pub(super) fn register(self: &Arc<Self>, listener: Listener) -> Option<Place> {
        yield_point();
        let mut listeners = self.listeners.lock();
        if self.is_cancelled() && !planted!("token_registers_blindly") {
            drop(listeners);
            listener.tell();
            return None;
        }
        let key = listeners.registered;
        listeners.registered += 1;
        listeners.calls.insert(key, listener);
        Some(Place { node: Arc::clone(self), key })
    }

    /// Keeps the alarm for as long as it is needed.
    pub(super) fn keep(&self, alarm: Alarm) {
        let mut listeners = self.listeners.lock();
        if !self.is_cancelled() {
            listeners.alarm = Some(alarm);
        }
    }

    /// Cancels the token and all below. Nobody has been told yet when it returns.
    pub(super) fn cancel(self: &Arc<Self>) -> Notice {
        yield_point();
        let mut notice = Notice::default();
        let mut nodes = VecDeque::from([Arc::clone(self)]);
        while let Some(node) = nodes.pop_front() {
            let Listeners { line, calls, .. } = node.end();
            notice.lines.push(line);
            for listener in calls.into_values() {
                match listener {
                    Listener::Token(below) => nodes.extend(below.upgrade()),
                    Listener::Word(call) => notice.words.push(call),
                    Listener::Deed(call) => notice.deeds.push(call),
                }
            }
        }
        notice
    }

    /// Raises the flag and takes what there is to tell.
    fn end(&self) -> Listeners {
        if planted!("token_takes_its_listeners_first") {
            let listeners = mem::take(&mut *self.listeners.lock());
            self.state.cancel();
            return listeners;
        }
        let mut listeners = self.listeners.lock();
        self.state.cancel();
        mem::take(&mut *listeners)
    }

    #[cfg(test)]
    pub(super) fn registered(&self) -> usize {
        let listeners = self.listeners.lock();
        listeners.line.len() + listeners.calls.len()
    }
}

impl Desk for Node {
    fn ask(&self, ticket: &Arc<Ticket>) -> bool {
        yield_point();
        let mut listeners = self.listeners.lock();
        if self.is_cancelled() {
            return true;
        }
        listeners.registered += 1;
        let number = listeners.registered;
        listeners.line.insert(Arc::as_ptr(ticket).addr(), (number, Arc::clone(ticket)));
        false
    }

    fn withdraw(&self, ticket: &Arc<Ticket>) -> bool {
        self.listeners.lock().line.remove(&Arc::as_ptr(ticket).addr());
        false
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(above) = self.above.take() {
            // It may be the last that holds the token above.
            end_in_turn(move || drop(above));
        }
    }
}

/// A listener's place in a list, left when it is dropped.
pub(crate) struct Place {
    node: Arc<Node>,
    key: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let listener = self.node.listeners.lock().calls.remove(&self.key);
        // It may be the user's, and is dropped without the lock.
        drop(listener);
    }
}

/// What is to be told of a cancellation: whoever has it tells it.
#[derive(Default)]
#[must_use = "the flags are up, and nobody has been told"]
pub(super) struct Notice {
    lines: Vec<Line>,
    words: Vec<Call>,
    deeds: Vec<Call>,
}

impl Notice {
    /// Tells those for whom a word suffices, and returns what is to be done besides.
    pub(super) fn spread(mut self) -> Vec<Call> {
        self.words.into_iter().for_each(|call| call());
        // A waker is an executor's code: its panic keeps nobody else asleep, and goes on when everything is done.
        let mut waiting: Vec<_> = self.lines.into_iter().flat_map(Line::into_values).collect();
        waiting.sort_unstable_by_key(|(number, _)| *number);
        for (_, ticket) in waiting.into_iter().filter(|(_, ticket)| ticket.claim()) {
            if let Err(panic) = contain(|| ticket.wake()) {
                self.deeds.push(Box::new(move || panic.resume()));
            }
        }
        self.deeds
    }

    /// Tells everybody on this thread, and returns the first panic of what it dropped there.
    pub(super) fn tell(self) -> Option<Panic> {
        perform(self.spread())
    }
}

/// Does it all, and returns the first panic.
pub(super) fn perform(deeds: Vec<Call>) -> Option<Panic> {
    let mut first = None;
    for panic in deeds.into_iter().filter_map(|deed| contain(deed).err()) {
        match &first {
            None => first = Some(panic),
            Some(_) => panic.bury(),
        }
    }
    first
}
