//! Groups over queues: membership through everything that ends a closure.

use concourse::Event;
use concourse::Group;
use concourse::Qos;
use concourse::Runtime;
use concourse::Shutdown;
use std::sync::Arc;
use std::time::Duration;

/// No test waits for so long unless it fails.
const GENEROUS: Duration = Duration::from_secs(60);

fn runtime() -> Runtime {
    Runtime::builder().threads(2).build().unwrap()
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
