//! A value on a cache line of its own.

use std::ops::Deref;

/// Aligns `T` to 64 bytes, the line of the machines we run on, so that its writers do not slow its neighbours' readers.
///
/// `crossbeam_utils::CachePadded` uses 128 on x86-64, for the adjacent-line prefetcher. A queue is mostly these lines,
/// and a thousand queues should fit in a cache, so half of that is the better trade here.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Line<T>(pub(crate) T);

impl<T> Deref for Line<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
