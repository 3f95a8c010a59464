//! Why the event loop could not be started, or cannot wait for a descriptor.

use super::TimerError;
use crate::sync::Arc;
use std::fmt;

errors! {
    /// Why the event loop of a runtime could not be started.
    EventLoopError {
        /// The process or the system has no file descriptor left.
        NoDescriptor { /** The operating system's error number. */ errno: i32 } =>
            "no file descriptor is left for the event loop (os error {errno}); close some, or raise the limit",
        /// Its thread could not be started.
        NoThread { /** The operating system's error number. */ errno: i32 } =>
            "the event loop's thread could not be started (os error {errno}); raise the limit of threads or of memory",
        /// The kernel refused what it needs.
        Unavailable { /** The operating system's error number. */ errno: i32 } =>
            "the event loop could not be started (os error {errno}); it needs epoll, eventfd and timerfd, which a sandbox may forbid",
    }

    /// Why a descriptor cannot be waited for.
    WatchError {
        /// It is not open.
        Closed { /** The label of the source. */ label: Arc<str> } =>
            "\"{label}\": the descriptor is not open; close it in the cancel handler of its source, and not before",
        /// It is of a kind that cannot be waited for: a directory, for instance.
        NotPollable { /** The label of the source. */ label: Arc<str> } =>
            "\"{label}\": the kernel cannot wait for this kind of descriptor; a directory, for instance, is watched by its path",
        /// It is open for writing only: nothing can be read from it.
        NotReadable { /** The label of the source. */ label: Arc<str> } =>
            "\"{label}\": the descriptor is open for writing only; give `Source::readable` the end that is read",
        /// It is open for reading only: nothing can be written to it.
        NotWritable { /** The label of the source. */ label: Arc<str> } =>
            "\"{label}\": the descriptor is open for reading only; give `Source::writable` the end that is written",
        /// The kernel has no room for another descriptor to wait for.
        TooManyWatches { /** The label of the source. */ label: Arc<str>, /** The operating system's error number. */ errno: i32 } =>
            "\"{label}\": the kernel waits for as many descriptors as it can (os error {errno}); end some sources, or raise fs.epoll.max_user_watches",
        /// The runtime's event loop could not be started.
        NoEventLoop { /** The label of the source. */ label: Arc<str>, /** What it lacks. */ error: EventLoopError } =>
            "\"{label}\": {error}",
        /// This process was forked, and the event loop is the parent's.
        Forked { /** The label of the source. */ label: Arc<str> } =>
            "\"{label}\": this process was forked, and the event loop is the parent's; activate the source in the parent, or start a program with `exec`",
        /// The runtime is a simulation, which has no descriptors.
        Unsupported { /** The label of the source. */ label: Arc<str> } =>
            "\"{label}\": a simulation waits for no descriptors; merge into a source of the program's own instead",
        /// The kernel refused for another reason.
        Refused { /** The label of the source. */ label: Arc<str>, /** The operating system's error number. */ errno: i32 } =>
            "\"{label}\": the kernel does not wait for this descriptor (os error {errno}); a sandbox may forbid it",
    }
}

impl From<EventLoopError> for TimerError {
    fn from(error: EventLoopError) -> Self {
        match error {
            EventLoopError::NoDescriptor { errno } => Self::NoDescriptor { errno },
            EventLoopError::NoThread { errno } => Self::NoThread { errno },
            EventLoopError::Unavailable { errno } => Self::Unavailable { errno },
        }
    }
}
