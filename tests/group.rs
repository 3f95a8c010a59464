//! Groups over queues: the scenarios of libdispatch's own test, and membership through everything that ends a closure.

use concourse::Event;
use concourse::Group;
use concourse::Qos;
use concourse::Queue;
use concourse::Runtime;
use concourse::Shutdown;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// No test waits for so long unless it fails.
const GENEROUS: Duration = Duration::from_secs(60);

fn runtime() -> Runtime {
    Runtime::builder().threads(2).build().unwrap()
}

/// A group with a member on each of `count` queues, of which nobody has a handle any more.
fn members_of_their_own(runtime: &Runtime, count: usize, ran: &Arc<AtomicUsize>) -> Group {
    let group = Group::new();
    for _ in 0..count {
        let ran = Arc::clone(ran);
        group.exec_async(&runtime.serial("one of many"), move || _ = ran.fetch_add(1, Relaxed));
    }
    group
}

#[test]
fn a_wait_ends_when_all_members_have_run() {
    let (runtime, ran) = (runtime(), Arc::new(AtomicUsize::new(0)));
    let group = members_of_their_own(&runtime, 100, &ran);
    group.wait();
    assert_eq!(ran.load(Relaxed), 100);
    assert!(group.is_empty());
}

#[test]
fn a_group_is_used_again_after_a_wait() {
    let (runtime, ran) = (runtime(), Arc::new(AtomicUsize::new(0)));
    let group = members_of_their_own(&runtime, 10, &ran);
    for round in 1..=200 {
        group.wait();
        assert_eq!(ran.load(Relaxed), 10 * round);
        for _ in 0..10 {
            let ran = Arc::clone(&ran);
            group.exec_async(&runtime.serial("again"), move || _ = ran.fetch_add(1, Relaxed));
        }
    }
    group.wait();
    assert_eq!(ran.load(Relaxed), 2_010);
}

#[test]
fn a_wait_that_timed_out_may_be_repeated() {
    let runtime = runtime();
    let (group, go) = (Group::new(), Event::new());
    // Three members that block at the same time, on three queues and two threads.
    for label in ["first", "second", "third"] {
        let go = go.clone();
        group.exec_async(&runtime.serial(label), move || go.wait());
    }
    group.wait_timeout(Duration::from_millis(30)).unwrap_err();
    assert_eq!(group.count(), 3);
    go.set();
    group.wait_timeout(GENEROUS).unwrap();
}

#[test]
fn a_notification_comes_after_all_members_on_its_own_queue() {
    let (runtime, ran) = (runtime(), Arc::new(AtomicUsize::new(0)));
    let queue = runtime.serial("notified");
    for round in 1..=20 {
        let group = members_of_their_own(&runtime, 100, &ran);
        let (told, tell) = (Arc::new(AtomicUsize::new(0)), Event::new());
        group.notify(&queue, {
            let (queue, ran, told, tell) = (queue.clone(), Arc::clone(&ran), Arc::clone(&told), tell.clone());
            move || {
                if Queue::current() == Some(queue) {
                    told.store(ran.load(Relaxed), Relaxed);
                }
                tell.set();
            }
        });
        drop(group);
        tell.wait_timeout(GENEROUS).unwrap();
        assert_eq!(told.load(Relaxed), 100 * round);
    }
}

#[test]
fn no_notification_is_lost_in_many_short_lives() {
    let runtime = runtime();
    let queue = runtime.serial("notified");
    let tell = Event::auto_reset();
    for cycle in 0..20_000 {
        let group = Group::new();
        group.enter_raw();
        for _ in 0..1 + cycle % 8 {
            group.exec_async(&runtime.serial("fresh"), || ());
        }
        group.leave_raw().unwrap();
        let told = tell.clone();
        group.notify(&queue, move || told.set());
        tell.wait_timeout(GENEROUS).unwrap_or_else(|_| panic!("in cycle {cycle}"));
    }
}

#[test]
fn a_notification_of_an_empty_group_comes_at_once() {
    let runtime = runtime();
    let (group, tell) = (Group::new(), Event::new());
    let told = tell.clone();
    group.notify(&runtime.global(Qos::Utility), move || told.set());
    tell.wait_timeout(GENEROUS).unwrap();
}

#[test]
fn a_member_that_panics_leaves() {
    let runtime = runtime();
    let (group, kept) = (Group::new(), Arc::new(()));
    for queue in [runtime.serial("serial"), runtime.concurrent("concurrent")] {
        for _ in 0..100 {
            let kept = Arc::clone(&kept);
            group.exec_async(&queue, move || {
                let _kept = kept;
                std::panic::resume_unwind(Box::new("a member"));
            });
        }
    }
    group.exec_async(&runtime.global(Qos::Utility), || std::panic::resume_unwind(Box::new("a member")));
    group.wait_timeout(GENEROUS).unwrap();
    // What the members captured went before they left.
    assert_eq!(Arc::strong_count(&kept), 1);
}

#[test]
fn a_member_that_is_cancelled_leaves() {
    let runtime = runtime();
    let (group, kept) = (Group::new(), Arc::new(()));
    for queue in [runtime.serial("serial"), runtime.concurrent("concurrent")] {
        queue.suspend().unwrap();
        for _ in 0..100 {
            let kept = Arc::clone(&kept);
            group.exec_async(&queue, move || drop(kept));
        }
        assert_eq!(group.count(), 100);
        assert_eq!(queue.cancel_pending(), 100);
        assert!(group.is_empty());
        assert_eq!(Arc::strong_count(&kept), 1);
    }
}

#[test]
fn a_member_on_a_dropped_queue_leaves() {
    let runtime = runtime();
    let group = Group::new();
    let inactive = runtime.queue("never").build_inactive().unwrap().activate();
    inactive.suspend().unwrap();
    group.exec_async(&inactive, || ());
    drop(inactive);
    group.wait_timeout(GENEROUS).unwrap();
}

#[test]
fn a_member_that_is_rejected_leaves() {
    let runtime = runtime();
    let (queue, global) = (runtime.serial("late"), runtime.global(Qos::Utility));
    assert!(runtime.shutdown(Shutdown::Drain).complete);
    let group = Group::new();
    group.exec_async(&queue, || ());
    group.exec_async(&global, || ());
    group.wait_timeout(GENEROUS).unwrap();
    assert_eq!(runtime.shutdown(Shutdown::Drain).rejected, 2);
}

#[test]
fn a_job_may_wait_for_a_group_on_the_only_thread() {
    let runtime = Runtime::builder().threads(1).max_threads(2).build().unwrap();
    let done = Event::new();
    let (queue, told) = (runtime.serial("member"), done.clone());
    runtime.serial("waiter").exec_async(move || {
        let group = Group::new();
        group.exec_async(&queue, || ());
        group.wait();
        told.set();
    });
    done.wait_timeout(GENEROUS).unwrap();
}
