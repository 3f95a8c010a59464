//! Suspension: counted, from anywhere, and without a crash at the end of a queue's life.

mod blocked;
mod records;

use blocked::GENEROUS;
use blocked::spawn_blocked;
use concourse::Event;
use concourse::Group;
use concourse::Queue;
use concourse::Runtime;
use concourse::SuspendError;
use records::Fate;
use records::Records;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

fn recorded() -> (Runtime, Records) {
    let records = Records::default();
    (records.of(Runtime::builder().threads(2)).build().unwrap(), records)
}

/// One queue of each kind.
fn queues(runtime: &Runtime) -> [Queue; 2] {
    [runtime.serial("serial"), runtime.concurrent("concurrent")]
}

/// Waits until nothing but the calling function has `shared`.
fn wait_for_the_last<T>(shared: &Arc<T>) {
    let deadline = std::time::Instant::now() + GENEROUS;
    while Arc::strong_count(shared) > 1 {
        assert!(std::time::Instant::now() < deadline, "somebody keeps what was captured");
        thread::yield_now();
    }
}

#[test]
fn two_queues_that_suspend_themselves_are_marked_and_go_on() {
    let (runtime, _) = recorded();
    let noted = Arc::new(Mutex::new(Vec::new()));
    let note = |text: &'static str| {
        let noted = Arc::clone(&noted);
        move || noted.lock().unwrap().push(text)
    };
    let queues = queues(&runtime);
    let group = Group::new();
    let second_done = Group::new();
    for queue in &queues {
        group.exec_async(queue, note("task 1"));
        // Not beside the first, which a concurrent queue would allow.
        queue.barrier_sync(|| ());
        let (own, suspending) = (queue.clone(), note("suspending"));
        group.exec_async(queue, move || {
            own.suspend().unwrap();
            suspending();
        });
    }
    group.wait_timeout(GENEROUS).unwrap();
    note("group done")();
    queues.iter().for_each(|queue| second_done.exec_async(queue, note("task 2")));
    assert_eq!(second_done.count(), 2);
    note("marker")();
    queues.iter().for_each(|queue| queue.resume().unwrap());
    second_done.wait_timeout(GENEROUS).unwrap();
    let mut noted = noted.lock().unwrap();
    assert_eq!(noted.split_off(4), ["group done", "marker", "task 2", "task 2"]);
    noted.sort_unstable();
    assert_eq!(*noted, ["suspending", "suspending", "task 1", "task 1"]);
}

#[test]
fn a_queue_goes_on_after_as_many_resumes_as_suspends() {
    let (runtime, _) = recorded();
    for queue in queues(&runtime) {
        let ran = Arc::new(AtomicUsize::new(0));
        (0..3).for_each(|_| queue.suspend().unwrap());
        for _ in 0..100 {
            let ran = Arc::clone(&ran);
            queue.exec_async(move || _ = ran.fetch_add(1, SeqCst));
        }
        for _ in 0..2 {
            queue.resume().unwrap();
            // A job that had started would have to be waited for: none has.
            assert_eq!(ran.load(SeqCst), 0);
        }
        queue.resume().unwrap();
        queue.barrier_sync(|| ());
        assert_eq!(ran.load(SeqCst), 100);
    }
}

#[test]
fn a_resume_too_many_is_an_error_and_changes_nothing() {
    let (runtime, _) = recorded();
    for queue in queues(&runtime) {
        let label = Arc::from(queue.label());
        assert_eq!(queue.resume(), Err(SuspendError::OverResume { label: Arc::clone(&label) }));
        queue.suspend().unwrap();
        queue.resume().unwrap();
        assert_eq!(queue.resume(), Err(SuspendError::OverResume { label }));
        assert_eq!(queue.exec_sync(|| 1), 1);
        queue.suspend().unwrap();
        let waiter = spawn_blocked({
            let queue = queue.clone();
            move || queue.exec_sync(|| 2)
        });
        queue.resume().unwrap();
        assert_eq!(waiter.join().unwrap(), 2);
    }
}

