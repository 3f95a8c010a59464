//! Why a signal cannot be observed.

use super::EventLoopError;
use super::WatchError;
use crate::signal::Signal;
use std::fmt;

errors! {
    /// Why a signal cannot be observed.
    SignalError {
        /// The kernel keeps it from every program, or it reports a fault of the very thread that it interrupts, which
        /// cannot go on.
        Forbidden { /** The signal. */ signal: Signal } =>
            "{signal} cannot be observed: the kernel keeps it to itself, or it reports a fault that the program cannot go on from",
        /// The system has no such signal, or its C library keeps it for itself.
        Unknown { /** The signal. */ signal: Signal } =>
            "{signal} is none that this system has for programs; take a constant of `Signal`, or `Signal::realtime` with an offset below 30 at most",
        /// Somebody has replaced the handler that this process shares.
        Replaced { /** The signal. */ signal: Signal } =>
            "the handler of signal-hook-registry for {signal} was replaced by one that does not share it; install that one before the first source, or let it share the registry",
        /// The kernel refused the handler.
        Refused { /** The signal. */ signal: Signal, /** The operating system's error number. */ errno: i32 } =>
            "the kernel refused a handler for {signal} (os error {errno})",
        /// The process or the system has no file descriptor left.
        NoDescriptor { /** The signal. */ signal: Signal, /** The operating system's error number. */ errno: i32 } =>
            "no file descriptor is left to tell of {signal} (os error {errno}); close some, or raise the limit",
        /// The runtime's event loop could not be started.
        NoEventLoop { /** The signal. */ signal: Signal, /** What it lacks. */ error: EventLoopError } =>
            "{signal}: {error}",
        /// The runtime's event loop cannot wait for one more descriptor.
        Unwatched { /** The signal. */ signal: Signal, /** What it lacks. */ error: WatchError } => "{signal}: {error}",
        /// This process was forked, and the event loop is the parent's.
        Forked { /** The signal. */ signal: Signal } =>
            "{signal}: this process was forked, and the event loop is the parent's; observe it in the parent, or start a program with `exec`",
        /// The runtime is a simulation, which has no signals.
        Unsupported { /** The signal. */ signal: Signal } =>
            "{signal}: a simulation has no signals; merge into a source of the program's own instead",
    }
}

impl SignalError {
    /// What `error` means for a source of `signal`.
    pub(crate) fn unwatched(signal: Signal, error: WatchError) -> Self {
        match error {
            WatchError::Forked { .. } => Self::Forked { signal },
            WatchError::Unsupported { .. } => Self::Unsupported { signal },
            WatchError::NoEventLoop { error, .. } => Self::NoEventLoop { signal, error },
            error => Self::Unwatched { signal, error },
        }
    }
}
