//! A source delivers each merge once, one turn at a time, and ends once, whoever does what in between.

use super::{check, spawn};
use crate::collections::Striped;
use crate::engine::Engine;
use crate::event_loop::Sink;
use crate::job::Job;
use crate::qos::Qos;
use crate::queue::Accept;
use crate::queue::GlobalQueue;
use crate::source::Pending;
use crate::source::delivery::{Delivery, Handlers, Sealed};
use crate::source::pace::Rule;
use crate::sync::{Arc, AtomicU64, AtomicUsize, Mutex, Ordering};
use std::collections::VecDeque;

/// A queue that whoever likes may run, on several threads at once.
pub(super) struct Line {
    jobs: Mutex<VecDeque<Job>>,
    label: Arc<str>,
    engine: Arc<Engine>,
}

impl Line {
    pub(super) fn new(engine: Arc<Engine>) -> Arc<Self> {
        Arc::new(Self { jobs: Mutex::new(VecDeque::new()), label: "model".into(), engine })
    }

    pub(super) fn run(&self) {
        loop {
            let next = self.jobs.lock().pop_front();
            let Some(job) = next else { break };
            job.run();
        }
    }
}

impl Accept for Line {
    fn accept(&self, job: Job) {
        self.jobs.lock().push_back(job);
    }

    fn label(&self) -> &Arc<str> {
        &self.label
    }

    fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    fn sink(&self) -> Arc<dyn Sink> {
        GlobalQueue::on(Arc::clone(&self.engine), Qos::Default).sink()
    }
}

/// A sum whose mergers say who they are.
pub(super) struct Sum {
    cells: Striped,
    /// The first turn that takes adds the stripes.
    grows: bool,
}

impl Sum {
    pub(super) fn new() -> Self {
        Self { cells: Striped::new(), grows: false }
    }

    pub(super) fn add_as(&self, ordinal: u32, n: u64) {
        self.cells.add_as(ordinal, n);
    }
}

impl Sealed for Sum {}

impl Pending for Sum {
    type Value = u64;

    fn take(&self) -> Option<u64> {
        let sum = self.cells.take(u64::saturating_add);
        if self.grows && sum != 0 {
            self.cells.grow();
        }
        (sum != 0).then_some(sum)
    }

    fn close(&self) {}
}

/// What the handlers have seen. They use nothing that orders them, so that a missing order between two turns shows as
/// an old value.
#[derive(Default)]
pub(super) struct Seen {
    inside: AtomicUsize,
    sum: AtomicU64,
    events: AtomicUsize,
    ends: AtomicUsize,
}

impl Seen {
    fn alone(&self, f: impl FnOnce()) {
        assert_eq!(self.inside.fetch_add(1, Ordering::Relaxed), 0, "two handlers at once");
        f();
        self.inside.fetch_sub(1, Ordering::Relaxed);
    }

    fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }

    fn ends(&self) -> usize {
        self.ends.load(Ordering::Relaxed)
    }
}

/// A source on a line, and what its handlers have seen.
pub(super) struct Model {
    pub(super) line: Arc<Line>,
    pub(super) seen: Arc<Seen>,
    pub(super) delivery: Arc<Delivery<Sum>>,
}

impl Model {
    fn new(grows: bool) -> Arc<Self> {
        Self::on(Engine::in_place(), grows, None)
    }

    pub(super) fn on(engine: Arc<Engine>, grows: bool, pace: Option<Rule>) -> Arc<Self> {
        let (line, seen) = (Line::new(engine), Arc::new(Seen::default()));
        let delivery = Delivery::inactive(Sum { cells: Striped::new(), grows }, line.clone());
        let (at_event, at_end) = (Arc::clone(&seen), Arc::clone(&seen));
        let event = move |n| {
            at_event.alone(|| {
                assert_eq!(at_event.ends(), 0, "an event after the end");
                at_event.sum.store(at_event.sum() + n, Ordering::Relaxed);
                at_event.events.fetch_add(1, Ordering::Relaxed);
            });
        };
        let end = move || at_end.alone(|| at_end.ends.store(at_end.ends() + 1, Ordering::Relaxed));
        let handlers = Handlers { registered: None, event: Some(Box::new(event)), cancelled: Some(Box::new(end)) };
        delivery.activate(None, handlers, pace);
        Arc::new(Self { line, seen, delivery })
    }

    pub(super) fn merge(&self, ordinal: u32, n: u64) -> bool {
        self.delivery.pending().cells.add_as(ordinal, n);
        self.delivery.knock()
    }

