//! Panics: contained, reported, and without loss.

use concourse::CancelToken;
use concourse::Dispatch;
use concourse::Event;
use concourse::Group;
use concourse::Isolated;
use concourse::OperationQueue;
use concourse::Qos;
use concourse::Runtime;
use concourse::RuntimeBuilder;
use concourse::Shutdown;
use concourse::Source;
use concourse::WorkItem;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

/// No test waits for so long unless it fails.
const GENEROUS: Duration = Duration::from_secs(60);

/// A panic as its runtime reported it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    label: String,
    message: String,
    line: Option<u32>,
    closure: &'static str,
}

/// A builder whose runtime notes its panics.
fn watched(seen: &Arc<Mutex<Vec<Seen>>>) -> RuntimeBuilder {
    let seen = Arc::clone(seen);
    Runtime::builder().on_panic(move |report| {
        let line = report.location.filter(|location| location.file() == file!()).map(|location| location.line());
        let (label, message) = (report.label.to_owned(), report.message.to_owned());
        seen.lock().unwrap().push(Seen { label, message, line, closure: report.closure });
    })
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        std::panic::panic_any("dropped");
    }
}

#[test]
fn the_report_names_queue_message_place_and_closure() {
    let seen = Arc::default();
    let runtime = watched(&seen).threads(1).build().unwrap();
    let (first, number) = (line!() + 2, 7);
    for queue in [runtime.serial("serial"), runtime.concurrent("concurrent")] {
        queue.exec_async(move || panic!("number {number}"));
        queue.barrier_async(|| panic!("text"));
        queue.exec_async(|| std::panic::panic_any(7));
        queue.barrier_sync(|| ());
    }
    let expected = ["serial", "concurrent"].map(|label| {
        [("number 7", first), ("text", first + 1), ("a payload that is not a text", first + 2)]
            .map(|(message, line)| (label, message, Some(line)))
    });
    let seen = seen.lock().unwrap();
    let found: Vec<_> = seen.iter().map(|seen| (&*seen.label, &*seen.message, seen.line)).collect();
    let mut sorted = expected.concat();
    if found != sorted {
        // The jobs of a concurrent queue that has room for all may end in any order.
        sorted[3..].sort_unstable();
        let mut found = found.clone();
        found[3..].sort_unstable();
        assert_eq!(found, sorted);
    }
    let function = "the_report_names_queue_message_place_and_closure";
    assert!(seen.iter().all(|seen| seen.closure.contains(function)), "{seen:#?}");
}

#[test]
fn the_report_names_the_user_s_closure_whatever_has_wrapped_it() {
    let seen = Arc::default();
    let runtime = watched(&seen).threads(1).build().unwrap();
    let (queue, group, token) = (runtime.serial("serial"), Group::new(), CancelToken::new());
    let fail = || panic!("on purpose");
    group.exec_async(&queue, fail);
    group.notify(&queue, fail);
    drop(queue.submit(fail));
    queue.submit(|| ()).on_complete(&queue, move |_| fail());
    assert!(token.submit(&queue, fail).wait().is_err());
    let state = Isolated::new(queue.clone(), 7);
    state.exec_async(move |_| fail());
    state.read_async(move |_| fail());
    let _handle = token.on_cancel(&queue, fail);
    token.cancel();
    let operations = OperationQueue::builder("operations").target(&queue).build();
    operations.operation("done").run(|| ()).on_complete(&queue, move |_| fail());
    let item = WorkItem::new(|| ());
    item.notify(&queue, move |_| fail());
    item.exec_async(&queue).unwrap();
    assert!(runtime.shutdown(Shutdown::Drain.within(GENEROUS)).complete);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 10, "{seen:#?}");
    let function = "the_report_names_the_user_s_closure_whatever_has_wrapped_it";
    assert!(seen.iter().all(|seen| seen.closure.contains(function)), "{seen:#?}");
}

