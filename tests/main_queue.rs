//! The main queue of a runtime, on the thread of the test: whose jobs run where, how a foreign loop is told, and how other
//! threads' sync calls come there.

mod records;

use concourse::Bounded;
use concourse::Dispatch;
use concourse::Event;
use concourse::Group;
use concourse::MainQueue;
use concourse::MainQueueError;
use concourse::Queue;
use concourse::Runtime;
use concourse::Shutdown;
use concourse::Source;
use concourse::SubmitError;
use concourse::SyncError;
use concourse::TaskError;
use concourse::WhenFull;
use records::Fate;
use records::Records;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::event::poll;
use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::Barrier;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::thread::ThreadId;
use std::time::Duration;
use std::time::Instant;

/// No test waits for so long unless it fails.
const GENEROUS: Duration = Duration::from_secs(60);

fn runtime() -> Runtime {
    Runtime::builder().threads(2).build().unwrap()
}

/// The runtime's main queue, which belongs to the calling thread.
fn owned(runtime: &Runtime) -> MainQueue {
    let main = runtime.main_queue();
    main.turn(0).unwrap();
    main
}

fn me() -> ThreadId {
    thread::current().id()
}

/// Runs the queue until `done` holds.
fn turn_until(main: &MainQueue, done: impl Fn() -> bool) {
    let deadline = Instant::now() + GENEROUS;
    while !done() {
        assert!(Instant::now() < deadline, "what is waited for never comes");
        if main.turn(1).unwrap() == 0 {
            wait_for_jobs(main, Duration::from_millis(20));
        }
    }
}

/// True if jobs wait, or have come within `time`.
fn wait_for_jobs(main: &MainQueue, time: Duration) -> bool {
    let fd = main.as_fd().unwrap();
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::try_from(time).unwrap())).unwrap() == 1
}

fn is_readable(main: &MainQueue) -> bool {
    wait_for_jobs(main, Duration::ZERO)
}

/// Notes a number and the thread that it came on.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<(usize, ThreadId)>>>);

