//! More threads than processors.

use super::curve::{Contender, Curve, Growth, Load};
use super::sources::{added, merged};
use crate::peers::{Concourse, CrossbeamThread, CrossbeamThreads, Pool, runtime};
use crate::row::{Sample, on_threads, per_operation};
use crate::rows::serial::submitted_by;
use crate::tally::{self, Plain};
use concourse::Queue;
use std::hint::black_box;
use std::iter;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const THREADS: &[u64] = &[1, 2, 4, 8, 16, 32, 64];

/// A curve over the number of threads that share the operations.
const fn curve(
    name: &'static str,
    what: &'static str,
    metrics: &'static [&'static str; 1],
    operations: u64,
    contenders: &'static [Contender],
) -> Curve {
    Curve {
        name,
        what,
        axis: "threads",
        points: THREADS,
        operations,
        growth: Growth::Operations,
        footprint: 0,
        metrics,
        contenders,
    }
}

pub(super) const CURVES: &[Curve] = &[
    curve(
        "threads_async",
        "So many threads submit to one serial queue; the clock stops when the last closure has run.",
        &["ns per closure"],
        2_000_000,
        &[
            Contender { name: "concourse", run: |load| submitted_by::<Queue>(load.amount, load.operations) },
            Contender {
                name: "crossbeam + thread",
                run: |load| submitted_by::<CrossbeamThread>(load.amount, load.operations),
            },
        ],
    ),
    curve(
        "threads_global",
        "So many threads submit to the global queue; the clock stops when the last closure has run.",
        &["ns per closure"],
        2_000_000,
        &[
            Contender { name: "concourse", run: |load| spawned(load, Concourse) },
            Contender { name: "crossbeam + threads", run: |load| spawned(load, CrossbeamThreads) },
        ],
    ),
    curve(
        "threads_merge",
        "So many threads merge 1 into one ADD source; the clock stops when everything has been delivered.",
        &["ns per merge"],
        20_000_000,
        &[
            Contender { name: "concourse", run: |load| merged(1, load.amount, load.operations) },
            Contender { name: "fetch_add", run: |load| added(1, load.amount, load.operations) },
        ],
    ),
    curve(
        "threads_sync",
        "So many threads add to a number in sync calls onto one serial queue for a tenth of a second, and stand in line after some attempts. Below a target a call that must wait lends its body to whoever runs the queue. Beside it under tokio's lock, which is handed on in order, and under the standard library's, which lets a thread overtake.",
        &["ns per call"],
        4_000_000,
        &[
            Contender { name: "concourse", run: called },
            Contender { name: "concourse with a target", run: lent },
            Contender { name: "tokio Mutex", run: locked_in_order },
            Contender { name: "std Mutex", run: locked },
        ],
    ),
];

fn spawned(load: Load, pool: impl Pool) -> Sample {
    let round = |each: u64| {
        let before = tally::sum();
        let time = on_threads(load.amount, |_| {
            for _ in 0..each {
                let captured = black_box(1_u64);
                pool.spawn(move || tally::add(captured));
            }
        });
        let submitted = Instant::now();
        tally::wait_for(before, each * load.amount);
        time + submitted.elapsed()
    };
    let each = load.operations.div_ceil(load.amount);
    round(each.div_ceil(10));
    per_operation(round(each), each * load.amount)
}

fn called(load: Load) -> Sample {
    let queue = runtime().serial("number");
    exclusively(load, |number| queue.exec_sync(|| number.add(1)))
}

fn lent(load: Load) -> Sample {
    let target = runtime().serial("target");
    let queue = runtime().queue("number").target(&target).build().expect("the target is of this runtime");
    exclusively(load, |number| queue.exec_sync(|| number.add(1)))
}

fn locked_in_order(load: Load) -> Sample {
    let lock = tokio::sync::Mutex::new(());
    exclusively(load, |number| {
        let _guard = lock.blocking_lock();
        number.add(1);
    })
}

fn locked(load: Load) -> Sample {
    let lock = Mutex::new(());
    exclusively(load, |number| {
        let _guard = lock.lock().expect("nobody panics under it");
        number.add(1);
    })
}

/// Has every thread call `add`, which must never overlap, until the time is up that all operations take at 25 ns each. A
/// fixed number of them would be over before the threads meet.
fn exclusively(load: Load, add: impl Fn(&Plain) + Sync) -> Sample {
    let number = Plain::default();
    let round = |time: Duration| {
        let (before, calls) = (number.get(), AtomicU64::new(0));
        let time = on_threads(load.amount, |_| {
            let start = Instant::now();
            let rounds = iter::repeat_with(|| (0..16).for_each(|_| add(&number)));
            let rounds = rounds.take_while(|()| start.elapsed() < time).count() as u64 + 1;
            calls.fetch_add(rounds * 16, Ordering::Relaxed);
        });
        let calls = calls.into_inner();
        assert_eq!(number.get() - before, calls, "calls were lost or overlapped");
        per_operation(time, calls)
    };
    let time = Duration::from_nanos(25 * load.operations);
    round(time / 10);
    round(time)
}
