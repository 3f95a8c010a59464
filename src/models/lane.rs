//! The lane, serial and concurrent: syncs, suspension, claims, cancellation, the last handle, barriers, widths.
#![allow(
    unsafe_code,
    clippy::undocumented_unsafe_blocks,
    reason = "jobs touch an unprotected cell; that the queue protects it is what is checked"
)]
//!
//! The pool is a list of tokens that a model's worker thread runs when it gets to it; a model without a worker is a
//! full pool. What is left at the end is run after all threads have been joined, as a pool would in time.

use super::explore;
use super::spawn;
use crate::engine::Engine;
use crate::engine::Hooks;
use crate::engine::Phase;
use crate::job::Executor;
use crate::job::Job;
use crate::job::Route;
use crate::qos::Qos;

use crate::queue::Queue;
use crate::sync::Arc;
use crate::sync::Mutex;
use crate::sync::UnsafeCell;
use std::collections::VecDeque;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

pub(super) struct Tokens(pub(super) Mutex<VecDeque<Job>>);

impl Executor for Tokens {
    fn submit(&self, job: Job, _: Route, _: Qos) -> Result<(), Job> {
        self.0.lock().push_back(job);
        Ok(())
    }

    fn max_threads(&self) -> usize {
        2
    }

    fn is_over(&self) -> bool {
        false
    }

    fn is_quiet(&self) -> bool {
        false
    }
}

impl Tokens {
    pub(super) fn run_one(&self) -> bool {
        let job = self.0.lock().pop_front();
        let found = job.is_some();
        if let Some(job) = job {
            job.run();
        }
        found
    }
}

/// A queue, and a cell that the queue is to protect.
pub(super) struct Fixture {
    pub(super) queue: Mutex<Option<Queue>>,
    pub(super) tokens: Arc<Tokens>,
    pub(super) engine: Arc<Engine>,
    pub(super) protected: UnsafeCell<Vec<u32>>,
    pub(super) ran: AtomicU32,
}

// SAFETY: the cell is touched by the queue's jobs only; that they exclude each other is what the models check.
unsafe impl Send for Fixture {}
// SAFETY: as above.
unsafe impl Sync for Fixture {}

impl Fixture {
    pub(super) fn serial() -> Arc<Self> {
        Self::new(|engine| Queue::serial_on(engine, "model"))
    }

    pub(super) fn concurrent() -> Arc<Self> {
        Self::new(|engine| Queue::concurrent_on(engine, "model"))
    }

    fn new(build: impl FnOnce(Arc<Engine>) -> Queue) -> Arc<Self> {
        let tokens = Arc::new(Tokens(Mutex::new(VecDeque::new())));
        let engine = Engine::new("model".into(), Arc::clone(&tokens) as Arc<dyn Executor>, Hooks::default());
        let queue = build(Arc::clone(&engine));
        Arc::new(Self {
            queue: Mutex::new(Some(queue)),
            tokens,
            engine,
            protected: UnsafeCell::new(Vec::new()),
            ran: AtomicU32::new(0),
        })
    }

    /// A handle of its own, so that the lock around the model's handle is not held meanwhile.
    pub(super) fn queue(&self) -> Queue {
        self.queue.lock().clone().expect("the model still has its handle")
    }

    pub(super) fn drop_queue(&self) {
        let queue = self.queue.lock().take();
        drop(queue);
    }

    pub(super) fn write(&self, name: u32) {
        self.protected.with_mut(|names| unsafe { (*names).push(name) });
        self.ran.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) {
        self.protected.with(|names| unsafe { (*names).len() });
        self.ran.fetch_add(1, Ordering::Relaxed);
    }

    /// True if the job of this name has written.
    pub(super) fn has_written(&self, name: u32) -> bool {
        self.protected.with(|names| unsafe { (*names).contains(&name) })
    }

