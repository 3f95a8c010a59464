//! Demo 1. A hundred steps of 20 ms: libdispatch needs 100 calls with one producer, 41 if drawing takes 50 ms, and
//! about 15 with a hundred producers.

use crate::demos::coalescing;
use crate::demos::coalescing::Producers;
use crate::demos::coalescing::STEP;
use crate::demos::coalescing::STEPS;
use crate::demos::source_on_main::SLOW;
use crate::finish;
use crate::journal;
use crate::runtime;
use std::time::Duration;

#[test]
fn one_producer_that_is_slower_than_the_handler_is_shown_step_by_step() {
    let (runtime, (journal, lines)) = (runtime(), journal());
    let main = runtime.serial("main");
    let (delivered, elapsed) = coalescing::run(&runtime, &journal, &main, Producers::One, Duration::ZERO).unwrap();
    assert_eq!((delivered.total, delivered.at_once), (STEPS, 1));
    assert!((STEPS / 2..=STEPS).contains(&delivered.calls), "{delivered}");
    assert!(elapsed >= STEP * 100, "{elapsed:?}");
    // A line for each call, and one in the end.
    let lines = lines.lock();
    assert_eq!(lines.len() as u64, delivered.calls + 1);
    assert!(lines[lines.len() - 2].starts_with("progress 100 %"), "{lines:?}");
    finish(&runtime);
}

#[test]
fn a_handler_that_is_slower_than_its_producer_is_called_less_often_and_told_of_everything() {
    let (runtime, (journal, _)) = (runtime(), journal());
    let main = runtime.serial("main");
    let (delivered, elapsed) = coalescing::run(&runtime, &journal, &main, Producers::One, SLOW).unwrap();
    assert_eq!((delivered.total, delivered.at_once), (STEPS, 1));
    assert!(delivered.calls >= 20 && SLOW * u32::try_from(delivered.calls).unwrap() <= elapsed, "{delivered}");
    assert!(delivered.largest >= 2 && elapsed >= STEP * 100, "{delivered}, {elapsed:?}");
    finish(&runtime);
}

#[test]
fn a_hundred_producers_are_shown_in_a_few_calls_and_the_first_does_not_wait_for_the_last() {
    for _ in 0..5 {
        let (runtime, (journal, _)) = (runtime(), journal());
        let main = runtime.serial("main");
        let (delivered, elapsed) = coalescing::run(&runtime, &journal, &main, Producers::Hundred, SLOW).unwrap();
        assert_eq!((delivered.total, delivered.at_once), (STEPS, 1));
        assert!(delivered.calls >= 3 && SLOW * u32::try_from(delivered.calls).unwrap() <= elapsed, "{delivered}");
        finish(&runtime);
    }
}
