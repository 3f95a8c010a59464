//! Streams in a simulation: what is polled in virtual time, in every order.

use crate::{deadlock, hold, seeds};
use concourse::{Dispatch, Event, Runtime, Sim, Source, block_on};
use futures_lite::StreamExt;
use std::time::Duration;

const PERIOD: Duration = Duration::from_millis(10);

/// Two merge while a third polls and takes its time, until the last of them cancels.
fn progress(runtime: &Runtime) {
    let (work, screen) = (runtime.concurrent("work"), runtime.serial("screen"));
    let mut stream = Source::add(&screen).stream();
    let halfway = Event::new();
    let (first, second) = (stream.source().clone(), stream.source().clone());
    let (tell, wait) = (halfway.clone(), halfway);
    work.exec_async(move || {
        (0..3).for_each(|_| first.merge(1));
        tell.set();
    });
    work.exec_async(move || {
        (0..3).for_each(|_| second.merge(100));
        wait.wait();
        second.cancel();
    });
    let mut total = 0;
    while let Some(more) = block_on(stream.next()) {
        total += more;
        work.exec_sync(|| ());
    }
    assert_eq!(total, 303);
}

#[test]
fn everything_that_was_merged_before_the_cancellation_is_polled() {
    hold(progress);
}

/// Messages go through a port with room for one, and nobody is left waiting at its end.
fn letters(runtime: &Runtime) {
    let (people, office) = (runtime.concurrent("people"), runtime.serial("office"));
    let port = Source::bounded_port(&office, 1);
    let sender = port.sender();
    let mut stream = port.stream().unwrap();
    for person in 0..2 {
        let sender = sender.clone();
        people.exec_async(move || (0..3).for_each(|n| sender.send((person, n)).unwrap()));
    }
    drop(sender);
    let mut next = [0; 2];
    while let Some((person, n)) = block_on(stream.next()) {
        assert_eq!(n, next[person]);
        next[person] += 1;
    }
    assert_eq!(next, [3; 2]);
}

#[test]
fn every_letter_is_polled_in_its_senders_order() {
    for seed in seeds() {
        // Senders that wait in jobs need a thread each, and the turns one more.
        let crew = Runtime::builder().threads(1).max_threads(4);
        Sim::seeded(seed).runtime(crew).run(letters).unwrap_or_else(|failure| panic!("{failure}"));
    }
}

/// A clock that is polled late, and a source with a pace.
fn clocks(runtime: &Runtime) {
    let queue = runtime.serial("clock");
    let mut ticks = Source::timer(&queue).after(PERIOD).every(PERIOD).stream().unwrap();
    assert_eq!(block_on(ticks.next()), Some(1));
    let late = Event::new();
    let tell = late.clone();
    let _late = queue.after(5 * PERIOD, move || tell.set()).unwrap();
    late.wait();
    let meanwhile = block_on(ticks.next()).unwrap();
    assert!((4..=5).contains(&meanwhile), "{meanwhile}");
}

#[test]
fn times_that_nobody_asked_for_are_one_value() {
    hold(clocks);
}

/// Nobody merges, and the stream's own handle is all there is.
fn silent(runtime: &Runtime) {
    let mut stream = Source::add(&runtime.serial("silent")).stream();
    assert_eq!(block_on(stream.next()), None);
}

#[test]
fn a_stream_that_nothing_will_ever_come_to_is_a_deadlock() {
    let (_, deadlock) = deadlock(silent);
    assert_eq!(deadlock.waiting.len(), 1, "{deadlock}");
}
