//! The concurrent lane: a monitor over the same job list.
//!
//! Jobs start in order and overlap, up to the width; a barrier runs alone. Who starts and who finishes is decided under
//! the control's lock, or by an exchange on the summary while nothing stands in line; jobs run without it. The list's
//! holder is whoever has the lock, so `IDLE` only tells a pusher whether it must knock.

use super::control::Control;
use super::control::Locked;
use super::lane::Lane;
use super::waiter::Frame;
use super::waiter::Mode;
use super::waiter::Turn;
use super::waiter::Waiter;
use super::waiter::WaiterPointer;
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
use crate::job::Stint;
use crate::sync::Arc;
use crate::sync::Parker;
use crate::sync::Reason;
use crate::sync::is_child;
use crate::sync::planted;
use std::mem;

/// Jobs that a token runs before it makes way for others.
const BUDGET: u32 = if cfg!(any(concourse_loom, concourse_shuttle)) { 2 } else { 64 };

/// Looks at a claimed but unwritten slot before the lock is given up.
const GLANCES: u32 = 16;

/// What is at the front, once everything that only needs the lock has been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// This job may start now.
    Startable(Kind),
    /// Nothing may start until something finishes, resumes or is pushed.
    Quiet,
    /// A pusher is about to write the job at the front, and may not knock: look again soon.
    Unwritten,
}

/// What must happen once the control is unlocked.
#[derive(Debug, Default)]
#[must_use]
pub(super) struct Aftermath {
    wakes: Vec<Arc<Parker>>,
    token: Option<Route>,
    /// The pool has ended, and the caller goes on by itself: a token would come back and run in the middle of it.
    is_alone: bool,
}

impl Aftermath {
    pub(super) fn follow(self, lane: &Lane) {
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
        self.concurrent_async_by(job, Route::Lane);
    }

    /// As `concurrent_async`, with the way to the pool if one more thread is to come.
    pub(super) fn concurrent_async_by(&self, job: Job, route: Route) {
        let kind = job.shape().kind;
        if kind.is_barrier() && !planted!("lane_uncounted_barrier") {
            self.barriers().add();
        }
        if self.push(job).is_some() {
            if self.engine().accepts(kind) {
                self.knock_by(route);
            } else {
                self.empty_out_concurrent(Loss::Rejected);
            }
        }
    }

    /// Serves what needs no thread, and calls for one if a job may start.
    pub(super) fn knock(&self) {
        self.knock_by(Route::Lane);
    }

    fn knock_by(&self, route: Route) {
        let mut control = self.control();
        let mut aftermath = Aftermath::default();
        self.advance(&mut control, &mut aftermath);
        aftermath.token = aftermath.token.map(|_| route);
        drop(control);
        aftermath.follow(self);
    }

