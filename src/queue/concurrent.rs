//! The concurrent lane: a monitor over the same job list.
//!
//! Jobs start in order and overlap, up to the width; a barrier runs alone. Who starts and who finishes is decided under
//! the control's lock; jobs run without it. The list's holder is whoever has the lock, so `IDLE` only tells a pusher
//! whether it must knock.

use super::control::Control;
use super::lane;
use super::lane::Lane;
use super::waiter::Frame;
use super::waiter::Mode;
use super::waiter::Site;
use super::waiter::Turn;
use super::waiter::Waiter;
use super::waiter::WaiterPointer;
use super::waiter::spin_for;
use super::waiter::without_unwinding;
use super::walk::Until;
use crate::collections::Peek;
use crate::collections::back_off;
use crate::engine::Loss;
use crate::engine::Phase;
use crate::job;
use crate::job::Job;
use crate::job::Kind;
use crate::job::Route;
use crate::sync::Arc;
use crate::sync::MutexGuard;
use crate::sync::Parker;
use crate::sync::Reason;
use crate::sync::planted;
use crate::sync::yield_now;

/// Jobs that a token runs before it makes way for others.
const BUDGET: u32 = if cfg!(any(concourse_loom, concourse_shuttle)) { 2 } else { 64 };

/// Looks at a claimed but unwritten slot before the lock is given up.
const GLANCES: u32 = 16;

/// What is at the front, once everything that only needs the lock has been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settled {
    /// An async job may start now.
    Startable,
    /// Nothing may start until something finishes, resumes or is pushed.
    Quiet,
    /// A pusher is about to write the job at the front, and will not knock: look again soon.
    Unwritten,
}

/// What must happen once the control is unlocked.
#[derive(Debug, Default)]
#[must_use]
struct Aftermath {
    wakes: Vec<Arc<Parker>>,
    token: Option<Route>,
}

impl Aftermath {
    fn follow(self, lane: &Lane) {
        for parker in self.wakes {
            parker.unpark();
        }
        if let Some(route) = self.token {
            lane.submit_token(route);
        }
    }
}

impl Lane {
    /// Takes a job or a barrier.
    pub(super) fn concurrent_async(&self, job: Job) {
        let kind = job.shape().kind;
        if kind == Kind::Barrier && !planted!("lane_uncounted_barrier") {
            self.barriers.add();
        }
        if self.push(job).is_some() {
            if self.engine.accepts(kind) {
                self.knock();
            } else {
                self.empty_out_concurrent(Loss::Rejected);
            }
        }
    }

    /// Serves what needs no thread, and calls for one if a job may start.
    pub(super) fn knock(&self) {
        let mut control = self.control();
        let mut aftermath = Aftermath::default();
        self.advance(&mut control, &mut aftermath);
        drop(control);
        aftermath.follow(self);
    }

    fn settle(&self, control: &mut Control, aftermath: &mut Aftermath) -> Settled {
        let mut glances = 0;
        loop {
            // An idle list may hold a job whose pusher is about to knock.
            if control.walking || self.is_idle() {
                return Settled::Quiet;
            }
            let mut consumer = self.consumer(control);
            let shape = match consumer.peek() {
                Peek::Ready(shape) => shape,
                Peek::Empty => {
                    if consumer.try_idle() {
                        return Settled::Quiet;
                    }
                    continue;
                }
                Peek::Unwritten => {
                    glances += 1;
                    if glances > GLANCES || cfg!(any(concourse_loom, concourse_shuttle)) {
                        return Settled::Unwritten;
                    }
                    back_off(&mut 0);
                    continue;
                }
            };
            match shape.kind {
                Kind::Noop => {
                    drop(consumer.take());
                    continue;
                }
                Kind::Cancel => {
                    let waiter = WaiterPointer::from_word(consumer.pointer_at(consumer.cursor()));
                    drop(consumer.take());
                    if let Some(waiter) = waiter {
                        aftermath.wakes.push(self.complete(waiter, 0, control));
                    }
                    continue;
                }
                _ => {}
            }
            if !self.may_start(control, shape.kind) {
                return Settled::Quiet;
            }
            if matches!(shape.kind, Kind::Job | Kind::Barrier | Kind::Token) {
                return Settled::Startable;
            }
            let mut consumer = self.consumer(control);
            let waiter = WaiterPointer::from_word(consumer.pointer_at(consumer.cursor()));
            drop(consumer.take());
            self.start(control, shape.kind);
            if let Some(waiter) = waiter {
                aftermath.wakes.push(waiter.tell(Turn::Go, 0, control));
            }
        }
    }

