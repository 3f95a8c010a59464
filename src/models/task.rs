//! No wake-up of a spawned future is lost, and no two polls overlap. Planted fault: `task_forgets_a_wake`.

use super::Plain;
use super::explore;
use super::spawn;
use crate::sync::Arc;
use crate::sync::AtomicU32;
use crate::sync::Ordering;
use crate::task::State;

/// A future that is ready once it has been told so many times.
struct Model {
    state: State,
    told: AtomicU32,
    /// How many jobs are on their way.
    jobs: AtomicU32,
    /// Exact only if no two polls overlap.
    polls: Plain,
    served: AtomicU32,
    expected: u32,
}

impl Model {
    fn new(expected: u32) -> Arc<Self> {
        let [told, jobs, served] = [0, 1, 0].map(AtomicU32::new);
        Arc::new(Self { state: State::scheduled(), told, jobs, polls: Plain::new(), served, expected })
    }

    /// Tells the future something, and wakes it. What is told carries no ordering of its own.
    fn tell(&self) {
        self.told.fetch_add(1, Ordering::Relaxed);
        if self.state.wake() {
            self.jobs.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Runs a job if there is one. True if the future was ready.
    fn serve(&self) -> bool {
        let job = self.jobs.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |jobs| jobs.checked_sub(1));
        if job.is_err() {
            return false;
        }
        self.state.begin();
        self.polls.add();
        self.served.fetch_add(1, Ordering::Relaxed);
        let ready = self.told.load(Ordering::Relaxed) == self.expected;
        if ready {
            self.state.end();
        } else if self.state.rest() {
            self.jobs.fetch_add(1, Ordering::Relaxed);
        }
        ready
    }
}

#[test]
fn a_wake_is_followed_by_a_poll_that_sees_what_it_tells() {
    explore(3, || {
        let model = Model::new(2);
        let wakers = [0, 1].map(|_| {
            let model = Arc::clone(&model);
            spawn(move || model.tell())
        });
        let mut ready = model.serve();
        wakers.into_iter().for_each(|waker| waker.join().unwrap());
        while !ready && model.jobs.load(Ordering::Relaxed) > 0 {
            ready = model.serve();
        }
        assert!(ready, "the last wake was lost");
    });
}

#[test]
fn polls_on_two_threads_never_overlap() {
    explore(3, || {
        let model = Model::new(2);
        let other = Arc::clone(&model);
        let worker = spawn(move || other.serve());
        model.tell();
        let mut ready = model.serve();
        model.tell();
        ready |= worker.join().unwrap();
        while !ready && model.jobs.load(Ordering::Relaxed) > 0 {
            ready = model.serve();
        }
        assert!(ready);
        assert_eq!(model.polls.get(), model.served.load(Ordering::Relaxed));
    });
}
