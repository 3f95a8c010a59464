//! `cascade`: 80 serial queues and 10,000 tokens. A job moves its token to the next queue and submits itself there,
//! until 200,000 such steps have been made by all together. Then a sync call to each queue drains it, and it goes.
//!
//! The original asserts that it gets there. Here each queue also counts, without protection, which tokens reached it: a
//! token has been at every queue up to its own exactly once.

use crate::add_in_two_steps;
use crate::profile::count;
use crate::timed::GENEROUS;
use crate::timed::finish;
use crate::timed::runtime;
use concourse::Event;
use concourse::Queue;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

const QUEUES: usize = 80;

struct Cascade {
    queues: Vec<Queue>,
    /// How many tokens came to each queue; only touched by its jobs.
    arrivals: Vec<AtomicUsize>,
    /// Where each token is; only touched by its job.
    tokens: Vec<AtomicUsize>,
    steps: AtomicUsize,
    last_step: usize,
    done: Event,
}

impl Cascade {
    /// Moves a token on, as a job of the queue where it is.
    fn step(self: &Arc<Self>, token: usize) {
        let at = self.tokens[token].load(Ordering::Relaxed);
        if at > 0 {
            add_in_two_steps(&self.arrivals[at]);
        }
        if self.done.is_set() {
            return;
        }
        if let Some(next) = self.queues.get(at + 1) {
            self.tokens[token].store(at + 1, Ordering::Relaxed);
            let own = Arc::clone(self);
            next.exec_async(move || own.step(token));
        }
        if self.steps.fetch_add(1, Ordering::SeqCst) + 1 == self.last_step {
            self.done.set();
        }
    }
}

#[test]
fn no_token_is_lost_in_a_cascade_of_queues() {
    let runtime = runtime();
    let tokens = count(2_000, 10_000);
    let cascade = Arc::new(Cascade {
        queues: (0..QUEUES).map(|at| runtime.serial(&format!("cascade {at}"))).collect(),
        arrivals: (0..QUEUES).map(|_| AtomicUsize::new(0)).collect(),
        tokens: (0..tokens).map(|_| AtomicUsize::new(0)).collect(),
        steps: AtomicUsize::new(0),
        last_step: QUEUES * tokens / 4,
        done: Event::new(),
    });
    (0..tokens).for_each(|token| cascade.step(token));
    cascade.done.wait_timeout(GENEROUS).unwrap();
    // Whoever moves a token to the next queue has been waited for before that one is asked.
    let arrivals = cascade.queues.iter().zip(&cascade.arrivals);
    let arrivals: Vec<_> = arrivals.map(|(queue, count)| queue.exec_sync(|| count.load(Ordering::Relaxed))).collect();
    let places: Vec<_> = cascade.tokens.iter().map(|token| token.load(Ordering::Relaxed)).collect();
    for (queue, arrivals) in arrivals.into_iter().enumerate().skip(1) {
        assert_eq!(arrivals, places.iter().filter(|place| **place >= queue).count(), "at queue {queue}");
    }
    assert!(cascade.steps.load(Ordering::SeqCst) >= cascade.last_step);
    drop(cascade);
    finish(&runtime);
}
