//! The end of a runtime: what runs, what is dropped, what is rejected, and what is reported.

mod blocked;
mod occupied;
mod records;

use blocked::GENEROUS;
use blocked::spawn_blocked;
use concourse::Dispatch;
use concourse::Event;
use concourse::GlobalQueue;
use concourse::Qos;
use concourse::Queue;
use concourse::QueueBuilder;
use concourse::Runtime;
use concourse::RuntimeBuilder;
use concourse::Shutdown;
use concourse::SubmitError;
use occupied::occupy;
use records::Fate;
use records::Records;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;
use std::time::Instant;

fn recorded(threads: usize) -> (Runtime, Records) {
    let records = Records::default();
    (records.of(Runtime::builder().threads(threads)).build().unwrap(), records)
}

/// One queue of each kind.
fn queues(runtime: &Runtime) -> (Queue, Queue, GlobalQueue) {
    (runtime.serial("serial"), runtime.concurrent("concurrent"), runtime.global(Qos::Utility))
}

/// Counts up when it runs.
fn count(ran: &Arc<AtomicUsize>) -> impl FnOnce() + Send + 'static {
    let ran = Arc::clone(ran);
    move || _ = ran.fetch_add(1, SeqCst)
}

/// Waits until the runtime accepts nothing any more.
fn wait_for_the_end(queue: &QueueBuilder) {
    let deadline = Instant::now() + GENEROUS;
    while queue.clone().build().is_ok() {
        assert!(Instant::now() < deadline, "nobody has shut the runtime down");
        thread::yield_now();
    }
}

#[test]
fn a_drain_runs_everything_that_was_accepted() {
    let (runtime, records) = recorded(2);
    let ran = Arc::new(AtomicUsize::new(0));
    let (serial, concurrent, global) = queues(&runtime);
    for number in 0..1_000 {
        serial.exec_async(count(&ran));
        concurrent.exec_async(count(&ran));
        global.exec_async(count(&ran));
        if number % 100 == 0 {
            concurrent.barrier_async(count(&ran));
        }
    }
    let report = runtime.shutdown(Shutdown::Drain);
    assert_eq!(ran.load(SeqCst), 3_010);
    assert!(report.complete && report.suspended.is_empty(), "{report:?}");
    assert_eq!((report.still_running, report.dropped, report.rejected, report.panics), (0, 0, 0, 0));
    assert!(records.labels(Fate::Dropped).is_empty());
}

#[test]
fn a_drain_of_an_unused_runtime_is_complete() {
    let (runtime, _) = recorded(4);
    let _queue = runtime.serial("unused");
    for how in [Shutdown::Drain, Shutdown::CancelPending, Shutdown::Drain] {
        assert!(runtime.shutdown(how).complete);
    }
}

#[test]
fn a_job_that_submits_itself_again_does_not_keep_a_drain_from_ending() {
    fn again<Q: Dispatch>(queue: &Q, runs: &Arc<AtomicUsize>) {
        let (own, count) = (queue.clone(), Arc::clone(runs));
        queue.exec_async(move || {
            count.fetch_add(1, SeqCst);
            again(&own, &count);
        });
    }
    for kind in 0..3 {
        let (runtime, records) = recorded(1);
        let runs = Arc::new(AtomicUsize::new(0));
        let (serial, concurrent, global) = queues(&runtime);
        match kind {
            0 => again(&serial, &runs),
            1 => again(&concurrent, &runs),
            _ => again(&global, &runs),
        }
        while runs.load(SeqCst) < 100 {
            thread::yield_now();
        }
        let report = runtime.shutdown(Shutdown::Drain.within(Duration::from_secs(10)));
        assert_eq!((report.complete, report.rejected, report.dropped), (true, 1, 0), "kind {kind}");
        assert_eq!(records.labels(Fate::Rejected).len(), 1);
    }
}

