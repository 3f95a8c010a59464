//! `queue_finalizer`: a serial queue goes while it still has a job, a second after it was made. The job runs nevertheless
//! and changes the context of the queue, and the finalizer comes after it: it sees the new context. A finalizer without
//! a context is never called.
//!
//! Here the context is what the finalizer has captured. There is no queue without one, so what is never called is the
//! finalizer that another one has replaced.

use crate::profile::time;
use crate::timed::GENEROUS;
use crate::timed::finish;
use crate::timed::millis;
use crate::timed::runtime;
use concourse::Dispatch as _;
use concourse::wait_for;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;

const BEFORE: usize = 1;
const AFTER: usize = 2;

#[test]
fn a_queue_is_finalized_when_its_last_handle_is_gone_and_its_last_job_has_run() {
    let runtime = runtime();
    let queue = runtime.serial("com.example.finalized");
    let context = Arc::new(AtomicUsize::new(BEFORE));
    let seen = wait_for(GENEROUS, |done| {
        let (last_job, finalized) = (Arc::clone(&context), Arc::clone(&context));
        queue.set_finalizer(|| panic!("it is replaced"));
        queue.set_finalizer(move || _ = done.send(finalized.load(Ordering::Relaxed)));
        let release = move || {
            queue.exec_async(move || {
                // The queue's last handle goes meanwhile.
                thread::sleep(millis(1));
                last_job.store(AFTER, Ordering::Relaxed);
            });
            drop(queue);
        };
        let _ = runtime.serial("main").after(time(millis(1_000)), release).unwrap();
    });
    assert_eq!(seen, Ok(AFTER));
    finish(&runtime);
}
