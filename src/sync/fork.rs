//! What a forked child knows of itself.
//!
//! A child has the parent's memory and one thread, the one that called `fork`. Every runtime of the parent is in its
//! memory, and none of their threads exists. A handler that runs in the child, before `fork` returns there, counts the
//! fork; whatever depends on threads remembers the count of its [`Birth`], and finds by comparing that it was left behind.
//!
//! Whoever makes a child without `fork`'s handlers (a bare `clone`) is not noticed.

use super::host;
use super::parking::Reason;
use std::sync::Once;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How many forks lie between this process and the one that loaded the crate. Not the face's atomic: no model forks.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// In which process something was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Birth(u32);

impl Birth {
    /// In this process.
    pub(crate) fn now() -> Self {
        watch();
        Self(forks())
    }

    /// True in a forked child, for what was made in a parent.
    #[inline(always)]
    pub(crate) fn is_past(self) -> bool {
        self.0 != forks()
    }
}

#[inline(always)]
fn forks() -> u32 {
    // Relaxed: the count changes before `fork` returns in the child, on the only thread there is.
    FORKS.load(Ordering::Relaxed)
}

/// True in a forked child.
#[inline(always)]
pub(crate) fn is_child() -> bool {
    forks() != 0
}

/// Has every child counted from now on.
fn watch() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        // SAFETY: the handler stays for the life of the process, takes no lock that a fork may have left locked, and does
        // not unwind.
        let refused = unsafe { libc::pthread_atfork(None, None, Some(begin_child)) };
        assert_eq!(refused, 0, "the system has no memory for a fork handler");
    });
}

extern "C" fn begin_child() {
    FORKS.fetch_add(1, Ordering::Relaxed); // As in `forks`.
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
    fn what_is_made_here_is_not_past_and_others_are_around() {
        assert!(!Birth::now().is_past() && !is_child());
        assert!(Birth(FORKS.load(Ordering::Relaxed) + 1).is_past());
        // The test harness waits on a thread of its own.
        assert!(!is_alone());
        refuse_endless_wait(&Reason::Event);
    }
}
