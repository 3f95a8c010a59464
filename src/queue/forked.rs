//! What a queue still does in a forked child, where the threads of its runtime do not exist.
//!
//! Submissions are refused, and what was pending belongs to the parent. A sync call runs if nothing is in its way: a job
//! that a thread of the parent was running, or a line, will never move here.

use super::lane::Lane;
use super::waiter::Frame;
use crate::sync::is_child;

impl Lane {
    /// True in a child, if a sync call would have to wait for threads of the parent.
    #[inline]
    pub(super) fn is_left_behind(&self) -> bool {
        is_child() && !self.is_within_reach()
    }

    #[cold]
    fn is_within_reach(&self) -> bool {
        self.chain().all(|lane| Frame::hold_of(lane).is_some() || lane.is_at_rest())
    }

    /// True if a job could start here and now; one of the main queue only on the main thread.
    fn is_at_rest(&self) -> bool {
        let is_elsewhere = self.main_thread().is_some_and(|thread| !thread.is_here());
        if is_elsewhere || self.gate().is_shut() || !self.is_idle() {
            return false;
        }
        let control = self.control();
        control.running == 0 && !control.exclusive && !control.walking
    }
}
