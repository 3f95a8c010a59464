//! What a queue may target, a private queue or the main queue; and the chain of lanes that this makes.

use super::MainQueue;
use super::Queue;
use super::lane::Home;
use super::lane::Lane;
use crate::engine::Engine;
use crate::error::BuildError;
use crate::job::Stint;
use crate::sync::Arc;
use crate::sync::planted;
use std::ptr;

/// The most targets that a queue may stand on: a drain below a target nests on the thread's stack.
const LONGEST_CHAIN: usize = 128;

/// What a queue may target: a [`Queue`], or the [`MainQueue`]. See [`QueueBuilder::target`](crate::QueueBuilder::target).
///
/// The trait is sealed. A global queue is no target: a queue without one runs there anyway.
pub trait Target {
    /// The queue itself, with its type erased.
    #[doc(hidden)]
    fn aim(&self) -> Aim;
}

impl Target for Queue {
    fn aim(&self) -> Aim {
        Aim::Queue(self.clone())
    }
}

impl Target for MainQueue {
    fn aim(&self) -> Aim {
        Aim::MainQueue(self.clone())
    }
}

/// What a queue is told to target, before it does.
///
/// The type is public in name only, so that [`Target`] can be sealed by it.
#[derive(Clone, Debug)]
pub enum Aim {
    /// A handle is kept until the queue is built or activated.
    Queue(Queue),
    /// It needs no handle to go on.
    MainQueue(MainQueue),
}

impl Aim {
    fn lane(&self) -> &Arc<Lane> {
        match self {
            Self::Queue(queue) => &queue.lane,
            Self::MainQueue(queue) => queue.lane(),
        }
    }

    /// Tells why a queue of this label and runtime may not target it.
    pub(super) fn may_bear(&self, label: &Arc<str>, engine: &Arc<Engine>) -> Result<(), BuildError> {
        let (label, lane) = (Arc::clone(label), self.lane());
        if !Arc::ptr_eq(engine, lane.engine()) {
            return Err(BuildError::ForeignTarget { label, target: Arc::clone(lane.label()) });
        }
        if lane.chain().count() > LONGEST_CHAIN {
            return Err(BuildError::ChainTooLong { label, limit: LONGEST_CHAIN });
        }
        Ok(())
    }

    /// Becomes the target of a queue that is not active yet.
    pub(super) fn bear(&self, queue: &Queue) {
        queue.lane.settle_at(Home::Target(Arc::clone(self.lane())));
    }
}

impl Lane {
    /// The lane, its target, and so on up to the one whose drains the pool runs.
    pub(super) fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |lane| lane.target().map(|target| &**target))
    }

    /// True if a lane above is suspended: nothing of this one may start either. For a thread that shares one of these, the
    /// look ends there: what it runs is part of a job that has started.
    #[inline]
    pub(super) fn is_held_from_above(&self, shared: Option<&Self>) -> bool {
        let mut next = self.target();
        while let Some(lane) = next
            && !shared.is_some_and(|shared| ptr::eq(shared, &raw const **lane))
            && !planted!("chain_ignores_a_held_target")
        {
            if lane.gate().is_suspended() {
                return true;
            }
            next = lane.target();
        }
        false
    }

    /// True if sync bodies that cannot run at once are lent to whoever runs the lane's jobs, and stand in line as jobs:
    /// whose turn it is here must not depend on whether its thread may run what the target runs.
    pub(super) fn borrows_bodies(&self) -> bool {
        self.target().is_some()
    }

    /// True if a drain of the lane makes way before its next job, for something more urgent or because its turn has lasted
    /// long enough. Below a target it has the thread of the target's drain.
    #[inline]
    pub(super) fn is_to_make_way(&self, stint: &Stint) -> bool {
        match self.home() {
            None => self.engine().executor().is_to_make_way(self.qos(), stint),
            Some(Home::Target(target)) => target.is_to_make_way(stint),
            Some(Home::MainThread(_)) => false,
        }
    }

    /// True if a drain that has used up its budget may go on in place. Below a target it makes way: its siblings, and
    /// the target's barriers, stand in the target's line.
    pub(super) fn is_quiet(&self) -> bool {
        self.home().is_none() && self.engine().executor().is_quiet()
    }
}
