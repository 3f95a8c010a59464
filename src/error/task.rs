//! What can become of a task instead of a value.

use super::HeldQueue;
use crate::sync::Arc;
use std::fmt;
use std::time::Duration;

/// Why a task has given no value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskError {
    /// Its closure or its future panicked. The runtime's `on_panic` hook was told as well.
    Panicked {
        /// What the panic said.
        message: Arc<str>,
    },
    /// It was cancelled before it had a value.
    Cancelled,
    /// It was dropped before it had a value: its queue was cancelled or went away suspended, the runtime ended, or nobody
    /// was left who could wake its future.
    Dropped,
    /// It had no value yet when the time was up. It goes on, and may be waited for again.
    TimedOut {
        /// How long it was waited.
        after: Duration,
    },
    /// It had no value yet when the token of the wait was cancelled. It goes on, and may be waited for again.
    Interrupted,
    /// The calling thread keeps the task from running, so that the wait would never end. The task goes on once the thread
    /// lets its queues go.
    WouldDeadlock {
        /// The label of the task's queue.
        queue: Arc<str>,
        /// What the thread holds, newest first.
        held: Vec<HeldQueue>,
    },
    /// Its value has been taken already.
    Taken,
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked { message } => write!(f, "the task panicked: {message}"),
            Self::Cancelled => f.write_str("the task was cancelled before it had a value"),
            Self::Dropped => f.write_str(
                "the task was dropped before it had a value: its queue was cancelled or went away suspended, its runtime \
                 ended, or nobody was left to wake it",
            ),
            Self::TimedOut { after } => write!(f, "the task had no value after {after:?}; it goes on"),
            Self::Interrupted => f.write_str("the token of the wait was cancelled; the task goes on"),
            Self::WouldDeadlock { queue, held } => {
                write!(f, "waiting for a task of queue \"{queue}\" would never end: this thread keeps it from running")?;
                for (place, held) in held.iter().enumerate() {
                    write!(f, "{} {held}", if place == 0 { "; it holds, newest first:" } else { "," })?;
                }
                f.write_str("; wait on another thread, or use `on_complete`")
            }
            Self::Taken => f.write_str("the task's value has been taken already; it is there once"),
        }
    }
}

impl std::error::Error for TaskError {}
