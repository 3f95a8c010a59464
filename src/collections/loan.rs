//! Lending a closure that lives on the lender's stack: others may call it until the lender wants it back.
//!
//! ```text
//! 31         30      0
//! [ RECALLED ][ CALLS ]
//! ```
//!
//! * `CALLS`: how many threads are inside the closure. Each came in before the recall, and is waited for.
//! * `RECALLED`: the lender wants it back. Nobody comes in any more, and whoever leaves last wakes the lender.
//!
//! - **A call comes with the recall.** Both are one exchange of the word: the call is counted before the recall, which then
//!   waits for it, or it finds the closure gone.
//! - **The last call wakes the lender, who returns at once.** The word and the lender's parker are shared, not the
//!   lender's: the call touches nothing else after it has left.
#![allow(unsafe_code, reason = "a borrow is given the lifetime that its word proves")]

use crate::sync::Arc;
use crate::sync::AtomicU32;
use crate::sync::Ordering;
use crate::sync::Parker;
use crate::sync::Reason;
use crate::sync::park_while;
use crate::sync::parker;
use crate::sync::planted;
use crate::sync::yield_point;
use std::fmt;
use std::mem;
use std::ptr;

const RECALLED: u32 = 1 << 31;

type Body<'a> = dyn Fn(&Borrowed) + Sync + 'a;

struct Loan {
    word: AtomicU32,
    lender: Arc<Parker>,
    body: *const Body<'static>,
}

// SAFETY: the body is `Sync`, and is only reached between `enter` and `leave`.
unsafe impl Send for Loan {}
// SAFETY: as above; the rest is shared between threads by its own types.
unsafe impl Sync for Loan {}

impl Loan {
    /// Counts the caller in, unless the closure has been recalled.
    fn enter(&self) -> bool {
        yield_point();
        if planted!("loan_enters_in_two_steps") {
            let there = self.word.load(Ordering::Relaxed) & RECALLED == 0;
            self.word.fetch_add(1, Ordering::Relaxed);
            return there;
        }
        let entered = |word| (word & RECALLED == 0).then_some(word + 1);
        // Relaxed: what the closure borrows was there before the loan was, and came with it.
        self.word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, entered).is_ok()
    }

    fn leave(&self) {
        yield_point();
        // Release: pairs with `recall`, so that the lender sees what the call did.
        let release = if planted!("loan_leaves_relaxed") { Ordering::Relaxed } else { Ordering::Release };
        if self.word.fetch_sub(1, release) == RECALLED | 1 {
            self.lender.unpark();
        }
    }

    fn recall(&self) {
        yield_point();
        // Acquire: pairs with `leave`, for the calls that are over; the look below for those that are not. Every leave is
        // a read-modify-write, so the last one's value carries all of them.
        if self.word.fetch_or(RECALLED, Ordering::Acquire) != 0 {
            let is_called = || self.word.load(Ordering::Acquire) != RECALLED;
            park_while(&self.lender, &Reason::Completion, None, is_called);
        }
    }
}

/// A lent closure, for those who may call it. It is cheap to clone, and may outlive the loan.
#[derive(Clone)]
pub(crate) struct Borrowed {
    loan: Arc<Loan>,
}

impl Borrowed {
    /// Calls the closure, unless the lender has it back. The lender waits for the call.
    pub(crate) fn call(&self) {
        struct Leave<'a>(&'a Loan);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.leave();
            }
        }
        if self.loan.enter() {
            let _leave = Leave(&self.loan);
            // SAFETY: the call is counted, and `lend` does not return, nor unwind, before it has been counted out.
            let body = unsafe { &*self.loan.body };
            body(self);
        }
    }
}

impl fmt::Debug for Borrowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Borrowed")
    }
}

/// Lends `body` while `scope` runs, and takes it back: waits for the calls that have begun, and for no others.
pub(crate) fn lend<R>(body: &Body<'_>, scope: impl FnOnce(&Borrowed) -> R) -> R {
    /// Takes the closure back also when `scope` unwinds.
    struct Recall(Borrowed);
    impl Drop for Recall {
        fn drop(&mut self) {
            self.0.loan.recall();
        }
    }
    // SAFETY: only the lifetime changes. Whoever follows the pointer has been counted in, and `Recall` keeps this
    // function, and with it the borrow, until everybody has been counted out and nobody can come in.
    let body = unsafe { mem::transmute::<*const Body<'_>, *const Body<'static>>(ptr::from_ref(body)) };
    let recall = Recall(Borrowed { loan: Arc::new(Loan { word: AtomicU32::new(0), lender: parker(), body }) });
    scope(&recall.0)
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::panic::AssertUnwindSafe;
    use std::panic::catch_unwind;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn a_lent_closure_is_called_until_it_is_taken_back() {
        let calls = AtomicUsize::new(0);
        let kept = lend(&|_| _ = calls.fetch_add(1, Ordering::Relaxed), |borrowed| {
            borrowed.call();
            borrowed.clone().call();
            borrowed.clone()
        });
        kept.call();
        assert_eq!(calls.into_inner(), 2);
    }

    #[test]
    fn a_panic_takes_the_closure_back_and_a_panicking_call_is_over() {
        let kept = Cell::new(None);
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            lend(&|_| panic!("a call"), |borrowed| {
                kept.set(Some(borrowed.clone()));
                borrowed.call();
            });
        }));
        assert!(unwound.is_err());
        kept.take().unwrap().call();
    }
}