#[test]
fn cancelling_drops_and_reports_what_has_not_started() {
    for kind in 0..3 {
        let (runtime, records) = recorded(1);
        let (serial, concurrent, global) = queues(&runtime);
        let (ran, captured) = (Arc::new(AtomicUsize::new(0)), Arc::new(()));
        let go = match kind {
            0 => occupy(&serial),
            1 => occupy(&concurrent.clone()),
            _ => occupy(&global),
        };
        if kind == 1 {
            // Holds back what follows until the first job has ended.
            concurrent.barrier_async(|| ());
        }
        for _ in 0..200 {
            let captured = Arc::clone(&captured);
            let ran = count(&ran);
            let job = move || {
                drop(captured);
                ran();
            };
            match kind {
                0 => serial.exec_async(job),
                1 => concurrent.exec_async(job),
                _ => global.exec_async(job),
            }
        }
        let report = thread::scope(|scope| {
            let shutdown = scope.spawn(|| runtime.shutdown(Shutdown::CancelPending));
            wait_for_the_end(&runtime.queue("probe"));
            // Jobs of the global queue may start on another thread, now that the first one waits.
            go.set();
            shutdown.join().unwrap()
        });
        assert!(report.complete, "{report:?}");
        let expected = 200 + u64::from(kind == 1);
        assert_eq!(ran.load(SeqCst) as u64 + report.dropped, expected, "kind {kind}");
        assert_eq!(Arc::strong_count(&captured), 1);
        let label = ["serial", "concurrent", "global"][kind];
        let dropped = records.labels(Fate::Dropped);
        assert_eq!(dropped.len() as u64, report.dropped);
        assert!(dropped.iter().all(|dropped| dropped.starts_with(label)), "{dropped:?}");
        if kind < 2 {
            assert_eq!(ran.load(SeqCst), 0, "kind {kind}: started after the shutdown");
        }
    }
}

#[test]
fn from_a_job_it_reports_that_job_instead_of_waiting_for_it() {
    for how in [Shutdown::Drain, Shutdown::CancelPending] {
        let (runtime, _) = recorded(2);
        let (runtime, ended) = (Arc::new(runtime), Event::new());
        let report = Arc::new(Mutex::new(None));
        runtime.serial("suicidal").exec_async({
            let (runtime, report, ended) = (Arc::clone(&runtime), Arc::clone(&report), ended.clone());
            move || {
                *report.lock().unwrap() = Some(runtime.shutdown(how));
                drop(runtime);
                ended.set();
            }
        });
        ended.wait_timeout(GENEROUS).unwrap();
        let report = report.lock().unwrap().take().unwrap();
        assert_eq!((report.complete, report.still_running), (false, 1));
        // From outside it then ends in good order.
        let report = runtime.shutdown(Shutdown::Drain.within(GENEROUS));
        assert_eq!((report.complete, report.still_running), (true, 0));
    }
}

#[test]
fn a_runtime_may_be_dropped_by_its_own_job() {
    let (runtime, ended) = (Runtime::builder().threads(1).build().unwrap(), Event::new());
    let (queue, told) = (runtime.serial("last one"), ended.clone());
    queue.exec_async(move || {
        drop(runtime);
        told.set();
    });
    ended.wait_timeout(GENEROUS).unwrap();
    assert!(queue.try_exec_async(|| ()).is_err());
    assert_eq!(queue.exec_sync(|| 1), 1);
}

#[test]
fn a_drain_leaves_suspended_queues_alone_and_names_them() {
    let (runtime, records) = recorded(2);
    let ran = Arc::new(AtomicUsize::new(0));
    let [full, empty, other] = ["full", "empty", "other"].map(|label| runtime.serial(label));
    let crowd = runtime.concurrent("crowd");
    for queue in [&full, &empty, &crowd] {
        queue.suspend().unwrap();
    }
    full.exec_async(count(&ran));
    crowd.exec_async(count(&ran));
    other.exec_async(count(&ran));
    let mut report = runtime.shutdown(Shutdown::Drain.within(GENEROUS));
    report.suspended.sort();
    assert_eq!(report.suspended, ["crowd", "full"]);
    assert_eq!((report.complete, report.still_running, report.dropped), (false, 0, 0));
    assert_eq!(ran.load(SeqCst), 1);
    // What was accepted runs once it may, on the thread that lets it, and is dropped with a queue that nobody resumes.
    full.resume().unwrap();
    assert_eq!(ran.load(SeqCst), 2);
    drop(crowd);
    assert_eq!(records.labels(Fate::Dropped), ["crowd"]);
    let report = runtime.shutdown(Shutdown::Drain);
    assert_eq!((report.dropped, report.suspended.len(), ran.load(SeqCst)), (1, 0, 2));
}

#[test]
fn cancelling_empties_suspended_queues_too() {
    let (runtime, records) = recorded(2);
    let captured = Arc::new(());
    let queues = [runtime.serial("serial"), runtime.concurrent("concurrent")];
    for queue in &queues {
        queue.suspend().unwrap();
        for _ in 0..100 {
            let captured = Arc::clone(&captured);
            queue.exec_async(move || drop(captured));
        }
    }
    let report = runtime.shutdown(Shutdown::CancelPending);
    assert_eq!((report.complete, report.dropped), (true, 200), "{report:?}");
    assert_eq!((records.labels(Fate::Dropped).len(), Arc::strong_count(&captured)), (200, 1));
}

