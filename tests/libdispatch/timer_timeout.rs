//! `timer_timeout`: the handler of a timer of 100 ns suspends its queue, and is called exactly once in 6 s. A timer on
//! another queue, first after 1 s and then each 2 s, fires meanwhile.
//!
//! Here the queue is resumed at the end, and the second call is given all the times that the first one has not had.

use crate::let_pass;
use crate::profile::time;
use crate::timed::GENEROUS;
use crate::timed::finish;
use crate::timed::millis;
use crate::timed::now;
use crate::timed::runtime;
use concourse::Event;
use concourse::Source;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn a_hot_timer_whose_handler_suspends_its_queue_is_called_once_and_holds_up_no_other() {
    let runtime = runtime();
    let (queue, other) = (runtime.serial("suspended"), runtime.serial("other"));
    let (start, calls, ended) = (now(), Arc::new(Mutex::new(Vec::new())), Event::new());
    let (called, held, tell) = (Arc::clone(&calls), queue.clone(), ended.clone());
    let hot = Source::timer(&queue).at(start).every(Duration::from_nanos(100)).on_event_with(move |timer, fires| {
        let mut called = called.lock();
        called.push(fires);
        match called.len() {
            1 => held.suspend().unwrap(),
            _ => timer.cancel(),
        }
    });
    let hot = hot.on_cancel(move || tell.set()).activate().unwrap();
    let (mut fired, fired_thrice) = (0, Event::new());
    let tell = fired_thrice.clone();
    let slow = Source::timer(&other).after(time(millis(1_000))).every(time(millis(2_000))).on_event(move |fires| {
        fired += fires;
        if fired >= 3 {
            tell.set();
        }
    });
    let slow = slow.activate().unwrap();
    fired_thrice.wait_timeout(GENEROUS).unwrap();
    let_pass(&other, time(millis(1_000)));
    assert_eq!(calls.lock().len(), 1);
    let resumed = now();
    queue.resume().unwrap();
    ended.wait_timeout(GENEROUS).unwrap();
    let fires: u64 = calls.lock().iter().sum();
    assert_eq!(calls.lock().len(), 2);
    assert!(start + Duration::from_nanos(100 * fires) > resumed, "a fire is missing");
    assert!(start + Duration::from_nanos(100 * (fires - 1)) <= now(), "a fire was early");
    drop((hot, slow));
    finish(&runtime);
}
