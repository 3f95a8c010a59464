//! A value that somebody else protects, and a count that proves it.
//!
//! Whoever uses a [`Protected`] value has seen to it that users who exclude each other never meet: a queue, for instance. The
//! count never makes anybody wait. It turns a mistake there into a panic, before there is a second reference that must not
//! be.
#![allow(unsafe_code, reason = "a value is given out by reference to whoever the count lets in")]

use crate::sync::AtomicU32;
use crate::sync::Ordering;
use crate::sync::UnsafeCell;

const ALONE: u32 = u32::MAX;

const STRAY: &str = "two uses of a value met that exclude each other";

/// A value with a count of those who use it at the moment.
#[derive(Debug)]
pub(crate) struct Protected<T> {
    users: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: a shared `Protected` gives out the value to one thread at a time, for which `Send` is enough, except for `beside`,
// which demands `Sync` itself.
unsafe impl<T: Send> Sync for Protected<T> {}

impl<T> Protected<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { users: AtomicU32::new(0), value: UnsafeCell::new(value) }
    }

    /// Calls `f` with the value, alone.
    ///
    /// # Panics
    ///
    /// If somebody else uses it.
    pub(crate) fn alone<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        // Acquire: pairs with the Release of those who have used it.
        let entered = self.users.compare_exchange(0, ALONE, Ordering::Acquire, Ordering::Relaxed);
        assert!(entered.is_ok(), "{STRAY}");
        let _visit = Visit { users: &self.users, next: |_| 0 };
        // SAFETY: the count was 0 and is `ALONE` until `_visit` goes, so that nobody else has a reference.
        self.value.with_mut(|value| f(unsafe { &mut *value }))
    }

    /// Calls `f` with the value, beside others who do the same.
    ///
    /// # Panics
    ///
    /// If somebody uses it alone.
    pub(crate) fn beside<R>(&self, f: impl FnOnce(&T) -> R) -> R
    where
        T: Sync,
    {
        let one_more = |users: u32| users.checked_add(1).filter(|users| *users != ALONE);
        // Acquire: as in `alone`.
        let entered = self.users.fetch_update(Ordering::Acquire, Ordering::Relaxed, one_more);
        assert!(entered.is_ok(), "{STRAY}");
        let _visit = Visit { users: &self.users, next: |users| users - 1 };
        // SAFETY: the count is neither 0 nor `ALONE` until `_visit` goes, so that there are shared references only.
        self.value.with(|value| f(unsafe { &*value }))
    }
}

/// A use of the value, over when it is dropped, also by a panic.
struct Visit<'a> {
    users: &'a AtomicU32,
    next: fn(u32) -> u32,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        // Release: what was done with the value is seen by whoever uses it next.
        let _ = self.users.fetch_update(Ordering::Release, Ordering::Relaxed, |users| Some((self.next)(users)));
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use super::*;
    use crate::job::contain;

    #[test]
    fn readers_meet_and_a_writer_is_alone() {
        let value = Protected::new(1);
        value.beside(|one| value.beside(|other| assert_eq!(one, other)));
        value.alone(|value| *value += 1);
        assert_eq!(value.beside(|value| *value), 2);
    }

    #[test]
    fn a_use_that_excludes_one_which_is_there_panics_and_leaves_the_value_usable() {
        let value = Protected::new(1);
        let strays: [&dyn Fn(); 3] =
            [&|| value.alone(|_| value.alone(|_| ())), &|| value.alone(|_| value.beside(|_| ())), &|| {
                value.beside(|_| value.alone(|_| ()))
            }];
        for stray in strays {
            assert_eq!(contain(stray).unwrap_err().message(), STRAY);
            value.alone(|value| *value += 1);
        }
        assert_eq!(value.beside(|value| *value), 4);
    }
}
