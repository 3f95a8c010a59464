//! Ports, step by step.

use super::Droppable;
use super::Log;
use super::queue::Stepped;
use super::unwind;
use crate::error::PortError;
use crate::error::SendError;
use crate::source::Messages;
use crate::source::Sender;
use crate::source::Source;
use crate::source::port::Port;
use crate::sync::Arc;
use crate::sync::Mutex;
use std::time::Duration;

/// A port whose handler logs what it is given, in batches.
fn logging(queue: &Stepped) -> (Source<Port<u32>>, Sender<u32>, Log<Vec<u32>>) {
    let log = Log::new();
    let handler = log.clone();
    let builder = Source::port(queue).on_event(move |messages| handler.push(messages.collect()));
    let sender = builder.sender();
    (builder.activate().unwrap(), sender, log)
}

/// Messages that are dropped into a log.
fn droppable(log: &Log<u32>) -> impl Fn(u32) -> Droppable<u32> {
    let log = log.clone();
    move |n| Droppable(log.clone(), n)
}

#[test]
fn a_handler_gets_what_waits_in_one_call_in_order() {
    let queue = Stepped::new();
    let (port, sender, log) = logging(&queue);
    let second = port.sender();
    for n in 0..6 {
        if n % 2 == 0 { sender.send(n) } else { second.send(n) }.unwrap();
    }
    assert_eq!(queue.run(), 1);
    sender.send(6).unwrap();
    assert_eq!(queue.run(), 1);
    log.expect([vec![0, 1, 2, 3, 4, 5], vec![6]]);
}

#[test]
fn messages_wait_for_the_activation_and_for_the_end_of_a_suspension() {
    let queue = Stepped::new();
    let log = Log::new();
    let (first, handler) = (log.clone(), log.clone());
    let builder = Source::port(&queue)
        .on_registered(move || first.push(vec![]))
        .on_event(move |messages| handler.push(messages.collect()));
    let sender = builder.sender();
    sender.send(1).unwrap();
    assert_eq!(queue.len(), 0);
    let port = builder.activate().unwrap();
    queue.run();
    log.expect([vec![], vec![1]]);
    port.suspend().unwrap();
    (2..5).for_each(|n| sender.send(n).unwrap());
    queue.run();
    log.expect_nothing();
    port.resume().unwrap();
    queue.run();
    log.expect([vec![2, 3, 4]]);
}

#[test]
fn what_a_handler_leaves_comes_again_before_what_came_since() {
    let queue = Stepped::new();
    let log = Log::new();
    let (handler, own) = (log.clone(), Arc::new(Mutex::new(None::<Sender<u32>>)));
    let slot = Arc::clone(&own);
    let builder = Source::port(&queue).on_event(move |mut messages: Messages<u32>| {
        let taken: Vec<u32> = messages.by_ref().take(2).collect();
        if taken[0] == 0 {
            slot.lock().as_ref().unwrap().send(9).unwrap();
        }
        handler.push((taken, messages.len()));
    });
    let sender = builder.sender();
    *own.lock() = Some(sender.clone());
    let port = builder.activate().unwrap();
    (0..5).for_each(|n| sender.send(n).unwrap());
    assert_eq!(queue.run(), 3, "one turn for each call");
    log.expect([(vec![0, 1], 3), (vec![2, 3], 2), (vec![4, 9], 0)]);
    drop((port, own.lock().take()));
}

#[test]
fn a_handler_that_panics_loses_the_message_in_its_hand() {
    let queue = Stepped::new();
    let log = Log::new();
    let handler = log.clone();
    let builder = Source::bounded_port(&queue, 3).on_event(move |messages| {
        for message in messages {
            if message == 1 {
                unwind("at one");
            }
            handler.push(message);
        }
    });
    let sender = builder.sender();
    let port = builder.activate().unwrap();
    (0..3).for_each(|n| sender.try_send(n).unwrap());
    assert_eq!(queue.step(), Err("at one".into()));
    assert_eq!(sender.try_send(3), Ok(()), "two have been taken");
    assert_eq!(sender.try_send(4), Ok(()));
    assert_eq!(sender.try_send(5), Err(SendError::Full(5)));
    queue.run();
    log.expect([0, 2, 3, 4]);
    drop(port);
}

#[test]
fn a_bound_counts_what_was_not_taken() {
    let queue = Stepped::new();
    let kept = Arc::new(Mutex::new(None));
    let handler = Arc::clone(&kept);
    let builder = Source::bounded_port(&queue, 2).on_event(move |messages| *handler.lock() = Some(messages));
    let sender = builder.sender();
    let port = builder.activate().unwrap();
    assert_eq!([1, 2, 3].map(|n| sender.try_send(n)), [Ok(()), Ok(()), Err(SendError::Full(3))]);
    let brief = Duration::from_millis(1);
    assert_eq!(sender.send_timeout(3, brief), Err(SendError::TimedOut(3)));
    queue.run();
    assert_eq!(sender.try_send(3), Err(SendError::Full(3)), "the handler was called and has taken none");
    let mut messages: Messages<i32> = kept.lock().take().unwrap();
    assert_eq!((messages.next(), messages.len()), (Some(1), 1));
    assert_eq!([3, 4].map(|n| sender.send_timeout(n, brief)), [Ok(()), Err(SendError::TimedOut(4))]);
    drop(messages);
    queue.run();
    let messages: Vec<i32> = kept.lock().take().unwrap().collect();
    assert_eq!(messages, [2, 3]);
    drop(port);
}

