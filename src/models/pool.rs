//! No job is left lying while a thread that should run it sleeps.
//!
//! The counts, the sleepers and the bells are the pool's own. The queue is a number that carries no ordering, so that
//! only the protocol's fences can make a push visible; running a job is counting it. Nobody wakes up by himself, so a
//! lost wake-up is a deadlock.

use super::explore;
use super::spawn;
use crate::pool::Errand;
use crate::pool::Rest;
use crate::pool::Roster;
use crate::pool::backlog::Demand;
use crate::pool::slot::Bell;
use crate::sync::Arc;
use crate::sync::AtomicUsize;
use crate::sync::Ordering;
use crate::sync::planted;

struct Model {
    roster: Roster,
    bells: [Bell; 2],
    sentinel: Bell,
    queued: AtomicUsize,
    finished: AtomicUsize,
    expected: usize,
}

impl Model {
    fn new(threads: usize, cap: usize, expected: usize) -> Arc<Self> {
        Arc::new(Self {
            roster: Roster::new(threads, cap, 2),
            bells: [Bell::new(), Bell::new()],
            sentinel: Bell::new(),
            queued: AtomicUsize::new(0),
            finished: AtomicUsize::new(0),
            expected,
        })
    }

    /// Counts a thread as started, and as running a job.
    fn add_running(&self) {
        assert!(self.roster.state.start(2));
        assert!(self.roster.state.found());
    }

    fn push(&self) {
        self.queued.fetch_add(1, Ordering::Relaxed);
    }

    fn is_work_visible(&self) -> bool {
        self.queued.load(Ordering::Relaxed) > 0
    }

    fn take(&self) -> bool {
        self.queued.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |queued| queued.checked_sub(1)).is_ok()
    }

    fn submit(&self) {
        self.push();
        self.run(self.roster.notify());
    }

    fn run(&self, errand: Errand) {
        match errand {
            Errand::Done => {}
            Errand::Call(slot) => self.bells[slot].ring(),
            // The thread that would be started, unless another one has been, finds the job.
            Errand::Start => {
                if self.roster.state.start(2) {
                    let found = self.take();
                    self.run(self.roster.found(|| self.is_work_visible()));
                    if found {
                        self.finish();
                    }
                }
            }
            // Whoever is busy comes to it in these models, or the sentinel is part of the model.
            Errand::Watch => {
                if self.roster.state.rely() {
                    self.sentinel.ring();
                }
            }
            Errand::Discard => while self.take() {},
        }
    }

    /// A job has run; the last one ends the model.
    fn finish(&self) {
        if self.finished.fetch_add(1, Ordering::Relaxed) + 1 == self.expected {
            self.roster.state.stop();
            while let Errand::Call(slot) = self.roster.call() {
                self.bells[slot].ring();
            }
        }
    }

    /// A worker that counts as running and looks for work, until the pool has stopped.
    fn work(&self, slot: usize) {
        let state = &self.roster.state;
        while !state.read().is_stopped() {
            if !state.lie_down_as_surplus() {
                if self.take() {
                    self.finish();
                    continue;
                }
                if !state.search() {
                    state.lie_down();
                } else if self.forage() {
                    continue;
                } else {
                    state.give_up();
                }
            }
            self.doze(slot);
        }
    }

    /// What a worker does from when it counts as asleep until it counts as running.
    fn doze(&self, slot: usize) {
        loop {
            match self.roster.enter(slot, || self.is_work_visible()) {
                Rest::Up => {}
                Rest::Watch => {
                    self.run(Errand::Watch);
                    self.bells[slot].wait(None);
                }
                Rest::Sleep => {
                    self.bells[slot].wait(None);
                }
            }
            if self.answer() {
                return;
            }
        }
    }

    /// What a worker does that counts as searching as it was called; false if it counts as asleep again.
    fn answer(&self) -> bool {
        if self.roster.state.read().is_stopped() {
            let _ = self.roster.state.found();
            return true;
        }
        let found = self.forage();
        if !found {
            self.roster.state.give_up();
        }
        found
    }

    fn forage(&self) -> bool {
        let found = self.take();
        if found {
            self.run(self.roster.found(|| self.is_work_visible()));
            self.finish();
        }
        found
    }

    fn spawn_worker(self: &Arc<Self>, slot: usize) -> super::JoinHandle<()> {
        let model = Arc::clone(self);
        spawn(move || model.work(slot))
    }
}

