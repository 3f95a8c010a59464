//! What a workload is.

use std::time::{Duration, Instant};

/// One workload and everybody who takes part in it.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// What is done and what is measured, in a sentence.
    pub(crate) what: &'static str,
    /// What a [`Sample`] holds. The first is what contenders are compared by; less is better in all.
    pub(crate) metrics: &'static [&'static str],
    /// How much is done in one measurement, and in a quick one.
    pub(crate) size: u64,
    pub(crate) quick: u64,
    /// Concourse comes first.
    pub(crate) contenders: &'static [Contender],
    pub(crate) goal: Goal,
}

impl Row {
    /// True if contenders are compared by a time per operation.
    pub(crate) fn is_per_operation(&self) -> bool {
        self.metrics[0].starts_with("ns ")
    }
}

/// One way to do the work.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    /// Does the work `size` times. Panics if the answer is wrong.
    pub(crate) run: fn(size: u64) -> Sample,
}

/// What Concourse must reach in the row's first metric.
pub(crate) enum Goal {
    /// At most this, on the machine that the goals were set on. Elsewhere a time per operation is compared in units of
    /// [`FETCH_ADD`].
    AtMost(f64),
    /// At most so many times what a contender of the same run needs.
    Times(f64, &'static str),
}

/// What an uncontended `fetch_add` took where the goals were set, in nanoseconds. Most of what is measured is bound by such
/// instructions, whose price differs several times between machines.
pub(crate) const FETCH_ADD: f64 = 2.04;

/// The figures of one measurement, one for each of the row's metrics.
pub(crate) type Sample = Vec<f64>;

/// A time per operation, in nanoseconds.
pub(crate) fn per_operation(time: Duration, operations: u64) -> Sample {
    vec![time.as_nanos() as f64 / operations as f64]
}

/// Times `work`, and checks its answer.
pub(crate) fn timed(expected: u64, work: impl FnOnce() -> u64) -> Duration {
    let start = Instant::now();
    let answer = work();
    let time = start.elapsed();
    assert_eq!(answer, expected, "the contender does not do what is measured");
    time
}

/// Runs `work` on so many threads, each with its number, and returns the time from the first start to the last end, as
/// the threads themselves see it.
pub(crate) fn on_threads(threads: u64, work: impl Fn(u64) + Sync) -> Duration {
    let begin = std::sync::Barrier::new(threads as usize);
    let (begin, work) = (&begin, &work);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|number| {
                scope.spawn(move || {
                    begin.wait();
                    let start = Instant::now();
                    work(number);
                    (start, Instant::now())
                })
            })
            .collect();
        let stamps: Vec<_> = threads.into_iter().map(|thread| thread.join().expect("a worker panicked")).collect();
        let first = stamps.iter().map(|stamp| stamp.0).min();
        let last = stamps.iter().map(|stamp| stamp.1).max();
        first.zip(last).map_or(Duration::ZERO, |(first, last)| last - first)
    })
}