#[test]
fn cancelling_gives_the_rest_to_the_cancel_handler() {
    let queue = Stepped::new();
    let log = Log::new();
    let rest = log.clone();
    let builder = Source::port(&queue)
        .on_event_with(|port: &Source<Port<u32>>, mut messages| {
            assert_eq!(messages.next(), Some(0));
            port.cancel();
        })
        .on_cancel_with(move |left| rest.push(left));
    let sender = builder.sender();
    let port = builder.activate().unwrap();
    (0..4).for_each(|n| sender.send(n).unwrap());
    queue.run();
    log.expect([vec![1, 2, 3]]);
    assert_eq!(sender.send(5), Err(SendError::Dead(5)));
    assert!(sender.is_dead() && port.is_cancelled());
    assert_eq!(queue.run(), 0);
}

#[test]
fn a_cancel_while_suspended_refuses_messages_and_keeps_those_there_are_until_it_ends() {
    let queue = Stepped::new();
    for now in [false, true] {
        let log = Log::new();
        let rest = log.clone();
        let builder = Source::port(&queue).on_cancel_with(move |left| rest.push(left));
        let sender = builder.sender();
        let port = builder.activate().unwrap();
        port.suspend().unwrap();
        sender.send(1).unwrap();
        if now {
            port.cancel_now()
        } else {
            port.cancel()
        }
        assert_eq!(sender.send(2), Err(SendError::Dead(2)));
        if !now {
            queue.run();
            log.expect_nothing();
            port.resume().unwrap();
        }
        queue.run();
        log.expect([vec![1]]);
    }
}

#[test]
fn messages_that_nobody_wants_are_dropped_after_the_port_is_dead() {
    let (queue, clients) = (Stepped::new(), Stepped::new());
    for cancelled in [false, true] {
        let log = Log::new();
        let message = droppable(&log);
        let builder = Source::port(&queue).on_event(drop);
        let builder = if cancelled { builder.on_cancel(|| ()) } else { builder };
        let sender = builder.sender();
        let port = builder.activate().unwrap();
        let told = log.clone();
        sender.on_dead(&clients, move || told.push(0));
        port.suspend().unwrap();
        sender.send(message(1)).unwrap();
        sender.send(message(2)).unwrap();
        if cancelled {
            port.cancel_now();
        }
        drop(port);
        assert!(sender.is_dead());
        log.expect_nothing();
        queue.run();
        log.expect([1, 2]);
        assert_eq!(clients.run(), 1);
        log.expect([0]);
        assert!(sender.send(message(3)).is_err());
        log.expect([3]);
    }
}

#[test]
fn a_replaced_cancel_handler_leaves_nothing_behind() {
    let queue = Stepped::new();
    let log = Log::new();
    let message = droppable(&log);
    let ended = log.clone();
    let builder = Source::port(&queue).on_cancel_with(|_| unreachable!()).on_cancel(move || ended.push(0));
    let sender = builder.sender();
    sender.send(message(1)).unwrap();
    let port = builder.activate().unwrap();
    port.cancel();
    queue.run();
    log.expect([1, 0]);
}

#[test]
fn a_dead_port_is_told_once_to_each_who_asked_and_at_once_to_whoever_asks_later() {
    let (queue, clients) = (Stepped::new(), Stepped::new());
    let log = Log::new();
    let (port, sender, _) = logging(&queue);
    let ask = |name: &'static str| {
        let log = log.clone();
        sender.on_dead(&clients, move || log.push(name));
    };
    ask("first");
    ask("second");
    sender.send(1).unwrap();
    queue.run();
    assert_eq!(clients.run(), 0);
    port.cancel();
    assert_eq!(clients.run(), 0, "its last turn is to come");
    queue.run();
    clients.run();
    log.expect(["first", "second"]);
    ask("third");
    clients.run();
    drop((port, sender.clone()));
    queue.run();
    clients.run();
    log.expect(["third"]);
}

#[test]
fn the_handler_is_told_when_the_last_sender_is_gone() {
    let queue = Stepped::new();
    let log = Log::new();
    let handler = log.clone();
    let builder = Source::port(&queue).on_event(move |messages: Messages<u32>| {
        let is_last = messages.is_last();
        handler.push((messages.collect::<Vec<_>>(), is_last));
    });
    let port = builder.activate().unwrap();
    assert_eq!(queue.run(), 0, "there has been no sender");
    let (first, second) = (port.sender(), port.sender());
    first.send(1).unwrap();
    drop(first);
    queue.run();
    log.expect([(vec![1], false)]);
    second.send(2).unwrap();
    drop(second);
    queue.run();
    log.expect([(vec![2], true)]);
    let third = port.sender();
    third.send(3).unwrap();
    queue.run();
    drop(third.clone());
    drop(third);
    queue.run();
    log.expect([(vec![3], false), (vec![], true)]);
    drop(port.sender());
    let late = port.sender();
    queue.run();
    log.expect_nothing();
    drop((port, late));
    queue.run();
    log.expect_nothing();
}

