//! The calling thread's worker.

use crate::pool::crew::Crew;
use crate::pool::worker::Worker;
use crate::sync::Arc;
use crate::sync::Host;
use crate::sync::Reason;
use crate::sync::Weak;
use crate::sync::thread_local;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

thread_local! {
    static WORKER: RefCell<Option<Rc<Worker>>> = const { RefCell::new(None) };
}

/// Calls `f` with the calling thread's worker, if it belongs to `crew`.
#[inline]
pub(crate) fn with<R>(crew: &Crew, f: impl FnOnce(&Worker) -> R) -> Option<R> {
    // A destructor of another thread-local may submit while ours is already gone: then the thread is no worker.
    WORKER.try_with(|worker| worker.borrow().as_deref().filter(|worker| worker.is_of(crew)).map(f)).ok().flatten()
}

/// The calling thread's worker, if it belongs to `crew`, to be kept across a job.
pub(crate) fn worker(crew: &Crew) -> Option<Rc<Worker>> {
    WORKER.try_with(|worker| worker.borrow().clone().filter(|worker| worker.is_of(crew))).ok().flatten()
}

/// Makes the calling thread `worker` until the guard is dropped.
pub(crate) fn enter(worker: Rc<Worker>) -> Seat {
    Seat(WORKER.with(|slot| slot.borrow_mut().replace(worker)))
}

/// Restores what the thread was before.
#[must_use]
pub(crate) struct Seat(Option<Rc<Worker>>);

impl Drop for Seat {
    fn drop(&mut self) {
        let outer = self.0.take();
        let ended = WORKER.try_with(|slot| std::mem::replace(&mut *slot.borrow_mut(), outer));
        drop(ended);
    }
}

/// The host of a thread that submitted when no worker could be started: while it waits, it tries again, and runs jobs
/// itself if need be. It does not keep the pool alive.
pub(crate) struct StandIn(Weak<Crew>);

impl StandIn {
    pub(crate) fn new(crew: &Arc<Crew>) -> Self {
        Self(Arc::downgrade(crew))
    }
}

impl Host for StandIn {
    fn before_park(&self, reason: &Reason) {
        // The wait may be that of a job which this thread runs while it stands in.
        if let Some(crew) = self.0.upgrade() {
            crew.before_park(reason);
        }
    }

    fn after_park(&self) {
        if let Some(crew) = self.0.upgrade() {
            crew.after_park();
        }
    }

    fn patience(&self) -> Option<Duration> {
        self.0.upgrade()?.patience(true)
    }
}
