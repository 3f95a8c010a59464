//! Sources as streams, in the hands of tokio's own combinators and macros.

use concourse::Runtime;
use concourse::Source;
use concourse_interop::GENEROUS;
use concourse_interop::Peer;
use concourse_interop::Tokio;
use std::pin::pin;
use std::time::Duration;
use tokio::select;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio_stream::StreamExt;

#[test]
fn timeouts_and_selections_lose_no_value() {
    let runtime = Runtime::builder().threads(2).build().unwrap();
    let mut numbers = Source::replace(&runtime.serial("combined")).stream();
    let source = numbers.source().clone();
    Tokio::block_on(async move {
        let timed_out = timeout(Duration::from_millis(1), numbers.next()).await;
        assert!(timed_out.is_err(), "nothing was merged");
        source.merge(7);
        let selected = select! {
            number = numbers.next() => number,
            () = sleep(GENEROUS) => None,
        };
        assert_eq!(selected, Some(7));
        source.merge(8);
        let mut paced = pin!(numbers.timeout(GENEROUS));
        assert!(matches!(paced.next().await, Some(Ok(8))));
        source.cancel();
        assert!(paced.next().await.is_none());
    });
}

#[test]
fn streams_of_one_kind_are_polled_together() {
    let runtime = Runtime::builder().threads(2).build().unwrap();
    let queue = runtime.serial("merged");
    let (first, second) = (Source::add(&queue).stream(), Source::add(&queue).stream());
    let sources = [first.source().clone(), second.source().clone()];
    let merging = std::thread::spawn(move || {
        for n in 0..1_000 {
            sources[n % 2].merge(1);
        }
        sources.iter().for_each(Source::cancel);
    });
    let all = Tokio::block_on(first.merge(second).fold(0, |all, more| all + more));
    assert_eq!(all, 1_000);
    merging.join().unwrap();
}