impl Notes {
    fn job(&self, number: usize) -> impl FnOnce() + Send + 'static {
        let notes = self.clone();
        move || notes.add(number)
    }

    fn add(&self, number: usize) {
        self.0.lock().unwrap().push((number, me()));
    }

    /// The numbers so far, each of which must have come on `thread`.
    fn on(&self, thread: ThreadId) -> Vec<usize> {
        let notes = self.0.lock().unwrap();
        assert!(notes.iter().all(|note| note.1 == thread), "a job ran on another thread");
        notes.iter().map(|note| note.0).collect()
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

#[test]
fn jobs_of_many_threads_run_on_the_one_that_runs_the_queue_and_in_order() {
    let runtime = runtime();
    let (main, notes, go) = (owned(&runtime), Notes::default(), Arc::new(Barrier::new(4)));
    for thread in 0..4 {
        let (main, notes, go) = (main.clone(), notes.clone(), Arc::clone(&go));
        runtime.serial("submitter").exec_async(move || {
            concourse::blocking(|| go.wait());
            for number in 0..1_000 {
                main.exec_async(notes.job(10_000 * thread + number));
            }
        });
    }
    turn_until(&main, || notes.len() == 4_000);
    let numbers = notes.on(me());
    for thread in 0..4 {
        assert!(numbers.iter().filter(|number| **number / 10_000 == thread).is_sorted(), "out of order");
    }
}

#[test]
fn a_turn_runs_no_more_than_its_budget_and_says_how_many() {
    let runtime = runtime();
    let (main, notes) = (owned(&runtime), Notes::default());
    (0..5).for_each(|number| main.exec_async(notes.job(number)));
    assert_eq!(main.turn(0), Ok(0));
    assert_eq!(main.turn(2), Ok(2));
    assert_eq!(notes.on(me()), [0, 1]);
    assert_eq!(main.turn(usize::MAX), Ok(3));
    assert_eq!(main.turn(usize::MAX), Ok(0));
}

#[test]
fn each_job_of_a_queue_that_targets_the_main_queue_counts() {
    let runtime = runtime();
    let (main, notes) = (owned(&runtime), Notes::default());
    for queue in [runtime.queue("serial"), runtime.queue("concurrent").concurrent()] {
        let queue = queue.target(&main).build().unwrap();
        (0..5).for_each(|number| queue.exec_async(notes.job(number)));
        assert_eq!((main.turn(2), notes.len()), (Ok(2), 2));
        assert_eq!(main.turn(2), Ok(2));
        turn_until(&main, || notes.len() == 5);
        assert_eq!(notes.on(me()), [0, 1, 2, 3, 4]);
        notes.0.lock().unwrap().clear();
    }
}

#[test]
fn a_job_that_submits_its_successor_leaves_the_turn_when_the_budget_is_used_up() {
    fn again(main: MainQueue, notes: Notes, number: usize) {
        notes.add(number);
        if number < 10 {
            main.clone().exec_async(move || again(main, notes, number + 1));
        }
    }
    let runtime = runtime();
    let (main, notes) = (owned(&runtime), Notes::default());
    let (first, its_notes) = (main.clone(), notes.clone());
    main.exec_async(move || again(first, its_notes, 1));
    assert_eq!(main.turn(4), Ok(4));
    assert_eq!(main.turn(100), Ok(6));
    assert_eq!(notes.on(me()), (1..=10).collect::<Vec<_>>());
}

#[test]
fn the_descriptor_is_readable_exactly_while_jobs_wait() {
    let runtime = runtime();
    let main = owned(&runtime);
    main.exec_async(|| ());
    assert!(is_readable(&main), "made after the job, it knows of it");
    main.turn(1).unwrap();
    assert!(!is_readable(&main));
    for _ in 0..3 {
        main.exec_async(|| ());
        assert!(is_readable(&main));
    }
    main.turn(2).unwrap();
    assert!(is_readable(&main), "one job is left");
    main.turn(0).unwrap();
    assert!(is_readable(&main), "nothing has run");
    main.exec_sync(|| ());
    assert!(!is_readable(&main), "the sync call has run what was ahead of it");
    main.exec_async(|| ());
    let worker = runtime.serial("worker");
    let told = Event::new();
    let tell = told.clone();
    let other = main.clone();
    worker.exec_async(move || {
        tell.set();
        other.exec_sync(|| ());
    });
    told.wait();
    assert_eq!(main.turn(1), Ok(1));
    assert!(wait_for_jobs(&main, GENEROUS), "a lent body is a job like others");
    assert_eq!(main.turn(1), Ok(1));
    assert!(!is_readable(&main));
}

#[test]
fn a_stop_ends_the_run_behind_the_job_that_calls_it() {
    let runtime = runtime();
    let (main, notes) = (owned(&runtime), Notes::default());
    let stopper = main.clone();
    main.exec_async(notes.job(1));
    main.exec_async(move || stopper.stop());
    main.exec_async(notes.job(2));
    main.run().unwrap();
    assert_eq!(notes.on(me()), [1]);
    assert_eq!(main.turn(9), Ok(1));
    assert_eq!(notes.on(me()), [1, 2]);
}

#[test]
fn a_stop_before_the_run_ends_the_next_one_only() {
    let runtime = runtime();
    let (main, notes) = (owned(&runtime), Notes::default());
    main.exec_async(notes.job(1));
    main.stop();
    main.stop();
    main.run().unwrap();
    assert_eq!(notes.len(), 0);
    let stopper = main.clone();
    main.exec_async(move || stopper.stop());
    main.run().unwrap();
    assert_eq!(notes.on(me()), [1]);
}

#[test]
fn a_sleeping_run_is_woken_by_jobs_and_stopped_from_another_thread() {
    let runtime = runtime();
    let (main, notes) = (owned(&runtime), Notes::default());
    let (other, its_notes) = (main.clone(), notes.clone());
    runtime.serial("worker").exec_async(move || {
        for number in 0..100 {
            other.exec_async(its_notes.job(number));
            // Waits until the thread has come to it, so that it sleeps again and again.
            other.exec_sync(|| ());
        }
        other.stop();
    });
    main.run().unwrap();
    assert_eq!(notes.on(me()), (0..100).collect::<Vec<_>>());
}

#[test]
fn of_threads_that_race_for_the_queue_one_owns_it() {
    for _ in 0..100 {
        let runtime = runtime();
        let (main, go) = (runtime.main_queue(), Barrier::new(4));
        let owners = thread::scope(|scope| {
            let claim = || {
                go.wait();
                let first = main.turn(1);
                assert_eq!(main.turn(1), first, "it is decided for good");
                assert!(matches!(first, Ok(0) | Err(MainQueueError::NotMainThread)));
                first.is_ok()
            };
            let threads = [(); 4].map(|()| scope.spawn(claim));
            threads.map(|thread| thread.join().unwrap())
        });
        assert_eq!(owners.iter().filter(|owns| **owns).count(), 1);
        assert_eq!(main.run(), Err(MainQueueError::NotMainThread), "not even once the owner has ended");
    }
}

#[test]
fn a_job_of_the_queue_can_neither_run_it_nor_sync_onto_it() {
    let runtime = runtime();
    let main = owned(&runtime);
    let child = runtime.queue("child").target(&main).build().unwrap();
    let (seen, same) = (Arc::new(AtomicUsize::new(0)), main.clone());
    for queue in [None, Some(child)] {
        let (seen, same) = (Arc::clone(&seen), same.clone());
        let job = move || {
            assert_eq!(same.turn(1), Err(MainQueueError::Reentrant));
            assert_eq!(same.run(), Err(MainQueueError::Reentrant));
            let error = same.try_exec_sync(|| ()).unwrap_err();
            assert!(error.to_string().contains("\"main\""), "{error}");
            same.assert_current();
            seen.fetch_add(1, SeqCst);
        };
        match queue {
            None => main.exec_async(job),
            Some(queue) => queue.exec_async(job),
        }
    }
    turn_until(&main, || seen.load(SeqCst) == 2);
    main.assert_not_current();
}

#[test]
fn a_sync_call_from_another_thread_runs_here_borrows_and_returns() {
    let runtime = runtime();
    let (main, here) = (owned(&runtime), me());
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..200 {
                let names = [String::from("bolt"), format!("nut {round}")];
                let (longest, thread) = main.exec_sync(|| (names.iter().map(String::len).max(), me()));
                assert_eq!((longest, thread), (names.iter().map(String::len).max(), here));
            }
            main.stop();
        });
        main.run().unwrap();
    });
}

