//! What can go wrong, one enum per concern.

use crate::sync::Arc;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

macro_rules! errors {
    ($($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident $({ $($(#[$fmeta:meta])* $field:ident : $type:ty),* })? => $text:literal,)* })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$vmeta])* $variant $({ $($(#[$fmeta])* $field: $type),* })?,)*
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant $({ $($field),* })? => write!(f, $text),)*
                }
            }
        }

        impl std::error::Error for $name {}
    )*};
}

mod clock;
mod event_loop;
#[cfg(feature = "fs")]
mod file;
#[cfg(feature = "io")]
mod memory_pressure;
mod operation;
mod pace;
mod port;
#[cfg(feature = "process")]
mod process;
#[cfg(feature = "signal")]
mod signal;
mod task;
mod token;

pub use clock::ClockError;
pub use event_loop::{EventLoopError, WatchError};
#[cfg(feature = "fs")]
pub use file::FileError;
#[cfg(feature = "io")]
pub use memory_pressure::MemoryPressureError;
pub use operation::{DependencyError, OperationError};
pub use pace::PaceError;
pub use port::{PortError, SendError};
#[cfg(feature = "process")]
pub use process::{ProcessError, RefusedChild};
#[cfg(feature = "signal")]
pub use signal::SignalError;
pub use task::TaskError;
pub use token::Cancelled;