#[test]
fn what_comes_after_the_end_is_rejected() {
    let (runtime, records) = recorded(1);
    let (serial, concurrent, global) = queues(&runtime);
    assert!(runtime.shutdown(Shutdown::Drain).complete);
    let captured = Arc::new(());
    let capture = || {
        let captured = Arc::clone(&captured);
        move || drop(captured)
    };
    serial.exec_async(capture());
    concurrent.exec_async(capture());
    concurrent.barrier_async(capture());
    global.exec_async(capture());
    let labels = ["serial", "concurrent", "concurrent", "global-utility"];
    assert_eq!(records.labels(Fate::Rejected), labels);
    assert_eq!(Arc::strong_count(&captured), 1);
    // The other way it comes back.
    let SubmitError::ShutDown(back) = serial.try_exec_async(capture()).unwrap_err() else { unreachable!() };
    back();
    concurrent.try_exec_async(capture()).unwrap_err().into_inner()();
    global.try_exec_async(capture()).unwrap_err().into_inner()();
    let report = runtime.shutdown(Shutdown::Drain);
    assert_eq!((report.rejected, Arc::strong_count(&captured)), (4, 1));
    assert!(runtime.queue("late").build().is_err());
    assert!(runtime.queue("late").build_inactive().is_err());
}

#[test]
fn what_comes_to_a_suspended_queue_after_the_end_is_rejected() {
    let (runtime, records) = recorded(1);
    let captured = Arc::new(());
    let queues = [runtime.serial("serial"), runtime.concurrent("concurrent")];
    for queue in &queues {
        queue.suspend().unwrap();
        queue.exec_async(|| ());
    }
    assert_eq!(runtime.shutdown(Shutdown::Drain).suspended.len(), 2);
    for queue in &queues {
        let captured = Arc::clone(&captured);
        queue.exec_async(move || drop(captured));
    }
    assert_eq!(records.labels(Fate::Rejected), ["serial", "concurrent"]);
    assert_eq!(Arc::strong_count(&captured), 1);
}

#[test]
fn sync_calls_still_run_after_the_end() {
    let (runtime, _) = recorded(1);
    let (serial, concurrent, global) = queues(&runtime);
    drop(runtime);
    let own = thread::current().id();
    for _ in 0..3 {
        assert_eq!(serial.exec_sync(|| thread::current().id()), own);
        assert_eq!(concurrent.exec_sync(|| thread::current().id()), own);
        assert_eq!(concurrent.barrier_sync(|| thread::current().id()), own);
        assert_eq!(global.exec_sync(|| thread::current().id()), own);
        serial.exec_async(|| unreachable!());
        concurrent.exec_async(|| unreachable!());
    }
    // Also when they have to wait for each other.
    let sum = Arc::new(AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    serial.exec_sync(|| sum.store(sum.load(SeqCst) + 1, SeqCst));
                }
            });
        }
    });
    assert_eq!(sum.load(SeqCst), 2_000);
}

#[test]
fn a_deadline_passes_while_a_job_runs_and_the_next_call_finds_the_end() {
    for how in [Shutdown::Drain, Shutdown::CancelPending] {
        let (runtime, records) = recorded(1);
        let queue = runtime.serial("slow");
        let go = occupy(&queue);
        (0..10).for_each(|_| queue.exec_async(|| ()));
        let (time, start) = (Duration::from_millis(30), Instant::now());
        let report = runtime.shutdown(how.within(time));
        assert!(start.elapsed() >= time && start.elapsed() < Duration::from_secs(10));
        assert_eq!((report.complete, report.still_running), (false, 1));
        go.set();
        let report = runtime.shutdown(how.within(GENEROUS));
        assert_eq!((report.complete, report.still_running, report.dropped), (true, 0, 10));
        assert_eq!(records.labels(Fate::Dropped), ["slow"; 10]);
    }
}

#[test]
fn dropping_a_runtime_cancels_and_waits_for_what_runs() {
    let (runtime, records) = recorded(1);
    let queue = runtime.serial("dropped");
    let ended = Arc::new(AtomicUsize::new(0));
    let (begun, go, end) = (Event::new(), Event::new(), Arc::clone(&ended));
    queue.exec_async({
        let (begun, go) = (begun.clone(), go.clone());
        move || {
            begun.set();
            go.wait();
            end.fetch_add(1, SeqCst);
        }
    });
    begun.wait();
    (0..10).for_each(|_| queue.exec_async(count(&ended)));
    let probe = runtime.queue("probe");
    let dropping = spawn_blocked(move || drop(runtime));
    wait_for_the_end(&probe);
    go.set();
    dropping.join().unwrap();
    let dropped = records.labels(Fate::Dropped).len();
    assert_eq!(ended.load(SeqCst) + dropped, 11);
    assert!(ended.load(SeqCst) >= 1);
}

