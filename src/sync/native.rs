//! The machine itself: standard atomics, parking_lot locks, crossbeam deques.

use std::cell;

pub(crate) use crossbeam_deque::{Injector, Steal, Stealer, Worker as Deque};
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};
pub(crate) use std::hint::spin_loop;
#[cfg(not(concourse_tsan))]
pub(crate) use std::sync::atomic::fence;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize};
pub(crate) use std::thread::yield_now;
pub(crate) use std::thread_local;

/// A fence that ThreadSanitizer can see: it knows read-modify-writes, not standalone fences.
#[cfg(concourse_tsan)]
pub(crate) fn fence(_: std::sync::atomic::Ordering) {
    static FENCE: AtomicU32 = AtomicU32::new(0);
    FENCE.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
}

/// An unsafe cell with the two doors that loom's has.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct UnsafeCell<T>(cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(cell::UnsafeCell::new(value))
    }

    /// Reads: no writer may be active on another thread.
    #[inline(always)]
    pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    /// Writes: no other access may be active on another thread.
    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}
