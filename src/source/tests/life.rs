//! From the activation to the end.

use super::Droppable;
use super::Log;
use super::queue::Stepped;
use crate::error::SuspendError;
use crate::source::Handle;
use crate::source::Source;
use crate::source::SourceBuilder;
use crate::sync::Arc;
use crate::sync::Mutex;

/// A sum whose handlers log what happens, and the drop of what each has captured.
fn logging(queue: &Stepped) -> (SourceBuilder, Log<String>) {
    let log = Log::new();
    let (a, b, c) = (log.clone(), log.clone(), log.clone());
    let (d, e) = (captured(&log, "registration"), captured(&log, "event"));
    let builder = Source::add(queue)
        .on_registered(move || {
            a.push("registered".into());
            drop(d);
        })
        .on_event(move |n| {
            let _captured = &e;
            b.push(format!("event {n}"));
        })
        .on_cancel(move || c.push("cancelled".into()));
    (builder, log)
}

fn captured(log: &Log<String>, name: &str) -> Droppable<String> {
    Droppable(log.clone(), format!("drop {name}"))
}

/// The same, active and registered.
fn registered(queue: &Stepped) -> (Source, Log<String>) {
    let (builder, log) = logging(queue);
    let source = builder.activate();
    queue.run();
    log.expect(["registered", "drop registration"]);
    (source, log)
}

#[test]
fn the_registration_handler_runs_once_and_before_every_event() {
    let queue = Stepped::new();
    let (builder, log) = logging(&queue);
    let handle = builder.handle();
    handle.merge(1);
    assert_eq!(queue.len(), 0, "nothing runs before the activation");
    let source = builder.activate();
    assert_eq!(queue.step(), Ok(true));
    log.expect(["registered", "drop registration"]);
    source.merge(2);
    queue.run();
    source.merge(4);
    queue.run();
    log.expect(["event 3", "event 4"]);
}

#[test]
fn the_registration_handler_may_suspend_or_cancel_its_source() {
    for cancel in [false, true] {
        let queue = Stepped::new();
        let log = Log::new();
        let (a, b) = (log.clone(), log.clone());
        let slot: Arc<Mutex<Option<Source>>> = Arc::default();
        let own = Arc::clone(&slot);
        let builder = Source::add(&queue)
            .on_registered(move || {
                let source = own.lock().clone().expect("the source is there before the queue runs");
                if cancel { source.cancel() } else { source.suspend().unwrap() }
            })
            .on_event(move |n| a.push(format!("event {n}")))
            .on_cancel(move || b.push("cancelled".into()));
        builder.handle().merge(5);
        let source = builder.activate();
        *slot.lock() = Some(source.clone());
        queue.run();
        if cancel {
            log.expect(["cancelled"]);
        } else {
            log.expect_nothing();
            source.resume().unwrap();
            queue.run();
            log.expect(["event 5"]);
        }
    }
}

#[test]
fn suspensions_are_counted() {
    let queue = Stepped::new();
    let (source, log) = registered(&queue);
    source.suspend().unwrap();
    source.suspend().unwrap();
    source.merge(1);
    source.resume().unwrap();
    queue.run();
    log.expect_nothing();
    source.resume().unwrap();
    queue.run();
    log.expect(["event 1"]);
}

#[test]
fn resuming_too_often_is_an_error_with_the_label_and_changes_nothing() {
    let queue = Stepped::new();
    let over = |label: &str| Err(SuspendError::OverResume { label: label.into() });
    let named = Source::add(&queue).label("bytes").activate();
    let (source, log) = registered(&queue);
    assert_eq!((named.label(), source.label()), ("bytes", "stepped"));
    assert_eq!((named.resume(), source.resume()), (over("bytes"), over("stepped")));
    source.suspend().unwrap();
    source.resume().unwrap();
    assert_eq!(source.resume(), over("stepped"));
    source.merge(1);
    queue.run();
    log.expect(["event 1"]);
}

#[test]
fn a_suspension_from_the_handler_holds_what_comes_later() {
    let queue = Stepped::new();
    let log = Log::new();
    let handler = log.clone();
    let source = Source::add(&queue)
        .on_event_with(move |source, n| {
            source.suspend().unwrap();
            source.merge(10);
            handler.push(n);
        })
        .activate();
    source.merge(1);
    queue.run();
    source.merge(2);
    assert_eq!(queue.run(), 0);
    log.expect([1]);
    source.resume().unwrap();
    queue.run();
    log.expect([12]);
}

