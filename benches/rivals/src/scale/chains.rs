//! Queues that target each other, far down.

use super::curve::{Contender, Curve, Growth, Load};
use crate::peers::runtime;
use crate::row::Sample;
use crate::tally::Plain;
use concourse::Queue;
use std::hint::black_box;
use std::sync::mpsc;
use std::time::{Duration, Instant};

pub(super) const CURVES: &[Curve] = &[Curve {
    name: "chains",
    what: "A serial queue stands on a chain of so many serial targets. One outside thread submits closures to it, then lone closures, each when the one before has run, then makes sync calls onto it.",
    axis: "targets below the queue",
    points: &[1, 2, 5, 10, 20, 50, 100],
    operations: 200_000,
    growth: Growth::Depth,
    footprint: 0,
    metrics: &["ns per async closure", "ns per lone async closure", "ns per sync call"],
    contenders: &[Contender { name: "concourse", run: on_a_chain }],
}];

fn on_a_chain(load: Load) -> Sample {
    let leaf = chain(load.amount);
    let count: &'static Plain = Box::leak(Box::default());
    let lone = load.operations.div_ceil(20);
    burst(&leaf, count, load.operations / 10);
    let burst = burst(&leaf, count, load.operations);
    one_by_one(&leaf, count, lone.div_ceil(10));
    let alone = one_by_one(&leaf, count, lone);
    sync(&leaf, count, load.operations / 10);
    let sync = sync(&leaf, count, load.operations);
    let each = |time: Duration, operations| time.as_nanos() as f64 / operations as f64;
    vec![each(burst, load.operations), each(alone, lone), each(sync, load.operations)]
}

fn chain(targets: u64) -> Queue {
    (0..targets).fold(runtime().serial("root"), |target, _| {
        runtime().queue("link").target(&target).build().expect("the chain is not too long")
    })
}

fn burst(leaf: &Queue, count: &'static Plain, size: u64) -> Duration {
    let before = count.get();
    let (end, ended) = mpsc::channel();
    let start = Instant::now();
    for _ in 0..size {
        let captured = black_box(1_u64);
        leaf.exec_async(move || count.add(captured));
    }
    leaf.exec_async(move || end.send(Instant::now()).expect("the measurement waits"));
    let end = ended.recv().expect("the last closure runs");
    assert_eq!(count.get() - before, size, "closures were lost or overlapped");
    end - start
}

/// The sum of the times from a submission to the start of the closure.
fn one_by_one(leaf: &Queue, count: &'static Plain, size: u64) -> Duration {
    let before = count.get();
    let (tell, told) = mpsc::channel();
    let mut sum = Duration::ZERO;
    for _ in 0..size {
        let tell = tell.clone();
        let start = Instant::now();
        leaf.exec_async(move || {
            let started = Instant::now();
            count.add(1);
            tell.send(started).expect("the measurement waits");
        });
        sum += told.recv().expect("the closure runs") - start;
    }
    assert_eq!(count.get() - before, size, "closures were lost");
    sum
}

fn sync(leaf: &Queue, count: &Plain, size: u64) -> Duration {
    let before = count.get();
    let start = Instant::now();
    for _ in 0..size {
        let captured = black_box(1_u64);
        leaf.exec_sync(|| count.add(captured));
    }
    let time = start.elapsed();
    assert_eq!(count.get() - before, size, "calls were lost");
    time
}
