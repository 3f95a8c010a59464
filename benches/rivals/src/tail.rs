//! How long a closure waits for its start while other work keeps every thread busy.
//!
//! Two threads have a backlog of background jobs that does not end, each of which spins for 50 us, and one thread submits a
//! closure every 200 us, give or take 100: at one pace the closures would fall into step with the jobs. What is measured is
//! the time from that submission to the closure's start. A pool without classes lets it wait for the whole backlog; one
//! that takes urgent work first lets it wait for the next thread that becomes free, for half a job or less if the kernel
//! keeps both running; a thread of its own waits for the kernel only.

use crate::measure::{self, Outcome, Plan};
use crate::peers::{Closure, CrossbeamThread, CrossbeamThreads, Pool, Rayon, Serial, Strand, Tokio, runtime};
use crate::row::{Contender, Goal, Row, Sample};
use crate::statistics::percentile;
use clap::Args;
use concourse::{Dispatch, Qos};
use parking_lot::{Condvar, Mutex};
use std::hint::black_box;
use std::mem;
use std::num::NonZeroUsize;
use std::panic;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[derive(Args)]
pub(crate) struct Arguments {
    /// How often each contender is measured.
    #[arg(long, default_value = "3")]
    rounds: NonZeroUsize,
    /// One short round, for a check that everything runs.
    #[arg(long)]
    quick: bool,
    /// Where the JSON lines go, one per measurement.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// How long a background job spins on a processor of its own.
const JOB: Duration = Duration::from_micros(50);

/// How many background jobs are there at a time, waiting or running.
const BACKLOG: usize = 400;

/// How long the submitting thread sleeps before it tops up the backlog and submits a closure: a scatter between 100 us and
/// 300 us that is the same in every run.
fn pause(number: u64) -> Duration {
    Duration::from_micros(100 + (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % 200)
}

/// One row for each place that a closure may be submitted to.
const ROWS: &[Row] = &[
    row(
        "tail_urgent",
        "To the global queue of `Qos::UserInteractive`, beside a backlog of `Qos::Background`; the peers have no classes.",
        &[
            Contender {
                name: "concourse",
                run: |size| beside_background(size, &runtime().global(Qos::UserInteractive)),
            },
            Contender { name: "tokio spawn", run: |size| in_the_pool(size, Tokio) },
            Contender { name: "rayon spawn", run: |size| in_the_pool(size, Rayon) },
        ],
    ),
    row(
        "tail_serial_urgent",
        "To a serial queue of `Qos::UserInteractive`, beside a backlog of `Qos::Background`; the peers are threads of their own beside a busy pool.",
        &[
            Contender { name: "concourse", run: |size| beside_background(size, &serial(Qos::UserInteractive)) },
            Contender { name: "condvar + thread", run: |size| in_line::<CondvarThread>(size, CrossbeamThreads) },
            Contender { name: "crossbeam + thread", run: |size| in_line::<CrossbeamThread>(size, CrossbeamThreads) },
        ],
    ),
    row(
        "tail_serial",
        "To a serial queue of `Qos::Default`, beside a backlog of `Qos::Background`; the peers have no classes.",
        &[
            Contender { name: "concourse", run: |size| beside_background(size, &serial(Qos::Default)) },
            Contender { name: "tokio strand", run: |size| in_line::<Strand<Tokio>>(size, Tokio) },
            Contender { name: "rayon strand", run: |size| in_line::<Strand<Rayon>>(size, Rayon) },
        ],
    ),
    row(
        "tail_main",
        "To the main queue, which the process's first thread runs, beside a backlog of `Qos::Background`; the peers are threads of their own beside a busy pool.",
        &[
            Contender { name: "concourse", run: to_the_main_queue },
            Contender { name: "condvar + thread", run: |size| in_line::<CondvarThread>(size, CrossbeamThreads) },
            Contender { name: "crossbeam + thread", run: |size| in_line::<CrossbeamThread>(size, CrossbeamThreads) },
        ],
    ),
];

const fn row(name: &'static str, what: &'static str, contenders: &'static [Contender]) -> Row {
    Row {
        name,
        what,
        metrics: &["p50 us", "p99 us", "p99.9 us", "max us"],
        size: 4_000,
        quick: 20,
        contenders,
        goal: Goal::AtMost(JOB.as_micros() as f64),
    }
}

pub(crate) fn rows() -> impl Iterator<Item = &'static Row> {
    ROWS.iter()
}

pub(crate) fn run(arguments: Arguments) -> Outcome {
    let plan = Plan {
        rows: Vec::new(),
        contenders: Vec::new(),
        rounds: if arguments.quick { 1 } else { arguments.rounds.get() },
        quick: arguments.quick,
        json: arguments.json,
    };
    measure::table(rows().collect(), &plan)
}

fn serial(qos: Qos) -> concourse::Queue {
    runtime().queue("tail").qos(qos).build().expect("the runtime lives as long as the process")
}

fn beside_background(size: u64, queue: &impl Dispatch) -> Sample {
    let background = runtime().global(Qos::Background);
    waits(size, |job| background.exec_async(|| job.spin()), |closure| queue.exec_async(|| closure.start()))
}

fn to_the_main_queue(size: u64) -> Sample {
    let main = runtime().main_queue();
    thread::scope(|scope| {
        let submitter = scope.spawn(|| {
            // The main thread is to come back from a wrong answer too.
            let sample = panic::catch_unwind(|| beside_background(size, &main));
            main.stop();
            sample
        });
        main.run().expect("no other thread has run it");
        submitter.join().and_then(|sample| sample).unwrap_or_else(|panic| panic::resume_unwind(panic))
    })
}

fn in_the_pool(size: u64, pool: impl Pool) -> Sample {
    waits(size, |job| pool.spawn(|| job.spin()), |closure| pool.spawn(|| closure.start()))
}

fn in_line<S: Serial>(size: u64, pool: impl Pool) -> Sample {
    let line = S::start();
    waits(size, |job| pool.spawn(|| job.spin()), |closure| line.exec(|| closure.start()))
}

/// A thread of its own that sleeps as soon as it has nothing to run. One behind a channel spins and yields before that, and
/// the kernel lets it wait for having yielded.
#[derive(Clone)]
struct CondvarThread(Arc<Inbox>);

#[derive(Default)]
struct Inbox {
    jobs: Mutex<Vec<Closure>>,
    filled: Condvar,
}

impl Serial for CondvarThread {
    fn start() -> Self {
        let inbox = Arc::<Inbox>::default();
        let own = Arc::clone(&inbox);
        thread::spawn(move || {
            loop {
                let mut jobs = own.jobs.lock();
                own.filled.wait_while(&mut jobs, |jobs| jobs.is_empty());
                let batch = mem::take(&mut *jobs);
                drop(jobs);
                batch.into_iter().for_each(|job| job());
            }
        });
        Self(inbox)
    }

