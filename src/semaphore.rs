//! Counting semaphores: a signed count, and a line for those who find nothing.
//!
//! # Protocol
//!
//! `count` is what is free minus what is wanted. A wait subtracts 1 and has its permit if the count was positive. A
//! signal adds 1 and is done if the count was not negative. Otherwise both go on under the ledger's lock, where `owed`
//! is the number of permits that signals have brought for the line and that nobody has taken yet: a signal adds to
//! `owed` and hands it to the head of the line, a wait takes from `owed` or joins the end of the line. Shrinking
//! subtracts from both, so that `owed` may be negative: then that many permits vanish as they come back.
//!
//! # Races
//!
//! - **A signal comes between a wait's subtraction and its joining.** The signal finds nobody in the line and leaves its
//!   permit in `owed`; the waiter finds it there and never sleeps.
//! - **A wait begins while others stand in the line.** The count is positive only if every wanted permit is on its way,
//!   so whoever succeeds without the lock passes nobody who goes without.
//! - **A grant comes with the timeout.** The ticket is granted or abandoned, never both. A signal skips an abandoned
//!   ticket and keeps its permit for the next, or in `owed`.
//! - **A timeout withdraws its wish while a signal is between its addition and the lock.** A negative count says that
//!   some wish is not met yet: withdrawing one adds 1. Otherwise every wish is met, the waiter's own as well; adding 1
//!   would make two permits of one. The waiter takes the permit instead, by subtracting from `owed`, and has not timed
//!   out after all. The signal on its way brings `owed` back to where it belongs.
//! - **The count is resized while all this goes on.** A resize holds the lock from its change of the count to its change
//!   of `owed`.
//!
//! # Proof sketch
//!
//! Let W be the wishes that are neither granted nor withdrawn, S the signals between their addition and the lock. Every
//! step above keeps
//!
//! ```text
//! (1)  max(-count, 0) = W - S - owed                      outside the lock
//! (2)  max(count, 0) + S + owed + held = limit            with every plain signal raising the limit, plain wait held
//! (3)  owed > 0 implies that the line is empty            outside the lock
//! ```
//!
//! *Nobody sleeps beside a free permit*: when all is quiet, S = 0 and W is the line. If the line is not empty, `owed` is
//! at most 0 by (3), so the count is negative by (1) and nothing is free. *No permit is made or lost*: (2) counts them
//! all, so it suffices that S + `owed` is not negative as long as nothing shrinks. Only two steps lower it: a grant,
//! which needs `owed` > 0, and a timeout that takes, which needs a count that is not negative: then S + `owed` = W by (1),
//! and its own wish is one of W. *Order*: permits leave `owed` for the head of the line, or by (3) for a wait that finds
//! no line. *Data*: every change of the count is a read-modify-write, so a wait that reads a positive count, or a
//! timeout that reads one that is not negative, acquires from all signals before it; the ledger's lock and the ticket
//! carry the rest.

use crate::error::WaitError;
use crate::sync::Arc;
use crate::sync::AtomicI64;
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

/// More free permits than this are not counted. The distance to `i64::MAX` absorbs a resize on top of the threads that
/// pass the limit at the same time.
const MAX: i64 = i64::MAX >> 2;

#[derive(Debug)]
struct State {
    count: AtomicI64,
    ledger: Mutex<Ledger>,
}

/// What is settled under the lock.
#[derive(Debug)]
struct Ledger {
    /// What the semaphore was created with or last resized to.
    permits: i64,
    owed: i64,
    line: Tickets,
}

impl Ledger {
    /// Hands an owed permit to the head of the line. The caller wakes it after releasing the lock.
    fn hand_over(&mut self) -> Option<Arc<Ticket>> {
        if self.owed <= 0 {
            return None;
        }
        let first = self.line.claim_first()?;
        self.owed -= 1;
        Some(first)
    }
}

impl State {
    #[inline]
    fn try_take(&self) -> bool {
        yield_point();
        let mut count = self.count.load(Ordering::Relaxed);
        while count > 0 {
            // Acquire: pairs with `give`'s Release, so what was done under the permit before is seen.
            match self.count.compare_exchange_weak(count, count - 1, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => count = now,
            }
        }
        false
    }

