//! A 64-bit word that many threads change and one collects, spread over several cache lines once they collide.
//!
//! An unused or quietly used word is one cell, the base. The collector adds stripes, one cell per cache line, when it
//! finds that different threads took turns at the base many times within one collection; from then on every thread has
//! its own stripe. The stripes are allocated by the collector only, so changing the word never allocates, and they stay
//! until the word is dropped. Nothing here orders anything between two words: the protocol around it does
//! (`source/README.md`), which is why every access to a cell is `SeqCst`.
#![allow(unsafe_code, reason = "the stripes are published through an atomic pointer, so that a change costs one load")]

use crate::sync::AtomicPtr;
use crate::sync::AtomicU64;
use crate::sync::Line;
use crate::sync::Ordering;
use crate::sync::ordinal;
use std::fmt;
use std::ptr;

/// How many stripes there are: a power of two, and 1 KiB in all. A model has two.
const STRIPES: usize = if cfg!(concourse_loom) { 2 } else { 16 };

/// The base has changed hands this often within one collection: its users run in parallel, as threads that are merely
/// scheduled one after the other change hands once per time slice. A wrong guess costs the memory of the stripes.
const CROWDED: u64 = 8;

/// The largest step that is added before it is known whether it fits: 2^31 threads would have to overshoot at the same
/// moment to wrap the guard bit away.
const STEP: u64 = 1 << 32;

type Stripes = [Line<AtomicU64>; STRIPES];

/// A word changed by many threads and collected by one.
pub(crate) struct Striped {
    base: AtomicU64,
    /// The ordinal of the thread that used the base last (low half), and how often that changed since the last
    /// collection (high half). A hint: changes may get lost.
    mark: AtomicU64,
    /// Null until the base was crowded; never changes again afterwards.
    stripes: AtomicPtr<Stripes>,
}

impl Striped {
    /// The sum at which [`add`](Self::add) stays: the cells' guard bit.
    pub(crate) const LIMIT: u64 = 1 << 63;

