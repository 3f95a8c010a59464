//! Waiting for many jobs at once.

use crate::peers::{CrossbeamThreads, Pool, Rayon, RustyPool, Tokio, runtime};
use crate::row::{Contender, Goal, Row, Sample, per_operation, timed};
use crate::tally;
use concourse::{Group, Qos};
use crossbeam_utils::sync::WaitGroup;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "group_wait",
        what: "One outside thread submits closures that capture a `u64` to a pool of two, as members of a group, and waits for the group: ten groups in turn.",
        metrics: &["ns per closure"],
        size: 1_000_000,
        quick: 10_000,
        contenders: &[
            Contender { name: "concourse", run: concourse_group },
            Contender { name: "rayon scope", run: rayon_scope },
            Contender { name: "rayon in_place_scope", run: rayon_in_place_scope },
            Contender { name: "rayon + WaitGroup", run: |size| wait_group(Rayon, size) },
            Contender { name: "rusty_pool + WaitGroup", run: |size| wait_group(RustyPool, size) },
            Contender { name: "crossbeam threads + WaitGroup", run: |size| wait_group(CrossbeamThreads, size) },
            Contender { name: "tokio TaskTracker", run: tokio_task_tracker },
            Contender { name: "tokio JoinSet", run: tokio_join_set },
        ],
        goal: Goal::AtMost(60.0),
    },
    Row {
        name: "group_enter_leave",
        what: "One thread enters a group and leaves it. An `Arc` is the floor of a membership that owns its group.",
        metrics: &["ns per pair"],
        size: 20_000_000,
        quick: 20_000,
        contenders: &[
            Contender { name: "concourse", run: membership },
            Contender { name: "concourse, raw", run: raw_membership },
            Contender { name: "tokio TaskTracker", run: task_tracker_token },
            Contender { name: "crossbeam WaitGroup", run: wait_group_clone },
            Contender { name: "Arc", run: arc_clone },
        ],
        goal: Goal::AtMost(6.0),
    },
];

const GROUPS: u64 = 10;

/// What every member of a group does.
fn job() -> impl FnOnce() + Send + 'static {
    let captured = black_box(1_u64);
    move || tally::add(captured)
}

/// Has `run` submit [`job`]s, so many at a time, and wait for them.
fn groups(size: u64, mut run: impl FnMut(u64)) -> Sample {
    let jobs = size / GROUPS;
    let mut groups = |count: u64| -> Duration {
        timed(count * jobs, || {
            let before = tally::sum();
            (1..=count).for_each(|group| {
                run(jobs);
                assert_eq!(tally::sum() - before, group * jobs, "the wait ended before the last member");
            });
            tally::sum() - before
        })
    };
    groups(1);
    per_operation(groups(GROUPS), GROUPS * jobs)
}

fn concourse_group(size: u64) -> Sample {
    let (group, queue) = (Group::new(), runtime().global(Qos::Default));
    groups(size, |jobs| {
        (0..jobs).for_each(|_| group.exec_async(&queue, job()));
        group.wait();
    })
}

/// The scope's own body runs on a thread of the pool: nothing comes from outside.
fn rayon_scope(size: u64) -> Sample {
    groups(size, |jobs| Rayon::pool().scope(|scope| spawn_members(scope, jobs)))
}

fn rayon_in_place_scope(size: u64) -> Sample {
    groups(size, |jobs| Rayon::pool().in_place_scope(|scope| spawn_members(scope, jobs)))
}

fn spawn_members(scope: &rayon::Scope<'_>, jobs: u64) {
    for _ in 0..jobs {
        let job = job();
        scope.spawn(|_| job());
    }
}

/// For pools that have no groups. `rusty_pool` has a `join`, which does not see a worker that has taken a job and has not
/// yet said that it is busy, and then ends before the last job.
fn wait_group(pool: impl Pool, size: u64) -> Sample {
    groups(size, |jobs| {
        let group = WaitGroup::new();
        for _ in 0..jobs {
            let (job, member) = (job(), group.clone());
            pool.spawn(move || {
                job();
                drop(member);
            });
        }
        group.wait();
    })
}

fn tokio_task_tracker(size: u64) -> Sample {
    let (tracker, tokio) = (TaskTracker::new(), Tokio::runtime());
    groups(size, |jobs| {
        tracker.reopen();
        for _ in 0..jobs {
            let job = job();
            tracker.spawn_on(async move { job() }, tokio.handle());
        }
        tracker.close();
        tokio.block_on(tracker.wait());
    })
}

fn tokio_join_set(size: u64) -> Sample {
    let tokio = Tokio::runtime();
    groups(size, |jobs| {
        let mut set = JoinSet::new();
        for _ in 0..jobs {
            let job = job();
            set.spawn_on(async move { job() }, tokio.handle());
        }
        tokio.block_on(set.join_all());
    })
}

fn pairs(size: u64, pair: impl Fn()) -> Sample {
    let run = |pairs| {
        timed(pairs, || {
            (0..pairs).for_each(|_| pair());
            pairs
        })
    };
    run(size / 10);
    per_operation(run(size), size)
}

fn membership(size: u64) -> Sample {
    let group = Group::new();
    let sample = pairs(size, || drop(black_box(group.enter())));
    assert!(group.is_empty());
    sample
}

fn raw_membership(size: u64) -> Sample {
    let group = Group::new();
    let sample = pairs(size, || {
        black_box(&group).enter_raw();
        group.leave_raw().expect("it was entered");
    });
    assert!(group.is_empty());
    sample
}

fn task_tracker_token(size: u64) -> Sample {
    let tracker = TaskTracker::new();
    let sample = pairs(size, || drop(black_box(tracker.token())));
    assert!(tracker.is_empty());
    sample
}

fn wait_group_clone(size: u64) -> Sample {
    let group = WaitGroup::new();
    let sample = pairs(size, || drop(black_box(group.clone())));
    group.wait();
    sample
}

fn arc_clone(size: u64) -> Sample {
    let shared = Arc::new(());
    let sample = pairs(size, || drop(black_box(Arc::clone(&shared))));
    assert_eq!(Arc::strong_count(&shared), 1);
    sample
}