#[test]
fn a_sync_call_keeps_its_place_in_line() {
    let runtime = runtime();
    let (main, notes) = (owned(&runtime), Notes::default());
    main.exec_async(notes.job(1));
    thread::scope(|scope| {
        scope.spawn(|| {
            main.exec_async(notes.job(2));
            main.exec_sync(|| notes.add(3));
            main.exec_async(notes.job(4));
            main.stop();
        });
        main.run().unwrap();
    });
    main.turn(9).unwrap();
    assert_eq!(notes.on(me()), [1, 2, 3, 4]);
}

#[test]
fn on_the_main_thread_a_sync_call_runs_what_is_ahead_of_it() {
    let runtime = runtime();
    let (main, notes) = (owned(&runtime), Notes::default());
    let child = runtime.queue("child").concurrent().target(&main).build().unwrap();
    main.exec_async(notes.job(1));
    child.exec_async(notes.job(2));
    main.exec_sync(|| notes.add(3));
    child.exec_async(notes.job(4));
    child.exec_sync(|| notes.add(5));
    child.barrier_sync(|| notes.add(6));
    assert_eq!(notes.on(me()), [1, 2, 3, 4, 5, 6]);
    assert_eq!(main.turn(9), Ok(0));
}

#[test]
fn sync_calls_through_a_chain_run_here_whoever_makes_them() {
    let runtime = runtime();
    let (main, here) = (owned(&runtime), me());
    let serial = runtime.queue("serial").target(&main).build().unwrap();
    let concurrent = runtime.queue("concurrent").concurrent().target(&main).build().unwrap();
    let grandchild = runtime.queue("grandchild").target(&concurrent).build().unwrap();
    let queues = [serial, concurrent, grandchild];
    let (left, notes) = (AtomicUsize::new(3), Notes::default());
    let mut sum = 0_usize;
    let total = Mutex::new(&mut sum);
    thread::scope(|scope| {
        for thread in 0..3 {
            let (queues, notes, left, total, main) = (&queues, &notes, &left, &total, &main);
            scope.spawn(move || {
                for round in 0..150 {
                    let queue = &queues[(thread + round) % 3];
                    queue.exec_async(notes.job(round));
                    queue.exec_sync(|| {
                        assert_eq!(me(), here);
                        queue.assert_current();
                        main.assert_current();
                        **total.lock().unwrap() += 1;
                    });
                    if round % 10 == 0 {
                        queue.barrier_sync(|| assert_eq!(me(), here));
                    }
                }
                if left.fetch_sub(1, SeqCst) == 1 {
                    main.stop();
                }
            });
        }
        main.run().unwrap();
    });
    turn_until(&main, || notes.len() == 450);
    assert_eq!(notes.on(here).len(), 450);
    assert_eq!(sum, 450);
}