    pub(super) fn writer(self: &Arc<Self>, name: u32) -> impl FnOnce() + Send + 'static {
        let fixture = Arc::clone(self);
        move || fixture.write(name)
    }

    pub(super) fn reader(self: &Arc<Self>) -> impl FnOnce() + Send + 'static {
        let fixture = Arc::clone(self);
        move || fixture.read()
    }

    pub(super) fn thread(self: &Arc<Self>, body: impl FnOnce(&Arc<Self>) + Send + 'static) -> super::JoinHandle<()> {
        let fixture = Arc::clone(self);
        spawn(move || body(&fixture))
    }

    pub(super) fn ran(&self) -> u32 {
        self.ran.load(Ordering::Relaxed)
    }

    /// Lets the pool finish, then checks that `expected` jobs ran, each thread's in order, and that none panicked: a
    /// race that the checker reports inside a job is contained like any other panic.
    pub(super) fn finish(&self, expected: u32) {
        while self.tokens.run_one() {}
        let (panics, ..) = self.engine.losses();
        assert_eq!(panics, 0, "a job raced or panicked");
        assert_eq!(self.ran(), expected, "a job was lost");
        self.protected.with(|names| {
            let names = unsafe { &*names };
            for tens in 0..5 {
                let own: Vec<_> = names.iter().filter(|name| **name / 10 == tens).collect();
                assert!(own.is_sorted(), "out of order: {names:?}");
            }
        });
    }
}

#[test]
fn a_sync_runs_between_pushes_without_a_worker() {
    explore(3, || {
        let fixture = Fixture::serial();
        let pusher = fixture.thread(|fixture| {
            fixture.queue().exec_async(fixture.writer(10));
            fixture.queue().exec_async(fixture.writer(11));
        });
        fixture.queue().exec_sync(|| fixture.write(20));
        pusher.join().unwrap();
        fixture.finish(3);
    });
}

#[test]
fn a_sync_follows_its_own_thread_s_push_and_needs_no_worker() {
    explore(3, || {
        let fixture = Fixture::serial();
        let other = fixture.thread(|fixture| {
            fixture.queue().exec_async(fixture.writer(10));
            fixture.queue().exec_sync(|| fixture.write(11));
        });
        fixture.queue().exec_async(fixture.writer(20));
        fixture.queue().exec_sync(|| fixture.write(21));
        other.join().unwrap();
        fixture.finish(4);
    });
}

#[test]
fn a_waiter_claims_a_scheduled_drain_or_is_served_by_it() {
    explore(2, || {
        let fixture = Fixture::serial();
        fixture.queue().exec_async(fixture.writer(10));
        let worker = fixture.thread(|fixture| _ = fixture.tokens.run_one());
        let other = fixture.thread(|fixture| fixture.queue().exec_sync(|| fixture.write(20)));
        fixture.queue().exec_sync(|| fixture.write(30));
        worker.join().unwrap();
        other.join().unwrap();
        fixture.finish(3);
    });
}

#[test]
fn a_suspension_that_ends_wakes_pushes_and_syncs() {
    explore(2, || {
        let fixture = Fixture::serial();
        fixture.queue().suspend().unwrap();
        let pusher = fixture.thread(|fixture| {
            fixture.queue().exec_async(fixture.writer(10));
            fixture.tokens.run_one();
        });
        let resumer = fixture.thread(|fixture| fixture.queue().resume().unwrap());
        fixture.queue().exec_sync(|| fixture.write(20));
        pusher.join().unwrap();
        resumer.join().unwrap();
        fixture.finish(2);
    });
}

#[test]
fn a_job_that_is_pushed_while_the_queue_is_suspended_does_not_run() {
    explore(3, || {
        let fixture = Fixture::serial();
        fixture.queue().exec_async(fixture.writer(10));
        let worker = fixture.thread(|fixture| _ = fixture.tokens.run_one());
        let queue = fixture.queue();
        queue.suspend().unwrap();
        let other = Arc::clone(&fixture);
        queue.exec_async(move || other.ran.store(99, Ordering::Relaxed));
        worker.join().unwrap();
        while fixture.tokens.run_one() {}
        assert!(fixture.ran() < 2);
        drop(queue);
        fixture.drop_queue();
        while fixture.tokens.run_one() {}
        assert!(fixture.ran() < 2, "a job of a suspended queue that lost its last handle ran");
    });
}

