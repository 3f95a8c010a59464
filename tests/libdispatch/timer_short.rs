//! `timer_short`: 25,000 timers of 5 us on a queue. Each suspends itself in its registration handler; then the queue is
//! suspended, and they are resumed. A further timer of 5 us on the global queue is called less than 200,000 times in a
//! second. Cancelling and releasing all of them, and then the queue, is clean.
//!
//! What the original's upper limit means, times that are merged, is counted here: fewer calls than fires, and no fire
//! missing. That the timers in front do not starve the measured one shows in its 200,000 fires.

use crate::profile::count;
use crate::timed::GENEROUS;
use crate::timed::Record;
use crate::timed::finish;
use crate::timed::now;
use crate::timed::runtime;
use crate::timed::wait_until;
use concourse::Event;
use concourse::Qos;
use concourse::Queue;
use concourse::Source;
use concourse::source::Timer;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

const INTERVAL: Duration = Duration::from_micros(5);

/// Timers that suspend themselves when they are registered, and count up when they are cancelled.
fn suspended_timers(queue: &Queue, number: usize, cancels: &Arc<AtomicUsize>) -> Vec<Source<Timer>> {
    // Held back until each timer knows itself.
    let _suspended = queue.suspend_guard().unwrap();
    let timer = |_| {
        let (own, cancels) = (Arc::new(OnceLock::<Source<Timer>>::new()), Arc::clone(cancels));
        let itself = Arc::clone(&own);
        let builder = Source::timer(queue).every(INTERVAL);
        let builder = builder.on_registered(move || itself.get().unwrap().suspend().unwrap());
        let builder = builder.on_event(|_| panic!("it is suspended until it is cancelled"));
        let timer = builder.on_cancel(move || _ = cancels.fetch_add(1, Ordering::SeqCst)).activate().unwrap();
        own.set(timer.clone()).unwrap();
        timer
    };
    (0..number).map(timer).collect()
}

#[test]
fn a_hot_timer_coalesces_and_is_not_starved_by_hot_timers_on_a_suspended_queue() {
    let runtime = runtime();
    let (queue, cancels, number) = (runtime.serial("q"), Arc::new(AtomicUsize::new(0)), count(2_500, 25_000));
    let blocked = suspended_timers(&queue, number, &cancels);
    // A sync call comes after all registration handlers, which have been submitted before it.
    queue.exec_sync(|| ());
    queue.suspend().unwrap();
    blocked.iter().for_each(|timer| timer.resume().unwrap());
    let (record, enough, fires) = (Record::new(now(), INTERVAL), Event::new(), count(40_000, 200_000) as u64);
    let (fired, tell) = (record.clone(), enough.clone());
    let measured = record.timer(&runtime.global(Qos::Default), move |timer| {
        if fired.fires() >= fires {
            timer.cancel();
            tell.set();
        }
    });
    enough.wait_timeout(GENEROUS).unwrap();
    assert!(record.calls() < record.fires(), "so many calls, and every one for itself");
    blocked.iter().for_each(Source::cancel);
    drop((blocked, measured));
    assert_eq!(cancels.load(Ordering::SeqCst), 0);
    queue.resume().unwrap();
    drop(queue);
    wait_until(|| cancels.load(Ordering::SeqCst) == number);
    finish(&runtime);
}
