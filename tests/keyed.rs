//! Jobs in order for each key, and side by side across keys.

use concourse::Event;
use concourse::Keyed;
use concourse::Runtime;
use concourse::Shutdown;
use concourse::SubmitError;
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::Barrier;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;
use std::time::Instant;

const GENEROUS: Duration = Duration::from_secs(60);

fn runtime() -> Runtime {
    Runtime::builder().threads(4).build().unwrap()
}

#[track_caller]
fn wait_until_empty<K: Eq + Hash + Clone + Send + 'static>(lines: &Keyed<K>) {
    let deadline = Instant::now() + GENEROUS;
    while !lines.is_empty() {
        assert!(Instant::now() < deadline, "{} keys are never done", lines.len());
        thread::yield_now();
    }
}

#[test]
fn jobs_of_a_key_run_in_order_one_at_a_time_and_none_is_lost() {
    let runtime = runtime();
    let lines = Keyed::new(&runtime.concurrent("keys"));
    let logs: Arc<[Mutex<Vec<usize>>; 8]> = Arc::default();
    let inside: Arc<[AtomicUsize; 8]> = Arc::default();
    let done = concourse::Group::new();
    for number in 0..4_000 {
        let (logs, inside, member) = (Arc::clone(&logs), Arc::clone(&inside), done.enter());
        lines.exec_async(number % 8, move || {
            assert_eq!(inside[number % 8].fetch_add(1, SeqCst), 0);
            logs[number % 8].lock().unwrap().push(number);
            inside[number % 8].fetch_sub(1, SeqCst);
            drop(member);
        });
    }
    done.wait_timeout(GENEROUS).unwrap();
    for (key, log) in logs.iter().enumerate() {
        assert!(log.lock().unwrap().iter().copied().eq((key..4_000).step_by(8)));
    }
}

#[test]
fn different_keys_run_side_by_side_within_the_width_of_their_queue() {
    let runtime = runtime();
    let queue = runtime.queue("two at a time").concurrent().width(2).build().unwrap();
    let (lines, meeting) = (Keyed::new(&queue), Arc::new(Barrier::new(2)));
    let (inside, done) = (Arc::new(AtomicUsize::new(0)), concourse::Group::new());
    for key in 0..20 {
        let (meeting, inside, member) = (Arc::clone(&meeting), Arc::clone(&inside), done.enter());
        lines.exec_async(key, move || {
            assert!(inside.fetch_add(1, SeqCst) < 2);
            meeting.wait();
            inside.fetch_sub(1, SeqCst);
            meeting.wait();
            drop(member);
        });
    }
    done.wait_timeout(GENEROUS).unwrap();
}

#[test]
fn a_busy_key_takes_turns_with_the_others() {
    let runtime = runtime();
    let queue = runtime.serial("turns");
    let guard = queue.suspend_guard().unwrap();
    let (lines, log) = (Keyed::new(&queue), Arc::new(Mutex::new(Vec::new())));
    for key in ["busy", "busy", "busy", "other", "busy"] {
        let log = Arc::clone(&log);
        lines.exec_async(key, move || log.lock().unwrap().push(key));
    }
    drop(guard);
    wait_until_empty(&lines);
    assert_eq!(*log.lock().unwrap(), ["busy", "other", "busy", "busy", "busy"]);
}

#[test]
fn a_key_with_nothing_to_do_is_gone() {
    let runtime = runtime();
    let queue = runtime.concurrent("gone");
    let lines = Keyed::new(&queue);
    for key in 0..1_000 {
        lines.exec_async(Arc::new(key), || ());
    }
    wait_until_empty(&lines);
    assert_eq!(lines.len(), 0);
}

#[test]
fn a_full_line_gives_the_closure_back_and_leaves_other_keys_alone() {
    let rejected = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&rejected);
    let runtime = Runtime::builder().on_rejected(move |_| _ = count.fetch_add(1, SeqCst)).build().unwrap();
    let queue = runtime.concurrent("bounded");
    let lines = Keyed::bounded(&queue, NonZeroUsize::new(2).unwrap());
    let (began, go) = (Event::new(), Event::new());
    let (begin, gate) = (began.clone(), go.clone());
    lines.exec_async("key", move || {
        begin.set();
        gate.wait();
    });
    began.wait_timeout(GENEROUS).unwrap();
    let ran = Arc::new(AtomicUsize::new(0));
    let job = || {
        let ran = Arc::clone(&ran);
        move || _ = ran.fetch_add(1, SeqCst)
    };
    assert!(lines.try_exec_async("key", job()).is_ok() && lines.try_exec_async("key", job()).is_ok());
    let Err(SubmitError::Full(back)) = lines.try_exec_async("key", job()) else { panic!("the line has room") };
    lines.exec_async("key", job());
    assert_eq!(rejected.load(SeqCst), 1);
    assert!(lines.try_exec_async("other", || ()).is_ok());
    go.set();
    wait_until_empty(&lines);
    back();
    assert_eq!(ran.load(SeqCst), 3);
}

