//! Jobs that block their threads.

use super::process;
use crate::peers::{Closure, THREADS, Tokio, runtime};
use crate::row::{Contender, Goal, Row, Sample};
use crate::tally;
use concourse::Qos;
use std::thread;
use std::time::{Duration, Instant};

/// The most threads of a runtime whose builder is not told otherwise, and of the peers that have no number of their own.
const MOST_THREADS: usize = 64;

/// The thread that measures, the event loop and the watch over blocked threads run no jobs.
const OTHER_THREADS: u64 = 3;

const NAP: Duration = Duration::from_millis(10);

pub(super) const ROWS: &[Row] = &[Row {
    name: "blocking_1000",
    what: "A thousand jobs sleep for 10 ms each. A pool that is at rest when they come has at most 64 threads, tokio's 512.",
    metrics: &["wall ms", "most threads"],
    size: 1_000,
    quick: 10,
    contenders: &[
        Contender { name: "concourse", run: concourse_unaided },
        Contender { name: "concourse blocking", run: concourse_blocking },
        Contender { name: "tokio spawn_blocking", run: tokio_spawn_blocking },
        Contender { name: "rusty_pool", run: rusty_pool },
        Contender { name: "64 threads + crossbeam", run: crossbeam_threads },
    ],
    // 1.15 times what 64 threads need.
    goal: Goal::AtMost(1.15 * 10_000.0 / MOST_THREADS as f64),
}];

/// Only one job warms up: how a pool grows is what is measured.
fn naps(size: u64, submit: impl Fn()) -> Sample {
    let round = |jobs: u64| {
        let before = tally::sum();
        let start = Instant::now();
        (0..jobs).for_each(|_| submit());
        let mut most = process::threads();
        while tally::sum() - before < jobs {
            thread::sleep(Duration::from_millis(1));
            most = most.max(process::threads());
            assert!(start.elapsed() < Duration::from_secs(60), "not all jobs have run");
        }
        let time = start.elapsed();
        tally::wait_for(before, jobs);
        vec![time.as_secs_f64() * 1e3, most as f64]
    };
    round(1);
    round(size)
}

fn nap() {
    thread::sleep(NAP);
    tally::add(1);
}

/// The watch must find out by itself that the threads are blocked.
fn concourse_unaided(size: u64) -> Sample {
    on_concourse(size, nap)
}

fn concourse_blocking(size: u64) -> Sample {
    on_concourse(size, || concourse::blocking(nap))
}

fn on_concourse(size: u64, job: fn()) -> Sample {
    let queue = runtime().global(Qos::Default);
    let sample = naps(size, || queue.exec_async(job));
    assert!(sample[1] <= (MOST_THREADS as u64 + OTHER_THREADS) as f64, "the runtime exceeds its limit");
    sample
}

fn tokio_spawn_blocking(size: u64) -> Sample {
    naps(size, || drop(Tokio::runtime().spawn_blocking(nap)))
}

fn rusty_pool(size: u64) -> Sample {
    let pool = rusty_pool::Builder::new().core_size(THREADS).max_size(MOST_THREADS).build();
    naps(size, || pool.execute(nap))
}

fn crossbeam_threads(size: u64) -> Sample {
    let (sender, receiver) = crossbeam_channel::unbounded::<Closure>();
    for _ in 0..MOST_THREADS {
        let receiver = receiver.clone();
        thread::spawn(move || receiver.into_iter().for_each(|job| job()));
    }
    naps(size, || sender.send(Box::new(nap)).expect("the receivers end after the sender"))
}
