//! Does one operation as often as it is told, for `.ci/instructions` to count the instructions with callgrind.
//!
//! ```text
//! instructions list                the operations: name, whose instructions count, what is done
//! instructions push 10000          pushes ten thousand closures
//! ```
//!
//! Callgrind collects inside of [`counted`] only, and so from no thread that does not come there. What an operation costs
//! is the difference between two runs that do it differently often, divided by the difference of how often: what each run
//! does once, cold and slow, is not in it.

mod queues;
mod sources;
mod waiting;

use concourse::{Qos, Queue, Runtime};
use std::env;
use std::fmt;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

/// Whose instructions count.
#[derive(Clone, Copy)]
enum Counted {
    /// Those inside of [`counted`].
    Inside,
    /// All of the thread that has most of them, for an operation that begins and ends in a worker's own loop.
    Busiest,
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inside => "inside",
            Self::Busiest => "busiest",
        })
    }
}

struct Operation {
    name: &'static str,
    counted: Counted,
    /// What is done, and what the other threads do meanwhile.
    what: &'static str,
    /// Does it so many times, and panics if that did not do what it should.
    run: fn(u64),
}

fn operations() -> impl Iterator<Item = &'static Operation> {
    [queues::OPERATIONS, sources::OPERATIONS, waiting::OPERATIONS].into_iter().flatten()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["list"] => operations().for_each(|one| println!("{}\t{}\t{}", one.name, one.counted, one.what)),
        [name, times] => match (operations().find(|one| one.name == name), times.parse()) {
            (Some(operation), Ok(times)) => (operation.run)(times),
            _ => return usage(),
        },
        _ => return usage(),
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("instructions: `list`, or the name of an operation and how often it is to be done");
    ExitCode::FAILURE
}

/// What callgrind collects. It knows functions by their symbols, so this one must keep its own.
#[inline(never)]
fn counted(times: u64, mut operation: impl FnMut()) {
    (0..times).for_each(|_| operation());
}

/// Does `times` operations batch by batch, as what a batch leaves behind has to be cleared away, uncounted.
fn in_batches(times: u64, size: u64, mut batch: impl FnMut(u64)) {
    assert!(times.is_multiple_of(size), "this operation is done in batches of {size}");
    (0..times / size).for_each(|_| batch(size));
}

/// What the closures have added up, which is how an operation knows that they have run.
static SUM: AtomicU64 = AtomicU64::new(0);

fn add(captured: u64) {
    SUM.fetch_add(captured, Ordering::Relaxed);
}

fn sum() -> u64 {
    SUM.load(Ordering::Relaxed)
}

fn expect_sum(expected: u64) {
    assert_eq!(sum(), expected, "the operation does not do what is counted");
}

/// A runtime that starts one worker at most.
fn runtime() -> Runtime {
    Runtime::builder().threads(1).max_threads(1).build().expect("one thread is allowed")
}

/// A serial queue that only sync calls serve, as the one worker is held in a job.
struct Held {
    // The first to be dropped, which lets the worker go before the runtime waits for it.
    _hold: mpsc::Sender<()>,
    queue: Queue,
    _runtime: Runtime,
}

impl Held {
    fn new() -> Self {
        let runtime = runtime();
        let (hold, held) = mpsc::channel::<()>();
        let (start, started) = mpsc::channel();
        // Held by a wait that the runtime does not know of, and so does not make up for.
        runtime.global(Qos::Default).exec_async(move || {
            start.send(()).expect("the program waits for the start");
            assert!(held.recv().is_err(), "the hold ends when it is dropped");
        });
        started.recv().expect("the worker runs its first job");
        Self { _hold: hold, queue: runtime.serial("counted"), _runtime: runtime }
    }

    /// Runs everything that has been submitted, on the calling thread.
    fn clear(&self) {
        self.queue.exec_sync(|| ());
    }
}
