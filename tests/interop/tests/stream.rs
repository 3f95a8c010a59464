//! Sources as streams, in the hands of other executors and of their combinators.

use concourse::Group;
use concourse::Runtime;
use concourse::Shutdown;
use concourse::Source;
use concourse_interop::Peer;
use concourse_interop::before;
use concourse_interop::under_each_peer;
use futures_lite::StreamExt;
use futures_lite::future::yield_now;
use futures_lite::stream;
use std::time::Duration;

fn runtime() -> Runtime {
    Runtime::builder().threads(2).build().unwrap()
}

under_each_peer! {
    sums_are_polled_by_a_future_that_moves_between_threads
    thousands_of_streams_are_polled_at_once
    a_stream_goes_on_after_it_has_lost_races
    combinators_that_drop_a_stream_cancel_its_source
    streams_are_merged_with_others
    a_queue_polls_its_own_stream
    messages_of_futures_and_threads_are_collected
    a_shutdown_while_a_value_is_awaited_ends_the_stream
    calls_over_a_stream_are_ordered_and_bounded
}

fn sums_are_polled_by_a_future_that_moves_between_threads<P: Peer>() {
    let runtime = runtime();
    let (sums, work) = (runtime.serial("sums"), runtime.concurrent("work"));
    let mut stream = Source::add(&sums).stream();
    let (source, group) = (stream.source().clone(), Group::new());
    for _ in 0..100 {
        let source = source.clone();
        group.exec_async(&work, move || (0..100).for_each(|_| source.merge(1)));
    }
    group.notify(&work, move || source.cancel());
    let total = P::block_on(P::spawn(async move {
        let mut total = 0;
        while let Some(more) = stream.next().await {
            total += more;
            yield_now().await;
        }
        total
    }));
    assert_eq!(total, 10_000);
}

fn thousands_of_streams_are_polled_at_once<P: Peer>() {
    let runtime = runtime();
    let queue = runtime.concurrent("many");
    let polled: Vec<_> = (1..=2_000_u64)
        .map(|n| {
            let stream = Source::add(&queue).stream();
            let source = stream.source().clone();
            let polled = P::spawn(stream.fold(0, |sum, n| sum + n));
            queue.exec_async(move || {
                source.merge(n);
                source.cancel();
            });
            polled
        })
        .collect();
    let sum = P::block_on(async {
        let mut sum = 0;
        for polled in polled {
            sum += polled.await;
        }
        sum
    });
    assert_eq!(sum, (1..=2_000).sum());
}

fn a_stream_goes_on_after_it_has_lost_races<P: Peer>() {
    let runtime = runtime();
    let mut stream = Source::add(&runtime.serial("races")).stream();
    let merges = stream.source().handle().clone();
    let merging = P::spawn(async move {
        for _ in 0..1_000 {
            assert!(merges.merge(1));
            yield_now().await;
        }
    });
    let total = P::block_on(async {
        let mut total = 0;
        while total < 1_000 {
            total += before(yield_now(), stream.next()).await.flatten().unwrap_or(0);
        }
        merging.await;
        total
    });
    assert_eq!(total, 1_000);
}

fn combinators_that_drop_a_stream_cancel_its_source<P: Peer>() {
    let runtime = runtime();
    let ticks = Source::timer(&runtime.serial("clock")).every(Duration::from_millis(1)).stream().unwrap();
    let source = ticks.source().clone();
    let some: u64 = P::block_on(ticks.map(|n| n.min(1)).take(5).fold(0, |sum, n| sum + n));
    assert_eq!(some, 5);
    assert!(source.is_cancelled());
}

fn streams_are_merged_with_others<P: Peer>() {
    let runtime = runtime();
    let queue = runtime.serial("both");
    let (bits, sums) = (Source::or(&queue).stream(), Source::add(&queue).stream());
    let (b, s) = (bits.source().clone(), sums.source().clone());
    let telling = P::spawn(async move {
        for n in 0..32 {
            b.merge(1 << n);
            s.merge(1 << 32);
            P::sleep(Duration::from_micros(100)).await;
        }
        b.cancel();
        s.cancel();
    });
    let telling = P::inside(telling);
    let (all, ()) = P::block_on(async {
        let both = stream::or(bits, sums).fold(0, |all, more| all + more);
        futures_lite::future::zip(both, telling).await
    });
    assert_eq!(all, u64::from(u32::MAX) + 32 * (1 << 32));
}

fn a_queue_polls_its_own_stream<P: Peer>() {
    let runtime = runtime();
    let queue = runtime.serial("own");
    // Its turns and the polls are jobs of one queue.
    let mut ticks = Source::timer(&queue).every(Duration::from_millis(1)).stream().unwrap();
    let counted = queue.spawn(P::inside(async move {
        let mut count = 0;
        while count < 5 {
            count += ticks.next().await.unwrap();
            P::sleep(Duration::from_millis(1)).await;
        }
        count
    }));
    assert!(P::block_on(counted).unwrap() >= 5);
}

fn messages_of_futures_and_threads_are_collected<P: Peer>() {
    let runtime = runtime();
    let port = Source::port(&runtime.serial("inbox"));
    let (from_future, from_thread) = (port.sender(), port.sender());
    let stream = port.stream().unwrap();
    let sending = P::spawn(async move {
        for n in 0..500 {
            from_future.send(n).unwrap();
            yield_now().await;
        }
    });
    let thread = std::thread::spawn(move || (500..1_000).for_each(|n| from_thread.send(n).unwrap()));
    let mut all: Vec<u32> = P::block_on(async {
        let (all, ()) = futures_lite::future::zip(stream.collect(), sending).await;
        all
    });
    thread.join().unwrap();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..1_000));
}

fn a_shutdown_while_a_value_is_awaited_ends_the_stream<P: Peer>() {
    [Shutdown::Drain, Shutdown::CancelPending].into_iter().for_each(shut_down_under_streams::<P>);
}

fn shut_down_under_streams<P: Peer>(how: Shutdown) {
    let runtime = runtime();
    let queue = runtime.serial("ending");
    let awaited: Vec<_> = (0..100)
        .map(|n| {
            let stream = Source::add(&queue).stream();
            stream.source().merge(n);
            P::spawn(stream.fold(0, |sum, more| sum + more))
        })
        .collect();
    let report = runtime.shutdown(how);
    assert!(report.complete && report.suspended.is_empty(), "{report:?}");
    drop(runtime);
    let sums = P::block_on(async {
        let mut sums = Vec::new();
        for sum in awaited {
            sums.push(sum.await);
        }
        sums
    });
    assert!(sums.into_iter().eq(0..100), "nothing that was merged is lost");
}

fn calls_over_a_stream_are_ordered_and_bounded<P: Peer>() {
    let runtime = runtime();
    let queue = runtime.concurrent("squares");
    let squares = queue.map(0..500_u64, |n| n * n).stream();
    let squares: Vec<_> = P::block_on(P::spawn(squares.collect::<Vec<_>>()));
    assert!(squares.into_iter().map(Result::unwrap).eq((0..500).map(|n| n * n)));
    let unordered = queue.map(0..500_u64, |n| n * n).unordered().stream();
    let mut places: Vec<_> = P::block_on(P::spawn(unordered.map(|(place, _)| place).collect::<Vec<_>>()));
    places.sort_unstable();
    assert!(places.into_iter().eq(0..500));
}
