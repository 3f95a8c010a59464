//! The serial lane: one job at a time, in order.
//!
//! See the folder's README for the protocol and the races.

use super::control::Keeper;
use super::lane::Consume;
use super::lane::Holder;
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
use crate::job::Shape;
use crate::job::Stint;
use crate::sync::Arc;
use crate::sync::Reason;
use crate::sync::is_child;
use crate::sync::planted;
use crate::sync::spin_loop;
use crate::sync::yield_point;
use std::cell::Cell;
use std::mem;

/// Jobs that a token runs before it makes way for others.
const BUDGET: u32 = if cfg!(any(concourse_loom, concourse_shuttle)) { 2 } else { 64 };

/// Pauses between two looks of a drain that has run out of jobs, at least and at most: about a quarter of a microsecond, and
/// four.
const SHORT: u32 = 16;
const LONG: u32 = 256;

/// Looks at a claimed slot before the tail is read again.
const GLANCES: u32 = if cfg!(any(concourse_loom, concourse_shuttle)) { 0 } else { 16 };

/// How many jobs a drain may run, and how long it waits for more.
pub(super) struct Allowance {
    left: Cell<u32>,
    pauses: Cell<u32>,
}

impl Allowance {
    pub(super) fn new(jobs: u32) -> Self {
        Self { left: Cell::new(jobs), pauses: Cell::new(SHORT) }
    }

    #[inline]
    pub(super) fn left(&self) -> u32 {
        self.left.get()
    }

    #[inline]
    fn spend(&self) {
        self.left.set(self.left.get() - 1);
    }

    /// After `batch` jobs nothing more is there: how many pauses it is worth to let a producer get ahead. A stream of jobs
    /// is worth more and more; single ones, whose producer may wait for each, are looked for at once.
    fn pauses_after(&self, batch: u32) -> u32 {
        let pauses = match batch {
            0..=2 => SHORT,
            3..8 => self.pauses.get(),
            _ => LONG.min(self.pauses.get() * 2),
        };
        self.pauses.set(pauses);
        pauses
    }
}

