//! How many may wait, and the line of those who wait for a place among them.
//!
//! Everything is decided under one lock. A place that comes back goes to the head of the line; so places are free only
//! while nobody stands there, and nobody who comes later is served before.

use crate::error::HeldQueue;
use crate::queue::QueueLine;
use crate::sync::Arc;
use crate::sync::Desk;
use crate::sync::Mutex;
use crate::sync::Ticket;
use crate::sync::yield_point;
use std::collections::BTreeMap;
use std::collections::VecDeque;

/// What is settled under the lock.
struct Places {
    free: usize,
    /// Who waits for a place, and for which member. A place that is granted is the member's from then on.
    line: VecDeque<(u64, Arc<Ticket>)>,
    /// The queues that share the bound, by their numbers.
    members: BTreeMap<u64, Member>,
    admitted: u64,
}

struct Member {
    /// None if its jobs have no order.
    queue: Option<QueueLine>,
    taken: usize,
}

impl Places {
    fn change(&mut self, member: u64, change: impl FnOnce(usize) -> usize) {
        if let Some(member) = self.members.get_mut(&member) {
            member.taken = change(member.taken);
        }
    }
}

/// Places for jobs that wait, which several queues may share.
pub(super) struct Bound {
    pub(super) capacity: usize,
    places: Mutex<Places>,
}

impl Bound {
    pub(super) fn new(capacity: usize) -> Arc<Self> {
        let places = Places { free: capacity, line: VecDeque::new(), members: BTreeMap::new(), admitted: 0 };
        Arc::new(Self { capacity, places: Mutex::new(places) })
    }

    /// Lets a queue share the bound, under the number that is returned.
    pub(super) fn admit(&self, queue: Option<QueueLine>) -> u64 {
        let mut places = self.places.lock();
        let member = places.admitted;
        places.admitted += 1;
        places.members.insert(member, Member { queue, taken: 0 });
        member
    }

    /// Forgets a queue, which has no place any more.
    pub(super) fn dismiss(&self, member: u64) {
        let member = self.places.lock().members.remove(&member);
        // It may be the last that knows of the queue.
        drop(member);
    }

    /// Takes a place for this member, if one is free. There is no yield point inside, as the caller may hold a lock.
    pub(super) fn try_take(&self, member: u64) -> bool {
        let mut places = self.places.lock();
        let is_free = places.free > 0;
        if is_free {
            places.free -= 1;
            places.change(member, |taken| taken + 1);
        }
        is_free
    }

    /// Gives a member's place back. The head of the line has it, and is to be woken once no lock is held.
    #[must_use = "whoever has been granted the place is to be woken"]
    pub(super) fn give(&self, member: u64) -> Option<Arc<Ticket>> {
        let mut places = self.places.lock();
        places.change(member, |taken| taken - 1);
        while let Some((heir, first)) = places.line.pop_front() {
            if first.claim() {
                places.change(heir, |taken| taken + 1);
                return Some(first);
            }
        }
        places.free += 1;
        None
    }

    /// How many places are not free.
    pub(super) fn taken(&self) -> usize {
        self.capacity - self.places.lock().free
    }

    /// What the calling thread holds, newest first, if no place can come back before the thread lets it go: every job
    /// that has one waits in a queue that the thread holds up.
    pub(super) fn is_held_up(&self) -> Option<Vec<HeldQueue>> {
        let queues: Vec<_> = {
            let places = self.places.lock();
            let taking = places.members.values().filter(|member| member.taken > 0);
            if taking.clone().map(|member| member.taken).sum::<usize>() < self.capacity {
                return None;
            }
            taking.map(|member| member.queue.clone()).collect::<Option<_>>()?
        };
        let mut held = None;
        for queue in queues {
            held = Some(queue.is_held_up()?.1);
        }
        held
    }
}

/// Somebody who wants a place for a member, and stands in line for it.
pub(super) struct Producer<'a> {
    pub(super) bound: &'a Bound,
    pub(super) member: u64,
}

impl Desk for Producer<'_> {
    fn ask(&self, ticket: &Arc<Ticket>) -> bool {
        yield_point();
        let mut places = self.bound.places.lock();
        if places.free > 0 {
            places.free -= 1;
            places.change(self.member, |taken| taken + 1);
            return true;
        }
        places.line.push_back((self.member, Arc::clone(ticket)));
        false
    }

    fn withdraw(&self, ticket: &Arc<Ticket>) -> bool {
        self.bound.places.lock().line.retain(|(_, other)| !Arc::ptr_eq(other, ticket));
        false
    }
}