#[test]
fn a_panic_of_a_lent_body_goes_to_its_caller() {
    let (runtime, records) = recorded();
    let main = owned(&runtime);
    let child = runtime.queue("child").target(&main).build().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let on_main = catch_unwind(AssertUnwindSafe(|| main.exec_sync(|| panic!("lent"))));
            let on_child = catch_unwind(AssertUnwindSafe(|| child.exec_sync(|| panic!("lent"))));
            for caught in [on_main, on_child] {
                assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"lent"));
            }
            assert_eq!((main.exec_sync(|| 1), child.exec_sync(|| 2)), (1, 2), "the queues have been released");
            main.stop();
        });
        main.run().unwrap();
    });
    assert_eq!(records.labels(Fate::Panicked), [""; 0]);
}

#[test]
fn a_panic_of_a_job_is_contained_and_reported() {
    let (runtime, records) = recorded();
    let main = owned(&runtime);
    main.exec_async(|| panic!("contained"));
    main.exec_async(|| ());
    assert_eq!(main.turn(9), Ok(2));
    assert_eq!(records.labels(Fate::Panicked), ["main"]);
}

fn recorded() -> (Runtime, Records) {
    let records = Records::default();
    (records.of(Runtime::builder().threads(2)).build().unwrap(), records)
}

/// The labels of the cycle that `error` names.
fn cycle<F>(error: &SyncError<F>) -> Vec<String> {
    let SyncError::WouldDeadlock { cycle, .. } = error else { panic!("another error") };
    cycle.iter().map(|queue| queue.label.to_string()).collect()
}

#[test]
fn what_its_caller_holds_a_lent_body_is_told_not_to_wait_for() {
    let runtime = runtime();
    let main = owned(&runtime);
    let (outer, inner) = (runtime.serial("outer"), runtime.serial("inner"));
    thread::scope(|scope| {
        scope.spawn(|| {
            outer.exec_sync(|| {
                inner.exec_sync(|| {
                    main.exec_sync(|| {
                        let error = outer.try_exec_sync(|| ()).unwrap_err();
                        assert_eq!(cycle(&error)[..4], ["outer", "main", "inner", "outer"]);
                        assert_eq!(outer.cancel_pending(), 0, "it holds the queue as its caller does");
                        inner.assert_current();
                        main.assert_current();
                        assert_eq!(Queue::current(), None);
                    });
                });
            });
            main.stop();
        });
        main.run().unwrap();
    });
}

