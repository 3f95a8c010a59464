//! The main lane: a serial lane whose jobs one thread runs, and sync calls onto it from other threads.
//!
//! See the folder's README for the protocol and the races.

use super::control::Keeper;
use super::lane;
use super::lane::Home;
use super::lane::Lane;
use super::loan::lend;
use super::main_thread::MainThread;
use super::serial::Allowance;
use super::serial::Drained;
use super::waiter::Frame;
use super::waiter::Site;
use super::walk::Until;
use crate::engine::Engine;
use crate::engine::Loss;
use crate::engine::MainLane;
use crate::engine::Phase;
use crate::job::Kind;
use crate::job::Route;
use crate::qos::Qos;
use crate::sync::Arc;
use crate::sync::planted;

impl Lane {
    /// The main lane of a runtime.
    pub(super) fn main(engine: Arc<Engine>) -> Arc<Self> {
        let lane = Self::new(Arc::from("main"), lane::Kind::Serial, Qos::default(), engine, false);
        lane.settle_at(Home::MainThread(MainThread::new()));
        lane
    }

    /// The thread that runs the lane's jobs, if this is the main lane.
    pub(super) fn main_thread(&self) -> Option<&MainThread> {
        match self.home() {
            Some(Home::MainThread(thread)) => Some(thread),
            Some(Home::Target(_)) | None => None,
        }
    }

    /// True if one thread runs the lane's jobs: this is the main lane, or stands on it.
    pub(super) fn is_of_the_main_thread(&self) -> bool {
        self.chain().any(|lane| lane.main_thread().is_some())
    }

    /// How many jobs a token runs before it makes way for others. On the main thread a token is one job of a turn, and so
    /// runs one.
    pub(super) fn budget(&self, usual: u32) -> u32 {
        if self.home().is_some() && self.is_of_the_main_thread() { 1 } else { usual }
    }

    /// Rings for the main thread, as the lane has been scheduled.
    pub(super) fn ring(&self, thread: &MainThread) {
        // A cancellation that has looked at the lane before it was scheduled is seen here; one that comes later finds it.
        if self.engine().phase() == Phase::Cancelling && !planted!("main_rings_after_the_end") {
            return self.abandon();
        }
        let control = self.control();
        // Else somebody has come for it by now.
        let owner = (control.keeper == Keeper::Scheduled).then(|| thread.ring()).flatten();
        drop(control);
        owner.inspect(|owner| owner.unpark());
    }

    /// Runs up to `budget` jobs, until `is_stopped`, on the main thread. Returns how many have run.
    pub(super) fn serve(&self, budget: usize, is_stopped: impl Fn() -> bool) -> usize {
        let mut ran = 0;
        let mut hold = self.redeem_token();
        while let Some(held) = hold.take() {
            let goes_on = ran < budget && !is_stopped();
            let allowance = Allowance::new(u32::from(goes_on));
            let drained = self.drain_within(held, None, &allowance);
            ran += usize::from(goes_on && allowance.left() == 0);
            match drained {
                Drained::More(more) if self.engine().phase() == Phase::Cancelling => self.empty_out(more, Loss::Ended),
                Drained::More(more) if goes_on => hold = Some(more),
                Drained::More(more) => self.give(more, Route::Lane),
                Drained::Left | Drained::Mine(_) => {}
            }
        }
        if planted!("main_hushes_late") {
            self.main_thread().inspect(|thread| thread.hush());
        }
        ran
    }

    /// Runs `f` on the main thread, in its place in line: in place if this is it, else lent to it while the caller waits.
    /// Once the runtime has been cancelled nobody may come any more, and every thread runs its own.
    pub(super) fn main_sync<R>(&self, thread: &MainThread, site: Site, f: impl FnOnce() -> R) -> R {
        if thread.is_here() {
            return self.serial_sync_in_place(site, f);
        }
        let mut body = f;
        while self.engine().phase() != Phase::Cancelling {
            match lend(self, Kind::Token, site, body, |waiter| waiter.wait(&self.reason_to_wait())) {
                Ok(value) => return value,
                Err(unrun) => body = unrun, // The runtime is cancelled by now.
            }
        }
        self.serial_sync_in_place(site, body)
    }

    /// Drops what waits, unless a thread has come for it, which finds out by itself that the runtime is cancelled.
    pub(super) fn drop_what_waits_for_the_main_thread(&self) {
        if let Some(mut hold) = self.held_by_caller() {
            self.walk(&mut hold, Until::EndBetweenMarkers, Loss::Ended);
            return;
        }
        let hold = self.claim(None, &mut self.control());
        if let Some(hold) = hold {
            self.empty_out(hold, Loss::Ended);
        }
    }
}

impl MainLane for Lane {
    fn is_current(&self) -> bool {
        Frame::hold_of(self).is_some()
    }

    fn belongs_here(&self) -> bool {
        self.main_thread().is_some_and(|thread| thread.is_here() && thread.own())
    }

    fn serve_all(&self) -> bool {
        self.serve(usize::MAX, || false) > 0
    }
}
