//! Sync calls onto a concurrent lane: in place, in line, and below a target.

use super::concurrent::Aftermath;
use super::concurrent::Settled;
use super::lane::Lane;
use super::loan::lend;
use super::waiter::Frame;
use super::waiter::Mode;
use super::waiter::Site;
use super::waiter::Turn;
use super::waiter::Waiter;
use super::waiter::spin_again;
use super::waiter::without_unwinding;
use crate::engine::Loss;
use crate::job::Job;
use crate::job::Kind;
use crate::sync::planted;
use crate::sync::yield_now;
use crate::sync::yield_point;

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
        let overtakes = kind == Kind::Sync && !self.is_born_bounded();
        let is_first = |overtakes| self.is_idle() || (overtakes && !self.barriers().any());
        if self.gate().is_shut() || !is_first(overtakes) {
            return false;
        }
        yield_point();
        // What counts against a width takes the lock, which knows it.
        if kind != Kind::CountedSync
            && let Some(entered) = self.summary().try_enter(kind == Kind::SyncBarrier)
        {
            return entered;
        }
        let mut control = self.control();
        // It may have been given a width since.
        let free = is_first(overtakes && !control.bounded) && !control.walking && self.may_start(&control, kind);
        if free {
            self.count_in(&mut control, kind);
        }
        free
    }

    fn exit(&self, kind: Kind) {
        yield_point();
        if self.summary().try_exit(kind == Kind::SyncBarrier) {
            return;
        }
        let mut control = self.control();
        self.count_out(&mut control, kind);
        let mut aftermath = Aftermath::default();
        if !planted!("lane_exit_without_advance") {
            self.advance(&mut control, &mut aftermath);
        }
        control.unlock_plain();
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
        if !self.enter(kind) && spin_again(|| self.enter(kind).then_some(())).is_none() {
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

    /// As `concurrent_sync`, on a lane with a target: in place, if the thread may enter once it has the right to run what
    /// the target runs; else as a job of the lane.
    fn concurrent_sync_below<R>(&self, target: &Self, kind: Kind, site: Site, f: impl FnOnce() -> R) -> R {
        let mut body = Some(f);
        let mut value = None;
        target.sync_for_child(site, &mut || {
            if self.enter(kind) {
                value = body.take().map(|f| self.run_reader(kind, site, f));
            }
        });
        let Some(f) = body else {
            return value.unwrap_or_else(|| unreachable!("a body that was taken has run"));
        };
        let lent = lend(self, kind, site, f, |waiter| self.help_below(target, site, waiter));
        lent.unwrap_or_else(|_| unreachable!("the body of a sync call keeps its place in line"))
    }

    /// Returns when the lent body has run. The thread stands in the target's line to run what is ahead, and waits here
    /// without any right.
    fn help_below(&self, target: &Self, site: Site, waiter: &Waiter) {
        while waiter.turn() != Turn::Done {
            let mut helped = Helped::Held;
            target.sync_for_child(site, &mut || helped = self.help(waiter));
            if helped == Helped::Linked {
                waiter.wait(&self.reason_to_wait());
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
            self.barriers().add();
        }
        let _ = self.push(Job::marker(kind, waiter.pointer().to_word()));
    }

    /// Runs what may start ahead of the waiter.
    fn help(&self, waiter: &Waiter) -> Helped {
        let has_arrived = || matches!(waiter.turn(), Turn::Go | Turn::Done);
        let mut finished = None;
        loop {
            if self.is_cancelled(true) {
                self.empty_out_concurrent(Loss::Ended);
            }
            let mut control = self.control();
            if let Some(kind) = finished.take() {
                self.count_out(&mut control, kind);
            }
            let mut aftermath = Aftermath::default();
            let mut settled = Settled::Quiet;
            let mut job = None;
            if !has_arrived() {
                settled = self.settle(&mut control, &mut aftermath);
                if matches!(settled, Settled::Startable(_)) && !has_arrived() {
                    job = self.take(&mut control, waiter.shared(self), &mut aftermath);
                }
            }
            let arrived = has_arrived();
            let is_held = job.is_none() && matches!(settled, Settled::Startable(_));
            // A helper that is held leaves what is startable to others: it may have to wait up there for one of them.
            if arrived || is_held {
                self.advance(&mut control, &mut aftermath);
            }
            if !arrived && job.is_none() {
                waiter.rejoin(&mut control);
                if settled == Settled::Quiet {
                    waiter.link(self, &mut control);
                }
            }
            drop(control);
            aftermath.follow(self);
            match (job, settled) {
                // Also when the turn has come: the job has been taken.
                (Some(job), _) => finished = Some(self.run_one(job)),
                (None, _) if arrived => return Helped::Arrived,
                (None, Settled::Quiet) => return Helped::Linked,
                (None, Settled::Startable(_)) => return Helped::Held,
                (None, Settled::Unwritten) => yield_now(),
            }
        }
    }
}
