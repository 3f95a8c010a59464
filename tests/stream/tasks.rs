//! Tasks, and functions over iterators, as streams.

use super::next;
use super::runtime;
use concourse::Event;
use concourse::TaskError;
use concourse::Tasks;
use concourse::block_on;
use futures_lite::StreamExt;
use futures_lite::future::poll_once;
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

#[test]
fn tasks_come_as_they_are_done() {
    let runtime = runtime();
    let queue = runtime.concurrent("races");
    let gates: Vec<_> = (0..4).map(|_| Event::new()).collect();
    let wait = |gate: Event| async move { gate.wait_async().await };
    let tasks: Tasks<()> = gates.iter().map(|gate| queue.spawn(wait(gate.clone()))).collect();
    let mut stream = tasks.stream();
    for number in [2, 0, 3, 1] {
        assert!(block_on(poll_once(stream.next())).is_none());
        gates[number].set();
        assert_eq!(next(&mut stream), Some((number, Ok(()))));
    }
    assert_eq!(next(&mut stream), None);
}

#[test]
fn thousands_of_tasks_are_each_polled_once() {
    let runtime = runtime();
    let queue = runtime.concurrent("many");
    let tasks: Tasks<usize> = (0..5_000).map(|n| queue.submit(move || n)).collect();
    let numbers = block_on(tasks.stream().fold(BTreeSet::new(), |mut numbers, (number, value)| {
        assert_eq!(value, Ok(number));
        assert!(numbers.insert(number));
        numbers
    }));
    assert_eq!(numbers.len(), 5_000);
}

#[test]
fn a_function_over_an_iterator_is_a_stream_with_a_window() {
    let runtime = runtime();
    let queue = runtime.concurrent("squares");
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let items = (0_u64..).inspect(move |_| _ = count.fetch_add(1, SeqCst));
    let squares = queue.map(items, |n| if n == 7 { panic!("seven") } else { n * n });
    let mut squares = squares.window(NonZeroUsize::new(3).unwrap()).stream();
    assert_eq!(taken.load(SeqCst), 0, "nothing happens before the first poll");
    for n in 0..7 {
        assert_eq!(next(&mut squares), Some(Ok(n * n)));
    }
    assert!(matches!(next(&mut squares), Some(Err(TaskError::Panicked { .. }))));
    assert_eq!(next(&mut squares), Some(Ok(64)));
    assert_eq!(taken.load(SeqCst), 11, "two ahead of the ninth");

    let mut unordered = queue.map(0..1_000_usize, |n| n + 1).unordered().stream();
    let mut places = BTreeSet::new();
    while let Some((place, value)) = next(&mut unordered) {
        assert_eq!(value, Ok(place + 1));
        assert!(places.insert(place));
    }
    assert_eq!(places.len(), 1_000);
}

#[test]
fn a_dropped_stream_cancels_the_calls_that_have_not_begun() {
    let runtime = runtime();
    let queue = runtime.serial("held");
    let held = queue.suspend_guard().unwrap();
    let called = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&called);
    let mut stream = queue.map(0..100, move |_: u32| _ = count.fetch_add(1, SeqCst)).stream();
    assert!(block_on(poll_once(stream.next())).is_none());
    drop(stream);
    drop(held);
    assert_eq!(queue.submit(|| ()).wait(), Ok(()));
    assert_eq!(called.load(SeqCst), 0);
}
