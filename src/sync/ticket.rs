//! A place in a line: the [`Ticket`] that a wait leaves there, and the [`Desk`] that grants it.
//!
//! A thread that waits sleeps on its parker, and a future that waits keeps the waker of its last poll. Both stand in the
//! same line, and who grants their tickets does not know which is which.

use super::{Arc, AtomicU32, Mutex, Ordering, Parker, Reason, park_while, parker, yield_point};
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

const WAITING: u32 = 0;
const GRANTED: u32 = 1;
const ABANDONED: u32 = 2;

/// Who is woken when a ticket is granted.
#[derive(Debug)]
enum Bearer {
    Thread(Arc<Parker>),
    /// A future, by the waker of its last poll.
    Future(Mutex<Waker>),
}

/// A place in a line that may be given up: granted once, or abandoned once, never both.
#[derive(Debug)]
pub(crate) struct Ticket {
    state: AtomicU32,
    bearer: Bearer,
}

impl Ticket {
    /// A ticket of the calling thread.
    pub(crate) fn new() -> Arc<Self> {
        Self::of(Bearer::Thread(parker()))
    }

    /// A ticket of the future that is being polled.
    fn of_future(context: &Context<'_>) -> Arc<Self> {
        Self::of(Bearer::Future(Mutex::new(context.waker().clone())))
    }

    fn of(bearer: Bearer) -> Arc<Self> {
        Arc::new(Self { state: AtomicU32::new(WAITING), bearer })
    }

    /// Grants the ticket and wakes its thread; false if the thread has given up.
    #[must_use]
    pub(crate) fn grant(&self) -> bool {
        let granted = self.claim();
        #[cfg(concourse_planted = "race")]
        // SAFETY: none. This is the data race with `wait` that ThreadSanitizer must report.
        unsafe {
            let state = self.state.as_ptr();
            state.write(state.read());
        }
        if granted {
            self.wake();
        }
        granted
    }

