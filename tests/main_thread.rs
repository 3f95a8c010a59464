//! The main queue of the default runtime, on the thread that the process began with. A program without a test harness: a
//! harness runs its tests on threads of their own. It prints a line for each check, and ends with an error at the first
//! that fails.

use concourse::Dispatch;
use concourse::Event;
use concourse::Group;
use concourse::MainQueueError;
use concourse::Queue;
use concourse::Runtime;
use concourse::Shutdown;
use concourse::main_queue;
use concourse::run_main;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::getrlimit;
use rustix::process::setrlimit;
use std::fs;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc;
use std::thread;
use std::thread::ThreadId;
use std::time::Duration;
use std::time::Instant;

/// No check waits for so long unless it fails.
const GENEROUS: Duration = Duration::from_secs(60);

fn main() {
    // What cargo-nextest asks a test program.
    if std::env::args().any(|argument| argument == "--list") {
        if !std::env::args().any(|argument| argument == "--ignored") {
            println!("the_first_thread_runs_the_main_queue: test");
        }
        return;
    }
    let checks: [(&str, fn()); 9] = [
        ("before anybody runs the queue, the first thread counts as the main thread", the_first_thread_counts),
        ("without a descriptor left, as_fd is an error and the queue goes on", no_descriptor_is_left),
        ("what was submitted before run_main runs in it", a_job_before_run_main),
        ("libdispatch's after: a chain of delays on the main queue", after),
        ("libdispatch's sync_on_main: sync calls between delayed jobs", sync_on_main),
        ("libdispatch's group: the notification comes on the main queue", group),
        ("libdispatch's cf_main: ten jobs that submit the next", cf_main),
        ("a run without jobs sleeps", a_run_without_jobs_sleeps),
        ("a drain of a runtime whose main queue nobody has run runs it here", a_drain_serves_a_queue_without_an_owner),
    ];
    for (name, check) in checks {
        check();
        println!("ok: {name}");
    }
}

fn me() -> ThreadId {
    thread::current().id()
}

/// Runs the main queue until `stop` has been called, and fails if that takes too long.
fn run() {
    let (ended, end) = mpsc::channel::<()>();
    let watch = thread::spawn(move || {
        if end.recv_timeout(GENEROUS) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("nobody stops the main queue");
            std::process::exit(1);
        }
    });
    assert_eq!(run_main(), Ok(()));
    drop(ended);
    watch.join().unwrap();
}

fn the_first_thread_counts() {
    let (main, here) = (main_queue(), me());
    let (told, ran_on) = mpsc::channel();
    let early = told.clone();
    main.exec_async(move || early.send(me()).unwrap());
    assert_eq!(main.exec_sync(me), here);
    assert_eq!(ran_on.try_recv(), Ok(here), "what was ahead has run here");
    // Another thread's call waits for whoever will run the queue, which nobody has yet: so this is its first job.
    let waits = main.clone();
    Queue::serial("early caller").exec_async(move || {
        told.send(waits.exec_sync(me)).unwrap();
        waits.stop();
    });
    run();
    assert_eq!(ran_on.recv_timeout(GENEROUS), Ok(here));
    let elsewhere = thread::spawn(|| (main_queue().turn(1), run_main()));
    assert_eq!(
        elsewhere.join().unwrap(),
        (Err(MainQueueError::NotMainThread), Err(MainQueueError::NotMainThread)),
        "this thread owns it now"
    );
}

fn no_descriptor_is_left() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..limit }).unwrap();
    let refused = main_queue().as_fd().map(drop);
    setrlimit(Resource::Nofile, limit).unwrap();
    let errno = rustix::io::Errno::MFILE.raw_os_error();
    assert_eq!(refused, Err(MainQueueError::NoDescriptor { errno }));
    assert!(main_queue().as_fd().is_ok());
}

fn a_job_before_run_main() {
    let ran_on = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&ran_on);
    main_queue().exec_async(move || {
        *noted.lock().unwrap() = Some(me());
        main_queue().stop();
    });
    assert_eq!(*ran_on.lock().unwrap(), None);
    run();
    assert_eq!(*ran_on.lock().unwrap(), Some(me()));
}

