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

/// Orders the accesses before it against those after it, where both are `SeqCst` accesses of different words.
///
/// The machine needs nothing here: such accesses are in one total order already, and after a read-modify-write a load is
/// free. It exists for loom, which treats them as acquire and release.
#[inline(always)]
pub(crate) fn handshake() {}

/// True on the thread that the process began with.
pub(crate) fn is_first_thread() -> bool {
    rustix::thread::gettid() == rustix::process::getpid()
}

static NEXT_ORDINAL: AtomicU32 = AtomicU32::new(0);

thread_local! {
    static ORDINAL: cell::Cell<u32> = const { cell::Cell::new(u32::MAX) };
}

/// The calling thread's number, counted in the order in which threads first ask.
#[inline(always)]
pub(crate) fn ordinal() -> u32 {
    #[cold]
    fn first(ordinal: &cell::Cell<u32>) -> u32 {
        // Relaxed: the number orders nothing.
        ordinal.set(NEXT_ORDINAL.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        ordinal.get()
    }
    ORDINAL.with(|ordinal| if ordinal.get() == u32::MAX { first(ordinal) } else { ordinal.get() })
}
