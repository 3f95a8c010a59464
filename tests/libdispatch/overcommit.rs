//! `overcommit`: 32 serial queues, each with a job that spins for ever. All of them start nevertheless, on a thread
//! each.
//!
//! The original's queues target a pool that may have more threads than there are processors; here the runtime is built
//! with as many. The original ends its process with the last start, here the last start ends the spinning. Unless the
//! scenario runs in full, a job that spins gives way to the tests beside it.

use crate::profile::is_full;
use crate::timed::GENEROUS;
use crate::timed::finish;
use concourse::Group;
use concourse::Runtime;
use std::hint;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;

const QUEUES: usize = 32;

#[test]
fn all_queues_start_although_none_ends() {
    let runtime = Runtime::builder().threads(QUEUES).build().unwrap();
    let spin: fn() = if is_full() { hint::spin_loop } else { thread::yield_now };
    let (started, group) = (Arc::new(AtomicUsize::new(0)), Group::new());
    for number in 0..QUEUES {
        let started = Arc::clone(&started);
        group.exec_async(&runtime.serial(&format!("overcommit {number}")), move || {
            started.fetch_add(1, Ordering::SeqCst);
            while started.load(Ordering::SeqCst) < QUEUES {
                spin();
            }
        });
    }
    let all = group.wait_timeout(5 * GENEROUS);
    // A spin that nobody ends would keep the runtime from ending too.
    let before = started.fetch_max(QUEUES, Ordering::SeqCst);
    assert_eq!((all, before), (Ok(()), QUEUES));
    finish(&runtime);
}
