//! Parallel loops: libdispatch's own scenarios, and what a loop promises of width, order, borrows and panics.

mod blocked;
mod records;

use blocked::GENEROUS;
use concourse::Event;
use concourse::Qos;
use concourse::Queue;
use concourse::Runtime;
use concourse::RuntimeBuilder;
use concourse::Semaphore;
use concourse::Shutdown;
use records::Fate;
use records::Records;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Instant;

fn runtime(threads: usize) -> Runtime {
    Runtime::builder().threads(threads).build().unwrap()
}

/// How often each index of a loop came.
fn counts(n: usize) -> Vec<AtomicUsize> {
    (0..n).map(|_| AtomicUsize::new(0)).collect()
}

fn assert_once_each(counts: &[AtomicUsize]) {
    assert!(counts.iter().all(|count| count.load(Relaxed) == 1));
}

/// Counts how many are inside at the same time.
#[derive(Default)]
struct Crowd {
    inside: AtomicUsize,
    most: AtomicUsize,
}

impl Crowd {
    fn visit(&self) {
        self.most.fetch_max(self.inside.fetch_add(1, SeqCst) + 1, SeqCst);
        (0..100).for_each(|_| thread::yield_now());
        self.inside.fetch_sub(1, SeqCst);
    }

    fn most(&self) -> usize {
        self.most.load(SeqCst)
    }
}

/// Waits for a condition.
fn wait_until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + GENEROUS;
    while !condition() {
        assert!(Instant::now() < deadline, "the condition never came");
        thread::yield_now();
    }
}

fn panic_of(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).unwrap_err();
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => payload.downcast_ref::<&str>().unwrap().to_string(),
    }
}

#[test]
fn each_of_32_indices_comes_once() {
    let runtime = runtime(2);
    let queues = [runtime.serial("serial"), runtime.concurrent("concurrent")];
    for queue in queues {
        let seen = counts(32);
        queue.apply(32, |i| _ = seen[i].fetch_add(1, Relaxed));
        assert_once_each(&seen);
    }
    let seen = counts(32);
    runtime.global(Qos::Default).apply(32, |i| _ = seen[i].fetch_add(1, Relaxed));
    assert_once_each(&seen);
}

#[test]
fn three_nested_loops_of_32_come_to_32768() {
    let runtime = runtime(2);
    let (queue, global) = (runtime.concurrent("nested"), runtime.global(Qos::Default));
    let count = AtomicUsize::new(0);
    queue.apply(32, |_| queue.apply(32, |_| queue.apply(32, |_| _ = count.fetch_add(1, Relaxed))));
    assert_eq!(count.swap(0, Relaxed), 32_768);
    global.apply(32, |_| global.apply(32, |_| global.apply(32, |_| _ = count.fetch_add(1, Relaxed))));
    assert_eq!(count.into_inner(), 32_768);
}

#[test]
fn while_all_threads_are_busy_the_caller_does_it_alone() {
    let runtime = runtime(2);
    let (queue, global) = (runtime.concurrent("busy"), runtime.global(Qos::Default));
    let (stop, begun, finished) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::default());
    for _ in 0..2 {
        let (stop, begun, finished) = (Arc::clone(&stop), Arc::clone(&begun), Arc::<AtomicUsize>::clone(&finished));
        queue.exec_async(move || {
            begun.fetch_add(1, SeqCst);
            while !stop.load(SeqCst) {
                std::hint::spin_loop();
            }
            finished.fetch_add(1, SeqCst);
        });
    }
    wait_until(|| begun.load(SeqCst) == 2);
    let caller = thread::current().id();
    let seen = [counts(32), counts(32)];
    let visit = |seen: &[AtomicUsize], i: usize| {
        assert_eq!(thread::current().id(), caller);
        seen[i].fetch_add(1, Relaxed);
    };
    queue.apply(32, |i| visit(&seen[0], i));
    global.apply(32, |i| visit(&seen[1], i));
    seen.iter().for_each(|seen| assert_once_each(seen));
    assert_eq!(finished.load(SeqCst), 0);
    stop.store(true, SeqCst);
    wait_until(|| finished.load(SeqCst) == 2);
}

#[test]
fn a_semaphore_of_one_is_a_lock() {
    let runtime = runtime(4);
    // Reads and writes apart: without the lock some would be lost.
    let (semaphore, counter) = (Semaphore::new(1), AtomicUsize::new(0));
    runtime.concurrent("locked").apply(10_000, |_| {
        let _permit = semaphore.acquire();
        counter.store(counter.load(Relaxed) + 1, Relaxed);
    });
    assert_eq!(counter.into_inner(), 10_000);
}

#[test]
fn long_calls_are_spread_one_by_one() {
    let runtime = runtime(2);
    for n in [2, 6] {
        let arrived = [AtomicUsize::new(0), AtomicUsize::new(0)];
        // Each of the first two waits for the other, so no thread can have been given both.
        let meet = |arrived: &AtomicUsize, i: usize| {
            if i < 2 {
                arrived.fetch_add(1, SeqCst);
                wait_until(|| arrived.load(SeqCst) == 2);
            }
        };
        runtime.concurrent("spread").apply(n, |i| meet(&arrived[0], i));
        runtime.global(Qos::Default).apply(n, |i| meet(&arrived[1], i));
    }
}

