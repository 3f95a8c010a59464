//! Demo 7: no more than so many jobs of a concurrent queue at a time, in three ways.
//!
//! Jobs can wait for a permit on another queue, the receiver: then whoever submits them waits for nothing, but a barrier
//! does not find them in the queue yet. Or whoever submits a job waits for its permit: then barriers are right, and the
//! caller stands still. A queue with a width has neither fault.

use super::Journal;
use super::Outcome;
use super::PATIENCE;
use concourse::Group;
use concourse::Queue;
use concourse::Runtime;
use concourse::Semaphore;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

const LIMIT: usize = 2;
const JOBS: usize = 20_000;

/// How the number of jobs is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Receiver,
    Caller,
    Width,
}

/// A concurrent queue that runs no more than so many jobs at a time.
pub(crate) struct Limited {
    way: Way,
    pub(crate) queue: Queue,
    receiver: Queue,
    permits: Semaphore,
}

impl Limited {
    pub(crate) fn new(runtime: &Runtime, way: Way, limit: usize) -> Outcome<Self> {
        let queue = runtime.queue("work").concurrent();
        let queue = if way == Way::Width { queue.width(limit) } else { queue };
        let (receiver, permits) = (runtime.serial("receiver"), Semaphore::new(limit));
        Ok(Self { way, queue: queue.build()?, receiver, permits })
    }

    pub(crate) fn exec_async(&self, job: impl FnOnce() + Send + 'static) {
        if self.way == Way::Width {
            return self.queue.exec_async(job);
        }
        let (queue, permits) = (self.queue.clone(), self.permits.clone());
        // A permit goes with its job, and comes back when the job ends, however it ends.
        let submit = move || {
            let permit = permits.acquire();
            queue.exec_async(move || {
                job();
                drop(permit);
            });
        };
        if self.way == Way::Receiver { self.receiver.exec_async(submit) } else { submit() }
    }
}

/// What came of many jobs and a barrier behind them.
#[derive(Debug, Default)]
pub(crate) struct Outturn {
    pub(crate) submitted_in: Duration,
    pub(crate) at_once: usize,
    pub(crate) before_the_barrier: usize,
    pub(crate) in_the_end: usize,
}

impl fmt::Display for Outturn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { submitted_in, at_once, before_the_barrier, in_the_end } = self;
        write!(f, "submitted in {:.1} ms, at most {at_once} at a time, ", submitted_in.as_secs_f64() * 1000.0)?;
        write!(f, "{before_the_barrier} of {in_the_end} before the barrier")
    }
}

/// Counts its visitors. Relaxed throughout: the group and the barrier come after what they count.
#[derive(Default)]
struct Room {
    inside: AtomicUsize,
    most: AtomicUsize,
    visits: AtomicUsize,
    before_the_barrier: AtomicUsize,
}

impl Room {
    fn visit(&self) {
        self.most.fetch_max(self.inside.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        thread::yield_now();
        self.visits.fetch_add(1, Ordering::Relaxed);
        self.inside.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(crate) fn play(runtime: &Runtime, journal: &Journal) -> Outcome<()> {
    for way in [Way::Receiver, Way::Caller, Way::Width] {
        let outturn = run(runtime, way, LIMIT, JOBS)?;
        journal.note(format_args!("limit {LIMIT} by {way:?}: {outturn}"));
    }
    Ok(())
}

pub(crate) fn run(runtime: &Runtime, way: Way, limit: usize, jobs: usize) -> Outcome<Outturn> {
    let limited = Limited::new(runtime, way, limit)?;
    let (room, group, started) = (Arc::new(Room::default()), Group::new(), Instant::now());
    for _ in 0..jobs {
        let (room, member) = (Arc::clone(&room), group.enter());
        limited.exec_async(move || {
            room.visit();
            drop(member);
        });
    }
    let submitted_in = started.elapsed();
    let (counted, member) = (Arc::clone(&room), group.enter());
    limited.queue.barrier_async(move || {
        counted.before_the_barrier.store(counted.visits.load(Ordering::Relaxed), Ordering::Relaxed);
        drop(member);
    });
    group.wait_timeout(PATIENCE)?;
    let figure = |number: &AtomicUsize| number.load(Ordering::Relaxed);
    let Room { most, visits, before_the_barrier, .. } = &*room;
    Ok(Outturn {
        submitted_in,
        at_once: figure(most),
        before_the_barrier: figure(before_the_barrier),
        in_the_end: figure(visits),
    })
}