    /// Runs what is left, when all threads have been joined.
    pub(super) fn finish(&self) -> (u64, usize) {
        self.line.run();
        (self.seen.sum(), self.seen.ends())
    }
}

/// Runs `parts` at the same time, the last one on this thread, until all have returned.
pub(super) fn together<const N: usize>(model: &Arc<Model>, parts: [fn(&Model); N], last: fn(&Model)) {
    let threads = parts.map(|part| {
        let model = Arc::clone(model);
        spawn(move || part(&model))
    });
    last(model);
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn two_merges_and_a_turn_lose_nothing() {
    check(|| {
        let model = Model::new(false);
        together(&model, [|m| assert!(m.merge(0, 1)), |m| assert!(m.merge(1, 2))], |m| m.line.run());
        assert_eq!(model.finish(), (3, 0));
    });
}

#[test]
fn a_turn_that_adds_stripes_loses_nothing() {
    check(|| {
        let model = Model::new(true);
        assert!(model.merge(0, 4));
        together(&model, [|m| assert!(m.merge(0, 1)), |m| assert!(m.merge(1, 2))], |m| m.line.run());
        assert_eq!(model.finish(), (7, 0));
    });
}

#[test]
fn turns_never_overlap_on_a_target_with_two_threads() {
    check(|| {
        let model = Model::new(false);
        assert!(model.merge(0, 1));
        let merge_and_run: fn(&Model) = |m| {
            assert!(m.merge(1, 2));
            m.line.run();
        };
        together(&model, [merge_and_run], |m| m.line.run());
        assert_eq!(model.finish(), (3, 0));
        assert!((1..=2).contains(&model.seen.events.load(Ordering::Relaxed)));
    });
}

#[test]
fn merges_around_a_suspension_arrive_after_it() {
    check(|| {
        let model = Model::new(false);
        let suspend_and_resume: fn(&Model) = |m| {
            m.delivery.suspend().unwrap();
            m.delivery.resume().unwrap();
        };
        together(&model, [|m| assert!(m.merge(0, 1)), suspend_and_resume], |m| m.line.run());
        assert_eq!(model.finish(), (1, 0));
    });
}

#[test]
fn a_suspension_before_a_job_holds_it_until_the_resume() {
    check(|| {
        let model = Model::new(false);
        model.delivery.suspend().unwrap();
        assert!(model.merge(0, 1));
        let merge_and_run: fn(&Model) = |m| {
            assert!(m.merge(1, 2));
            m.line.run();
        };
        together(&model, [merge_and_run], |m| {
            assert_eq!(m.seen.sum(), 0, "a held source delivered");
            m.delivery.resume().unwrap();
        });
        assert_eq!(model.finish(), (3, 0));
    });
}

#[test]
fn a_cancelled_source_ends_once_and_last() {
    check(|| {
        let model = Model::new(false);
        let merge: fn(&Model) = |m| {
            m.merge(0, 1);
        };
        together(&model, [merge, |m| m.delivery.cancel()], |m| m.line.run());
        let (sum, ends) = model.finish();
        assert!(sum <= 1);
        assert_eq!(ends, 1);
        assert!(!model.merge(0, 1));
        assert_eq!(model.finish(), (sum, 1));
    });
}

#[test]
fn two_cancellations_of_a_suspended_source_end_it_once() {
    check(|| {
        let model = Model::new(false);
        model.delivery.suspend().unwrap();
        assert!(model.merge(0, 1));
        let resume: fn(&Model) = |m| {
            m.delivery.cancel();
            m.delivery.resume().unwrap();
        };
        together(&model, [resume, |m| m.delivery.cancel_now()], |m| m.line.run());
        assert_eq!(model.finish(), (0, 1));
    });
}

#[test]
fn the_last_handle_of_a_suspended_source_ends_it_silently() {
    check(|| {
        let model = Model::new(false);
        assert!(model.merge(0, 1));
        let merge: fn(&Model) = |m| {
            m.merge(1, 2);
        };
        let suspend_and_end: fn(&Model) = |m| {
            m.delivery.suspend().unwrap();
            m.delivery.end();
        };
        together(&model, [merge, suspend_and_end], |m| m.line.run());
        let (sum, ends) = model.finish();
        assert!(sum <= 3 && ends == 0);
        // The handlers are gone: nobody else but this thread has what they captured.
        assert_eq!(Arc::strong_count(&model.seen), 1);
    });
}