#[test]
fn what_a_suspension_holds_back_never_starts_once_the_last_handle_is_gone() {
    for build in [Fixture::serial, Fixture::concurrent] {
        explore(2, move || {
            let fixture = build();
            fixture.queue().exec_async(fixture.reader());
            let worker = fixture.thread(|fixture| _ = fixture.tokens.run_one());
            let queue = fixture.queue();
            queue.suspend().unwrap();
            let other = Arc::clone(&fixture);
            queue.exec_async(move || other.ran.store(99, Ordering::Relaxed));
            drop(queue);
            fixture.drop_queue();
            worker.join().unwrap();
            while fixture.tokens.run_one() {}
            assert!(fixture.ran() < 2, "a job of a suspended queue that lost its last handle ran");
        });
    }
}

#[test]
fn a_cancellation_counts_exactly_what_never_runs() {
    explore(2, || {
        let fixture = Fixture::serial();
        fixture.queue().exec_async(fixture.writer(10));
        let worker = fixture.thread(|fixture| _ = fixture.tokens.run_one());
        let pusher = fixture.thread(|fixture| fixture.queue().exec_async(fixture.writer(20)));
        let cancelled = fixture.queue().cancel_pending();
        worker.join().unwrap();
        pusher.join().unwrap();
        fixture.finish(2 - cancelled as u32);
    });
}

#[test]
fn two_cancellations_share_what_is_pending() {
    explore(2, || {
        let fixture = Fixture::serial();
        fixture.queue().exec_async(fixture.writer(10));
        let worker = fixture.thread(|fixture| _ = fixture.tokens.run_one());
        let count = Arc::new(AtomicU32::new(0));
        let other = {
            let (fixture, count) = (Arc::clone(&fixture), Arc::clone(&count));
            spawn(move || _ = count.fetch_add(fixture.queue().cancel_pending() as u32, Ordering::Relaxed))
        };
        count.fetch_add(fixture.queue().cancel_pending() as u32, Ordering::Relaxed);
        worker.join().unwrap();
        other.join().unwrap();
        fixture.finish(1 - count.load(Ordering::Relaxed));
    });
}

#[test]
fn cancelling_a_suspended_queue_returns_at_once() {
    explore(3, || {
        let fixture = Fixture::serial();
        fixture.queue().exec_async(fixture.writer(10));
        let worker = fixture.thread(|fixture| _ = fixture.tokens.run_one());
        fixture.queue().suspend().unwrap();
        let cancelled = fixture.queue().cancel_pending();
        worker.join().unwrap();
        fixture.queue().resume().unwrap();
        fixture.finish(1 - cancelled as u32);
    });
}

#[test]
fn the_last_handle_of_a_suspended_queue_drops_what_is_pending() {
    explore(3, || {
        let fixture = Fixture::serial();
        let queue = fixture.queue();
        queue.suspend().unwrap();
        let pusher = fixture.thread(|fixture| {
            let queue = fixture.queue();
            queue.exec_async(fixture.writer(10));
            drop(queue);
            fixture.drop_queue();
        });
        drop(queue);
        pusher.join().unwrap();
        fixture.drop_queue();
        while fixture.tokens.run_one() {}
        let (_, dropped, _) = fixture.engine.losses();
        assert_eq!((fixture.ran(), dropped), (0, 1));
    });
}

#[test]
fn a_shutdown_reports_what_comes_after_it() {
    explore(3, || {
        let fixture = Fixture::serial();
        let pusher = fixture.thread(|fixture| fixture.queue().exec_async(fixture.writer(10)));
        fixture.engine.advance_to(Phase::Cancelling);
        pusher.join().unwrap();
        while fixture.tokens.run_one() {}
        let (panics, dropped, rejected) = fixture.engine.losses();
        assert_eq!((panics, u64::from(fixture.ran()) + dropped + rejected), (0, 1));
    });
}

#[test]
fn a_barrier_excludes_readers_on_other_threads() {
    explore(2, || {
        let fixture = Fixture::concurrent();
        fixture.queue().barrier_async(fixture.writer(10));
        let worker = fixture.thread(|fixture| _ = fixture.tokens.run_one());
        let reader = fixture.thread(|fixture| fixture.queue().exec_sync(|| fixture.read()));
        fixture.queue().exec_sync(|| fixture.read());
        worker.join().unwrap();
        reader.join().unwrap();
        fixture.finish(3);
    });
}

