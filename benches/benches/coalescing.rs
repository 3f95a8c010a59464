//! What one merge costs while its handler runs, by number of merging threads, kind of source, and what the handler does.
//!
//! The floor in each group is a bare read-modify-write on one shared atomic by as many threads: a source is worth its
//! price if one thread is near the floor and several are below it. Ids are `coalescing/KIND-HANDLER/THREADS`.

use concourse::source::Merge;
use concourse::{Event, Queue, Source};
use concourse_benches::{checked, on_threads};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const THREADS: [usize; 4] = [1, 2, 4, 8];

/// What the handler does with each delivery.
#[derive(Clone, Copy)]
enum Handler {
    /// Adds it up.
    Idle,
    /// Adds it up and works for a microsecond, as a small redraw would.
    Busy,
    /// Nothing until all has been merged: the source is suspended meanwhile.
    Suspended,
}

impl Handler {
    const ALL: [(&'static str, Self); 3] = [("idle", Self::Idle), ("busy", Self::Busy), ("suspended", Self::Suspended)];

    fn work(self) {
        if matches!(self, Self::Busy) {
            let start = Instant::now();
            while start.elapsed() < Duration::from_micros(1) {
                std::hint::spin_loop();
            }
        }
    }
}

/// The largest value and the number of merges that made it.
struct Peak {
    value: u64,
    merges: u64,
}

impl Merge for Peak {
    fn merge(&mut self, other: Self) {
        self.value = self.value.max(other.value);
        self.merges += other.merges;
    }
}

fn share(merges: u64, threads: usize, number: usize) -> u64 {
    merges / threads as u64 + u64::from((number as u64) < merges % threads as u64)
}

/// Merges on all threads, waits until everything has been delivered, and returns what was.
macro_rules! run {
    ($source:ident, $merges:ident, $threads:ident, $handler:ident, $total:ident, $queue:ident, $merge:expr) => {{
        let guard = matches!($handler, Handler::Suspended).then(|| $source.suspend_guard().expect("suspended once"));
        let start = Instant::now();
        on_threads($threads, |number| {
            for _ in 0..share($merges, $threads, number) {
                $merge(&$source);
            }
            0
        });
        let time = start.elapsed();
        drop(guard);
        let done = Event::new();
        let tell = done.clone();
        // A turn that is under way submits the next one behind this job; the second job is behind that.
        let again = $queue.clone();
        $queue.exec_async(move || again.exec_async(move || tell.set()));
        done.wait();
        (time, $total.load(Ordering::Relaxed))
    }};
}

fn coalescing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("coalescing");
    group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(600));
    let queue = Queue::serial("bench");
    for threads in THREADS {
        group.bench_function(BenchmarkId::new("floor-fetch-add", threads), |bencher| {
            bencher.iter_custom(|merges| {
                let atomic = AtomicU64::new(0);
                checked(merges, || {
                    on_threads(threads, |number| {
                        for _ in 0..share(merges, threads, number) {
                            black_box(&atomic).fetch_add(1, Ordering::SeqCst);
                        }
                        0
                    });
                    atomic.load(Ordering::Relaxed)
                })
            });
        });
        for (name, handler) in Handler::ALL {
            group.bench_function(BenchmarkId::new(format!("add-{name}"), threads), |bencher| {
                bencher.iter_custom(|merges| {
                    let total = Arc::new(AtomicU64::new(0));
                    let sum = Arc::clone(&total);
                    let source = Source::add(&queue)
                        .on_event(move |n: u64| {
                            sum.fetch_add(n, Ordering::Relaxed);
                            handler.work();
                        })
                        .activate();
                    let (time, delivered) =
                        run!(source, merges, threads, handler, total, queue, |source: &Source| source.merge(1));
                    assert_eq!(delivered, merges, "a merge was lost");
                    time
                });
            });
        }
        group.bench_function(BenchmarkId::new("or-busy", threads), |bencher| {
            let handler = Handler::Busy;
            bencher.iter_custom(|merges| {
                let total = Arc::new(AtomicU64::new(0));
                let bits = Arc::clone(&total);
                let source = Source::or(&queue)
                    .on_event(move |n: u64| {
                        bits.fetch_or(n, Ordering::Relaxed);
                        handler.work();
                    })
                    .activate();
                let (time, delivered) = run!(source, merges, threads, handler, total, queue, |source: &Source<_>| {
                    source.merge(0b101);
                });
                assert_eq!(delivered, 0b101, "bits were lost or made up");
                time
            });
        });
        group.bench_function(BenchmarkId::new("replace-busy", threads), |bencher| {
            let handler = Handler::Busy;
            bencher.iter_custom(|merges| {
                let total = Arc::new(AtomicU64::new(0));
                let last = Arc::clone(&total);
                let source = Source::replace(&queue)
                    .on_event(move |n: u64| {
                        last.store(n, Ordering::Relaxed);
                        handler.work();
                    })
                    .activate();
                let (time, delivered) =
                    run!(source, merges, threads, handler, total, queue, |source: &Source<_>| source.merge(7));
                assert_eq!(delivered, 7, "the last value was lost");
                time
            });
        });
        group.bench_function(BenchmarkId::new("merging-busy", threads), |bencher| {
            let handler = Handler::Busy;
            bencher.iter_custom(|merges| {
                let total = Arc::new(AtomicU64::new(0));
                let sum = Arc::clone(&total);
                let source = Source::merging::<Peak>(&queue)
                    .on_event(move |peak: Peak| {
                        assert_eq!(peak.value, 3);
                        sum.fetch_add(peak.merges, Ordering::Relaxed);
                        handler.work();
                    })
                    .activate();
                let (time, delivered) = run!(source, merges, threads, handler, total, queue, |source: &Source<_>| {
                    source.merge(Peak { value: 3, merges: 1 });
                });
                assert_eq!(delivered, merges, "a merge was lost");
                time
            });
        });
    }
    group.finish();
}

criterion_group!(benches, coalescing);
criterion_main!(benches);
