//! Forked children: nothing there waits for a thread that only the parent has.
//!
//! A program of its own: the test harness has threads, and a child must end by itself. A child that hangs is ended by its
//! alarm, and one that panics or aborts has no status 0 either.
#![allow(unsafe_code, reason = "fork, and the child's end without the parent's exit handlers")]

use concourse::ClockError;
use concourse::Dispatch;
use concourse::Event;
use concourse::Group;
use concourse::PaceError;
use concourse::PortError;
use concourse::Qos;
use concourse::Queue;
use concourse::Runtime;
use concourse::RuntimeBuilder;
use concourse::RuntimeError;
use concourse::Semaphore;
use concourse::SendError;
use concourse::Shutdown;
use concourse::Source;
use concourse::SubmitError;
use concourse::SyncError;
use concourse::WorkItem;
use concourse::source::Schedule;
use std::io::Read;
use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

/// No test waits for so long unless it fails.
const GENEROUS: Duration = Duration::from_secs(60);

/// Told to LeakSanitizer, where it is linked: a child that ends by itself leaves what the parent's threads own.
#[unsafe(no_mangle)]
extern "C" fn __lsan_is_turned_off() -> libc::c_int {
    1
}

/// A child of this process.
#[must_use]
struct Child(libc::pid_t);

impl Child {
    /// Forks. The child has a minute to live.
    fn fork() -> Option<Self> {
        // SAFETY: the child uses the crate, as its users would, and the standard library, whose locks glibc's allocator and
        // this program leave in order.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "no fork");
        if pid > 0 {
            return Some(Self(pid));
        }
        // SAFETY: no handler is involved: the alarm ends the process.
        unsafe { libc::alarm(60) };
        None
    }

    /// Runs `f` in a child, which ends with status 0 if `f` returns.
    fn run(f: impl FnOnce()) -> Self {
        Self::fork().unwrap_or_else(|| {
            let status = i32::from(catch_unwind(AssertUnwindSafe(f)).is_err());
            // SAFETY: ends the process, and runs nothing of the parent's on the way.
            unsafe { libc::_exit(status) }
        })
    }

    /// How the child ended: its status, or else the number of a signal.
    fn wait(self) -> Result<i32, i32> {
        let mut status = 0;
        // SAFETY: the child is this process's, and `status` is written.
        let waited = unsafe { libc::waitpid(self.0, &raw mut status, 0) };
        assert_eq!(waited, self.0);
        if libc::WIFEXITED(status) { Ok(libc::WEXITSTATUS(status)) } else { Err(libc::WTERMSIG(status)) }
    }

    fn assert_success(self) {
        assert_eq!(self.wait(), Ok(0));
    }
}

fn builder() -> RuntimeBuilder {
    Runtime::builder().threads(2)
}

fn runtime() -> Runtime {
    builder().build().unwrap()
}

/// A job that runs on `queue`, on a thread of the parent, until the guard goes.
fn occupy(queue: &impl Dispatch) -> Occupied {
    let (begun, go) = (Event::new(), Event::new());
    queue.exec_async({
        let (begun, go) = (begun.clone(), go.clone());
        move || {
            begun.set();
            go.wait();
        }
    });
    begun.wait();
    Occupied(go)
}

struct Occupied(Event);

impl Drop for Occupied {
    fn drop(&mut self) {
        self.0.set();
    }
}

fn message_of(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("this cannot be done in a child");
    *payload.downcast::<String>().expect("a text with details")
}