#[test]
fn a_barrier_sync_and_async_readers_exclude_each_other() {
    explore(2, || {
        let fixture = Fixture::concurrent();
        let worker = fixture.thread(|fixture| {
            fixture.queue().exec_async(fixture.reader());
            fixture.tokens.run_one();
        });
        let writer = fixture.thread(|fixture| fixture.queue().barrier_sync(|| fixture.write(20)));
        fixture.queue().exec_async(fixture.reader());
        worker.join().unwrap();
        writer.join().unwrap();
        fixture.finish(3);
    });
}

#[test]
fn a_reader_does_not_overtake_its_own_thread_s_barrier() {
    explore(2, || {
        let fixture = Fixture::concurrent();
        let worker = fixture.thread(|fixture| _ = fixture.tokens.run_one());
        fixture.queue().barrier_async(fixture.writer(10));
        fixture.queue().exec_sync(|| {
            fixture.read();
            assert_eq!(fixture.ran(), 2, "the barrier has not run");
        });
        worker.join().unwrap();
        fixture.finish(2);
    });
}

#[test]
fn a_reader_behind_its_own_barrier_needs_no_worker() {
    explore(3, || {
        let fixture = Fixture::concurrent();
        let other = fixture.thread(|fixture| {
            fixture.queue().barrier_async(fixture.writer(10));
            fixture.queue().exec_sync(|| fixture.read());
        });
        fixture.queue().barrier_async(fixture.writer(20));
        fixture.queue().exec_sync(|| fixture.read());
        other.join().unwrap();
        fixture.finish(4);
    });
}

#[test]
fn a_width_of_one_excludes_readers() {
    explore(2, || {
        let fixture = Fixture::concurrent();
        fixture.queue().set_width(1).unwrap();
        let worker = fixture.thread(|fixture| {
            fixture.queue().exec_async(fixture.writer(10));
            fixture.tokens.run_one();
        });
        fixture.queue().exec_sync(|| fixture.write(20));
        worker.join().unwrap();
        fixture.finish(2);
    });
}

#[test]
fn a_resumed_concurrent_queue_goes_on() {
    explore(2, || {
        let fixture = Fixture::concurrent();
        fixture.queue().suspend().unwrap();
        let pusher = fixture.thread(|fixture| fixture.queue().barrier_async(fixture.writer(10)));
        let resumer = fixture.thread(|fixture| fixture.queue().resume().unwrap());
        fixture.queue().exec_sync(|| fixture.read());
        pusher.join().unwrap();
        resumer.join().unwrap();
        fixture.finish(2);
    });
}

#[test]
fn a_concurrent_cancellation_counts_exactly_what_never_runs() {
    explore(2, || {
        let fixture = Fixture::concurrent();
        fixture.queue().barrier_async(fixture.writer(10));
        let worker = fixture.thread(|fixture| _ = fixture.tokens.run_one());
        let pusher = fixture.thread(|fixture| fixture.queue().barrier_async(fixture.writer(20)));
        let cancelled = fixture.queue().cancel_pending();
        worker.join().unwrap();
        pusher.join().unwrap();
        fixture.finish(2 - cancelled as u32);
    });
}

#[test]
fn two_concurrent_cancellations_share_what_is_pending() {
    explore(2, || {
        let fixture = Fixture::concurrent();
        fixture.queue().barrier_async(fixture.writer(10));
        let count = Arc::new(AtomicU32::new(0));
        let other = {
            let (fixture, count) = (Arc::clone(&fixture), Arc::clone(&count));
            spawn(move || _ = count.fetch_add(fixture.queue().cancel_pending() as u32, Ordering::Relaxed))
        };
        count.fetch_add(fixture.queue().cancel_pending() as u32, Ordering::Relaxed);
        other.join().unwrap();
        fixture.finish(1 - count.load(Ordering::Relaxed));
    });
}