#[test]
fn a_panic_on_the_global_queue_is_reported_too() {
    let seen = Arc::default();
    let runtime = watched(&seen).threads(1).build().unwrap();
    let line = line!() + 1;
    runtime.global(Qos::Utility).exec_async(|| panic!("loose"));
    let report = runtime.shutdown(Shutdown::Drain);
    assert_eq!((report.complete, report.panics), (true, 1));
    let seen = seen.lock().unwrap();
    assert_eq!((seen.len(), &*seen[0].message, seen[0].line), (1, "loose", Some(line)));
    assert!(seen[0].label.starts_with("global"));
    assert!(seen[0].closure.contains("a_panic_on_the_global_queue"));
}

#[test]
fn no_thread_is_lost_over_a_thousand_panics() {
    let starts = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&starts);
    let builder = Runtime::builder().threads(2).max_threads(2);
    let runtime = builder.on_thread_start(move || _ = count.fetch_add(1, SeqCst)).build().unwrap();
    let (group, ran) = (Group::new(), Arc::new(AtomicUsize::new(0)));
    let (serial, concurrent, global) =
        (runtime.serial("serial"), runtime.concurrent("concurrent"), runtime.global(Qos::Utility));
    for _ in 0..1_000 {
        let own = Arc::clone(&ran);
        let panicking = move || {
            own.fetch_add(1, SeqCst);
            std::panic::resume_unwind(Box::new("one of many"));
        };
        group.exec_async(&serial, panicking.clone());
        group.exec_async(&concurrent, panicking.clone());
        group.exec_async(&global, panicking);
    }
    group.wait_timeout(GENEROUS).unwrap();
    // Both threads are there and work at the same time.
    let (threads, both) = (Arc::new(Mutex::new(HashSet::new())), Arc::new(std::sync::Barrier::new(2)));
    for _ in 0..2 {
        let (threads, both) = (Arc::clone(&threads), Arc::clone(&both));
        group.exec_async(&global, move || {
            threads.lock().unwrap().insert(thread::current().id());
            both.wait();
        });
    }
    group.wait_timeout(GENEROUS).unwrap();
    assert_eq!(threads.lock().unwrap().len(), 2);
    assert_eq!((ran.load(SeqCst), starts.load(SeqCst)), (3_000, 2));
    assert_eq!(runtime.shutdown(Shutdown::Drain).panics, 3_000);
}

#[test]
fn jobs_around_a_panic_run_in_order() {
    let runtime = Runtime::builder().threads(2).build().unwrap();
    let queue = runtime.serial("in order");
    let noted = Arc::new(Mutex::new(Vec::new()));
    for number in 0..300 {
        let noted = Arc::clone(&noted);
        queue.exec_async(move || {
            noted.lock().unwrap().push(number);
            if number % 3 == 0 {
                std::panic::resume_unwind(Box::new(number));
            }
        });
    }
    queue.exec_sync(|| ());
    assert!(noted.lock().unwrap().iter().copied().eq(0..300));
}

#[test]
fn a_closure_whose_captures_panic_when_dropped_costs_a_report_and_nothing_else() {
    let seen = Arc::default();
    let runtime = watched(&seen).threads(1).build().unwrap();
    for queue in [runtime.serial("serial"), runtime.concurrent("concurrent")] {
        let bomb = Bomb;
        queue.exec_async(move || drop(bomb));
        queue.barrier_sync(|| ());
        let bomb = Bomb;
        queue.suspend().unwrap();
        queue.exec_async(move || drop(bomb));
        queue.exec_async(|| ());
        // Dropped unrun, on this thread.
        assert_eq!(queue.cancel_pending(), 2);
        queue.resume().unwrap();
        assert_eq!(queue.barrier_sync(|| 1), 1);
    }
    let report = runtime.shutdown(Shutdown::Drain);
    assert_eq!((report.complete, report.dropped, report.panics), (true, 4, 4));
    assert!(seen.lock().unwrap().iter().all(|seen| seen.message == "dropped"));
}

