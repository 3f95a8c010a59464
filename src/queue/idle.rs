//! Jobs for when there is nothing else to do.
//!
//! One of them at a time stands in the queue's line, as a barrier. When its turn comes and something is behind it, it goes
//! to the back; so it costs one turn for all that is there, and a queue that nobody watches pays nothing.

use super::Queue;
use super::lane::Consume as _;
use super::lane::Lane;
use crate::collections::Peek;
use crate::engine::Loss;
use crate::job;
use crate::job::Job;
use crate::sync::Arc;
use crate::sync::Mutex;
use std::collections::VecDeque;

/// The jobs that wait for a lane to be idle.
#[derive(Debug, Default)]
pub(super) struct Idlers(Mutex<Line>);

#[derive(Debug, Default)]
struct Line {
    /// One more stands in the lane's own line.
    is_in_line: bool,
    rest: VecDeque<Job>,
}

impl Idlers {
    /// The job itself if it is to stand in the lane's line.
    fn add(&self, job: Job) -> Option<Job> {
        let mut line = self.0.lock();
        if line.is_in_line {
            line.rest.push_back(job);
            return None;
        }
        line.is_in_line = true;
        Some(job)
    }

    /// The next one for the lane's line.
    fn next(&self) -> Option<Job> {
        let mut line = self.0.lock();
        let next = line.rest.pop_front();
        line.is_in_line = next.is_some();
        next
    }
}

/// An idler in its lane's line.
struct Idler {
    lane: Arc<Lane>,
    /// `None` once it has been taken out to run or to stand in line again.
    job: Option<Job>,
}

impl Idler {
    fn stand_in_line(lane: &Arc<Lane>, job: Job) {
        let idler = Self { lane: Arc::clone(lane), job: Some(job) };
        lane.enqueue(Job::barrier(move || idler.run()));
    }

    fn run(mut self) {
        let Some(job) = self.job.take() else { return };
        if self.lane.has_more() {
            return Self::stand_in_line(&self.lane, job);
        }
        if let Some(next) = self.lane.baggage_to_fill().idlers.next() {
            Self::stand_in_line(&self.lane, next);
        }
        let closure = job.type_name();
        if let Err(panic) = job::contain(|| job.run()) {
            self.lane.engine().report_panic(self.lane.label(), panic, closure);
        }
    }
}

impl Drop for Idler {
    /// Dropped unrun, with what its lane held back: so are those behind it. Its own loss is told by whoever drops it.
    fn drop(&mut self) {
        if self.job.is_some() {
            while let Some(next) = self.lane.baggage_to_fill().idlers.next() {
                self.lane.lose(next, Loss::Cancelled);
            }
        }
    }
}

impl Lane {
    /// True if something stands in line behind the job that the calling thread runs alone here.
    fn has_more(&self) -> bool {
        if let Some(mut hold) = self.held_by_caller() {
            return !matches!(hold.consumer().peek(), Peek::Empty);
        }
        let mut control = self.control();
        control.walking || !matches!(self.consumer(&mut control).peek(), Peek::Empty)
    }
}

impl Queue {
    /// Lets `f` run on the queue, alone, as soon as the queue has nothing else to run: after everything that has been
    /// submitted, and after what those jobs submit.
    ///
    /// Several of these run in the order of the calls, each when the queue is idle. A queue that never runs out of jobs never
    /// comes to it. A suspension holds them back, `cancel_pending` drops and reports them all, and counts them as one; a queue
    /// whose last handle goes runs them first, and its finalizer comes after.
    ///
    /// ```
    /// use concourse::Queue;
    ///
    /// let queue = Queue::serial("index");
    /// queue.on_idle(|| println!("all is written: time to compact"));
    /// for page in 0..3 {
    ///     queue.exec_async(move || println!("write page {page}"));
    /// }
    /// # queue.exec_sync(|| ());
    /// ```
    pub fn on_idle<F: FnOnce() + Send + 'static>(&self, f: F) {
        let job = Job::new(f);
        if !self.lane.engine().accepts(job.shape().kind) {
            return self.lane.lose(job, Loss::Rejected);
        }
        if let Some(first) = self.lane.baggage_to_fill().idlers.add(job) {
            Idler::stand_in_line(&self.lane, first);
        }
    }
}
