//! The scenarios of libdispatch's own test suite, each in a module that has the name of its original. The module's
//! first comment says what the original demands, what differs here, and why.
//!
//! A serial queue stands in the place of the main queue, whose own scenarios need the process's first thread and are in
//! `tests/main_thread.rs`. Scenarios of what does not exist yet are not here.

mod after;
mod api;
mod apply;
mod cascade;
mod concur;
mod context_for_key;
mod debug;
mod drift;
mod group;
#[cfg(feature = "io")]
mod io_muxed;
#[cfg(feature = "io")]
mod io_pipe;
mod overcommit;
mod pingpong;
mod priority;
mod profile;
mod queue_finalizer;
#[cfg(feature = "io")]
mod read;
mod readsync;
#[cfg(feature = "io")]
mod select;
mod sema;
mod starfish;
mod suspend_timer;
#[path = "../timed/mod.rs"]
mod timed;
mod timer;
mod timer_bit31;
mod timer_bit63;
mod timer_set_time;
mod timer_short;
mod timer_timeout;

use concourse::Dispatch;
use concourse::Event;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use timed::GENEROUS;

/// Adds 1 in two steps: additions at the same time lose each other, and one that does not see the last is lost too.
fn add_in_two_steps(counter: &AtomicUsize) {
    let before = counter.load(Ordering::Relaxed);
    std::hint::spin_loop();
    counter.store(before + 1, Ordering::Relaxed);
}

/// Waits until `time` has passed on `queue`: what a timer of that queue was to do until then has been submitted, and
/// has run if the queue is serial.
#[track_caller]
fn let_pass(queue: &impl Dispatch, time: Duration) {
    let passed = Event::new();
    let tell = passed.clone();
    let _ = queue.after(time, move || tell.set()).unwrap();
    passed.wait_timeout(time + GENEROUS).unwrap();
}
