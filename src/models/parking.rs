//! A token is never lost and carries what was written before it; two grants of a ticket make one. Planted faults:
//! `relaxed_unpark` and `early_notify`.

use super::{Plain, check, spawn};
use crate::sync::{Arc, AtomicBool, Ordering, Parker, Reason, Ticket};

#[test]
fn a_token_carries_what_was_written_before_it() {
    check(|| {
        let (parker, letter) = (Arc::new(Parker::new()), Arc::new(Plain::new()));
        let waker = spawn({
            let (parker, letter) = (Arc::clone(&parker), Arc::clone(&letter));
            move || {
                letter.add();
                parker.unpark();
            }
        });
        // Before, during and after the announcement: the schedules cover all three. Nothing wakes this thread but the
        // token, so a lost one is a deadlock.
        parker.park(None);
        assert_eq!(letter.get(), 1);
        waker.join().unwrap();
    });
}

#[test]
fn two_tokens_are_one_and_a_waiting_thread_sees_its_condition() {
    check(|| {
        let parker = Arc::new(Parker::new());
        let flags = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let wakers = [0, 1].map(|index| {
            let (parker, flags) = (Arc::clone(&parker), Arc::clone(&flags));
            spawn(move || {
                // Relaxed: the token carries the flag.
                flags[index].store(true, Ordering::Relaxed);
                parker.unpark();
            })
        });
        while !flags.iter().all(|flag| flag.load(Ordering::Relaxed)) {
            parker.park(None);
        }
        for waker in wakers {
            waker.join().unwrap();
        }
    });
}

#[test]
fn two_grants_of_one_ticket_make_one() {
    check(|| {
        let ticket = Ticket::new();
        let other = spawn({
            let ticket = Arc::clone(&ticket);
            move || ticket.grant()
        });
        let here = ticket.grant();
        assert!(ticket.wait(&Reason::Event, None));
        assert!(here ^ other.join().unwrap());
    });
}
