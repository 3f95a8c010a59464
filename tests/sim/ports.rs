//! Ports in a simulation: nothing about them needs the kernel.

use crate::{deadlock, seeds};
use concourse::{Event, Group, Qos, Runtime, SendError, Sim, Source};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs the program with every seed. Senders that wait in jobs need a thread each, and the handler one more.
fn hold(program: fn(&Runtime)) {
    for seed in seeds() {
        let crew = Runtime::builder().threads(1).max_threads(4);
        Sim::seeded(seed).runtime(crew).run(program).unwrap_or_else(|failure| panic!("{failure}"));
    }
}

/// Three send two messages each through a port with room for one.
fn letters(runtime: &Runtime) {
    let (people, office, all) = (runtime.global(Qos::Default), runtime.serial("office"), Event::new());
    let (tell, mut next) = (all.clone(), [0; 3]);
    let port = Source::bounded_port(&office, 1).on_event(move |mut messages| {
        if let Some((sender, number)) = messages.next() {
            assert_eq!(next[sender], number, "each sender's letters keep their order");
            next[sender] += 1;
        }
        if next == [2; 3] {
            tell.set();
        }
    });
    let sender = port.sender();
    let port = port.activate().unwrap();
    for number in 0..3 {
        let sender = sender.clone();
        people.exec_async(move || (0..2).for_each(|n| sender.send((number, n)).unwrap()));
    }
    all.wait();
    drop(port);
}

#[test]
fn a_port_delivers_every_message_in_order() {
    hold(letters);
}

/// Two send until a port with room for one is cancelled.
fn closing(runtime: &Runtime) {
    let (people, office, closed) = (runtime.global(Qos::Default), runtime.serial("office"), Event::new());
    let (received, left, sent) = <(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    let (handler, rest, tell) = (Arc::clone(&received), Arc::clone(&left), closed.clone());
    let port = Source::bounded_port(&office, 1)
        .on_event(move |messages| _ = handler.fetch_add(messages.count(), Ordering::SeqCst))
        .on_cancel_with(move |messages| {
            rest.store(messages.len(), Ordering::SeqCst);
            tell.set();
        });
    let sender = port.sender();
    let (port, group, dead) = (port.activate().unwrap(), Group::new(), Event::new());
    let bell = dead.clone();
    sender.on_dead(&people, move || bell.set());
    for _ in 0..2 {
        let (sender, sent) = (sender.clone(), Arc::clone(&sent));
        group.exec_async(&people, move || {
            while sent.load(Ordering::SeqCst) < 4 {
                match sender.send(()) {
                    Ok(()) => _ = sent.fetch_add(1, Ordering::SeqCst),
                    Err(error) => return assert_eq!(error, SendError::Dead(())),
                }
            }
        });
    }
    port.cancel();
    group.wait();
    closed.wait();
    dead.wait();
    assert_eq!(received.load(Ordering::SeqCst) + left.load(Ordering::SeqCst), sent.load(Ordering::SeqCst));
}

#[test]
fn a_port_that_is_cancelled_accounts_for_every_message() {
    hold(closing);
}

/// Nobody receives from a suspended port.
fn silence(runtime: &Runtime) {
    let port = Source::bounded_port(&runtime.serial("office"), 1).activate().unwrap();
    port.suspend().unwrap();
    let sender = port.sender();
    (0..2).for_each(|n| sender.send(n).unwrap());
}

#[test]
fn a_sender_that_nobody_makes_room_for_is_reported() {
    let (_, deadlock) = deadlock(silence);
    assert!(deadlock.to_string().contains("permit"), "{deadlock}");
}
