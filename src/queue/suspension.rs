//! Counting a lane's suspensions: the gate is shut while there is one.

use super::control::Control;
use super::lane::Lane;
use super::state::Flag;
use crate::engine::Suspended;
use crate::error::SuspendError;
use crate::sync::Arc;
use crate::sync::Weak;

impl Lane {
    /// Counts one more suspension. No job starts after this has returned, except one that was already chosen.
    pub(super) fn suspend(&self) -> Result<(), SuspendError> {
        let mut control = self.control();
        let Some(suspends) = control.suspends.checked_add(1) else {
            return Err(SuspendError::TooManySuspensions { label: Arc::clone(self.label()) });
        };
        control.suspends = suspends;
        if suspends == 1 {
            self.gate().set(Flag::Suspended, true);
            let weak: Weak<dyn Suspended> = Arc::downgrade(&self.to_arc()) as Weak<dyn Suspended>;
            self.engine().note_suspended(self.id(), weak);
        }
        Ok(())
    }

    /// Counts one suspension less. `Ok(true)` if that was the last one: the lane must be set going.
    pub(super) fn end_suspension(&self, control: &mut Control) -> Result<bool, SuspendError> {
        let Some(suspends) = control.suspends.checked_sub(1) else {
            return Err(SuspendError::OverResume { label: Arc::clone(self.label()) });
        };
        control.suspends = suspends;
        if suspends == 0 {
            self.open_gate();
        }
        Ok(suspends == 0)
    }

    /// Ends all suspensions of a lane that nobody can resume any more.
    pub(super) fn end_all_suspensions(&self, control: &mut Control) {
        if control.suspends > 0 {
            control.suspends = 0;
            self.open_gate();
        }
    }

    fn open_gate(&self) {
        self.gate().set(Flag::Suspended, false);
        self.engine().forget_suspended(self.id());
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use crate::engine::Engine;
    use crate::queue::Queue;
    use crate::sync::Arc;

    #[test]
    fn a_queue_that_goes_while_it_is_suspended_leaves_nothing_behind() {
        let engine = Engine::in_place();
        for build in [Queue::serial_on, Queue::concurrent_on] {
            let queue = build(Arc::clone(&engine), "suspended");
            queue.suspend().unwrap();
            assert_eq!(engine.noted(), 1);
            drop(queue);
            assert_eq!((engine.noted(), Arc::strong_count(&engine)), (0, 1));
        }
    }
}
