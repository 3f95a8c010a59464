//! What a permit costs: an uncontended pair, and threads that share two permits. The floor is two read-modify-writes.

use concourse::{Group, Semaphore};
use concourse_benches::{checked, on_threads};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

fn semaphore(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("semaphore");
    group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(600));
    group.bench_function(BenchmarkId::new("floor-two-rmw", 1), |bencher| {
        let atomic = AtomicI64::new(1);
        bencher.iter_custom(|pairs| {
            checked(pairs, || {
                for _ in 0..pairs {
                    black_box(&atomic).fetch_sub(1, Ordering::Acquire);
                    black_box(&atomic).fetch_add(1, Ordering::Release);
                }
                assert_eq!(atomic.load(Ordering::Relaxed), 1);
                pairs
            })
        });
    });
    for threads in [1, 4] {
        let permits = Semaphore::new(threads.min(2));
        let inside = AtomicU64::new(0);
        group.bench_function(BenchmarkId::new("wait-signal", threads), |bencher| {
            bencher.iter_custom(|pairs| {
                let pairs = pairs.next_multiple_of(threads as u64);
                let time = checked(pairs, || {
                    on_threads(threads, |_| {
                        (0..pairs / threads as u64)
                            .map(|_| {
                                permits.wait();
                                if threads > 1 {
                                    assert!(inside.fetch_add(1, Ordering::Relaxed) < 2, "more than two were inside");
                                    inside.fetch_sub(1, Ordering::Relaxed);
                                }
                                permits.signal();
                                1
                            })
                            .sum()
                    })
                });
                assert_eq!(permits.available(), threads.min(2));
                time
            });
        });
    }
    group.bench_function(BenchmarkId::new("group-enter-leave", 1), |bencher| {
        let members = Group::new();
        bencher.iter_custom(|pairs| {
            checked(pairs, || {
                for _ in 0..pairs {
                    drop(black_box(members.enter()));
                }
                assert!(members.is_empty());
                pairs
            })
        });
    });
    group.finish();
}

criterion_group!(benches, semaphore);
criterion_main!(benches);
