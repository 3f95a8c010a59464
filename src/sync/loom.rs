//! The loom face: every access is a choice point, and orderings are checked against the C++ memory model.
//!
//! loom treats sequentially consistent accesses as acquire and release, so every two-word protocol of this crate uses
//! explicit `fence(SeqCst)`, which loom does model. Deques are a locked `VecDeque`: crossbeam-deque has no loom face.

use std::collections::VecDeque;
use std::time::Instant;

pub(crate) use loom::cell::UnsafeCell;
pub(crate) use loom::hint::spin_loop;
pub(crate) use loom::sync::MutexGuard;
pub(crate) use loom::sync::atomic::{
    AtomicBool, AtomicI64, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, fence,
};
pub(crate) use loom::thread::yield_now;

/// loom's thread-locals, which know no `const` initialiser: the block is an ordinary expression here.
macro_rules! thread_locals {
    ($(#[$meta:meta])* $vis:vis static $name:ident: $type:ty = const $init:block $(; $($rest:tt)*)?) => {
        loom::thread_local! { $(#[$meta])* $vis static $name: $type = $init }
        $(crate::sync::thread_local! { $($rest)* })?
    };
    ($($statics:tt)*) => { loom::thread_local! { $($statics)* } };
}
pub(crate) use thread_locals as thread_local;

/// Orders `SeqCst` accesses of different words: loom treats them as acquire and release, so here it is a fence.
pub(crate) fn handshake() {
    fence(super::Ordering::SeqCst);
}

/// No thread of a model is the one that the process began with.
pub(crate) fn is_first_thread() -> bool {
    false
}

/// Threads have no numbers in a model, which has no statics to count them: a model names them itself.
pub(crate) fn ordinal() -> u32 {
    0
}

/// loom's mutex without poisoning.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap()
    }
}

/// loom's condition variable with the call shape of parking_lot's.
#[derive(Debug, Default)]
pub(crate) struct Condvar(loom::sync::Condvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(loom::sync::Condvar::new())
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        replace_with::replace(guard, |guard| self.0.wait(guard).unwrap());
    }

    /// loom has no time: this never times out.
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

mod replace_with {
    /// Replaces `*slot` by `f(*slot)`; a panic inside `f` ends the process, as the slot would be empty.
    pub(super) fn replace<T>(slot: &mut T, f: impl FnOnce(T) -> T) {
        struct Abort;
        impl Drop for Abort {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    std::process::abort();
                }
            }
        }
        let abort = Abort;
        // SAFETY: the value is read once and written back before anybody can see the slot: `Abort` ends the process on
        // the only other way out.
        unsafe { std::ptr::write(slot, f(std::ptr::read(slot))) };
        drop(abort);
    }
}

/// What a steal found.
#[derive(Debug)]
pub(crate) enum Steal<T> {
    Empty,
    Success(T),
    #[allow(dead_code, reason = "only crossbeam's lock-free deques ask for another try")]
    Retry,
}

/// crossbeam's `Worker`, as a locked list.
#[derive(Debug)]
pub(crate) struct Deque<T>(std::sync::Arc<Mutex<VecDeque<T>>>);

/// crossbeam's `Stealer`.
#[derive(Debug)]
pub(crate) struct Stealer<T>(std::sync::Arc<Mutex<VecDeque<T>>>);

/// crossbeam's `Injector`.
#[derive(Debug)]
pub(crate) struct Injector<T>(Mutex<VecDeque<T>>);

impl<T> Deque<T> {
    pub(crate) fn new_lifo() -> Self {
        Self(std::sync::Arc::new(Mutex::new(VecDeque::new())))
    }

    pub(crate) fn stealer(&self) -> Stealer<T> {
        Stealer(std::sync::Arc::clone(&self.0))
    }

    pub(crate) fn push(&self, task: T) {
        self.0.lock().push_back(task);
    }

    pub(crate) fn pop(&self) -> Option<T> {
        self.0.lock().pop_back()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}

fn taken<T>(task: Option<T>) -> Steal<T> {
    task.map_or(Steal::Empty, Steal::Success)
}

impl<T> Stealer<T> {
    pub(crate) fn steal(&self) -> Steal<T> {
        taken(self.0.lock().pop_front())
    }

    /// Takes one task; the model needs no batches.
    pub(crate) fn steal_batch_and_pop(&self, _: &Deque<T>) -> Steal<T> {
        self.steal()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().len()
    }
}

impl<T> Clone for Stealer<T> {
    fn clone(&self) -> Self {
        Self(std::sync::Arc::clone(&self.0))
    }
}

impl<T> Injector<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(VecDeque::new()))
    }

    pub(crate) fn push(&self, task: T) {
        self.0.lock().push_back(task);
    }

    pub(crate) fn steal(&self) -> Steal<T> {
        taken(self.0.lock().pop_front())
    }

    /// Takes one task; the model needs no batches.
    pub(crate) fn steal_batch_and_pop(&self, _: &Deque<T>) -> Steal<T> {
        self.steal()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().len()
    }
}