    pub(super) fn settle(&self, control: &mut Control, aftermath: &mut Aftermath) -> Settled {
        let mut glances = 0;
        loop {
            // An idle list may hold a job whose pusher is about to knock.
            if control.walking || self.is_idle() || is_child() {
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
                // What resumes the lane looks again. Until then nobody is called: the lane may not have its target yet.
                Peek::Unwritten if control.suspends > 0 => return Settled::Quiet,
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
            if !shape.kind.is_sync() || self.borrows_bodies() {
                return Settled::Startable(shape.kind);
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

    pub(super) fn may_start(&self, control: &Control, kind: Kind) -> bool {
        if control.suspends > 0 || control.exclusive {
            return false;
        }
        match kind {
            kind if kind.is_barrier() => control.running == 0,
            // A sync reader brings its own thread: only an explicit width bounds it.
            Kind::Sync => !control.bounded || control.running < control.width,
            _ => control.running < control.width,
        }
    }

    /// Counts in what has left the line.
    fn start(&self, control: &mut Control, kind: Kind) {
        self.count_in(control, kind);
        if kind.is_barrier() {
            self.barriers().remove();
        }
    }

    pub(super) fn count_in(&self, control: &mut Control, kind: Kind) {
        if kind.is_barrier() {
            control.exclusive = true;
        } else {
            control.running += 1;
        }
    }

    pub(super) fn count_out(&self, control: &mut Control, kind: Kind) {
        if kind.is_barrier() {
            control.exclusive = false;
        } else {
            control.running -= 1;
        }
    }

    pub(super) fn advance(&self, control: &mut Control, aftermath: &mut Aftermath) {
        let route = match self.settle(control, aftermath) {
            Settled::Quiet => return,
            // A runtime that has ended leaves these to the threads that wait for them.
            Settled::Startable(kind) if kind.is_sync() && self.engine().phase() == Phase::Cancelling => None,
            Settled::Startable(_) | Settled::Unwritten => Some(Route::Lane),
        };
        // A waiter comes before the pool: it may be all that is left of the pool's threads.
        if let Some(waiter) = control.first_waiter() {
            aftermath.wakes.push(waiter.tell(Turn::Come, 0, control));
        } else if route.is_some()
            && !aftermath.is_alone
            && !control.is_calling
            && (control.tokens as usize) < self.breadth(control)
        {
            control.tokens += 1;
            control.is_calling = true;
            aftermath.token = route;
        }
    }

    /// How many tokens may be of use at a time.
    fn breadth(&self, control: &Control) -> usize {
        let is_serial = self.chain().skip(1).any(|above| !above.is_concurrent());
        if is_serial { 1 } else { control.width }
    }

    /// Takes the next async job, and calls for another thread if one more may start.
    pub(super) fn take(&self, control: &mut Control, shared: Option<&Self>, aftermath: &mut Aftermath) -> Option<Job> {
        let Settled::Startable(_) = self.settle(control, aftermath) else { return None };
        // After the look at the job, as with the own gate. Whoever is called instead comes when the target is resumed.
        if self.is_held_from_above(shared) {
            return None;
        }
        let job = self.consumer(control).take();
        self.start(control, job.shape().kind);
        self.advance(control, aftermath);
        if aftermath.token == Some(Route::Lane) {
            aftermath.token = Some(Route::Beside);
        }
        Some(job)
    }

    pub(super) fn run_one(&self, job: Job) -> Kind {
        let shape = job.shape();
        let mode = if shape.kind.is_barrier() { Mode::Exclusive } else { Mode::Shared };
        // The hook runs inside the frame: the lane is held until the job has been counted out.
        Frame::run(self, mode, || {
            if let Err(panic) = job::contain(|| job.run()) {
                self.engine().report_panic(self.label(), panic, shape.type_name());
            }
        });
        shape.kind
    }

    /// What a token does instead when the pool has ended.
    pub(super) fn abandon_concurrent(&self) {
        self.control().is_calling = false;
        self.end_token();
    }

    fn end_token(&self) {
        self.control().tokens -= 1;
        self.empty_out_concurrent(Loss::Ended);
    }

    /// What a token runs.
    pub(super) fn run_concurrent(&self) {
        let budget = self.budget(BUDGET);
        let mut left = budget;
        let mut stint = Stint::default();
        let mut finished = None;
        let mut has_come = false;
        loop {
            if left == 0 && self.is_quiet() {
                (left, stint) = (budget, Stint::default());
            }
            let mut control = self.control();
            if !mem::replace(&mut has_come, true) {
                control.is_calling = false;
            }
            if let Some(kind) = finished.take() {
                self.count_out(&mut control, kind);
            }
            if self.engine().phase() == Phase::Cancelling {
                drop(control);
                return self.end_token();
            }
            let mut aftermath = Aftermath { is_alone: self.engine().executor().is_over(), ..Aftermath::default() };
            let job =
                if left == 0 && !aftermath.is_alone { None } else { self.take(&mut control, None, &mut aftermath) };
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
            finished = Some(self.run_one(job));
            // Nothing is left beyond the budget, where nobody else would go on, or when it is to make way.
            left = if self.is_to_make_way(&stint) { 0 } else { left.saturating_sub(1) };
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
    fn call_for_a_walk(&self, mut control: Locked<'_>) {
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

    pub(super) fn empty_out_readers(&self, mut control: Locked<'_>, loss: Loss) {
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