/// How a drain ended.
#[must_use]
pub(super) enum Drained<'a> {
    /// The lane is idle, parked, or kept for a waiter: the caller owes nothing.
    Left,
    /// There is more, and the budget or the time is used up, a target is suspended, or something more urgent waits.
    More(Holder<'a>),
    /// The caller's own place in line has come.
    Mine(Holder<'a>),
}

/// How the loop inside a drain ended.
enum Stop {
    Idle,
    Parked,
    KeepFor(WaiterPointer),
    More,
    Mine,
}

impl Lane {
    /// Takes a job. The pusher that finds the lane idle schedules it.
    #[inline(always)]
    pub(super) fn serial_async(&self, job: Job) {
        let kind = job.shape().kind;
        if let Some(hold) = self.push(job) {
            self.edge(hold, kind);
        }
    }

    fn edge(&self, mut hold: Holder<'_>, kind: Kind) {
        if self.engine().accepts(kind) {
            return self.give(hold, Route::Lane);
        }
        self.walk(&mut hold, Until::End, Loss::Rejected);
        self.release(hold);
    }

    /// Gives the lane away: to its suspension, to a waiter, or to a token.
    ///
    /// A waiter comes before the token, and takes a scheduled lane over before it parks. So a lane with a parked waiter
    /// never waits for a thread of the pool, and a full pool cannot deadlock on it.
    pub(super) fn give(&self, hold: Holder<'_>, route: Route) {
        yield_point();
        match hold.try_schedule() {
            Ok(()) => self.submit_token(route),
            Err(hold) => self.give_with_care(hold, route),
        }
    }

    /// As `give`, on a lane where somebody else may come before a token.
    fn give_with_care(&self, hold: Holder<'_>, route: Route) {
        let mut control = self.control();
        // A canceller is served before the lane parks: nobody might resume it.
        if control.suspends > 0 && !control.has_cancellers() && self.has_handles() {
            if self.engine().phase() == Phase::Cancelling {
                // The shutdown that drops what suspended queues hold back may have looked here before.
                drop(control);
                return self.empty_out(hold, Loss::Ended);
            }
            return hold.park(&mut control);
        }
        if let Some(waiter) = control.first_canceller().or_else(|| control.first_waiter())
            && !planted!("lane_give_ignores_waiters")
        {
            // Below a target nothing is kept but for a canceller, who needs no right: a waiter may have to stand in a line
            // up there, behind somebody who needs this lane.
            let parker = if self.borrows_bodies() && !control.has_cancellers() {
                let _ = hold.schedule(&mut control);
                Some(waiter.tell(Turn::Come, 0, &mut control))
            } else {
                hold.keep_for(waiter, &mut control)
            };
            drop(control);
            parker.inspect(|parker| parker.unpark());
            return;
        }
        if !hold.schedule(&mut control) {
            return control.unlock_plain(); // The token of an earlier time is still on its way.
        }
        control.tokens = 1;
        control.unlock_plain();
        self.submit_token(route);
    }

    /// The lane, if its token is not a stale one.
    pub(super) fn redeem_token(&self) -> Option<Holder<'_>> {
        yield_point();
        if let Some(hold) = self.try_redeem() {
            return Some(hold);
        }
        let mut control = self.control();
        control.tokens = 0;
        self.claim(None, &mut control)
    }

    /// What a token runs.
    pub(super) fn run_serial(&self) {
        let mut hold = self.redeem_token();
        let allowance = Allowance::new(0);
        while let Some(held) = hold.take() {
            allowance.left.set(self.budget(BUDGET));
            match self.drain_within(held, None, &allowance) {
                Drained::More(_) if self.engine().phase() == Phase::Forked => {}
                Drained::More(more) if self.engine().phase() == Phase::Cancelling => self.empty_out(more, Loss::Ended),
                Drained::More(more) if self.is_quiet() => hold = Some(more),
                Drained::More(more) => self.give(more, Route::Back),
                Drained::Left | Drained::Mine(_) => {}
            }
        }
    }

    /// What a token does instead when the pool has ended.
    pub(super) fn abandon_serial(&self) {
        if let Some(hold) = self.redeem_token() {
            self.empty_out(hold, Loss::Ended);
        }
    }

    /// Runs what is at the front, up to `budget` jobs, or up to the place of `me`.
    pub(super) fn drain<'a>(&'a self, hold: Holder<'a>, me: Option<&Waiter>, budget: u32) -> Drained<'a> {
        self.drain_within(hold, me, &Allowance::new(budget))
    }

    /// As `drain`, with what is left of an allowance.
    pub(super) fn drain_within<'a>(
        &'a self,
        mut hold: Holder<'a>,
        me: Option<&Waiter>,
        allowance: &Allowance,
    ) -> Drained<'a> {
        let running: Cell<Option<&'static Shape>> = Cell::new(None);
        let stint = Stint::default();
        let stop = Frame::run(self, Mode::Exclusive, || {
            loop {
                match job::contain(|| self.run_jobs(&mut hold, me, allowance, &stint, &running)) {
                    Ok(stop) => return stop,
                    Err(panic) => {
                        let closure = running.get().map_or("", Shape::type_name);
                        self.engine().report_panic(self.label(), panic, closure);
                    }
                }
            }
        });
        match stop {
            // The list went idle with the last step of the loop, or the control took the hold over: what is left of it
            // here has no duty.
            Stop::Idle | Stop::Parked => Drained::Left,
            Stop::KeepFor(waiter) => {
                let mut control = self.control();
                let parker = hold.keep_for(waiter, &mut control);
                drop(control);
                parker.inspect(|parker| parker.unpark());
                Drained::Left
            }
            Stop::More => Drained::More(hold),
            Stop::Mine => Drained::Mine(hold),
        }
    }

    fn run_jobs(
        &self,
        hold: &mut Holder<'_>,
        me: Option<&Waiter>,
        allowance: &Allowance,
        stint: &Stint,
        running: &Cell<Option<&'static Shape>>,
    ) -> Stop {
        let shared = me.and_then(|me| me.shared(self));
        let mut lingered = me.is_some() || allowance.left() == 0;
        let mut left_before = allowance.left();
        let mut tries = 0;
        loop {
            yield_point();
            let mut consumer = hold.consumer();
            let shape = match consumer.peek() {
                Peek::Ready(shape) => shape,
                // A thread of the parent was writing it.
                Peek::Unwritten if is_child() => return Stop::More,
                Peek::Unwritten => {
                    // Not by `peek`, which reads the tail: the pusher needs that line.
                    for _ in 0..GLANCES {
                        if consumer.is_ready() {
                            break;
                        }
                        spin_loop();
                    }
                    back_off(&mut tries);
                    continue;
                }
                Peek::Empty => {
                    let has_lingered = mem::replace(&mut lingered, true);
                    let batch = mem::replace(&mut left_before, allowance.left()) - allowance.left();
                    if (has_lingered || !self.linger(hold, allowance.pauses_after(batch))) && hold.consumer().try_idle()
                    {
                        return Stop::Idle;
                    }
                    continue;
                }
            };
            if self.gate().is_shut() {
                if shape.kind == Kind::Noop {
                    // What a walk has left behind holds nothing back: without it the lane is idle.
                    drop(consumer.take());
                } else if self.stop(hold) {
                    return Stop::Parked;
                }
                continue;
            }
            match shape.kind {
                Kind::Job | Kind::Promised | Kind::Barrier | Kind::Token => {
                    if allowance.left() == 0 || self.is_held_from_above(shared) || self.is_over(me.is_some()) {
                        return Stop::More;
                    }
                    // A turn is one job at least. Whoever has come for its own place goes on to it.
                    if me.is_none() && running.get().is_some() && self.is_to_make_way(stint) {
                        return Stop::More;
                    }
                    allowance.spend();
                    running.set(Some(shape));
                    consumer.take().run();
                    lingered = me.is_some();
                }
                Kind::Sync | Kind::CountedSync | Kind::SyncBarrier if self.borrows_bodies() => {
                    // A runtime that has ended leaves these to the threads that wait for them.
                    if allowance.left() == 0 || self.is_held_from_above(shared) {
                        return Stop::More;
                    }
                    allowance.spend();
                    consumer.take().run();
                    if me.is_some_and(|me| me.turn() == Turn::Done) {
                        return Stop::Mine;
                    }
                }
                Kind::Sync | Kind::CountedSync | Kind::SyncBarrier => {
                    let cursor = consumer.cursor();
                    let waiter = WaiterPointer::from_word(consumer.pointer_at(cursor));
                    if me.is_some_and(|me| waiter == Some(me.pointer())) {
                        drop(consumer.take());
                        return Stop::Mine;
                    }
                    if let Some(waiter) = waiter {
                        return Stop::KeepFor(waiter);
                    }
                }
                Kind::Cancel => {
                    let cursor = consumer.cursor();
                    let waiter = WaiterPointer::from_word(consumer.pointer_at(cursor));
                    drop(consumer.take());
                    if let Some(waiter) = waiter {
                        self.complete_now(waiter, 0);
                    }
                }
                Kind::Noop => drop(consumer.take()),
            }
        }
    }

    /// True if no job may start here any more.
    #[inline]
    fn is_over(&self, stands_in_line: bool) -> bool {
        match self.engine().phase() {
            Phase::Open | Phase::Draining => false,
            Phase::Cancelling => self.is_cancelled(stands_in_line),
            Phase::Forked => true,
        }
    }

    /// True if the runtime has ended what waits here. A thread that stands in line goes on to its own place all the same,
    /// it is not the runtime's to stop; but it may not be the main thread.
    pub(super) fn is_cancelled(&self, stands_in_line: bool) -> bool {
        let may_be_a_stranger = || self.is_of_the_main_thread() && !planted!("main_jobs_stray");
        self.engine().phase() == Phase::Cancelling && (!stands_in_line || may_be_a_stranger())
    }

    /// Lets a producer get some jobs ahead, so that the two do not fight over one cache line, if the worker has nothing
    /// else to do. True if there is one by now.
    fn linger(&self, hold: &mut Holder<'_>, mut pauses: u32) -> bool {
        if cfg!(any(concourse_loom, concourse_shuttle)) || !self.is_quiet() {
            return false;
        }
        (0..4).any(|_| {
            (0..mem::replace(&mut pauses, SHORT)).for_each(|_| spin_loop());
            hold.consumer().is_ready()
        })
    }

    /// The gate is shut: serves what it stands for. True if the lane is parked now, and held no more.
    #[cold]
    fn stop(&self, hold: &mut Holder<'_>) -> bool {
        let mut control = self.control();
        if control.has_cancellers() {
            drop(control);
            self.walk(hold, Until::NobodyWaits, Loss::Cancelled);
            return false;
        }
        if control.suspends > 0 {
            if self.has_handles() {
                if self.engine().phase() == Phase::Cancelling {
                    // The shutdown that dropped what suspended queues hold back has missed this one.
                    drop(control);
                    let is_left = self.walk(hold, Until::End, Loss::Ended) == 0;
                    control = self.control();
                    if !is_left || control.suspends == 0 || control.has_cancellers() {
                        return false;
                    }
                }
                control.keeper = Keeper::Parked;
                return true;
            }
            // Nobody can resume it: what is pending is dropped.
            self.end_all_suspensions(&mut control);
            drop(control);
            self.walk(hold, Until::End, Loss::Cancelled);
        }
        false
    }

    /// Drops everything that is pending, and leaves. Waiters get their turn.
    pub(super) fn empty_out(&self, hold: Holder<'_>, loss: Loss) {
        let mut next = Some(hold);
        while let Some(mut hold) = next.take() {
            self.walk(&mut hold, Until::End, loss);
            if let Drained::More(mut more) = self.drain(hold, None, 0) {
                if self.borrows_bodies() && more.is_at_a_sync() {
                    return self.leave_to_callers(more);
                }
                next = Some(more);
            }
        }
    }

    /// Leaves the lane to the threads that wait for what they have lent to it: no token runs any more.
    fn leave_to_callers(&self, hold: Holder<'_>) {
        let mut control = self.control();
        let _ = hold.schedule(&mut control);
        let first = control.first_waiter().map(|waiter| waiter.tell(Turn::Come, 0, &mut control));
        drop(control);
        // One that is not in line yet sees that the lane is scheduled.
        first.inspect(|parker| parker.unpark());
    }

    /// Leaves a lane without running anything.
    pub(super) fn release(&self, hold: Holder<'_>) {
        if let Err(hold) = hold.try_idle() {
            self.leave(hold);
        }
    }

    /// As `release`, when something may be there.
    #[cold]
    pub(super) fn leave(&self, hold: Holder<'_>) {
        if let Drained::More(more) = self.drain(hold, None, 0) {
            self.give(more, Route::Lane);
        }
    }

    /// Drops all jobs that are pending now, and returns how many.
    pub(super) fn serial_cancel_pending(&self) -> usize {
        if let Some(mut hold) = self.held_by_caller() {
            return self.walk(&mut hold, Until::EndBetweenMarkers, Loss::Cancelled);
        }
        without_unwinding(|| self.cancel_in_line())
    }

    /// Queues a marker behind what is pending, and returns when everything before it is gone.
    fn cancel_in_line(&self) -> usize {
        let waiter = Waiter::new();
        let me = waiter.pointer();
        let edge = self.push(Job::marker(Kind::Cancel, me.to_word()));
        let mut control = self.control();
        if waiter.turn() == Turn::Done {
            drop(control);
            // The edge may come late, when somebody else has already served the marker.
            edge.into_iter().for_each(|hold| self.release(hold));
            return waiter.count();
        }
        let mut hold = edge.or_else(|| self.claim_for_a_walk(&mut control));
        if hold.is_none() {
            self.register_canceller(&mut control, me);
        }
        drop(control);
        while hold.is_none() {
            waiter.wait(&Reason::Cancel(Arc::clone(self.label())));
            let mut control = self.control();
            if waiter.turn() == Turn::Done {
                return waiter.count();
            }
            waiter.rejoin(&mut control);
            hold = self.claim_for_a_walk(&mut control);
            if hold.is_some() {
                self.deregister_canceller(&mut control, me);
            } else {
                control.link(me); // Another canceller has come first.
            }
        }
        if let Some(mut hold) = hold {
            self.walk(&mut hold, Until::Marker(me), Loss::Cancelled);
            self.release(hold);
        }
        waiter.count()
    }
}
