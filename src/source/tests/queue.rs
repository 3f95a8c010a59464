//! Two queues without a runtime.

use crate::engine::Engine;
use crate::event_loop::Sink;
use crate::job::Job;
use crate::job::contain;
use crate::qos::Qos;
use crate::queue::Accept;
use crate::queue::Dispatch;
use crate::queue::GlobalQueue;
use crate::sync::Arc;
use crate::sync::Condvar;
use crate::sync::JoinHandle;
use crate::sync::Mutex;
use crate::sync::ThreadBuilder;
use crate::sync::thread_local;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

/// A queue whose jobs run when the test says so.
#[derive(Clone)]
pub(super) struct Stepped {
    jobs: Jobs,
    label: Arc<str>,
    engine: Arc<Engine>,
}

type Jobs = Arc<Mutex<Option<VecDeque<Job>>>>;

/// What a test's queues still have when it ends: a source that ends with its test leaves a last turn, which refers to its
/// queue and would keep both.
struct Leftovers(RefCell<Vec<Jobs>>);

impl Drop for Leftovers {
    fn drop(&mut self) {
        for jobs in self.0.take() {
            let left = jobs.lock().take();
            drop(left);
        }
    }
}

thread_local! {
    static LEFTOVERS: Leftovers = const { Leftovers(RefCell::new(Vec::new())) };
}

impl Stepped {
    pub(super) fn new() -> Self {
        let jobs: Jobs = Arc::new(Mutex::new(Some(VecDeque::new())));
        LEFTOVERS.with(|leftovers| leftovers.0.borrow_mut().push(Arc::clone(&jobs)));
        Self { jobs, label: "stepped".into(), engine: Engine::in_place() }
    }

    /// Runs the first job, if there is one; `Err` with its panic.
    pub(super) fn step(&self) -> Result<bool, String> {
        let job = self.jobs.lock().as_mut().and_then(VecDeque::pop_front);
        let Some(job) = job else { return Ok(false) };
        contain(|| job.run()).map(|()| true).map_err(|panic| panic.message().to_owned())
    }

    /// Runs jobs until there are no more; how many there were.
    #[track_caller]
    pub(super) fn run(&self) -> usize {
        let mut jobs = 0;
        while self.step().expect("no job panics") {
            jobs += 1;
        }
        jobs
    }

    pub(super) fn len(&self) -> usize {
        self.jobs.lock().as_ref().map_or(0, VecDeque::len)
    }

    /// Drops the jobs there are and those to come.
    pub(super) fn shut_down(&self) {
        let jobs = self.jobs.lock().take();
        drop(jobs);
    }
}

impl Accept for Stepped {
    fn accept(&self, job: Job) {
        let mut jobs = self.jobs.lock();
        let rejected = match &mut *jobs {
            Some(jobs) => {
                jobs.push_back(job);
                None
            }
            None => Some(job),
        };
        drop(jobs);
        drop(rejected);
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

impl Dispatch for Stepped {}

/// A concurrent queue with two threads.
#[derive(Clone)]
pub(super) struct Concurrent(Arc<Line>);

struct Line {
    /// `None` tells the threads to end.
    jobs: Mutex<VecDeque<Option<Job>>>,
    more: Condvar,
    label: Arc<str>,
    engine: Arc<Engine>,
}

impl Concurrent {
    /// Calls `test` with a queue, and returns when all its jobs have run.
    pub(super) fn with(test: impl FnOnce(&Self)) {
        let jobs = Mutex::new(VecDeque::new());
        let queue =
            Self(Arc::new(Line { jobs, more: Condvar::new(), label: "concurrent".into(), engine: Engine::in_place() }));
        let threads = [(); 2].map(|()| {
            let queue = queue.clone();
            spawn(move || queue.work())
        });
        test(&queue);
        threads.iter().for_each(|_| queue.push(None));
        for thread in threads {
            thread.join().expect("no job panics");
        }
        // What the threads' last jobs have submitted, and what comes of it.
        loop {
            let left = queue.0.jobs.lock().pop_front();
            let Some(job) = left else { break };
            job.into_iter().for_each(Job::run);
        }
    }

    fn work(&self) {
        while let Some(job) = self.next() {
            job.run();
        }
    }

    fn next(&self) -> Option<Job> {
        let mut jobs = self.0.jobs.lock();
        loop {
            if let Some(job) = jobs.pop_front() {
                return job;
            }
            self.0.more.wait(&mut jobs);
        }
    }

    fn push(&self, job: Option<Job>) {
        self.0.jobs.lock().push_back(job);
        self.0.more.notify_one();
    }
}

impl Accept for Concurrent {
    fn accept(&self, job: Job) {
        self.push(Some(job));
    }

    fn label(&self) -> &Arc<str> {
        &self.0.label
    }

    fn engine(&self) -> &Arc<Engine> {
        &self.0.engine
    }

    fn sink(&self) -> Arc<dyn Sink> {
        GlobalQueue::on(Arc::clone(&self.0.engine), Qos::Default).sink()
    }
}

impl Dispatch for Concurrent {}

pub(super) fn spawn<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    ThreadBuilder::new().spawn(f).expect("the test may start threads")
}

/// Waits for something that another thread does.
#[track_caller]
pub(super) fn wait_until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "waited for a minute");
        crate::sync::yield_now();
    }
}
