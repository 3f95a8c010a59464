//! A future that waits in a line is woken by the waker of its last poll, and one that goes passes on what it was given.
//! Planted fault: `ticket_looks_before_it_leaves_its_waker`.

use super::Plain;
use super::explore;
use super::spawn;
use crate::Event;
use crate::Semaphore;
use crate::sync::Arc;
use crate::sync::AtomicU32;
use crate::sync::Ordering;
use std::pin::pin;
use std::task::Context;
use std::task::Poll;
use std::task::Wake;
use std::task::Waker;

/// Counts how often it has woken.
struct Alarm(AtomicU32);

impl Alarm {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU32::new(0)))
    }

    fn has_rung(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn poll<F: Future + Unpin>(future: &mut F, alarm: &Arc<Alarm>) -> bool {
    let waker = Waker::from(Arc::clone(alarm));
    matches!(pin!(future).poll(&mut Context::from_waker(&waker)), Poll::Ready(_))
}

#[test]
fn a_set_is_seen_by_a_poll_or_wakes_its_waker() {
    explore(3, || {
        let (event, data) = (Event::new(), Arc::new(Plain::new()));
        let setter = {
            let (event, data) = (event.clone(), Arc::clone(&data));
            spawn(move || {
                data.add();
                event.set();
            })
        };
        let (mut waiting, alarms) = (event.wait_async(), [Alarm::new(), Alarm::new()]);
        // The second poll comes with another waker: from then on the first one is nobody's.
        let ready = alarms.iter().any(|alarm| poll(&mut waiting, alarm));
        if ready {
            assert_eq!(data.get(), 1);
        }
        setter.join().unwrap();
        assert!(ready || alarms[1].has_rung(), "the set came to nobody");
        assert!(poll(&mut waiting, &alarms[1]));
    });
}

#[test]
fn a_permit_for_a_future_that_goes_is_not_lost() {
    explore(3, || {
        let semaphore = Semaphore::new(0);
        let signaller = {
            let semaphore = semaphore.clone();
            spawn(move || semaphore.signal())
        };
        {
            let mut acquired = Box::pin(semaphore.acquire_async());
            // Granted or not, it goes, and so does its permit, which comes back.
            let _ = poll(&mut acquired, &Alarm::new());
        }
        signaller.join().unwrap();
        assert_eq!(semaphore.available(), 1);
    });
}

#[test]
fn an_automatic_set_for_a_future_that_goes_is_for_the_next_one() {
    explore(3, || {
        let event = Event::auto_reset();
        let setter = {
            let event = event.clone();
            spawn(move || event.set())
        };
        let mut waiting = event.wait_async();
        let passed = poll(&mut waiting, &Alarm::new());
        drop(waiting);
        setter.join().unwrap();
        assert_eq!(event.is_set(), !passed);
    });
}
