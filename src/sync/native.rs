//! The machine itself: standard atomics, parking_lot locks, crossbeam deques.

use super::fork::{CHILDS_NAP, nap};
use std::cell;

pub(crate) use crossbeam_deque::{Injector, Steal, Stealer, Worker as Deque};
pub(crate) use parking_lot::{Condvar, MutexGuard};
pub(crate) use std::hint::spin_loop;
#[cfg(not(concourse_tsan))]
pub(crate) use std::sync::atomic::fence;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize};
pub(crate) use std::thread::yield_now;
pub(crate) use std::thread_local;

/// A fence that ThreadSanitizer can see: it knows read-modify-writes, not standalone fences.
#[cfg(concourse_tsan)]
pub(crate) fn fence(_: std::sync::atomic::Ordering) {
    static FENCE: AtomicU32 = AtomicU32::new(0);
    FENCE.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
}

/// How often a forked child tries a lock. The crate holds locks for microseconds.
const CHILDS_TRIES: u32 = if cfg!(test) { 50 } else { 5_000 };

/// parking_lot's mutex. In a forked child, where the thread that held it may not exist, `lock` panics in the end.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(parking_lot::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(parking_lot::Mutex::new(value))
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        if super::is_child() { self.lock_in_child() } else { self.0.lock() }
    }

    #[cold]
    fn lock_in_child(&self) -> MutexGuard<'_, T> {
        for _ in 0..CHILDS_TRIES {
            if let Some(guard) = self.0.try_lock() {
                return guard;
            }
            nap(CHILDS_NAP);
        }
        panic!("a thread of the parent held a lock when this process was forked; use `exec` in the child")
    }
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

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use super::Mutex;
    use std::panic::AssertUnwindSafe;
    use std::panic::catch_unwind;

    #[test]
    fn a_child_does_not_wait_for_a_lock_without_end() {
        let lock = Mutex::new(7);
        let held = lock.lock();
        let waited = catch_unwind(AssertUnwindSafe(|| *lock.lock_in_child()));
        let message = waited.unwrap_err();
        assert!(message.downcast_ref::<&str>().unwrap().contains("when this process was forked"));
        drop(held);
        assert_eq!(*lock.lock_in_child(), 7);
    }
}