fn after() {
    let delays = [600, 200, 0].map(Duration::from_millis);
    let (told, times) = mpsc::channel();
    fn next(mut left: std::vec::IntoIter<Duration>, told: mpsc::Sender<(ThreadId, Duration, Duration)>) {
        let Some(delay) = left.next() else { return main_queue().stop() };
        let asked = Instant::now();
        let _ = main_queue()
            .after(delay, move || {
                told.send((me(), delay, asked.elapsed())).unwrap();
                next(left, told);
            })
            .unwrap();
    }
    next(Vec::from(delays).into_iter(), told);
    run();
    let times: Vec<_> = times.iter().collect();
    assert_eq!(times.len(), 3);
    for (thread, delay, passed) in times {
        assert!(thread == me() && passed >= delay && passed > Duration::ZERO, "{passed:?} instead of {delay:?}");
    }
}

fn sync_on_main() {
    let (told, ran_on) = mpsc::channel();
    fn chain(left: usize, told: mpsc::Sender<ThreadId>) {
        if left > 0 {
            let again = move || {
                told.send(me()).unwrap();
                chain(left - 1, told);
            };
            let _ = main_queue().after(Duration::from_millis(100), again).unwrap();
        }
    }
    chain(4, told.clone());
    Queue::serial("caller").exec_async(move || {
        let main = main_queue();
        for _ in 0..10 {
            told.send(main.exec_sync(me)).unwrap();
            // The scenario's own pause, so that calls and delayed jobs alternate.
            thread::sleep(Duration::from_millis(50));
        }
        drop(told);
        main.stop();
    });
    run();
    // What is left of the chain, if this machine was slow.
    let deadline = Instant::now() + GENEROUS;
    let mut threads = Vec::new();
    while threads.len() < 14 {
        threads.extend(ran_on.try_iter());
        main_queue().turn(9).unwrap();
        assert!(Instant::now() < deadline, "{} of 14 have run", threads.len());
        thread::yield_now();
    }
    assert!(threads.iter().all(|thread| *thread == me()));
}

fn group() {
    let group = Group::new();
    let notified = Arc::new(Mutex::new(None));
    for number in 0..100 {
        group.exec_async(&Queue::serial(&format!("member {number}")), thread::yield_now);
    }
    let noted = Arc::clone(&notified);
    let members = group.clone();
    group.notify(&main_queue(), move || {
        main_queue().assert_current();
        *noted.lock().unwrap() = Some((me(), members.wait_timeout(Duration::ZERO).is_ok()));
        main_queue().stop();
    });
    drop(group);
    run();
    assert_eq!(*notified.lock().unwrap(), Some((me(), true)));
}

fn cf_main() {
    fn next(left: usize) {
        match left {
            0 => main_queue().stop(),
            _ => main_queue().exec_async(move || next(left - 1)),
        }
    }
    next(10);
    run();
    assert_eq!(main_queue().turn(1), Ok(0));
}

/// How often this thread has gone to sleep so far.
fn sleeps(thread: rustix::thread::Pid) -> u64 {
    let status = fs::read_to_string(format!("/proc/self/task/{}/status", thread.as_raw_nonzero())).unwrap();
    let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn a_run_without_jobs_sleeps() {
    let (main_thread, woken) = (rustix::thread::gettid(), Arc::new(Mutex::new(None)));
    let (noted, begun) = (Arc::clone(&woken), Event::new());
    let tell = begun.clone();
    let watch = thread::spawn(move || {
        begun.wait_timeout(GENEROUS).unwrap();
        // It goes to sleep once more after that job: the watch begins when nothing has changed for a while.
        let deadline = Instant::now() + GENEROUS;
        let mut before = sleeps(main_thread);
        let still = loop {
            thread::sleep(Duration::from_millis(300));
            let now = sleeps(main_thread);
            if now == before {
                break true;
            }
            before = now;
            if Instant::now() > deadline {
                break false;
            }
        };
        *noted.lock().unwrap() = Some(still);
        main_queue().stop();
    });
    main_queue().exec_async(move || tell.set());
    run();
    watch.join().unwrap();
    assert_eq!(*woken.lock().unwrap(), Some(true), "it wakes up again and again");
}

fn a_drain_serves_a_queue_without_an_owner() {
    let runtime = Runtime::builder().threads(2).build().unwrap();
    let main = runtime.main_queue();
    let (told, ran_on) = mpsc::channel();
    let (direct, lent) = (told.clone(), main.clone());
    main.exec_async(move || direct.send(me()).unwrap());
    let begun = Event::new();
    let tell = begun.clone();
    runtime.serial("caller").exec_async(move || {
        tell.set();
        told.send(lent.exec_sync(me)).unwrap();
    });
    begun.wait_timeout(GENEROUS).unwrap();
    let report = runtime.shutdown(Shutdown::Drain.within(GENEROUS));
    assert!(report.complete, "{report:?}");
    assert_eq!(ran_on.iter().collect::<Vec<_>>(), [me(); 2]);
}