#[test]
fn a_suspension_holds_a_delivery_that_is_already_scheduled() {
    let queue = Stepped::new();
    let (source, log) = registered(&queue);
    source.merge(1);
    assert_eq!(queue.len(), 1);
    source.suspend().unwrap();
    source.resume().unwrap();
    assert_eq!(queue.len(), 1, "it was not parked yet, so it is not scheduled again");
    source.suspend().unwrap();
    queue.run();
    log.expect_nothing();
    source.resume().unwrap();
    queue.run();
    log.expect(["event 1"]);
}

#[test]
fn a_guard_suspends_until_it_is_dropped_and_a_forgotten_one_for_ever() {
    let queue = Stepped::new();
    let (source, log) = registered(&queue);
    let guard = source.suspend_guard().unwrap();
    source.merge(1);
    queue.run();
    log.expect_nothing();
    drop(guard);
    queue.run();
    log.expect(["event 1"]);
    let forgotten = std::mem::ManuallyDrop::new(source.suspend_guard().unwrap());
    source.merge(1);
    queue.run();
    log.expect_nothing();
    source.resume().unwrap();
    queue.run();
    log.expect(["event 1"]);
    // Only now, so that nothing is leaked.
    drop(std::mem::ManuallyDrop::into_inner(forgotten));
}

#[test]
fn a_guard_does_not_keep_its_source_alive() {
    let queue = Stepped::new();
    let (source, log) = registered(&queue);
    let guard = source.suspend_guard().unwrap();
    drop(source);
    queue.run();
    log.expect(["drop event"]);
    drop(guard);
    assert_eq!(queue.run(), 0);
}

#[test]
fn a_cancelled_source_drops_what_is_pending_and_tells_its_cancel_handler_once() {
    let queue = Stepped::new();
    let (source, log) = registered(&queue);
    source.merge(1);
    assert!(!source.is_cancelled());
    source.cancel();
    assert!(source.is_cancelled());
    source.cancel();
    log.expect_nothing();
    queue.run();
    log.expect(["drop event", "cancelled"]);
    source.cancel();
    source.cancel_now();
    source.merge(1);
    assert!(!source.handle().merge(1));
    assert_eq!(queue.run(), 0);
    drop(source);
    assert_eq!(queue.run(), 0);
    log.expect_nothing();
}

#[test]
fn an_idle_source_can_be_cancelled() {
    let queue = Stepped::new();
    let (source, log) = registered(&queue);
    source.cancel();
    queue.run();
    log.expect(["drop event", "cancelled"]);
}

#[test]
fn a_source_cancelled_before_its_registration_never_registers() {
    let queue = Stepped::new();
    let (builder, log) = logging(&queue);
    let source = builder.activate();
    source.cancel();
    queue.run();
    log.expect(["drop registration", "drop event", "cancelled"]);
}

#[test]
fn cancelling_from_the_handler_lets_it_return_and_none_follow() {
    let queue = Stepped::new();
    let log = Log::new();
    let (a, b) = (log.clone(), log.clone());
    let source = Source::add(&queue)
        .on_event_with(move |source, _| {
            source.merge(1);
            source.cancel();
            source.merge(1);
            a.push("event returns");
        })
        .on_cancel(move || b.push("cancelled"))
        .activate();
    source.merge(1);
    queue.run();
    log.expect(["event returns", "cancelled"]);
    assert!(source.is_cancelled());
}

#[test]
fn a_suspended_source_is_cancelled_at_once_but_says_so_after_the_resume() {
    let queue = Stepped::new();
    let (source, log) = registered(&queue);
    source.suspend().unwrap();
    source.merge(1);
    source.cancel();
    assert!(source.is_cancelled());
    queue.run();
    log.expect_nothing();
    source.resume().unwrap();
    queue.run();
    log.expect(["drop event", "cancelled"]);
}

#[test]
fn cancel_now_does_not_wait_for_the_resume() {
    for cancelled_before in [false, true] {
        let queue = Stepped::new();
        let (source, log) = registered(&queue);
        source.suspend().unwrap();
        source.merge(1);
        if cancelled_before {
            source.cancel();
            queue.run();
        }
        source.cancel_now();
        queue.run();
        log.expect(["drop event", "cancelled"]);
        assert_eq!(source.resume(), Ok(()), "the count goes on");
        assert_eq!(queue.run(), 0);
    }
}

