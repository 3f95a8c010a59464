//! `concur`: queues that target a queue that targets a queue, each of them global, concurrent, of a width, or serial.
//! No more jobs run at the same time than the narrowest of the three lets through, and no fewer; one serial queue
//! anywhere is enough for one at a time. It makes no difference whether jobs join their group by `group_async` or by
//! entering and leaving. Each job submits four more to its own queue before it sleeps; below a serial queue those come
//! after all the jobs before them. Sync calls from many threads and the turns of `apply` are bounded in the same way.
//!
//! The original submits half as many jobs as there are processors, which no width bounds, and lets one of the jobs
//! below a serial queue come too soon. Here there are more jobs than the width lets through, those that may run at the
//! same time wait for each other, so that their number is exact on any machine, and none comes too soon.
//!
//! Here a queue without a target stands for one that targets the global queue.

use crate::profile::time;
use crate::timed::GENEROUS;
use crate::timed::finish;
use crate::timed::millis;
use concourse::Dispatch;
use concourse::Event;
use concourse::Group;
use concourse::Qos;
use concourse::Queue;
use concourse::Runtime;
use concourse::SuspendGuard;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

const WIDTH: usize = 4;

/// More than the width, so that it bounds them, and fewer than the threads, so that those do not.
const JOBS: usize = 6;

const THREADS: usize = 8;

/// How many jobs each job submits.
const CHILDREN: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Global,
    Concurrent,
    Wide,
    Serial,
}

const LEVELS: [Level; 4] = [Level::Global, Level::Concurrent, Level::Wide, Level::Serial];

impl Level {
    /// How many of the jobs this level lets through at a time.
    fn room(self) -> usize {
        match self {
            Self::Global | Self::Concurrent => JOBS,
            Self::Wide => WIDTH,
            Self::Serial => 1,
        }
    }

    /// A queue of this level on what is below; none for the global queue, which stands on nothing.
    fn queue(self, runtime: &Runtime, target: Option<&Queue>) -> Option<Queue> {
        let builder = runtime.queue(&format!("{self:?}"));
        let builder = match self {
            Self::Global => return None,
            Self::Concurrent => builder.concurrent(),
            Self::Wide => builder.concurrent().width(WIDTH),
            Self::Serial => builder,
        };
        let builder = match target {
            Some(target) => builder.target(target),
            None => builder,
        };
        Some(builder.build().unwrap())
    }
}

/// Every queue that stands on two levels, with how many jobs it lets through.
fn hierarchies(runtime: &Runtime) -> Vec<([Level; 3], Queue, usize)> {
    let mut hierarchies = Vec::new();
    for root in LEVELS {
        for target in LEVELS {
            // The global queue stands on nothing else.
            if target == Level::Global && root != Level::Global {
                continue;
            }
            for own in LEVELS {
                let below = root.queue(runtime, None);
                let below = target.queue(runtime, below.as_ref());
                let levels = [own, target, root];
                if let Some(queue) = own.queue(runtime, below.as_ref()) {
                    hierarchies.push((levels, queue, levels.map(Level::room).into_iter().fold(JOBS, usize::min)));
                }
            }
        }
    }
    hierarchies
}

/// Counts who is inside at the same time. The first so many as there is room for wait for each other.
struct Crowd {
    room: usize,
    inside: AtomicUsize,
    most: AtomicUsize,
    visits: AtomicUsize,
    full: Event,
}

impl Crowd {
    fn new(room: usize) -> Arc<Self> {
        let [inside, most, visits] = [0; 3].map(AtomicUsize::new);
        Arc::new(Self { room, inside, most, visits, full: Event::new() })
    }

    /// True for the last of all visits.
    fn visit(&self) -> bool {
        let inside = self.inside.fetch_add(1, SeqCst) + 1;
        self.most.fetch_max(inside, SeqCst);
        if inside == self.room {
            self.full.set();
        }
        self.full.wait_timeout(GENEROUS).unwrap();
        // Whoever comes although there is no room for him is seen now.
        thread::sleep(time(millis(10)));
        self.inside.fetch_sub(1, SeqCst);
        self.visits.fetch_add(1, SeqCst) + 1 == JOBS
    }

