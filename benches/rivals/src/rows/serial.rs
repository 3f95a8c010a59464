//! Closures onto one serial queue.

use crate::peers::{CrossbeamThread, KanalThread, Rayon, Serial, Smol, Strand, TokioTask};
use crate::row::{Contender, Goal, Row, Sample, on_threads, per_operation};
use crate::tally::Plain;
use concourse::Queue;
use std::hint::black_box;
use std::sync::mpsc;
use std::time::Instant;

macro_rules! contenders {
    ($run:ident) => {
        [
            Contender { name: "concourse", run: $run::<Queue> },
            Contender { name: "rayon strand", run: $run::<Strand<Rayon>> },
            Contender { name: "smol strand", run: $run::<Strand<Smol>> },
            Contender { name: "kanal + thread", run: $run::<KanalThread> },
            Contender { name: "crossbeam + thread", run: $run::<CrossbeamThread> },
            Contender { name: "tokio mpsc + task", run: $run::<TokioTask> },
        ]
    };
}

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "serial_async",
        what: "One outside thread submits closures that capture a `u64` to one serial queue; the clock stops when the last has run.",
        metrics: &["ns per closure"],
        size: 2_000_000,
        quick: 2_000,
        contenders: &contenders!(one_producer),
        goal: Goal::AtMost(15.0),
    },
    Row {
        name: "serial_async_4p",
        what: "As `serial_async`, from four threads at once.",
        metrics: &["ns per closure"],
        size: 2_000_000,
        quick: 2_000,
        contenders: &contenders!(four_producers),
        goal: Goal::AtMost(20.0),
    },
];

fn one_producer<S: Serial>(size: u64) -> Sample {
    submitted_by::<S>(1, size)
}

fn four_producers<S: Serial>(size: u64) -> Sample {
    submitted_by::<S>(4, size)
}

/// Closures onto one serial queue from so many threads.
pub(crate) fn submitted_by<S: Serial>(producers: u64, size: u64) -> Sample {
    let (queue, sum): (S, &'static Plain) = (S::start(), Box::leak(Box::default()));
    let round = |size: u64| {
        let before = sum.get();
        let each = size / producers;
        let (end, ended) = mpsc::channel();
        let start = Instant::now();
        let submit = || {
            for _ in 0..each {
                let captured = black_box(1_u64);
                queue.exec(move || sum.add(captured));
            }
        };
        if producers == 1 {
            submit();
        } else {
            on_threads(producers, |_| submit());
        }
        queue.exec(move || end.send(Instant::now()).expect("the measurement waits"));
        let end = ended.recv().expect("the last closure runs");
        assert_eq!(sum.get() - before, each * producers, "closures were lost or overlapped");
        end - start
    };
    round(size / 10);
    per_operation(round(size), size)
}
