//! Jobs of their own, on a pool of two threads.

use crate::peers::{Concourse, CrossbeamThreads, KanalThreads, Pool, Rayon, RustyPool, Smol, Tokio, runtime};
use crate::row::{Contender, Goal, Row, Sample, per_operation, timed};
use crate::tally;
use concourse::Qos;
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use std::hint::black_box;
use std::time::Instant;

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "concurrent_async",
        what: "One outside thread submits closures that capture a `u64` to a pool of two threads, until the last has run.",
        metrics: &["ns per closure"],
        size: 1_000_000,
        quick: 2_000,
        contenders: &[
            Contender { name: "concourse", run: |size| flood(size, Concourse) },
            Contender { name: "rayon", run: |size| flood(size, Rayon) },
            Contender { name: "rusty_pool", run: |size| flood(size, RustyPool) },
            Contender { name: "smol", run: |size| flood(size, Smol) },
            Contender { name: "tokio", run: |size| flood(size, Tokio) },
            Contender { name: "crossbeam + 2 threads", run: |size| flood(size, CrossbeamThreads) },
            Contender { name: "kanal + 2 threads", run: |size| flood(size, KanalThreads) },
        ],
        goal: Goal::AtMost(60.0),
    },
    Row {
        name: "spawn_tree",
        what: "A job submits two children, and so on, down to a million leaves.",
        metrics: &["ns per job"],
        size: (1 << 20) - 1,
        quick: (1 << 9) - 1,
        contenders: &[
            Contender { name: "concourse", run: |size| tree(size, Concourse) },
            Contender { name: "rayon", run: |size| tree(size, Rayon) },
            Contender { name: "smol", run: |size| tree(size, Smol) },
            Contender { name: "tokio", run: |size| tree(size, Tokio) },
        ],
        goal: Goal::AtMost(25.0),
    },
    Row {
        name: "apply",
        what: "A loop over as many indices, on the pool and the calling thread; the body adds to a number of its own.",
        metrics: &["ns per index"],
        size: 10_000_000,
        quick: 10_000,
        contenders: &[
            Contender { name: "concourse", run: |size| repeat(size, apply) },
            Contender { name: "rayon", run: |size| repeat(size, |size| Rayon::pool().install(|| par_iter(size))) },
            Contender { name: "std scope", run: |size| repeat(size, scope) },
            Contender { name: "one thread", run: |size| repeat(size, |size| (0..size).for_each(body)) },
        ],
        goal: Goal::AtMost(1.0),
    },
];

fn flood(size: u64, pool: impl Pool) -> Sample {
    let round = |size: u64| {
        let before = tally::sum();
        let start = Instant::now();
        for _ in 0..size {
            let captured = black_box(1_u64);
            pool.spawn(move || tally::add(captured));
        }
        tally::wait_for(before, size);
        start.elapsed()
    };
    round(size / 10);
    per_operation(round(size), size)
}

/// So many jobs in all that every level of the tree is full.
fn tree(size: u64, pool: impl Pool) -> Sample {
    let round = |size: u64| {
        let before = tally::sum();
        let start = Instant::now();
        plant(pool, size);
        tally::wait_for(before, size);
        start.elapsed()
    };
    round((size >> 3).max(1));
    per_operation(round(size), size)
}

/// A job that is the root of a tree of `size` jobs.
fn plant(pool: impl Pool, size: u64) {
    pool.spawn(move || {
        tally::add(1);
        if size > 1 {
            plant(pool, size / 2);
            plant(pool, size / 2);
        }
    });
}

fn repeat(size: u64, run: fn(u64)) -> Sample {
    let round = |size: u64| {
        let before = tally::sum();
        timed(size, || {
            run(size);
            tally::sum() - before
        })
    };
    round(size / 10);
    per_operation(round(size), size)
}

fn body(_: u64) {
    tally::add(1);
}

fn apply(size: u64) {
    runtime().global(Qos::Default).apply(size as usize, |index| body(index as u64));
}

fn par_iter(size: u64) {
    (0..size).into_par_iter().for_each(body);
}

fn scope(size: u64) {
    std::thread::scope(|scope| {
        for half in [0..size / 2, size / 2..size] {
            scope.spawn(|| half.for_each(body));
        }
    });
}