fn submissions_are_refused() {
    let rejected = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&rejected);
    let runtime = builder().on_rejected(move |_| _ = count.fetch_add(1, SeqCst)).build().unwrap();
    let (serial, concurrent, global) =
        (runtime.serial("serial"), runtime.concurrent("concurrent"), runtime.global(Qos::Default));
    let sum = Source::add(&serial).on_event(|_: u64| unreachable!()).activate();
    let main = runtime.main_queue();
    thread::scope(|scope| scope.spawn(|| main.turn(0)).join().unwrap().unwrap());
    Child::run(|| {
        serial.exec_async(|| unreachable!());
        concurrent.exec_async(|| unreachable!());
        concurrent.barrier_async(|| unreachable!());
        global.exec_async(|| unreachable!());
        let _ = serial.after(Duration::ZERO, || unreachable!()).unwrap();
        assert_eq!(rejected.load(SeqCst), 5);
        let called = Arc::new(AtomicUsize::new(0));
        let call = Arc::clone(&called);
        let error = serial.try_exec_async(move || call.store(7, SeqCst)).unwrap_err();
        assert!(matches!(error, SubmitError::Forked(_)) && error.to_string().contains("forked"));
        error.into_inner()();
        assert_eq!(called.load(SeqCst), 7);
        assert!(matches!(concurrent.try_exec_async(|| ()), Err(SubmitError::Forked(_))));
        assert!(matches!(global.try_exec_async(|| ()), Err(SubmitError::Forked(_))));
        assert!(matches!(main.try_exec_async(|| ()), Err(SubmitError::Forked(_))));
        assert!(matches!(main.try_exec_sync(|| ()), Err(SyncError::Forked { .. })), "its thread is not in the child");
        sum.merge(1);
        assert_eq!(rejected.load(SeqCst), 5, "a source is no closure");
    })
    .assert_success();
    assert_eq!(serial.exec_sync(|| rejected.load(SeqCst)), 0, "the parent goes on");
    let ran = Event::new();
    global.exec_async({
        let ran = ran.clone();
        move || ran.set()
    });
    ran.wait_timeout(GENEROUS).unwrap();
}

fn sync_calls_run_on_queues_at_rest() {
    let runtime = runtime();
    let (serial, concurrent) = (runtime.serial("serial"), runtime.concurrent("concurrent"));
    serial.exec_sync(|| ());
    Child::run(|| {
        for _ in 0..2 {
            let mut borrowed = 0;
            serial.exec_sync(|| borrowed += 1);
            concurrent.exec_sync(|| borrowed += 1);
            concurrent.barrier_sync(|| borrowed += 1);
            concurrent.exec_sync(|| concurrent.exec_sync(|| borrowed += 1));
            assert_eq!(borrowed, 4);
        }
        let error = serial.exec_sync(|| serial.try_exec_sync(|| ()).unwrap_err());
        assert!(matches!(error, SyncError::WouldDeadlock { .. }), "a deadlock is still told by its name");
        let count = AtomicUsize::new(0);
        concurrent.apply(100, |_| _ = count.fetch_add(1, SeqCst));
        serial.apply(100, |_| _ = count.fetch_add(1, SeqCst));
        runtime.global(Qos::Default).apply(100, |_| _ = count.fetch_add(1, SeqCst));
        assert_eq!(count.into_inner(), 300);
    })
    .assert_success();
}

fn sync_calls_that_would_wait_are_refused() {
    let runtime = runtime();
    let (busy, read, held) = (runtime.serial("busy"), runtime.concurrent("read"), runtime.serial("held"));
    let _occupied = [occupy(&busy), occupy(&read)];
    let _guard = held.suspend_guard().unwrap();
    Child::run(|| {
        for queue in [&busy, &read, &held] {
            let error = queue.try_exec_sync(|| 7).unwrap_err();
            assert!(matches!(&error, SyncError::Forked { label, .. } if **label == *queue.label()));
            assert_eq!(error.into_inner()(), 7);
            assert!(message_of(|| queue.exec_sync(|| ())).contains("forked"));
            assert!(message_of(|| queue.barrier_sync(|| ())).contains(queue.label()));
        }
    })
    .assert_success();
}

/// A runtime that counts what it drops.
fn counting(threads: usize) -> (Runtime, Arc<AtomicUsize>) {
    let dropped = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&dropped);
    let builder = Runtime::builder().threads(threads);
    (builder.on_dropped(move |_| _ = count.fetch_add(1, SeqCst)).build().unwrap(), dropped)
}

