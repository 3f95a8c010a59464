//! Sync calls: where they run, in which order, what they refuse, and that they cannot starve.

mod blocked;
mod occupied;

use blocked::GENEROUS;
use blocked::spawn_blocked;
use concourse::Event;
use concourse::Group;
use concourse::Queue;
use concourse::Runtime;
use concourse::Semaphore;
use concourse::SyncError;
use occupied::occupy;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

fn runtime(threads: usize) -> Runtime {
    Runtime::builder().threads(threads).build().unwrap()
}

/// The message of a panic.
fn message(panic: Box<dyn std::any::Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().unwrap().to_string(),
    }
}

#[test]
fn the_body_borrows_and_returns() {
    let runtime = runtime(1);
    for queue in [runtime.serial("serial"), runtime.concurrent("concurrent")] {
        let names = vec![String::from("bolt"), String::from("nut")];
        let mut visits = 0;
        let longest: &str = queue.exec_sync(|| {
            visits += 1;
            names.iter().max_by_key(|name| name.len()).unwrap()
        });
        assert_eq!((longest, visits), ("bolt", 1));
        assert_eq!(queue.barrier_sync(|| names.len()), 2);
        let taken: Vec<String> = queue.exec_sync(move || names);
        assert_eq!(taken.len(), 2);
    }
}

#[test]
fn the_body_runs_on_the_callers_thread() {
    let runtime = runtime(2);
    let own = thread::current().id();
    for queue in [runtime.serial("serial"), runtime.concurrent("concurrent")] {
        assert_eq!(queue.exec_sync(|| thread::current().id()), own);
        assert_eq!(queue.barrier_sync(|| thread::current().id()), own);
        let go = occupy(&queue);
        let waiter = spawn_blocked({
            let queue = queue.clone();
            move || queue.barrier_sync(|| thread::current().id()) == thread::current().id()
        });
        go.set();
        assert!(waiter.join().unwrap());
    }
}

#[test]
fn the_body_knows_its_queue() {
    let runtime = runtime(1);
    let (outer, inner) = (runtime.serial("outer"), runtime.concurrent("inner"));
    assert_eq!(Queue::current(), None);
    outer.exec_sync(|| {
        assert_eq!(Queue::current().as_ref(), Some(&outer));
        inner.exec_sync(|| assert_eq!(Queue::current().unwrap().label(), "inner"));
        assert_eq!(Queue::current().as_ref(), Some(&outer));
    });
    assert_eq!(Queue::current(), None);
}

#[test]
fn what_was_submitted_before_is_done_and_seen() {
    let runtime = runtime(2);
    let queue = runtime.serial("before");
    let sum = Arc::new(AtomicUsize::new(0));
    for round in 1..=500 {
        for _ in 0..round % 5 {
            let sum = Arc::clone(&sum);
            queue.exec_async(move || sum.store(sum.load(Relaxed) + 1, Relaxed));
        }
        let expected = (1..=round).map(|round| round % 5).sum::<usize>();
        assert_eq!(queue.exec_sync(|| sum.load(Relaxed)), expected);
    }
}

#[test]
fn waiting_threads_are_served_in_the_order_of_their_calls() {
    let runtime = runtime(2);
    for queue in [runtime.serial("serial"), runtime.queue("one").concurrent().width(1).build().unwrap()] {
        let go = occupy(&queue);
        let served = Arc::new(Mutex::new(Vec::new()));
        let mut waiters = Vec::new();
        for number in 0..8 {
            let note = Arc::clone(&served);
            if number % 2 == 0 {
                queue.exec_async(move || note.lock().unwrap().push(number));
            } else {
                let queue = queue.clone();
                waiters.push(spawn_blocked(move || queue.exec_sync(|| note.lock().unwrap().push(number))));
            }
        }
        go.set();
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
        assert_eq!(*served.lock().unwrap(), [0, 1, 2, 3, 4, 5, 6, 7], "on {queue:?}");
    }
}

