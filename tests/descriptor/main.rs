//! Sources of descriptors, on real descriptors of every kind: what their handlers are told, how they end, and what they
//! cost while nothing happens.

mod ending;
mod ends;
mod kinds;
mod suspension;

use concourse::Queue;
use concourse::Runtime;
use concourse::Shutdown;
use concourse::Source;
use concourse::source::Descriptor;
use concourse::source::Direction;
use concourse::source::SourceBuilder;
use parking_lot::Mutex;
use std::fmt::Debug;
use std::io::Read;
use std::io::Write;
use std::io::pipe;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// No test waits for so long unless it fails.
const GENEROUS: Duration = Duration::from_secs(60);

fn runtime() -> Runtime {
    Runtime::builder().threads(2).name("descriptor").build().unwrap()
}

/// Ends the runtime, and with it a test whose handlers have assertions: a panic in a handler is contained and counted.
#[track_caller]
fn finish(runtime: &Runtime) {
    assert_eq!(runtime.shutdown(Shutdown::Drain.within(GENEROUS)).panics, 0);
}

/// Waits for something that another thread does.
#[track_caller]
fn wait_until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + GENEROUS;
    while !condition() {
        assert!(Instant::now() < deadline, "waited for a minute");
        thread::yield_now();
    }
}

/// What a handler was told, call by call.
struct Calls<D>(Arc<Mutex<Vec<D>>>);

impl<D: Direction + Debug> Calls<D> {
    /// Of the source that `builder` becomes, whose handler calls `then` after its call is noted.
    fn of<F: AsFd + Send + Sync + 'static>(
        builder: SourceBuilder<Descriptor<F, D>>,
        mut then: impl FnMut(&Source<Descriptor<F, D>>, &F, D) + Send + 'static,
    ) -> (SourceBuilder<Descriptor<F, D>>, Self) {
        let calls = Arc::<Mutex<Vec<D>>>::default();
        let noted = Arc::clone(&calls);
        let builder = builder.on_ready_with(move |source, fd, ready| {
            noted.lock().push(ready);
            then(source, fd, ready);
        });
        (builder, Self(calls))
    }

    fn count(&self) -> usize {
        self.0.lock().len()
    }

    /// The calls there are, as soon as they are so many.
    #[track_caller]
    fn wait_for(&self, count: usize) -> Vec<D> {
        let deadline = Instant::now() + GENEROUS;
        loop {
            let calls = self.0.lock().clone();
            if calls.len() >= count {
                return calls;
            }
            assert!(Instant::now() < deadline, "{} of {count} calls: {calls:?}", calls.len());
            thread::yield_now();
        }
    }
}

/// How often the event loop wakes up for what `happen` does, and until that has been through it and through `queue`; or
/// once less for each wake-up that it had anyhow just then.
#[track_caller]
fn wakeups_for(runtime: &Runtime, queue: &Queue, happen: impl FnOnce()) -> u64 {
    let before = settle(runtime, queue);
    happen();
    (settle(runtime, queue) - before).saturating_sub(ROUNDS)
}

/// How often each settling wakes the event loop itself.
const ROUNDS: u64 = 5;

/// Waits until everything that is under way has been through the event loop and through `queue`; how often it has been
/// woken by then, all in all.
#[track_caller]
fn settle(runtime: &Runtime, queue: &Queue) -> u64 {
    let (reader, mut writer) = pipe().unwrap();
    let read = |_: &_, mut reader: &std::io::PipeReader, _| reader.read_exact(&mut [0]).unwrap();
    let (builder, calls) = Calls::of(Source::readable(queue, reader), read);
    let source = builder.activate().unwrap();
    for round in 1..=ROUNDS {
        writer.write_all(b"x").unwrap();
        calls.wait_for(round as usize);
        queue.exec_sync(|| ());
    }
    source.cancel();
    // The last turn is over, and the pipe that closes now is not watched any more.
    queue.exec_sync(|| ());
    runtime.statistics().event_loop_wakeups
}
