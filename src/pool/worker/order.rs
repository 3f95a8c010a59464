//! In which order a worker takes jobs: the most urgent class first, and now and then one that waits.

use super::Worker;
use crate::job::Job;
use crate::pool::backlog::Classes;
use crate::pool::crew::insist;
use crate::sync::Deque;
use crate::sync::Steal;

/// Out of so many looks one takes the oldest own job, the next one looks outside first, and one is for a class that more
/// urgent ones keep waiting.
pub(super) const STRIDE: u32 = 61;
pub(super) const OLDEST: u32 = 1;
const OUTSIDE: u32 = 0;
const OVERDUE: u32 = 32;
const _: () = assert!(OVERDUE.is_multiple_of(LANES), "the short way to the next job leaves this look to the long one");

/// After so many looks a worker looks for a lane first. A batch of loose jobs in its own deque may take long: a lane waits
/// for eight of them at most, and not for the whole batch.
pub(super) const LANES: u32 = 8;

impl Worker {
    /// True if there may be jobs that go before those in the own deque.
    #[inline(always)]
    pub(super) fn is_urgent_demanded(&self) -> bool {
        self.crew.backlog.demand.classes().reach_above(self.class.get())
    }

    /// The next job in this worker's order, from wherever.
    #[inline]
    pub(super) fn at_hand(&self) -> Option<Job> {
        let looks = self.looks.get();
        self.looks.set(if looks == 0 { STRIDE - 1 } else { looks - 1 });
        match looks {
            OLDEST => self.oldest().or_else(|| self.outside(0)),
            OUTSIDE => self.outside(self.class.get()).or_else(|| self.in_order()),
            OVERDUE => self.out_of_order().or_else(|| self.in_order()),
            _ if self.has_made_way.replace(false) => {
                self.urgent().or_else(|| self.longest_waiting()).or_else(|| self.in_order())
            }
            _ if looks.is_multiple_of(LANES) => self.urgent().or_else(|| self.lane()).or_else(|| self.in_order()),
            _ => self.in_order(),
        }
    }

    /// Goes over to a job of `class`.
    #[inline(always)]
    pub(super) fn serve(&self, class: usize) {
        if let Some(nice) = &self.nice {
            nice.serve(class);
        }
    }

    /// The newest job in the own deque.
    pub(super) fn own(&self) -> Option<Job> {
        self.deque.pop().inspect(|_| self.serve(self.class.get()))
    }

    fn in_order(&self) -> Option<Job> {
        self.urgent().or_else(|| self.own()).or_else(|| self.outside(0))
    }

    /// The oldest job in the own deque.
    fn oldest(&self) -> Option<Job> {
        insist(|| self.place().stealer.steal()).inspect(|_| self.serve(self.class.get()))
    }

    /// After a drain has made way: the oldest job in the own deque and the oldest drain outside of it, in turn. Each waits
    /// for no more turns than there are in front of it.
    fn longest_waiting(&self) -> Option<Job> {
        if self.is_turn_of_oldest.replace(!self.is_turn_of_oldest.get()) {
            self.oldest().or_else(|| self.lane())
        } else {
            self.lane().or_else(|| self.oldest())
        }
    }

    /// A job that goes before those in the own deque, if there are any.
    fn urgent(&self) -> Option<Job> {
        let classes = self.crew.backlog.demand.classes().above(self.class.get());
        if classes.is_empty() || self.deque.is_empty() {
            return None;
        }
        let job = self.first_of(classes);
        if job.is_none() {
            self.crew.strike(classes);
        }
        job
    }

    /// A drain of the same class as the jobs in the own deque, if there are any.
    fn lane(&self) -> Option<Job> {
        if self.deque.is_empty() {
            return None;
        }
        insist(|| self.crew.backlog.shelf(self.class.get()).lanes.steal()).inspect(|_| self.serve(self.class.get()))
    }

    /// The most urgent job outside of the own deque, of class `least` or above.
    pub(super) fn outside(&self, least: usize) -> Option<Job> {
        self.first_of(self.crew.backlog.demand.classes().from(least))
    }

    /// The most urgent job of `classes` outside of the own deque.
    fn first_of(&self, classes: Classes) -> Option<Job> {
        let (class, job) = classes.iter().find_map(|class| Some((class, self.take(class)?)))?;
        let passed = classes.above(class);
        if !passed.is_empty() {
            self.crew.strike(passed);
        }
        Some(job)
    }

    /// A job of a class that more urgent ones may keep waiting. These classes take turns, so that none waits for more
    /// than `CLASSES - 1` such looks.
    fn out_of_order(&self) -> Option<Job> {
        let demanded = self.crew.backlog.demand.classes();
        let waiting = demanded.below(demanded.first()?);
        let next = waiting.below(self.overdue.get());
        next.iter().chain(waiting.iter()).find_map(|class| {
            let job = self.take(class)?;
            self.overdue.set(class);
            Some(job)
        })
    }

    /// A job of `class` that does not lie in the own deque: from the injectors, which take turns, or from another worker.
    fn take(&self, class: usize) -> Option<Job> {
        if self.class.get() != class && self.deque.is_empty() {
            self.class.set(class);
            self.place().class.set(class);
        }
        let shelf = self.crew.backlog.shelf(class);
        let lane = || insist(|| shelf.lanes.steal());
        let loose = || self.steal(class, |deque| shelf.loose.steal_batch_and_pop(deque), || shelf.loose.steal());
        let turn = &self.is_turn_of_lanes[class];
        let is_turn_of_lanes = turn.replace(!turn.get());
        let job = if is_turn_of_lanes { lane().or_else(loose) } else { loose().or_else(lane) };
        job.or_else(|| self.rob(class)).inspect(|_| self.serve(class))
    }

    /// Jobs of another worker, unless the own deque has some of the same class.
    fn rob(&self, class: usize) -> Option<Job> {
        if self.class.get() == class && !self.deque.is_empty() {
            return None;
        }
        let first = self.victim.get();
        self.victim.set((first + 1) % self.crew.slots.len());
        let others = self.crew.occupied.iter_from(first).filter(|slot| *slot != self.slot);
        let victims = others.map(|slot| &self.crew.slots[slot]).filter(|victim| victim.class_on_offer() == Some(class));
        victims
            .map(|victim| &victim.stealer)
            .find_map(|stealer| self.steal(class, |deque| stealer.steal_batch_and_pop(deque), || stealer.steal()))
    }

    /// A job and more of its class for the own deque, or the job alone while the own deque has jobs of another class.
    fn steal(
        &self,
        class: usize,
        batch: impl Fn(&Deque<Job>) -> Steal<Job>,
        one: impl Fn() -> Steal<Job>,
    ) -> Option<Job> {
        if self.class.get() != class {
            return insist(one);
        }
        let job = insist(|| batch(&self.deque));
        if job.is_some() && !self.deque.is_empty() {
            // On their way here they lay nowhere: the class may have been struck, and whoever had been called for them may
            // have gone to sleep.
            self.crew.announce(class);
        }
        job
    }
}
