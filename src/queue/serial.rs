//! The serial lane: one job at a time, in order.
//!
//! See the folder's README for the protocol and the races.

use super::lane::Acquired;
use super::lane::Holder;
use super::lane::Keeper;
use super::lane::Lane;
use super::waiter::Frame;
use super::waiter::Mode;
use super::waiter::Turn;
use super::waiter::Waiter;
use super::waiter::WaiterPointer;
use super::waiter::spin_for;
use super::waiter::without_unwinding;
use crate::collections::Peek;
use crate::collections::back_off;
use crate::engine::Loss;
use crate::engine::Phase;
use crate::job;
use crate::job::Job;
use crate::job::Kind;
use crate::job::Route;
use crate::job::Shape;
use crate::sync::Arc;
use crate::sync::Reason;
use crate::sync::planted;
use crate::sync::spin_loop;
use crate::sync::yield_point;
use std::cell::Cell;

/// Jobs that a token runs before it makes way for others.
const BUDGET: u32 = if cfg!(any(concourse_loom, concourse_shuttle)) { 2 } else { 64 };

/// Looks at a claimed slot before the tail is read again.
const GLANCES: u32 = if cfg!(any(concourse_loom, concourse_shuttle)) { 0 } else { 16 };

/// How a drain ended.
#[must_use]
enum Drained<'a> {
    /// The lane is idle, parked, or handed over: the caller owes nothing.
    Left,
    /// The budget is used up and there is more.
    More(Holder<'a>),
    /// The caller's own place in line has come.
    Mine(Holder<'a>),
}

/// How the loop inside a drain ended.
enum Stop {
    Idle,
    Parked,
    HandOver(WaiterPointer),
    More,
    Mine,
}

impl Lane {
    /// Takes a job. The pusher that finds the lane idle schedules it.
    #[inline]
    pub(super) fn serial_async(&self, job: Job) {
        let kind = job.shape().kind;
        if let Some(hold) = self.push(job) {
            self.edge(hold, kind);
        }
    }

    fn edge(&self, mut hold: Holder<'_>, kind: Kind) {
        if self.engine.accepts(kind) {
            return self.give(hold, Route::Lane);
        }
        self.walk(&mut hold, Until::End, Loss::Rejected);
        self.release(hold);
    }

    /// Gives the lane away: to its suspension, to a waiter, or to the pool.
    ///
    /// A waiter comes before the pool, and takes a scheduled lane over before it parks. So a lane with a parked waiter
    /// never waits for a thread of the pool, and a full pool cannot deadlock on it.
    pub(super) fn give(&self, hold: Holder<'_>, route: Route) {
        let mut control = self.control();
        // A canceller is served before the lane parks: nobody might resume it.
        if control.suspends > 0 && !control.has_cancellers() && self.has_handles() {
            return hold.park(&mut control);
        }
        if let Some(waiter) = control.first_waiter()
            && !planted!("lane_give_ignores_waiters")
        {
            let parker = hold.hand_over(waiter, &mut control);
            drop(control);
            return parker.unpark();
        }
        if !hold.schedule(&mut control) {
            return; // The token of an earlier time is still on its way.
        }
        control.tokens = 1;
        drop(control);
        self.submit_token(route);
    }

    /// The lane, if its token is not a stale one.
    fn redeem_token(&self) -> Option<Holder<'_>> {
        let mut control = self.control();
        control.tokens = 0;
        self.claim(&mut control)
    }

    /// What the pool runs.
    pub(super) fn run_serial(&self) {
        let mut hold = self.redeem_token();
        while let Some(held) = hold.take() {
            match self.drain(held, None, BUDGET) {
                Drained::More(more) if self.engine.phase() == Phase::Cancelling => self.empty_out(more, Loss::Ended),
                Drained::More(more) if self.engine.executor().is_quiet() => hold = Some(more),
                Drained::More(more) => self.give(more, Route::Back),
                Drained::Left | Drained::Mine(_) => {}
            }
        }
    }

    /// What the pool does instead when it has ended.
    pub(super) fn abandon_serial(&self) {
        if let Some(hold) = self.redeem_token() {
            self.empty_out(hold, Loss::Ended);
        }
    }

    /// Runs what is at the front, up to `budget` jobs, or up to the place of `me`.
    fn drain<'a>(&'a self, mut hold: Holder<'a>, me: Option<WaiterPointer>, budget: u32) -> Drained<'a> {
        let left = Cell::new(budget);
        let running: Cell<Option<&'static Shape>> = Cell::new(None);
        let stop = Frame::run(self, Mode::Exclusive, || {
            loop {
                match job::contain(|| self.run_jobs(&mut hold, me, &left, &running)) {
                    Ok(stop) => return stop,
                    Err(panic) => {
                        let closure = running.get().map_or("", Shape::type_name);
                        self.engine.report_panic(self.label(), panic, closure);
                    }
                }
            }
        });
        match stop {
            // The list went idle with the last step of the loop, or the control took the hold over: what is left of it
            // here has no duty.
            Stop::Idle | Stop::Parked => Drained::Left,
            Stop::HandOver(waiter) => {
                let mut control = self.control();
                let parker = hold.hand_over(waiter, &mut control);
                drop(control);
                parker.unpark();
                Drained::Left
            }
            Stop::More => Drained::More(hold),
            Stop::Mine => Drained::Mine(hold),
        }
    }

    fn run_jobs(
        &self,
        hold: &mut Holder<'_>,
        me: Option<WaiterPointer>,
        left: &Cell<u32>,
        running: &Cell<Option<&'static Shape>>,
    ) -> Stop {
        let mut lingered = me.is_some() || left.get() == 0;
        let mut tries = 0;
        loop {
            yield_point();
            let mut consumer = hold.consumer();
            let shape = match consumer.peek() {
                Peek::Ready(shape) => shape,
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
                    if !lingered {
                        lingered = true;
                        self.linger(hold);
                    } else if consumer.try_idle() {
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
                Kind::Job | Kind::Barrier | Kind::Token => {
                    // A thread that stands in line goes on to its own place: it is not the runtime's to stop.
                    if left.get() == 0 || me.is_none() && self.engine.phase() == Phase::Cancelling {
                        return Stop::More;
                    }
                    left.set(left.get() - 1);
                    running.set(Some(shape));
                    consumer.take().run();
                    lingered = me.is_some();
                }
                Kind::Sync | Kind::SyncBarrier => {
                    let cursor = consumer.cursor();
                    let waiter = WaiterPointer::from_word(consumer.pointer_at(cursor));
                    if me == waiter && me.is_some() {
                        drop(consumer.take());
                        return Stop::Mine;
                    }
                    if let Some(waiter) = waiter {
                        return Stop::HandOver(waiter);
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

    /// Lets a producer get a few jobs ahead, so that the two do not fight over one cache line, if the worker has nothing
    /// else to do.
    fn linger(&self, hold: &mut Holder<'_>) {
        if cfg!(any(concourse_loom, concourse_shuttle)) || !self.engine.executor().is_quiet() {
            return;
        }
        for _ in 0..4 {
            for _ in 0..16 {
                spin_loop();
            }
            if hold.consumer().is_ready() {
                return;
            }
        }
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

    /// Drops pending jobs in place; waiters keep their slots. Returns how many were dropped since the last marker.
    ///
    /// Captures and hooks are user code, which may call the lane again: inside a frame it is told that the thread holds
    /// it, or cancels in place.
    fn walk(&self, hold: &mut Holder<'_>, until: Until, loss: Loss) -> usize {
        Frame::run(self, Mode::Exclusive, || self.walk_in_frame(hold, until, loss))
    }

    fn walk_in_frame(&self, hold: &mut Holder<'_>, until: Until, loss: Loss) -> usize {
        let mut count = 0;
        let mut tries = 0;
        let mut cursor = hold.consumer().cursor();
        loop {
            if until == Until::NobodyWaits && !self.control().has_cancellers() {
                return count;
            }
            let mut consumer = hold.consumer();
            match consumer.peek_at(&mut cursor) {
                Peek::Empty => return count,
                Peek::Unwritten => {
                    back_off(&mut tries);
                    continue;
                }
                Peek::Ready(shape) => match shape.kind {
                    Kind::Job | Kind::Barrier => {
                        let job = consumer.remove_at(cursor);
                        count += 1;
                        self.lose(job, loss);
                    }
                    Kind::Cancel if until != Until::EndBetweenMarkers => {
                        let waiter = WaiterPointer::from_word(consumer.pointer_at(cursor));
                        drop(consumer.remove_at(cursor));
                        if until == Until::Marker(waiter) {
                            return count;
                        }
                        if let Some(waiter) = waiter {
                            self.complete_now(waiter, std::mem::take(&mut count));
                        }
                    }
                    Kind::Token if loss == Loss::Ended => {
                        let token = consumer.remove_at(cursor);
                        self.engine.give_up(self.label(), token);
                    }
                    Kind::Cancel | Kind::Sync | Kind::SyncBarrier | Kind::Token | Kind::Noop => {}
                },
            }
            hold.consumer().advance(&mut cursor);
        }
    }

    fn complete_now(&self, canceller: WaiterPointer, count: usize) {
        let mut control = self.control();
        let parker = self.complete(canceller, count, &mut control);
        drop(control);
        parker.unpark();
    }

    /// Drops everything that is pending, and leaves. Waiters get their turn.
    pub(super) fn empty_out(&self, hold: Holder<'_>, loss: Loss) {
        let mut next = Some(hold);
        while let Some(mut hold) = next.take() {
            self.walk(&mut hold, Until::End, loss);
            if let Drained::More(more) = self.drain(hold, None, 0) {
                next = Some(more);
            }
        }
    }

    /// Leaves a lane after a sync body.
    fn release(&self, hold: Holder<'_>) {
        if let Err(hold) = hold.try_idle()
            && let Drained::More(more) = self.drain(hold, None, 0)
        {
            self.give(more, Route::Lane);
        }
    }

    /// Runs `f` on the calling thread when everything before it has run. The caller has checked for a deadlock.
    #[inline]
    pub(super) fn serial_sync<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Release<'a>(Option<Holder<'a>>);
        impl Drop for Release<'_> {
            #[inline]
            fn drop(&mut self) {
                if let Some(hold) = self.0.take() {
                    hold.lane().release(hold);
                }
            }
        }
        yield_point();
        let hold =
            match spin_for(|| if self.gate().is_shut() { Some(None) } else { self.acquire().map(Some) }).flatten() {
                Some(Acquired::Free(hold)) => hold,
                Some(Acquired::Held(hold)) => without_unwinding(|| self.stand_in_line(Some(hold))),
                None => without_unwinding(|| self.stand_in_line(None)),
            };
        let _release = Release(Some(hold));
        Frame::run(self, Mode::Exclusive, f)
    }

    /// Queues behind what is there and returns as the lane's holder, when it is this thread's turn.
    #[cold]
    fn stand_in_line<'a>(&'a self, hold: Option<Holder<'a>>) -> Holder<'a> {
        let waiter = Waiter::new();
        let me = waiter.pointer();
        let reason = Reason::Sync { queue: Arc::clone(self.label()), held: Frame::labels() };
        let edge = self.push(Job::marker(Kind::Sync, me.to_word()));
        let mut holder = hold.or(edge);
        loop {
            if let Some(hold) = holder.take()
                && let Drained::Mine(hold) = self.drain(hold, Some(me), u32::MAX)
            {
                return hold;
            }
            let mut control = self.control();
            holder = self.handed_over(waiter.turn());
            if holder.is_some() {
                waiter.rejoin(&mut control);
            } else {
                holder = if planted!("lane_no_claim") { None } else { self.claim(&mut control) };
                match holder {
                    Some(_) => control.unlink(me),
                    None => control.link(me),
                }
            }
            drop(control);
            if holder.is_none() {
                waiter.wait(&reason);
            }
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
        let hold = {
            let mut control = self.control();
            if waiter.turn() == Turn::Done {
                drop(control);
                // The edge may come late, when somebody else has already served the marker.
                if let Some(hold) = edge {
                    self.release(hold);
                }
                return waiter.count();
            }
            let hold = edge.or_else(|| self.claim(&mut control)).or_else(|| self.unpark(&mut control));
            if hold.is_none() {
                self.register_canceller(&mut control, me);
            }
            hold
        };
        let Some(mut hold) = hold.or_else(|| self.wait_for_cancellation(&waiter)) else { return waiter.count() };
        let count = self.walk(&mut hold, Until::Marker(Some(me)), Loss::Cancelled);
        self.release(hold);
        count
    }

    /// Waits until a drain has served a registered canceller, or has handed the lane to it.
    fn wait_for_cancellation(&self, waiter: &Waiter) -> Option<Holder<'_>> {
        waiter.wait(&Reason::Cancel(Arc::clone(self.label())));
        let mut control = self.control();
        let hold = self.handed_over(waiter.turn());
        if hold.is_some() {
            self.deregister_canceller(&mut control, waiter.pointer());
            waiter.rejoin(&mut control);
        }
        hold
    }
}

/// How far a walk goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// To the last job that is there.
    End,
    /// As `End`, but the markers stay for the drain or the walk that the thread has further up its stack.
    EndBetweenMarkers,
    /// To this canceller's marker.
    Marker(Option<WaiterPointer>),
    /// Until every registered canceller has been told.
    NobodyWaits,
}
