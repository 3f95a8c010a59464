//! How a thread waits: one [`Parker`] per thread, a [`Reason`] to tell, and the [`Ticket`] that a timed wait leaves in
//! a line.
//!
//! The parker is the crate's own and not `std::thread::park`: that token belongs to the user, and a wait of ours must
//! not swallow an `unpark` that was meant for the code around it.

use super::{Arc, AtomicU32, Condvar, Mutex, Ordering, host, thread_local};
use std::time::Instant;

/// Why a thread waits: what a stall report says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A sync call onto the queue with this label.
    Sync(Arc<str>),
    /// A pending cancellation on the queue with this label.
    Cancel(Arc<str>),
    /// A semaphore's next permit.
    Semaphore,
    /// A group's last member.
    Group,
    /// An event's signal.
    Event,
    /// A result that another thread computes.
    Completion,
    /// User code that said it blocks.
    Blocking,
}

const EMPTY: u32 = 0;
const PARKED: u32 = 1;
const NOTIFIED: u32 = 2;

/// A thread's own place to sleep. Holds at most one token.
#[derive(Debug)]
pub(crate) struct Parker {
    state: AtomicU32,
    lock: Mutex<()>,
    wake: Condvar,
}

impl Parker {
    pub(crate) fn new() -> Self {
        Self { state: AtomicU32::new(EMPTY), lock: Mutex::new(()), wake: Condvar::new() }
    }

    /// Takes the token, sleeping until it is there or the deadline has passed. May also return early: callers loop.
    pub(crate) fn park(&self, deadline: Option<Instant>) {
        // Acquire: pairs with `unpark`'s Release, so whatever the waker wrote before is seen.
        if self.state.compare_exchange(NOTIFIED, EMPTY, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            return;
        }
        let mut lock = self.lock.lock();
        if self.state.compare_exchange(EMPTY, PARKED, Ordering::Acquire, Ordering::Acquire).is_err() {
            // Acquire on the swap: the token may be newer than the one the failed exchange saw.
            self.state.swap(EMPTY, Ordering::Acquire);
            return;
        }
        match deadline {
            Some(deadline) => {
                self.wake.wait_until(&mut lock, deadline);
            }
            None => self.wake.wait(&mut lock),
        }
        self.state.swap(EMPTY, Ordering::Acquire);
    }

    /// Leaves the token and wakes the thread if it sleeps.
    pub(crate) fn unpark(&self) {
        // Release: pairs with the Acquire operations of `park`.
        if self.state.swap(NOTIFIED, Ordering::Release) == PARKED {
            // The parked thread held the lock from its announcement to its sleep: passing through the lock means that
            // it sleeps now, so the notification cannot come too early.
            drop(self.lock.lock());
            self.wake.notify_one();
        }
    }
}

thread_local! {
    static PARKER: Arc<Parker> = Arc::new(Parker::new());
}

/// The calling thread's parker. A thread whose locals are already destroyed gets a fresh one.
pub(crate) fn parker() -> Arc<Parker> {
    PARKER.try_with(Arc::clone).unwrap_or_else(|_| Arc::new(Parker::new()))
}

/// Blocks on `parker`, which must be the calling thread's, while `waiting` holds and the deadline has not passed.
///
/// The host is told once, before the first sleep and after the last, however often the thread wakes in between.
pub(crate) fn park_while(
    parker: &Parker,
    reason: &Reason,
    deadline: Option<Instant>,
    mut waiting: impl FnMut() -> bool,
) {
    if !waiting() {
        return;
    }
    let host = host();
    if let Some(host) = &host {
        host.before_park(reason);
    }
    while waiting() && deadline.is_none_or(|deadline| super::now() < deadline) {
        match host.as_ref().and_then(|host| host.patience()) {
            None => parker.park(deadline),
            Some(patience) if patience.is_zero() => {}
            Some(patience) => {
                let until = super::now() + patience;
                parker.park(Some(deadline.map_or(until, |deadline| deadline.min(until))));
            }
        }
    }
    if let Some(host) = &host {
        host.after_park();
    }
}

const WAITING: u32 = 0;
const GRANTED: u32 = 1;
const ABANDONED: u32 = 2;

/// A place in a line that may be given up: granted once, or abandoned once, never both.
#[derive(Debug)]
pub(crate) struct Ticket {
    state: AtomicU32,
    parker: Arc<Parker>,
}

impl Ticket {
    /// A ticket of the calling thread.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { state: AtomicU32::new(WAITING), parker: parker() })
    }

    /// Grants the ticket and wakes its thread; false if the thread has given up.
    #[must_use]
    pub(crate) fn grant(&self) -> bool {
        // Release: what the granter did before is seen by the granted thread's Acquire in `wait`.
        let granted = self.state.compare_exchange(WAITING, GRANTED, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if granted {
            self.parker.unpark();
        }
        granted
    }

    /// Waits for the grant; after the deadline the ticket is abandoned. True if it was granted.
    #[must_use]
    pub(crate) fn wait(&self, reason: &Reason, deadline: Option<Instant>) -> bool {
        park_while(&self.parker, reason, deadline, || self.state.load(Ordering::Acquire) == WAITING);
        // One exchange decides between a late grant and the abandonment.
        self.state.compare_exchange(WAITING, ABANDONED, Ordering::Acquire, Ordering::Acquire) == Err(GRANTED)
    }
}
