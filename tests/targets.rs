//! Target hierarchies: what a target excludes, bounds and holds, and how sync calls go through a chain.

mod blocked;
mod records;

use blocked::GENEROUS;
use blocked::spawn_blocked;
use concourse::BuildError;
use concourse::Event;
use concourse::Group;
use concourse::Queue;
use concourse::Runtime;
use concourse::Semaphore;
use concourse::Shutdown;
use concourse::SyncError;
use records::Fate;
use records::Records;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Instant;

fn runtime(threads: usize) -> Runtime {
    Runtime::builder().threads(threads).build().unwrap()
}

/// Counts who is inside at the same time.
#[derive(Default)]
struct Room {
    inside: AtomicUsize,
    most: AtomicUsize,
    visits: AtomicUsize,
}

impl Room {
    fn visit(&self) {
        self.most.fetch_max(self.inside.fetch_add(1, SeqCst) + 1, SeqCst);
        thread::yield_now();
        self.inside.fetch_sub(1, SeqCst);
        self.visits.fetch_add(1, SeqCst);
    }
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + GENEROUS;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::yield_now();
    }
}

/// A queue of each kind on `target`, and one of each kind on each of these.
fn subtree(runtime: &Runtime, target: &Queue) -> Vec<Queue> {
    let mut queues = vec![
        runtime.queue("serial").target(target).build().unwrap(),
        runtime.queue("concurrent").concurrent().target(target).build().unwrap(),
    ];
    for number in 0..2 {
        queues.push(runtime.queue("deep serial").target(&queues[number]).build().unwrap());
        queues.push(runtime.queue("deep concurrent").concurrent().target(&queues[number]).build().unwrap());
    }
    queues
}

#[test]
fn a_serial_target_runs_one_job_of_its_subtree_at_a_time() {
    let runtime = runtime(4);
    let root = runtime.serial("root");
    let queues = subtree(&runtime, &root);
    let (room, group) = (Arc::new(Room::default()), Group::new());
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for round in 0..200 {
                    for queue in queues.iter().chain([&root]) {
                        let visitor = Arc::clone(&room);
                        match round % 4 {
                            0 => queue.exec_sync(|| room.visit()),
                            1 => queue.barrier_sync(|| room.visit()),
                            _ => group.exec_async(queue, move || visitor.visit()),
                        }
                    }
                }
            });
        }
    });
    group.wait_timeout(GENEROUS).unwrap();
    assert_eq!(room.visits.load(SeqCst), 3 * 200 * 7);
    assert_eq!(room.most.load(SeqCst), 1);
}

#[test]
fn the_width_of_a_target_bounds_the_sum_of_its_children() {
    let runtime = runtime(8);
    let root = runtime.queue("root").concurrent().width(3).build().unwrap();
    let queues = subtree(&runtime, &root);
    let (room, group) = (Arc::new(Room::default()), Group::new());
    let (arrived, go) = (Semaphore::new(0), Event::new());
    for _ in 0..20 {
        for queue in &queues {
            let (room, arrived, go) = (Arc::clone(&room), arrived.clone(), go.clone());
            group.exec_async(queue, move || {
                room.most.fetch_max(room.inside.fetch_add(1, SeqCst) + 1, SeqCst);
                arrived.signal();
                go.wait();
                room.inside.fetch_sub(1, SeqCst);
            });
        }
    }
    // Three get in at the same time.
    (0..3).for_each(|_| arrived.wait_timeout(GENEROUS).unwrap());
    go.set();
    group.wait_timeout(GENEROUS).unwrap();
    assert_eq!(room.most.load(SeqCst), 3);
}

#[test]
fn a_barrier_on_a_target_excludes_the_jobs_and_the_sync_calls_of_its_children() {
    let runtime = runtime(4);
    let root = runtime.concurrent("root");
    let queues = subtree(&runtime, &root);
    let (readers, broken, group) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Group::new());
    let read = |readers: &AtomicUsize| {
        readers.fetch_add(1, SeqCst);
        thread::yield_now();
        readers.fetch_sub(1, SeqCst);
    };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for round in 0..150 {
                    for queue in &queues {
                        let counted = Arc::clone(&readers);
                        if round % 3 == 0 {
                            queue.exec_sync(|| read(&readers));
                        } else {
                            group.exec_async(queue, move || read(&counted));
                        }
                    }
                    let (counted, broken) = (Arc::clone(&readers), Arc::clone(&broken));
                    let write = move || {
                        broken.fetch_add(counted.load(SeqCst), SeqCst);
                        thread::yield_now();
                        broken.fetch_add(counted.load(SeqCst), SeqCst);
                    };
                    if round % 2 == 0 { root.barrier_sync(write) } else { root.barrier_async(write) }
                }
            });
        }
    });
    group.wait_timeout(GENEROUS).unwrap();
    root.barrier_sync(|| ());
    assert_eq!(broken.load(SeqCst), 0);
}