#[test]
fn what_the_main_thread_holds_a_lent_body_is_told_not_to_wait_for() {
    let runtime = runtime();
    let main = owned(&runtime);
    let held = runtime.serial("held by the main thread");
    thread::scope(|scope| {
        scope.spawn(|| {
            main.exec_sync(|| {
                let error = held.try_exec_sync(|| ()).unwrap_err();
                assert!(cycle(&error).contains(&held.label().to_owned()));
                held.assert_not_current();
            });
            main.stop();
        });
        held.exec_sync(|| main.run().unwrap());
    });
}

#[test]
fn a_reader_that_lends_its_body_may_read_again_inside() {
    let runtime = runtime();
    let main = owned(&runtime);
    let readers = runtime.concurrent("readers");
    thread::scope(|scope| {
        scope.spawn(|| {
            readers.exec_sync(|| {
                main.exec_sync(|| {
                    assert_eq!(readers.exec_sync(|| 3), 3);
                    assert!(readers.try_exec_async(|| ()).is_ok());
                });
            });
            main.stop();
        });
        main.run().unwrap();
    });
    readers.barrier_sync(|| ());
}

#[test]
fn a_queue_gets_the_main_queue_as_its_target_before_it_is_active() {
    let runtime = runtime();
    let (main, notes) = (owned(&runtime), Notes::default());
    let later = runtime.queue("later").target(&runtime.serial("not this one")).build_inactive().unwrap();
    later.set_target(&main).unwrap();
    later.exec_async(notes.job(1));
    assert_eq!(main.turn(9), Ok(0));
    let later = later.activate();
    assert_eq!(later.target(), None, "the main queue is no `Queue`");
    assert_eq!(main.turn(9), Ok(1));
    assert_eq!(notes.on(me()), [1]);
    let other = self::runtime();
    assert!(other.queue("foreign").target(&main).build().is_err());
}

#[test]
fn a_suspended_child_leaves_the_main_queue_free() {
    let runtime = runtime();
    let (main, notes) = (owned(&runtime), Notes::default());
    let child = runtime.queue("child").target(&main).build().unwrap();
    child.suspend().unwrap();
    let waits = Event::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            waits.set();
            child.exec_sync(|| notes.add(2));
            main.stop();
        });
        waits.wait();
        main.exec_async(notes.job(1));
        turn_until(&main, || notes.len() == 1);
        assert_eq!(main.exec_sync(|| 5), 5, "nobody keeps the main queue while it waits for the child");
        let other = child.clone();
        main.exec_async(move || other.resume().unwrap());
        main.run().unwrap();
    });
    assert_eq!(notes.on(me()), [1, 2]);
}

#[test]
fn timers_sources_and_groups_deliver_here() {
    let runtime = runtime();
    let (main, notes) = (owned(&runtime), Notes::default());
    let sum = Arc::new(AtomicUsize::new(0));
    let (total, same) = (Arc::clone(&sum), main.clone());
    let here = me();
    let bar = Source::add(&main)
        .on_event(move |value: u64| {
            assert_eq!(me(), here);
            same.assert_current();
            total.fetch_add(value as usize, SeqCst);
        })
        .activate();
    let group = Group::new();
    for _ in 0..1_000 {
        let bar = bar.clone();
        group.exec_async(&runtime.concurrent("producers"), move || bar.merge(1));
    }
    let (done, same, left) = (notes.clone(), main.clone(), group.clone());
    group.notify(&main, move || {
        same.assert_current();
        assert!(left.wait_timeout(Duration::ZERO).is_ok(), "the group is empty");
        done.add(1);
    });
    let _ = main.after(Duration::from_millis(5), notes.job(2)).unwrap();
    let ticks = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ticks);
    let timer = Source::timer(&main)
        .every(Duration::from_millis(2))
        .on_event(move |fires| {
            assert_eq!(me(), here);
            count.fetch_add(fires as usize, SeqCst);
        })
        .activate()
        .unwrap();
    turn_until(&main, || sum.load(SeqCst) == 1_000 && notes.len() == 2 && ticks.load(SeqCst) >= 3);
    timer.cancel();
    bar.cancel();
    notes.on(me());
}

