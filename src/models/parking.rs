//! A token is never lost, and a ticket is granted or abandoned, never both.

use super::{check, spawn};
use crate::sync::{Arc, AtomicBool, AtomicU32, Ordering, Parker, Reason, Ticket};
use std::time::Instant;

/// A value that one thread writes and another reads, both without an ordering of their own: loom lets the reader see
/// the old value unless the word under test orders the two.
struct Letter(AtomicU32);

impl Letter {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU32::new(0)))
    }

    fn write(&self) {
        self.0.store(7, Ordering::Relaxed);
    }

    fn read(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

#[test]
fn a_token_carries_what_was_written_before_it() {
    check(|| {
        let (parker, letter) = (Arc::new(Parker::new()), Letter::new());
        let waker = spawn({
            let (parker, letter) = (Arc::clone(&parker), Arc::clone(&letter));
            move || {
                letter.write();
                parker.unpark();
            }
        });
        // Before, during and after the announcement: the schedules cover all three. Nothing wakes this thread but the
        // token, so a lost one is a deadlock.
        parker.park(None);
        assert_eq!(letter.read(), 7);
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
fn a_ticket_without_deadline_is_granted_with_what_came_before() {
    check(|| {
        let (ticket, letter) = (Ticket::new(), Letter::new());
        let granter = spawn({
            let (ticket, letter) = (Arc::clone(&ticket), Arc::clone(&letter));
            move || {
                letter.write();
                assert!(ticket.grant());
            }
        });
        assert!(ticket.wait(&Reason::Event, None));
        assert_eq!(letter.read(), 7);
        granter.join().unwrap();
    });
}

#[test]
fn a_ticket_is_granted_or_abandoned_never_both() {
    check(|| {
        let (ticket, letter) = (Ticket::new(), Letter::new());
        let granter = spawn({
            let (ticket, letter) = (Arc::clone(&ticket), Arc::clone(&letter));
            move || {
                letter.write();
                ticket.grant()
            }
        });
        // A deadline that has passed: the ticket is abandoned at once unless the grant was first.
        let granted = ticket.wait(&Reason::Event, Some(Instant::now()));
        if granted {
            assert_eq!(letter.read(), 7);
        }
        assert_eq!(granter.join().unwrap(), granted);
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