    /// False if the limit came first.
    #[inline]
    fn take(&self, limit: impl Limit) -> bool {
        self.try_wish() || self.take_in_line(limit)
    }

    /// Wishes for a permit, and has it if one is free. Otherwise the caller joins the line.
    #[inline]
    fn try_wish(&self) -> bool {
        yield_point();
        // Acquire: as in `try_take`.
        self.count.fetch_sub(1, Ordering::Acquire) > 0
    }

    #[cold]
    fn take_in_line(&self, limit: impl Limit) -> bool {
        wait_at(self, &Reason::Semaphore, limit)
    }

    /// True if the permit went to somebody who waits.
    #[inline]
    fn give(&self) -> bool {
        // Release: pairs with the Acquire of whoever takes the permit.
        let before = self.count.fetch_add(1, Ordering::Release);
        yield_point();
        // One comparison for both: as an unsigned number, a negative count is the largest of all.
        if (before as u64) < MAX as u64 { false } else { self.give_to_line(before) }
    }

    #[cold]
    fn give_to_line(&self, before: i64) -> bool {
        if before >= 0 {
            // Relaxed: the count is taken back, nothing was handed to anybody.
            self.count.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        let (wanted, first) = {
            let mut ledger = self.ledger.lock();
            ledger.owed += 1;
            let wanted = ledger.owed > 0;
            let first = ledger.hand_over();
            #[cfg(concourse_planted = "semaphore_signal_forgets_an_empty_line")]
            if first.is_none() {
                ledger.owed -= 1;
            }
            (wanted, first)
        };
        if let Some(first) = first {
            first.wake();
        }
        wanted
    }

    fn resize(&self, permits: i64) {
        let woken = {
            let mut ledger = self.ledger.lock();
            let change = permits - ledger.permits;
            ledger.permits = permits;
            // Relaxed: new permits publish nothing, and vanishing ones are used by nobody.
            if change < 0 {
                let before = self.count.fetch_add(change, Ordering::Relaxed);
                ledger.owed -= (-change - before.max(0)).max(0);
            } else {
                let grown = |count: i64| Some((count + change).min(MAX.max(count)));
                if let Ok(before) = self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown) {
                    ledger.owed += change.min(-before.min(0));
                }
            }
            std::iter::from_fn(|| ledger.hand_over()).collect::<Vec<_>>()
        };
        woken.iter().for_each(|ticket| ticket.wake());
    }
}

/// For those whose wish has not been met at once.
impl Desk for State {
    fn ask(&self, ticket: &Arc<Ticket>) -> bool {
        yield_point();
        let mut ledger = self.ledger.lock();
        if ledger.owed > 0 {
            ledger.owed -= 1;
            return true;
        }
        ledger.line.join(ticket);
        false
    }

    /// Takes the wish back as well, unless it has been met, so that the bearer holds a permit.
    fn withdraw(&self, ticket: &Arc<Ticket>) -> bool {
        let mut ledger = self.ledger.lock();
        ledger.line.leave(ticket);
        #[cfg(concourse_planted = "semaphore_withdraws_blindly")]
        {
            self.count.fetch_add(1, Ordering::AcqRel);
            false
        }
        #[cfg(not(concourse_planted = "semaphore_withdraws_blindly"))]
        {
            // Acquire on the way out: a met wish is a permit, as in `try_take`. Adding publishes nothing.
            let unmet = |count: i64| (count < 0).then_some(count + 1);
            let met = self.count.fetch_update(Ordering::Relaxed, Ordering::Acquire, unmet).is_err();
            if met {
                ledger.owed -= 1;
            }
            met
        }
    }

    fn pass_on(&self) {
        self.give();
    }
}

/// The number of permits as the count keeps it.
fn counted(permits: usize) -> i64 {
    i64::try_from(permits).map_or(MAX, |permits| permits.min(MAX))
}

