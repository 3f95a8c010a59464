//! What a handler hears of steps.

use super::Log;
use super::queue::Stepped;
use crate::event_loop::StepWatcher;
use crate::source::ClockStep;
use crate::source::ClockSteps;
use crate::source::Source;
use crate::sync::Arc;
use std::time::Duration;

fn logging(queue: &Stepped) -> (Source<ClockSteps>, Log<ClockStep>) {
    let log = Log::new();
    let handler = log.clone();
    (Source::clock_steps(queue).on_event(move |step| handler.push(step)).activate().unwrap(), log)
}

/// As the event loop does.
fn step(source: &Source<ClockSteps>, by: i64) {
    Arc::clone(source.handle.delivery()).stepped(by);
}

#[test]
fn steps_are_added_up_and_ones_that_undo_each_other_are_none() {
    let queue = Stepped::new();
    let (source, log) = logging(&queue);
    step(&source, 7);
    queue.run();
    step(&source, -10);
    step(&source, 4);
    queue.run();
    log.expect([ClockStep::Forward(Duration::from_nanos(7)), ClockStep::Back(Duration::from_nanos(6))]);
    step(&source, 5);
    step(&source, -5);
    queue.run();
    log.expect_nothing();
    (0..3).for_each(|_| step(&source, i64::MIN / 2));
    queue.run();
    log.expect([ClockStep::Back(Duration::from_nanos(1 << 63))]);
}

#[test]
fn a_source_that_ends_is_told_of_nothing_and_nobody_keeps_it() {
    let queue = Stepped::new();
    for cancel in [true, false] {
        let (source, log) = logging(&queue);
        let delivery = Arc::downgrade(source.handle.delivery());
        if cancel {
            source.cancel();
        }
        step(&source, 7);
        drop(source);
        queue.run();
        log.expect_nothing();
        assert!(delivery.upgrade().is_none(), "the event loop has let it go");
    }
    let event_loop = crate::queue::Accept::engine(&queue).end_event_loop().unwrap();
    event_loop.stop();
    let (late, _) = logging(&queue);
    assert!(late.handle().has_ended());
}