#[test]
fn a_serial_queue_takes_one_at_a_time_in_order_on_the_calling_thread() {
    let runtime = runtime(2);
    let queue = runtime.serial("in order");
    let (order, caller) = (Mutex::new(Vec::new()), thread::current().id());
    queue.apply(1_000, |i| {
        assert_eq!((thread::current().id(), Queue::current().as_ref()), (caller, Some(&queue)));
        order.lock().unwrap().push(i);
    });
    assert!(order.into_inner().unwrap().into_iter().eq(0..1_000));
}

#[test]
fn a_width_bounds_the_loop_the_caller_included() {
    let runtime = runtime(4);
    for width in [1, 2, 3] {
        let queue = runtime.queue("narrow").concurrent().width(width).build().unwrap();
        let crowd = Crowd::default();
        queue.apply(200, |_| crowd.visit());
        assert!((1..=width).contains(&crowd.most()), "{} at the same time", crowd.most());
    }
    let crowd = Crowd::default();
    runtime.concurrent("wide").apply(200, |_| crowd.visit());
    assert!(crowd.most() <= 4, "no more than the runtime has threads");
}

#[test]
fn other_jobs_count_against_the_width_too() {
    let runtime = runtime(4);
    let queue = runtime.queue("shared").concurrent().width(2).build().unwrap();
    let (begun, go) = (Event::new(), Event::new());
    queue.exec_async({
        let (begun, go) = (begun.clone(), go.clone());
        move || {
            begun.set();
            go.wait();
        }
    });
    begun.wait();
    let caller = thread::current().id();
    queue.apply(100, |_| assert_eq!(thread::current().id(), caller));
    go.set();
}

#[test]
fn a_barrier_waits_for_the_loop_and_the_loop_for_a_barrier() {
    let runtime = runtime(2);
    let queue = runtime.concurrent("barriers");
    let (value, done) = (Arc::new(AtomicUsize::new(0)), Event::new());
    let raise = |to: usize| {
        let value = Arc::clone(&value);
        move || value.store(to, SeqCst)
    };
    queue.barrier_async(raise(1));
    queue.apply(100, |i| {
        if i == 0 {
            let (raise, done) = (raise(2), done.clone());
            queue.barrier_async(move || {
                raise();
                done.set();
            });
        }
        assert_eq!(value.load(SeqCst), 1);
    });
    done.wait_timeout(GENEROUS).unwrap();
    assert_eq!(value.load(SeqCst), 2);
}

#[test]
fn loops_run_inside_jobs_of_the_same_concurrent_queue() {
    let runtime = runtime(2);
    let queue = runtime.queue("inside").concurrent().width(2).build().unwrap();
    let (count, done) = (Arc::new(AtomicUsize::new(0)), Semaphore::new(0));
    for _ in 0..8 {
        let (again, count, done) = (queue.clone(), Arc::clone(&count), done.clone());
        queue.exec_async(move || {
            again.apply(100, |_| _ = count.fetch_add(1, Relaxed));
            done.signal();
        });
    }
    for _ in 0..8 {
        done.wait_timeout(GENEROUS).unwrap();
    }
    assert_eq!(count.load(Relaxed), 800);
}

#[test]
fn a_loop_that_could_never_begin_names_the_queues() {
    let runtime = runtime(2);
    let (serial, concurrent) = (runtime.serial("own"), runtime.concurrent("barrier"));
    let message = serial.exec_sync(|| panic_of(|| serial.apply(2, |_| ())));
    assert!(message.contains("\"own\"") && message.contains("never return"), "{message}");
    let message = concurrent.barrier_sync(|| panic_of(|| concurrent.apply(2, |_| ())));
    assert!(message.contains("\"barrier\""), "{message}");
    serial.exec_sync(|| serial.apply(0, |_| unreachable!()));
}

#[test]
fn a_loop_of_none_returns_at_once() {
    let runtime = runtime(2);
    let queue = runtime.concurrent("none");
    let _guard = queue.suspend_guard().unwrap();
    queue.apply(0, |_| unreachable!());
    runtime.global(Qos::Default).apply(0, |_| unreachable!());
}

#[test]
fn a_huge_loop_misses_nothing() {
    const N: usize = 3_000_000;
    let runtime = runtime(4);
    let (count, sum) = (AtomicUsize::new(0), AtomicUsize::new(0));
    runtime.concurrent("huge").apply(N, |i| {
        count.fetch_add(1, Relaxed);
        sum.fetch_add(i, Relaxed);
    });
    assert_eq!((count.into_inner(), sum.into_inner()), (N, N * (N - 1) / 2));
}

