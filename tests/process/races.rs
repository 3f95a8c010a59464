//! Whatever happens to a source while its child ends, the end is seen once: by the handler, or by who has the child.

use crate::GENEROUS;
use crate::finish;
use crate::peek;
use crate::runtime;
use crate::sh;
use concourse::Event;
use concourse::Source;
use rustix::io::Errno;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

#[test]
fn a_child_that_is_taken_back_while_it_ends_is_seen_to_end() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    for round in 0..150_u64 {
        let calls = Arc::new(AtomicUsize::new(0));
        let (counted, child) = (Arc::clone(&calls), sh("exit 3"));
        let pid = child.id();
        let builder = Source::child(&queue, child).on_event(move |exit| {
            assert_eq!(exit.status.unwrap().code(), Some(3));
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let source = builder.activate().unwrap();
        // A shell takes about so long.
        thread::sleep(Duration::from_micros(round * 20));
        let mut child = source.take_child().expect("nobody else takes it");
        assert_eq!(child.wait().unwrap().code(), Some(3));
        assert_eq!(peek(pid).unwrap_err(), Errno::CHILD);
        drop(source);
        queue.exec_sync(|| ());
        assert!(calls.load(Ordering::Relaxed) <= 1);
    }
    finish(&runtime);
}

#[test]
fn a_child_that_is_killed_suspended_and_cancelled_while_it_ends_is_delivered_or_given_back() {
    let runtime = runtime();
    let queue = runtime.concurrent("main");
    for round in 0..60_u64 {
        let (calls, over) = (Arc::new(AtomicUsize::new(0)), Event::new());
        let (counted, before, tell) = (Arc::clone(&calls), Arc::clone(&calls), over.clone());
        let builder = Source::child(&queue, sh("exit 3")).on_event(move |exit| {
            let status = exit.status.unwrap();
            assert!(status.code() == Some(3) || status.signal() == Some(9), "{exit:?}");
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let handle = builder.handle();
        let builder = builder.on_cancel(move || {
            assert!(before.load(Ordering::Relaxed) <= 1);
            let status = handle.take_child().expect("nobody else takes it").wait().unwrap();
            assert!(status.code() == Some(3) || status.signal() == Some(9), "{status:?}");
            tell.set();
        });
        let source = builder.activate().unwrap();
        thread::scope(|scope| {
            let killer = scope.spawn(|| {
                let guard = source.suspend_guard();
                thread::sleep(Duration::from_micros(round * 30));
                source.kill().unwrap();
                drop(guard);
            });
            let canceller = scope.spawn(|| {
                thread::sleep(Duration::from_micros(round * 50));
                source.cancel();
            });
            killer.join().unwrap();
            canceller.join().unwrap();
        });
        over.wait_timeout(GENEROUS).unwrap();
        drop(source);
    }
    finish(&runtime);
}
