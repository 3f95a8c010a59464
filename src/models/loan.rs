//! Nobody is inside a lent closure once it has been taken back, and the lender sees what the calls did. Planted faults:
//! `loan_enters_in_two_steps`, `loan_leaves_relaxed`.

use super::Plain;
use super::explore;
use super::spawn;
use crate::collections::lend;
use crate::sync::Arc;

/// Lends a closure to `callers` threads; how many calls there were, and how many came too late to be one.
fn lend_to(callers: usize) {
    explore(3, move || {
        let (there, calls) = (Arc::new(Plain::new()), [Arc::new(Plain::new()), Arc::new(Plain::new())]);
        let body = |_: &_| {
            assert_eq!(there.get(), 0, "the closure is gone");
        };
        let threads: Vec<_> = lend(&body, |borrowed| {
            let spawn_caller = |caller: usize| {
                let (borrowed, calls) = (borrowed.clone(), Arc::clone(&calls[caller]));
                spawn(move || {
                    borrowed.call();
                    calls.add();
                })
            };
            (0..callers).map(spawn_caller).collect()
        });
        there.add();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(calls.iter().take(callers).all(|calls| calls.get() == 1));
    });
}

#[test]
fn a_call_against_the_recall_is_waited_for_or_does_not_happen() {
    lend_to(1);
}

#[test]
fn two_calls_against_the_recall_are_waited_for_or_do_not_happen() {
    lend_to(2);
}

#[test]
fn the_lender_sees_what_the_calls_did() {
    explore(3, || {
        let (begun, done) = (Arc::new(Plain::new()), Plain::new());
        let body = |_: &_| {
            begun.add();
            done.add();
        };
        let caller = lend(&body, |borrowed| {
            let borrowed = borrowed.clone();
            spawn(move || borrowed.call())
        });
        let seen = (begun.get(), done.get());
        caller.join().unwrap();
        assert_eq!(seen, (begun.get(), done.get()), "a call that has begun is over");
    });
}
