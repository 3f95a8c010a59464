//! What a timer costs that never fires, which is what most timeouts do: arming and cancelling, alone and among many.

use concourse::{After, Dispatch, Queue};
use concourse_benches::checked;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

fn arm(queue: &Queue) -> After {
    queue.after(HOUR, || unreachable!("the bench takes less than an hour")).expect("the event loop runs")
}

fn timers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("timer");
    group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(600));
    let queue = Queue::serial("bench");
    for others in [0, 100_000] {
        let waiting: Vec<_> = (0..others).map(|_| arm(&queue)).collect();
        group.bench_function(BenchmarkId::new("arm-cancel", others), |bencher| {
            bencher.iter_custom(|pairs| checked(pairs, || (0..pairs).map(|_| u64::from(arm(&queue).cancel())).sum()));
        });
        assert_eq!(waiting.into_iter().filter_map(|after| after.cancel().then_some(())).count(), others);
    }
    group.finish();
}

criterion_group!(benches, timers);
criterion_main!(benches);
