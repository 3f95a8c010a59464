//! Sync calls, from the check for a deadlock to the lane's own way.

use super::lane::Lane;
use super::waiter::Frame;
use super::waiter::Site;
use crate::error::HeldQueue;
use crate::error::SyncError;
use crate::job::Kind;
use crate::sync::Arc;

impl Lane {
    /// Runs `f` when it is its turn, or tells what stands in the way.
    #[inline]
    pub(super) fn try_sync<F: FnOnce() -> R, R>(&self, kind: Kind, site: Site, f: F) -> Result<R, SyncError<F>> {
        if self.is_left_behind() {
            return Err(SyncError::Forked { closure: f, label: Arc::clone(self.label()) });
        }
        if Frame::forbids(self, kind == Kind::SyncBarrier) {
            return Err(self.would_deadlock(site, f));
        }
        if self.is_concurrent() { Ok(self.concurrent_sync(kind, site, f)) } else { Ok(self.serial_sync(site, f)) }
    }

    #[inline]
    #[track_caller]
    pub(super) fn sync_or_panic<R>(&self, kind: Kind, site: Site, f: impl FnOnce() -> R) -> R {
        match self.try_sync(kind, site, f) {
            Ok(value) => value,
            Err(error) => error.raise(),
        }
    }

    /// Gives a thread that syncs onto a lane which targets this one the right to run what this one runs.
    pub(super) fn sync_for_child(&self, site: Site, f: &mut dyn FnMut()) {
        if self.is_concurrent() { self.concurrent_sync(Kind::Sync, site, f) } else { self.serial_sync(site, f) }
    }

    #[cold]
    fn would_deadlock<F>(&self, site: Site, closure: F) -> SyncError<F> {
        let call = HeldQueue { label: Arc::clone(self.label()), site: Some(site) };
        let cycle = std::iter::once(call).chain(HeldQueue::of_this_thread()).collect();
        SyncError::WouldDeadlock { closure, cycle }
    }
}
