//! What a job of its own costs on the threads of a runtime: from outside, from a job, and from an idle runtime.
//!
//! `global` is a flood from one thread, per job; `tree` a tree of jobs that submit their two children, per job; `wake`
//! the time from a submission to an idle runtime until the submitter has been told of the end.

use concourse::{Event, GlobalQueue, Group, Qos, Runtime};
use concourse_benches::checked;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

static RAN: AtomicU64 = AtomicU64::new(0);

/// Submits a job that submits its children while there are `left` levels.
fn plant(queue: &Arc<GlobalQueue>, root: &Group, left: u32) {
    let (here, group) = (Arc::clone(queue), root.clone());
    root.exec_async(&**queue, move || {
        RAN.fetch_add(1, Ordering::Relaxed);
        if left > 0 {
            plant(&here, &group, left - 1);
            plant(&here, &group, left - 1);
        }
    });
}

fn pool(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pool");
    group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(600));
    let runtime = Runtime::builder().threads(2).build().expect("two threads are allowed");
    let global = runtime.global(Qos::Default);
    group.bench_function(BenchmarkId::new("global", 1), |bencher| {
        bencher.iter_custom(|jobs| {
            checked(jobs, || {
                let all = Group::new();
                let last = all.enter();
                for _ in 1..jobs {
                    let captured = black_box(1_u64);
                    global.exec_async(move || _ = RAN.fetch_add(captured, Ordering::Relaxed));
                }
                all.exec_async(&global, || _ = RAN.fetch_add(1, Ordering::Relaxed));
                drop(last);
                all.wait();
                while RAN.load(Ordering::Relaxed) < jobs {
                    std::thread::yield_now();
                }
                RAN.swap(0, Ordering::Relaxed)
            })
        });
    });
    group.bench_function(BenchmarkId::new("tree", 1), |bencher| {
        let queue = Arc::new(global.clone());
        bencher.iter_custom(|jobs| {
            let levels = jobs.max(2).ilog2();
            let size = (1 << (levels + 1)) - 1;
            let time = checked(size, || {
                let all = Group::new();
                plant(&queue, &all, levels);
                all.wait();
                RAN.swap(0, Ordering::Relaxed)
            });
            time.mul_f64(jobs as f64 / size as f64)
        });
    });
    group.bench_function(BenchmarkId::new("wake", 1), |bencher| {
        bencher.iter_custom(|wakes| {
            checked(wakes, || {
                (0..wakes)
                    .map(|_| {
                        let done = Event::new();
                        let tell = done.clone();
                        global.exec_async(move || tell.set());
                        done.wait();
                        1
                    })
                    .sum()
            })
        });
    });
    group.finish();
}

criterion_group!(benches, pool);
criterion_main!(benches);