#[test]
fn sync_calls_and_jobs_of_many_threads_exclude_each_other() {
    let runtime = runtime(2);
    let queue = runtime.serial("exclusive");
    let counter = Arc::new(AtomicUsize::new(0));
    let add_in_two_steps = |counter: &AtomicUsize| {
        let before = counter.load(Relaxed);
        std::hint::spin_loop();
        counter.store(before + 1, Relaxed);
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    let own = Arc::clone(&counter);
                    queue.exec_async(move || add_in_two_steps(&own));
                    queue.exec_sync(|| add_in_two_steps(&counter));
                }
            });
        }
    });
    assert_eq!(queue.exec_sync(|| counter.load(Relaxed)), 8_000);
}

#[test]
fn reentry_panics_and_names_the_queue() {
    let runtime = runtime(1);
    let queue = runtime.serial("com.example.save");
    let panic = queue.exec_sync(|| catch_unwind(AssertUnwindSafe(|| queue.exec_sync(|| ()))).unwrap_err());
    assert!(message(panic).contains("\"com.example.save\""));
    let panic = queue.exec_sync(|| catch_unwind(AssertUnwindSafe(|| queue.barrier_sync(|| ()))).unwrap_err());
    assert!(message(panic).contains("\"com.example.save\""));
    // From a job of its own as well.
    let (told, tell) = (Arc::new(Mutex::new(None)), Event::new());
    queue.exec_async({
        let (queue, told, tell) = (queue.clone(), Arc::clone(&told), tell.clone());
        move || {
            *told.lock().unwrap() = queue.try_exec_sync(|| ()).err().map(|error| error.to_string());
            tell.set();
        }
    });
    tell.wait_timeout(GENEROUS).unwrap();
    let text = told.lock().unwrap().take().unwrap();
    assert!(text.contains("\"com.example.save\" while it runs one of its jobs"), "{text}");
    assert_eq!(queue.exec_sync(|| 1), 1);
}

#[test]
fn a_refused_call_gives_the_closure_back_and_names_the_cycle() {
    let runtime = runtime(1);
    let (a, b, c) = (runtime.serial("a"), runtime.serial("b"), runtime.concurrent("c"));
    let dear = String::from("kept");
    a.exec_sync(|| {
        b.exec_sync(|| {
            c.exec_sync(|| {
                let error = a.try_exec_sync(move || dear).unwrap_err();
                let SyncError::WouldDeadlock { cycle, .. } = &error else { unreachable!() };
                assert_eq!(cycle.iter().map(|queue| &*queue.label).collect::<Vec<_>>(), ["a", "c", "b", "a"]);
                let text = error.to_string();
                // Each with the place of its call.
                assert_eq!(text.matches("tests/sync.rs:").count(), 4, "{text}");
                assert!(cycle.iter().all(|queue| queue.site.is_some()));
                assert_eq!(error.into_inner()(), "kept");
            });
        });
    });
    // Every queue is free again.
    assert_eq!(a.exec_sync(|| b.exec_sync(|| c.barrier_sync(|| 3))), 3);
}

#[test]
fn a_barrier_refuses_readers_of_its_own() {
    let runtime = runtime(1);
    let queue = runtime.concurrent("writer");
    queue.barrier_sync(|| assert!(queue.try_exec_sync(|| ()).is_err()));
    queue.exec_sync(|| ());
}

#[test]
fn a_panic_of_the_body_goes_on_in_the_caller_and_releases_the_queue() {
    let panics = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&panics);
    let builder = Runtime::builder().threads(1).on_panic(move |_| _ = count.fetch_add(1, Relaxed));
    let runtime = builder.build().unwrap();
    for queue in [runtime.serial("serial"), runtime.concurrent("concurrent")] {
        let unwound = catch_unwind(AssertUnwindSafe(|| queue.exec_sync(|| panic!("in the body"))));
        assert_eq!(message(unwound.unwrap_err()), "in the body");
        let unwound = catch_unwind(AssertUnwindSafe(|| queue.barrier_sync(|| panic!("in the barrier"))));
        assert_eq!(message(unwound.unwrap_err()), "in the barrier");
        // Also if the call had to wait, and others wait behind it.
        let go = occupy(&queue);
        let waiter = spawn_blocked({
            let queue = queue.clone();
            move || catch_unwind(AssertUnwindSafe(|| queue.barrier_sync(|| panic!("after a wait")))).map_err(message)
        });
        let behind = spawn_blocked({
            let queue = queue.clone();
            move || queue.barrier_sync(|| 7)
        });
        go.set();
        assert_eq!(waiter.join().unwrap(), Err("after a wait".to_owned()));
        assert_eq!(behind.join().unwrap(), 7);
        assert_eq!(queue.barrier_sync(|| 8), 8);
    }
    // The caller has them; the runtime has contained nothing.
    assert_eq!(panics.load(Relaxed), 0);
}