#[test]
fn a_panic_leaves_the_rest_of_its_line_in_order() {
    let panics = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&panics);
    let runtime = Runtime::builder().on_panic(move |_| _ = count.fetch_add(1, SeqCst)).build().unwrap();
    let (lines, log) = (Keyed::new(&runtime.concurrent("panics")), Arc::new(Mutex::new(Vec::new())));
    for number in 0..20 {
        let log = Arc::clone(&log);
        lines.exec_async((), move || {
            assert!(number % 3 != 0, "one of three");
            log.lock().unwrap().push(number);
        });
    }
    wait_until_empty(&lines);
    assert!(log.lock().unwrap().iter().copied().eq((0..20).filter(|number| number % 3 != 0)));
    assert_eq!(panics.load(SeqCst), 7);
}

#[test]
fn what_waits_is_cancelled_by_key_and_reported() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&dropped);
    let runtime = Runtime::builder().on_dropped(move |_| _ = count.fetch_add(1, SeqCst)).build().unwrap();
    let queue = runtime.serial("cancelled");
    let guard = queue.suspend_guard().unwrap();
    let (lines, ran) = (Keyed::new(&queue), Arc::new(AtomicUsize::new(0)));
    for key in ["a", "b", "a", "a"] {
        let ran = Arc::clone(&ran);
        lines.exec_async(key, move || _ = ran.fetch_add(1, SeqCst));
    }
    assert_eq!((lines.pending(&"a"), lines.pending(&"c")), (3, 0));
    assert_eq!((lines.cancel_pending(&"a"), lines.cancel_pending(&"c")), (3, 0));
    assert_eq!(dropped.load(SeqCst), 3);
    // The key's turn is still in line, and a job that comes now has it.
    let (late, other) = (Arc::clone(&ran), lines.clone());
    other.exec_async("a", move || _ = late.fetch_add(10, SeqCst));
    drop(guard);
    wait_until_empty(&lines);
    assert_eq!(ran.load(SeqCst), 11);
}

#[test]
fn a_shutdown_runs_or_reports_what_waits() {
    for how in [Shutdown::Drain, Shutdown::CancelPending] {
        let lost = Arc::new(AtomicUsize::new(0));
        let [dropped, rejected] = [Arc::clone(&lost), Arc::clone(&lost)];
        let runtime = Runtime::builder()
            .threads(2)
            .on_dropped(move |_| _ = dropped.fetch_add(1, SeqCst))
            .on_rejected(move |_| _ = rejected.fetch_add(1, SeqCst))
            .build()
            .unwrap();
        let (lines, ran) = (Keyed::new(&runtime.concurrent("ended")), Arc::new(AtomicUsize::new(0)));
        for number in 0..2_000 {
            let ran = Arc::clone(&ran);
            lines.exec_async(number % 7, move || _ = ran.fetch_add(1, SeqCst));
        }
        assert!(runtime.shutdown(how).complete);
        lines.exec_async(0, || unreachable!());
        assert_eq!(ran.load(SeqCst) + lost.load(SeqCst), 2_001);
        assert!(lines.is_empty());
        if how == Shutdown::Drain {
            assert_eq!(ran.load(SeqCst), 2_000);
        }
    }
}

#[test]
fn what_waits_on_a_suspended_queue_that_nobody_can_resume_runs_when_that_closes() {
    let runtime = runtime();
    let queue = runtime.serial("left alone");
    queue.suspend().unwrap();
    let (lines, ran) = (Keyed::new(&queue), Event::new());
    let tell = ran.clone();
    lines.exec_async((), move || tell.set());
    drop((queue, lines));
    ran.wait_timeout(GENEROUS).unwrap();
}

#[test]
fn a_cancelling_shutdown_runs_nothing_that_waits_on_a_global_queue() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&dropped);
    let builder = Runtime::builder().threads(1).max_threads(1).on_dropped(move |_| _ = count.fetch_add(1, SeqCst));
    let runtime = builder.build().unwrap();
    let global = runtime.global(concourse::Qos::Default);
    let (began, go) = (Event::new(), Event::new());
    let (begin, gate) = (began.clone(), go.clone());
    global.exec_async(move || {
        begin.set();
        gate.wait();
    });
    began.wait_timeout(GENEROUS).unwrap();
    let lines = Keyed::new(&global);
    (0..50).for_each(|key| lines.exec_async(key, || unreachable!()));
    thread::scope(|scope| {
        scope.spawn(|| {
            // Nothing is accepted any more once the shutdown has begun.
            while lines.try_exec_async(50, || unreachable!()).is_ok() {
                thread::yield_now();
            }
            go.set();
        });
        runtime.shutdown(Shutdown::CancelPending);
    });
    assert!(dropped.load(SeqCst) >= 50 && lines.is_empty());
}
