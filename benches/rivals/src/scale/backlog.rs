//! Many closures on one queue that is held.

use super::curve::{Contender, Curve, Growth, Load};
use crate::peers::{Closure, runtime};
use crate::row::Sample;
use crate::tally::Plain;
use concourse::Queue;
use std::hint::black_box;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

pub(super) const CURVES: &[Curve] = &[Curve {
    name: "backlog",
    what: "One outside thread submits so many closures that capture a `u64` to a suspended serial queue, then resumes it; the drain ends when the last has run. A drain of few is the time to wake a thread, and a push of few the time to read the clock. Beside it, boxed closures in a channel whose receiver waits elsewhere.",
    axis: "queued closures",
    points: &[1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000],
    operations: 1_000_000,
    growth: Growth::Operations,
    footprint: 37,
    metrics: &["ns per push", "ns per drained closure"],
    contenders: &[
        Contender { name: "concourse", run: |load| held(load, &Suspended::new()) },
        Contender { name: "crossbeam channel", run: |load| held(load, &Channel::new()) },
    ],
}];

/// Runs nothing until it is let go, and is held again when it has run everything.
trait Held {
    fn hold(&self);
    fn push(&self, f: impl FnOnce() + Send + 'static);
    fn let_go(&self);
}

fn held(load: Load, queue: &impl Held) -> Sample {
    let sum: &'static Plain = Box::leak(Box::default());
    let (end, ended) = mpsc::channel();
    load.rounds(|| {
        let before = sum.get();
        let end = end.clone();
        queue.hold();
        let start = Instant::now();
        for _ in 1..load.amount {
            let captured = black_box(1_u64);
            queue.push(move || sum.add(captured));
        }
        queue.push(move || {
            sum.add(1);
            end.send(Instant::now()).expect("the measurement waits");
        });
        let pushed = Instant::now();
        queue.let_go();
        let drained = ended.recv().expect("the last closure runs");
        assert_eq!(sum.get() - before, load.amount, "closures were lost or overlapped");
        [pushed - start, drained - pushed]
    })
}

struct Suspended(Queue);

impl Suspended {
    fn new() -> Self {
        Self(runtime().serial("held"))
    }
}

impl Held for Suspended {
    fn hold(&self) {
        self.0.suspend().expect("it is suspended once at a time");
    }

    fn push(&self, f: impl FnOnce() + Send + 'static) {
        self.0.exec_async(f);
    }

    fn let_go(&self) {
        self.0.resume().expect("it is suspended");
    }
}

/// A thread that empties a channel each time it is told to.
struct Channel {
    jobs: crossbeam_channel::Sender<Closure>,
    gate: crossbeam_channel::Sender<()>,
}

impl Channel {
    fn new() -> Self {
        let (jobs, line) = crossbeam_channel::unbounded::<Closure>();
        let (gate, opened) = crossbeam_channel::unbounded();
        thread::spawn(move || opened.into_iter().for_each(|()| line.try_iter().for_each(|job| job())));
        Self { jobs, gate }
    }
}

impl Held for Channel {
    fn hold(&self) {}

    fn push(&self, f: impl FnOnce() + Send + 'static) {
        self.jobs.send(Box::new(f)).expect("the receiver ends after the senders");
    }

    fn let_go(&self) {
        self.gate.send(()).expect("the receiver ends after the senders");
    }
}