fn what_is_pending_belongs_to_the_parent() {
    let (runtime, dropped) = counting(4);
    let (busy, held) = (runtime.serial("busy"), [runtime.serial("held"), runtime.concurrent("held too")]);
    let occupied = occupy(&busy);
    let ran = Arc::new(AtomicUsize::new(0));
    let count = || {
        let ran = Arc::clone(&ran);
        move || _ = ran.fetch_add(1, SeqCst)
    };
    busy.exec_async(count());
    for held in &held {
        held.suspend().unwrap();
        held.exec_async(count());
    }
    let later = busy.after(Duration::from_secs(3_600), || unreachable!()).unwrap();
    let started = runtime.statistics().started;
    Child::run(|| {
        assert_eq!(busy.cancel_pending(), 0);
        busy.suspend().unwrap();
        busy.resume().unwrap();
        for held in &held {
            assert_eq!(held.cancel_pending(), 0);
            held.resume().unwrap();
            held.suspend().unwrap();
        }
        let report = runtime.shutdown(Shutdown::Drain);
        assert!(!report.complete && report.still_running == 0);
        assert_eq!((ran.load(SeqCst), dropped.load(SeqCst)), (0, 0));
        assert_eq!(runtime.statistics().started, started, "nobody is there to run it");
    })
    .assert_success();
    drop(occupied);
    busy.exec_sync(|| ());
    for held in &held {
        held.resume().unwrap();
        held.barrier_sync(|| ());
    }
    assert_eq!((ran.load(SeqCst), dropped.load(SeqCst)), (3, 0));
    assert!(later.cancel());
}

fn a_runtime_dropped_in_the_child_waits_for_nobody_and_drops_nothing_of_the_parents() {
    let (runtime, dropped) = counting(1);
    let (spinning, stop, ran) = (Event::new(), Arc::new(AtomicBool::new(false)), Event::new());
    let global = runtime.global(Qos::Default);
    // Not a wait: the runtime would start another thread for the second job.
    global.exec_async({
        let (spinning, stop) = (spinning.clone(), Arc::clone(&stop));
        move || {
            spinning.set();
            while !stop.load(SeqCst) {
                std::hint::spin_loop();
            }
        }
    });
    spinning.wait();
    global.exec_async({
        let ran = ran.clone();
        move || ran.set()
    });
    let mut ending = Some((runtime, global));
    Child::run(|| {
        drop(ending.take());
        assert_eq!(dropped.load(SeqCst), 0);
    })
    .assert_success();
    stop.store(true, SeqCst);
    ran.wait_timeout(GENEROUS).unwrap();
    assert_eq!(dropped.load(SeqCst), 0);
}

fn waits_without_an_end_are_told() {
    let runtime = runtime();
    let queue = runtime.serial("busy");
    let _occupied = occupy(&queue);
    let (group, item) = (Group::new(), WorkItem::new(|| ()));
    group.exec_async(&queue, || ());
    item.exec_async(&queue).unwrap();
    let (semaphore, event) = (Semaphore::new(0), Event::new());
    Child::run(|| {
        let told = [
            message_of(|| group.wait()),
            message_of(|| _ = semaphore.acquire()),
            message_of(|| event.wait()),
            message_of(|| _ = item.wait()),
        ];
        assert!(told.iter().all(|told| told.contains("forked child")), "{told:?}");
        assert!(group.wait_timeout(Duration::from_millis(5)).is_err());
        assert!(item.wait_timeout(Duration::from_millis(5)).is_err());
        event.set();
        event.wait();
        // With other threads there may be an end.
        let (sent, lock, counter) = (Event::new(), Semaphore::new(1), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    sent.wait();
                    for _ in 0..100 {
                        let _permit = lock.acquire();
                        counter.store(counter.load(SeqCst) + 1, SeqCst);
                    }
                });
            }
            sent.set();
        });
        assert_eq!(counter.into_inner(), 400);
    })
    .assert_success();
}

