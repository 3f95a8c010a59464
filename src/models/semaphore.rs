//! No permit is made or lost, and nobody sleeps beside a free one. Planted faults: `semaphore_withdraws_blindly`,
//! `semaphore_signal_forgets_an_empty_line`.

use super::Plain;
use super::explore;
use super::passed;
use super::spawn;
use crate::Semaphore;
use crate::sync::Arc;

#[test]
fn one_permit_is_a_lock() {
    explore(3, || {
        let (semaphore, data) = (Semaphore::new(1), Arc::new(Plain::new()));
        let work = {
            let (semaphore, data) = (semaphore.clone(), Arc::clone(&data));
            move || {
                let permit = semaphore.acquire();
                data.add();
                drop(permit);
            }
        };
        let threads = [spawn(work.clone()), spawn(work.clone())];
        work();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(data.get(), 3);
        assert_eq!(semaphore.balance(), (1, 0, 0));
    });
}

#[test]
fn a_signal_against_a_timeout_and_a_wait_loses_nothing() {
    explore(3, || {
        let (semaphore, data) = (Semaphore::new(0), Arc::new(Plain::new()));
        let waiter = spawn({
            let (semaphore, data) = (semaphore.clone(), Arc::clone(&data));
            move || {
                semaphore.wait();
                assert_eq!(data.get(), 1);
            }
        });
        let timed = spawn({
            let (semaphore, data) = (semaphore.clone(), Arc::clone(&data));
            move || {
                if semaphore.wait_within(Some(passed())) {
                    assert_eq!(data.get(), 1);
                    semaphore.signal();
                }
            }
        });
        data.add();
        semaphore.signal();
        waiter.join().unwrap();
        timed.join().unwrap();
        assert_eq!(semaphore.balance(), (0, 0, 0));
    });
}

#[test]
fn two_timeouts_against_a_signal_keep_the_count() {
    explore(3, || {
        let semaphore = Semaphore::new(0);
        let timed = || {
            let semaphore = semaphore.clone();
            spawn(move || semaphore.wait_within(Some(passed())))
        };
        let timed = [timed(), timed()];
        semaphore.signal();
        let taken = timed.map(|thread| i64::from(thread.join().unwrap()));
        assert_eq!(semaphore.balance(), (1 - taken[0] - taken[1], 0, 0));
    });
}

#[test]
fn a_resize_against_signal_and_wait_keeps_the_count() {
    explore(3, || {
        let semaphore = Semaphore::new(1);
        let held = semaphore.acquire();
        let waiter = spawn({
            let semaphore = semaphore.clone();
            move || drop(semaphore.acquire())
        });
        let resizer = spawn({
            let semaphore = semaphore.clone();
            move || {
                semaphore.resize(0);
                semaphore.resize(2);
            }
        });
        drop(held);
        waiter.join().unwrap();
        resizer.join().unwrap();
        assert_eq!(semaphore.balance(), (2, 0, 0));
    });
}