    fn exec(&self, f: impl FnOnce() + Send + 'static) {
        self.0.jobs.lock().push(Box::new(f));
        self.0.filled.notify_one();
    }
}

/// A job that keeps a thread busy.
struct Background {
    left: &'static AtomicUsize,
    turns: u64,
}

impl Background {
    fn spin(self) {
        spin(self.turns);
        self.left.fetch_sub(1, Ordering::Relaxed);
    }
}

fn spin(turns: u64) {
    for turn in 0..turns {
        black_box(turn);
    }
}

/// How many turns of the loop make up a background job. By the clock, a job would be over whenever the kernel had taken its
/// thread off the processor for a while, and a closure would find the thread free.
fn turns_of_a_job() -> u64 {
    const SAMPLE: u64 = 10_000;
    let time = |_| {
        let start = Instant::now();
        spin(SAMPLE);
        start.elapsed().as_nanos() as u64
    };
    let fastest = (0..100).map(time).min().unwrap_or(1);
    SAMPLE * JOB.as_nanos() as u64 / fastest.max(1)
}

/// A closure that tells how long it had to wait, in microseconds.
struct Stamped {
    submitted: Instant,
    waits: &'static Mutex<Vec<f64>>,
}

impl Stamped {
    fn start(self) {
        let wait = self.submitted.elapsed();
        self.waits.lock().push(wait.as_nanos() as f64 / 1e3);
    }
}

/// Submits so many closures while the backlog is kept topped up, and returns the percentiles of their waits.
fn waits(size: u64, background: impl Fn(Background), submit: impl Fn(Stamped)) -> Sample {
    let turns = turns_of_a_job();
    let left: &'static AtomicUsize = Box::leak(Box::default());
    let waits: &'static Mutex<Vec<f64>> = Box::leak(Box::new(Mutex::new(Vec::with_capacity(size as usize))));
    let round = |size: u64| {
        for number in 0..size {
            thread::sleep(pause(number));
            while left.load(Ordering::Relaxed) < BACKLOG {
                left.fetch_add(1, Ordering::Relaxed);
                background(Background { left, turns });
            }
            submit(Stamped { submitted: Instant::now(), waits });
        }
        let last = Instant::now();
        while (waits.lock().len() as u64) < size {
            assert!(last.elapsed() < Duration::from_secs(30), "a closure has not started");
            thread::sleep(Duration::from_millis(1));
        }
        let waits = mem::take(&mut *waits.lock());
        assert_eq!(waits.len() as u64, size, "a closure has run twice");
        waits
    };
    round(size.div_ceil(10));
    let mut waits = round(size);
    [0.5, 0.99, 0.999, 1.0].map(|part| percentile(&mut waits, part)).to_vec()
}
