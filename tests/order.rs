//! The order of jobs, what one job sees of another, and that each runs once.

use concourse::Dispatch;
use concourse::Event;
use concourse::Group;
use concourse::Qos;
use concourse::Queue;
use concourse::Runtime;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

fn runtime(threads: usize) -> Runtime {
    Runtime::builder().threads(threads).build().unwrap()
}

/// Adds 1 in two steps: additions at the same time lose each other, and one that does not see the last is lost too.
fn add_in_two_steps(counter: &AtomicUsize) {
    let before = counter.load(Relaxed);
    std::hint::spin_loop();
    counter.store(before + 1, Relaxed);
}

#[test]
fn a_serial_queue_runs_its_jobs_in_the_order_of_submission() {
    let runtime = runtime(4);
    let queue = runtime.serial("in order");
    let next = Arc::new(AtomicUsize::new(0));
    for number in 0..20_000 {
        let next = Arc::clone(&next);
        queue.exec_async(move || {
            if next.load(Relaxed) == number {
                next.store(number + 1, Relaxed);
            }
        });
    }
    assert_eq!(queue.exec_sync(|| next.load(Relaxed)), 20_000);
}

#[test]
fn what_one_job_wrote_the_next_one_sees_on_whichever_thread() {
    let runtime = runtime(4);
    let queue = runtime.serial("visible");
    let counter = Arc::new(AtomicUsize::new(0));
    for round in 1..=2_000 {
        for _ in 0..3 {
            let counter = Arc::clone(&counter);
            queue.exec_async(move || add_in_two_steps(&counter));
        }
        let seen = queue.exec_sync(|| {
            add_in_two_steps(&counter);
            counter.load(Relaxed)
        });
        assert_eq!(seen, 4 * round);
    }
}

#[test]
fn each_of_four_producers_keeps_its_own_order() {
    const EACH: usize = 5_000;
    let runtime = runtime(2);
    let queue = runtime.serial("four producers");
    let arrived = Arc::new(Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for producer in 0..4 {
            let (queue, arrived) = (&queue, &arrived);
            scope.spawn(move || {
                for number in 0..EACH {
                    let arrived = Arc::clone(arrived);
                    queue.exec_async(move || arrived.lock().unwrap().push((producer, number)));
                }
            });
        }
    });
    queue.exec_sync(|| ());
    let arrived = arrived.lock().unwrap();
    for producer in 0..4 {
        let own = arrived.iter().filter(|(from, _)| *from == producer).map(|(_, number)| *number);
        assert!(own.eq(0..EACH), "of producer {producer}");
    }
}

#[test]
fn a_job_that_a_job_submits_comes_after_what_is_there() {
    let runtime = runtime(2);
    let queue = runtime.serial("from within");
    let noted = Arc::new(Mutex::new(Vec::new()));
    let note = |text: &'static str| {
        let noted = Arc::clone(&noted);
        move || noted.lock().unwrap().push(text)
    };
    let (open, begun) = (Event::new(), Event::new());
    queue.exec_async({
        let (queue, open, begun) = (queue.clone(), open.clone(), begun.clone());
        let (own, last) = (note("first"), note("last"));
        move || {
            begun.set();
            open.wait();
            queue.exec_async(last);
            own();
        }
    });
    begun.wait();
    queue.exec_async(note("second"));
    open.set();
    // The sync call may come before the last job, which nobody has submitted yet when it is made.
    while noted.lock().unwrap().len() < 3 {
        queue.exec_sync(|| ());
    }
    assert_eq!(*noted.lock().unwrap(), ["first", "second", "last"]);
}

#[test]
fn the_global_queue_runs_each_job_once() {
    const EACH: usize = 5_000;
    let runtime = runtime(2);
    let global = runtime.global(Qos::Utility);
    let ran: Arc<[_]> = (0..4 * EACH).map(|_| AtomicUsize::new(0)).collect();
    let group = Group::new();
    thread::scope(|scope| {
        for producer in 0..4 {
            let (global, ran, group) = (&global, &ran, &group);
            scope.spawn(move || {
                for number in 0..EACH {
                    let ran = Arc::clone(ran);
                    group.exec_async(global, move || _ = ran[producer * EACH + number].fetch_add(1, Relaxed));
                }
            });
        }
    });
    group.wait();
    assert!(ran.iter().all(|ran| ran.load(Relaxed) == 1));
}

/// Submits a tree of jobs, each with two children.
fn grow(group: &Group, queue: &(impl Dispatch + Sync), leaves: &Arc<AtomicUsize>, height: u32) {
    let (own, to, leaves) = (group.clone(), queue.clone(), Arc::clone(leaves));
    group.exec_async(queue, move || {
        if height == 0 {
            leaves.fetch_add(1, Relaxed);
        } else {
            grow(&own, &to, &leaves, height - 1);
            grow(&own, &to, &leaves, height - 1);
        }
    });
}

#[test]
fn a_tree_of_jobs_has_all_its_leaves() {
    let runtime = runtime(3);
    for _ in 0..5 {
        let (group, leaves) = (Group::new(), Arc::new(AtomicUsize::new(0)));
        grow(&group, &runtime.global(Qos::Utility), &leaves, 11);
        grow(&group, &runtime.concurrent("tree"), &leaves, 11);
        grow(&group, &runtime.serial("tree in order"), &leaves, 11);
        group.wait();
        assert_eq!(leaves.load(Relaxed), 3 << 11);
    }
}

#[test]
fn the_default_runtime_keeps_the_order_as_well() {
    let queue = Queue::serial("of the default runtime");
    let next = Arc::new(AtomicUsize::new(0));
    for number in 0..1_000 {
        let next = Arc::clone(&next);
        queue.exec_async(move || {
            if next.load(Relaxed) == number {
                next.store(number + 1, Relaxed);
            }
        });
    }
    assert_eq!(queue.exec_sync(|| next.load(Relaxed)), 1_000);
}
