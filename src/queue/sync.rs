//! Sync calls, from the check for a deadlock to the lane's own way.

use super::lane::Holder;
use super::lane::Lane;
use super::lane::Visit;
use super::waiter::Frame;
use super::waiter::Site;
use crate::error::HeldQueue;
use crate::error::SyncError;
use crate::job::Kind;
use crate::sync::Arc;
use crate::sync::yield_point;

/// Why a sync call cannot run its closure.
enum Obstacle {
    /// It would wait for threads that this process, a forked child, does not have.
    Forked,
    /// It would wait for its own thread.
    Deadlock,
}

impl Lane {
    /// Runs `f` when it is its turn, or tells what stands in the way.
    #[inline]
    pub(super) fn try_sync<F: FnOnce() -> R, R>(&self, kind: Kind, site: Site, f: F) -> Result<R, SyncError<F>> {
        match self.try_begin(kind) {
            Ok(visit) => Ok(self.sync(visit, kind, site, f)),
            Err(obstacle) => Err(self.refuse(obstacle, site, f)),
        }
    }

    #[inline]
    #[track_caller]
    pub(super) fn sync_or_panic<R>(&self, kind: Kind, site: Site, f: impl FnOnce() -> R) -> R {
        match self.try_begin(kind) {
            Ok(visit) => self.sync(visit, kind, site, f),
            Err(obstacle) => self.refuse(obstacle, site, f).raise(),
        }
    }

    /// Looks for an obstacle, and takes a serial lane without a home when it is the caller's turn.
    ///
    /// There is none to such a lane if it is free, and a lane that the thread holds is not. So the look comes after the
    /// attempt, and only if that has failed.
    #[inline]
    fn try_begin(&self, kind: Kind) -> Result<Option<Visit<'_>>, Obstacle> {
        if self.is_concurrent() || self.home().is_some() {
            return self.obstacle(kind).map_or(Ok(None), Err);
        }
        yield_point();
        self.acquire().or_else(|hold| self.wait_unless_for_ever(kind, hold)).map(Some)
    }

    #[cold]
    fn wait_unless_for_ever<'a>(&'a self, kind: Kind, hold: Option<Holder<'a>>) -> Result<Visit<'a>, Obstacle> {
        match self.obstacle(kind) {
            None => Ok(self.wait_for_turn(hold)),
            Some(obstacle) => {
                // Only in a forked child. If there is a job, it is the parent's, and so is the lane.
                hold.map(Holder::try_idle);
                Err(obstacle)
            }
        }
    }

    #[inline]
    fn sync<R>(&self, visit: Option<Visit<'_>>, kind: Kind, site: Site, f: impl FnOnce() -> R) -> R {
        match visit {
            Some(visit) => self.run_body(visit, site, f),
            None if self.is_concurrent() => self.concurrent_sync(kind, site, f),
            None => self.serial_sync(site, f),
        }
    }

    /// Gives a thread that syncs onto a lane which targets this one the right to run what this one runs.
    pub(super) fn sync_for_child(&self, site: Site, f: &mut dyn FnMut()) {
        if self.is_concurrent() { self.concurrent_sync(Kind::Sync, site, f) } else { self.serial_sync(site, f) }
    }

    #[inline]
    fn obstacle(&self, kind: Kind) -> Option<Obstacle> {
        if self.is_left_behind() {
            return Some(Obstacle::Forked);
        }
        Frame::forbids(self, kind == Kind::SyncBarrier).then_some(Obstacle::Deadlock)
    }

    #[cold]
    fn refuse<F>(&self, obstacle: Obstacle, site: Site, closure: F) -> SyncError<F> {
        let label = Arc::clone(self.label());
        match obstacle {
            Obstacle::Forked => SyncError::Forked { closure, label },
            Obstacle::Deadlock => {
                let call = HeldQueue { label, site: Some(site) };
                let cycle = std::iter::once(call).chain(HeldQueue::of_this_thread()).collect();
                SyncError::WouldDeadlock { closure, cycle }
            }
        }
    }
}
