//! `api`: the main queue is there, and a function that is submitted to it before anybody serves it runs afterwards; in
//! the variants `c99` and `plusplus` a closure does. Here the queue is inactive instead of not served yet.

use crate::timed::finish;
use crate::timed::runtime;
use concourse::Queue;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

static CALLS: AtomicUsize = AtomicUsize::new(0);

fn function() {
    CALLS.fetch_add(1, Ordering::SeqCst);
}

#[test]
fn a_function_and_a_closure_run_once_the_queue_is_served() {
    let runtime = runtime();
    let inactive = runtime.queue("main").build_inactive().unwrap();
    assert_eq!(inactive.label(), "main");
    let current = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&current);
    inactive.exec_async(function);
    inactive.exec_async(move || *noted.lock().unwrap() = Queue::current());
    assert_eq!(CALLS.load(Ordering::SeqCst), 0);
    let queue = inactive.activate();
    queue.exec_sync(|| ());
    assert_eq!(CALLS.load(Ordering::SeqCst), 1);
    assert_eq!(current.lock().unwrap().take(), Some(queue));
    finish(&runtime);
}
