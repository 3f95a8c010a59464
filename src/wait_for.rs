//! An asynchronous call turned into a synchronous one.
//!
//! A ticket decides between the value and the timeout. A sender decides it and puts the value into its place under one
//! lock; the waiter looks into the place, under that lock, once the ticket is granted. So a sender that loses still has
//! its value, and a granted ticket with an empty place is a sender that was dropped.

use crate::error::WaitError;
use crate::sync::Arc;
use crate::sync::Mutex;
use crate::sync::Reason;
use crate::sync::Ticket;
use crate::sync::deadline_after;
use std::fmt;
use std::time::Duration;
use std::time::Instant;

struct Exchange<T> {
    value: Mutex<Option<T>>,
    ticket: Arc<Ticket>,
}

/// Gives the waiter's place up if it leaves without having waited to the end.
struct Place(Arc<Ticket>);

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.0.abandon();
    }
}

/// The sending side of [`wait_for`]: takes one value, on any thread.
///
/// Dropping it without a value ends the wait with [`WaitError::Abandoned`].
#[must_use = "dropping it ends the wait without a value"]
pub struct Done<T> {
    exchange: Arc<Exchange<T>>,
}

impl<T> Done<T> {
    /// Ends the wait with `value`.
    ///
    /// # Errors
    ///
    /// The value comes back if nobody waits for it any more.
    pub fn send(self, value: T) -> Result<(), T> {
        let mut place = self.exchange.value.lock();
        if !self.exchange.ticket.claim() {
            return Err(value);
        }
        // The waiter may know by now, but it needs the lock to look.
        *place = Some(value);
        drop(place);
        self.exchange.ticket.wake();
        Ok(())
    }
}

impl<T> Drop for Done<T> {
    fn drop(&mut self) {
        // After `send` the ticket has been decided, and this does nothing.
        let _ = self.exchange.ticket.grant();
    }
}

impl<T> fmt::Debug for Done<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Done")
    }
}

/// Calls `start` with a [`Done`] and waits until a value has been sent through it, for at most `timeout`.
///
/// `start` runs on the calling thread and may send at once, or pass the sender on to a callback, a queue or a thread.
/// The time is counted from the call, and only the wait ends with it: a `start` that takes longer is not interrupted, and
/// a value that it has sent by then is returned. A timeout too long for the clock is none. A value that comes too late
/// goes back to its sender. A thread that waits on a worker of a [`Runtime`](crate::Runtime) does not keep a core
/// from other work.
///
/// # Errors
///
/// [`WaitError::TimedOut`], or [`WaitError::Abandoned`] if the sender was dropped without a value.
///
/// # Examples
///
/// ```
/// use concourse::wait_for;
/// use std::time::Duration;
///
/// fn fetch(then: impl FnOnce(u32) + Send + 'static) {
///     std::thread::spawn(move || then(42));
/// }
///
/// let answer = wait_for(Duration::from_secs(30), |done| {
///     fetch(|answer| {
///         // Nobody may wait any more; then the answer is dropped.
///         let _ = done.send(answer);
///     });
/// })?;
/// assert_eq!(answer, 42);
/// # Ok::<(), concourse::WaitError>(())
/// ```
pub fn wait_for<T>(timeout: Duration, start: impl FnOnce(Done<T>)) -> Result<T, WaitError> {
    wait_by(deadline_after(timeout), start).unwrap_or(Err(WaitError::TimedOut { after: timeout }))
}

/// None if the deadline passed first.
pub(crate) fn wait_by<T>(deadline: Option<Instant>, start: impl FnOnce(Done<T>)) -> Option<Result<T, WaitError>> {
    let ticket = Ticket::new();
    let exchange = Arc::new(Exchange { value: Mutex::new(None), ticket: Arc::clone(&ticket) });
    // If `start` unwinds, a later send must find that nobody waits.
    let place = Place(ticket);
    start(Done { exchange: Arc::clone(&exchange) });
    place.0.wait(&Reason::Completion, deadline).then(|| exchange.value.lock().take().ok_or(WaitError::Abandoned))
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use super::*;
    use crate::sync::OnPark;
    use crate::sync::enter_host;

    #[test]
    fn the_host_is_told_of_a_wait_that_blocks_and_no_lock_is_held_then() {
        let sender = Arc::new(Mutex::new(None::<Done<u32>>));
        let host = OnPark::new({
            let sender = Arc::clone(&sender);
            move || sender.lock().take().unwrap().send(7).unwrap()
        });
        let _guard = enter_host(host.clone());
        assert_eq!(wait_for(Duration::MAX, |done| done.send(6).unwrap()), Ok(6));
        assert_eq!(host.reasons(), []);
        assert_eq!(wait_for(Duration::MAX, |done| *sender.lock() = Some(done)), Ok(7));
        assert_eq!(host.reasons(), [Reason::Completion]);
    }
}