    fn figures(&self) -> (usize, usize) {
        (self.most.load(SeqCst), self.visits.load(SeqCst))
    }
}

/// How a job joins its group.
#[derive(Clone, Copy, Debug)]
enum Join {
    WithItsJob,
    ByHand,
}

impl Join {
    fn submit(self, group: &Group, queue: &impl Dispatch, job: impl FnOnce() + Send + 'static) {
        match self {
            Self::WithItsJob => group.exec_async(queue, job),
            Self::ByHand => {
                let entered = group.clone();
                entered.enter_raw();
                queue.exec_async(move || {
                    job();
                    entered.leave_raw().unwrap();
                });
            }
        }
    }
}

/// Submits jobs, which submit jobs, while the queue is held if it can be.
fn submit_jobs(queue: &impl Dispatch, held: Option<SuspendGuard>, room: usize, join: Join, what: &str) {
    let (crowd, group) = (Crowd::new(room), Group::new());
    let (children, before_the_last) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for _ in 0..JOBS {
        let (crowd, own_queue, own_group) = (Arc::clone(&crowd), queue.clone(), group.clone());
        let (children, before_the_last) = (Arc::clone(&children), Arc::clone(&before_the_last));
        join.submit(&group, queue, move || {
            for _ in 0..CHILDREN {
                let children = Arc::clone(&children);
                join.submit(&own_group, &own_queue, move || {
                    thread::sleep(time(millis(1)));
                    children.fetch_add(1, SeqCst);
                });
            }
            if crowd.visit() {
                before_the_last.store(children.load(SeqCst), SeqCst);
            }
        });
    }
    drop(held);
    group.wait_timeout(GENEROUS).unwrap_or_else(|_| panic!("{what}, {join:?}"));
    assert_eq!((crowd.figures(), children.load(SeqCst)), ((room, JOBS), CHILDREN * JOBS), "{what}, {join:?}");
    if room == 1 {
        assert_eq!(before_the_last.load(SeqCst), 0, "{what}, {join:?}");
    }
}

#[test]
fn the_narrowest_queue_of_a_hierarchy_says_how_many_jobs_run_at_the_same_time() {
    let runtime = Runtime::builder().threads(THREADS).build().unwrap();
    for join in [Join::WithItsJob, Join::ByHand] {
        submit_jobs(&runtime.global(Qos::Default), None, JOBS, join, "the global queue");
        for (levels, queue, room) in hierarchies(&runtime) {
            let held = queue.suspend_guard().unwrap();
            submit_jobs(&queue, Some(held), room, join, &format!("{levels:?}"));
        }
    }
    finish(&runtime);
}

#[test]
fn the_narrowest_queue_of_a_hierarchy_says_how_many_sync_calls_run_at_the_same_time() {
    let runtime = Runtime::builder().threads(THREADS).build().unwrap();
    let callers = runtime.global(Qos::Default);
    for (levels, queue, room) in hierarchies(&runtime) {
        let (crowd, group) = (Crowd::new(room), Group::new());
        for _ in 0..JOBS {
            let (crowd, queue) = (Arc::clone(&crowd), queue.clone());
            group.exec_async(&callers, move || _ = queue.exec_sync(|| crowd.visit()));
        }
        group.wait_timeout(GENEROUS).unwrap_or_else(|_| panic!("{levels:?}"));
        assert_eq!(crowd.figures(), (room, JOBS), "{levels:?}");
    }
    finish(&runtime);
}

#[test]
fn the_narrowest_queue_of_a_hierarchy_says_how_many_turns_of_a_loop_run_at_the_same_time() {
    let runtime = Runtime::builder().threads(THREADS).build().unwrap();
    for (levels, queue, room) in hierarchies(&runtime) {
        let crowd = Crowd::new(room);
        queue.apply(JOBS, |_| _ = crowd.visit());
        assert_eq!(crowd.figures(), (room, JOBS), "{levels:?}");
    }
    finish(&runtime);
}