#[test]
fn a_push_wakes_a_worker_that_is_going_to_sleep() {
    explore(3, || {
        let model = Model::new(1, 1, 2);
        model.add_running();
        let worker = model.spawn_worker(0);
        model.submit();
        model.submit();
        worker.join().unwrap();
        assert_eq!(model.finished.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn two_submitters_wake_one_worker() {
    explore(3, || {
        let model = Model::new(1, 1, 2);
        model.add_running();
        let worker = model.spawn_worker(0);
        let other = Arc::clone(&model);
        let submitter = spawn(move || other.submit());
        model.submit();
        submitter.join().unwrap();
        worker.join().unwrap();
        assert_eq!(model.finished.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn two_workers_share_the_search() {
    explore(2, || {
        let model = Model::new(2, 2, 2);
        model.add_running();
        model.add_running();
        model.roster.state.lie_down();
        assert_eq!(model.roster.enter(1, || false), Rest::Sleep);
        let sleeper = Arc::clone(&model);
        let sleeper = spawn(move || {
            sleeper.bells[1].wait(None);
            if !sleeper.answer() {
                sleeper.doze(1);
            }
            sleeper.work(1);
        });
        let workers = [model.spawn_worker(0), sleeper];
        // One call for two jobs: the searcher that finds the first one passes the call on.
        model.push();
        model.submit();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        assert_eq!(model.finished.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn a_worker_that_blocks_finds_a_substitute_that_is_going_to_sleep() {
    explore(3, || {
        let model = Model::new(1, 2, 1);
        // Two run where one may: the second has just come back from a wait.
        model.add_running();
        model.roster.state.block();
        model.add_running();
        model.roster.state.unblock();
        let substitute = model.spawn_worker(0);
        model.push();
        model.run(model.roster.block(|| model.is_work_visible()));
        // The wait ends when the job has run.
        substitute.join().unwrap();
        model.roster.state.unblock();
        assert_eq!(model.finished.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_batch_on_its_way_to_a_busy_worker_is_not_lost_on_one_that_is_going_to_sleep() {
    explore(3, || {
        let model = Model::new(2, 2, 1);
        model.add_running();
        model.add_running();
        model.push();
        model.push();
        let other = model.spawn_worker(0);
        // One of the jobs is run here, and ends with the other one. Between the queue and the deque it lies nowhere.
        if model.take() && model.take() {
            model.push();
            if !planted!("pool_batch_comes_unannounced") {
                model.run(model.roster.notify());
            }
        }
        other.join().unwrap();
        assert_eq!(model.finished.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_push_is_not_lost_on_a_worker_that_retires() {
    explore(3, || {
        let model = Model::new(1, 1, 1);
        model.add_running();
        model.roster.state.lie_down();
        assert_eq!(model.roster.enter(0, || false), Rest::Sleep);
        let other = Arc::clone(&model);
        let sleeper = spawn(move || {
            if other.roster.rise(0) {
                other.run(other.roster.leave(|| other.is_work_visible()));
            } else {
                other.bells[0].wait(None);
                if other.forage() {
                    return;
                }
                other.roster.state.give_up();
            }
        });
        model.submit();
        sleeper.join().unwrap();
        assert_eq!(model.finished.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_push_is_not_lost_on_a_thread_that_cannot_be_started() {
    explore(3, || {
        let model = Model::new(1, 2, 1);
        model.add_running();
        model.roster.state.block();
        assert!(model.roster.state.start(2));
        let other = Arc::clone(&model);
        let starter = spawn(move || other.run(other.roster.unstart(|| other.is_work_visible())));
        let worker = Arc::clone(&model);
        let blocked = spawn(move || {
            worker.roster.state.unblock();
            worker.work(0);
        });
        model.submit();
        starter.join().unwrap();
        blocked.join().unwrap();
        assert_eq!(model.finished.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_quiet_push_is_seen_by_a_sentinel_that_is_about_to_stop_watching() {
    explore(3, || {
        let model = Model::new(1, 1, 1);
        model.add_running();
        assert!(model.roster.state.rely());
        let other = Arc::clone(&model);
        let sentinel = spawn(move || {
            loop {
                let before = other.roster.state.tick();
                if other.is_work_visible() {
                    return;
                }
                if !before.is_relied() && other.roster.state.unwatch() {
                    other.sentinel.wait(None);
                }
            }
        });
        model.push();
        if !model.roster.state.settle().is_relied() && model.roster.state.rely() {
            model.sentinel.ring();
        }
        sentinel.join().unwrap();
    });
}

#[test]
fn stop_leaves_no_job_in_the_queue() {
    explore(3, || {
        let model = Model::new(1, 1, 1);
        let other = Arc::clone(&model);
        let submitter = spawn(move || {
            other.push();
            if let Errand::Discard = other.roster.notify() {
                other.run(Errand::Discard);
            }
        });
        model.roster.state.stop();
        model.run(Errand::Discard);
        submitter.join().unwrap();
        assert!(!model.is_work_visible());
    });
}

#[test]
fn a_class_that_is_struck_while_a_job_of_it_comes_is_noted_again() {
    explore(3, || {
        const CLASS: usize = 3;
        let (model, demand) = (Model::new(1, 1, 1), Arc::new(Demand::new()));
        demand.note(CLASS);
        let (other, demanded) = (Arc::clone(&model), Arc::clone(&demand));
        let submitter = spawn(move || {
            other.push();
            let _ = other.roster.notify();
            demanded.note(CLASS);
        });
        // A worker that has found nothing in the class, and something in another one.
        if !model.is_work_visible() {
            demand.strike(demand.classes());
            if model.is_work_visible() {
                demand.note(CLASS);
            }
        }
        submitter.join().unwrap();
        assert_eq!(demand.classes().first(), Some(CLASS));
    });
}