#[test]
fn the_end_of_the_senders_comes_with_what_was_put_back() {
    let queue = Stepped::new();
    let log = Log::new();
    let handler = log.clone();
    let builder = Source::port(&queue).on_event(move |mut messages: Messages<u32>| {
        handler.push((messages.next(), messages.is_last()));
    });
    let sender = builder.sender();
    let port = builder.activate().unwrap();
    (0..2).for_each(|n| sender.send(n).unwrap());
    drop(sender);
    queue.run();
    log.expect([(Some(0), true), (Some(1), true)]);
    drop(port);
}

#[test]
fn messages_put_back_into_a_port_that_has_ended_are_dropped() {
    let queue = Stepped::new();
    let log = Log::new();
    let (message, kept) = (droppable(&log), Arc::new(Mutex::new(None)));
    let handler = Arc::clone(&kept);
    let builder = Source::port(&queue).on_event(move |messages| *handler.lock() = Some(messages));
    let sender = builder.sender();
    let port = builder.activate().unwrap();
    sender.send(message(1)).unwrap();
    queue.run();
    port.cancel();
    queue.run();
    log.expect_nothing();
    let messages: Option<Messages<Droppable<u32>>> = kept.lock().take();
    drop(messages);
    log.expect([1]);
    assert_eq!(queue.run(), 0);
}

#[test]
fn a_port_without_a_handler_drops_what_it_receives() {
    let queue = Stepped::new();
    let log = Log::new();
    let message = droppable(&log);
    let builder = Source::bounded_port(&queue, 2);
    let sender = builder.sender();
    let port = builder.activate().unwrap();
    for n in [1, 3] {
        sender.try_send(message(n)).unwrap();
        sender.try_send(message(n + 1)).unwrap();
        assert_eq!(queue.run(), 1);
        log.expect([n, n + 1]);
    }
    drop(port);
}

#[test]
fn a_capacity_of_zero_is_an_error_with_the_label_and_the_port_is_dead() {
    let queue = Stepped::new();
    let zero = |label: &str| PortError::ZeroCapacity { label: label.into() };
    let named = Source::bounded_port::<u32>(&queue, 0).label("orders");
    let sender = named.sender();
    assert_eq!(sender.try_send(1), Err(SendError::Full(1)));
    assert_eq!(named.activate().unwrap_err(), zero("orders"));
    assert_eq!(Source::bounded_port::<u32>(&queue, 0).activate().unwrap_err(), zero("stepped"));
    assert_eq!(sender.send(1), Err(SendError::Dead(1)));
}

#[test]
fn a_target_that_is_shut_down_lets_go_of_everything_and_of_blocked_senders() {
    let queue = Stepped::new();
    let log = Log::new();
    let message = droppable(&log);
    let builder = Source::bounded_port(&queue, 1).on_event(|_| unreachable!());
    let sender = builder.sender();
    let port = builder.activate().unwrap();
    sender.send(message(1)).unwrap();
    queue.shut_down();
    log.expect([1]);
    assert!(sender.is_dead());
    assert!(matches!(sender.send(message(2)), Err(SendError::Dead(_))));
    log.expect([2]);
    drop(port);
}

#[test]
fn a_message_that_panics_when_dropped_does_not_take_the_cancel_handler_along() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            unwind("dropped");
        }
    }
    let queue = Stepped::new();
    let log = Log::new();
    let (bomb, ended) = (Bomb, log.clone());
    let builder = Source::port(&queue)
        .on_event(move |_| {
            let _captured = &bomb;
        })
        .on_cancel(move || ended.push("cancelled"));
    let sender = builder.sender();
    let port = builder.activate().unwrap();
    sender.send(Bomb).unwrap();
    port.cancel();
    assert_eq!(queue.step(), Err("dropped".into()));
    log.expect(["cancelled"]);
    assert!(sender.is_dead());
}

#[test]
fn a_handler_that_waits_for_its_own_room_is_told() {
    let queue = Stepped::new();
    let log = Log::new();
    let handler = log.clone();
    let builder = Source::bounded_port(&queue, 1);
    let sender = builder.sender();
    let own = sender.clone();
    let builder = builder.on_event_with(move |port, mut messages| {
        handler.push(own.send(7));
        handler.push(own.send_timeout(8, Duration::from_secs(3600)));
        if messages.next() == Some(1) {
            handler.push(own.send(9));
        }
        port.cancel();
    });
    let port = builder.activate().unwrap();
    sender.send(1).unwrap();
    queue.run();
    log.expect([Err(SendError::WouldDeadlock(7)), Err(SendError::WouldDeadlock(8)), Ok(())]);
    drop(port);
}
