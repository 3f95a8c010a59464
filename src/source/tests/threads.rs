//! The same promises with mergers, controllers and two turns' worth of threads at once.

use super::Log;
use super::queue::Concurrent;
use super::queue::spawn;
use super::queue::wait_until;
use crate::source::Source;
use crate::sync::Arc;
use crate::sync::AtomicU64;
use crate::sync::AtomicUsize;
use crate::sync::Ordering;

const MERGERS: u64 = 4;
const ROUNDS: u64 = 20_000;

/// Counts who is inside, and panics at the second.
#[derive(Clone, Default)]
struct Alone(Arc<AtomicUsize>);

impl Alone {
    fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        assert_eq!(self.0.fetch_add(1, Ordering::SeqCst), 0, "two handlers at once");
        crate::sync::yield_now();
        let result = f();
        self.0.fetch_sub(1, Ordering::SeqCst);
        result
    }
}

/// Runs `f` on as many threads as there are mergers, with their numbers, and waits for them.
fn merge_from_threads(f: impl Fn(u64) + Send + Sync + 'static) {
    let f = Arc::new(f);
    let threads: Vec<_> = (0..MERGERS)
        .map(|merger| {
            let f = Arc::clone(&f);
            spawn(move || f(merger))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn the_sum_of_all_deliveries_is_the_sum_of_all_merges_and_they_never_overlap() {
    Concurrent::with(|queue| {
        let (sum, alone) = (Arc::new(AtomicU64::new(0)), Alone::default());
        let received = Arc::clone(&sum);
        let source = Source::add(queue)
            .on_event(move |n| {
                alone.enter(|| received.fetch_add(n, Ordering::SeqCst));
            })
            .activate();
        let merging = source.clone();
        merge_from_threads(move |merger| (0..ROUNDS).for_each(|_| merging.merge(merger + 1)));
        wait_until(|| sum.load(Ordering::SeqCst) >= ROUNDS * 10);
        assert_eq!(sum.load(Ordering::SeqCst), ROUNDS * 10);
    });
}

#[test]
fn no_bit_is_lost() {
    Concurrent::with(|queue| {
        let counts: Arc<[AtomicU64; 64]> = Arc::new(std::array::from_fn(|_| AtomicU64::new(0)));
        let seen = Arc::clone(&counts);
        let source = Source::or(queue)
            .on_event(move |bits| {
                (0..64).filter(|bit| bits >> bit & 1 == 1).for_each(|bit| {
                    seen[bit].fetch_add(1, Ordering::SeqCst);
                });
            })
            .activate();
        let (merging, answers) = (source.clone(), Arc::clone(&counts));
        // Each merger waits for its bit to arrive before it merges it again.
        merge_from_threads(move |merger| {
            for round in 1..=1_000 {
                merging.merge(1 << merger);
                wait_until(|| answers[merger as usize].load(Ordering::SeqCst) == round);
            }
        });
        assert!(counts[MERGERS as usize..].iter().all(|count| count.load(Ordering::SeqCst) == 0));
    });
}

#[test]
fn folded_values_arrive_once_each_and_in_the_order_of_their_merger() {
    Concurrent::with(|queue| {
        let log = Log::new();
        let (handler, count) = (log.clone(), Arc::new(AtomicUsize::new(0)));
        let received = Arc::clone(&count);
        let source = Source::merging::<Vec<(u64, u64)>>(queue)
            .on_event(move |values| {
                let values_received = values.len();
                handler.push(values);
                received.fetch_add(values_received, Ordering::SeqCst);
            })
            .activate();
        let merging = source.clone();
        merge_from_threads(move |merger| (0..ROUNDS).for_each(|round| merging.merge(vec![(merger, round)])));
        wait_until(|| count.load(Ordering::SeqCst) >= (MERGERS * ROUNDS) as usize);
        let all = log.0.lock().concat();
        for merger in 0..MERGERS {
            let rounds = all.iter().filter(|(by, _)| *by == merger).map(|(_, round)| *round);
            assert!(rounds.eq(0..ROUNDS));
        }
        assert_eq!(all.len() as u64, MERGERS * ROUNDS);
    });
}

#[test]
fn the_last_replacement_always_arrives() {
    Concurrent::with(|queue| {
        let last = Arc::new(AtomicU64::new(0));
        let received = Arc::clone(&last);
        let source = Source::replace(queue)
            .on_event(move |value| {
                assert!(received.swap(value, Ordering::SeqCst) < value, "a value came back");
            })
            .activate();
        for value in 1..=ROUNDS {
            source.merge(value);
            if value % 100 == 0 {
                wait_until(|| last.load(Ordering::SeqCst) == value);
            }
        }
    });
}

#[test]
fn nothing_is_lost_while_the_source_is_suspended_and_resumed() {
    Concurrent::with(|queue| {
        let (sum, alone) = (Arc::new(AtomicU64::new(0)), Alone::default());
        let received = Arc::clone(&sum);
        let source = Source::add(queue)
            .on_event_with(move |source, n| {
                alone.enter(|| {
                    let _suspended = source.suspend_guard().unwrap();
                    received.fetch_add(n, Ordering::SeqCst);
                });
            })
            .activate();
        let merging = source.clone();
        merge_from_threads(move |merger| {
            for _ in 0..ROUNDS / 10 {
                if merger < 2 {
                    merging.suspend().unwrap();
                    merging.merge(1);
                    merging.resume().unwrap();
                } else {
                    merging.merge(1);
                }
            }
        });
        wait_until(|| sum.load(Ordering::SeqCst) >= MERGERS * ROUNDS / 10);
        assert_eq!(sum.load(Ordering::SeqCst), MERGERS * ROUNDS / 10);
    });
}

#[test]
fn the_cancel_handler_runs_once_and_no_event_follows_it() {
    Concurrent::with(|queue| {
        for _ in 0..500 {
            let (ends, alone) = (Arc::new(AtomicUsize::new(0)), Alone::default());
            let (at_event, at_end, alone_at_end) = (Arc::clone(&ends), Arc::clone(&ends), alone.clone());
            let source = Source::add(queue)
                .on_event(move |_| alone.enter(|| assert_eq!(at_event.load(Ordering::SeqCst), 0)))
                .on_cancel(move || {
                    alone_at_end.enter(|| at_end.fetch_add(1, Ordering::SeqCst));
                })
                .activate();
            let merging = source.clone();
            merge_from_threads(move |merger| {
                for round in 0..20 {
                    merging.merge(1);
                    if round == 5 * merger {
                        merging.cancel();
                    }
                }
            });
            wait_until(|| ends.load(Ordering::SeqCst) > 0);
            source.merge(1);
            assert_eq!(ends.load(Ordering::SeqCst), 1);
        }
    });
}

#[test]
fn a_source_dropped_under_its_mergers_lets_go_of_its_handler() {
    Concurrent::with(|queue| {
        for _ in 0..500 {
            let captured = Arc::new(());
            let handler = Arc::clone(&captured);
            let source = Source::add(queue)
                .on_event(move |_| {
                    let _captured = &handler;
                })
                .on_cancel(|| panic!("nobody cancelled it"))
                .activate();
            let handle = source.handle().clone();
            let merging = [handle.clone(), handle.clone()];
            let threads = merging.map(|handle| spawn(move || while handle.merge(1) {}));
            drop(source);
            for thread in threads {
                thread.join().unwrap();
            }
            wait_until(|| Arc::strong_count(&captured) == 1);
            assert!(!handle.merge(1));
        }
    });
}
