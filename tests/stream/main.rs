//! Sources as streams, on a runtime with real threads and real events of the kernel.

mod kinds;
mod tasks;
mod values;

use concourse::Runtime;
use concourse::block_on;
use futures_core::Stream;
use futures_lite::StreamExt;
use std::thread;
use std::time::Duration;
use std::time::Instant;

fn runtime() -> Runtime {
    Runtime::builder().threads(2).name("streams").build().unwrap()
}

/// Waits for the next value, or the end.
fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    block_on(stream.next())
}

/// True if the condition holds before the test fails.
fn eventually(condition: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() && Instant::now() < deadline {
        thread::yield_now();
    }
    condition()
}
