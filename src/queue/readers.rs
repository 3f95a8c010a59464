//! Sync calls onto a concurrent lane: in place, in line, and below a target.

use super::concurrent::Aftermath;
use super::concurrent::Settled;
use super::lane;
use super::lane::Lane;
use super::waiter::Frame;
use super::waiter::Mode;
use super::waiter::Site;
use super::waiter::Turn;
use super::waiter::Waiter;
use super::waiter::spin_for;
use super::waiter::without_unwinding;
use crate::job::Job;
use crate::job::Kind;
use crate::sync::planted;
use crate::sync::yield_now;

/// What has come of helping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Helped {
    /// It is the helper's turn.
    Arrived,
    /// The helper stands in line, and will be told.
    Linked,
    /// A lane above has been suspended. Nobody will tell: the helper must stand in line there.
    Held,
}

impl Lane {
    /// Starts a sync body in place, if nothing is ahead of it that it must wait for. Jobs that it may overlap with are
    /// not: it must not run them itself either, as they may wait for what the caller does next.
    fn enter(&self, kind: Kind) -> bool {
        let overtakes = kind == Kind::Sync && self.kind == lane::Kind::Concurrent { width: None };
        let is_first = || self.is_idle() || (overtakes && !self.barriers.any());
        if self.gate().is_shut() || !is_first() {
            return false;
        }
        let mut control = self.control();
        let free = is_first() && !control.walking && self.may_start(&control, kind);
        if free {
            self.count_in(&mut control, kind);
        }
        free
    }

    fn exit(&self, kind: Kind) {
        let mut control = self.control();
        self.count_out(&mut control, kind);
        let mut aftermath = Aftermath::default();
        if !planted!("lane_exit_without_advance") {
            self.advance(&mut control, &mut aftermath);
        }
        drop(control);
        aftermath.follow(self);
    }

    /// Runs `f` on the calling thread, beside readers or alone. The caller has checked for a deadlock.
    pub(super) fn concurrent_sync<R>(&self, kind: Kind, site: Site, f: impl FnOnce() -> R) -> R {
        if kind != Kind::SyncBarrier && Frame::hold_of(self).is_some() {
            // A reader that reads again: waiting behind a barrier that waits for this reader would never end.
            return Frame::run_body(self, Mode::Shared, site, f);
        }
        if let Some(target) = self.target() {
            return self.concurrent_sync_below(target, kind, site, f);
        }
        if spin_for(|| self.enter(kind).then_some(())).is_none() {
            without_unwinding(|| {
                let waiter = Waiter::new();
                self.join_the_readers_line(&waiter, kind);
                while self.help(&waiter) != Helped::Arrived {
                    waiter.wait(&self.reason_to_wait());
                }
            });
        }
        self.run_reader(kind, site, f)
    }

    /// As `concurrent_sync`, on a lane with a target: the thread stands in the target's line first, and has the right to
    /// run jobs of this lane only there. It waits here without any right.
    fn concurrent_sync_below<R>(&self, target: &Self, kind: Kind, site: Site, f: impl FnOnce() -> R) -> R {
        let waiter = Waiter::new();
        let mut is_in_line = false;
        let mut helped = Helped::Held;
        let mut body = Some(f);
        let mut value = None;
        loop {
            target.sync_for_child(site, &mut || {
                let has_entered = !is_in_line && self.enter(kind);
                if !has_entered {
                    helped = without_unwinding(|| {
                        if !is_in_line {
                            is_in_line = true;
                            self.join_the_readers_line(&waiter, kind);
                        }
                        self.help(&waiter)
                    });
                }
                if (has_entered || helped == Helped::Arrived)
                    && let Some(f) = body.take()
                {
                    value = Some(self.run_reader(kind, site, f));
                }
            });
            if let Some(value) = value {
                return value;
            }
            if helped == Helped::Linked {
                without_unwinding(|| waiter.wait(&self.reason_to_wait()));
            }
        }
    }

    fn run_reader<R>(&self, kind: Kind, site: Site, f: impl FnOnce() -> R) -> R {
        struct Exit<'a>(&'a Lane, Kind);
        impl Drop for Exit<'_> {
            fn drop(&mut self) {
                self.0.exit(self.1);
            }
        }
        let mode = if kind == Kind::SyncBarrier { Mode::Exclusive } else { Mode::Shared };
        let _exit = Exit(self, kind);
        Frame::run_body(self, mode, site, f)
    }

    /// Queues behind what is there. No edge is lost: the first look of `help` is the knock.
    #[cold]
    fn join_the_readers_line(&self, waiter: &Waiter, kind: Kind) {
        if kind == Kind::SyncBarrier {
            self.barriers.add();
        }
        let _ = self.push(Job::marker(kind, waiter.pointer().to_word()));
    }

    /// Runs what may start ahead of the waiter.
    fn help(&self, waiter: &Waiter) -> Helped {
        let mut finished = None;
        loop {
            let mut control = self.control();
            if let Some(kind) = finished.take() {
                self.count_out(&mut control, kind);
            }
            let mut aftermath = Aftermath::default();
            let mut settled = Settled::Quiet;
            let mut job = None;
            if waiter.turn() != Turn::Go {
                settled = self.settle(&mut control, &mut aftermath);
                if settled == Settled::Startable && waiter.turn() != Turn::Go {
                    job = self.take(&mut control, &mut aftermath);
                }
            }
            let arrived = waiter.turn() == Turn::Go;
            if arrived {
                self.advance(&mut control, &mut aftermath);
            } else if job.is_none() {
                waiter.rejoin(&mut control);
                if settled == Settled::Quiet {
                    control.link(waiter.pointer());
                }
            }
            drop(control);
            aftermath.follow(self);
            match (job, settled) {
                // Also when the turn has come: the job has been taken.
                (Some(job), _) => finished = Some(self.run_one(job)),
                (None, _) if arrived => return Helped::Arrived,
                (None, Settled::Quiet) => return Helped::Linked,
                (None, Settled::Startable) => return Helped::Held,
                (None, Settled::Unwritten) => yield_now(),
            }
        }
    }
}
