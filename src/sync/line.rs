//! A value on a cache line of its own.

use std::ops::Deref;

/// Aligns `T` to 64 bytes, the line of the machines we run on, so that its writers do not slow its neighbours' readers.
///
/// `crossbeam_utils::CachePadded` uses 128 on x86-64, for the adjacent-line prefetcher. For what a pool has many of, half of
/// that is the better trade. What there may be a hundred thousand of, as of queues, keeps its words apart by what stands
/// between them instead: an aligned allocation takes longer, and wastes up to a line.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Line<T>(pub(crate) T);

impl<T> Deref for Line<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
