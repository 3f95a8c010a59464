//! A lane's life: taking jobs while its runtime does, resuming, closing, and what a shutdown does with it.

use super::lane::Holder;
use super::lane::Lane;
use crate::engine::Loss;
use crate::engine::Phase;
use crate::engine::Suspended;
use crate::error::SuspendError;
use crate::job::Job;
use crate::job::Kind;
use crate::job::Route;
use crate::job::end_in_turn;
use crate::sync::Arc;
use crate::sync::is_child;

impl Lane {
    #[inline(always)]
    pub(super) fn exec_async(&self, job: Job) {
        if self.engine_at_entrance().phase() == Phase::Open { self.enqueue(job) } else { self.exec_async_late(job) }
    }

    /// Takes a job in any phase of the runtime's life.
    #[inline(always)]
    pub(super) fn enqueue(&self, job: Job) {
        if self.is_concurrent() { self.concurrent_async(job) } else { self.serial_async(job) }
    }

    /// Refuses a job, also behind others that still run: a job that submits its own successor would keep a drain going
    /// for ever. Sources and lanes keep their places in line, and what was registered before comes to be.
    #[cold]
    #[inline(never)]
    fn exec_async_late(&self, job: Job) {
        match job.shape().kind {
            Kind::Token if is_child() => self.engine().give_up(self.label(), job),
            Kind::Token => self.enqueue(job),
            Kind::Promised if self.engine().accepts(Kind::Promised) => self.enqueue(job),
            _ => self.lose(job, Loss::Rejected),
        }
    }

    /// A token of this lane will never run: drops what is pending.
    pub(super) fn abandon(&self) {
        if self.is_concurrent() { self.abandon_concurrent() } else { self.abandon_serial() }
    }

    pub(super) fn resume(&self) -> Result<(), SuspendError> {
        let mut control = self.control();
        if !self.end_suspension(&mut control)? {
            return Ok(());
        }
        let hold = self.unpark(&mut control);
        drop(control);
        self.set_going(hold);
        Ok(())
    }

    fn set_going(&self, hold: Option<Holder<'_>>) {
        if self.is_concurrent() {
            self.knock();
        } else if let Some(hold) = hold {
            self.give(hold, Route::Lane);
        }
    }

    /// Ends the suspension that an inactive queue is built with.
    pub(super) fn resume_last(&self) {
        self.control().inactive = false;
        // It is there: an inactive queue has no method that resumes.
        let _ = self.resume();
    }

    /// The last handle has gone.
    pub(super) fn close(&self) {
        if self.control().suspends > 0 {
            let lane = self.to_arc();
            end_in_turn(move || lane.drop_what_is_held_back());
        }
    }

    fn drop_what_is_held_back(&self) {
        let mut control = self.control();
        if control.suspends == 0 {
            return; // It finishes what it has; whoever keeps it has a reference.
        }
        if self.is_concurrent() {
            // In one critical section with the look through the list: else what was held back might start in between.
            self.end_all_suspensions(&mut control);
            self.empty_out_readers(control, Loss::Cancelled);
        } else {
            let hold = self.unpark(&mut control);
            drop(control);
            if let Some(hold) = hold {
                self.give(hold, Route::Lane);
            }
        }
    }
}

impl Suspended for Lane {
    fn holds_back(&self) -> Option<Arc<str>> {
        (!self.is_idle()).then(|| Arc::clone(self.label()))
    }

    fn drop_pending(&self) {
        if self.is_concurrent() {
            self.empty_out_concurrent(Loss::Ended);
        } else if self.main_thread().is_some() {
            self.drop_what_waits_for_the_main_thread();
        } else {
            let mut control = self.control();
            let hold = self.unpark(&mut control);
            drop(control);
            if let Some(hold) = hold {
                self.empty_out(hold, Loss::Ended);
            }
        }
    }
}
