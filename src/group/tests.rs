use super::*;
use crate::engine::Engine;
use crate::event_loop::Sink;
use crate::qos::Qos;
use crate::queue::GlobalQueue;
use crate::sync::OnPark;
use crate::sync::enter_host;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::panic::resume_unwind;
use std::sync::Barrier;
use std::sync::atomic::AtomicUsize;
use std::thread;
use std::time::Instant;

/// A queue that keeps its jobs until it is told what to do with them.
#[derive(Clone)]
struct Shelf {
    label: Arc<str>,
    jobs: Arc<Mutex<Vec<Job>>>,
    engine: Arc<Engine>,
}

impl Shelf {
    fn new() -> Self {
        Self { label: "shelf".into(), jobs: Arc::default(), engine: Engine::in_place() }
    }

    fn take(&self) -> Vec<Job> {
        std::mem::take(&mut *self.jobs.lock())
    }
}

impl Accept for Shelf {
    fn accept(&self, job: Job) {
        self.jobs.lock().push(job);
    }

    fn label(&self) -> &Arc<str> {
        &self.label
    }

    fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    fn sink(&self) -> Arc<dyn Sink> {
        in_place().sink()
    }
}

impl Dispatch for Shelf {}

fn in_place() -> GlobalQueue {
    GlobalQueue::on(Engine::in_place(), Qos::Default)
}

const GENEROUS: Duration = Duration::from_secs(60);

#[test]
fn an_empty_group_keeps_nobody_waiting() {
    let (group, queue) = (Group::new(), Shelf::new());
    group.wait();
    assert_eq!(group.wait_timeout(Duration::ZERO), Ok(()));
    group.notify(&queue, || {});
    assert_eq!(queue.take().len(), 1);
    assert_eq!((group.count(), group.is_empty()), (0, true));
}

#[test]
fn a_member_is_counted_until_its_closure_has_run() {
    let (group, queue) = (Group::new(), Shelf::new());
    let captured = Arc::new(());
    for _ in 0..3 {
        let captured = Arc::clone(&captured);
        group.exec_async(&queue, move || drop(captured));
    }
    assert_eq!(group.count(), 3);
    for (number, job) in queue.take().into_iter().enumerate() {
        assert!(group.wait_timeout(Duration::ZERO).is_err());
        job.run();
        assert_eq!(group.count(), 2 - number);
    }
    assert_eq!(Arc::strong_count(&captured), 1);
    group.wait();
}

#[test]
fn a_member_that_panics_or_never_runs_leaves_as_well() {
    let (group, queue) = (Group::new(), Shelf::new());
    group.exec_async(&queue, || resume_unwind(Box::new("in a member")));
    group.exec_async(&queue, || unreachable!("it is dropped"));
    let mut jobs = queue.take().into_iter();
    let (panics, never_runs) = (jobs.next().unwrap(), jobs.next().unwrap());
    assert!(catch_unwind(AssertUnwindSafe(|| panics.run())).is_err());
    assert_eq!(group.count(), 1);
    drop(never_runs);
    assert!(group.is_empty());
}

#[test]
fn a_member_leaves_after_its_captures_are_gone() {
    struct Witness(Group);
    impl Drop for Witness {
        fn drop(&mut self) {
            assert_eq!(self.0.count(), 1);
        }
    }
    let (group, queue) = (Group::new(), Shelf::new());
    for run in [true, false] {
        let witness = Witness(group.clone());
        group.exec_async(&queue, move || assert_eq!(witness.0.count(), 1));
        for job in queue.take() {
            if run { job.run() } else { drop(job) }
        }
        assert!(group.is_empty());
    }
}

#[test]
fn a_guard_leaves_by_drop_and_by_panic() {
    let group = Group::new();
    let member = group.enter();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _member = group.enter();
        assert_eq!(group.count(), 2);
        resume_unwind(Box::new("as a member"));
    }));
    assert!(unwound.is_err());
    assert_eq!(group.count(), 1);
    thread::spawn(move || drop(member)).join().unwrap();
    assert!(group.is_empty());
}

