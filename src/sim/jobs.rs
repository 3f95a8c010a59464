//! The jobs of a simulation that wait for a worker.

use super::crew::Crew;
use super::random::Random;
use super::stage::Actor;
use super::stage::Role;
use super::stage::Stance;
use crate::job::Job;
use crate::job::Kind;
use crate::sync::Arc;
use crate::sync::Parker;
use crate::sync::Weak;

/// What waits, and what workers need to know of how to go on.
pub(super) struct Jobs {
    queued: Vec<Job>,
    pub(super) crew: Weak<Crew>,
    /// How many workers may be in a job at a time, those that wait not counted.
    pub(super) threads: usize,
    /// How many workers there may be.
    pub(super) max_threads: usize,
    /// Workers started so far.
    pub(super) started: usize,
    /// Loose jobs are dropped instead of run.
    pub(super) cancelled: bool,
    /// No job is taken or started any more.
    pub(super) stopped: bool,
    /// Threads that wait until nothing runs, or nobody lives.
    watchers: Vec<Arc<Parker>>,
}

impl Jobs {
    pub(super) fn none() -> Self {
        Self {
            queued: Vec::new(),
            crew: Weak::new(),
            threads: 1,
            max_threads: 1,
            started: 0,
            cancelled: false,
            stopped: false,
            watchers: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.queued.len()
    }

    pub(super) fn push(&mut self, job: Job) {
        self.queued.push(job);
    }

    /// Takes one of the jobs: the pool promises no order between jobs that wait at the same time.
    pub(super) fn take(&mut self, random: &mut Random) -> Option<Job> {
        (!self.queued.is_empty()).then(|| self.queued.swap_remove(random.below(self.queued.len())))
    }

    pub(super) fn take_all(&mut self) -> Vec<Job> {
        std::mem::take(&mut self.queued)
    }

    /// True if an idle worker has something to do: begin a job, or go.
    pub(super) fn want_a_worker(&self, actors: &[Actor]) -> bool {
        self.stopped || (!self.queued.is_empty() && count(actors, Actor::is_active) < self.threads)
    }

    /// True if there are more jobs than idle workers, and one more worker may be started.
    pub(super) fn want_another_worker(&self, actors: &[Actor]) -> bool {
        let idle = count(actors, |actor| actor.stance == Stance::Idle);
        !self.stopped
            && self.queued.len() > idle
            && count(actors, Actor::is_active) + idle < self.threads
            && live(actors) < self.max_threads
    }

    /// True if a job that was taken is to be dropped.
    pub(super) fn forbid(&self, kind: Kind) -> bool {
        self.cancelled && kind.is_closure()
    }

    /// True if no job is queued or running.
    pub(super) fn are_done(&self, actors: &[Actor]) -> bool {
        self.queued.is_empty() && busy(actors) == 0
    }

    pub(super) fn add_watcher(&mut self, watcher: &Arc<Parker>) {
        self.watchers.push(Arc::clone(watcher));
    }

    pub(super) fn remove_watcher(&mut self, watcher: &Arc<Parker>) {
        self.watchers.retain(|other| !Arc::ptr_eq(other, watcher));
    }

    /// Has every watcher look again.
    pub(super) fn wake_watchers(&self) {
        self.watchers.iter().for_each(|watcher| watcher.unpark());
    }
}

/// How many workers are as `is` says.
pub(super) fn count(actors: &[Actor], is: impl Fn(&Actor) -> bool) -> usize {
    actors.iter().filter(|actor| actor.role == Role::Worker && is(actor)).count()
}

/// How many workers there are.
pub(super) fn live(actors: &[Actor]) -> usize {
    count(actors, |actor| actor.stance != Stance::Gone)
}

/// How many workers are inside a job, those that wait included.
pub(super) fn busy(actors: &[Actor]) -> usize {
    count(actors, |actor| !matches!(actor.stance, Stance::Idle | Stance::Gone))
}
