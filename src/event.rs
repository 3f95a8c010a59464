//! Events: a flag that threads can wait for.
//!
//! # Protocol and races
//!
//! The flag is an atomic, so that a thread may pass without the lock; it is raised, and threads join the line, under the
//! lock only. A wait tries to pass, and otherwise locks, tries to pass *again*, and joins. A set of a manual event
//! raises the flag and takes the whole line; a set of an automatic event grants the head of the line, or raises the flag
//! if there is none.
//!
//! - **A set comes between a wait's look at the flag and its joining.** The second look is under the lock that the set
//!   has held: it sees the flag.
//! - **A set comes with a timeout.** The ticket is granted or abandoned, never both. An automatic set that finds it
//!   abandoned goes on to the next, or raises the flag: what it brings is not lost.
//! - **A reset comes with a set.** The line was granted, so nobody who waited before the set can miss it, however short
//!   the flag is up. Whoever joins looks at the flag for itself.
//! - **Two threads see an automatic event's flag.** One exchange lowers it: one passes.
//!
//! *Nobody sleeps beside a raised flag* of an automatic event, since it is raised only with an empty line, and whoever
//! joins has seen it lowered under the same lock; of a manual one, since the set that raised it took the line, and
//! nobody joins while it is up.

use crate::error::WaitError;
use crate::sync::Arc;
use crate::sync::AtomicBool;
use crate::sync::Desk;
use crate::sync::Limit;
use crate::sync::Mutex;
use crate::sync::Ordering;
use crate::sync::Reason;
use crate::sync::Ticket;
use crate::sync::Tickets;
use crate::sync::Waiting;
use crate::sync::deadline_after;
use crate::sync::wait_at;
use crate::sync::yield_point;
use std::fmt;
use std::time::Duration;

/// What a wait does to the flag it passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reset {
    Manual,
    Auto,
}

#[derive(Debug)]
struct State {
    reset: Reset,
    flag: AtomicBool,
    line: Mutex<Tickets>,
}

impl State {
    #[inline]
    fn try_pass(&self) -> bool {
        // Acquire: pairs with `set`'s Release, so what was done before the set is seen.
        self.flag.load(Ordering::Acquire)
            && match self.reset {
                Reset::Manual => true,
                Reset::Auto => self.flag.compare_exchange(true, false, Ordering::Acquire, Ordering::Relaxed).is_ok(),
            }
    }

    /// False if the limit came first.
    fn wait(&self, limit: impl Limit) -> bool {
        yield_point();
        self.try_pass() || wait_at(self, &Reason::Event, limit)
    }

    fn set(&self) {
        yield_point();
        let mut line = self.line.lock();
        match self.reset {
            Reset::Manual => {
                // Release: pairs with `try_pass`. Sets are ordered by the lock, so the last one speaks for all.
                self.flag.store(true, Ordering::Release);
                if line.is_empty() {
                    return;
                }
                let passing = std::mem::take(&mut *line);
                drop(line);
                passing.grant_all();
            }
            Reset::Auto => match line.claim_first() {
                Some(first) => {
                    drop(line);
                    first.wake();
                }
                // Release: as above.
                None => self.flag.store(true, Ordering::Release),
            },
        }
    }
}

impl Desk for State {
    fn ask(&self, ticket: &Arc<Ticket>) -> bool {
        yield_point();
        let mut line = self.line.lock();
        if !cfg!(concourse_planted = "event_joins_without_a_second_look") && self.try_pass() {
            return true;
        }
        line.join(ticket);
        false
    }

    fn withdraw(&self, ticket: &Arc<Ticket>) -> bool {
        self.line.lock().leave(ticket);
        false
    }

    /// What an automatic event has brought to somebody who has gone is for the next one.
    fn pass_on(&self) {
        if self.reset == Reset::Auto {
            self.set();
        }
    }
}