#[test]
fn no_job_of_a_subtree_starts_once_its_target_is_suspended() {
    for is_serial in [true, false] {
        let runtime = runtime(3);
        let root = if is_serial { runtime.serial("root") } else { runtime.concurrent("root") };
        for number in 0..6 {
            let queues = subtree(&runtime, &root);
            let (ran, group) = (Arc::new(AtomicUsize::new(0)), Group::new());
            let (started, go) = (Event::new(), Event::new());
            group.exec_async(&queues[number], {
                let (started, go) = (started.clone(), go.clone());
                move || {
                    started.set();
                    go.wait();
                }
            });
            started.wait_timeout(GENEROUS).unwrap();
            let guard = root.suspend_guard().unwrap();
            for queue in &queues {
                for _ in 0..10 {
                    let ran = Arc::clone(&ran);
                    group.exec_async(queue, move || _ = ran.fetch_add(1, SeqCst));
                }
            }
            // The drain of this queue is in the middle, and the others wait in line.
            go.set();
            wait_until("the pool never comes to rest", || {
                let now = runtime.statistics();
                (now.awake, now.blocked, now.queued) == (0, 0, 0)
            });
            assert_eq!(ran.load(SeqCst), 0, "something has run in spite of the suspension");
            let sync = queues[5 - number].clone();
            let waits = spawn_blocked(move || sync.exec_sync(|| ()));
            assert_eq!(ran.load(SeqCst), 0, "a sync call that waits has run something");
            drop(guard);
            waits.join().unwrap();
            group.wait_timeout(GENEROUS).unwrap();
            assert_eq!(ran.load(SeqCst), 60);
        }
    }
}

#[test]
fn a_sync_call_onto_a_suspended_queue_holds_nothing_of_its_target() {
    for is_serial in [true, false] {
        let runtime = runtime(2);
        let root = if is_serial { runtime.serial("root") } else { runtime.concurrent("root") };
        for child in subtree(&runtime, &root) {
            let guard = child.suspend_guard().unwrap();
            let sync = child.clone();
            let waits = spawn_blocked(move || sync.exec_sync(|| 7));
            let sync = child.clone();
            let waits_alone = spawn_blocked(move || sync.barrier_sync(|| 8));
            // The target is free.
            assert_eq!(root.barrier_sync(|| 1), 1);
            drop(guard);
            assert_eq!((waits.join().unwrap(), waits_alone.join().unwrap()), (7, 8));
        }
    }
}

#[test]
fn a_cancellation_below_a_suspended_target_returns_at_once() {
    let records = Records::default();
    let runtime = records.of(Runtime::builder().threads(2)).build().unwrap();
    let root = runtime.serial("root");
    for child in subtree(&runtime, &root) {
        let guard = root.suspend_guard().unwrap();
        (0..5).for_each(|_| child.exec_async(|| unreachable!("it was cancelled")));
        let sync = child.clone();
        let waits = spawn_blocked(move || sync.exec_sync(|| 7));
        assert_eq!(child.cancel_pending(), 5);
        drop(guard);
        assert_eq!(waits.join().unwrap(), 7);
        child.barrier_sync(|| ());
    }
    assert_eq!(records.labels(Fate::Panicked).len(), 0);
}

#[test]
fn a_suspended_target_that_nobody_has_lets_its_children_go_on() {
    let records = Records::default();
    let runtime = records.of(Runtime::builder().threads(2)).build().unwrap();
    for build in [Runtime::serial, Runtime::concurrent] {
        let root = build(&runtime, "root");
        let queues = subtree(&runtime, &root);
        root.suspend().unwrap();
        root.exec_async(|| unreachable!("nobody can resume it"));
        let group = Group::new();
        queues.iter().for_each(|queue| group.exec_async(queue, || ()));
        drop(root);
        group.wait_timeout(GENEROUS).unwrap();
    }
    assert_eq!(records.labels(Fate::Panicked).len(), 0);
    assert_eq!(records.labels(Fate::Dropped).len(), 2);
}

#[test]
fn a_queue_keeps_its_target_alive_and_its_own_order() {
    let runtime = runtime(3);
    for is_serial in [true, false] {
        let root = if is_serial { runtime.serial("root") } else { runtime.concurrent("root") };
        let child = runtime.queue("child").target(&root).build().unwrap();
        assert_eq!(child.target().as_ref(), Some(&root));
        assert_eq!(root.target(), None);
        drop(root);
        let seen = Arc::new(Mutex::new(Vec::new()));
        for number in 0..1_000 {
            let seen = Arc::clone(&seen);
            child.exec_async(move || seen.lock().unwrap().push(number));
            if number % 100 == 0 {
                child.exec_sync(|| ());
            }
        }
        child.exec_sync(|| ());
        assert!(seen.lock().unwrap().iter().copied().eq(0..1_000));
    }
}

