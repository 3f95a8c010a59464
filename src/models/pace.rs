//! A turn that is being held back is found by whoever stops its source, and nothing is lost whoever holds it.
//!
//! The event loop is that of a simulation, without its thread: it keeps what is armed, and gives it back in the end. Needs
//! the feature `sim`.

use super::check;
use super::source::{Model, together};
use crate::engine::Engine;
use crate::event_loop::EventLoop;
use crate::source::Edge;
use crate::source::pace::Rule;
use crate::sync::Arc;
use crate::time::Nanos;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

fn paced(rule: Rule) -> Arc<Model> {
    Model::on(Engine::in_place_with_loop(Box::new(|_| Ok(EventLoop::in_virtual_time()))), false, Some(rule))
}

/// Lets the time of every turn come that is being held back, when all threads have been joined; how many there were.
fn fire(model: &Model) -> usize {
    let event_loop = model.delivery.engine().end_event_loop();
    let armed = event_loop.map_or_else(Vec::new, |event_loop| event_loop.close_timers());
    armed.into_iter().map(|armed| armed.sink.fire(armed.job, Nanos::FOREVER)).count()
}

fn merge(model: &Model) {
    model.merge(0, 1);
}

#[test]
fn a_source_that_is_cancelled_as_its_turn_is_held_back_ends_at_once() {
    check(|| {
        let model = paced(Rule::debounce(HOUR));
        together(&model, [merge, |m| m.delivery.cancel()], |m| m.line.run());
        assert_eq!(model.finish(), (0, 1));
        assert_eq!(fire(&model), 0);
    });
}

#[test]
fn a_source_that_is_left_as_its_turn_is_held_back_ends_at_once_and_silently() {
    check(|| {
        let model = paced(Rule::debounce(HOUR));
        together(&model, [merge, |m| m.delivery.end()], |m| m.line.run());
        assert_eq!(model.finish(), (0, 0));
        assert_eq!(Arc::strong_count(&model.seen), 1, "the handlers are gone");
    });
}

#[test]
fn a_turn_that_a_suspension_takes_back_is_held_again_and_comes_in_the_end() {
    check(|| {
        let model = paced(Rule::debounce(HOUR));
        let suspend_and_resume: fn(&Model) = |m| {
            m.delivery.suspend().unwrap();
            m.delivery.resume().unwrap();
        };
        together(&model, [merge, suspend_and_resume], |m| m.line.run());
        assert_eq!(model.finish(), (0, 0), "its time has not come");
        assert_eq!(fire(&model), 1);
        assert_eq!(model.finish(), (1, 0));
    });
}

#[test]
fn a_turn_that_is_held_back_while_its_source_is_suspended_waits_for_no_time() {
    check(|| {
        let model = paced(Rule::debounce(HOUR));
        let suspend: fn(&Model) = |m| m.delivery.suspend().unwrap();
        together(&model, [merge, suspend], |m| m.line.run());
        assert_eq!(model.finish(), (0, 0));
        assert_eq!(fire(&model), 0, "a suspended source has no timer");
        model.delivery.resume().unwrap();
        assert_eq!(model.finish(), (1, 0));
    });
}

#[test]
fn of_two_merges_at_leading_edges_none_is_left_behind() {
    check(|| {
        // Without a length every event begins a period, and what misses its call waits for ever.
        let model = paced(Rule::debounce(Duration::ZERO).edge(Edge::Leading));
        together(&model, [merge, |m| _ = m.merge(1, 2)], |m| m.line.run());
        assert_eq!(model.finish(), (3, 0));
    });
}

#[test]
fn a_merge_into_a_throttled_source_is_delivered_at_once_or_held_back() {
    check(|| {
        let model = paced(Rule::throttle(HOUR));
        together(&model, [merge, |m| _ = m.merge(1, 2)], |m| m.line.run());
        let (sum, _) = model.finish();
        let held = fire(&model);
        assert!(sum == 3 || (sum > 0 && held == 1));
        assert_eq!(model.finish(), (3, 0));
    });
}
