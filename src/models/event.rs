//! A set is never missed, and an automatic one lets exactly one wait pass. Planted fault:
//! `event_joins_without_a_second_look`.

use super::Plain;
use super::explore;
use super::passed;
use super::spawn;
use crate::Event;
use crate::sync::Arc;

#[test]
fn a_manual_set_lets_everybody_pass() {
    explore(3, || {
        let (event, data) = (Event::new(), Arc::new(Plain::new()));
        let work = {
            let (event, data) = (event.clone(), Arc::clone(&data));
            move || {
                event.wait();
                assert_eq!(data.get(), 1);
            }
        };
        let threads = [spawn(work.clone()), spawn(work)];
        data.add();
        event.set();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(event.is_set());
    });
}

#[test]
fn an_automatic_event_lets_one_pass_at_a_time() {
    explore(3, || {
        let (event, data) = (Event::auto_reset(), Arc::new(Plain::new()));
        let work = {
            let (event, data) = (event.clone(), Arc::clone(&data));
            move || {
                event.wait();
                data.add();
                event.set();
            }
        };
        let threads = [spawn(work.clone()), spawn(work)];
        event.set();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(data.get(), 2);
        assert!(event.is_set());
    });
}

#[test]
fn an_automatic_set_survives_a_timeout() {
    explore(3, || {
        let (event, data) = (Event::auto_reset(), Arc::new(Plain::new()));
        let waiter = spawn({
            let (event, data) = (event.clone(), Arc::clone(&data));
            move || {
                event.wait();
                assert_eq!(data.get(), 1);
            }
        });
        let timed = spawn({
            let event = event.clone();
            move || {
                if event.wait_within(Some(passed())) {
                    event.set();
                }
            }
        });
        data.add();
        event.set();
        waiter.join().unwrap();
        timed.join().unwrap();
        assert!(!event.is_set());
    });
}