#[test]
fn a_job_that_suspends_its_queue_is_finished_and_the_next_does_not_start() {
    let (runtime, _) = recorded();
    let queue = runtime.serial("from within");
    for round in 0..200 {
        let (ran, suspended, held) = (Arc::new(AtomicUsize::new(0)), Event::new(), Event::new());
        queue.exec_async({
            let (queue, ran, held) = (queue.clone(), Arc::clone(&ran), held.clone());
            let suspended = suspended.clone();
            move || {
                held.wait();
                queue.suspend().unwrap();
                ran.fetch_add(1, SeqCst);
                suspended.set();
            }
        });
        for _ in 0..round % 4 {
            let ran = Arc::clone(&ran);
            queue.exec_async(move || _ = ran.fetch_add(1, SeqCst));
        }
        held.set();
        suspended.wait_timeout(GENEROUS).unwrap();
        assert_eq!(ran.load(SeqCst), 1);
        queue.resume().unwrap();
        queue.exec_sync(|| ());
        assert_eq!(ran.load(SeqCst), 1 + round % 4);
    }
}

#[test]
fn nothing_runs_between_suspend_and_resume_however_often() {
    let runtime = Runtime::builder().threads(2).max_threads(2).build().unwrap();
    for (queue, chosen) in queues(&runtime).into_iter().zip([1, 2]) {
        let (ran, total) = (Arc::new(AtomicUsize::new(0)), 20_000);
        let producer = thread::spawn({
            let (queue, ran) = (queue.clone(), Arc::clone(&ran));
            move || {
                for _ in 0..total {
                    let ran = Arc::clone(&ran);
                    queue.exec_async(move || _ = ran.fetch_add(1, SeqCst));
                }
            }
        });
        for _ in 0..200 {
            queue.suspend().unwrap();
            // Jobs that were chosen before the suspension still run: one, or one for each thread.
            let before = ran.load(SeqCst);
            thread::yield_now();
            assert!(ran.load(SeqCst) <= before + chosen);
            queue.resume().unwrap();
        }
        producer.join().unwrap();
        queue.barrier_sync(|| ());
        assert_eq!(ran.load(SeqCst), total);
    }
}

#[test]
fn a_guard_resumes_and_a_forgotten_one_does_not() {
    let (runtime, records) = recorded();
    for queue in queues(&runtime) {
        let ran = Arc::new(AtomicUsize::new(0));
        let add = || {
            let ran = Arc::clone(&ran);
            move || _ = ran.fetch_add(1, SeqCst)
        };
        let (outer, inner) = (queue.suspend_guard().unwrap(), queue.suspend_guard().unwrap());
        queue.exec_async(add());
        drop(outer);
        assert_eq!(ran.load(SeqCst), 0);
        drop(inner);
        queue.barrier_sync(|| ());
        assert_eq!(ran.load(SeqCst), 1);
        // A guard whose suspension somebody has undone takes back nothing.
        let guard = queue.suspend_guard().unwrap();
        queue.resume().unwrap();
        drop(guard);
        queue.barrier_sync(add());
        assert_eq!(ran.load(SeqCst), 2);
        let guard = queue.suspend_guard().unwrap();
        queue.exec_async(add());
        let forgotten = std::mem::ManuallyDrop::new(guard);
        assert_eq!(queue.cancel_pending(), 1);
        queue.resume().unwrap();
        queue.barrier_sync(|| ());
        // Only now, when it takes back nothing, so that its handle is not leaked.
        drop(std::mem::ManuallyDrop::into_inner(forgotten));
        assert_eq!(ran.load(SeqCst), 2);
    }
    assert_eq!(records.labels(Fate::Dropped), ["serial", "concurrent"]);
}