#[test]
fn the_last_handle_ends_the_source_silently() {
    let queue = Stepped::new();
    let (source, log) = registered(&queue);
    let second = source.clone();
    drop(source);
    second.merge(1);
    queue.run();
    log.expect(["event 1"]);
    second.merge(1);
    drop(second);
    log.expect_nothing();
    assert_eq!(queue.run(), 1);
    log.expect(["drop event"]);
}

#[test]
fn a_suspended_source_may_be_dropped() {
    let queue = Stepped::new();
    let (source, log) = registered(&queue);
    source.suspend().unwrap();
    source.merge(1);
    drop(source);
    queue.run();
    log.expect(["drop event"]);
}

#[test]
fn a_cancelled_and_suspended_source_that_is_dropped_still_runs_its_cancel_handler() {
    let queue = Stepped::new();
    let (source, log) = registered(&queue);
    source.suspend().unwrap();
    source.cancel();
    drop(source);
    queue.run();
    log.expect(["drop event", "cancelled"]);
}

#[test]
fn the_last_handle_may_go_while_the_handler_runs() {
    let queue = Stepped::new();
    let log = Log::new();
    let slot: Arc<Mutex<Option<Source>>> = Arc::default();
    let (handler, own, drops) = (log.clone(), Arc::clone(&slot), captured(&log, "event"));
    let source = Source::add(&queue)
        .on_event_with(move |source, n| {
            let _captured = &drops;
            drop(own.lock().take());
            source.merge(1);
            handler.push(format!("event {n}"));
        })
        .activate();
    source.merge(1);
    *slot.lock() = Some(source);
    queue.run();
    log.expect(["event 1", "drop event"]);
}

#[test]
fn a_builder_that_is_dropped_drops_its_handlers_and_ends_its_handles() {
    let queue = Stepped::new();
    let (builder, log) = logging(&queue);
    let handle = builder.handle();
    assert!(handle.merge(1));
    drop(builder);
    assert!(!handle.merge(1));
    queue.run();
    log.expect(["drop registration", "drop event"]);
}

#[test]
fn a_handle_does_not_keep_its_source_alive_and_is_told() {
    let queue = Stepped::new();
    let (source, log) = registered(&queue);
    let handle: Handle = source.handle().clone();
    assert!(handle.merge(1) && handle.merge(0) && !handle.has_ended());
    queue.run();
    log.expect(["event 1"]);
    drop(source);
    assert!(handle.has_ended() && !handle.merge(1) && !handle.merge(0));
    queue.run();
    log.expect(["drop event"]);
    assert!(!handle.merge(1));
    assert_eq!(queue.run(), 0);
}

#[test]
fn values_that_are_never_delivered_are_dropped_with_the_source() {
    let queue = Stepped::new();
    let log = Log::new();
    let value = |name| vec![captured(&log, name)];
    let source = Source::merging::<Vec<Droppable<String>>>(&queue).on_event(drop).activate();
    source.merge(value("delivered"));
    queue.run();
    log.expect(["drop delivered"]);
    source.merge(value("cancelled"));
    source.cancel();
    source.merge(value("late"));
    log.expect_nothing();
    queue.run();
    log.expect(["drop cancelled", "drop late"]);
    source.merge(value("refused"));
    log.expect(["drop refused"]);
}

#[test]
fn a_source_ends_when_its_queue_drops_its_job() {
    let queue = Stepped::new();
    let (source, log) = registered(&queue);
    let handle = source.handle().clone();
    source.merge(1);
    queue.shut_down();
    log.expect(["drop event"]);
    assert!(!handle.merge(1));
    source.cancel();
    drop(source);
    log.expect_nothing();
}

#[test]
fn a_source_that_finds_its_queue_shut_down_ends_without_its_cancel_handler() {
    let queue = Stepped::new();
    let (source, log) = registered(&queue);
    queue.shut_down();
    source.cancel();
    assert!(source.is_cancelled());
    log.expect(["drop event"]);
}

#[test]
fn a_handler_that_holds_its_own_source_is_let_go_by_cancel() {
    let queue = Stepped::new();
    let log = Log::new();
    let slot: Arc<Mutex<Option<Source>>> = Arc::default();
    let (own, drops) = (Arc::clone(&slot), captured(&log, "event"));
    let source = Source::add(&queue)
        .on_event(move |_| {
            let _captured = (&drops, &own);
        })
        .activate();
    *slot.lock() = Some(source.clone());
    drop(slot);
    source.cancel();
    drop(source);
    queue.run();
    log.expect(["drop event"]);
}
