//! What all queues have in common, for users and for what is built on queues.

use crate::job::Job;
use crate::sync::Arc;

/// What groups, sources and timers deliver to: any queue, with its type erased.
///
/// The trait is public in name only, so that [`Dispatch`] can be sealed by it.
pub trait Accept: Send + Sync + 'static {
    /// Takes a job. After shutdown the job is reported to the runtime's rejection hook and dropped.
    fn accept(&self, job: Job);

    /// The queue's label.
    fn label(&self) -> &Arc<str>;
}

/// What every queue can do: a private [`Queue`](crate::Queue) as well as a [`GlobalQueue`](crate::GlobalQueue).
///
/// The trait is sealed: queues come from a [`Runtime`](crate::Runtime).
pub trait Dispatch: Accept + Clone {
    /// Submits `f` to run on the queue and returns at once.
    ///
    /// Nothing is merged or lost: `f` runs once, or, when the runtime has been shut down, is reported to its rejection
    /// hook and dropped. Does not allocate in the steady state if `f` captures at most three words. This is libdispatch's
    /// `dispatch_async`.
    fn exec_async<F: FnOnce() + Send + 'static>(&self, f: F) {
        self.accept(Job::new(f));
    }
}