/// Forks in what `submit` runs; the child returns from there. Then it must end by itself, and run nothing of the parent's.
fn returns_in_a_child(submit: impl FnOnce(Box<dyn FnOnce() + Send>, Box<dyn FnOnce() + Send>)) {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let mut later = writer.try_clone().unwrap();
    submit(
        Box::new(move || {
            if let Some(child) = Child::fork() {
                tell.send(child).unwrap();
            }
            drop(writer);
        }),
        Box::new(move || later.write_all(b"ran").unwrap()),
    );
    told.recv_timeout(GENEROUS).unwrap().assert_success();
    let mut ran = String::new();
    reader.read_to_string(&mut ran).unwrap();
    assert_eq!(ran, "ran", "in the parent only");
}

fn a_job_that_returns_in_the_child_is_its_end() {
    let runtime = builder().threads(1).build().unwrap();
    for queue in [runtime.serial("serial"), runtime.concurrent("concurrent")] {
        returns_in_a_child(|fork, later| {
            let guard = queue.suspend_guard().unwrap();
            queue.exec_async(fork);
            queue.exec_async(later);
            drop(guard);
        });
    }
    let global = runtime.global(Qos::Default);
    returns_in_a_child(|fork, later| {
        let busy = runtime.serial("busy");
        let occupied = occupy(&busy);
        global.exec_async(fork);
        global.exec_async(later);
        drop(occupied);
    });
}

fn a_waiting_job_of_the_child_starts_no_thread_in_its_place() {
    let runtime = builder().threads(1).build().unwrap();
    let queue = runtime.serial("waits");
    let (mut reader, writer) = std::io::pipe().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let mut later = writer.try_clone().unwrap();
    let global = runtime.global(Qos::Default);
    queue.exec_async(move || {
        global.exec_async(move || later.write_all(b"ran").unwrap());
        let child = Child::run(|| {
            assert!(Event::new().wait_timeout(Duration::from_millis(50)).is_err());
            concourse::blocking(|| ());
        });
        tell.send(child).unwrap();
        drop(writer);
    });
    told.recv_timeout(GENEROUS).unwrap().assert_success();
    let mut ran = String::new();
    reader.read_to_string(&mut ran).unwrap();
    assert_eq!(ran, "ran");
}

fn a_sync_body_that_returns_in_the_child_leaves_the_queue_to_the_parent() {
    let runtime = runtime();
    for queue in [runtime.serial("serial"), runtime.concurrent("concurrent")] {
        let ran = Arc::new(AtomicUsize::new(0));
        let child = queue.barrier_sync(|| {
            let ran = Arc::clone(&ran);
            queue.exec_async(move || _ = ran.fetch_add(1, SeqCst));
            Child::fork()
        });
        let Some(child) = child else {
            let refused = catch_unwind(AssertUnwindSafe(|| {
                assert!(matches!(queue.try_exec_sync(|| ()), Err(SyncError::Forked { .. })));
                assert_eq!(ran.load(SeqCst), 0);
            }));
            // SAFETY: as in `Child::run`.
            unsafe { libc::_exit(i32::from(refused.is_err())) }
        };
        child.assert_success();
        queue.barrier_sync(|| ());
        assert_eq!(ran.load(SeqCst), 1);
    }
}

fn a_child_and_its_children_have_no_runtimes() {
    let runtime = runtime();
    let queue = runtime.serial("parent");
    Child::run(|| {
        assert_eq!(builder().build().unwrap_err(), RuntimeError::Forked);
        assert!(message_of(|| _ = Queue::serial("of the default runtime")).contains("forked"));
        assert!(queue.try_exec_async(|| ()).is_err());
        Child::run(|| {
            assert_eq!(builder().build().unwrap_err(), RuntimeError::Forked);
            assert!(queue.try_exec_async(|| ()).is_err());
        })
        .assert_success();
    })
    .assert_success();
}

