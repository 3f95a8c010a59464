//! What a handler of the operating system's leaves for the turns of a source: how often it has run, and who was last.
//!
//! A handler interrupts whatever its thread is doing, this module included. So it takes no lock, allocates nothing and
//! waits for nothing: it adds to one word. The word going up from zero is the one event that rings the bell; how nothing
//! is lost between the two is proved in `README.md`.
//!
//! ```text
//!  63                          0     63            32 31             0
//! ┌─────────────────────────────┐   ┌────────────────┬────────────────┐
//! │            COUNT            │   │      PID       │      UID       │
//! └─────────────────────────────┘   └────────────────┴────────────────┘
//! ```
//!
//! - **COUNT**: how often the handler has run since a turn last took it.
//!
//! | count | from | who goes on |
//! |---|---|---|
//! | 0 | `take` | the next `add` makes it 1 and rings |
//! | 1 or more | `add` | the bell has been rung, or is being: the loop will look, and have a turn begin that takes it |
//!
//! - **PID** and **UID** are those of the last sender, in one word so that they are one sender's. No process has the
//!   number 0: it stands for nobody.

use crate::sync::AtomicBool;
use crate::sync::AtomicU64;
use crate::sync::Ordering;
use crate::sync::planted;

const PID_BITS: u32 = 32;

/// Who has sent a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SignalSender {
    /// The process, by its number.
    pub pid: u32,
    /// The user that it belongs to.
    pub uid: u32,
}

impl SignalSender {
    fn word_of(sender: Option<Self>) -> u64 {
        sender.map_or(0, |Self { pid, uid }| u64::from(pid) << PID_BITS | u64::from(uid))
    }

    fn of_word(word: u64) -> Option<Self> {
        let sender = Self { pid: (word >> PID_BITS) as u32, uid: word as u32 };
        (sender.pid != 0).then_some(sender)
    }
}

/// What an arrival leaves for its handler to do.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duty {
    /// Nothing: whoever made the count positive rings.
    Nothing,
    /// Ring the bell.
    Ring,
}

/// The arrivals of a signal that no turn has taken yet.
///
/// Every access of the count is `SeqCst`, for the proof in `README.md`. It also carries the last sender: whoever takes
/// a count reads the word of its last addition, or a later one.
#[derive(Debug)]
pub(crate) struct Tally {
    count: AtomicU64,
    last: AtomicU64,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self { count: AtomicU64::new(0), last: AtomicU64::new(0) }
    }

    /// Counts one arrival. Async-signal-safe.
    pub(crate) fn add(&self, sender: Option<SignalSender>) -> Duty {
        // Relaxed: the addition behind it carries it.
        self.last.store(SignalSender::word_of(sender), Ordering::Relaxed);
        let before = if planted!("signal_adds_in_two_steps") {
            let before = self.count.load(Ordering::SeqCst);
            self.count.store(before + 1, Ordering::SeqCst);
            before
        } else {
            self.count.fetch_add(1, Ordering::SeqCst)
        };
        if before == 0 { Duty::Ring } else { Duty::Nothing }
    }

    /// True if a turn would find something to take.
    pub(crate) fn is_pending(&self) -> bool {
        self.count.load(Ordering::SeqCst) != 0
    }

    /// Takes all arrivals: how many they are, and who sent the last of them, or one that comes after them.
    pub(crate) fn take(&self) -> (u64, Option<SignalSender>) {
        let count = self.count.swap(0, Ordering::SeqCst);
        // Relaxed: the swap has acquired what the last addition carried.
        (count, SignalSender::of_word(self.last.load(Ordering::Relaxed)))
    }
}

/// Tells the first arrival of several signals from all others.
#[derive(Debug)]
pub(crate) struct First(AtomicBool);

impl First {
    pub(crate) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// True for one caller. Async-signal-safe.
    pub(crate) fn come(&self) -> bool {
        // Relaxed: one exchange finds it unset, and nothing else is decided by it.
        !self.0.swap(true, Ordering::Relaxed)
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn only_the_arrival_that_makes_the_count_positive_rings() {
        let tally = Tally::new();
        for count in [1, 2, 7] {
            assert!(!tally.is_pending());
            let duties: Vec<_> = (1..=count).map(|pid| tally.add(Some(SignalSender { pid, uid: 9 }))).collect();
            assert_eq!(duties[0], Duty::Ring);
            assert!(duties[1..].iter().all(|duty| *duty == Duty::Nothing) && tally.is_pending());
            assert_eq!(tally.take(), (u64::from(count), Some(SignalSender { pid: count, uid: 9 })));
        }
        assert_eq!(tally.take().0, 0);
    }

    #[test]
    fn a_sender_is_kept_whole_and_nobody_takes_its_place() {
        let tally = Tally::new();
        let all = Some(SignalSender { pid: u32::MAX, uid: u32::MAX });
        assert_eq!((tally.add(all), tally.take()), (Duty::Ring, (1, all)));
        assert_eq!((tally.add(all), tally.add(None)), (Duty::Ring, Duty::Nothing));
        assert_eq!(tally.take(), (2, None));
    }

    #[test]
    fn one_arrival_is_the_first() {
        let first = First::new();
        assert_eq!([first.come(), first.come(), first.come()], [true, false, false]);
    }
}
