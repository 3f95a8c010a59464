//! The side of a port that sends.

use super::Bound;
use super::Port;
use crate::error::SendError;
use crate::group::Notification;
use crate::queue::Dispatch;
use crate::semaphore::Semaphore;
use crate::source::Handle;
use crate::sync::is_child;
use std::fmt;
use std::time::Duration;

/// Sends messages to a [port](crate::Source::port), from any thread.
///
/// A clone is another sender to the same port. The port lives as long as its [`Source`](crate::Source), whatever senders
/// there are, and learns when the last of them is gone. Senders learn when the port is gone: from [`is_dead`](Self::is_dead), from
/// an error, or on a queue of their choice by [`on_dead`](Self::on_dead).
pub struct Sender<T: Send + 'static>(Handle<Port<T>>);

/// The error for a message that found no room.
type Refusal<T> = fn(T) -> SendError<T>;

impl<T: Send + 'static> Sender<T> {
    pub(super) fn to(handle: &Handle<Port<T>>) -> Self {
        let mut line = handle.port().line.lock();
        line.senders += 1;
        // There is somebody again: what was not told is not so any more.
        line.deserted = false;
        drop(line);
        Self(handle.clone())
    }

    /// Sends a message, waiting for room in a bounded port.
    ///
    /// A thread that waits on a worker of a [`Runtime`](crate::Runtime) does not keep a core from other work, as long as
    /// there are fewer than [`max_threads`](crate::RuntimeBuilder::max_threads): the handler needs one too. The wait ends
    /// when there is room or when the port is gone, and lasts as long as a suspension of the port. Before the port is
    /// active nobody makes room: the thread that is to activate it may fill it with [`try_send`](Self::try_send), and
    /// not wait.
    ///
    /// # Errors
    ///
    /// [`SendError::Dead`] and [`SendError::Forked`]; and [`SendError::WouldDeadlock`] if there is no room and the
    /// handler cannot make any before the caller has returned: because the caller is the handler, or holds a queue
    /// on which it has to run. Other circles of waiting threads are not seen.
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.send_or(message, |room| {
            self.check()?;
            room.wait();
            Ok(())
        })
    }

    /// Sends a message, waiting for room in a bounded port for at most `timeout`.
    ///
    /// A message that does not find room in time comes back, and is not sent. A timeout too long for the clock is none.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`SendError::TimedOut`].
    pub fn send_timeout(&self, message: T, timeout: Duration) -> Result<(), SendError<T>> {
        self.send_or(message, |room| {
            self.check()?;
            room.wait_timeout(timeout).map_err(|_| SendError::TimedOut as Refusal<T>)
        })
    }

    /// Sends a message if there is room for it right now.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] from a bounded port, [`SendError::Dead`] and [`SendError::Forked`].
    pub fn try_send(&self, message: T) -> Result<(), SendError<T>> {
        self.send_or(message, |_| Err(SendError::Full))
    }

    /// Sends a message; one that finds no room does what `when_full` says.
    fn send_or(
        &self,
        message: T,
        when_full: impl FnOnce(&Semaphore) -> Result<(), Refusal<T>>,
    ) -> Result<(), SendError<T>> {
        if is_child() {
            return Err(SendError::Forked(message));
        }
        if self.is_dead() {
            return Err(SendError::Dead(message));
        }
        let port = self.0.port();
        if let Some(Bound { room, .. }) = &port.bound
            && !room.try_wait()
            && let Err(refusal) = when_full(room)
        {
            return Err(refusal(message));
        }
        match port.push(message) {
            Ok(()) => {
                self.0.delivery().knock();
                Ok(())
            }
            Err(message) => {
                port.make_room();
                Err(SendError::Dead(message))
            }
        }
    }

    /// Refuses to wait if the calling thread is what it would wait for.
    fn check(&self) -> Result<(), Refusal<T>> {
        let waits_for_itself = self.0.port().is_received_here() || self.0.delivery().target_is_held_here();
        if waits_for_itself { Err(SendError::WouldDeadlock) } else { Ok(()) }
    }

    /// True if nothing is received any more: the port was cancelled, is gone, or its runtime has been shut down.
    ///
    /// It stays true. False says nothing about the next moment: a send tells.
    pub fn is_dead(&self) -> bool {
        self.0.has_ended() || !self.0.delivery().is_served()
    }

    /// Submits `f` to `queue` once the port is dead, or at once if it is.
    ///
    /// That is after the last call of the port's event handler. It happens also if this sender is dropped before, and
    /// not at all if the queue's runtime has ended before. This is libdispatch's `DISPATCH_MACH_SEND_DEAD`.
    ///
    /// ```
    /// use concourse::{Event, Queue, Source};
    ///
    /// let queue = Queue::serial("com.example.client");
    /// let port = Source::port::<u32>(&Queue::serial("com.example.server")).activate()?;
    /// let (sender, dead) = (port.sender(), Event::new());
    /// let tell = dead.clone();
    /// sender.on_dead(&queue, move || tell.set());
    /// drop(port);
    /// dead.wait();
    /// assert!(sender.send(1).is_err());
    /// # Ok::<(), concourse::PortError>(())
    /// ```
    pub fn on_dead(&self, queue: &impl Dispatch, f: impl FnOnce() + Send + 'static) {
        let notification = Notification::new(queue, f);
        let mut line = self.0.port().line.lock();
        if !line.closed {
            line.mourners.push(notification);
            return;
        }
        drop(line);
        notification.submit();
    }
}

impl<T: Send + 'static> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self::to(&self.0)
    }
}

impl<T: Send + 'static> Drop for Sender<T> {
    fn drop(&mut self) {
        // A child delivers nothing, and a thread of the parent may have had the lock.
        if is_child() {
            return;
        }
        let mut line = self.0.port().line.lock();
        line.senders -= 1;
        let is_last = line.senders == 0 && !line.closed;
        line.deserted |= is_last;
        drop(line);
        if is_last {
            self.0.delivery().knock();
        }
    }
}

impl<T: Send + 'static> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("label", self.0.delivery().label()).field("dead", &self.is_dead()).finish()
    }
}
