//! The loan: a sync body that whoever runs the lane's jobs runs, while its caller waits.
//!
//! A loan lives on its caller's stack and is reached by one pointer, in the job that was pushed for it. The caller does not
//! return before it has been told; the job tells it once, under the lane's control, when it has run or is dropped unrun; and
//! that is the last that the job does.
#![allow(unsafe_code, reason = "loans live on their caller's stack and are reached by pointer")]

use super::current;
use super::lane::Lane;
use super::waiter::Frame;
use super::waiter::Mode;
use super::waiter::Site;
use super::waiter::Turn;
use super::waiter::Waiter;
use super::waiter::without_unwinding;
use crate::job;
use crate::job::Job;
use crate::job::Kind;
use std::cell::Cell;
use std::mem;
use std::ptr::NonNull;

/// The caller's end.
struct Loan<'a> {
    waiter: &'a Waiter,
    lane: &'a Lane,
    mode: Mode,
    site: Site,
    /// What the caller holds: as long as it waits, whoever runs the body holds that too.
    lender: *const Frame,
    body: Cell<Option<&'a mut dyn FnMut()>>,
}

/// The job's end.
struct Borrowed(NonNull<Loan<'static>>);

// SAFETY: the caller touches nothing of the loan but its waiter's word until it is told. Every sync call demands `Send` of
// its closure and of the value, so the body may run on another thread.
unsafe impl Send for Borrowed {}

impl Borrowed {
    fn run(self) {
        // SAFETY: the caller waits until `drop` has told it, so the loan is alive.
        let loan = unsafe { self.0.as_ref() };
        if let Some(body) = loan.body.take() {
            Frame::run_lent(loan.lane, loan.mode, loan.site, loan.lender, body);
        }
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        // SAFETY: as in `run`; the caller is told here, and only here. Whoever runs or drops a job of the lane keeps the lane.
        let (lane, waiter) = unsafe { (self.0.as_ref().lane, self.0.as_ref().waiter.pointer()) };
        let mut control = lane.control();
        let parker = waiter.tell(Turn::Done, 0, &mut control);
        // From here on the caller's stack may be gone.
        drop(control);
        parker.unpark();
    }
}

/// Lets whoever runs the jobs of `lane` run `body`, in its place in line. Between the push of the job and the end of
/// `wait`, which returns when `waiter` has been told `Done`, nothing may unwind. The body comes back if the job was dropped
/// unrun, as only a `Token` is.
pub(super) fn lend<R, F: FnOnce() -> R>(
    lane: &Lane,
    kind: Kind,
    site: Site,
    f: F,
    wait: impl FnOnce(&Waiter),
) -> Result<R, F> {
    let waiter = Waiter::below(lane);
    let mut f = Some(f);
    let mut outcome = None;
    let mut body = || outcome = f.take().map(job::contain);
    let mode = if lane.is_concurrent() && !kind.is_barrier() { Mode::Shared } else { Mode::Exclusive };
    let loan = Loan { waiter: &waiter, lane, mode, site, lender: current::top(), body: Cell::new(Some(&mut body)) };
    // SAFETY: only the lifetime changes. The job does not use the loan after it has told the caller, who waits for that.
    let borrowed =
        Borrowed(unsafe { mem::transmute::<NonNull<Loan<'_>>, NonNull<Loan<'static>>>(NonNull::from(&loan)) });
    without_unwinding(|| {
        lane.enqueue(Job::lent(kind, move || borrowed.run()));
        wait(&waiter);
    });
    match (outcome, f) {
        (Some(Ok(value)), _) => Ok(value),
        (Some(Err(panic)), _) => panic.resume(),
        (None, Some(f)) => Err(f),
        (None, None) => unreachable!("a body that was taken has run"),
    }
}