#[test]
fn a_drain_elsewhere_leaves_the_queue_to_its_thread_and_names_it() {
    let (runtime, records) = recorded();
    let (main, notes) = (owned(&runtime), Notes::default());
    let child = runtime.queue("child").target(&main).build().unwrap();
    main.exec_async(notes.job(1));
    child.exec_async(notes.job(2));
    let report = thread::scope(|scope| scope.spawn(|| runtime.shutdown(Shutdown::Drain)).join().unwrap());
    assert!(!report.complete);
    assert_eq!(report.suspended, ["main"]);
    main.exec_async(notes.job(3));
    assert_eq!(records.labels(Fate::Rejected), ["main"]);
    assert_eq!(main.turn(9), Ok(2));
    assert_eq!(notes.on(me()), [1, 2]);
    assert!(runtime.shutdown(Shutdown::Drain).complete);
}

#[test]
fn a_drain_on_the_main_thread_runs_the_queue_for_as_long_as_the_runtime_has_jobs() {
    let runtime = runtime();
    let (main, notes) = (owned(&runtime), Notes::default());
    let worker = runtime.serial("worker");
    let (same, its_notes, begun) = (main.clone(), notes.clone(), Event::new());
    let tell = begun.clone();
    worker.exec_async(move || {
        tell.set();
        for number in 0..50 {
            // It waits for the thread that waits for it.
            same.exec_sync(|| its_notes.add(number));
        }
    });
    begun.wait();
    main.exec_async(|| ());
    let report = runtime.shutdown(Shutdown::Drain);
    assert!(report.complete, "{report:?}");
    assert_eq!(notes.on(me()), (0..50).collect::<Vec<_>>());
}

#[test]
fn a_cancellation_drops_and_reports_what_waits_here() {
    let (runtime, records) = recorded();
    let main = owned(&runtime);
    let child = runtime.queue("child").target(&main).build().unwrap();
    main.exec_async(|| unreachable!());
    child.exec_async(|| unreachable!());
    let report = runtime.shutdown(Shutdown::CancelPending);
    assert!(report.complete && report.dropped == 2, "{report:?}");
    assert_eq!(records.labels(Fate::Dropped), ["main", "child"]);
    assert_eq!(main.turn(9), Ok(0));
    assert!(!is_readable(&main));
}

#[test]
fn a_cancellation_lets_a_caller_run_its_own_body() {
    for below in [false, true] {
        let runtime = runtime();
        let main = owned(&runtime);
        let child = runtime.queue("child").target(&main).build().unwrap();
        let runs_on = Mutex::new(None);
        thread::scope(|scope| {
            let caller = scope.spawn(|| {
                let body = || *runs_on.lock().unwrap() = Some(me());
                if below { child.exec_sync(body) } else { main.exec_sync(body) }
            });
            assert!(wait_for_jobs(&main, GENEROUS), "the body has been lent");
            runtime.shutdown(Shutdown::CancelPending);
            let id = caller.thread().id();
            caller.join().unwrap();
            assert_eq!(*runs_on.lock().unwrap(), Some(id));
        });
    }
}

#[test]
fn no_caller_is_lost_and_no_job_strays_when_the_runtime_is_cancelled_under_them() {
    for round in 0..60 {
        let (runtime, main, here) = {
            let runtime = runtime();
            let main = owned(&runtime);
            (runtime, main, me())
        };
        let serial = runtime.queue("serial").target(&main).build().unwrap();
        let concurrent = runtime.queue("concurrent").concurrent().target(&main).build().unwrap();
        let (calls, bodies, strays) = (AtomicUsize::new(0), AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let body = || _ = bodies.fetch_add(1, SeqCst);
                    for _ in 0..40 {
                        let [job, again, last] = [(); 3].map(|()| {
                            let strays = Arc::clone(&strays);
                            move || _ = strays.fetch_add(usize::from(me() != here), SeqCst)
                        });
                        main.exec_async(job);
                        serial.exec_async(again);
                        concurrent.exec_async(last);
                        main.exec_sync(body);
                        serial.exec_sync(body);
                        concurrent.exec_sync(body);
                        concurrent.barrier_sync(body);
                        calls.fetch_add(4, SeqCst);
                    }
                });
            }
            turn_until(&main, || calls.load(SeqCst) >= 4 * round);
            let other = (round % 2 == 1).then(|| scope.spawn(|| runtime.shutdown(Shutdown::CancelPending)));
            if other.is_none() {
                runtime.shutdown(Shutdown::CancelPending);
            }
            turn_until(&main, || calls.load(SeqCst) == 480);
            other.map(|other| other.join().unwrap());
        });
        assert_eq!((bodies.load(SeqCst), strays.load(SeqCst)), (480, 0));
    }
}

