//! Many sources that are merged into at once.

use super::curve::{Contender, Curve, Growth};
use crate::peers::runtime;
use crate::row::{Sample, on_threads, per_operation};
use crate::tally;
use concourse::Source;
use crossbeam_utils::CachePadded;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub(super) const CURVES: &[Curve] = &[Curve {
    name: "sources",
    what: "Two threads merge 1 into so many ADD sources on one serial queue, round robin; the clock stops when everything has been delivered. Beside it, a bare `fetch_add` into as many counters.",
    axis: "sources",
    points: &[1, 3, 10, 30, 100, 300, 1_000],
    operations: 20_000_000,
    growth: Growth::Operations,
    footprint: 0,
    metrics: &["ns per merge"],
    contenders: &[
        Contender { name: "concourse", run: |load| merged(load.amount, 2, load.operations) },
        Contender { name: "fetch_add", run: |load| added(load.amount, 2, load.operations) },
    ],
}];

/// Merges from so many threads, round robin over so many sources.
pub(super) fn merged(sources: u64, threads: u64, operations: u64) -> Sample {
    let queue = runtime().serial("sources");
    let sources: Vec<_> = (0..sources).map(|_| Source::add(&queue).on_event(tally::add).activate()).collect();
    in_turns(&sources, threads, operations, tally::sum, |source| source.merge(1))
}

/// As `merged`, into bare counters.
pub(super) fn added(counters: u64, threads: u64, operations: u64) -> Sample {
    let counters: Vec<_> = (0..counters).map(|_| CachePadded::new(AtomicU64::new(0))).collect();
    let sum = || counters.iter().map(|counter| counter.load(Ordering::Relaxed)).sum();
    in_turns(&counters, threads, operations, sum, |counter| _ = counter.fetch_add(1, Ordering::Relaxed))
}

/// Has each thread do its share of the operations, from a place of its own in the round of targets, and waits until all of
/// them have arrived in `sum`.
fn in_turns<T: Sync>(
    targets: &[T],
    threads: u64,
    operations: u64,
    sum: impl Fn() -> u64,
    operation: impl Fn(&T) + Sync,
) -> Sample {
    let round = |each: u64| {
        let before = sum();
        let time = on_threads(threads, |number| {
            let first = targets.len() * number as usize / threads as usize;
            targets.iter().cycle().skip(first).take(each as usize).for_each(&operation);
        });
        let merged = Instant::now();
        while sum() - before < each * threads {
            assert!(merged.elapsed().as_secs() < 60, "merges were lost");
            thread::sleep(Duration::from_micros(50));
        }
        let time = time + merged.elapsed();
        assert_eq!(sum() - before, each * threads, "more was delivered than was merged");
        time
    };
    let each = operations.div_ceil(threads);
    round(each.div_ceil(10));
    per_operation(round(each), each * threads)
}
