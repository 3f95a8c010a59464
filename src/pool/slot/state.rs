//! The small words of the slots: which are in a set, whether a bell has rung, and how far a worker has come.
//!
//! Each is one word with one rule. The counts that go with them are the pool's [`State`](crate::pool::state::State).
//!
//! ```text
//! SlotSet   63                              0    one bit per slot, as many words as needed
//!           [ slot 63 | ..          | slot 0 ]
//! Bell      [ rung                           ]
//! Pace      63                         1  0
//!           [ STEPS                     ][RUNNING]
//! Label     [ class                          ]
//! ```
//!
//! * A bit belongs to whoever clears it: a sleeper's bit is cleared once, by a caller or by the sleeper itself.
//! * `rung`: a caller has taken the worker's bit and has counted it. Cleared by the worker.
//! * `STEPS`: jobs started by the slot's workers. Written by the worker alone, read by the sentinel, which only compares.
//! * `RUNNING`: a job runs. An unchanged word with `RUNNING` is a worker that is stuck in one job.
//! * `class`: of all jobs in the slot's deque. Changed by the worker alone, and only while the deque is empty.

use crate::bits::Field;
use crate::sync::AtomicBool;
use crate::sync::AtomicU64;
use crate::sync::AtomicUsize;
use crate::sync::Line;
use crate::sync::Ordering;
use crate::sync::Parker;
use std::time::Instant;

const RUNNING: Field = Field::lowest(1);
const STEPS: Field = RUNNING.above(63);
const _: () = assert!(STEPS.end() == 64);

/// A set of slot numbers.
#[derive(Debug)]
pub(crate) struct SlotSet {
    words: Box<[AtomicU64]>,
    capacity: usize,
}

impl SlotSet {
    /// An empty set of numbers below `capacity`.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { words: (0..capacity.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(), capacity }
    }

    pub(crate) fn insert(&self, slot: usize) {
        // Release: pairs with the Acquire of whoever takes the bit. What the worker must see of others' pushes, the
        // fence that follows orders.
        let before = self.words[slot / 64].fetch_or(1 << (slot % 64), Ordering::Release);
        debug_assert!(before & 1 << (slot % 64) == 0, "slot {slot} is in the set already");
    }

    /// Takes `slot` out; false if somebody else has.
    pub(crate) fn remove(&self, slot: usize) -> bool {
        // AcqRel: what the owner did before `insert` is seen by the taker, and the next owner sees what the taker did.
        self.words[slot / 64].fetch_and(!(1 << (slot % 64)), Ordering::AcqRel) & 1 << (slot % 64) != 0
    }

    /// Takes the lowest number out, so that the same few workers stay warm and the others can retire.
    #[must_use]
    pub(crate) fn pop(&self) -> Option<usize> {
        for (index, word) in self.words.iter().enumerate() {
            // Relaxed: only a hint which bit to try; a stale one fails in `remove`.
            let mut bits = word.load(Ordering::Relaxed);
            while bits != 0 {
                let slot = index * 64 + bits.trailing_zeros() as usize;
                if self.remove(slot) {
                    return Some(slot);
                }
                bits = word.load(Ordering::Relaxed);
            }
        }
        None
    }

    /// Puts the lowest number in that is not there.
    #[must_use]
    pub(crate) fn claim(&self) -> Option<usize> {
        for (index, word) in self.words.iter().enumerate() {
            loop {
                let free = !word.load(Ordering::Relaxed);
                let slot = index * 64 + free.trailing_zeros() as usize;
                if free == 0 || slot >= self.capacity {
                    break;
                }
                // AcqRel: as in `remove`, seen from the other side.
                if word.fetch_or(1 << (slot % 64), Ordering::AcqRel) & 1 << (slot % 64) == 0 {
                    return Some(slot);
                }
            }
        }
        None
    }

    /// The numbers in the set, each word's read once, starting with the word and the bit of `first` and going around.
    pub(crate) fn iter_from(&self, first: usize) -> impl Iterator<Item = usize> {
        let (start, turn) = (first / 64 % self.words.len(), first as u32 % 64);
        (start..self.words.len()).chain(0..start).flat_map(move |index| {
            // Acquire: whoever finds a slot here also finds what its claimer prepared.
            let mut bits = self.words[index].load(Ordering::Acquire).rotate_right(turn);
            std::iter::from_fn(move || {
                (bits != 0).then(|| {
                    let bit = bits.trailing_zeros();
                    bits &= bits - 1;
                    index * 64 + ((bit + turn) % 64) as usize
                })
            })
        })
    }
}

