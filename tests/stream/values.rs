//! Values that the program merges: each arrives once, however slow the consumer is and whoever ends the stream.

use super::next;
use super::runtime;
use concourse::Event;
use concourse::Shutdown;
use concourse::Source;
use concourse::block_on;
use concourse::source::Handle;
use concourse::source::Merge;
use futures_lite::StreamExt;
use futures_lite::future::poll_once;
use futures_lite::future::yield_now;
use std::iter::repeat_with;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::thread;
use std::thread::JoinHandle;

const MERGERS: u64 = 4;
const EACH: u64 = 20_000;

/// Merges ones on several threads.
fn mergers(handle: &Handle) -> Vec<JoinHandle<()>> {
    let merger = |handle: Handle| thread::spawn(move || assert!((0..EACH).all(|_| handle.merge(1))));
    (0..MERGERS).map(|_| merger(handle.clone())).collect()
}

#[test]
fn every_merge_is_polled_once_and_a_slow_consumer_gets_fewer_values() {
    let runtime = runtime();
    let mut stream = Source::add(&runtime.concurrent("sums")).stream();
    let mergers = mergers(stream.source().handle());
    let (mut sum, mut values) = (0, 0_u64);
    while sum < MERGERS * EACH {
        sum += next(&mut stream).unwrap();
        values += 1;
        if values == 1 {
            // Who is not polled meanwhile merges.
            mergers.iter().for_each(|merger| assert!(super::eventually(|| merger.is_finished())));
        }
    }
    assert_eq!(sum, MERGERS * EACH);
    assert!(values <= 2, "{values} values, of which only the first was polled while something came");
    mergers.into_iter().for_each(|merger| merger.join().unwrap());
}

#[test]
fn a_merger_that_cancels_when_it_is_done_ends_the_stream_at_the_whole_sum() {
    let runtime = runtime();
    let queue = runtime.serial("sums");
    for _ in 0..100 {
        let stream = Source::add(&queue).stream();
        let source = stream.source().clone();
        let merger = thread::spawn(move || {
            (0..100).for_each(|_| source.merge(1));
            source.cancel();
        });
        assert_eq!(block_on(stream.fold(0, |sum, n| sum + n)), 100);
        merger.join().unwrap();
    }
}

#[test]
fn a_next_that_is_dropped_loses_nothing() {
    let runtime = runtime();
    let mut stream = Source::add(&runtime.serial("sums")).stream();
    let mergers = mergers(stream.source().handle());
    let mut sum = 0;
    block_on(async {
        while sum < MERGERS * EACH {
            match poll_once(stream.next()).await {
                Some(value) => sum += value.unwrap(),
                None => yield_now().await,
            }
        }
    });
    assert_eq!(sum, MERGERS * EACH);
    mergers.into_iter().for_each(|merger| merger.join().unwrap());
}

#[test]
fn bits_latest_values_and_folds_are_streams() {
    let runtime = runtime();
    let queue = runtime.serial("values");
    let (mut bits, mut latest) = (Source::or(&queue).stream(), Source::replace(&queue).stream());
    let mut texts = Source::merging(&queue).stream();
    let (b, l, t) = (bits.source().clone(), latest.source().clone(), texts.source().clone());
    let merger = thread::spawn(move || {
        for n in 0..1_000_u32 {
            b.merge(1 << (n % 64));
            l.merge(n);
            t.merge(Digits(n.to_string()));
        }
        [b.cancel(), l.cancel(), t.cancel()]
    });
    let all_bits = repeat_with(|| next(&mut bits)).map_while(|value| value).fold(0, |all, bits| all | bits);
    let mut increasing = repeat_with(|| next(&mut latest)).map_while(|value| value);
    let first = increasing.next().unwrap();
    let last = increasing.fold(first, |before, now| {
        assert!(before < now);
        now
    });
    let text: String = repeat_with(|| next(&mut texts)).map_while(|value| value).map(|Digits(text)| text).collect();
    assert_eq!((all_bits, last), (u64::MAX, 999));
    assert_eq!(text, (0..1_000).map(|n| n.to_string()).collect::<String>());
    merger.join().unwrap();
}

/// Text in the order of its merges.
struct Digits(String);

impl concourse::source::Merge for Digits {
    fn merge(&mut self, more: Self) {
        self.0.push_str(&more.0);
    }
}

#[test]
fn each_message_is_polled_once_and_in_its_senders_order() {
    let runtime = runtime();
    let queue = runtime.concurrent("inbox");
    for port in [Source::port(&queue), Source::bounded_port(&queue, 3)] {
        let first = port.sender();
        let senders: Vec<_> = (0..4)
            .map(|sender| {
                let port = first.clone();
                thread::spawn(move || (0..2_000).for_each(|number| port.send((sender, number)).unwrap()))
            })
            .collect();
        drop(first);
        let mut stream = port.stream().unwrap();
        let mut received = [0; 4];
        while let Some((sender, number)) = next(&mut stream) {
            let expected: &mut i32 = &mut received[sender];
            assert_eq!(number, *expected);
            *expected += 1;
        }
        assert_eq!(received, [2_000; 4]);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
    }
}

