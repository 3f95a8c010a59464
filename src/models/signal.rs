//! Every arrival of a signal reaches a turn of its source, though only one of many rings for all. The bell is a number here,
//! as an eventfd is one in the kernel. Planted fault: `signal_adds_in_two_steps`.

use super::source::Line;
use super::{JoinHandle, check, spawn};
use crate::source::Pending;
use crate::source::delivery::{Delivery, Handlers, Sealed};
use crate::source::signal::state::{Duty, First, Tally};
use crate::sync::{Arc, AtomicU64, Ordering};

struct Arrived(Tally);

impl Sealed for Arrived {}

impl Pending for Arrived {
    type Value = u64;

    fn take(&self) -> Option<u64> {
        let (count, _) = self.0.take();
        (count != 0).then_some(count)
    }

    fn close(&self) {}
}

/// A source of signals on a line, its bell, and what its handler has seen.
struct Model {
    line: Arc<Line>,
    bell: AtomicU64,
    delivery: Arc<Delivery<Arrived>>,
    seen: Arc<AtomicU64>,
}

impl Model {
    fn new() -> Arc<Self> {
        let (line, seen) = (Line::new(), Arc::new(AtomicU64::new(0)));
        let delivery = Delivery::inactive(Arrived(Tally::new()), line.clone());
        let sum = Arc::clone(&seen);
        // Turns are ordered by their source: nothing is lost by adding in two steps.
        let event = move |count| sum.store(sum.load(Ordering::Relaxed) + count, Ordering::Relaxed);
        delivery.activate(None, Handlers { event: Some(Box::new(event)), ..Handlers::default() });
        Arc::new(Self { line, bell: AtomicU64::new(0), delivery, seen })
    }

    /// One run of the operating system's handler.
    fn arrive(&self) {
        if self.delivery.pending().0.add(None) == Duty::Ring {
            self.bell.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// The event loop's part, if the bell was rung, and the queue's.
    fn hear(&self) {
        if self.bell.swap(0, Ordering::AcqRel) != 0 && self.delivery.pending().0.is_pending() {
            self.delivery.knock();
        }
        self.line.run();
    }

    fn seen(&self) -> u64 {
        self.hear();
        self.seen.load(Ordering::Relaxed)
    }
}

/// Runs `f` beside this thread.
fn beside(model: &Arc<Model>, f: fn(&Model)) -> JoinHandle<()> {
    let model = Arc::clone(model);
    spawn(move || f(&model))
}

#[test]
fn two_arrivals_beside_a_turn_are_both_taken() {
    check(|| {
        let model = Model::new();
        let threads = [beside(&model, Model::arrive), beside(&model, Model::arrive)];
        model.hear();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(model.seen(), 2);
    });
}

#[test]
fn an_arrival_between_the_look_and_the_turn_is_taken_once() {
    check(|| {
        let model = Model::new();
        model.arrive();
        let threads = [beside(&model, Model::arrive), beside(&model, Model::hear)];
        model.hear();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(model.seen(), 2);
    });
}

#[test]
fn arrivals_around_a_suspension_are_taken_after_it() {
    check(|| {
        let model = Model::new();
        model.delivery.suspend().unwrap();
        model.arrive();
        let threads = [beside(&model, Model::arrive), beside(&model, Model::hear)];
        assert_eq!(model.seen.load(Ordering::Relaxed), 0);
        model.delivery.resume().unwrap();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(model.seen(), 2);
    });
}

#[test]
fn one_of_two_arrivals_is_the_first() {
    check(|| {
        let first = Arc::new(First::new());
        let other = spawn({
            let first = Arc::clone(&first);
            move || first.come()
        });
        let here = first.come();
        assert!(here ^ other.join().unwrap());
    });
}