/// A counting semaphore: at most so many at a time, first come, first served.
///
/// A handle is cheap to clone; all clones are the same semaphore. It offers the same permits in two ways: as guards
/// ([`acquire`](Self::acquire)), which give themselves back, and in libdispatch's way ([`wait`](Self::wait) and
/// [`signal`](Self::signal)), which counts and nothing else.
///
/// Whoever waits is served in the order of arrival: a permit that comes back goes to the one that has waited longest, and
/// nobody who comes later can take it. A thread that waits on a worker of a [`Runtime`](crate::Runtime) does not keep
/// a core from other work.
///
/// A semaphore may be dropped at any count; in libdispatch that is a crash while it is in use. A semaphore has no
/// owner, so a wait that no signal will ever end is not an error that it can see.
///
/// # Examples
///
/// At most two downloads at a time:
///
/// ```
/// use concourse::Semaphore;
///
/// let slots = Semaphore::new(2);
/// let downloads: Vec<_> = (0..6)
///     .map(|_| {
///         let permit = slots.acquire();
///         std::thread::spawn(move || {
///             // download ...
///             drop(permit);
///         })
///     })
///     .collect();
/// for download in downloads {
///     download.join().unwrap();
/// }
/// assert_eq!(slots.available(), 2);
/// ```
///
/// Waiting for something that another thread does:
///
/// ```
/// use concourse::Semaphore;
/// use std::time::Duration;
///
/// let done = Semaphore::new(0);
/// assert!(done.wait_timeout(Duration::from_millis(1)).is_err());
/// let signal = done.clone();
/// let worker = std::thread::spawn(move || signal.signal());
/// assert_eq!(done.wait_timeout(Duration::from_secs(30)), Ok(()));
/// # worker.join().unwrap();
/// ```
#[derive(Clone)]
pub struct Semaphore {
    state: Arc<State>,
}

impl Semaphore {
    /// A semaphore with `permits` free permits. The count ends at 2<sup>61</sup> - 1: more are not kept.
    pub fn new(permits: usize) -> Self {
        let permits = counted(permits);
        let ledger = Ledger { permits, owed: 0, line: Tickets::default() };
        Self { state: Arc::new(State { count: AtomicI64::new(permits), ledger: Mutex::new(ledger) }) }
    }

    /// Takes a permit, waiting until there is one.
    #[must_use = "a dropped permit is given back at once"]
    pub fn acquire(&self) -> Permit {
        self.wait();
        self.permit()
    }

    /// Takes a permit if one is free right now.
    #[must_use = "a dropped permit is given back at once"]
    pub fn try_acquire(&self) -> Option<Permit> {
        self.try_wait().then(|| self.permit())
    }

    /// Takes a permit, waiting for at most `timeout`.
    ///
    /// After a timeout the semaphore is as if it had not been asked. A permit that comes at the very moment of the timeout
    /// is either taken or left for others, never lost. A timeout too long for the clock is none.
    ///
    /// # Errors
    ///
    /// [`WaitError::TimedOut`].
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<Permit, WaitError> {
        self.wait_timeout(timeout).map(|()| self.permit())
    }

    /// Takes a permit when there is one, as a future of any executor.
    ///
    /// It joins the line when it is polled first, in one fair order with the threads that wait. Dropping it leaves the line;
    /// a permit that has reached it by then goes to the next, and is never lost.
    ///
    /// ```
    /// use concourse::Semaphore;
    ///
    /// let slots = Semaphore::new(1);
    /// let permit = concourse::block_on(slots.acquire_async());
    /// assert_eq!(slots.available(), 0);
    /// drop(permit);
    /// ```
    pub fn acquire_async(&self) -> impl Future<Output = Permit> + Send + use<> {
        let semaphore = self.clone();
        async move {
            if !semaphore.state.try_wish() {
                Waiting::new(Arc::clone(&semaphore.state)).await;
            }
            semaphore.permit()
        }
    }

    /// The guard of a permit that has been taken.
    pub(crate) fn permit(&self) -> Permit {
        Permit { state: Some(Arc::clone(&self.state)) }
    }

    /// Takes a permit, waiting until there is one; [`signal`](Self::signal) gives it back. This is libdispatch's
    /// `dispatch_semaphore_wait`.
    #[inline]
    pub fn wait(&self) {
        // Without a deadline there is no way out but a permit.
        let _ = self.state.take(None);
    }

    /// Takes a permit; false if the limit came first.
    pub(crate) fn wait_within(&self, limit: impl Limit) -> bool {
        self.state.take(limit)
    }

    /// Takes a permit if one is free right now; [`signal`](Self::signal) gives it back.
    #[inline]
    #[must_use = "true means that a permit was taken"]
    pub fn try_wait(&self) -> bool {
        self.state.try_take()
    }