    /// An empty word of one cell.
    pub(crate) fn new() -> Self {
        Self { base: AtomicU64::new(0), mark: AtomicU64::new(0), stripes: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Adds `n` to the thread's cell; a cell stays at [`LIMIT`](Self::LIMIT) when it gets there.
    #[inline(always)]
    pub(crate) fn add(&self, n: u64) {
        self.add_as(ordinal(), n);
    }

    /// Adds `n` as the thread with this ordinal would.
    #[inline(always)]
    pub(crate) fn add_as(&self, ordinal: u32, n: u64) {
        let cell = self.cell(ordinal);
        if n > STEP {
            return add_much(cell, n);
        }
        // SeqCst: the caller's next load of another word stays behind it.
        if cell.fetch_add(n, Ordering::SeqCst) + n >= Self::LIMIT {
            clamp(cell);
        }
    }

    /// Sets `bits` in the thread's cell.
    #[inline(always)]
    pub(crate) fn or(&self, bits: u64) {
        // SeqCst: as in `add_as`.
        self.cell(ordinal()).fetch_or(bits, Ordering::SeqCst);
    }

    /// Takes what all cells hold and leaves zero, folding the cells from left to right, and adds the stripes if the
    /// base was crowded. Meant for one thread at a time: two would share out the cells between them.
    pub(crate) fn take(&self, fold: impl Fn(u64, u64) -> u64) -> u64 {
        // SeqCst, here and below: the caller's earlier change of another word stays before it.
        let base = self.base.swap(0, Ordering::SeqCst);
        if let Some(stripes) = self.stripes() {
            stripes.iter().filter(|cell| cell.load(Ordering::SeqCst) != 0).fold(base, |value, cell| {
                // A cell that was not zero is not zero now: only this swap makes it so.
                fold(value, cell.swap(0, Ordering::SeqCst))
            })
        } else {
            self.relieve();
            base
        }
    }

    /// Adds the stripes if the base was crowded since the last time.
    fn relieve(&self) {
        // Relaxed, for the mark everywhere: it decides about speed only.
        let mark = self.mark.load(Ordering::Relaxed);
        if mark >> 32 >= CROWDED {
            self.grow();
        } else if mark >> 32 != 0 {
            self.mark.store(mark & u64::from(u32::MAX), Ordering::Relaxed);
        }
    }

    /// Adds the stripes.
    #[cold]
    pub(crate) fn grow(&self) {
        let stripes: Box<Stripes> = Box::new(std::array::from_fn(|_| Line(AtomicU64::new(0))));
        let stripes = Box::into_raw(stripes);
        // Release: pairs with the Acquire load in `stripes`, so whoever sees the stripes sees them zeroed.
        let release = if cfg!(concourse_planted = "relaxed_grow") { Ordering::Relaxed } else { Ordering::Release };
        if self.stripes.compare_exchange(ptr::null_mut(), stripes, release, Ordering::Relaxed).is_err() {
            // SAFETY: the exchange failed, so nobody else knows this box.
            drop(unsafe { Box::from_raw(stripes) });
        }
    }

    #[inline(always)]
    fn stripes(&self) -> Option<&Stripes> {
        // Acquire: pairs with the Release in `grow`.
        // SAFETY: the pointer is null or comes from the box that `grow` published, which lives as long as `self`.
        unsafe { self.stripes.load(Ordering::Acquire).as_ref() }
    }

    /// The cell that the thread with this ordinal changes.
    #[inline(always)]
    fn cell(&self, ordinal: u32) -> &AtomicU64 {
        if let Some(stripes) = self.stripes() {
            return &stripes[ordinal as usize % STRIPES];
        }
        let mark = self.mark.load(Ordering::Relaxed);
        if mark as u32 != ordinal {
            self.mark.store((((mark >> 32) + 1) << 32) | u64::from(ordinal), Ordering::Relaxed);
        }
        &self.base
    }
}

/// Brings a cell that overshot back to the limit, unless it has been collected meanwhile.
#[cold]
fn clamp(cell: &AtomicU64) {
    let over = |sum| (sum > Striped::LIMIT).then_some(Striped::LIMIT);
    let _ = cell.fetch_update(Ordering::SeqCst, Ordering::SeqCst, over);
}

/// Adds a step that could itself reach the guard bit.
#[cold]
fn add_much(cell: &AtomicU64, n: u64) {
    let add = |sum: u64| Some(sum.saturating_add(n).min(Striped::LIMIT));
    let _ = cell.fetch_update(Ordering::SeqCst, Ordering::SeqCst, add);
}

impl Drop for Striped {
    fn drop(&mut self) {
        // Acquire: as in `stripes`.
        let stripes = self.stripes.load(Ordering::Acquire);
        if !stripes.is_null() {
            // SAFETY: `grow` published this box once, and no reference to it outlives `self`.
            drop(unsafe { Box::from_raw(stripes) });
        }
    }
}

impl fmt::Debug for Striped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Striped").field("striped", &self.stripes().is_some()).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use super::*;

    fn sum(striped: &Striped) -> u64 {
        striped.take(|a, b| a.saturating_add(b).min(Striped::LIMIT))
    }

    #[test]
    fn one_thread_never_makes_the_word_grow() {
        let word = Striped::new();
        for _ in 0..1_000 {
            (0..100).for_each(|_| word.add_as(7, 1));
            assert_eq!(sum(&word), 100);
        }
        assert!(word.stripes().is_none());
    }

    #[test]
    fn threads_that_follow_one_another_never_make_the_word_grow() {
        let word = Striped::new();
        for ordinal in 0..1_000 {
            (0..10).for_each(|_| word.add_as(ordinal, 1));
            assert_eq!(sum(&word), 10);
        }
        assert!(word.stripes().is_none());
    }

    #[test]
    fn threads_that_alternate_get_their_stripes_and_nothing_is_lost() {
        let word = Striped::new();
        (0..10).for_each(|i| word.add_as(i % 2, 1));
        assert_eq!(sum(&word), 10);
        let stripes = word.stripes().expect("a crowded word has stripes after the next collection");
        (0..10).for_each(|i| word.add_as(i % 2, 1));
        assert_eq!(word.base.load(Ordering::SeqCst), 0);
        assert!(stripes[..2].iter().all(|cell| cell.load(Ordering::SeqCst) == 5));
        assert_eq!(sum(&word), 10);
        assert_eq!(sum(&word), 0);
    }

    #[test]
    fn a_sum_stays_at_the_limit_however_it_gets_there() {
        let word = Striped::new();
        word.add(Striped::LIMIT - 1);
        assert_eq!(sum(&word), Striped::LIMIT - 1);
        word.add(Striped::LIMIT - 1);
        (0..5).for_each(|_| word.add(1));
        assert_eq!(word.base.load(Ordering::SeqCst), Striped::LIMIT);
        word.add(u64::MAX);
        assert_eq!(sum(&word), Striped::LIMIT);
        assert_eq!(sum(&word), 0);

        word.grow();
        word.add_as(0, u64::MAX);
        word.add_as(1, u64::MAX);
        word.add_as(1, STEP);
        assert_eq!(sum(&word), Striped::LIMIT);
    }

    #[test]
    fn bits_from_all_cells_come_together() {
        let word = Striped::new();
        word.or(1);
        word.grow();
        word.or(2);
        word.add_as(3, 4);
        assert_eq!(word.take(|a, b| a | b), 7);
    }
}