#[test]
fn the_only_thread_of_a_pool_may_sync_onto_a_queue_that_waits_for_the_pool() {
    let runtime = Runtime::builder().threads(1).max_threads(1).build().unwrap();
    let (group, count) = (Group::new(), Arc::new(AtomicUsize::new(0)));
    let targets: Arc<[_]> =
        (0..50).flat_map(|_| [runtime.serial("serial"), runtime.concurrent("concurrent")]).collect();
    for number in 0..100 {
        let (targets, count) = (Arc::clone(&targets), Arc::clone(&count));
        group.exec_async(&runtime.serial("caller"), move || {
            // Their drains are scheduled, and the only thread that could run them is this one.
            for target in &*targets {
                let count = Arc::clone(&count);
                target.exec_async(move || _ = count.fetch_add(1, Relaxed));
            }
            targets[number].barrier_sync(|| count.fetch_add(1, Relaxed));
        });
    }
    group.wait_timeout(GENEROUS).unwrap();
    targets.iter().for_each(|target| target.barrier_sync(|| ()));
    assert_eq!(count.load(Relaxed), 100 * 101);
}

#[test]
fn sync_calls_from_more_jobs_than_threads_all_return() {
    let runtime = Runtime::builder().threads(2).max_threads(2).build().unwrap();
    let shared = runtime.serial("shared");
    let (group, mut expected) = (Group::new(), 0);
    let count = Arc::new(AtomicUsize::new(0));
    for _ in 0..500 {
        let (shared, count) = (shared.clone(), Arc::clone(&count));
        expected += 2;
        group.exec_async(&runtime.serial("one of many"), move || {
            let own = Arc::clone(&count);
            shared.exec_async(move || own.store(own.load(Relaxed) + 1, Relaxed));
            shared.exec_sync(|| count.store(count.load(Relaxed) + 1, Relaxed));
        });
    }
    group.wait_timeout(GENEROUS).unwrap();
    assert_eq!(shared.exec_sync(|| count.load(Relaxed)), expected);
}

#[test]
fn a_sync_call_onto_a_suspended_queue_waits_until_it_is_resumed() {
    let runtime = runtime(1);
    for queue in [runtime.serial("serial"), runtime.concurrent("concurrent")] {
        queue.suspend().unwrap();
        let (ran, early) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        queue.exec_async({
            let early = Arc::clone(&early);
            move || early.store(1, Relaxed)
        });
        let waiter = spawn_blocked({
            let (queue, ran) = (queue.clone(), Arc::clone(&ran));
            move || queue.barrier_sync(|| ran.store(early.load(Relaxed) + 1, Relaxed))
        });
        assert_eq!(ran.load(Relaxed), 0);
        queue.resume().unwrap();
        waiter.join().unwrap();
        assert_eq!(ran.load(Relaxed), 2);
    }
}
#[test]
fn a_reader_does_not_wait_for_the_end_of_the_jobs_before_it() {
    let runtime = Runtime::builder().threads(1).max_threads(1).build().unwrap();
    let queue = runtime.concurrent("readers");
    // The only thread is busy, so the job before the reader has not started when the reader comes.
    let busy = occupy(&runtime.serial("busy"));
    let (go, done, end) = (Semaphore::new(0), Event::new(), Event::new());
    queue.exec_async({
        let (go, done) = (go.clone(), done.clone());
        move || {
            go.wait();
            done.set();
        }
    });
    let reader = spawn_blocked({
        let (queue, end) = (queue.clone(), end.clone());
        move || {
            // It overlaps with the job, which ends after it only.
            queue.exec_sync(|| ());
            go.signal();
            end.wait();
        }
    });
    busy.set();
    done.wait_timeout(GENEROUS).unwrap();
    end.set();
    reader.join().unwrap();
}
