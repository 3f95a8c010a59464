//! The shuttle face: random and exhaustive schedules over the real protocols, every atomic sequentially consistent.

use std::cell;
use std::time::Instant;

pub(crate) use crossbeam_deque::{Injector, Steal, Stealer, Worker as Deque};
pub(crate) use shuttle::hint::spin_loop;
pub(crate) use shuttle::sync::MutexGuard;
pub(crate) use shuttle::sync::atomic::{
    AtomicBool, AtomicI64, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, fence,
};
pub(crate) use shuttle::thread::yield_now;
pub(crate) use shuttle::thread_local;

/// Orders `SeqCst` accesses of different words, which shuttle does by itself.
pub(crate) fn handshake() {}

/// No thread of a model is the one that the process began with.
pub(crate) fn is_first_thread() -> bool {
    false
}

/// Threads have no numbers in a model, which has no statics to count them: a model names them itself.
pub(crate) fn ordinal() -> u32 {
    0
}

/// shuttle's mutex without poisoning.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap()
    }
}

/// shuttle's condition variable with the call shape of parking_lot's.
#[derive(Debug, Default)]
pub(crate) struct Condvar(shuttle::sync::Condvar);

impl Condvar {
    pub(crate) const fn new() -> Self {
        Self(shuttle::sync::Condvar::new())
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        // SAFETY: the guard is read once and written back; `wait` unwinds only when shuttle has failed the whole
        // execution, and then the process ends.
        unsafe { std::ptr::write(guard, self.0.wait(std::ptr::read(guard)).unwrap()) };
    }

    /// Virtual time never passes in a model: this never times out.
    pub(crate) fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, _: Instant) {
        self.wait(guard);
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
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

    pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}
