//! How a command ends that has not done what it was asked for, and the exit code that says so.

use crate::store::StoreError;
use std::fmt;
use std::process::ExitCode;

/// For `--help`.
pub(crate) const EXIT_CODES: &str = "Exit codes: 0 done; 1 internal error; 2 wrong usage; 3 saves are still pending; \
                                     4 another drainer is running here; 5 the queue is full; 6 the store is damaged; \
                                     7 there are dead letters; 130, 143 stopped by a second signal.";

/// Why a command has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The disk, mostly.
    Internal(String),
    Usage(String),
    /// What was waited for has not come.
    Pending(String),
    /// Another process sends the saves of this directory.
    AnotherDrainer(String),
    Full(String),
    Corrupt(String),
    Dead(String),
}

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Internal(_) => 1,
            Self::Usage(_) => 2,
            Self::Pending(_) => 3,
            Self::AnotherDrainer(_) => 4,
            Self::Full(_) => 5,
            Self::Corrupt(_) => 6,
            Self::Dead(_) => 7,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt(text) => write!(
                f,
                "the store is damaged: {text}\nNothing was changed. `offline_save_queue run --recover` moves it aside and goes on with \
                 everything in it that can be read."
            ),
            Self::Internal(text)
            | Self::Usage(text)
            | Self::Pending(text)
            | Self::AnotherDrainer(text)
            | Self::Full(text)
            | Self::Dead(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Failure {}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full(text) => Self::Full(text),
            StoreError::Corrupt(text) => Self::Corrupt(text),
            StoreError::Failed(text) => Self::Internal(text),
        }
    }
}

/// What could not be done, and with what.
pub(crate) trait Context<T> {
    /// Names what failed.
    fn context(self, what: impl fmt::Display) -> Result<T, Failure>;
}

impl<T, E: fmt::Display> Context<T> for Result<T, E> {
    fn context(self, what: impl fmt::Display) -> Result<T, Failure> {
        self.map_err(|error| Failure::Internal(format!("{what}: {error}")))
    }
}
