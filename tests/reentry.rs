//! Queues that are called from places where the runtime already stands: a destructor, a hook, a thread that unwinds.

use concourse::Queue;
use concourse::Runtime;
use concourse::Shutdown;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// No test waits for so long unless it fails.
const GENEROUS: Duration = Duration::from_secs(60);

/// Runs `f` on another thread, and fails if it does not return.
fn ends<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> R {
    let (result, end) = mpsc::channel();
    thread::spawn(move || result.send(f()));
    end.recv_timeout(GENEROUS).expect("it hangs or has panicked")
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn runtime() -> Runtime {
    Runtime::builder().threads(2).build().unwrap()
}

/// One serial and one concurrent queue.
fn both(runtime: &Runtime) -> [Queue; 2] {
    [runtime.serial("serial"), runtime.concurrent("concurrent")]
}

#[test]
fn a_thread_that_unwinds_may_wait_for_a_busy_queue() {
    ends(|| {
        let runtime = runtime();
        for queue in both(&runtime) {
            let (started, start) = mpsc::channel();
            let (end, ended) = mpsc::channel::<()>();
            queue.barrier_async(move || {
                started.send(()).unwrap();
                ended.recv().unwrap();
            });
            start.recv().unwrap();
            let unwound = catch_unwind(AssertUnwindSafe(|| {
                let _wait = OnDrop(|| {
                    let end = end.clone();
                    // Later than the spin of the sync call: it stands in line then.
                    let releaser = thread::spawn(move || {
                        thread::sleep(Duration::from_millis(20));
                        end.send(()).unwrap();
                    });
                    queue.exec_sync(|| ());
                    releaser.join().unwrap();
                });
                panic!("the reason to unwind");
            }));
            assert!(unwound.is_err());
        }
    });
}

#[test]
fn a_panic_hook_that_waits_for_its_own_queue_is_told_of_the_deadlock() {
    ends(|| {
        let (told, answer) = mpsc::channel();
        let told = Mutex::new(told);
        let runtime = Runtime::builder()
            .threads(2)
            .on_panic(move |_| {
                let queue = Queue::current().expect("the hook runs where the job ran");
                let refused = catch_unwind(AssertUnwindSafe(|| queue.barrier_sync(|| ()))).is_err();
                told.lock().unwrap().send(refused).unwrap();
            })
            .build()
            .unwrap();
        for queue in both(&runtime) {
            queue.exec_async(|| panic!("a job"));
            assert!(answer.recv().unwrap());
            queue.barrier_async(|| panic!("a barrier"));
            assert!(answer.recv().unwrap());
        }
    });
}

/// What a capture's destructor may do to the queue that drops it.
fn calls() -> [fn(&Queue); 4] {
    [
        |queue| assert_eq!(queue.cancel_pending(), 1),
        |queue| assert!(queue.try_exec_sync(|| ()).is_err()),
        |queue| assert!(catch_unwind(AssertUnwindSafe(|| queue.barrier_sync(|| ()))).is_err()),
        |queue| queue.exec_async(|| ()),
    ]
}

#[test]
fn a_capture_that_is_cancelled_may_call_its_queue() {
    ends(|| {
        for call in calls() {
            let runtime = Runtime::builder().threads(2).on_panic(|report| panic!("{report:?}")).build().unwrap();
            for queue in both(&runtime) {
                queue.suspend().unwrap();
                let (called, calls) = mpsc::channel();
                let again = queue.clone();
                let capture = OnDrop(move || {
                    call(&again);
                    called.send(()).unwrap();
                });
                queue.exec_async(move || drop(capture));
                queue.exec_async(|| ());
                let count = queue.cancel_pending();
                calls.recv().unwrap();
                queue.resume().unwrap();
                queue.barrier_sync(|| ());
                assert!((1..=3).contains(&count), "{count}");
            }
            let panics = runtime.shutdown(Shutdown::Drain).panics;
            assert_eq!(panics, 0);
        }
    });
}

#[test]
fn a_capture_that_is_rejected_may_call_its_queue() {
    ends(|| {
        let runtime = runtime();
        let queues = both(&runtime);
        let _ = runtime.shutdown(Shutdown::Drain);
        for queue in queues {
            let again = queue.clone();
            let (told, answer) = mpsc::channel();
            let capture = OnDrop(move || told.send(again.try_exec_sync(|| ()).is_ok()).unwrap());
            queue.exec_async(move || drop(capture));
            assert!(answer.recv().unwrap());
        }
    });
}