#[test]
fn a_leave_too_many_is_refused_and_changes_nothing() {
    let (group, queue) = (Group::new(), Shelf::new());
    assert_eq!(group.leave_raw(), Err(GroupError::UnbalancedLeave));
    let member = group.enter();
    group.notify(&queue, || {});
    // The guard's place is not for plain leaves.
    assert_eq!(group.leave_raw(), Err(GroupError::UnbalancedLeave));
    assert_eq!((group.count(), queue.take().len()), (1, 0));
    group.enter_raw();
    drop(member);
    assert_eq!(queue.take().len(), 0);
    assert_eq!(group.leave_raw(), Ok(()));
    assert_eq!((group.count(), queue.take().len()), (0, 1));
    assert_eq!(group.leave_raw(), Err(GroupError::UnbalancedLeave));
}

#[test]
fn notifications_come_in_order_once_and_when_the_group_is_empty() {
    let (group, queue) = (Group::new(), in_place());
    let order = Arc::new(Mutex::new(Vec::new()));
    let member = group.enter();
    for number in 0..4 {
        let (order, group) = (Arc::clone(&order), group.clone());
        group.clone().notify(&queue, move || {
            assert!(group.is_empty());
            order.lock().push(number);
        });
    }
    assert_eq!(*order.lock(), [0; 0]);
    drop(member);
    assert_eq!(*order.lock(), [0, 1, 2, 3]);
    drop(group.enter());
    assert_eq!(order.lock().len(), 4);
}

#[test]
fn a_group_can_be_used_again_from_its_own_notification() {
    let (group, queue, shelf) = (Group::new(), in_place(), Shelf::new());
    let member = group.enter();
    let (again, later) = (group.clone(), shelf.clone());
    group.notify(&queue, move || {
        again.exec_async(&later, || {});
        again.notify(&later, || {});
    });
    drop(member);
    assert_eq!(group.count(), 1);
    shelf.take().into_iter().for_each(Job::run);
    assert_eq!((group.count(), shelf.take().len()), (0, 1));
}

#[test]
fn a_member_adds_members() {
    let (group, queue) = (Group::new(), in_place());
    let ran = Arc::new(AtomicUsize::new(0));
    let (more, count) = (group.clone(), Arc::clone(&ran));
    group.exec_async(&queue, move || {
        for _ in 0..10 {
            let count = Arc::clone(&count);
            more.exec_async(&in_place(), move || {
                count.fetch_add(1, Ordering::Relaxed);
            });
        }
        assert_eq!(more.count(), 1);
    });
    assert_eq!((ran.load(Ordering::Relaxed), group.count()), (10, 0));
}

#[test]
fn a_dropped_group_lives_on_in_its_memberships() {
    let (group, queue) = (Group::new(), Shelf::new());
    let member = group.enter();
    group.notify(&queue, || {});
    drop(group);
    assert_eq!(queue.take().len(), 0);
    drop(member);
    assert_eq!(queue.take().len(), 1);
}

#[test]
fn what_nobody_can_reach_any_more_is_dropped() {
    let (group, queue, captured) = (Group::new(), Shelf::new(), Arc::new(()));
    group.enter_raw();
    let held = Arc::clone(&captured);
    group.notify(&queue, move || drop(held));
    drop(group);
    assert_eq!((queue.take().len(), Arc::strong_count(&captured)), (0, 1));
}

#[test]
fn a_timeout_comes_in_time_and_the_group_may_be_waited_for_again() {
    let group = Group::new();
    let member = group.enter();
    let (start, timeout) = (Instant::now(), Duration::from_millis(50));
    assert_eq!(group.wait_timeout(timeout), Err(WaitError::TimedOut { after: timeout }));
    let waited = start.elapsed();
    assert!(waited >= timeout && waited < Duration::from_secs(10), "waited {waited:?}");
    let other = group.clone();
    let waiter = thread::spawn(move || other.wait_timeout(Duration::MAX));
    drop(member);
    assert_eq!(waiter.join().unwrap(), Ok(()));
    assert_eq!(group.state.registered.lock().line.len(), 0);
}

