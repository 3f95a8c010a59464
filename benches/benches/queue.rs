//! What submitting to a queue costs, and what a sync call costs beside a mutex.
//!
//! `async` is the time from the first submission to the end of the last job, per job that captures a `u64`; `sync` is a
//! call on an idle queue, `sync-contended` one of several threads' calls. The mutex rows are the floor of the same run.

use concourse::{Event, Queue};
use concourse_benches::{checked, on_threads};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Submits on `threads` threads, waits until all has run, and returns how much that was.
fn submit(queue: &Queue, jobs: u64, threads: usize) -> u64 {
    on_threads(threads, |number| {
        let share = jobs / threads as u64 + u64::from((number as u64) < jobs % threads as u64);
        for _ in 0..share {
            let captured = black_box(1_u64);
            queue.exec_async(move || count(captured));
        }
        0
    });
    queue.barrier_sync(|| SUM.swap(0, Ordering::Relaxed))
}

static SUM: AtomicU64 = AtomicU64::new(0);

fn count(captured: u64) {
    SUM.fetch_add(captured, Ordering::Relaxed);
}

fn queues(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("queue");
    group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(600));
    let serial = Queue::serial("bench");
    let concurrent = Queue::concurrent("bench");
    for threads in [1, 4] {
        for (name, queue) in [("async-serial", &serial), ("async-concurrent", &concurrent)] {
            group.bench_function(BenchmarkId::new(name, threads), |bencher| {
                bencher.iter_custom(|jobs| checked(jobs, || submit(queue, jobs, threads)));
            });
        }
    }
    for (name, queue) in [("sync-serial", &serial), ("sync-concurrent", &concurrent)] {
        for threads in [1, 4] {
            group.bench_function(BenchmarkId::new(name, threads), |bencher| {
                bencher.iter_custom(|calls| {
                    let calls = calls.next_multiple_of(threads as u64);
                    checked(calls, || {
                        on_threads(threads, |_| (0..calls / threads as u64).map(|_| queue.exec_sync(|| 1)).sum())
                    })
                });
            });
        }
    }
    for threads in [1, 4] {
        group.bench_function(BenchmarkId::new("floor-std-mutex", threads), |bencher| {
            let mutex = Mutex::new(());
            bencher.iter_custom(|calls| {
                let calls = calls.next_multiple_of(threads as u64);
                checked(calls, || {
                    on_threads(threads, |_| {
                        (0..calls / threads as u64).map(|_| mutex.lock().map_or(0, |_guard| black_box(1))).sum()
                    })
                })
            });
        });
    }
    group.bench_function(BenchmarkId::new("pingpong", 1), |bencher| {
        bencher.iter_custom(|hops| {
            let court = Arc::new(Court {
                queues: [Queue::serial("ping"), Queue::serial("pong")],
                hops: AtomicU64::new(0),
                last: hops,
                over: Event::new(),
            });
            checked(hops, || {
                hit(Arc::clone(&court), 0);
                court.over.wait();
                court.hops.load(Ordering::Relaxed)
            })
        });
    });
    group.finish();
}

struct Court {
    queues: [Queue; 2],
    hops: AtomicU64,
    last: u64,
    over: Event,
}

fn hit(court: Arc<Court>, side: usize) {
    let next = Arc::clone(&court);
    court.queues[side].exec_async(move || {
        if next.hops.fetch_add(1, Ordering::Relaxed) + 1 == next.last {
            next.over.set();
        } else {
            hit(next, 1 - side);
        }
    });
}

criterion_group!(benches, queues);
criterion_main!(benches);