#[test]
fn a_payload_that_panics_when_dropped_is_contained() {
    let runtime = Runtime::builder().threads(1).build().unwrap();
    let group = Group::new();
    for queue in [runtime.serial("serial"), runtime.concurrent("concurrent")] {
        group.exec_async(&queue, || std::panic::panic_any(Bomb));
        assert_eq!(queue.barrier_sync(|| 1), 1);
    }
    group.exec_async(&runtime.global(Qos::Utility), || std::panic::panic_any(Bomb));
    group.wait_timeout(GENEROUS).unwrap();
    assert_eq!(runtime.shutdown(Shutdown::Drain).panics, 3);
}

#[test]
fn a_hook_that_panics_is_contained_and_called_again() {
    let told = Arc::new(AtomicUsize::new(0));
    let tell = || {
        let told = Arc::clone(&told);
        move || {
            told.fetch_add(1, SeqCst);
            panic!("in a hook");
        }
    };
    let (panicked, dropped, rejected) = (tell(), tell(), tell());
    let (started, stopped) = (tell(), tell());
    let builder = Runtime::builder().threads(1).max_threads(1).on_thread_start(started).on_thread_stop(stopped);
    let builder = builder.on_panic(move |_| panicked()).on_dropped(move |_| dropped());
    let runtime = builder.on_rejected(move |_| rejected()).build().unwrap();
    let (queue, global) = (runtime.serial("hooked"), runtime.global(Qos::Utility));
    let group = Group::new();
    group.exec_async(&queue, || panic!("in a job"));
    group.exec_async(&global, || panic!("in a loose job"));
    group.wait_timeout(GENEROUS).unwrap();
    queue.suspend().unwrap();
    queue.exec_async(|| ());
    queue.cancel_pending();
    queue.resume().unwrap();
    assert_eq!(queue.exec_sync(|| 1), 1);
    assert!(runtime.shutdown(Shutdown::Drain).complete);
    queue.exec_async(|| ());
    global.exec_async(|| ());
    // Two panics in jobs and two in the hooks of the thread, one drop, two rejections, a start and a stop.
    assert_eq!(told.load(SeqCst), 9);
}

#[test]
fn a_job_for_later_and_a_handler_that_panic_are_reported() {
    let seen = Arc::default();
    let runtime = watched(&seen).threads(1).build().unwrap();
    let (queue, done) = (runtime.serial("late"), Event::new());
    let _ = queue.after(Duration::ZERO, || panic!("after")).unwrap();
    let told = done.clone();
    let _ = queue.after(Duration::from_millis(1), move || told.set()).unwrap();
    done.wait_timeout(GENEROUS).unwrap();
    let (sum, target) = (Arc::new(AtomicUsize::new(0)), runtime.serial("handler"));
    let total = Arc::clone(&sum);
    let source = Source::add(&target)
        .on_event(move |value| {
            let before = total.fetch_add(value as usize, SeqCst);
            assert!(before > 0, "the first event");
        })
        .activate();
    source.merge(1);
    while sum.load(SeqCst) == 0 {
        thread::yield_now();
    }
    source.merge(2);
    while sum.load(SeqCst) < 3 {
        thread::yield_now();
    }
    drop(source);
    assert!(runtime.shutdown(Shutdown::Drain).complete);
    let seen = seen.lock().unwrap();
    let found: Vec<_> = seen.iter().map(|seen| (&*seen.label, &*seen.message)).collect();
    assert_eq!(found, [("late", "after"), ("handler", "the first event")]);
}

#[test]
fn the_processs_own_hook_is_still_called() {
    // Each of these panics prints its message through the hook of the test harness, or the one of a program.
    let before = std::panic::take_hook();
    let told = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&told);
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload().downcast_ref() == Some(&"through the hook") {
            count.fetch_add(1, SeqCst);
        }
        before(panic);
    }));
    let seen = Arc::default();
    let runtime = watched(&seen).threads(1).build().unwrap();
    let queue = runtime.serial("hook");
    queue.exec_async(|| std::panic::panic_any("through the hook"));
    queue.exec_sync(|| ());
    assert_eq!((told.load(SeqCst), seen.lock().unwrap().len()), (1, 1));
}
