//! Everything at once, from several threads: what is added is over once, and runs no more often than it may.

use super::*;
use concourse::OperationState;
use concourse::Priority;
use concourse::Retry;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

/// Numbers without any order, the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

#[test]
fn a_storm_of_graphs_cancellations_and_suspensions_loses_nothing() {
    const THREADS: usize = 4;
    const EACH: usize = 500;
    let runtime = runtime();
    let queues =
        [3, 1, usize::MAX].map(|width| OperationQueue::builder("storm").on(&runtime).max_concurrent(width).build());
    let (all, captured) = (Mutex::new(Vec::<Operation<usize>>::new()), Arc::new(()));
    let (started, over, told) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), runtime.serial("told"));
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|seed| {
                let (queues, all, captured, started, over, told) = (&queues, &all, &captured, &started, &over, &told);
                scope.spawn(move || {
                    let mut dice = Dice(seed as u64);
                    for number in 0..EACH {
                        let queue = &queues[dice.below(3)];
                        let known = all.lock().unwrap().clone();
                        let mut builder =
                            queue.operation("any").priority([Priority::Low, Priority::High][dice.below(2)]);
                        for _ in 0..dice.below(3).min(known.len()) {
                            let other = &known[dice.below(known.len())];
                            builder =
                                if dice.below(2) == 0 { builder.after(other) } else { builder.after_end_of(other) };
                        }
                        if dice.below(100) == 0 {
                            builder = builder.barrier();
                        }
                        let (kept, begun, fails) = (Arc::clone(captured), Arc::clone(started), dice.below(10));
                        let retry = Retry::up_to(2).pause(Duration::from_micros(50));
                        let operation = builder.retry(retry, move |context| {
                            begun.fetch_add(1, SeqCst);
                            assert!(Arc::strong_count(&kept) > 1 && fails != 9, "one in ten panics");
                            if fails >= 8 && context.attempt() == 1 { Err("once") } else { Ok(number) }
                        });
                        let over = Arc::clone(over);
                        operation.on_complete(told, move |_| _ = over.fetch_add(1, SeqCst));
                        if let Some(other) = known.last() {
                            match dice.below(8) {
                                0 => _ = other.cancel(),
                                1 => _ = other.add_dependency(&operation),
                                2 => other.set_priority(Priority::VeryHigh),
                                3 => drop(queue.suspend_guard().unwrap()),
                                _ => {}
                            }
                        }
                        all.lock().unwrap().push(operation);
                    }
                })
            })
            .collect();
        // ThreadSanitizer sees no other join than an explicit one.
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    for queue in &queues {
        queue.wait_timeout(GENEROUS).unwrap();
        assert_eq!((queue.len(), queue.running()), (0, 0));
    }
    told.exec_sync(|| assert_eq!(over.load(SeqCst), THREADS * EACH));
    let all = all.into_inner().unwrap();
    let finished = all.iter().filter(|operation| operation.state() == OperationState::Finished).count();
    assert!(finished > 0 && finished < all.len());
    assert!(started.load(SeqCst) <= 2 * all.len() && started.load(SeqCst) >= finished);
    assert_eq!(Arc::strong_count(&captured), 1, "no closure is left");
}
