//! The end of a period: a time in nanoseconds that only goes forward.
//!
//! Every merge of a debounced source moves it, and nobody waits for it, so it is a word of its own beside the lock of
//! what [waits](super::Wait). It says *when* a turn is to come; *that* one comes is for the state word of the source.

use crate::sync::AtomicU64;
use crate::sync::Ordering;

/// The end of the latest period. At its beginning there was none: it has ended at the clock's origin.
#[derive(Debug)]
pub(super) struct Period(AtomicU64);

impl Period {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(super) fn end(&self) -> u64 {
        // Relaxed, here and below: the word orders nothing. Whoever reads an old end is as early as one who came before.
        self.0.load(Ordering::Relaxed)
    }

    /// Lets the period last until `end` at least, or a new one begin. True if none was there at `now`, for one caller only
    /// if several come at once.
    pub(super) fn extend(&self, now: u64, end: u64) -> bool {
        // Not a plain store: somebody who was interrupted after looking at the clock would shorten it.
        self.0.fetch_max(end, Ordering::Relaxed) <= now
    }

    /// Lets a period begin if none is there at `now`; true if it does.
    pub(super) fn open(&self, now: u64, end: u64) -> bool {
        self.end() <= now && self.extend(now, end)
    }
}
