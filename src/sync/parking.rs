//! How a thread waits: one [`Parker`] per thread, and a [`Reason`] to tell.
//!
//! The parker is the crate's own and not `std::thread::park`: that token belongs to the user, and a wait of ours must
//! not swallow an `unpark` that was meant for the code around it.

use super::fork::{CHILDS_NAP, nap, refuse_endless_wait};
use super::{Arc, AtomicU32, Condvar, Mutex, Ordering, host, thread_local, yield_point};
use std::fmt;
use std::time::Instant;

/// Why a thread waits: what a stall report says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A sync call.
    Sync {
        /// The label of the queue where it stands in line.
        queue: Arc<str>,
        /// The labels of the queues that the waiting thread holds, newest first.
        held: Vec<Arc<str>>,
    },
    /// A pending cancellation on the queue with this label.
    Cancel(Arc<str>),
    /// A semaphore's next permit.
    Semaphore,
    /// A group's last member.
    Group,
    /// An event's signal.
    Event,
    /// A token's cancellation.
    Token,
    /// A place among those who may wait in the queue with this label.
    Place(Arc<str>),
    /// A result that another thread computes.
    Completion,
    /// The next job of the queue with this label, on the thread that runs them.
    Jobs(Arc<str>),
    /// User code that said it blocks.
    Blocking,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sync { queue, held } => {
                write!(f, "its turn on queue \"{queue}\"")?;
                if !held.is_empty() {
                    write!(f, " (it holds {})", held.join(", "))?;
                }
                Ok(())
            }
            Self::Cancel(label) => write!(f, "a running job of queue \"{label}\" that it cancels the rest of"),
            Self::Semaphore => f.write_str("a semaphore's permit"),
            Self::Group => f.write_str("a group's last member"),
            Self::Event => f.write_str("an event"),
            Self::Token => f.write_str("a token's cancellation"),
            Self::Place(label) => write!(f, "a place in queue \"{label}\", which is full"),
            Self::Completion => f.write_str("a result"),
            Self::Jobs(label) => write!(f, "the next job of queue \"{label}\""),
            Self::Blocking => f.write_str("something outside the runtime"),
        }
    }
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
        if super::is_child() {
            return self.park_in_child(deadline);
        }
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

    /// True if the next `park` would not sleep.
    #[cfg(feature = "sim")]
    pub(crate) fn has_token(&self) -> bool {
        // Relaxed: whoever acts on it takes the token, which acquires.
        self.state.load(Ordering::Relaxed) == NOTIFIED
    }

    /// Takes the token, if there is one.
    #[cfg(feature = "sim")]
    pub(crate) fn take_token(&self) {
        // Acquire: as in `park`. Without a token there is nothing to take, and the caller looks for itself.
        let _ = self.state.compare_exchange(NOTIFIED, EMPTY, Ordering::Acquire, Ordering::Relaxed);
    }

    /// As `park`, in a forked child, by looking now and then: the lock's list of sleeping threads has the parent's in it,
    /// whose memory new threads of the child are given.
    #[cold]
    fn park_in_child(&self, deadline: Option<Instant>) {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        // Acquire: as in `park`.
        if self.state.swap(EMPTY, Ordering::Acquire) != NOTIFIED {
            nap(left.map_or(CHILDS_NAP, |left| left.min(CHILDS_NAP)));
        }
    }

    /// Leaves the token and wakes the thread if it sleeps.
    pub(crate) fn unpark(&self) {
        // Release: pairs with the Acquire operations of `park`.
        let release = if cfg!(concourse_planted = "relaxed_unpark") { Ordering::Relaxed } else { Ordering::Release };
        // In a child whoever is parked is a thread of the parent.
        if self.state.swap(NOTIFIED, release) == PARKED && !super::is_child() {
            // The parked thread held the lock from its announcement to its sleep: passing through the lock means that
            // it sleeps now, so the notification cannot come too early.
            #[cfg(not(concourse_planted = "early_notify"))]
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
    if deadline.is_none() {
        refuse_endless_wait(reason);
    }
    let host = host();
    if let Some(host) = &host {
        host.before_park(reason);
    }
    while waiting() && deadline.is_none_or(|deadline| super::now() < deadline) {
        // Between the look and the sleep: whatever wakes the thread now has to leave its token.
        yield_point();
        let Some(host) = &host else {
            parker.park(deadline);
            continue;
        };
        match host.patience() {
            None => host.park(parker, deadline),
            Some(patience) if patience.is_zero() => {}
            Some(patience) => {
                let until = super::now() + patience;
                host.park(parker, Some(deadline.map_or(until, |deadline| deadline.min(until))));
            }
        }
    }
    if let Some(host) = &host {
        host.after_park();
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use super::*;
    use crate::sync::{Host, enter_host};
    use std::time::Duration;

    #[test]
    fn a_token_is_kept_for_the_next_park_and_taken_by_it() {
        let parker = Parker::new();
        parker.unpark();
        parker.unpark();
        parker.park(None);
        let start = Instant::now();
        parker.park(Some(start + Duration::from_millis(20)));
        assert!(start.elapsed() >= Duration::from_millis(20), "the two tokens were one, and it was taken");
    }

    #[test]
    fn the_host_is_told_once_per_wait_and_not_of_a_wait_that_does_not_block() {
        #[derive(Default)]
        struct Counts {
            before: AtomicU32,
            after: AtomicU32,
        }
        impl Host for Counts {
            fn before_park(&self, reason: &Reason) {
                assert_eq!(*reason, Reason::Group);
                self.before.fetch_add(1, Ordering::Relaxed);
            }
            fn after_park(&self) {
                self.after.fetch_add(1, Ordering::Relaxed);
            }
        }
        let counts = Arc::new(Counts::default());
        let _guard = enter_host(Arc::<Counts>::clone(&counts));
        let parker = Parker::new();
        park_while(&parker, &Reason::Group, None, || false);
        assert_eq!(counts.before.load(Ordering::Relaxed), 0);
        let mut wakes = 0;
        park_while(&parker, &Reason::Group, None, || {
            wakes += 1;
            parker.unpark();
            wakes < 5
        });
        assert_eq!((counts.before.load(Ordering::Relaxed), counts.after.load(Ordering::Relaxed)), (1, 1));
    }
}