    fn may_start(&self, control: &Control, kind: Kind) -> bool {
        if control.suspends > 0 || control.exclusive {
            return false;
        }
        match kind {
            Kind::Barrier | Kind::SyncBarrier => control.running == 0,
            // A sync reader brings its own thread: only an explicit width bounds it.
            Kind::Sync => !control.bounded || control.running < control.width,
            _ => control.running < control.width,
        }
    }

    /// Counts in what has left the line.
    fn start(&self, control: &mut Control, kind: Kind) {
        self.count_in(control, kind);
        if matches!(kind, Kind::Barrier | Kind::SyncBarrier) {
            self.barriers.remove();
        }
    }

    fn count_in(&self, control: &mut Control, kind: Kind) {
        match kind {
            Kind::Barrier | Kind::SyncBarrier => control.exclusive = true,
            _ => control.running += 1,
        }
    }

    fn count_out(&self, control: &mut Control, kind: Kind) {
        match kind {
            Kind::Barrier | Kind::SyncBarrier => control.exclusive = false,
            _ => control.running -= 1,
        }
    }

    fn advance(&self, control: &mut Control, aftermath: &mut Aftermath) {
        let route = match self.settle(control, aftermath) {
            Settled::Quiet => return,
            Settled::Startable => Route::Lane,
            Settled::Unwritten => Route::Back,
        };
        // A waiter comes before the pool: it may be all that is left of the pool's threads.
        if let Some(waiter) = control.first_waiter() {
            aftermath.wakes.push(waiter.tell(Turn::Come, 0, control));
        } else if aftermath.token.is_none() && control.tokens < self.breadth(control) {
            control.tokens += 1;
            aftermath.token = Some(route);
        }
    }

    /// How many tokens may be of use at a time.
    fn breadth(&self, control: &Control) -> usize {
        let is_serial = self.chain().skip(1).any(|above| !above.is_concurrent());
        if is_serial { 1 } else { control.width }
    }

    /// Takes the next async job, and calls for another thread if one more may start.
    fn take(&self, control: &mut Control, aftermath: &mut Aftermath) -> Option<Job> {
        if self.settle(control, aftermath) != Settled::Startable {
            return None;
        }
        // After the look at the job, as with the own gate. Whoever is called now comes when the target has been resumed.
        if self.is_held_from_above() {
            self.advance(control, aftermath);
            return None;
        }
        let job = self.consumer(control).take();
        self.start(control, job.shape().kind);
        self.advance(control, aftermath);
        Some(job)
    }

    fn run_one(&self, job: Job) -> Kind {
        let shape = job.shape();
        let mode = if shape.kind == Kind::Barrier { Mode::Exclusive } else { Mode::Shared };
        // The hook runs inside the frame: the lane is held until the job has been counted out.
        Frame::run(self, mode, || {
            if let Err(panic) = job::contain(|| job.run()) {
                self.engine.report_panic(self.label(), panic, shape.type_name());
            }
        });
        shape.kind
    }

    /// What a token does instead when the pool has ended.
    pub(super) fn abandon_concurrent(&self) {
        self.control().tokens -= 1;
        self.empty_out_concurrent(Loss::Ended);
    }

