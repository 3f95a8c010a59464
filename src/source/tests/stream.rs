//! Streams, step by step.

use super::Droppable;
use super::Log;
use super::queue::Stepped;
use super::unwind;
use crate::error::SuspendError;
use crate::source::Handle;
use crate::source::Source;
use crate::source::SourceStream;
use crate::source::data::Add;
use crate::source::data::Replace;
use crate::sync::Arc;
use crate::sync::AtomicUsize;
use crate::sync::Ordering;
use futures_core::Stream;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::Wake;
use std::task::Waker;

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Woken {
    fn times(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn poll<S: Stream + Unpin>(stream: &mut S) -> Poll<Option<S::Item>> {
    Pin::new(stream).poll_next(&mut Context::from_waker(Waker::noop()))
}

fn poll_with<S: Stream + Unpin>(stream: &mut S, woken: &Arc<Woken>) -> Poll<Option<S::Item>> {
    Pin::new(stream).poll_next(&mut Context::from_waker(&Waker::from(Arc::clone(woken))))
}

fn ready<T>(value: T) -> Poll<Option<T>> {
    Poll::Ready(Some(value))
}

fn sums(queue: &Stepped) -> (SourceStream<Add>, Handle<Add>) {
    let stream = Source::add(queue).stream();
    let handle = stream.source().handle().clone();
    (stream, handle)
}

#[test]
fn what_comes_between_two_polls_is_one_value() {
    let queue = Stepped::new();
    let (mut stream, handle) = sums(&queue);
    handle.merge(1);
    assert_eq!(queue.run(), 1);
    for _ in 0..1_000 {
        handle.merge(2);
    }
    assert_eq!(queue.run(), 0, "nobody has asked");
    assert_eq!(poll(&mut stream), ready(1));
    assert_eq!(queue.run(), 0, "taking a value asks for nothing");
    assert_eq!(poll(&mut stream), Poll::Pending);
    assert_eq!(queue.run(), 1);
    assert_eq!(poll(&mut stream), ready(2_000));
    assert_eq!(poll(&mut stream), Poll::Pending);
    assert_eq!(queue.run(), 0, "an ask for what is not there yet costs no turn");
    handle.merge(3);
    assert_eq!(queue.run(), 1);
    assert_eq!(poll(&mut stream), ready(3));
}

#[test]
fn the_waker_of_the_last_poll_is_woken_once_for_each_value() {
    let queue = Stepped::new();
    let (mut stream, handle) = sums(&queue);
    let (first, second) = (Arc::<Woken>::default(), Arc::<Woken>::default());
    assert!(poll_with(&mut stream, &first).is_pending());
    assert!(poll_with(&mut stream, &second).is_pending());
    assert_eq!(Arc::strong_count(&first), 1, "the stream has let go of it");
    handle.merge(1);
    queue.run();
    handle.merge(2);
    queue.run();
    assert_eq!((first.times(), second.times()), (0, 1));
    assert_eq!(poll_with(&mut stream, &first), ready(1));
    assert!(poll_with(&mut stream, &first).is_pending());
    queue.run();
    assert_eq!((first.times(), second.times()), (1, 1));
    assert_eq!(poll(&mut stream), ready(2));
}

#[test]
fn a_cancelled_stream_ends_after_what_was_delivered_and_what_was_pending() {
    let queue = Stepped::new();
    let log = Log::new();
    let cancelled = log.clone();
    let mut stream = Source::add(&queue).on_cancel(move || cancelled.push("cancelled")).stream();
    let source = stream.source().clone();
    source.merge(1);
    queue.run();
    source.merge(2);
    source.cancel();
    log.expect_nothing();
    assert_eq!(queue.run(), 1, "the end waits for no poll");
    log.expect(["cancelled"]);
    assert_eq!(poll(&mut stream), ready(1));
    assert_eq!(poll(&mut stream), ready(2));
    for _ in 0..3 {
        assert_eq!(poll(&mut stream), Poll::Ready(None));
    }
    assert!(!source.handle().merge(3));
    assert_eq!((queue.run(), poll(&mut stream)), (0, Poll::Ready(None)));
}

#[test]
fn the_end_wakes_whoever_waits() {
    for end in [Source::cancel, Source::cancel_now] {
        let queue = Stepped::new();
        let (mut stream, _) = sums(&queue);
        let woken = Arc::<Woken>::default();
        assert!(poll_with(&mut stream, &woken).is_pending());
        end(stream.source());
        queue.run();
        assert_eq!(woken.times(), 1);
        assert_eq!(poll(&mut stream), Poll::Ready(None));
    }
}

#[test]
fn a_suspended_stream_brings_what_was_merged_meanwhile_and_counts_only_what_its_user_does() {
    let queue = Stepped::new();
    let (mut stream, handle) = sums(&queue);
    handle.merge(1);
    queue.run();
    // Sated as it is, it is not suspended.
    assert!(matches!(stream.source().resume(), Err(SuspendError::OverResume { .. })));
    stream.source().suspend().unwrap();
    handle.merge(2);
    assert_eq!(poll(&mut stream), ready(1), "it was delivered before");
    assert_eq!(poll(&mut stream), Poll::Pending);
    handle.merge(4);
    assert_eq!(queue.run(), 0);
    stream.source().resume().unwrap();
    assert_eq!(queue.run(), 1);
    assert_eq!(poll(&mut stream), ready(6));

    // A cancellation waits for the end of a suspension, as with a handler, and not for a poll.
    stream.source().suspend().unwrap();
    stream.source().cancel();
    assert_eq!((queue.run(), poll(&mut stream)), (0, Poll::Pending));
    stream.source().resume().unwrap();
    assert_eq!((queue.run(), poll(&mut stream)), (1, Poll::Ready(None)));
}

#[test]
fn a_stream_that_is_dropped_cancels_its_source_and_drops_what_nobody_has_polled() {
    for suspended in [false, true] {
        let queue = Stepped::new();
        let log = Log::new();
        let (values, cancelled) = (log.clone(), log.clone());
        let stream = Source::replace(&queue).on_cancel(move || cancelled.push("cancelled")).stream();
        let source: Source<Replace<Droppable<&str>>> = stream.source().clone();
        source.merge(Droppable(values.clone(), "delivered"));
        queue.run();
        source.merge(Droppable(values, "pending"));
        if suspended {
            source.suspend().unwrap();
        }
        drop(stream);
        log.expect(["delivered"]);
        assert!(source.is_cancelled());
        assert_eq!(queue.run(), 1);
        log.expect(["pending", "cancelled"]);
    }
}

#[test]
fn a_value_of_a_turn_that_finds_its_stream_gone_is_dropped_on_the_queue() {
    let queue = Stepped::new();
    let log = Log::new();
    let stream = Source::replace(&queue).stream();
    stream.source().merge(Droppable(log.clone(), "late"));
    // The job of the turn is in the queue.
    assert_eq!(queue.len(), 1);
    drop(stream);
    log.expect_nothing();
    queue.run();
    log.expect(["late"]);
}

#[test]
fn a_registration_handler_comes_first_and_at_once() {
    let queue = Stepped::new();
    let log = Log::new();
    let registered = log.clone();
    let builder = Source::add(&queue).on_registered(move || registered.push("registered"));
    builder.handle().merge(5);
    let mut stream = builder.stream();
    assert_eq!(queue.step(), Ok(true));
    log.expect(["registered"]);
    assert_eq!(poll(&mut stream), Poll::Pending);
    queue.run();
    assert_eq!(poll(&mut stream), ready(5));
}

#[test]
fn a_stream_whose_queue_is_shut_down_ends() {
    // With a turn in the queue, and when the next one is wanted.
    for before in [true, false] {
        let queue = Stepped::new();
        let (mut stream, handle) = sums(&queue);
        if before {
            handle.merge(7);
        }
        queue.shut_down();
        if !before {
            assert_eq!(poll(&mut stream), Poll::Pending);
            handle.merge(7);
        }
        assert_eq!(poll(&mut stream), ready(7), "what was merged is not lost");
        assert_eq!(poll(&mut stream), Poll::Ready(None));
    }
}

#[test]
fn a_merge_rule_that_panics_leaves_the_stream_going() {
    let queue = Stepped::new();
    struct Fragile(u32);
    impl crate::source::Merge for Fragile {
        fn merge(&mut self, other: Self) {
            if other.0 == 0 {
                unwind("it breaks");
            }
            self.0 += other.0;
        }
    }
    let mut stream = Source::merging(&queue).stream();
    let source = stream.source().clone();
    source.merge(Fragile(1));
    assert!(crate::job::contain(|| source.merge(Fragile(0))).is_err());
    source.merge(Fragile(2));
    queue.run();
    assert!(matches!(poll(&mut stream), Poll::Ready(Some(Fragile(3)))));
}

#[test]
fn messages_come_one_by_one_and_the_last_sender_ends_the_stream() {
    let queue = Stepped::new();
    let port = Source::bounded_port(&queue, 2);
    let sender = port.sender();
    let mut stream = port.stream().unwrap();
    assert!(sender.send(1).is_ok() && sender.send(2).is_ok() && sender.try_send(3).is_err());
    queue.run();
    assert!(sender.try_send(3).is_err(), "what was not polled keeps its room");
    assert_eq!(poll(&mut stream), ready(1));
    assert!(sender.send(3).is_ok() && sender.try_send(4).is_err());
    assert_eq!(poll(&mut stream), ready(2));
    drop(sender);
    assert_eq!(poll(&mut stream), Poll::Pending);
    queue.run();
    assert_eq!((poll(&mut stream), poll(&mut stream)), (ready(3), Poll::Ready(None)));

    // Another sender is another life.
    let sender = stream.source().sender();
    assert!(poll(&mut stream).is_pending());
    sender.send(4).unwrap();
    queue.run();
    assert_eq!(poll(&mut stream), ready(4));
}

#[test]
fn messages_that_were_not_polled_are_the_cancel_handlers_if_the_stream_is_dropped() {
    // Polled so far, and whether a turn has brought the rest.
    for (polled, delivered) in [(0, false), (0, true), (1, true), (3, true)] {
        let queue = Stepped::new();
        let log = Log::new();
        let rest = log.clone();
        let port = Source::port(&queue).on_cancel_with(move |left| rest.push(left));
        let sender = port.sender();
        let mut stream = port.stream().unwrap();
        for n in 0..3 {
            sender.send(n).unwrap();
        }
        if delivered {
            queue.run();
        }
        for n in 0..polled {
            assert_eq!(poll(&mut stream), ready(n));
        }
        sender.send(3).unwrap();
        drop(stream);
        queue.run();
        log.expect([(polled..4).collect::<Vec<_>>()]);
        assert!(sender.is_dead());
    }
}

#[test]
fn messages_that_were_sent_before_a_cancellation_are_polled_after_it() {
    let queue = Stepped::new();
    let port = Source::port(&queue);
    let sender = port.sender();
    let mut stream = port.stream().unwrap();
    sender.send(1).unwrap();
    queue.run();
    sender.send(2).unwrap();
    stream.source().cancel();
    queue.run();
    assert!(sender.send(3).is_err());
    let polled: Vec<_> = (0..3).map(|_| poll(&mut stream)).collect();
    assert_eq!(polled, [ready(1), ready(2), Poll::Ready(None)]);
}
