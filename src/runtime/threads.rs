//! What a runtime runs its jobs on.

use crate::job::Executor;
use crate::pool::Counts;
use crate::pool::Pool;
use std::time::Instant;

/// The threads of a runtime, which start when they are needed and end with it: a pool's, or a simulation's.
pub(crate) trait Threads: Executor {
    /// Waits until no job is queued or running. False if the deadline passes first, or at once on a thread of its own.
    ///
    /// Jobs may wait for the calling thread: `errand` does what they want of it, and says whether there was anything to do.
    /// Whoever has something for it unparks the thread.
    fn quiesce(&self, deadline: Option<Instant>, errand: &dyn Fn() -> bool) -> bool;

    /// Drops and reports jobs of their own from now on, instead of running them. Drains still run.
    fn cancel_loose(&self);

    /// Refuses jobs from now on, drops and reports what is queued, and waits for the threads until the deadline. Returns
    /// how many still run a job then. On a thread of its own it waits for nobody, and does not count that one.
    fn stop(&self, deadline: Option<Instant>) -> usize;

    /// How many threads there are, and what they do.
    fn counts(&self) -> Counts;

    /// True if the calling thread is one of them.
    fn is_own_thread(&self) -> bool;
}

impl Threads for Pool {
    fn quiesce(&self, deadline: Option<Instant>, errand: &dyn Fn() -> bool) -> bool {
        Self::quiesce(self, deadline, errand)
    }

    fn cancel_loose(&self) {
        Self::cancel_loose(self);
    }

    fn stop(&self, deadline: Option<Instant>) -> usize {
        Self::stop(self, deadline)
    }

    fn counts(&self) -> Counts {
        Self::counts(self)
    }

    fn is_own_thread(&self) -> bool {
        Self::is_own_thread(self)
    }
}