fn ports_of_the_parent_send_nothing_from_the_child() {
    let runtime = runtime();
    let (queue, received) = (runtime.serial("port"), Event::new());
    let tell = received.clone();
    let port = Source::bounded_port(&queue, 1).on_event(move |messages| {
        assert_eq!(messages.collect::<Vec<_>>(), [7]);
        tell.set();
    });
    let sender = port.sender();
    let port = port.activate().unwrap();
    Child::run(|| {
        assert_eq!(sender.send(1), Err(SendError::Forked(1)));
        assert_eq!(sender.try_send(2), Err(SendError::Forked(2)));
        assert!(sender.is_dead() && sender.send_timeout(3, GENEROUS).is_err());
        let builder = Source::port::<u32>(&queue).label("child's");
        assert_eq!(builder.activate().unwrap_err(), PortError::Forked { label: "child's".into() });
    })
    .assert_success();
    sender.send(7).unwrap();
    received.wait_timeout(GENEROUS).unwrap();
    drop(port);
}

fn timers_of_the_parent_are_not_touched_by_the_child() {
    let runtime = runtime();
    let queue = runtime.serial("timers");
    let source =
        Source::timer(&queue).after(Duration::from_secs(3_600)).on_event(|_| unreachable!()).activate().unwrap();
    let armed = queue.after(Duration::from_secs(3_600), || unreachable!()).unwrap();
    Child::run(|| {
        source.set(Schedule::after(Duration::from_millis(1))).unwrap();
        // Long enough for an alarm that the child has set to ring in the parent.
        assert!(Event::new().wait_timeout(Duration::from_millis(20)).is_err());
        armed.cancel();
        source.cancel();
        let steps = Source::clock_steps(&queue).on_event(|_| unreachable!()).activate();
        assert_eq!(steps.unwrap_err(), ClockError::Forked { label: "timers".into() });
    })
    .assert_success();
    let rung = Event::new();
    let bell = rung.clone();
    let _ = queue.after(Duration::from_millis(50), move || bell.set()).unwrap();
    rung.wait_timeout(GENEROUS).unwrap();
    assert_eq!(runtime.statistics().event_loop_wakeups, 1, "nobody else has woken the event loop");
}

#[cfg(feature = "io")]
fn descriptors_of_the_parent_are_watched_whatever_the_child_does_to_them() {
    use concourse::WatchError;
    let runtime = runtime();
    let queue = runtime.serial("descriptors");
    let (reader, mut writer) = std::io::pipe().unwrap();
    let (rung, calls) = (Event::auto_reset(), Arc::new(AtomicUsize::new(0)));
    let (bell, count) = (rung.clone(), Arc::clone(&calls));
    let mut source = Some(
        Source::readable(&queue, reader)
            .on_ready(move |mut reader, _| {
                reader.read_exact(&mut [0]).unwrap();
                count.fetch_add(1, SeqCst);
                bell.set();
            })
            .activate()
            .unwrap(),
    );
    writer.write_all(b"x").unwrap();
    rung.wait_timeout(GENEROUS).unwrap();
    for round in 2..5 {
        queue.barrier_sync(|| ());
        Child::run(|| {
            let (reader, _writer) = std::io::pipe().unwrap();
            let refused = Source::readable(&queue, reader).label("of the child").activate().unwrap_err();
            assert_eq!(refused, WatchError::Forked { label: "of the child".into() });
            let source = source.take().unwrap();
            source.suspend().unwrap();
            source.resume().unwrap();
            source.cancel();
            drop(source);
            writer.write_all(b"x").unwrap();
        })
        .assert_success();
        rung.wait_timeout(GENEROUS).unwrap();
        assert_eq!(calls.load(SeqCst), round);
    }
}

fn a_paced_source_is_refused_in_a_child_and_that_of_the_parent_keeps_its_pace() {
    let runtime = runtime();
    let queue = runtime.serial("paced");
    let delivered = Event::new();
    let tell = delivered.clone();
    let builder = Source::add(&queue).debounce(Duration::from_millis(100)).on_event(move |value| {
        assert_eq!(value, 1);
        tell.set();
    });
    let source = builder.activate().unwrap();
    source.merge(1);
    Child::run(|| {
        let refused = Source::add(&queue).label("late").throttle(Duration::from_millis(1)).activate();
        assert_eq!(refused.unwrap_err(), PaceError::Forked { label: "late".into() });
        source.merge(2);
        source.cancel();
    })
    .assert_success();
    delivered.wait_timeout(GENEROUS).unwrap();
}

