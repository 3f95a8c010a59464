//! What queues and queued closures weigh, by the memory that the process has resident.

use super::process::resident;
use crate::peers::{Closure, CrossbeamThread, KanalThread, Rayon, Serial, Strand, TokioTask};
use crate::row::{Contender, Goal, Row, Sample};
use crate::tally;
use concourse::Queue;
use std::hint::black_box;
use std::sync::mpsc;

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "queued_memory",
        what: "A million closures that capture a `u64` wait in a serial queue behind one that blocks.",
        metrics: &["bytes per closure"],
        size: 1_000_000,
        quick: 10_000,
        contenders: &[
            Contender { name: "concourse", run: queued::<Queue> },
            Contender { name: "rayon strand", run: queued::<Strand<Rayon>> },
            Contender { name: "kanal + thread", run: queued::<KanalThread> },
            Contender { name: "crossbeam + thread", run: queued::<CrossbeamThread> },
            Contender { name: "tokio mpsc + task", run: queued::<TokioTask> },
        ],
        goal: Goal::AtMost(36.0),
    },
    Row {
        name: "queue_memory",
        what: "A hundred thousand idle serial queues with their handles: new ones, and ones that have run a closure each. The channel has nobody who receives.",
        metrics: &["bytes per new queue", "bytes per used queue"],
        size: 100_000,
        quick: 1_000,
        contenders: &[
            Contender { name: "concourse", run: serial_queues::<Queue> },
            Contender { name: "rayon strand", run: serial_queues::<Strand<Rayon>> },
            Contender { name: "tokio mpsc + task", run: serial_queues::<TokioTask> },
            Contender { name: "kanal channel", run: kanal_channels },
        ],
        goal: Goal::AtMost(192.0),
    },
];

/// How much smaller the warm-up is: what it frees is there for the measurement to use, and is not seen.
const WARM_UP_PART: u64 = 1_000;

fn queued<S: Serial>(size: u64) -> Sample {
    let queue = S::start();
    let round = |size: u64| {
        let (open, gate) = mpsc::channel::<()>();
        let (arrive, arrived) = mpsc::channel();
        queue.exec(move || {
            arrive.send(()).expect("the measurement waits");
            gate.recv().expect("the gate opens");
        });
        arrived.recv().expect("the closure that blocks runs");
        let (ran, empty) = (tally::sum(), resident());
        for _ in 0..size {
            let captured = black_box(1_u64);
            queue.exec(move || tally::add(captured));
        }
        let full = resident();
        assert_eq!(tally::sum(), ran, "closures overtook the one that blocks");
        open.send(()).expect("the closure that blocks waits");
        tally::wait_for(ran, size);
        full.saturating_sub(empty)
    };
    round(size / WARM_UP_PART);
    vec![round(size) as f64 / size as f64]
}

fn serial_queues<S: Serial>(size: u64) -> Sample {
    queues(size, S::start, |queue| queue.exec(|| tally::add(1)))
}

fn kanal_channels(size: u64) -> Sample {
    queues(size, kanal::unbounded::<Closure>, |(sender, receiver)| {
        sender.send(Box::new(|| tally::add(1))).expect("the receiver lives");
        receiver.recv().expect("what was sent is there")();
    })
}

/// Weighs queues that `start` has made, before and after each has been given to `exec`, which runs one closure.
fn queues<Q>(size: u64, start: impl Fn() -> Q, exec: impl Fn(&Q)) -> Sample {
    let round = |size: u64| {
        let (ran, none) = (tally::sum(), resident());
        let queues: Vec<Q> = (0..size).map(|_| start()).collect();
        let new = resident();
        queues.iter().for_each(&exec);
        tally::wait_for(ran, size);
        [new, resident()].map(|bytes| bytes.saturating_sub(none) as f64 / size as f64)
    };
    round(size / WARM_UP_PART);
    round(size).to_vec()
}
