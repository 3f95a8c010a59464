//! Sync calls onto a serial lane: in place, in line, and below a target.

use super::control::Keeper;
use super::lane::Holder;
use super::lane::Home;
use super::lane::Lane;
use super::lane::Visit;
use super::loan::lend;
use super::serial::Drained;
use super::waiter::Frame;
use super::waiter::Mode;
use super::waiter::Site;
use super::waiter::Turn;
use super::waiter::Waiter;
use super::waiter::spin_again;
use super::waiter::without_unwinding;
use super::waiter::yield_again;
use crate::engine::Loss;
use crate::job::Job;
use crate::job::Kind;
use crate::job::Route;
use crate::sync::planted;
use crate::sync::yield_point;

impl Lane {
    /// Runs `f` on the calling thread when everything before it has run. The caller has checked for a deadlock.
    #[inline]
    pub(super) fn serial_sync<R>(&self, site: Site, f: impl FnOnce() -> R) -> R {
        match self.home() {
            None => self.serial_sync_in_place(site, f),
            Some(Home::Target(target)) => self.serial_sync_below(target, site, f),
            Some(Home::MainThread(thread)) => self.main_sync(thread, site, f),
        }
    }

    #[inline]
    pub(super) fn serial_sync_in_place<R>(&self, site: Site, f: impl FnOnce() -> R) -> R {
        yield_point();
        let visit = self.acquire().unwrap_or_else(|hold| self.wait_for_turn(hold));
        self.run_body(visit, site, f)
    }

    #[inline]
    pub(super) fn run_body<R>(&self, _visit: Visit<'_>, site: Site, f: impl FnOnce() -> R) -> R {
        Frame::run_body(self, Mode::Exclusive, site, f)
    }

    /// Takes the lane when everything before has run. The caller has tried to take it, and may hold it.
    #[cold]
    pub(super) fn wait_for_turn<'a>(&'a self, mut hold: Option<Holder<'a>>) -> Visit<'a> {
        if hold.is_none() {
            let attempt = || {
                if self.gate().is_shut() {
                    return Some(Err(None)); // A suspension lasts longer than this.
                }
                // A look first: an exchange would take the line from those who are at work.
                let taken = if self.is_idle() { self.acquire() } else { Err(None) };
                (!matches!(taken, Err(None))).then_some(taken)
            };
            let taken = spin_again(attempt).or_else(|| self.yield_to_a_visitor(attempt));
            match taken {
                Some(Ok(visit)) => return visit,
                Some(Err(held)) => hold = held,
                None => {}
            }
        }
        without_unwinding(|| self.stand_in_line(hold)).visit()
    }

    /// Offers the processor to others as long as somebody seems to be in the lane who wants it for himself.
    ///
    /// Not if jobs come: they would go before this call. Not if nobody is at work: whoever stands in line takes a scheduled
    /// lane over, and only the main thread does so with its own. And not on a thread that others may wait for, as it holds a
    /// lane already.
    fn yield_to_a_visitor<R>(&self, attempt: impl FnMut() -> Option<R>) -> Option<R> {
        let end = self.end();
        let has_visitor = || self.end() == end && !self.summary().seems_scheduled();
        if self.home().is_some() || Frame::is_any() { None } else { yield_again(has_visitor, attempt) }
    }

    /// Queues behind what is there and returns as the lane's holder, when it is this thread's turn.
    fn stand_in_line<'a>(&'a self, hold: Option<Holder<'a>>) -> Holder<'a> {
        let waiter = Waiter::new();
        let edge = self.push(Job::marker(Kind::Sync, waiter.pointer().to_word()));
        let mut hold = hold.or(edge);
        loop {
            if let Some(mine) = hold.and_then(|hold| self.drain_up_to(hold, &waiter)) {
                return mine;
            }
            hold = self.claim_or_wait(&waiter);
        }
    }

    /// As `serial_sync`, on a lane with a target: in place, if the lane is free once the thread has the right to run what
    /// the target runs; else as a job of the lane.
    fn serial_sync_below<R>(&self, target: &Self, site: Site, f: impl FnOnce() -> R) -> R {
        let mut body = Some(f);
        let mut value = None;
        target.sync_for_child(site, &mut || match self.acquire() {
            Ok(visit) => value = body.take().map(|f| self.run_body(visit, site, f)),
            Err(Some(hold)) => self.release(hold),
            Err(None) => {}
        });
        let Some(f) = body else {
            return value.unwrap_or_else(|| unreachable!("a body that was taken has run"));
        };
        let lent = lend(self, Kind::Sync, site, f, |waiter| self.wait_below(target, site, waiter));
        lent.unwrap_or_else(|_| unreachable!("the body of a sync call keeps its place in line"))
    }

    /// Returns when the lent body has run. The thread stands in the target's line to run what is ahead, and waits here
    /// without any right.
    fn wait_below(&self, target: &Self, site: Site, waiter: &Waiter) {
        while waiter.turn() != Turn::Done {
            target.sync_for_child(site, &mut || {
                let hold = self.claim(None, &mut self.control());
                if let Some(mine) = hold.and_then(|hold| self.drain_up_to(hold, waiter)) {
                    self.release(mine);
                }
            });
            let mut control = self.control();
            if waiter.turn() == Turn::Done && !planted!("lent_body_rejoins_blindly") {
                return;
            }
            waiter.rejoin(&mut control);
            if control.keeper != Keeper::Scheduled || planted!("chain_waits_blindly") {
                waiter.link(self, &mut control);
                drop(control);
                waiter.wait(&self.reason_to_wait());
            }
        }
    }

    /// Runs what is ahead of `me`, and gives the lane away if that is not the end of it, or drops what may not run here.
    fn drain_up_to<'a>(&'a self, hold: Holder<'a>, me: &Waiter) -> Option<Holder<'a>> {
        match self.drain(hold, Some(me), u32::MAX) {
            Drained::Mine(hold) => return Some(hold),
            Drained::More(more) if self.is_cancelled(true) => self.empty_out(more, Loss::Ended),
            Drained::More(more) => self.give(more, Route::Lane),
            Drained::Left => {}
        }
        None
    }

    /// Takes the lane if nobody else is about to; else waits until there is reason to look again.
    fn claim_or_wait(&self, waiter: &Waiter) -> Option<Holder<'_>> {
        let mut control = self.control();
        waiter.rejoin(&mut control);
        let hold = self.claim(Some(waiter.pointer()), &mut control);
        if hold.is_none() {
            control.link(waiter.pointer());
            drop(control);
            waiter.wait(&self.reason_to_wait());
        }
        hold
    }
}
