//! What queues do once their runtime has ended.

use concourse::Dispatch;
use concourse::Event;
use concourse::Runtime;
use concourse::Shutdown;
use std::fs;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// The names of the process's threads that belong to the runtime of this name.
fn threads_of(runtime: &str) -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok());
    names.filter(|name| name.starts_with(runtime)).collect()
}

#[test]
fn a_timer_is_rejected_and_starts_no_thread() {
    let runtime = Runtime::builder().name("over").threads(1).build().unwrap();
    let queue = runtime.serial("queue");
    let _ = runtime.shutdown(Shutdown::Drain);
    let late = queue.after(Duration::from_millis(1), || unreachable!()).unwrap();
    assert!(!late.cancel());
    assert_eq!(threads_of("over"), [""; 0]);
    assert_eq!(runtime.shutdown(Shutdown::Drain).rejected, 1);
}

#[test]
fn a_cancelling_shutdown_starts_no_further_job_of_a_running_drain() {
    for concurrent in [false, true] {
        let runtime = Runtime::builder().threads(2).build().unwrap();
        let queue = if concurrent {
            runtime.queue("one by one").concurrent().width(1).build().unwrap()
        } else {
            runtime.serial("serial")
        };
        let (started, start) = mpsc::channel();
        let probe = queue.clone();
        queue.exec_async(move || {
            started.send(()).unwrap();
            // Until the shutdown has begun.
            while probe.try_exec_async(|| ()).is_ok() {
                thread::sleep(Duration::from_millis(1));
            }
        });
        start.recv().unwrap();
        for _ in 0..10 {
            queue.exec_async(|| panic!("it started after the cancellation"));
        }
        let report = runtime.shutdown(Shutdown::CancelPending);
        assert_eq!((report.complete, report.panics), (true, 0));
        assert!(report.dropped >= 10);
    }
}

#[test]
fn what_was_accepted_while_another_thread_held_the_queue_runs_on_that_thread() {
    for concurrent in [false, true] {
        let runtime = Runtime::builder().threads(1).build().unwrap();
        let queue = if concurrent { runtime.concurrent("held") } else { runtime.serial("held") };
        let (entered, inside) = mpsc::channel();
        let leave = Event::new();
        let (other, left) = (queue.clone(), leave.clone());
        let holder = thread::spawn(move || {
            other.barrier_sync(|| {
                entered.send(()).unwrap();
                left.wait();
            });
            thread::current().id()
        });
        inside.recv().unwrap();
        let (ran, seen) = mpsc::channel();
        for _ in 0..1_000 {
            let ran = ran.clone();
            queue.exec_async(move || ran.send(thread::current().id()).unwrap());
        }
        drop(ran);
        let report = runtime.shutdown(Shutdown::Drain);
        leave.set();
        let holder = holder.join().unwrap();
        let ran_on: Vec<_> = seen.iter().collect();
        assert_eq!(ran_on, vec![holder; 1_000]);
        assert_eq!((report.dropped, runtime.shutdown(Shutdown::Drain).dropped), (0, 0));
    }
}

#[test]
fn a_concurrent_queue_that_is_resumed_after_a_drain_runs_its_jobs_in_order_without_nesting_them() {
    let runtime = Runtime::builder().threads(2).build().unwrap();
    let queue = runtime.queue("wide").concurrent().width(1_000_000).build().unwrap();
    let guard = queue.suspend_guard().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    for number in 0..200_000 {
        let seen = Arc::clone(&seen);
        queue.exec_async(move || seen.lock().unwrap().push(number));
    }
    assert_eq!(runtime.shutdown(Shutdown::Drain).suspended, ["wide"]);
    drop(guard);
    queue.barrier_sync(|| ());
    assert!(seen.lock().unwrap().iter().copied().eq(0..200_000));
}

#[test]
fn a_concurrent_queue_below_a_target_that_is_resumed_after_a_drain_runs_all_its_jobs() {
    // More than one turn of a drain.
    const JOBS: usize = 200;
    for width in [1, 2] {
        let runtime = Runtime::builder().threads(1).build().unwrap();
        let target = runtime.serial("target");
        let queue = runtime.queue("below").concurrent().width(width).target(&target).build().unwrap();
        let guard = queue.suspend_guard().unwrap();
        let ran = Arc::new(AtomicUsize::new(0));
        for _ in 0..JOBS {
            let ran = Arc::clone(&ran);
            queue.exec_async(move || _ = ran.fetch_add(1, SeqCst));
        }
        assert_eq!(runtime.shutdown(Shutdown::Drain).suspended, ["below"]);
        // On this thread, as there is no other one any more.
        drop(guard);
        assert_eq!(ran.load(SeqCst), JOBS);
    }
}
