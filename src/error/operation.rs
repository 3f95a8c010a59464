//! What can become of an operation instead of a value, and why it cannot depend on another.

use super::TimerError;
use crate::sync::Arc;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Why an operation, or a wait for one, has given no value.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum OperationError {
    /// Its closure returned an error, in its last attempt if it had several.
    Failed {
        /// What the closure returned.
        error: Arc<dyn Error + Send + Sync>,
    },
    /// Its closure panicked. The runtime's `on_panic` hook was told as well.
    Panicked {
        /// What the panic said.
        message: Arc<str>,
    },
    /// It was cancelled before it had a value.
    Cancelled,
    /// Its last attempt took longer than it may.
    Expired {
        /// How long an attempt may take.
        limit: Duration,
    },
    /// It never ran, as an operation that it depends on, perhaps through others, has no value.
    Skipped {
        /// The label of the operation with which that began.
        dependency: Arc<str>,
        /// What became of it.
        error: Arc<OperationError>,
    },
    /// It was dropped before it had a value: its runtime ended, or its queue went away suspended.
    Dropped,
    /// It needs a timer for its delay or its next attempt, and the runtime has none.
    NoTimer {
        /// What the timer lacks.
        error: TimerError,
    },
    /// The wait was over before the operation, or the queue, was finished. It goes on, and may be waited for again.
    TimedOut {
        /// How long it was waited.
        after: Duration,
    },
    /// The calling thread keeps what it waits for from finishing: it runs an operation that this depends on, or that takes
    /// the place in which this would run.
    WouldDeadlock {
        /// The label of the operation or of the queue that was to be waited for.
        label: Arc<str>,
    },
}

impl fmt::Display for OperationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { error } => write!(f, "the operation failed: {error}"),
            Self::Panicked { message } => write!(f, "the operation panicked: {message}"),
            Self::Cancelled => f.write_str("the operation was cancelled before it had a value"),
            Self::Expired { limit } => write!(f, "the operation took longer than the {limit:?} that it may"),
            Self::Skipped { dependency, error } => {
                write!(f, "the operation was skipped, as it depends on \"{dependency}\": {error}")
            }
            Self::Dropped => f.write_str(
                "the operation was dropped before it had a value: its runtime ended, or its queue went away suspended",
            ),
            Self::NoTimer { error } => write!(f, "the operation has no timer to wait for: {error}"),
            Self::TimedOut { after } => write!(f, "not finished after {after:?}; it goes on"),
            Self::WouldDeadlock { label } => write!(
                f,
                "waiting for \"{label}\" would never end: this thread runs an operation that must be over first; let one \
                 operation depend on the other, or wait on another thread"
            ),
        }
    }
}

impl Error for OperationError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed { error } => Some(&**error),
            Self::Skipped { error, .. } => Some(&**error),
            Self::NoTimer { error } => Some(error),
            _ => None,
        }
    }
}

/// Why an operation was not made to depend on another.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DependencyError {
    /// The operations would wait for each other for ever.
    Cycle {
        /// The labels of the operations on the way round, from the one that was to depend on another back to itself.
        labels: Vec<Arc<str>>,
    },
    /// The operation does not wait for anything any more: it is ready, runs, or is over.
    TooLate {
        /// The label of the operation that was to depend on another.
        label: Arc<str>,
    },
}

impl fmt::Display for DependencyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cycle { labels } => {
                f.write_str("these operations would wait for each other for ever: ")?;
                for (place, label) in labels.iter().enumerate() {
                    write!(f, "{}\"{label}\"", if place == 0 { "" } else { " after " })?;
                }
                f.write_str("; leave one of these dependencies out")
            }
            Self::TooLate { label } => write!(
                f,
                "operation \"{label}\" waits for nothing any more; say what it depends on before it is ready, best when it is \
                 built"
            ),
        }
    }
}

impl Error for DependencyError {}