#[cfg(feature = "fs")]
fn files_of_the_parent_are_watched_whatever_the_child_does_to_them() {
    use concourse::FileError;
    use concourse::source::FileEvents;
    let runtime = runtime();
    let queue = runtime.serial("files");
    let folder = std::env::temp_dir().join(format!("concourse-fork-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let told = Event::auto_reset();
    let bell = told.clone();
    let tree = Source::file(&queue, &folder, FileEvents::CREATE).recursive().on_event(move |_| bell.set());
    let mut tree = Some(tree.activate().unwrap());
    for round in 0..3 {
        queue.barrier_sync(|| ());
        Child::run(|| {
            let refused = Source::file(&queue, &folder, FileEvents::ALL).label("of the child").activate().unwrap_err();
            assert_eq!(refused, FileError::Forked { label: "of the child".into() });
            let refused = Source::vnode(&queue, std::io::stdin(), FileEvents::ALL).activate().unwrap_err();
            assert_eq!(refused, FileError::Forked { label: "files".into() });
            let tree = tree.take().unwrap();
            tree.suspend().unwrap();
            tree.resume().unwrap();
            tree.cancel();
            drop(tree);
            std::fs::write(folder.join(format!("{round}")), "content").unwrap();
        })
        .assert_success();
        told.wait_timeout(GENEROUS).unwrap();
    }
    drop(tree);
    std::fs::remove_dir_all(folder).unwrap();
}

fn main() {
    let scenarios: &[(&str, fn())] = &[
        ("submissions_are_refused", submissions_are_refused),
        ("sync_calls_run_on_queues_at_rest", sync_calls_run_on_queues_at_rest),
        ("sync_calls_that_would_wait_are_refused", sync_calls_that_would_wait_are_refused),
        ("what_is_pending_belongs_to_the_parent", what_is_pending_belongs_to_the_parent),
        (
            "a_runtime_dropped_in_the_child_waits_for_nobody_and_drops_nothing_of_the_parents",
            a_runtime_dropped_in_the_child_waits_for_nobody_and_drops_nothing_of_the_parents,
        ),
        ("waits_without_an_end_are_told", waits_without_an_end_are_told),
        ("a_job_that_returns_in_the_child_is_its_end", a_job_that_returns_in_the_child_is_its_end),
        (
            "a_waiting_job_of_the_child_starts_no_thread_in_its_place",
            a_waiting_job_of_the_child_starts_no_thread_in_its_place,
        ),
        (
            "a_sync_body_that_returns_in_the_child_leaves_the_queue_to_the_parent",
            a_sync_body_that_returns_in_the_child_leaves_the_queue_to_the_parent,
        ),
        ("a_child_and_its_children_have_no_runtimes", a_child_and_its_children_have_no_runtimes),
        ("ports_of_the_parent_send_nothing_from_the_child", ports_of_the_parent_send_nothing_from_the_child),
        ("timers_of_the_parent_are_not_touched_by_the_child", timers_of_the_parent_are_not_touched_by_the_child),
        #[cfg(feature = "io")]
        (
            "descriptors_of_the_parent_are_watched_whatever_the_child_does_to_them",
            descriptors_of_the_parent_are_watched_whatever_the_child_does_to_them,
        ),
        (
            "a_paced_source_is_refused_in_a_child_and_that_of_the_parent_keeps_its_pace",
            a_paced_source_is_refused_in_a_child_and_that_of_the_parent_keeps_its_pace,
        ),
        #[cfg(feature = "fs")]
        (
            "files_of_the_parent_are_watched_whatever_the_child_does_to_them",
            files_of_the_parent_are_watched_whatever_the_child_does_to_them,
        ),
    ];
    // The children's panics are expected: their messages suffice.
    std::panic::set_hook(Box::new(|info| eprintln!("{info}")));
    for (name, scenario) in scenarios {
        println!("test {name} ...");
        scenario();
    }
    println!("test result: ok. {} passed", scenarios.len());
}
