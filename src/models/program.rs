//! Random programs over a hierarchy: jobs, barriers, sync calls, suspensions, cancellations and dropped handles.
//!
//! Too large for loom. Shuttle chooses the program as well as its schedule, and replays both.

use super::explore;
use super::lane::Tokens;
use super::spawn;
use crate::engine::Engine;
use crate::engine::Hooks;
use crate::engine::Phase;
use crate::job::Executor;
use crate::queue::Queue;
use crate::queue::QueueBuilder;
use crate::sync::Arc;
use crate::sync::Mutex;
use crate::sync::yield_now;
use shuttle::rand::Rng;
use shuttle::rand::thread_rng;
use std::collections::VecDeque;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// The high bit of a place's count: somebody is alone there.
const ALONE: usize = 1 << 32;

/// A queue of the hierarchy.
struct Place {
    queue: Queue,
    target: Option<usize>,
    serial: bool,
    width: usize,
    inside: AtomicUsize,
}

struct Hierarchy {
    engine: Arc<Engine>,
    places: Vec<Place>,
    /// The runtime may be cancelled at any time.
    ends: bool,
    submitted: AtomicUsize,
    ran: AtomicUsize,
}

impl Hierarchy {
    /// Up to four queues, each of which may target one before it.
    fn random(engine: &Arc<Engine>) -> Self {
        let mut places: Vec<Place> = Vec::new();
        for number in 0..thread_rng().gen_range(1..=4_usize) {
            let target = (number > 0 && thread_rng().gen_ratio(2, 3)).then(|| thread_rng().gen_range(0..number));
            let (serial, width) = (thread_rng().gen_bool(0.5), thread_rng().gen_range(1..=3_usize));
            let mut builder = QueueBuilder::new(Arc::clone(engine), "place");
            if let Some(target) = target {
                builder = builder.target(&places[target].queue);
            }
            if !serial {
                builder = builder.concurrent();
            }
            let bounded = !serial && thread_rng().gen_bool(0.5);
            let queue = if bounded { builder.width(width).build() } else { builder.build() };
            let width = if bounded { width } else { usize::MAX };
            places.push(Place { queue: queue.unwrap(), target, serial, width, inside: AtomicUsize::new(0) });
        }
        Self {
            engine: Arc::clone(engine),
            places,
            ends: thread_rng().gen_bool(0.5),
            submitted: AtomicUsize::new(0),
            ran: AtomicUsize::new(0),
        }
    }

    /// Occupies a place and all that it stands on for a while.
    fn visit(&self, at: usize, alone: bool) {
        let mut occupied = Vec::new();
        let mut next = Some((at, alone));
        while let Some((number, alone)) = next {
            let place = &self.places[number];
            let alone = alone || place.serial;
            let before = place.inside.fetch_add(if alone { ALONE } else { 1 }, Relaxed);
            assert!(if alone { before == 0 } else { before < place.width.min(ALONE) }, "{before:#x} where {at} comes");
            occupied.push((number, alone));
            next = place.target.map(|target| (target, false));
        }
        yield_now();
        for (number, alone) in occupied {
            self.places[number].inside.fetch_sub(if alone { ALONE } else { 1 }, Relaxed);
        }
        self.ran.fetch_add(1, Relaxed);
    }

    fn act(self: &Arc<Self>) {
        let at = thread_rng().gen_range(0..self.places.len());
        let queue = &self.places[at].queue;
        let act = thread_rng().gen_range(0..if self.ends { 9 } else { 8_u32 });
        self.submitted.fetch_add(usize::from(!matches!(act, 6 | 8)), Relaxed);
        let hierarchy = Arc::clone(self);
        match act {
            0 | 1 => queue.exec_async(move || hierarchy.visit(at, false)),
            2 => queue.barrier_async(move || hierarchy.visit(at, true)),
            3 => queue.exec_sync(|| self.visit(at, false)),
            4 => queue.barrier_sync(|| self.visit(at, true)),
            5 => queue.exec_and_wait(|| self.visit(at, false)),
            6 => _ = queue.cancel_pending(),
            8 => self.engine.advance_to(Phase::Cancelling),
            _ => {
                queue.suspend().unwrap();
                queue.exec_async(move || hierarchy.visit(at, false));
                queue.resume().unwrap();
            }
        }
    }
}

#[test]
fn random_programs_over_a_hierarchy_keep_every_promise() {
    explore(1, || {
        let tokens = Arc::new(Tokens(Mutex::new(VecDeque::new())));
        let engine = Engine::new("model".into(), Arc::clone(&tokens) as Arc<dyn Executor>, Hooks::default());
        let hierarchy = Arc::new(Hierarchy::random(&engine));
        let mut threads: Vec<_> = (0..2)
            .map(|_| {
                let hierarchy = Arc::clone(&hierarchy);
                spawn(move || (0..3).for_each(|_| hierarchy.act()))
            })
            .collect();
        threads.push({
            let tokens = Arc::clone(&tokens);
            spawn(move || (0..4).for_each(|_| _ = tokens.run_one()))
        });
        hierarchy.act();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        while tokens.run_one() {}
        let (panics, dropped, rejected) = engine.losses();
        assert_eq!(panics, 0, "a job met somebody whom it must not meet");
        let told = hierarchy.ran.load(Relaxed) + (dropped + rejected) as usize;
        assert_eq!(told, hierarchy.submitted.load(Relaxed), "a job was lost");
    });
}
