//! Which classes may have jobs, and how long a turn may be, in one word: a drain sees with one load whether it is to make
//! way.
//!
//! The word decides where a worker looks first, and never whether it may sleep: who goes to sleep looks at the queues
//! themselves. So an error in it could cost order, but no job; the protocol below costs neither.
//!
//! ```text
//! 63                    5 4                     0
//! [ TICKS                ][ one bit for each class ]     the more urgent, the higher
//! ```
//!
//! * `TICKS`: how often the sentinel has found jobs waiting. Only whether it has changed means anything.
//! * A bit that is set may be out of date: its class has run empty, and nobody has had a reason to say so.
//! * A bit that is clear means that nothing is queued in its class, except while somebody stands between publishing a
//!   job and noting it, or between striking the class and looking at it again.
//! * A pusher publishes, fences, and notes the class unless it is noted. Whoever has passed over an empty class to take
//!   something less urgent strikes it, fences, looks at it once more, and notes it again if there is a job after all. Of
//!   the two fences one comes first: either the pusher sees that the class has been struck, or the other one sees the job.
//!
//! A program that uses one class sets one bit once: nobody ever passes over it.

use crate::bits::Field;
use crate::sync::AtomicU64;
use crate::sync::Line;
use crate::sync::Ordering;
use crate::sync::fence;
use crate::sync::planted;

/// How many classes there are.
pub(crate) const CLASSES: usize = 5;

const CLASS: Field = Field::lowest(CLASSES as u32);
const TICKS: Field = CLASS.above(64 - CLASSES as u32);
const _: () = assert!(CLASS.end() == CLASSES as u32 && TICKS.end() == 64);

/// A set of classes, which are numbered from the least urgent one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Classes(u64);

impl Classes {
    #[inline]
    pub(crate) fn has(self, class: usize) -> bool {
        self.0 >> class & 1 != 0
    }

    /// True if there is one more urgent than `class`.
    #[inline]
    pub(crate) fn reach_above(self, class: usize) -> bool {
        self.0 >> class > 1
    }

    /// Those more urgent than `class`.
    pub(crate) fn above(self, class: usize) -> Self {
        Self(self.0 & (CLASS.mask() << (class + 1)))
    }

    /// `class`, if it is among them, and those more urgent.
    pub(crate) fn from(self, class: usize) -> Self {
        Self(self.0 & (CLASS.mask() << class))
    }

    /// Those less urgent than `class`.
    pub(crate) fn below(self, class: usize) -> Self {
        Self(self.0 & !(CLASS.mask() << class))
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The most urgent one.
    pub(crate) fn first(self) -> Option<usize> {
        self.0.checked_ilog2().map(|class| class as usize)
    }

    /// The most urgent one first.
    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        std::iter::successors(self.first(), move |class| self.below(*class).first())
    }
}

/// A reading of the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot(u64);

impl Snapshot {
    /// The classes that may have jobs.
    #[inline]
    pub(crate) fn classes(self) -> Classes {
        Classes(CLASS.get(self.0))
    }

    /// What the sentinel's clock shows.
    #[inline]
    pub(crate) fn ticks(self) -> u64 {
        TICKS.get(self.0)
    }
}

/// The word.
#[derive(Debug)]
pub(crate) struct Demand(Line<AtomicU64>);

impl Demand {
    /// Nothing is queued.
    pub(crate) fn new() -> Self {
        Self(Line(AtomicU64::new(0)))
    }

    #[inline]
    pub(crate) fn read(&self) -> Snapshot {
        // Relaxed: the word says where to look, and the queue that is looked at carries the job.
        Snapshot(self.0.load(Ordering::Relaxed))
    }

    /// The classes that may have jobs.
    #[inline]
    pub(crate) fn classes(&self) -> Classes {
        self.read().classes()
    }

    /// Lets a tick of the clock by which drains measure their turns go by.
    pub(crate) fn tick(&self) {
        // Relaxed: a drain that has not seen it yet will see it between two of its next jobs.
        self.0.fetch_add(TICKS.one(), Ordering::Relaxed);
    }

    /// Notes that there may be jobs of `class`. Whoever has published one has fenced since.
    #[inline]
    pub(crate) fn note(&self, class: usize) {
        if !self.classes().has(class) {
            // Relaxed: the fences order it, here and in `strike`.
            self.0.fetch_or(1 << class, Ordering::Relaxed);
        }
    }

    /// As [`Demand::note`], for a caller that has only just published the jobs.
    pub(crate) fn fence_and_note(&self, class: usize) {
        // Pairs with the fence in `strike`.
        fence(Ordering::SeqCst);
        self.note(class);
    }

    /// Strikes classes that were seen empty. The caller looks at them once more, and notes those that are not.
    pub(crate) fn strike(&self, classes: Classes) {
        // Relaxed, as the fence follows.
        self.0.fetch_and(!classes.0, Ordering::Relaxed);
        // Pairs with the fence between publishing a job and noting its class: if that one came first, the caller's look
        // finds the job, and otherwise the pusher finds the class struck.
        if !planted!("pool_strike_without_fence") {
            fence(Ordering::SeqCst);
        }
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = Classes> {
        (0..=CLASS.mask()).map(Classes)
    }

    #[test]
    fn a_tick_changes_no_class_and_no_class_changes_the_clock() {
        for before in all() {
            for class in 0..CLASSES {
                let demand = Demand(Line(AtomicU64::new(before.0)));
                demand.tick();
                assert_eq!((demand.classes(), demand.read().ticks()), (before, 1));
                demand.note(class);
                demand.strike(before);
                assert_eq!(demand.read().ticks(), 1);
                demand.tick();
                assert_eq!(demand.read().ticks(), 2);
            }
        }
        let last = Demand(Line(AtomicU64::new(TICKS.mask() | 1)));
        last.tick();
        assert_eq!((last.classes(), last.read().ticks()), (Classes(1), 0));
    }

    #[test]
    fn classes_come_the_most_urgent_first() {
        for classes in all() {
            let numbers: Vec<_> = (0..CLASSES).rev().filter(|class| classes.0 >> class & 1 == 1).collect();
            assert!(classes.iter().eq(numbers.iter().copied()));
            assert_eq!(classes.first(), numbers.first().copied());
            assert_eq!(classes.is_empty(), numbers.is_empty());
            for class in 0..CLASSES {
                assert_eq!(classes.has(class), numbers.contains(&class));
                assert_eq!(classes.reach_above(class), !classes.above(class).is_empty());
                assert!(classes.above(class).iter().eq(numbers.iter().copied().filter(|other| *other > class)));
                assert!(classes.from(class).iter().eq(numbers.iter().copied().filter(|other| *other >= class)));
                assert!(classes.below(class).iter().eq(numbers.iter().copied().filter(|other| *other < class)));
            }
        }
    }

    #[test]
    fn a_class_is_demanded_from_its_note_until_it_is_struck() {
        for before in all() {
            for class in 0..CLASSES {
                let demand = Demand(Line(AtomicU64::new(before.0)));
                demand.note(class);
                assert_eq!(demand.classes().0, before.0 | 1 << class);
                demand.fence_and_note(class);
                assert_eq!(demand.classes().0, before.0 | 1 << class);
                demand.strike(before.above(class));
                assert_eq!(demand.classes().0, before.below(class).0 | 1 << class);
            }
        }
    }
}