/// A flag that threads can wait for: one thread says that something has happened, others wait for it.
///
/// Events come in two kinds. A *manual* event stays set until somebody resets it, and lets everybody pass meanwhile:
/// Python's `threading.Event`. An *automatic* event lets exactly one wait pass for each set: the first that waits, or,
/// if nobody does, the next that comes. A handle is cheap to clone; all clones are the same event.
///
/// Sets are merged, not counted: an event that is set already stays as it is. To count, use a
/// [`Semaphore`](crate::Semaphore). A wait that has begun before a set is never lost, even if the event is reset right
/// away. A thread that waits on a worker of a [`Runtime`](crate::Runtime) does not keep a core from other work.
///
/// # Examples
///
/// ```
/// use concourse::Event;
///
/// let ready = Event::new();
/// let worker = std::thread::spawn({
///     let ready = ready.clone();
///     move || {
///         ready.wait();
///         "went on"
///     }
/// });
/// ready.set();
/// assert_eq!(worker.join().unwrap(), "went on");
/// assert!(ready.is_set());
/// ```
///
/// One at a time:
///
/// ```
/// use concourse::Event;
/// use std::time::Duration;
///
/// let turn = Event::auto_reset();
/// turn.set();
/// turn.wait();
/// assert!(turn.wait_timeout(Duration::ZERO).is_err());
/// ```
#[derive(Clone)]
pub struct Event {
    state: Arc<State>,
}

impl Event {
    /// A manual event, not set.
    pub fn new() -> Self {
        Self::with(Reset::Manual)
    }

    /// An automatic event, not set.
    pub fn auto_reset() -> Self {
        Self::with(Reset::Auto)
    }

    fn with(reset: Reset) -> Self {
        let line = Mutex::new(Tickets::default());
        Self { state: Arc::new(State { reset, flag: AtomicBool::new(false), line }) }
    }

    /// Sets the event: everybody who waits passes, or, if it is automatic, the one that has waited longest.
    ///
    /// An automatic event stays set only if nobody waits.
    pub fn set(&self) {
        self.state.set();
    }

    /// Takes a set back. Waits that have already passed, or that began before the set, are not affected.
    pub fn reset(&self) {
        // Relaxed: a lowered flag tells nobody anything.
        self.state.flag.store(false, Ordering::Relaxed);
    }

    /// True if a wait would pass right now. Does not change an automatic event.
    pub fn is_set(&self) -> bool {
        // Acquire: who sees that something has happened may look at it.
        self.state.flag.load(Ordering::Acquire)
    }

    /// Waits until the event is set. An automatic event is not set afterwards.
    pub fn wait(&self) {
        // Without a deadline there is no way out but a set.
        let _ = self.state.wait(None);
    }

    /// Waits until the event is set, for at most `timeout`. A timeout too long for the clock is none.
    ///
    /// A set that comes at the very moment of the timeout either ends the wait or stays for others, it is never lost.
    ///
    /// # Errors
    ///
    /// [`WaitError::TimedOut`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), WaitError> {
        let passed = self.state.try_pass() || (!timeout.is_zero() && self.state.wait(deadline_after(timeout)));
        if passed { Ok(()) } else { Err(WaitError::TimedOut { after: timeout }) }
    }

    /// Waits until the event is set; false if the limit came first.
    pub(crate) fn wait_within(&self, limit: impl Limit) -> bool {
        self.state.wait(limit)
    }

    /// Waits until the event is set, as a future of any executor. An automatic event is not set afterwards.
    ///
    /// It joins the line when it is polled first, in one fair order with the threads that [`wait`](Self::wait). Dropping it
    /// leaves the line; a set of an automatic event that has reached it by then goes to the next, and is never lost.
    ///
    /// ```
    /// use concourse::Event;
    ///
    /// let ready = Event::new();
    /// let waiting = ready.wait_async();
    /// ready.set();
    /// concourse::block_on(waiting);
    /// ```
    pub fn wait_async(&self) -> impl Future<Output = ()> + Send + Unpin + use<> {
        Waiting::new(Arc::clone(&self.state))
    }
}

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("set", &self.is_set()).field("reset", &self.state.reset).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use super::*;
    use crate::sync::OnPark;
    use crate::sync::enter_host;

    #[test]
    fn the_host_is_told_of_a_wait_that_blocks_and_no_lock_is_held_then() {
        for event in [Event::new(), Event::auto_reset()] {
            let host = OnPark::new({
                let event = event.clone();
                move || event.set()
            });
            let _guard = enter_host(host.clone());
            event.wait();
            assert_eq!(host.reasons(), [Reason::Event]);
            event.set();
            event.wait();
            assert_eq!(host.reasons(), [Reason::Event]);
        }
    }
}
