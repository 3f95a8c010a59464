//! Why a process cannot be watched.

use super::WatchError;
use std::error::Error;
use std::fmt;
use std::process::Child;

errors! {
    /// Why the end of a process cannot be waited for, or a child not be killed.
    ProcessError {
        /// No process has this number: it never had one, the process has been waited for, or the number is a thread's.
        NoSuchProcess { /** The number. */ pid: u32 } =>
            "there is no process {pid}, or no more; name a process while it is known to exist, or give a child of your own to `Source::child`",
        /// Something else than a process's end was asked for.
        UnsupportedEvents =>
            "the system tells of a process that it has ended, and of no `FORK`, `EXEC` or `SIGNAL`; ask for `ProcessEvents::EXIT` alone",
        /// The kernel has no descriptors of processes, which came with Linux 5.3.
        Unsupported { /** The operating system's error number. */ errno: i32 } =>
            "this kernel has no descriptors of processes (os error {errno}); Linux 5.3 and later have them",
        /// The process or the system has no file descriptor left.
        NoDescriptor { /** The process to be watched. */ pid: u32, /** The operating system's error number. */ errno: i32 } =>
            "no file descriptor is left to watch process {pid} (os error {errno}); close some, or raise the limit",
        /// This process may not do that.
        NotPermitted { /** The process. */ pid: u32 } =>
            "this process may not kill process {pid}, which runs for another user",
        /// The kernel refused for another reason.
        Refused { /** The process. */ pid: u32, /** The operating system's error number. */ errno: i32 } =>
            "the kernel refused what is needed of process {pid} (os error {errno})",
        /// The runtime's event loop cannot wait for it.
        NotWatched { /** Why not. */ error: WatchError } => "{error}",
    }
}

impl From<WatchError> for ProcessError {
    fn from(error: WatchError) -> Self {
        Self::NotWatched { error }
    }
}

/// A child that cannot be watched, and why: nobody has waited for it.
#[derive(Debug)]
#[non_exhaustive]
pub struct RefusedChild {
    /// The child, as it was given.
    pub child: Child,
    /// Why it cannot be watched.
    pub error: ProcessError,
}

impl fmt::Display for RefusedChild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pid = self.child.id();
        match self.error {
            ProcessError::NoSuchProcess { .. } => {
                write!(f, "child {pid} has been waited for already; give it to `Source::child` before that")
            }
            _ => write!(f, "{}; nobody waits for child {pid}, which comes back with this error", self.error),
        }
    }
}

impl Error for RefusedChild {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}