#[test]
fn a_group_is_used_a_thousand_times() {
    const MEMBERS: usize = 3;
    let (group, queue) = (Group::new(), in_place());
    let (work, notified) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let start = Arc::new(Barrier::new(MEMBERS + 1));
    let (give, take): (Vec<_>, Vec<_>) = (0..MEMBERS).map(|_| std::sync::mpsc::channel::<Membership>()).unzip();
    let workers: Vec<_> = take
        .into_iter()
        .map(|members| {
            let (work, start) = (Arc::clone(&work), Arc::clone(&start));
            thread::spawn(move || {
                for member in members {
                    start.wait();
                    work.fetch_add(1, Ordering::Relaxed);
                    drop(member);
                }
            })
        })
        .collect();
    for round in 1..=1_000 {
        give.iter().for_each(|worker| worker.send(group.enter()).unwrap());
        start.wait();
        // The members are leaving: the registration comes before, between or after them.
        let notified_here = Arc::clone(&notified);
        group.notify(&queue, move || {
            notified_here.fetch_add(1, Ordering::Relaxed);
        });
        if round % 2 == 0 {
            assert_eq!(group.wait_timeout(GENEROUS), Ok(()));
        } else {
            group.wait();
        }
        assert_eq!(work.load(Ordering::Relaxed), MEMBERS * round);
        let deadline = Instant::now() + GENEROUS;
        // A leaver may still be on its way from waking this thread to its notifications.
        while notified.load(Ordering::Relaxed) < round {
            assert!(Instant::now() < deadline, "round {round} was not notified");
            thread::yield_now();
        }
        assert_eq!(notified.load(Ordering::Relaxed), round);
    }
    drop(give);
    workers.into_iter().for_each(|worker| worker.join().unwrap());
}

#[test]
fn concurrent_waits_all_end() {
    let group = Group::new();
    for _ in 0..200 {
        let member = group.enter();
        let waiters = [0; 3].map(|_| {
            let group = group.clone();
            thread::spawn(move || group.wait_timeout(GENEROUS))
        });
        drop(member);
        waiters.into_iter().for_each(|waiter| assert_eq!(waiter.join().unwrap(), Ok(())));
    }
}

#[test]
fn the_counts_do_not_run_into_each_other() {
    let group = Group::new();
    let members = [(); 5].map(|()| group.enter());
    (0..7).for_each(|_| group.enter_raw());
    assert_eq!(group.count(), 12);
    drop(members);
    assert_eq!(group.count(), 7);
    (0..7).for_each(|_| group.leave_raw().unwrap());
    assert_eq!(group.state.word.load(Ordering::Relaxed), 0);
}

#[test]
fn a_full_group_refuses_to_be_entered() {
    for (full, unit) in [(1 << 63, GUARD), (1 << 31, RAW)] {
        let group = Group::new();
        group.state.word.store(full, Ordering::Relaxed);
        assert!(catch_unwind(AssertUnwindSafe(|| group.state.enter(unit))).is_err());
        assert_eq!(group.state.word.load(Ordering::Relaxed), full);
    }
}

#[test]
fn the_host_is_told_of_a_wait_that_blocks_and_no_lock_is_held_then() {
    let group = Group::new();
    let host = OnPark::new({
        let group = group.clone();
        move || group.leave_raw().unwrap()
    });
    let _guard = enter_host(host.clone());
    group.wait();
    assert_eq!(host.reasons(), []);
    group.enter_raw();
    group.wait();
    assert_eq!(host.reasons(), [Reason::Group]);
}
