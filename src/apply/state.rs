//! The two counters of an `apply`: which indices are still to be claimed, and how many helpers may still be called.
//!
//! Both only decide who does what. What an index does reaches the caller when its thread leaves the loan of the body.

use crate::sync::AtomicUsize;
use crate::sync::Line;
use crate::sync::Ordering;
use std::ops::Range;

/// The indices that nobody has claimed: from `next` to `end`.
#[derive(Debug)]
pub(super) struct Indices {
    /// On a line of its own: everybody who takes part writes it.
    next: Line<AtomicUsize>,
    end: usize,
    participants: usize,
}

impl Indices {
    /// All indices below `end`, for about so many participants.
    pub(super) fn below(end: usize, participants: usize) -> Self {
        Self { next: Line(AtomicUsize::new(0)), end, participants }
    }

    /// Claims the next indices, `at_most` so many; none if there are none left.
    ///
    /// Towards the end a claim becomes smaller, so that all participants end at about the same time.
    pub(super) fn claim(&self, at_most: usize) -> Option<Range<usize>> {
        let claimed = |next: usize| {
            let left = self.end - next;
            (left / (2 * self.participants)).clamp(1, at_most).min(left)
        };
        let after = |next| (next < self.end).then(|| next + claimed(next));
        // Relaxed: the exchange only decides whose they are.
        let next = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after).ok()?;
        Some(next..next + claimed(next))
    }

    /// Leaves the rest to nobody.
    pub(super) fn stop(&self) {
        // Relaxed: a claim that expects another value fails and looks again.
        self.next.store(self.end, Ordering::Relaxed);
    }

    pub(super) fn are_left(&self) -> bool {
        self.next.load(Ordering::Relaxed) < self.end // A hint.
    }
}

/// How many helpers may still be called.
#[derive(Debug)]
pub(super) struct Helpers(AtomicUsize);

impl Helpers {
    pub(super) fn new(count: usize) -> Self {
        Self(AtomicUsize::new(count))
    }

    /// Takes up to `wanted` of them, and says how many.
    pub(super) fn take(&self, wanted: usize) -> usize {
        let rest = |left: usize| (left > 0).then(|| left.saturating_sub(wanted));
        // Relaxed: it only decides who calls.
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest).map_or(0, |left| left.min(wanted))
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn claims_cover_every_index_once_and_become_smaller() {
        for (end, participants) in [(1, 1), (2, 8), (100, 3), (1_000, 2), (usize::MAX, 1)] {
            let indices = Indices::below(end, participants);
            let mut next = 0;
            let mut largest = usize::MAX;
            while let Some(claimed) = indices.claim(usize::MAX) {
                assert_eq!(claimed.start, next);
                assert!(!claimed.is_empty() && claimed.len() <= largest);
                (next, largest) = (claimed.end, claimed.len());
            }
            assert_eq!(next, end);
            assert!(!indices.are_left());
        }
    }

    #[test]
    fn a_claim_is_no_larger_than_wanted_and_a_stop_leaves_nothing() {
        let indices = Indices::below(usize::MAX, 2);
        assert_eq!(indices.claim(1), Some(0..1));
        assert_eq!(indices.claim(10), Some(1..11));
        indices.stop();
        assert_eq!((indices.claim(1), indices.are_left()), (None, false));
    }

    #[test]
    fn helpers_are_called_up_to_their_number() {
        let helpers = Helpers::new(3);
        assert_eq!([helpers.take(2), helpers.take(2), helpers.take(2)], [2, 1, 0]);
    }
}