    /// Takes a permit, waiting for at most `timeout`; [`signal`](Self::signal) gives it back. As
    /// [`acquire_timeout`](Self::acquire_timeout), without the guard.
    ///
    /// # Errors
    ///
    /// [`WaitError::TimedOut`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), WaitError> {
        let taken = self.try_wait() || (!timeout.is_zero() && self.state.take(deadline_after(timeout)));
        if taken { Ok(()) } else { Err(WaitError::TimedOut { after: timeout }) }
    }

    /// Adds a permit; true if it went to a thread that waits. This is libdispatch's `dispatch_semaphore_signal`.
    ///
    /// There need not have been a wait before: signals are counted, beyond the initial number as well. A signal at the
    /// limit of the count (see [`new`](Self::new)) does nothing.
    #[inline]
    pub fn signal(&self) -> bool {
        self.state.give()
    }

    /// Changes the number of permits from what the semaphore was created with, or last resized to, to `permits`.
    ///
    /// More permits go to the threads that wait, in order, and the rest is free. Fewer permits never take one away from
    /// its holder: free ones vanish at once, the others as they come back.
    ///
    /// ```
    /// use concourse::Semaphore;
    ///
    /// let slots = Semaphore::new(2);
    /// let (first, second) = (slots.acquire(), slots.acquire());
    /// slots.resize(1);
    /// drop(first);
    /// assert_eq!(slots.available(), 0);
    /// drop(second);
    /// assert_eq!(slots.available(), 1);
    /// ```
    pub fn resize(&self, permits: usize) {
        self.state.resize(counted(permits));
    }

    /// The number of permits that are free at this moment. Others may take them before the caller has read it.
    pub fn available(&self) -> usize {
        // Relaxed: a number to look at.
        usize::try_from(self.state.count.load(Ordering::Relaxed)).unwrap_or(0)
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("available", &self.available()).finish_non_exhaustive()
    }
}

/// One permit of a [`Semaphore`], given back when it is dropped, also by a panic.
///
/// It may be dropped on any thread.
#[must_use = "a dropped permit is given back at once"]
pub struct Permit {
    state: Option<Arc<State>>,
}

impl Permit {
    /// Keeps the permit from ever coming back by itself.
    ///
    /// The semaphore has one permit less from now on, until somebody calls [`Semaphore::signal`].
    pub fn forget(mut self) {
        self.state = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(state) = &self.state {
            state.give();
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

/// What a model checks of the two words when all is quiet.
#[cfg(all(test, any(concourse_loom, concourse_shuttle)))]
impl Semaphore {
    /// The count, what is owed, and how many stand in the line.
    pub(crate) fn balance(&self) -> (i64, i64, usize) {
        let ledger = self.state.ledger.lock();
        // Relaxed: all threads have been joined.
        (self.state.count.load(Ordering::Relaxed), ledger.owed, ledger.line.len())
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use super::*;
    use crate::sync::OnPark;
    use crate::sync::enter_host;

    #[test]
    fn the_host_is_told_of_a_wait_that_blocks_and_no_lock_is_held_then() {
        let semaphore = Semaphore::new(1);
        let host = OnPark::new({
            let semaphore = semaphore.clone();
            move || assert!(semaphore.signal())
        });
        let _guard = enter_host(host.clone());
        semaphore.wait();
        assert_eq!(host.reasons(), []);
        semaphore.wait();
        assert_eq!(host.reasons(), [Reason::Semaphore]);
    }

    #[test]
    fn a_timeout_after_its_wish_was_met_takes_the_permit() {
        let semaphore = Semaphore::new(0);
        let state = &semaphore.state;
        let ticket = Ticket::new();
        // A wait that has joined the line and given up, while a signal is between its addition and the lock.
        state.count.fetch_sub(1, Ordering::Relaxed);
        state.ledger.lock().line.join(&ticket);
        assert!(ticket.abandon());
        let before = state.count.fetch_add(1, Ordering::Relaxed);
        assert!(state.withdraw(&ticket));
        assert!(!state.give_to_line(before));
        assert_eq!((state.count.load(Ordering::Relaxed), state.ledger.lock().owed), (0, 0));
    }
}
