//! When turns are due on a clock that the test makes up, and what becomes of a turn that is being held back.

use super::Droppable;
use super::Log;
use super::queue::Stepped;
use super::queue::wait_until;
use crate::queue::Accept;
use crate::source::Add;
use crate::source::Edge;
use crate::source::Paced;
use crate::source::Source;
use crate::source::SourceBuilder;
use crate::source::pace::Pace;
use crate::source::pace::Rule;
use crate::time::Nanos;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);
const EDGES: [Edge; 3] = [Edge::Leading, Edge::Trailing, Edge::Both];

fn nanos(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

/// The calls of a source that is merged into at `merges`, each with its time and how many merges it delivers, if each takes
/// `length`.
fn calls(rule: Rule, merges: &[u64], length: u64) -> Vec<(u64, usize)> {
    let (pace, mut calls, mut pending, mut busy) = (Pace::new(rule), Vec::new(), 0, 0);
    for time in 0..100 {
        for _ in merges.iter().filter(|merge| **merge == time) {
            pace.stamp(Nanos(time), pending == 0);
            pending += 1;
        }
        if pending > 0 && busy <= time && pace.begin(Nanos(time)) {
            pace.call(Nanos(time));
            calls.push((time, pending));
            (pending, busy) = (0, time + length);
        }
    }
    calls
}

/// The events of the pictures in the documentation.
const MERGES: [u64; 6] = [0, 2, 4, 8, 13, 34];

#[test]
fn the_pictures_of_the_documentation_are_right() {
    let throttled = |edge| calls(Rule::throttle(nanos(10)).edge(edge), &MERGES, 0);
    assert_eq!(throttled(Edge::Both), [(0, 1), (10, 3), (20, 1), (34, 1)]);
    assert_eq!(throttled(Edge::Leading), [(0, 1), (13, 4), (34, 1)]);
    assert_eq!(throttled(Edge::Trailing), [(10, 4), (20, 1), (44, 1)]);
    assert_eq!(throttled(Edge::Both), calls(Rule::throttle(nanos(10)), &MERGES, 0), "the default");
    let debounced = |edge| calls(Rule::debounce(nanos(10)).edge(edge), &MERGES, 0);
    assert_eq!(debounced(Edge::Trailing), [(23, 5), (44, 1)]);
    assert_eq!(debounced(Edge::Leading), [(0, 1), (34, 5)]);
    assert_eq!(debounced(Edge::Both), [(0, 1), (23, 4), (34, 1)]);
    assert_eq!(debounced(Edge::Trailing), calls(Rule::debounce(nanos(10)), &MERGES, 0), "the default");
}

#[test]
fn an_event_that_a_call_overtakes_before_it_has_left_its_mark_leads_no_more() {
    // The period of the event is over, and has had its call, before the event goes on.
    let throttled = Pace::new(Rule::throttle(nanos(10)));
    assert!(throttled.leads(Nanos(0)));
    assert!(throttled.begin(Nanos(11)));
    throttled.call(Nanos(12));
    assert!(!throttled.mark(Nanos(0), true));
    assert!(!throttled.begin(Nanos(21)), "two calls in one period");
    assert!(throttled.begin(Nanos(22)));

    let debounced = Pace::new(Rule::debounce(nanos(10)).edge(Edge::Both));
    assert!(debounced.leads(Nanos(0)));
    assert!(debounced.begin(Nanos(11)));
    debounced.call(Nanos(12));
    assert!(!debounced.mark(Nanos(0), true));
    assert!(debounced.leads(Nanos(13)) && debounced.mark(Nanos(13), true), "the next one leads");
}

#[test]
fn an_event_that_leads_while_a_turn_begins_is_called_for_at_once_unless_it_is_in_the_period_of_its_call() {
    for (rule, leads) in [(Rule::throttle(nanos(10)), false), (Rule::debounce(nanos(10)).edge(Edge::Both), true)] {
        let pace = Pace::new(rule);
        assert!(pace.begin(Nanos(5)));
        assert!(pace.leads(Nanos(6)));
        pace.call(Nanos(7));
        assert_eq!(pace.mark(Nanos(6), true), leads);
        assert_eq!(pace.begin(Nanos(8)), leads);
    }
}

#[test]
fn a_maximum_delay_bounds_every_wait_from_its_first_event() {
    let calls_of = |rule: Rule, edge| calls(rule.edge(edge).max_delay(nanos(7)), &MERGES, 0);
    let debounced = |edge| calls_of(Rule::debounce(nanos(10)), edge);
    assert_eq!(debounced(Edge::Trailing), [(7, 3), (15, 2), (41, 1)]);
    assert_eq!(debounced(Edge::Leading), [(0, 1), (9, 3), (20, 1), (34, 1)]);
    assert_eq!(debounced(Edge::Both), [(0, 1), (9, 3), (20, 1), (34, 1)]);
    let throttled = |edge| calls_of(Rule::throttle(nanos(10)), edge);
    assert_eq!(throttled(Edge::Both), [(0, 1), (9, 3), (19, 1), (34, 1)]);
    assert_eq!(throttled(Edge::Trailing), [(7, 3), (15, 2), (41, 1)]);
    assert_eq!(throttled(Edge::Leading), [(0, 1), (9, 3), (20, 1), (34, 1)]);
}

#[test]
fn a_slow_handler_is_called_again_as_soon_as_it_returns_if_its_period_is_over() {
    let every = |length| calls(Rule::throttle(nanos(10)), &[0, 1, 12, 21, 40], length);
    assert_eq!(every(3), [(0, 1), (10, 1), (20, 1), (30, 1), (40, 1)]);
    assert_eq!(every(25), [(0, 1), (25, 3), (50, 1)]);
}

#[test]
fn a_pace_of_no_time_holds_nothing_back() {
    for rule in [Rule::throttle(Duration::ZERO), Rule::debounce(Duration::ZERO)] {
        for edge in EDGES {
            assert_eq!(calls(rule.edge(edge), &MERGES, 0), MERGES.map(|time| (time, 1)), "{rule:?}, {edge:?}");
        }
    }
    let rule = Rule::debounce(HOUR).max_delay(Duration::ZERO);
    assert_eq!(calls(rule, &MERGES, 0), MERGES.map(|time| (time, 1)));
}

#[test]
fn a_pace_without_an_end_holds_everything_back_that_is_not_at_its_beginning() {
    for rule in [Rule::throttle(Duration::MAX), Rule::debounce(Duration::MAX)] {
        assert_eq!(calls(rule.edge(Edge::Both), &MERGES, 0), [(0, 1)]);
        assert_eq!(calls(rule.edge(Edge::Leading), &MERGES, 0), [(0, 1)]);
        assert_eq!(calls(rule.edge(Edge::Trailing), &MERGES, 0), []);
    }
}

#[test]
fn a_merge_that_was_interrupted_after_it_looked_at_the_clock_shortens_nothing() {
    for rule in [Rule::debounce(nanos(10)), Rule::throttle(nanos(10)).edge(Edge::Trailing)] {
        let pace = Pace::new(rule);
        pace.stamp(Nanos(50), true);
        pace.stamp(Nanos(20), false);
        assert_eq!([50, 59, 60].map(|now| pace.begin(Nanos(now))), [false, false, true], "{rule:?}");
    }
}

#[test]
fn only_the_first_of_several_merges_begins_a_period() {
    for rule in [Rule::throttle(nanos(10)), Rule::debounce(nanos(10))] {
        for edge in [Edge::Leading, Edge::Both] {
            let pace = Pace::new(rule.edge(edge));
            assert_eq!([5, 5, 5, 14].map(|now| pace.stamp(Nanos(now), false)), [true, false, false, false]);
            assert!(pace.begin(Nanos(14)));
        }
    }
}

#[test]
fn a_merge_between_the_take_and_the_call_of_a_turn_is_in_the_period_of_that_call() {
    let pace = Pace::new(Rule::throttle(nanos(10)).edge(Edge::Leading));
    pace.stamp(Nanos(5), true);
    assert!(pace.begin(Nanos(5)));
    pace.call(Nanos(5));
    pace.stamp(Nanos(15), true);
    assert!(pace.begin(Nanos(15)));
    // Taken at 15, and called at 30: the merge found no period, and may not have a call of its own at once.
    assert!(pace.stamp(Nanos(29), true));
    pace.call(Nanos(30));
    assert!(!pace.begin(Nanos(1_000)), "it waits for an event");
    assert!(!pace.stamp(Nanos(39), false) && pace.stamp(Nanos(40), false));
}

/// A sum whose handlers log what happens, and the drop of what they have captured.
fn logging(queue: &Stepped) -> (SourceBuilder, Log<String>) {
    let log = Log::new();
    let (event, end, captured) = (log.clone(), log.clone(), Droppable(log.clone(), "dropped".into()));
    let builder = Source::add(queue)
        .on_event(move |n| {
            let _captured = &captured;
            event.push(format!("event {n}"));
        })
        .on_cancel(move || end.push("cancelled".into()));
    (builder, log)
}

/// How many turns the event loop has. It is stopped, and they are dropped, which ends their sources.
fn held(queue: &Stepped) -> usize {
    queue.engine().end_event_loop().map_or(0, |event_loop| event_loop.stop().len())
}

/// Gives a source that sums up a pace.
type Describe = fn(SourceBuilder) -> SourceBuilder<Add, Paced>;

/// Sources of which one turn is being held back, for an hour or for ever.
fn holding(test: impl Fn(&Stepped, Source, Log<String>)) {
    let paces: [Describe; 4] = [
        |builder| builder.debounce(HOUR),
        |builder| builder.throttle(HOUR).edge(Edge::Trailing),
        |builder| builder.debounce(Duration::MAX),
        |builder| builder.debounce(Duration::MAX).max_delay(HOUR),
    ];
    for pace in paces {
        let queue = Stepped::new();
        let (builder, log) = logging(&queue);
        let source = pace(builder).activate().unwrap();
        source.merge(1);
        source.merge(2);
        assert_eq!(queue.run(), 0, "its time has not come");
        test(&queue, source, log);
    }
}

#[test]
fn a_cancelled_source_ends_at_once_although_its_turn_is_held_back() {
    holding(|queue, source, log| {
        source.cancel();
        assert_eq!(queue.run(), 1);
        log.expect(["dropped", "cancelled"]);
        source.cancel();
        source.merge(1);
        assert_eq!((queue.run(), held(queue)), (0, 0));
    });
}

#[test]
fn the_last_handle_ends_a_source_at_once_although_its_turn_is_held_back() {
    holding(|queue, source, log| {
        drop(source);
        assert_eq!(queue.run(), 1);
        log.expect(["dropped"]);
        assert_eq!(held(queue), 0);
    });
}

#[test]
fn a_suspended_source_has_no_timer() {
    holding(|queue, source, log| {
        source.suspend().unwrap();
        queue.run();
        source.merge(4);
        assert_eq!((queue.run(), held(queue)), (0, 0));
        log.expect_nothing();
    });
}

#[test]
fn a_source_that_is_resumed_is_held_back_as_before() {
    for parks in [true, false] {
        holding(|queue, source, log| {
            source.suspend().unwrap();
            if parks {
                assert_eq!(queue.run(), 1, "the turn finds out");
            }
            source.resume().unwrap();
            queue.run();
            log.expect_nothing();
            source.merge(4);
            assert_eq!((queue.run(), held(queue)), (0, 1));
        });
    }
}

#[test]
fn a_suspended_source_is_cancelled_when_it_is_resumed_or_at_once() {
    holding(|queue, source, log| {
        source.suspend().unwrap();
        source.cancel();
        queue.run();
        log.expect_nothing();
        source.resume().unwrap();
        assert_eq!(queue.run(), 1);
        log.expect(["dropped", "cancelled"]);
    });
    holding(|queue, source, log| {
        source.suspend().unwrap();
        source.cancel_now();
        queue.run();
        log.expect(["dropped", "cancelled"]);
    });
}

#[test]
fn what_the_event_loop_gives_back_at_its_end_is_delivered_and_nothing_is_held_any_more() {
    holding(|queue, source, log| {
        let event_loop = queue.engine().end_event_loop().unwrap();
        for armed in event_loop.stop() {
            armed.sink.fire(armed.job, Nanos::ZERO);
        }
        assert_eq!(queue.run(), 1);
        log.expect(["event 3"]);
        source.merge(4);
        queue.run();
        log.expect(["event 4"]);
    });
}

#[test]
fn a_turn_that_nobody_can_hold_back_any_more_comes_when_its_target_gets_there() {
    holding(|queue, source, log| {
        source.suspend().unwrap();
        queue.run();
        assert_eq!(held(queue), 0);
        source.resume().unwrap();
        queue.run();
        log.expect(["event 3"]);
    });
}

#[test]
fn a_target_that_is_shut_down_ends_the_source_with_its_turn() {
    holding(|queue, source, log| {
        queue.shut_down();
        source.merge(4);
        log.expect_nothing();
        source.cancel();
        log.expect(["dropped"]);
        assert!(source.handle().has_ended());
        assert_eq!(held(queue), 0);
    });
}

#[test]
fn an_event_outside_of_a_period_is_delivered_at_once_and_the_next_one_is_not() {
    for edge in [Edge::Leading, Edge::Both] {
        let paces: [Describe; 2] = [|builder| builder.debounce(HOUR), |builder| builder.throttle(HOUR)];
        for pace in paces {
            let queue = Stepped::new();
            let (builder, log) = logging(&queue);
            let source = pace(builder).edge(edge).activate().unwrap();
            source.merge(1);
            source.merge(2);
            assert_eq!(queue.run(), 1);
            log.expect(["event 3"]);
            source.merge(4);
            source.merge(8);
            assert_eq!(queue.run(), 0);
            log.expect_nothing();
            assert_eq!(held(&queue), 1);
        }
    }
}

#[test]
fn what_was_merged_before_the_activation_counts_from_there() {
    let queue = Stepped::new();
    let (builder, log) = logging(&queue);
    builder.handle().merge(1);
    let source = builder.debounce(HOUR).activate().unwrap();
    assert_eq!((queue.run(), held(&queue)), (0, 1));
    drop(source);
    let queue = Stepped::new();
    let (builder, log_at_once) = logging(&queue);
    builder.handle().merge(1);
    let source = builder.throttle(HOUR).activate().unwrap();
    queue.run();
    log_at_once.expect(["event 1"]);
    source.merge(2);
    assert_eq!((queue.run(), held(&queue)), (0, 1));
    log.expect(["dropped"]);
}

#[test]
fn the_registration_handler_is_not_held_back() {
    for merged in [false, true] {
        let queue = Stepped::new();
        let (builder, log) = logging(&queue);
        let registered = log.clone();
        let builder = builder.on_registered(move || registered.push("registered".into()));
        if merged {
            builder.handle().merge(1);
        }
        let source = builder.debounce(HOUR).activate().unwrap();
        queue.run();
        log.expect(["registered"]);
        source.merge(2);
        assert_eq!(queue.run(), 0);
        log.expect_nothing();
        assert_eq!(held(&queue), 1);
    }
}

#[test]
fn a_handler_that_merges_into_its_own_source_is_called_in_the_next_period() {
    let queue = Stepped::new();
    let log = Log::new();
    let calls = log.clone();
    let builder = Source::add(&queue).throttle(HOUR).on_event_with(move |source, n| {
        calls.push(n);
        source.merge(n + 1);
    });
    let source = builder.activate().unwrap();
    source.merge(1);
    assert_eq!((queue.run(), held(&queue)), (1, 1));
    log.expect([1]);
}

#[test]
fn a_time_that_has_come_brings_the_turn() {
    let queue = Stepped::new();
    let (builder, log) = logging(&queue);
    let source = builder.debounce(nanos(1)).activate().unwrap();
    source.merge(1);
    wait_until(|| queue.len() > 0);
    queue.run();
    log.expect(["event 1"]);
    assert_eq!(held(&queue), 0);
    drop(source);
}