#[test]
fn a_suspended_queue_whose_last_handle_goes_drops_and_reports_each_closure() {
    let (runtime, records) = recorded();
    for queue in queues(&runtime) {
        let captured = Arc::new(());
        queue.suspend().unwrap();
        queue.suspend().unwrap();
        for _ in 0..150 {
            let captured = Arc::clone(&captured);
            queue.exec_async(move || drop(captured));
        }
        let other = queue.clone();
        drop(queue);
        assert_eq!(Arc::strong_count(&captured), 151);
        drop(other);
        wait_for_the_last(&captured);
    }
    let dropped = records.labels(Fate::Dropped);
    assert_eq!(dropped.iter().filter(|label| *label == "serial").count(), 150);
    assert_eq!(dropped.iter().filter(|label| *label == "concurrent").count(), 150);
    assert_eq!(runtime.shutdown(concourse::Shutdown::Drain).dropped, 300);
}

#[test]
fn a_queue_that_suspends_itself_in_its_last_job_drops_the_rest() {
    let (runtime, records) = recorded();
    for queue in queues(&runtime) {
        let (captured, held) = (Arc::new(()), Event::new());
        let wait = held.clone();
        queue.barrier_async(move || {
            wait.wait();
            Queue::current().unwrap().suspend().unwrap();
        });
        for _ in 0..10 {
            let captured = Arc::clone(&captured);
            queue.exec_async(move || drop(captured));
        }
        drop(queue);
        held.set();
        wait_for_the_last(&captured);
    }
    // The last report may come after the last capture has gone.
    assert!(runtime.shutdown(concourse::Shutdown::Drain).complete);
    assert_eq!(records.labels(Fate::Dropped).len(), 20);
}

#[test]
fn an_unsuspended_queue_whose_last_handle_goes_finishes_first() {
    let (runtime, records) = recorded();
    for queue in queues(&runtime) {
        let ran = Arc::new(AtomicUsize::new(0));
        for _ in 0..500 {
            let ran = Arc::clone(&ran);
            queue.exec_async(move || _ = ran.fetch_add(1, SeqCst));
        }
        drop(queue);
        wait_for_the_last(&ran);
        assert_eq!(ran.load(SeqCst), 500);
    }
    assert!(records.labels(Fate::Dropped).is_empty());
}

#[test]
fn an_inactive_queue_keeps_its_jobs_in_order_until_it_is_activated() {
    let (runtime, _) = recorded();
    let inactive = runtime.queue("later").build_inactive().unwrap();
    assert_eq!(inactive.label(), "later");
    let noted = Arc::new(Mutex::new(Vec::new()));
    for number in 0..200 {
        let noted = Arc::clone(&noted);
        inactive.exec_async(move || noted.lock().unwrap().push(number));
    }
    assert!(noted.lock().unwrap().is_empty());
    let queue = inactive.activate();
    queue.exec_sync(|| noted.lock().unwrap().push(200));
    assert!(noted.lock().unwrap().iter().copied().eq(0..=200));
    // It is active now, not suspended.
    assert!(queue.resume().is_err());
}

#[test]
fn an_inactive_queue_that_is_dropped_reports_each_closure() {
    let (runtime, records) = recorded();
    let captured = Arc::new(());
    for builder in [runtime.queue("serial"), runtime.queue("concurrent").concurrent()] {
        let inactive = builder.build_inactive().unwrap();
        for _ in 0..20 {
            let captured = Arc::clone(&captured);
            inactive.exec_async(move || drop(captured));
        }
        drop(inactive);
    }
    wait_for_the_last(&captured);
    assert!(runtime.shutdown(concourse::Shutdown::Drain).complete);
    assert_eq!(records.labels(Fate::Dropped).len(), 40);
}

#[test]
fn pending_jobs_of_a_suspended_queue_can_be_cancelled() {
    let (runtime, records) = recorded();
    for queue in queues(&runtime) {
        let captured = Arc::new(());
        queue.suspend().unwrap();
        for _ in 0..100 {
            let captured = Arc::clone(&captured);
            queue.exec_async(move || drop(captured));
        }
        assert_eq!(queue.cancel_pending(), 100);
        assert_eq!(Arc::strong_count(&captured), 1);
        queue.resume().unwrap();
        assert_eq!(queue.exec_sync(|| 1), 1);
    }
    assert_eq!(records.labels(Fate::Dropped).len(), 200);
}