errors! {
    /// Why a queue was not built.
    BuildError {
        /// The width was 0: such a queue could never run anything. Use `suspend` to hold a queue.
        ZeroWidth { /** The queue's label. */ label: Arc<str> } =>
            "queue \"{label}\": a width of 0 runs nothing; give a width of at least 1, or suspend the queue to hold it",
        /// A width was given for a serial queue, whose width is always 1.
        WidthOfSerial { /** The queue's label. */ label: Arc<str> } =>
            "queue \"{label}\": a serial queue has no width; call `concurrent()` first",
        /// The target belongs to another runtime, which has threads of its own.
        ForeignTarget { /** The queue's label. */ label: Arc<str>, /** The target's label. */ target: Arc<str> } =>
            "queue \"{label}\" cannot target \"{target}\", which belongs to another runtime; build both on one runtime",
        /// A chain of targets this long would not fit a thread's stack.
        ChainTooLong { /** The queue's label. */ label: Arc<str>, /** The most targets that a queue may stand on. */ limit: usize } =>
            "queue \"{label}\" would stand on more than {limit} targets; let it target one that is nearer to the runtime",
        /// The runtime has been shut down.
        ShutDown { /** The queue's label. */ label: Arc<str> } =>
            "queue \"{label}\": its runtime has been shut down; build it on another runtime, or end this one later",
    }

    /// Why a suspension could not be changed.
    SuspendError {
        /// `resume` was called more often than `suspend`.
        OverResume { /** The label of the queue or source. */ label: Arc<str> } =>
            "\"{label}\" was resumed more often than it was suspended; resume once for each `suspend`, or use a `suspend_guard`",
        /// `resume` was called on something that has not been activated.
        Inactive { /** The label of the queue or source. */ label: Arc<str> } =>
            "\"{label}\" is inactive: `activate` starts it, `resume` only undoes a `suspend`",
        /// The count of suspensions is at its limit.
        TooManySuspensions { /** The label of the queue or source. */ label: Arc<str> } =>
            "\"{label}\" is suspended too many times; resume it before it is suspended again",
    }

    /// Why a wait ended without what it waited for.
    WaitError {
        /// The time was up.
        TimedOut { /** How long it was waited. */ after: Duration } => "timed out after {after:?}",
        /// Whoever had promised the value is gone without having given it.
        Abandoned => "the other side was dropped without giving a value",
        /// The token of the wait was cancelled.
        Interrupted => "the token of the wait was cancelled; what it waited for goes on",
        /// The thread waits for what it is doing itself.
        WouldDeadlock => "a thread waits for the work item that it is running itself, which would never return; wait on another thread, or use `notify`",
    }

    /// Why a runtime was not built.
    RuntimeError {
        /// `threads` was 0.
        ZeroThreads => "0 threads run nothing; a runtime needs at least 1, or leave `threads` out to have one for each processor",
        /// `max_threads` was below `threads`.
        MaxBelowThreads {
            /** The ordinary number of threads. */ threads: usize,
            /** The hard limit. */ max_threads: usize
        } => "max_threads ({max_threads}) is below threads ({threads}); raise the one or lower the other",
        /// More threads than one runtime can count.
        TooManyThreads {
            /** The number asked for. */ max_threads: usize,
            /** The most that can be counted. */ limit: usize
        } => "max_threads ({max_threads}) is too many; a runtime counts at most {limit}",
        /// This process was forked from one that had a runtime.
        Forked => "this process was forked from one that had a runtime, and can have none; start a program with `exec`",
        /// The thread name contains a NUL byte.
        BadThreadName => "the name contains a NUL byte, which no thread's name can; leave it out",
        /// `nice_levels` was asked for, and a thread of this process cannot go back to a lower nice value.
        NiceLevels { /** The operating system's error number. */ errno: i32 } =>
            "a thread cannot lower its nice value again (os error {errno}); raise RLIMIT_NICE to 20 less the nice value, grant CAP_SYS_NICE, or leave `nice_levels` out",
    }

    /// Why a group could not be left.
    GroupError {
        /// `leave_raw` without an `enter_raw`.
        UnbalancedLeave => "the group was left more often than it was entered; leave once for each `enter_raw`, or use the guard of `enter`",
    }

    /// Why a work item was not submitted.
    WorkItemError {
        /// It has been submitted before.
        AlreadySubmitted => "the work item has been submitted before; make a new one for each submission",
    }

    /// Why the main queue could not be run.
    MainQueueError {
        /// The queue's jobs belong to another thread.
        NotMainThread => "the main queue's jobs belong to the thread that first called `run` or `turn`; call this there, and `stop` to end its `run`",
        /// A job of the queue would run inside another one.
        Reentrant => "this thread is running a job of the main queue; return from it instead of running the next one inside it",
        /// The process or the system has no file descriptor left.
        NoDescriptor { /** The operating system's error number. */ errno: i32 } =>
            "no file descriptor is left for the main queue (os error {errno}); close some, or raise the limit",
    }

    /// Why a timer could not be armed or a deadline not be met.
    TimerError {
        /// The process or the system has no file descriptor left for the event loop.
        NoDescriptor { /** The operating system's error number. */ errno: i32 } =>
            "no file descriptor is left for the event loop (os error {errno})",
        /// The event loop's thread could not be started.
        NoThread { /** The operating system's error number. */ errno: i32 } =>
            "the event loop's thread could not be started (os error {errno})",
        /// The kernel refused what the timers need.
        Unavailable { /** The operating system's error number. */ errno: i32 } =>
            "the event loop could not be started (os error {errno})",
        /// The interval was 0: such a timer would be due without end.
        ZeroInterval => "a timer with an interval of 0 is due without end; give at least a nanosecond, or leave the interval out to fire once",
    }
}

/// Why a closure was not accepted; it gives the closure back.
#[non_exhaustive]
pub enum SubmitError<F> {
    /// The runtime has been shut down.
    ShutDown(F),
    /// This process was forked, and the runtime's threads are the parent's.
    Forked(F),
    /// As much waits already as the bound allows.
    Full(F),
    /// As much waits already as the bound allows, and waiting for a place would never end: the calling thread keeps what
    /// waits from running.
    WouldDeadlock {
        /// The closure that was not accepted.
        closure: F,
        /// The label of the queue.
        queue: Arc<str>,
        /// What the thread holds, newest first.
        held: Vec<HeldQueue>,
    },
}