    /// The deciding half of [`grant`](Self::grant), for a granter that holds a lock; `wake` follows once it is released.
    #[must_use]
    pub(crate) fn claim(&self) -> bool {
        // Release: what the granter did before is seen by the granted thread's Acquire in `wait`.
        self.state.compare_exchange(WAITING, GRANTED, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Wakes whoever holds a ticket that `claim` has granted. The caller holds no lock: waking a future runs code of its
    /// executor.
    pub(crate) fn wake(&self) {
        match &self.bearer {
            Bearer::Thread(parker) => parker.unpark(),
            Bearer::Future(waker) => {
                // Nobody else wakes it: a ticket is granted or interrupted once.
                let waker = mem::replace(&mut *waker.lock(), Waker::noop().clone());
                waker.wake();
            }
        }
    }

    /// True if the ticket has been granted; otherwise the future that is being polled will be woken.
    fn is_granted(&self, context: &Context<'_>) -> bool {
        #[cfg(concourse_planted = "ticket_looks_before_it_leaves_its_waker")]
        let granted_before = self.state.load(Ordering::Acquire) == GRANTED;
        if let Bearer::Future(waker) = &self.bearer {
            let is_known = waker.lock().will_wake(context.waker());
            if !is_known {
                // Cloned and dropped outside of the lock, as it is an executor's code.
                let newest = context.waker().clone();
                let before = mem::replace(&mut *waker.lock(), newest);
                drop(before);
            }
        }
        yield_point();
        #[cfg(concourse_planted = "ticket_looks_before_it_leaves_its_waker")]
        return granted_before;
        // After the waker is in its place: a granter that has not seen it has claimed the ticket before. Acquire: pairs
        // with `claim`.
        #[cfg(not(concourse_planted = "ticket_looks_before_it_leaves_its_waker"))]
        return self.state.load(Ordering::Acquire) == GRANTED;
    }

    /// Gives the place up; false if it had been granted.
    pub(crate) fn abandon(&self) -> bool {
        #[cfg(concourse_planted = "ticket_abandons_in_two_steps")]
        return {
            let waiting = self.state.load(Ordering::Acquire) == WAITING;
            self.state.store(ABANDONED, Ordering::Release);
            waiting
        };
        // One exchange decides between a late grant and the abandonment. Acquire on failure: pairs with `claim`.
        #[cfg(not(concourse_planted = "ticket_abandons_in_two_steps"))]
        return self.state.compare_exchange(WAITING, ABANDONED, Ordering::Acquire, Ordering::Acquire) != Err(GRANTED);
    }

    /// Gives the place up for its thread, unless it has been granted, and wakes the thread, whose wait ends as if its
    /// deadline had passed.
    pub(crate) fn interrupt(&self) {
        #[cfg(concourse_planted = "ticket_is_interrupted_in_two_steps")]
        if self.state.load(Ordering::Relaxed) == WAITING {
            self.state.store(ABANDONED, Ordering::Release);
            return self.wake();
        }
        // One exchange, as in `abandon`. Release: what the caller did before is seen by the thread's Acquire there.
        if self.state.compare_exchange(WAITING, ABANDONED, Ordering::Release, Ordering::Relaxed).is_ok() {
            self.wake();
        }
    }

    /// Waits for the grant; after the deadline the ticket is abandoned. True if it was granted.
    #[must_use]
    pub(crate) fn wait(&self, reason: &Reason, deadline: Option<Instant>) -> bool {
        if let Bearer::Thread(parker) = &self.bearer {
            // Acquire: pairs with `claim`.
            park_while(parker, reason, deadline, || self.state.load(Ordering::Acquire) == WAITING);
        }
        yield_point();
        !self.abandon()
    }
}

/// A thread that polls a future by itself is woken like one that stands in a line.
impl Wake for Ticket {
    fn wake(self: Arc<Self>) {
        // A second wake has nothing to tell.
        let _ = self.grant();
    }
}

/// What tickets are granted for: an event, a group's end, a permit.
pub(crate) trait Desk {
    /// Serves the bearer at once, or puts the ticket in line. True if it was served.
    fn ask(&self, ticket: &Arc<Ticket>) -> bool;

    /// Takes an abandoned ticket out of the line. True if its bearer has been served after all.
    fn withdraw(&self, ticket: &Arc<Ticket>) -> bool;

    /// Passes on what was granted to a bearer who has gone.
    fn pass_on(&self) {}
}

/// What ends a wait that nobody serves: a deadline, or a token that is cancelled.
pub(crate) trait Limit {
    /// Waits for the grant of the calling thread's ticket, which is abandoned if the limit comes first. True if it was
    /// granted.
    fn wait(self, ticket: &Arc<Ticket>, reason: &Reason) -> bool;
}

/// Without a deadline there is no way out but the grant.
impl Limit for Option<Instant> {
    fn wait(self, ticket: &Arc<Ticket>, reason: &Reason) -> bool {
        ticket.wait(reason, self)
    }
}

/// Waits as the calling thread until `desk` has served it; false if the limit came first.
pub(crate) fn wait_at(desk: &impl Desk, reason: &Reason, limit: impl Limit) -> bool {
    let ticket = Ticket::new();
    desk.ask(&ticket) || limit.wait(&ticket, reason) || desk.withdraw(&ticket)
}

/// Waits as a future until a desk has served it. It joins the line when it is polled first, and leaves it when it is
/// dropped.
#[derive(Debug)]
pub(crate) struct Waiting<D: Desk> {
    desk: Arc<D>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Unasked,
    InLine(Arc<Ticket>),
    Served,
}

impl<D: Desk> Waiting<D> {
    pub(crate) fn new(desk: Arc<D>) -> Self {
        Self { desk, stage: Stage::Unasked }
    }
}

impl<D: Desk> Future for Waiting<D> {
    type Output = ();

    /// Polled after its end, it is ready again, and has not asked again.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let ticket = match &self.stage {
            Stage::Served => return Poll::Ready(()),
            Stage::InLine(ticket) => Arc::clone(ticket),
            Stage::Unasked => {
                let ticket = Ticket::of_future(context);
                if self.desk.ask(&ticket) {
                    self.stage = Stage::Served;
                    return Poll::Ready(());
                }
                self.stage = Stage::InLine(Arc::clone(&ticket));
                ticket
            }
        };
        if !ticket.is_granted(context) {
            return Poll::Pending;
        }
        self.stage = Stage::Served;
        Poll::Ready(())
    }
}

impl<D: Desk> Drop for Waiting<D> {
    fn drop(&mut self) {
        let Stage::InLine(ticket) = &self.stage else { return };
        // One exchange decides. Who has been granted what nobody will use passes it on.
        if !ticket.abandon() || self.desk.withdraw(ticket) {
            self.desk.pass_on();
        }
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use super::*;
    use crate::sync::ThreadBuilder;
    use std::time::Duration;

    #[test]
    fn a_ticket_is_granted_across_threads() {
        let ticket = Ticket::new();
        let other = Arc::clone(&ticket);
        let granter = ThreadBuilder::new().spawn(move || other.grant()).unwrap();
        assert!(ticket.wait(&Reason::Event, None));
        assert!(granter.join().unwrap());
    }

    #[test]
    fn an_abandoned_ticket_cannot_be_granted() {
        let ticket = Ticket::new();
        assert!(!ticket.wait(&Reason::Event, Some(Instant::now() + Duration::from_millis(5))));
        assert!(!ticket.grant());
    }
}
