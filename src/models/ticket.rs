//! A place in a line is granted or given up, never both and never neither. Planted fault: `ticket_abandons_in_two_steps`.

use super::Plain;
use super::explore;
use super::passed;
use super::spawn;
use crate::sync::Arc;
use crate::sync::Mutex;
use crate::sync::Reason;
use crate::sync::Ticket;
use crate::sync::Tickets;

#[test]
fn a_grant_and_a_timeout_agree_on_the_winner() {
    explore(3, || {
        let (ticket, data) = (Ticket::new(), Arc::new(Plain::new()));
        let granter = spawn({
            let (ticket, data) = (Arc::clone(&ticket), Arc::clone(&data));
            move || {
                data.add();
                ticket.grant()
            }
        });
        let granted = ticket.wait(&Reason::Event, Some(passed()));
        if granted {
            assert_eq!(data.get(), 1);
        }
        assert_eq!(granter.join().unwrap(), granted);
    });
}

#[test]
fn a_claimed_ticket_ends_its_wait_however_late_it_is_woken() {
    explore(3, || {
        let (line, data) = (Arc::new(Mutex::new(Tickets::default())), Arc::new(Plain::new()));
        let ticket = Ticket::new();
        line.lock().join(&ticket);
        let granter = spawn({
            let (line, data) = (Arc::clone(&line), Arc::clone(&data));
            move || {
                data.add();
                let first = line.lock().claim_first();
                first.map(|first| first.wake()).is_some()
            }
        });
        assert!(ticket.wait(&Reason::Event, None));
        assert_eq!(data.get(), 1);
        assert!(granter.join().unwrap());
        assert_eq!(line.lock().len(), 0);
    });
}

#[test]
fn a_line_passes_over_whoever_has_given_up() {
    explore(3, || {
        let line = Arc::new(Mutex::new(Tickets::default()));
        let hasty = Ticket::new();
        line.lock().join(&hasty);
        let patient = spawn({
            let line = Arc::clone(&line);
            move || {
                let ticket = Ticket::new();
                line.lock().join(&ticket);
                let first = line.lock().claim_first();
                first.iter().for_each(|first| first.wake());
                // Whoever is granted passes it on, so both have an end.
                assert!(ticket.wait(&Reason::Event, None));
                first.is_some()
            }
        });
        if hasty.wait(&Reason::Event, Some(passed())) {
            let next = line.lock().claim_first();
            next.iter().for_each(|next| next.wake());
            assert!(next.is_some());
        } else {
            line.lock().leave(&hasty);
        }
        assert!(patient.join().unwrap());
        assert_eq!(line.lock().len(), 0);
    });
}
