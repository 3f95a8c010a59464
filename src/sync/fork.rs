//! What a forked child knows of itself.
//!
//! A child has the parent's memory and one thread, the one that called `fork`. Every runtime of the parent is in its
//! memory, and none of their threads exists. A handler that runs in the child, before `fork` returns there, leaves a mark,
//! and whatever depends on threads looks at it. A child builds no runtime, so all there are belong to its parent.
//!
//! Whoever makes a child without `fork`'s handlers (a bare `clone`), or before there is a runtime, is not noticed.

use super::host;
use super::parking::Reason;
use std::sync::Once;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Not the face's atomic: no model forks.
static FORKED: AtomicBool = AtomicBool::new(false);

/// True in a forked child.
#[inline(always)]
pub(crate) fn is_child() -> bool {
    // Relaxed: the mark is made before `fork` returns in the child, on the only thread there is.
    FORKED.load(Ordering::Relaxed)
}

/// Has every child marked from now on.
pub(crate) fn watch_forks() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        // SAFETY: the handler stays for the life of the process, takes no lock that a fork may have left locked, and does
        // not unwind.
        let refused = unsafe { libc::pthread_atfork(None, None, Some(begin_child)) };
        assert_eq!(refused, 0, "the system has no memory for a fork handler");
    });
}

extern "C" fn begin_child() {
    FORKED.store(true, Ordering::Relaxed); // As in `is_child`.
    // The engine whose worker this thread was must not start another in its place.
    host::abandon();
}

/// How long a thread of a child sleeps before it looks again for what it waits for.
pub(super) const CHILDS_NAP: Duration = Duration::from_millis(1);

/// Sleeps without a lock.
pub(super) fn nap(length: Duration) {
    std::thread::sleep(length);
}

/// Panics instead of a wait without an end: in a child without another thread nobody could end it.
pub(crate) fn refuse_endless_wait(reason: &Reason) {
    if is_child() && is_alone() {
        panic!(
            "a forked child without other threads would wait for {reason} for ever; wait in the parent, or use `exec`"
        );
    }
}

/// True if the process has no other thread. Where the system does not say, it may have.
fn is_alone() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_no_child_waits_as_it_likes() {
        watch_forks();
        assert!(!is_child());
        // The test harness waits on a thread of its own.
        assert!(!is_alone());
        refuse_endless_wait(&Reason::Event);
    }
}