#[test]
fn sync_calls_go_through_the_longest_chain_and_a_longer_one_is_refused() {
    let runtime = runtime(2);
    let mut chain = vec![runtime.serial("root")];
    let refused = loop {
        let builder = runtime.queue("link").target(chain.last().unwrap());
        let builder = if chain.len() % 3 == 0 { builder.concurrent() } else { builder };
        match builder.build() {
            Ok(queue) => chain.push(queue),
            Err(error) => break error,
        }
    };
    assert_eq!(chain.len(), 129);
    assert!(matches!(refused, BuildError::ChainTooLong { limit: 128, .. }), "{refused}");
    let top = chain.last().unwrap();
    assert_eq!(top.exec_sync(|| 5), 5);
    let group = Group::new();
    for queue in &chain {
        (0..10).for_each(|_| group.exec_async(queue, || ()));
    }
    assert_eq!(top.barrier_sync(|| 6), 6);
    group.wait_timeout(GENEROUS).unwrap();
    // A call that has to wait too.
    let guard = chain[0].suspend_guard().unwrap();
    let sync = top.clone();
    let waits = spawn_blocked(move || sync.exec_sync(|| 7));
    drop(guard);
    assert_eq!(waits.join().unwrap(), 7);
}

#[test]
fn a_target_of_another_runtime_is_refused() {
    let (here, there) = (runtime(1), runtime(1));
    let foreign = there.serial("there");
    let error = here.queue("here").target(&foreign).build().unwrap_err();
    assert!(error.to_string().contains("\"there\", which belongs to another runtime"), "{error}");
    let inactive = here.queue("here").build_inactive().unwrap();
    assert_eq!(inactive.set_target(&foreign).unwrap_err(), error);
}

#[test]
fn an_inactive_queue_takes_the_last_target_it_was_given() {
    let runtime = runtime(1);
    let (first, second) = (runtime.serial("first"), runtime.serial("second"));
    let inactive = runtime.queue("later").target(&first).build_inactive().unwrap();
    let (ran_on, tell) = (Arc::new(Mutex::new(Vec::new())), Event::new());
    inactive.exec_async({
        let (ran_on, tell) = (Arc::clone(&ran_on), tell.clone());
        let (first, second) = (first.clone(), second.clone());
        move || {
            first.assert_not_current();
            second.assert_current();
            ran_on.lock().unwrap().push(Queue::current().unwrap().label().to_owned());
            tell.set();
        }
    });
    inactive.set_target(&second).unwrap();
    let queue = inactive.activate();
    tell.wait_timeout(GENEROUS).unwrap();
    assert_eq!(queue.target(), Some(second));
    assert_eq!(*ran_on.lock().unwrap(), ["later"]);
}

#[test]
fn no_handle_of_an_inactive_queue_comes_out_of_what_it_drops() {
    struct Catch(Arc<Mutex<Option<Option<Queue>>>>);
    impl Drop for Catch {
        fn drop(&mut self) {
            *self.0.lock().unwrap() = Some(Queue::current());
        }
    }
    let runtime = runtime(1);
    let inactive = runtime.queue("inactive").build_inactive().unwrap();
    let caught = Arc::new(Mutex::new(None));
    let catch = Catch(Arc::clone(&caught));
    inactive.exec_async(move || drop(catch));
    let _ = runtime.shutdown(Shutdown::CancelPending);
    // With one, the queue could be made to target itself.
    assert_eq!(caught.lock().unwrap().take(), Some(None));
}

#[test]
fn the_only_thread_of_a_pool_may_sync_through_targets() {
    let runtime = Runtime::builder().threads(1).max_threads(1).build().unwrap();
    for is_serial in [true, false] {
        let root = if is_serial { runtime.serial("root") } else { runtime.concurrent("root") };
        let queues: Arc<[Queue]> = subtree(&runtime, &root).into();
        let (group, count) = (Group::new(), Arc::new(AtomicUsize::new(0)));
        for number in 0..60 {
            let (queues, count) = (Arc::clone(&queues), Arc::clone(&count));
            group.exec_async(&runtime.serial("caller"), move || {
                // Their drains are scheduled, and the only thread that could run them is this one.
                for queue in &*queues {
                    let count = Arc::clone(&count);
                    queue.exec_async(move || _ = count.fetch_add(1, SeqCst));
                }
                queues[number % queues.len()].barrier_sync(|| count.fetch_add(1, SeqCst));
            });
        }
        group.wait_timeout(GENEROUS).unwrap();
        queues.iter().for_each(|queue| queue.barrier_sync(|| ()));
        assert_eq!(count.load(SeqCst), 60 * 7);
    }
}

