//! Asynchronous calls turned into synchronous ones, with a timeout.

use concourse::Done;
use concourse::Event;
use concourse::WaitError;
use concourse::wait_for;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// No test waits for so long unless it fails.
const GENEROUS: Duration = Duration::from_secs(60);

#[test]
fn a_value_from_another_thread_ends_the_wait() {
    let mut sender = None;
    let value = wait_for(GENEROUS, |done| sender = Some(thread::spawn(move || done.send(String::from("done")))));
    assert_eq!(value, Ok(String::from("done")));
    assert_eq!(sender.unwrap().join().unwrap(), Ok(()));
}

#[test]
fn a_value_sent_at_once_needs_no_wait() {
    assert_eq!(wait_for(Duration::ZERO, |done| assert_eq!(done.send(1), Ok(()))), Ok(1));
    assert_eq!(wait_for(Duration::MAX, |done| assert_eq!(done.send(2), Ok(()))), Ok(2));
}

#[test]
fn the_value_may_borrow_from_the_caller() {
    let text = String::from("borrowed");
    assert_eq!(wait_for(GENEROUS, |done| done.send(text.as_str()).unwrap()), Ok("borrowed"));
}

#[test]
fn without_a_value_the_time_runs_out_and_a_late_one_comes_back() {
    let (start, timeout) = (Instant::now(), Duration::from_millis(50));
    let mut kept: Option<Done<u32>> = None;
    let value = wait_for(timeout, |done| kept = Some(done));
    let waited = start.elapsed();
    assert_eq!(value, Err(WaitError::TimedOut { after: timeout }));
    assert!(waited >= timeout && waited < Duration::from_secs(10), "waited {waited:?}");
    assert_eq!(kept.unwrap().send(7), Err(7));
}

#[test]
fn a_dropped_sender_ends_the_wait() {
    assert_eq!(wait_for::<u32>(GENEROUS, drop), Err(WaitError::Abandoned));
    let value = wait_for::<u32>(GENEROUS, |done| {
        thread::spawn(move || drop(done));
    });
    assert_eq!(value, Err(WaitError::Abandoned));
    let value = wait_for::<u32>(GENEROUS, |done| {
        thread::spawn(move || {
            let _done = done;
            std::panic::resume_unwind(Box::new("before the value"));
        });
    });
    assert_eq!(value, Err(WaitError::Abandoned));
}

#[test]
fn a_panic_in_the_call_leaves_nobody_waiting() {
    let (pass_on, passed_on) = mpsc::channel();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        wait_for::<u32>(GENEROUS, |done| {
            pass_on.send(done).unwrap();
            std::panic::resume_unwind(Box::new("after passing the sender on"));
        })
    }));
    assert!(unwound.is_err());
    assert_eq!(passed_on.recv().unwrap().send(7), Err(7));
}

#[test]
fn values_against_timeouts_are_in_one_place() {
    for round in 0..2_000_u64 {
        let sent = {
            let mut sender = None;
            let received = wait_for(Duration::from_micros(round % 80), |done| {
                sender = Some(thread::spawn(move || done.send(round)));
            });
            match (received, sender.unwrap().join().unwrap()) {
                (Ok(value), Ok(())) | (Err(WaitError::TimedOut { .. }), Err(value)) => value,
                both => panic!("in two places or none: {both:?}"),
            }
        };
        assert_eq!(sent, round);
    }
}

#[test]
fn a_wait_inside_a_wait_is_one_of_its_own() {
    let go = Event::new();
    let value = wait_for(GENEROUS, |outer| {
        let inner = wait_for(GENEROUS, |inner| {
            go.set();
            inner.send(20).unwrap();
        });
        go.wait();
        outer.send(inner.unwrap() + 1).unwrap();
    });
    assert_eq!(value, Ok(21));
}
