//! Many serial queues.

use super::curve::{Contender, Curve, Growth, Load};
use crate::peers::{Rayon, Serial, Strand};
use crate::row::Sample;
use crate::rows::hops::dealt_to;
use concourse::Queue;
use std::time::Instant;

pub(super) const CURVES: &[Curve] = &[
    Curve {
        name: "queues",
        what: "One outside thread deals a million closures to so many serial queues, round robin, all of which have run one before. From a thousand queues on a closure seldom finds its queue busy, and each queue has a block of its own.",
        axis: "serial queues",
        points: POPULATIONS,
        operations: 1_000_000,
        growth: Growth::Operations,
        footprint: 1_341,
        metrics: &["ns per closure"],
        contenders: &[
            Contender { name: "concourse", run: dealt::<Queue> },
            Contender { name: "rayon strand", run: dealt::<Strand<Rayon>> },
        ],
    },
    Curve {
        name: "queue_life",
        what: "So many serial queues are created, then all are dropped.",
        axis: "serial queues",
        points: POPULATIONS,
        operations: 1_000_000,
        growth: Growth::Operations,
        footprint: 248,
        metrics: &["ns to create", "ns to drop"],
        contenders: &[
            Contender { name: "concourse", run: life::<Queue> },
            Contender { name: "rayon strand", run: life::<Strand<Rayon>> },
        ],
    },
];

const POPULATIONS: &[u64] = &[1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];

fn dealt<S: Serial>(load: Load) -> Sample {
    dealt_to::<S>(load.amount, load.operations.max(load.amount))
}

fn life<S: Serial>(load: Load) -> Sample {
    let mut queues = Vec::with_capacity(load.amount as usize);
    load.rounds(|| {
        let start = Instant::now();
        queues.extend((0..load.amount).map(|_| S::start()));
        let created = Instant::now();
        queues.clear();
        [created - start, created.elapsed()]
    })
}