#[test]
fn no_message_is_lost_when_the_stream_is_dropped_under_its_senders() {
    let runtime = runtime();
    let queue = runtime.serial("inbox");
    for polled in 0..20 {
        let (closed, left) = (Event::new(), std::sync::Arc::<std::sync::Mutex<Vec<u32>>>::default());
        let (tell, rest) = (closed.clone(), left.clone());
        let port = Source::port(&queue).on_cancel_with(move |messages| {
            *rest.lock().unwrap() = messages;
            tell.set();
        });
        let sender = port.sender();
        let mut stream = port.stream().unwrap();
        let sender = thread::spawn(move || (0..).take_while(|n| sender.send(*n).is_ok()).count());
        let mut received: Vec<_> = (0..polled).map(|_| next(&mut stream).unwrap()).collect();
        drop(stream);
        let sent = sender.join().unwrap();
        closed.wait();
        received.append(&mut left.lock().unwrap());
        assert!(received.into_iter().map(|n| n as usize).eq(0..sent));
    }
}

#[test]
fn a_shutdown_ends_the_stream_at_the_next_poll() {
    let runtime = runtime();
    let queue = runtime.serial("sums");
    let mut idle = Source::add(&queue).stream();
    let mut pending = Source::add(&queue).stream();
    let held = queue.suspend_guard().unwrap();
    pending.source().merge(3);
    drop(runtime.shutdown(Shutdown::CancelPending));
    drop(held);
    assert_eq!((next(&mut idle), next(&mut idle)), (None, None));
    assert_eq!((next(&mut pending), next(&mut pending)), (Some(3), None));
}

#[test]
fn a_shutdown_wakes_whoever_waits_for_what_never_comes() {
    for how in [Shutdown::Drain, Shutdown::CancelPending] {
        let runtime = runtime();
        let mut stream = Source::add(&runtime.serial("sums")).stream();
        let waiting = Event::new();
        let wait = waiting.clone();
        let consumer = thread::spawn(move || {
            block_on(async {
                assert_eq!(poll_once(stream.next()).await, None);
                wait.set();
                stream.next().await
            })
        });
        waiting.wait();
        assert!(runtime.shutdown(how).complete);
        // A drain leaves the rest to the drop.
        drop(runtime);
        assert_eq!(consumer.join().unwrap(), None);
    }
}

#[test]
fn a_panic_in_the_consumer_is_its_own() {
    let runtime = runtime();
    let queue = runtime.serial("sums");
    let mut stream = Source::add(&queue).stream();
    let source = stream.source().clone();
    source.merge(1);
    let consumer = queue.spawn(async move {
        assert_eq!(stream.next().await, Some(1));
        panic!("it has had enough");
    });
    let ended: Result<(), _> = consumer.wait();
    assert!(ended.is_err());
    assert!(super::eventually(|| source.is_cancelled()), "the stream went with its consumer");
    assert!(!source.handle().merge(2));
}

#[test]
fn a_poll_never_asks_past_a_value_that_has_just_come() {
    // Two values would be there at once: the first one's turn, and the one that it was asked for past that.
    let runtime = runtime();
    let mut stream = Source::add(&runtime.serial("ones")).stream();
    for _ in 0..2_000 {
        let handle = stream.source().handle().clone();
        let merger = thread::spawn(move || handle.merge(1));
        let first = loop {
            if let Some(value) = block_on(poll_once(stream.next())) {
                break value.unwrap();
            }
        };
        assert!(merger.join().unwrap());
        // Nobody has asked, so these two are one.
        stream.source().merge(1);
        thread::yield_now();
        stream.source().merge(1);
        assert_eq!((first, next(&mut stream)), (1, Some(2)));
    }
}

#[test]
fn a_value_whose_destructor_panics_ends_its_source_all_the_same() {
    struct Angry;
    impl Drop for Angry {
        fn drop(&mut self) {
            panic!("not now")
        }
    }
    impl Merge for Angry {
        fn merge(&mut self, later: Self) {
            std::mem::forget(later);
        }
    }
    let (runtime, cancelled) = (runtime(), Event::new());
    let tell = cancelled.clone();
    let queue = runtime.serial("angry");
    let stream = Source::merging::<Angry>(&queue).on_cancel(move || tell.set()).stream();
    let source = stream.source().clone();
    source.merge(Angry);
    // The value lies ready.
    queue.exec_sync(|| ());
    assert!(catch_unwind(AssertUnwindSafe(|| drop(stream))).is_err());
    cancelled.wait();
    assert!(source.is_cancelled());
}