#[test]
fn a_runtime_that_is_dropped_gives_up_on_a_job_that_does_not_end() {
    let runtime = Runtime::builder().threads(1).drop_within(Duration::from_millis(20)).build().unwrap();
    let queue = runtime.serial("endless");
    let go = occupy(&queue);
    let start = Instant::now();
    drop(runtime);
    assert!(start.elapsed() < Duration::from_secs(10));
    // The thread ends by itself, and the queue with it.
    go.set();
    assert_eq!(queue.exec_sync(|| 1), 1);
}

#[test]
fn its_threads_are_gone_when_it_has_ended() {
    let live = Arc::new(AtomicUsize::new(0));
    let (up, down) = (Arc::clone(&live), Arc::clone(&live));
    let hooked = |builder: RuntimeBuilder| {
        builder
            .on_thread_start(move || _ = up.fetch_add(1, SeqCst))
            .on_thread_stop(move || _ = down.fetch_sub(1, SeqCst))
    };
    let runtime = hooked(Runtime::builder().threads(3)).build().unwrap();
    let all = Arc::new(std::sync::Barrier::new(4));
    for _ in 0..3 {
        let all = Arc::clone(&all);
        runtime.global(Qos::Utility).exec_async(move || _ = all.wait());
    }
    all.wait();
    // Jobs that the system holds up while another one is queued may have been given one more thread.
    assert!(live.load(SeqCst) >= 3);
    assert!(runtime.shutdown(Shutdown::Drain).complete);
    assert_eq!(live.load(SeqCst), 0);
}

#[test]
fn submissions_during_the_end_run_or_are_reported() {
    for round in 0..20 {
        let (runtime, records) = recorded(2);
        let (serial, concurrent, global) = queues(&runtime);
        let ran = Arc::new(AtomicUsize::new(0));
        let how = if round % 2 == 0 { Shutdown::Drain } else { Shutdown::CancelPending };
        let (submitted, report) = thread::scope(|scope| {
            let producers: Vec<_> = (0..2)
                .map(|_| {
                    let (serial, concurrent, global) = (serial.clone(), concurrent.clone(), global.clone());
                    let ran = &ran;
                    scope.spawn(move || {
                        let mut submitted = 0;
                        // On until the end has been seen, and a little further.
                        for _ in 0..20 {
                            let mut open = true;
                            while open && submitted < 30_000 {
                                open = serial.try_exec_async(count(ran)).is_ok();
                                submitted += usize::from(open);
                                concurrent.exec_async(count(ran));
                                global.exec_async(count(ran));
                                submitted += 2;
                            }
                        }
                        submitted
                    })
                })
                .collect();
            while ran.load(SeqCst) < 50 {
                thread::yield_now();
            }
            let report = runtime.shutdown(how);
            (producers.into_iter().map(|producer| producer.join().unwrap()).sum::<usize>(), report)
        });
        assert!(report.complete, "{report:?}");
        drop((serial, concurrent, global));
        let report = runtime.shutdown(how);
        let lost = (report.dropped + report.rejected) as usize;
        assert_eq!(ran.load(SeqCst) + lost, submitted, "round {round}: {report:?}");
        assert_eq!(records.labels(Fate::Dropped).len() + records.labels(Fate::Rejected).len(), lost);
    }
}

#[test]
fn a_cancelling_shutdown_drops_what_a_queue_holds_back_that_was_suspended_while_its_job_ran() {
    for build in [Runtime::serial, Runtime::concurrent] {
        let (runtime, records) = recorded(2);
        let queue = build(&runtime, "queue");
        let (started, go) = (Event::new(), Event::new());
        let (tell, wait) = (started.clone(), go.clone());
        queue.barrier_async(move || {
            tell.set();
            wait.wait();
        });
        started.wait_timeout(GENEROUS).unwrap();
        queue.suspend().unwrap();
        let canary = Arc::new(());
        let captured = Arc::clone(&canary);
        queue.exec_async(move || drop(captured));
        let shutdown = spawn_blocked(move || runtime.shutdown(Shutdown::CancelPending));
        go.set();
        let report = shutdown.join().unwrap();
        assert!(report.complete, "{report:?}");
        assert_eq!((Arc::strong_count(&canary), report.dropped), (1, 1));
        assert_eq!(records.labels(Fate::Dropped), ["queue"]);
    }
}
