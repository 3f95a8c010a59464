//! Events: manual and automatic, with real threads.

mod blocked;

use blocked::GENEROUS;
use blocked::spawn_blocked;
use concourse::Event;
use concourse::WaitError;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

#[test]
fn a_manual_event_lets_everybody_pass_until_it_is_reset() {
    let event = Event::new();
    let waiters: Vec<_> = (0..4)
        .map(|_| {
            let event = event.clone();
            spawn_blocked(move || event.wait())
        })
        .collect();
    assert!(!event.is_set());
    event.set();
    waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    event.wait();
    event.set();
    assert!(event.is_set());
    event.reset();
    assert!(!event.is_set());
    assert!(event.wait_timeout(Duration::ZERO).is_err());
}

#[test]
fn who_waits_before_a_set_passes_however_soon_it_is_reset() {
    let event = Event::new();
    for _ in 0..50 {
        let waiters = [0, 1].map(|_| {
            let event = event.clone();
            spawn_blocked(move || event.wait_timeout(GENEROUS))
        });
        event.set();
        event.reset();
        waiters.into_iter().for_each(|waiter| assert_eq!(waiter.join().unwrap(), Ok(())));
    }
}

#[test]
fn an_automatic_event_lets_one_pass_for_each_set_in_order() {
    let event = Event::auto_reset();
    let passed = Arc::new(Mutex::new(Vec::new()));
    let waiters: Vec<_> = (0..5)
        .map(|number| {
            let (event, passed) = (event.clone(), Arc::clone(&passed));
            spawn_blocked(move || {
                event.wait();
                passed.lock().unwrap().push(number);
            })
        })
        .collect();
    for (number, waiter) in waiters.into_iter().enumerate() {
        event.set();
        // It went to a thread that waits, so it is gone whether that thread runs already or not.
        assert!(!event.is_set());
        assert!(event.wait_timeout(Duration::ZERO).is_err());
        waiter.join().unwrap();
        assert_eq!(*passed.lock().unwrap(), (0..=number).collect::<Vec<_>>());
    }
}

#[test]
fn automatic_sets_are_kept_once_and_merged() {
    let event = Event::auto_reset();
    event.set();
    event.set();
    assert!(event.is_set() && event.is_set());
    event.wait();
    assert!(!event.is_set());
    assert!(event.wait_timeout(Duration::from_millis(1)).is_err());
    event.set();
    event.reset();
    assert!(event.wait_timeout(Duration::ZERO).is_err());
}

#[test]
fn two_automatic_events_pass_a_ball() {
    const ROUNDS: usize = 5_000;
    let (ping, pong, hits) = (Event::auto_reset(), Event::auto_reset(), Arc::new(AtomicUsize::new(0)));
    let other = thread::spawn({
        let (ping, pong, hits) = (ping.clone(), pong.clone(), Arc::clone(&hits));
        move || {
            for round in 0..ROUNDS {
                ping.wait();
                assert_eq!(hits.swap(2 * round + 2, Ordering::Relaxed), 2 * round + 1);
                pong.set();
            }
        }
    });
    for round in 0..ROUNDS {
        assert_eq!(hits.swap(2 * round + 1, Ordering::Relaxed), 2 * round);
        ping.set();
        pong.wait();
    }
    other.join().unwrap();
    assert_eq!(hits.load(Ordering::Relaxed), 2 * ROUNDS);
}

#[test]
fn a_timeout_comes_in_time_and_takes_nothing() {
    for event in [Event::new(), Event::auto_reset()] {
        let (start, timeout) = (Instant::now(), Duration::from_millis(50));
        assert_eq!(event.wait_timeout(timeout), Err(WaitError::TimedOut { after: timeout }));
        let waited = start.elapsed();
        assert!(waited >= timeout && waited < Duration::from_secs(10), "waited {waited:?}");
        event.set();
        assert_eq!(event.wait_timeout(timeout), Ok(()));
    }
}

#[test]
fn an_endless_timeout_is_none() {
    let event = Event::default();
    let waiter = spawn_blocked({
        let event = event.clone();
        move || event.wait_timeout(Duration::MAX)
    });
    event.set();
    assert_eq!(waiter.join().unwrap(), Ok(()));
}

#[test]
fn an_event_shows_its_state() {
    assert_eq!(format!("{:?}", Event::auto_reset()), "Event { set: false, reset: Auto, .. }");
}