impl<F> SubmitError<F> {
    /// The closure that was not accepted.
    pub fn into_inner(self) -> F {
        match self {
            Self::ShutDown(f) | Self::Forked(f) | Self::Full(f) => f,
            Self::WouldDeadlock { closure, .. } => closure,
        }
    }
}

impl<F> fmt::Debug for SubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ShutDown(_) => "ShutDown(..)",
            Self::Forked(_) => "Forked(..)",
            Self::Full(_) => "Full(..)",
            Self::WouldDeadlock { .. } => "WouldDeadlock { .. }",
        })
    }
}

impl<F> fmt::Display for SubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShutDown(_) => f.write_str("the runtime has been shut down")?,
            Self::Forked(_) => f.write_str("this process was forked, and the runtime's threads are the parent's")?,
            Self::Full(_) => f.write_str("as much waits already as the bound allows")?,
            Self::WouldDeadlock { queue, held, .. } => {
                write!(
                    f,
                    "waiting for a place in queue \"{queue}\" would never end: this thread keeps it from running"
                )?;
                for (place, held) in held.iter().enumerate() {
                    write!(f, "{} {held}", if place == 0 { "; it holds, newest first:" } else { "," })?;
                }
            }
        }
        f.write_str("; the closure was not accepted and comes back with `into_inner`")
    }
}

impl<F> std::error::Error for SubmitError<F> {}

/// A queue in a cycle of waits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldQueue {
    /// The queue's label.
    pub label: Arc<str>,
    /// The sync call onto it. `None` if the thread runs one of the queue's own jobs.
    pub site: Option<&'static Location<'static>>,
}

impl fmt::Display for HeldQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.label)?;
        match self.site {
            Some(site) => write!(f, " since the sync call at {site}"),
            None => f.write_str(" while it runs one of its jobs"),
        }
    }
}

/// Why a sync call did not run its closure; it gives the closure back.
#[non_exhaustive]
pub enum SyncError<F> {
    /// The thread already holds the queue of the call, or one that this queue targets.
    WouldDeadlock {
        /// The closure that did not run.
        closure: F,
        /// The call first, then what the thread holds, newest first.
        cycle: Vec<HeldQueue>,
    },
    /// This process was forked, and the call would wait for threads of the parent.
    Forked {
        /// The closure that did not run.
        closure: F,
        /// The label of the queue.
        label: Arc<str>,
    },
}

impl<F> SyncError<F> {
    /// The closure that did not run.
    pub fn into_inner(self) -> F {
        match self {
            Self::WouldDeadlock { closure, .. } | Self::Forked { closure, .. } => closure,
        }
    }

    /// Panics with the error's text.
    #[cold]
    #[track_caller]
    pub(crate) fn raise(self) -> ! {
        panic!("{self}")
    }
}

impl<F> fmt::Debug for SyncError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WouldDeadlock { cycle, .. } => {
                f.debug_struct("WouldDeadlock").field("cycle", cycle).finish_non_exhaustive()
            }
            Self::Forked { label, .. } => f.debug_struct("Forked").field("label", label).finish_non_exhaustive(),
        }
    }
}

impl<F> fmt::Display for SyncError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WouldDeadlock { cycle, .. } => {
                let [call, held @ ..] = cycle.as_slice() else { return Ok(()) };
                write!(f, "a sync call onto queue \"{}\"", call.label)?;
                if let Some(site) = call.site {
                    write!(f, " at {site}")?;
                }
                f.write_str(" would never return: this thread holds the queue, or one that it targets")?;
                for (place, queue) in held.iter().enumerate() {
                    write!(f, "{} {queue}", if place == 0 { "; it holds, newest first:" } else { "," })?;
                }
                f.write_str("; call the closure directly, or submit it with `exec_async`")
            }
            Self::Forked { label, .. } => write!(
                f,
                "queue \"{label}\" was busy or suspended when this process was forked, and a sync call would wait for \
                 threads of the parent; call the closure directly, or do it in the parent"
            ),
        }
    }
}

impl<F> std::error::Error for SyncError<F> {}