/// Where a sleeping worker waits for its call.
#[derive(Debug)]
pub(crate) struct Bell {
    rung: AtomicBool,
    parker: Parker,
}

impl Bell {
    pub(crate) fn new() -> Self {
        Self { rung: AtomicBool::new(false), parker: Parker::new() }
    }

    /// Calls the worker, whose bit the caller has taken and whom it has counted.
    pub(crate) fn ring(&self) {
        // Release: pairs with the Acquire in `wait`: the worker sees that it has been counted.
        self.rung.store(true, Ordering::Release);
        self.parker.unpark();
    }

    /// Sleeps until the call, which is used up; false if the deadline passes first.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> bool {
        loop {
            if self.rung.load(Ordering::Acquire) {
                // Relaxed: the next call comes only after the worker has entered the set of sleepers again.
                self.rung.store(false, Ordering::Relaxed);
                return true;
            }
            if deadline.is_some_and(|deadline| crate::sync::now() >= deadline) {
                return false;
            }
            self.parker.park(deadline);
        }
    }
}

/// How far a worker has come, for the sentinel to compare.
#[derive(Debug)]
pub(crate) struct Pace(Line<AtomicU64>);

// Relaxed everywhere: one thread writes, and the sentinel draws its conclusions from two readings a tick apart.
impl Pace {
    pub(crate) fn new() -> Self {
        Self(Line(AtomicU64::new(0)))
    }

    /// The worker starts a job.
    #[inline]
    pub(crate) fn step(&self) {
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(before.wrapping_add(STEPS.one()) | RUNNING.mask(), Ordering::Relaxed);
    }

    /// The worker has run out of jobs, or waits.
    pub(crate) fn rest(&self) {
        self.0.store(self.0.load(Ordering::Relaxed) & !RUNNING.mask(), Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// True if the reading shows a worker inside a job.
    pub(crate) fn is_running(reading: u64) -> bool {
        reading & RUNNING.mask() != 0
    }

    /// True if both readings, the second one later, show the worker in the same job.
    pub(crate) fn is_stuck(earlier: u64, later: u64) -> bool {
        earlier == later && Self::is_running(later)
    }
}

/// The class of the jobs in a deque.
///
/// A thief reads it after it has seen a job, and takes that job later: if the worker has emptied the deque and begun
/// another class in between, what the thief takes passes for the old class. At most one batch then runs out of its order.
#[derive(Debug)]
pub(crate) struct Label(AtomicUsize);

// Relaxed everywhere: the deque's own operations order the label with the jobs.
impl Label {
    pub(crate) fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    #[inline]
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// By the slot's worker, while its deque is empty.
    pub(crate) fn set(&self, class: usize) {
        self.0.store(class, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_set_gives_the_lowest_number_and_each_number_once() {
        let set = SlotSet::new(130);
        for slot in [129, 64, 3, 70] {
            set.insert(slot);
        }
        assert_eq!(set.iter_from(0).collect::<Vec<_>>(), [3, 64, 70, 129]);
        assert_eq!(set.iter_from(65).collect::<Vec<_>>(), [70, 64, 129, 3]);
        assert!(set.remove(64));
        assert!(!set.remove(64));
        assert_eq!([set.pop(), set.pop(), set.pop(), set.pop()], [Some(3), Some(70), Some(129), None]);
    }

    #[test]
    fn a_set_is_claimed_up_to_its_capacity() {
        let set = SlotSet::new(66);
        for slot in 0..66 {
            assert_eq!(set.claim(), Some(slot));
        }
        assert_eq!(set.claim(), None);
        assert!(set.remove(9));
        assert_eq!(set.claim(), Some(9));
    }

    #[test]
    fn a_worker_is_stuck_only_in_one_and_the_same_job() {
        let pace = Pace::new();
        let asleep = pace.read();
        assert!(!Pace::is_stuck(asleep, pace.read()));
        pace.step();
        let first = pace.read();
        assert!(!Pace::is_stuck(asleep, first));
        assert!(Pace::is_stuck(first, pace.read()));
        pace.step();
        assert!(!Pace::is_stuck(first, pace.read()));
        let second = pace.read();
        pace.rest();
        assert!(!Pace::is_stuck(second, pace.read()) && !Pace::is_stuck(pace.read(), pace.read()));
    }

    #[test]
    fn a_bell_rings_once_and_times_out() {
        let bell = Bell::new();
        assert!(!bell.wait(Some(Instant::now())));
        bell.ring();
        assert!(bell.wait(None));
        assert!(!bell.wait(Some(Instant::now() + std::time::Duration::from_millis(1))));
    }
}
