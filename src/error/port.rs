//! What can go wrong with a port.

use super::EventLoopError;
use crate::sync::Arc;
use std::fmt;

errors! {
    /// Why a port was not activated.
    PortError {
        /// The capacity was 0: no message would ever have room.
        ZeroCapacity { /** The port's label. */ label: Arc<str> } =>
            "port \"{label}\": a capacity of 0 has room for no message; give at least 1, or leave the bound out",
        /// The port has a pace, and the runtime's event loop could not be started.
        NoEventLoop { /** The port's label. */ label: Arc<str>, /** What it lacks. */ error: EventLoopError } =>
            "port \"{label}\": {error}",
        /// This process was forked, and the target's threads are the parent's.
        Forked { /** The port's label. */ label: Arc<str> } =>
            "port \"{label}\": this process was forked from one that has the target's threads; receive messages there",
    }
}

/// Why a message was not sent; it gives the message back.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError<T> {
    /// The port was cancelled, is gone, or its runtime has been shut down: nobody will receive the message.
    Dead(T),
    /// The port has as many messages as it takes, and the call does not wait.
    Full(T),
    /// The port has had no room in the given time.
    TimedOut(T),
    /// The port is full, and the calling thread itself keeps its handler from making room: it is running that handler, or
    /// holds the queue on which it runs.
    WouldDeadlock(T),
    /// This process was forked, and the port's threads are the parent's.
    Forked(T),
}

impl<T> SendError<T> {
    /// The message that was not sent.
    pub fn into_inner(self) -> T {
        match self {
            Self::Dead(message)
            | Self::Full(message)
            | Self::TimedOut(message)
            | Self::WouldDeadlock(message)
            | Self::Forked(message) => message,
        }
    }
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dead(_) => "Dead(..)",
            Self::Full(_) => "Full(..)",
            Self::TimedOut(_) => "TimedOut(..)",
            Self::WouldDeadlock(_) => "WouldDeadlock(..)",
            Self::Forked(_) => "Forked(..)",
        })
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dead(_) => "the port receives no message any more",
            Self::Full(_) => "the port is full; `send` waits for room, but for the port's own handler",
            Self::TimedOut(_) => "the port was full, and there was no room in time",
            Self::WouldDeadlock(_) => {
                "the port is full, and this thread keeps its handler from making room; send from another queue, or keep \
                 the message until the handler has returned"
            }
            Self::Forked(_) => "this process was forked, and the port's threads are the parent's",
        })?;
        f.write_str("; the message comes back with `into_inner`")
    }
}

impl<T> std::error::Error for SendError<T> {}