#[test]
fn the_finalizer_of_a_queue_that_targets_the_main_queue_runs_here() {
    let runtime = runtime();
    let (main, notes) = (owned(&runtime), Notes::default());
    let child = runtime.queue("child").target(&main).build().unwrap();
    child.set_finalizer(notes.job(2));
    child.exec_async(notes.job(1));
    drop(child);
    turn_until(&main, || notes.len() == 2);
    assert_eq!(notes.on(me()), [1, 2]);
}

#[test]
fn a_cancellation_by_a_job_of_the_queue_waits_for_nobody() {
    for how in [Shutdown::Drain, Shutdown::CancelPending] {
        let runtime = Arc::new(runtime());
        let main = owned(&runtime);
        let (same, finished) = (main.clone(), Event::new());
        let tell = finished.clone();
        runtime.serial("worker").exec_async(move || {
            same.exec_sync(|| ());
            tell.set();
        });
        assert!(wait_for_jobs(&main, GENEROUS), "the worker waits for this thread");
        main.exec_sync(|| ());
        finished.wait_timeout(GENEROUS).unwrap();
        let (same, begun) = (main.clone(), Event::new());
        let tell = begun.clone();
        let ending = Arc::clone(&runtime);
        runtime.serial("worker").exec_async(move || {
            begun.wait();
            same.exec_sync(|| ());
        });
        let reports = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&reports);
        main.exec_async(move || {
            tell.set();
            kept.lock().unwrap().push(ending.shutdown(how));
        });
        turn_until(&main, || !reports.lock().unwrap().is_empty());
        assert!(!reports.lock().unwrap()[0].complete);
        assert!(runtime.shutdown(how).complete);
    }
}

#[test]
fn ten_jobs_that_each_submit_the_next_run_through() {
    fn next(main: MainQueue, left: usize) {
        match left {
            0 => main.stop(),
            _ => main.clone().exec_async(move || next(main, left - 1)),
        }
    }
    let runtime = runtime();
    let main = owned(&runtime);
    next(main.clone(), 10);
    main.run().unwrap();
    assert_eq!(main.turn(9), Ok(0));
}

#[test]
fn the_queue_outlives_its_runtime() {
    let main = owned(&runtime());
    assert!(!is_readable(&main));
    assert!(main.try_exec_async(|| ()).is_err());
    assert_eq!(main.exec_sync(|| 7), 7);
}

#[test]
fn the_main_thread_is_told_that_what_it_waits_for_in_its_own_queue_never_comes() {
    let runtime = runtime();
    let main = owned(&runtime);
    let task = main.submit(|| 1);
    assert!(matches!(task.wait(), Err(TaskError::WouldDeadlock { .. })));
    let bounded = Bounded::new(&main, NonZeroUsize::MIN).when_full(WhenFull::Block);
    bounded.exec_async(|| ());
    assert!(matches!(bounded.try_exec_async(|| ()), Err(SubmitError::WouldDeadlock { .. })));
    assert_eq!(main.turn(10).unwrap(), 2);
    // Whoever may be served by the main thread waits as before.
    let waiter = thread::spawn({
        let task = main.submit(|| 2);
        move || task.wait()
    });
    turn_until(&main, || waiter.is_finished());
    assert_eq!(waiter.join().unwrap(), Ok(2));
}
