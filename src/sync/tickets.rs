//! A line of [`Ticket`]s: first come, first served.

use super::{Arc, Ticket};
use std::collections::VecDeque;

/// The threads that wait for one thing, in the order in which they came. Stands under its owner's lock.
#[derive(Debug, Default)]
pub(crate) struct Tickets(VecDeque<Arc<Ticket>>);

/// A line that is being granted. A waker is an executor's code: if it panics, the others are woken all the same.
struct Granting(VecDeque<Arc<Ticket>>);

impl Granting {
    fn go_on(&mut self) {
        while let Some(ticket) = self.0.pop_front() {
            // An abandoned ticket has nobody to tell.
            let _ = ticket.grant();
        }
    }
}

impl Drop for Granting {
    fn drop(&mut self) {
        self.go_on();
    }
}

impl Tickets {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts the ticket at the end of the line.
    pub(crate) fn join(&mut self, ticket: &Arc<Ticket>) {
        self.0.push_back(Arc::clone(ticket));
    }

    /// Takes an abandoned ticket out of the line. A granted one is no longer there.
    pub(crate) fn leave(&mut self, ticket: &Arc<Ticket>) {
        // A scan of as many pointers as threads wait here, after a timeout: nobody is in a hurry.
        if let Some(place) = self.0.iter().position(|other| Arc::ptr_eq(other, ticket)) {
            self.0.remove(place);
        }
    }

    /// Grants the first ticket that has not been abandoned. The caller wakes it after releasing its lock.
    #[must_use]
    pub(crate) fn claim_first(&mut self) -> Option<Arc<Ticket>> {
        loop {
            let first = self.0.pop_front()?;
            if first.claim() {
                return Some(first);
            }
        }
    }

    /// Grants every ticket and wakes its thread, in the order of the line. To be called on a line taken from its lock.
    pub(crate) fn grant_all(self) {
        Granting(self.0).go_on();
    }

    /// How many tickets stand in the line, abandoned ones included.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
