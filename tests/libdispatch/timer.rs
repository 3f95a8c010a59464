//! `timer`: five timers that fire once, after 1.1 s, 2.1 s and so on, on the global queue, and one on the main queue
//! that starts now and fires each second. The third call of its handler sets it to fire now, once, and cancels it: no
//! further event comes, but its cancel handler. Only one-shots with an index below 3 may have fired by then.
//!
//! The finalizers are left out. Here the other one-shots are waited for too, and each fires once and not early.

use crate::profile::is_full;
use crate::profile::time;
use crate::timed::GENEROUS;
use crate::timed::finish;
use crate::timed::millis;
use crate::timed::now;
use crate::timed::runtime;
use concourse::Event;
use concourse::Group;
use concourse::Qos;
use concourse::Source;
use concourse::source::Schedule;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn one_shots_fire_once_and_a_repeating_timer_until_it_is_cancelled_in_its_third_call() {
    let runtime = runtime();
    let (main, global) = (runtime.serial("main"), runtime.global(Qos::Default));
    let (shots, all_fired, start) = (Arc::new(Mutex::new(Vec::new())), Group::new(), now());
    let one_shots = [1, 2, 3, 4, 5].map(|number| {
        let (due, fired, mut member) =
            (start + time(millis(1_000 * number + 100)), Arc::clone(&shots), Some(all_fired.enter()));
        let timer = Source::timer(&global).at(due).every(Duration::MAX).on_event(move |fires| {
            assert!(now() >= due, "early");
            fired.lock().push((number, fires));
            drop(member.take());
        });
        timer.activate().unwrap()
    });
    let (calls, cancelled) = (Arc::new(Mutex::new(Vec::new())), Event::new());
    let (called, ended, fired, tell) = (Arc::clone(&calls), Arc::clone(&calls), Arc::clone(&shots), cancelled.clone());
    let repeating = Source::timer(&main)
        .every(time(millis(1_000)))
        .on_event_with(move |timer, fires| {
            assert!(fires >= 1);
            let mut called = called.lock();
            called.push("call");
            if called.len() == 3 {
                timer.set(Schedule::after(Duration::ZERO)).unwrap();
                timer.cancel();
            }
        })
        .on_cancel(move || {
            ended.lock().push("cancelled");
            // How many have fired by now is a matter of time.
            assert!(!is_full() || fired.lock().len() < 3);
            tell.set();
        })
        .activate()
        .unwrap();
    cancelled.wait_timeout(GENEROUS).unwrap();
    all_fired.wait_timeout(GENEROUS).unwrap();
    assert_eq!(*calls.lock(), ["call", "call", "call", "cancelled"]);
    let mut shots = shots.lock().clone();
    shots.sort_unstable();
    assert_eq!(shots, [(1, 1), (2, 1), (3, 1), (4, 1), (5, 1)]);
    drop((one_shots, repeating));
    finish(&runtime);
}
