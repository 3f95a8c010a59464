//! The calling thread's worker.

use crate::pool::crew::Crew;
use crate::pool::worker::Worker;
use crate::sync::Arc;
use crate::sync::Host;
use crate::sync::Reason;
use crate::sync::Weak;
use crate::sync::thread_local;
use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::time::Duration;

thread_local! {
    // Without a destructor of its own it costs less to reach, and outlives the thread's other locals. Seats empty it.
    static WORKER: ManuallyDrop<RefCell<Option<Rc<Worker>>>> = const { ManuallyDrop::new(RefCell::new(None)) };
}

/// Calls `f` with the calling thread's worker, if it belongs to `crew`.
#[inline(always)]
pub(crate) fn with<R>(crew: &Crew, f: impl FnOnce(Option<&Worker>) -> R) -> R {
    WORKER.with(|slot| f(slot.borrow().as_deref().filter(|worker| worker.is_of(crew))))
}

/// The calling thread's worker, if it belongs to `crew`, to be kept across a job.
pub(crate) fn worker(crew: &Crew) -> Option<Rc<Worker>> {
    WORKER.with(|slot| slot.borrow().clone().filter(|worker| worker.is_of(crew)))
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
        let ended = WORKER.with(|slot| std::mem::replace(&mut *slot.borrow_mut(), outer));
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