    /// What a token runs.
    pub(super) fn run_concurrent(&self) {
        let budget = self.budget(BUDGET);
        let mut left = budget;
        let mut finished = None;
        loop {
            if left == 0 && self.is_quiet() {
                left = budget;
            }
            let mut control = self.control();
            if let Some(kind) = finished.take() {
                self.count_out(&mut control, kind);
            }
            if self.engine.phase() == Phase::Cancelling {
                drop(control);
                return self.abandon_concurrent();
            }
            let mut aftermath = Aftermath::default();
            let job = if left == 0 { None } else { self.take(&mut control, &mut aftermath) };
            let Some(job) = job else {
                control.tokens -= 1;
                self.advance(&mut control, &mut aftermath);
                // What is left comes after what waits in the pool now.
                aftermath.token = aftermath.token.map(|_| Route::Back);
                drop(control);
                return aftermath.follow(self);
            };
            drop(control);
            aftermath.follow(self);
            left -= 1;
            finished = Some(self.run_one(job));
        }
    }

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
                while !self.help(&waiter) {
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
        let mut body = Some(f);
        let mut value = None;
        loop {
            target.sync_for_child(site, &mut || {
                let has_entered = !is_in_line && self.enter(kind);
                let arrived = has_entered
                    || without_unwinding(|| {
                        if !is_in_line {
                            is_in_line = true;
                            self.join_the_readers_line(&waiter, kind);
                        }
                        self.help(&waiter)
                    });
                if arrived && let Some(f) = body.take() {
                    value = Some(self.run_reader(kind, site, f));
                }
            });
            if let Some(value) = value {
                return value;
            }
            without_unwinding(|| waiter.wait(&self.reason_to_wait()));
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

    /// Runs what may start ahead of the waiter. True if its turn has come; else it stands in line, and must wait.
    fn help(&self, waiter: &Waiter) -> bool {
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
            if waiter.turn() != Turn::Go {
                settled = self.settle(&mut control, &mut aftermath);
                if settled == Settled::Startable && waiter.turn() != Turn::Go {
                    job = self.take(&mut control, &mut aftermath);
                }
            }
            let arrived = waiter.turn() == Turn::Go;
            if arrived {
                self.advance(&mut control, &mut aftermath);
            } else if job.is_none() && settled != Settled::Unwritten {
                waiter.rejoin(&mut control);
                control.link(waiter.pointer());
            }
            drop(control);
            aftermath.follow(self);
            match job {
                // Also when the turn has come: the job has been taken.
                Some(job) => finished = Some(self.run_one(job)),
                None if arrived => return true,
                None if settled == Settled::Unwritten => yield_now(),
                None => return false,
            }
        }
    }

    /// Drops all jobs that are pending now, and returns how many.
    pub(super) fn concurrent_cancel_pending(&self) -> usize {
        if Frame::is_walking(self) {
            // From a capture's destructor or a hook: waiting for the walk that called it would never end.
            return self.walk(&mut self.walker(), Until::EndBetweenMarkers, Loss::Cancelled);
        }
        without_unwinding(|| self.cancel_in_readers_line())
    }

    /// Queues a marker behind what is pending, and returns when everything before it is gone.
    fn cancel_in_readers_line(&self) -> usize {
        let waiter = Waiter::new();
        let me = waiter.pointer();
        let _ = self.push(Job::marker(Kind::Cancel, me.to_word()));
        loop {
            let mut control = self.control();
            if waiter.turn() == Turn::Done {
                // It may have been told to walk and then been served by somebody else, so it passes that on.
                self.call_for_a_walk(control);
                return waiter.count();
            }
            if !control.walking {
                control.walking = true;
                drop(control);
                self.walk(&mut self.walker(), Until::Marker(me), Loss::Cancelled);
                self.end_walk();
            } else {
                waiter.rejoin(&mut control);
                self.register_canceller(&mut control, me);
                drop(control);
                waiter.wait(&Reason::Cancel(Arc::clone(self.label())));
            }
        }
    }

    fn end_walk(&self) {
        let mut control = self.control();
        while let Some(loss) = control.sweep.take() {
            drop(control);
            self.walk(&mut self.walker(), Until::End, loss);
            control = self.control();
        }
        control.walking = false;
        self.call_for_a_walk(control);
    }

    /// Makes the first canceller walk, unless somebody does, and goes on with the rest.
    fn call_for_a_walk(&self, mut control: MutexGuard<'_, Control>) {
        let mut aftermath = Aftermath::default();
        // Its marker came after the last walk had looked: it walks by itself.
        if !control.walking
            && let Some(canceller) = control.first_canceller()
        {
            aftermath.wakes.push(canceller.tell(Turn::Come, 0, &mut control));
        }
        self.advance(&mut control, &mut aftermath);
        drop(control);
        aftermath.follow(self);
    }

    /// Drops everything that is pending, and goes on with the waiters.
    pub(super) fn empty_out_concurrent(&self, loss: Loss) {
        self.empty_out_readers(self.control(), loss);
    }

    pub(super) fn empty_out_readers(&self, mut control: MutexGuard<'_, Control>, loss: Loss) {
        control.sweep = Some(loss);
        if control.walking {
            return; // The other walker does it when it has done its own.
        }
        control.walking = true;
        drop(control);
        self.end_walk();
    }

    /// Changes how many jobs may run at the same time.
    pub(super) fn set_width(&self, width: usize) {
        let mut control = self.control();
        control.width = width;
        control.bounded = true;
        let mut aftermath = Aftermath::default();
        self.advance(&mut control, &mut aftermath);
        drop(control);
        aftermath.follow(self);
    }
}