#[test]
fn what_a_thread_holds_of_a_chain_decides_whether_a_sync_call_would_deadlock() {
    let runtime = runtime(2);
    let serial = runtime.serial("serial root");
    let (left, right) = (
        runtime.queue("left").target(&serial).build().unwrap(),
        runtime.queue("right").concurrent().target(&serial).build().unwrap(),
    );
    // Below a serial target everything excludes everything.
    for (holds, wants) in [(&left, &serial), (&serial, &left), (&left, &right), (&right, &left), (&right, &serial)] {
        let error = holds.exec_sync(|| wants.try_exec_sync(|| ()).unwrap_err());
        let SyncError::WouldDeadlock { cycle, .. } = &error else { unreachable!() };
        assert_eq!(&*cycle[0].label, wants.label());
        assert_eq!(&*cycle[1].label, holds.label());
        assert!(cycle.iter().any(|queue| &*queue.label == "serial root"), "{error}");
    }
    assert_eq!(right.exec_sync(|| right.exec_sync(|| 3)), 3, "a reader may read again");
    // From a job too, where the frames are the drains'.
    let (told, tell) = (Arc::new(Mutex::new(None)), Event::new());
    left.exec_async({
        let (told, tell, right) = (Arc::clone(&told), tell.clone(), right.clone());
        move || {
            *told.lock().unwrap() = right.try_exec_sync(|| ()).err().map(|error| error.to_string());
            tell.set();
        }
    });
    tell.wait_timeout(GENEROUS).unwrap();
    assert!(told.lock().unwrap().take().unwrap().contains("\"serial root\" while it runs one of its jobs"));
    // Below a concurrent one readers share.
    let shared = runtime.concurrent("concurrent root");
    let (left, right) = (
        runtime.queue("left").target(&shared).build().unwrap(),
        runtime.queue("right").concurrent().target(&shared).build().unwrap(),
    );
    assert_eq!(left.exec_sync(|| right.exec_sync(|| shared.exec_sync(|| 4))), 4);
    assert_eq!(shared.exec_sync(|| left.exec_sync(|| right.barrier_sync(|| 5))), 5);
    shared.barrier_sync(|| assert!(left.try_exec_sync(|| ()).is_err()));
    left.exec_sync(|| assert!(left.try_exec_sync(|| ()).is_err()));
}

#[test]
fn a_panic_below_a_target_releases_the_whole_chain() {
    let records = Records::default();
    let runtime = records.of(Runtime::builder().threads(2)).build().unwrap();
    let root = runtime.serial("root");
    for queue in subtree(&runtime, &root) {
        queue.exec_async(|| panic!("in a job"));
        let caught = std::panic::catch_unwind(|| queue.exec_sync(|| panic!("in a body")));
        assert!(caught.is_err());
        let caught = std::panic::catch_unwind(|| queue.barrier_sync(|| panic!("in a barrier")));
        assert!(caught.is_err());
        assert_eq!(queue.barrier_sync(|| root.label().len()), 4);
    }
    assert_eq!(records.labels(Fate::Panicked).len(), 6);
}

#[test]
fn assertions_about_the_current_queue_see_targets_and_sync_calls() {
    let runtime = runtime(1);
    let root = runtime.serial("root");
    let (child, other) = (runtime.queue("child").target(&root).build().unwrap(), runtime.serial("other"));
    child.exec_sync(|| {
        child.assert_current();
        root.assert_current();
        other.assert_not_current();
        other.exec_sync(|| {
            other.assert_current();
            child.assert_current();
            root.assert_current();
        });
    });
    let message = std::panic::catch_unwind(|| other.exec_sync(|| child.assert_current())).unwrap_err();
    let message = message.downcast::<String>().unwrap();
    assert_eq!(*message, "this must run on queue \"child\", but runs on queue \"other\"");
    let message = std::panic::catch_unwind(|| child.exec_sync(|| root.assert_not_current())).unwrap_err();
    assert!(message.downcast::<String>().unwrap().contains("must not run on queue \"root\""));
    // A job that a waiting thread runs for another queue is not on the queue that this thread holds.
    let guard = other.suspend_guard().unwrap();
    let (holder, tell) = (root.clone(), Event::new());
    other.exec_async({
        let tell = tell.clone();
        move || {
            holder.assert_not_current();
            tell.set();
        }
    });
    let waits = spawn_blocked(move || root.exec_sync(|| other.exec_sync(|| ())));
    drop(guard);
    tell.wait_timeout(GENEROUS).unwrap();
    waits.join().unwrap();
}
