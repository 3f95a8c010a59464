//! What the handles of an item share: its word, and what lies under its lock.

use super::WorkItem;
use super::state::Outcome;
use super::state::State;
use crate::error::WaitError;
use crate::sync::Arc;
use crate::sync::Desk;
use crate::sync::Limit;
use crate::sync::Mutex;
use crate::sync::Parker;
use crate::sync::Reason;
use crate::sync::Ticket;
use crate::sync::Tickets;
use crate::sync::parker;
use crate::sync::planted;
use crate::sync::wait_at;
use std::mem;
use std::ops::Deref;

pub(super) type Body = Box<dyn FnOnce(&WorkItem) + Send>;

/// What is called with the outcome, by whoever ends the item, without its lock. It does not wait for anything.
pub(super) type Notification = Box<dyn FnOnce(Outcome) + Send>;

/// What lies under the item's lock.
struct Place {
    body: Option<Body>,
    /// The thread that runs or drops the closure, while it does.
    owner: Option<Arc<Parker>>,
    line: Tickets,
    notifications: Vec<Notification>,
}

pub(crate) struct Item {
    pub(super) state: State,
    place: Mutex<Place>,
}

impl Item {
    pub(super) fn new(body: Option<Body>) -> Arc<Self> {
        let place = Place { body, owner: None, line: Tickets::default(), notifications: Vec::new() };
        Arc::new(Self { state: State::new(), place: Mutex::new(place) })
    }

    /// The closure, for the thread that has claimed it.
    pub(super) fn take_body(&self) -> Option<Body> {
        let mut place = self.place.lock();
        place.owner = Some(parker());
        place.body.take()
    }

    /// Drops the closure, which the caller has claimed, and ends the item.
    pub(super) fn discard(&self, outcome: Outcome) {
        let _end = End { item: self, outcome };
        drop(self.take_body());
    }

    fn end(&self, outcome: Outcome) {
        let (line, notifications) = {
            let mut place = self.place.lock();
            place.owner = None;
            self.state.end(outcome);
            (mem::take(&mut place.line), mem::take(&mut place.notifications))
        };
        line.grant_all();
        notifications.into_iter().for_each(|notification| notification(outcome));
    }

    /// Calls `notification` when the item ends, or now.
    pub(super) fn notify(&self, notification: Notification) {
        let mut place = self.place.lock();
        match self.state.outcome() {
            Some(outcome) => {
                drop(place);
                notification(outcome);
            }
            None => place.notifications.push(notification),
        }
    }

    /// None if the limit came first; without one it is a mere look.
    pub(super) fn wait(&self, limit: Option<impl Limit>) -> Result<Option<Outcome>, WaitError> {
        if self.state.outcome().is_none() {
            let owner = self.place.lock().owner.clone();
            // Only the calling thread could make itself the owner meanwhile, and it is here.
            if owner.is_some_and(|owner| Arc::ptr_eq(&owner, &parker())) {
                return Err(WaitError::WouldDeadlock);
            }
            if let Some(limit) = limit {
                wait_at(self, &Reason::Completion, limit);
            }
        }
        // An end that comes at the very moment of the limit counts.
        Ok(self.state.outcome())
    }
}

impl Desk for Item {
    fn ask(&self, ticket: &Arc<Ticket>) -> bool {
        let mut place = self.place.lock();
        if self.state.outcome().is_some() && !planted!("work_item_joins_without_a_second_look") {
            return true;
        }
        place.line.join(ticket);
        false
    }

    fn withdraw(&self, ticket: &Arc<Ticket>) -> bool {
        self.place.lock().line.leave(ticket);
        false
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        if self.state.abandon() {
            self.discard(Outcome::Dropped);
        }
    }
}

/// Ends the item when it goes, also when a panic takes it.
pub(super) struct End<I: Deref<Target = Item>> {
    pub(super) item: I,
    pub(super) outcome: Outcome,
}

impl<I: Deref<Target = Item>> Drop for End<I> {
    fn drop(&mut self) {
        self.item.end(self.outcome);
    }
}

/// The run of an item without a closure, bit by bit. Dropping it ends the item as dropped.
pub(crate) struct Run(pub(super) End<Arc<Item>>);

impl Run {
    pub(crate) fn end(mut self, outcome: Outcome) {
        self.0.outcome = outcome;
    }
}

#[cfg(all(test, any(concourse_loom, concourse_shuttle)))]
impl Item {
    /// How many are registered.
    pub(super) fn registered(&self) -> usize {
        let place = self.place.lock();
        place.line.len() + place.notifications.len()
    }
}