#[test]
fn a_panic_ends_the_loop_and_goes_on_in_the_caller() {
    let runtime = runtime(4);
    for queue in [runtime.concurrent("panics"), runtime.serial("panics in order")] {
        let (inside, begun) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let message = panic_of(|| {
            queue.apply(usize::MAX, |i| {
                begun.fetch_add(1, SeqCst);
                assert_ne!(i, 10_000, "a call of the loop");
                inside.fetch_add(1, SeqCst);
            });
        });
        assert!(message.contains("a call of the loop"), "{message}");
        let begun = begun.load(SeqCst);
        assert!(begun > 10_000);
        assert_eq!(begun, inside.load(SeqCst) + 1, "whoever has begun has ended");
        assert_eq!(queue.exec_sync(|| 7), 7);
    }
}

#[test]
fn of_many_panics_the_caller_gets_one_and_no_runtime_hears_of_the_others() {
    let records = Records::default();
    let runtime = records.of(Runtime::builder().threads(4)).build().unwrap();
    let queue = runtime.concurrent("all panic");
    for _ in 0..50 {
        assert_eq!(panic_of(|| queue.apply(100, |_| panic!("each"))), "each");
    }
    queue.barrier_sync(|| ());
    assert_eq!(records.labels(Fate::Panicked).len(), 0);
}

#[test]
fn a_loops_panic_in_a_job_is_reported_with_the_place_where_it_was_raised() {
    let line = Arc::new(Mutex::new(None));
    let on_panic = {
        let line = Arc::clone(&line);
        move |report: &concourse::PanicReport<'_>| *line.lock().unwrap() = report.location.map(|at| at.line())
    };
    let runtime = RuntimeBuilder::on_panic(Runtime::builder().threads(2), on_panic).build().unwrap();
    let (queue, done) = (runtime.concurrent("reported"), Event::new());
    let again = queue.clone();
    let raised = line!() + 1;
    let raise = |_| panic!("reported");
    queue.exec_async(move || again.apply(10, raise));
    queue.barrier_async({
        let done = done.clone();
        move || done.set()
    });
    done.wait_timeout(GENEROUS).unwrap();
    assert_eq!(*line.lock().unwrap(), Some(raised));
}

#[test]
fn a_suspended_queue_holds_the_loop() {
    let runtime = runtime(2);
    let queue = runtime.concurrent("held");
    let guard = queue.suspend_guard().unwrap();
    let begun = Arc::new(AtomicBool::new(false));
    let caller = blocked::spawn_blocked({
        let (queue, begun) = (queue.clone(), Arc::clone(&begun));
        move || queue.apply(10, |_| begun.store(true, SeqCst))
    });
    assert!(!begun.load(SeqCst));
    drop(guard);
    caller.join().unwrap();
    assert!(begun.load(SeqCst));
}

#[test]
fn helpers_that_are_late_find_nothing_and_are_nobodys_loss() {
    let records = Records::default();
    let runtime = records.of(Runtime::builder().threads(4)).build().unwrap();
    let queue = runtime.queue("late").concurrent().width(1).build().unwrap();
    for _ in 0..100 {
        let touched = AtomicUsize::new(0);
        // The width is the caller's, so the helpers are late for certain.
        queue.apply(10, |_| _ = touched.fetch_add(1, Relaxed));
        assert_eq!(touched.into_inner(), 10);
        assert_eq!(queue.cancel_pending(), 0);
    }
    queue.barrier_sync(|| ());
    assert_eq!((records.labels(Fate::Dropped).len(), records.labels(Fate::Rejected).len()), (0, 0));
}

#[test]
fn short_loops_from_several_threads_leave_nothing_behind_on_their_stacks() {
    let runtime = runtime(3);
    let (queue, global) = (runtime.concurrent("short"), runtime.global(Qos::Default));
    thread::scope(|scope| {
        for seed in 0..3 {
            let (queue, global) = (&queue, &global);
            scope.spawn(move || {
                for round in 0..2_000 {
                    let n = 1 + (seed + round) % 7;
                    let seen = counts(n);
                    let mark = |i: usize| _ = seen[i].fetch_add(1, Relaxed);
                    if round % 2 == 0 {
                        queue.apply(n, mark)
                    } else {
                        global.apply(n, mark)
                    }
                    assert_once_each(&seen);
                }
            });
        }
    });
}

#[test]
fn after_shutdown_the_caller_does_it_alone() {
    let records = Records::default();
    let runtime = records.of(Runtime::builder().threads(2)).build().unwrap();
    let (queue, global) = (runtime.concurrent("ended"), runtime.global(Qos::Default));
    assert!(runtime.shutdown(Shutdown::Drain.within(GENEROUS)).complete);
    let caller = thread::current().id();
    let seen = [counts(100), counts(100)];
    let visit = |seen: &[AtomicUsize], i: usize| {
        assert_eq!(thread::current().id(), caller);
        seen[i].fetch_add(1, Relaxed);
    };
    queue.apply(100, |i| visit(&seen[0], i));
    global.apply(100, |i| visit(&seen[1], i));
    seen.iter().for_each(|seen| assert_once_each(seen));
    assert_eq!(records.labels(Fate::Rejected).len(), 0);
}
