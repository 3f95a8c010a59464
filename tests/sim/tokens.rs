//! Tokens in virtual time, in every order.

use super::{deadlock, hold};
use concourse::{CancelToken, Cancelled, Event, Qos, Runtime, Semaphore, TaskError};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// A permit comes while the wait for it is called off.
fn hand_over(runtime: &Runtime) {
    let (others, slots, token) = (runtime.global(Qos::Default), Semaphore::new(0), CancelToken::new());
    let waiting = others.submit({
        let (slots, token) = (slots.clone(), token.clone());
        move || slots.wait_or(&token)
    });
    let cancel = others.submit({
        let token = token.clone();
        move || token.cancel()
    });
    slots.signal();
    cancel.wait().unwrap();
    let taken = waiting.wait().unwrap().is_ok();
    assert_eq!(slots.available(), usize::from(!taken));
}

#[test]
fn a_permit_is_taken_or_left_when_its_wait_is_called_off() {
    hold(hand_over);
}

/// Work is covered, called off, and run, all at once.
fn covered(runtime: &Runtime) -> usize {
    let (queue, other, token) = (runtime.serial("covered"), runtime.global(Qos::Default), runtime.token().child());
    let ran = Arc::new(AtomicUsize::new(0));
    let cancel = other.submit({
        let token = token.clone();
        move || token.cancel()
    });
    let tasks: Vec<_> = (0..3)
        .map(|_| {
            let (ran, token) = (Arc::clone(&ran), token.clone());
            token.clone().submit(&queue, move || _ = ran.fetch_add(1, Ordering::SeqCst))
        })
        .collect();
    let ended: Vec<_> = tasks.into_iter().map(|task| task.wait()).collect();
    cancel.wait().unwrap();
    let finished = ended.iter().take_while(|ended| ended.is_ok()).count();
    assert!(ended[finished..].iter().all(|ended| *ended == Err(TaskError::Cancelled)), "{ended:?}");
    assert_eq!(ran.load(Ordering::SeqCst), finished);
    finished
}

#[test]
fn what_has_begun_when_its_token_is_cancelled_is_a_beginning_of_the_line() {
    let finished = hold(covered);
    assert!(finished.contains(&0) && finished.contains(&3), "some seed calls it off before, and some after");
}

/// Everybody waits for an hour at most, whatever the threads are.
fn an_hour(runtime: &Runtime) {
    let (queue, never) = (runtime.concurrent("patient"), Event::new());
    let limit = runtime.token().after(HOUR).expect("a timer");
    let waits: Vec<_> = (0..3)
        .map(|_| {
            let (never, limit) = (never.clone(), limit.clone());
            queue.submit(move || never.wait_or(&limit))
        })
        .collect();
    assert!(waits.into_iter().all(|wait| wait.wait() == Ok(Err(Cancelled))));
}

#[test]
fn a_deadline_ends_waits_in_virtual_time() {
    hold(an_hour);
}

#[test]
fn a_wait_for_a_token_that_nobody_cancels_is_named() {
    let (_, deadlock) = deadlock(|_| CancelToken::new().wait());
    assert!(deadlock.to_string().contains("a token's cancellation"), "{deadlock}");
}
