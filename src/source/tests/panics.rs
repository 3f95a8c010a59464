//! What a panic costs, and what it does not.

use super::Log;
use super::queue::Stepped;
use super::unwind;
use crate::source::Source;

#[test]
fn a_panicking_handler_loses_its_value_and_nothing_else() {
    let queue = Stepped::new();
    let log = Log::new();
    let handler = log.clone();
    let source = Source::add(&queue)
        .on_event_with(move |source, n| {
            source.merge(100);
            if n == 1 {
                unwind("the first");
            }
            handler.push(n);
            source.cancel();
        })
        .activate();
    source.merge(1);
    assert_eq!(queue.step(), Err("the first".into()));
    source.merge(2);
    queue.run();
    log.expect([102]);
}

#[test]
fn a_panicking_registration_handler_does_not_keep_events_back() {
    let queue = Stepped::new();
    let log = Log::new();
    let handler = log.clone();
    let source =
        Source::add(&queue).on_registered(|| unwind("unregistered")).on_event(move |n| handler.push(n)).activate();
    source.merge(3);
    assert_eq!(queue.step(), Err("unregistered".into()));
    queue.run();
    log.expect([3]);
}

#[test]
fn a_panicking_cancel_handler_has_had_its_turn() {
    let queue = Stepped::new();
    let source = Source::add(&queue).on_cancel(|| unwind("at the end")).activate();
    source.cancel();
    assert_eq!(queue.step(), Err("at the end".into()));
    source.cancel();
    source.merge(1);
    assert_eq!(queue.run(), 0);
}

#[test]
fn a_capture_that_panics_when_dropped_does_not_take_the_cancel_handler_along() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            unwind("dropped");
        }
    }
    let queue = Stepped::new();
    let log = Log::new();
    let (bomb, handler) = (Bomb, log.clone());
    let source = Source::add(&queue)
        .on_event(move |_| {
            let _captured = &bomb;
        })
        .on_cancel(move || handler.push("cancelled"))
        .activate();
    source.cancel();
    assert_eq!(queue.step(), Err("dropped".into()));
    log.expect(["cancelled"]);
}
