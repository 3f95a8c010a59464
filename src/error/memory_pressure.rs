//! Why memory pressure cannot be told.

use super::WatchError;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

errors! {
    /// Why a source of memory pressure was not activated.
    MemoryPressureError {
        /// The system keeps no account of pressure there: the kernel is built or started without it, the control group is of
        /// the first version, or the path is not that of a pressure file.
        Unsupported { /** The file. */ path: PathBuf } =>
            "{path:?} tells of no pressure; it takes Linux 5.2 or later with PSI, which is switched on by `psi=1`, and control groups of version 2",
        /// This process may not be told of pressure there.
        NotPermitted { /** The file. */ path: PathBuf, /** The operating system's error number. */ errno: i32 } =>
            "this process may not set a trigger on {path:?} (os error {errno}); older kernels want CAP_SYS_RESOURCE for that",
        /// The kernel does not count so long a stall, or not within such a window.
        InvalidStall { /** The stall. */ stall: Duration, /** The window. */ window: Duration } =>
            "the kernel does not watch for stalls of {stall:?} within {window:?}; a stall has a microsecond at least and fits its window, which is 2, 4, 6, 8 or 10 s, or with CAP_SYS_RESOURCE anything from 500 ms to 10 s",
        /// The kernel has another trigger in the way.
        Busy { /** The file. */ path: PathBuf } => "the kernel takes no further trigger on {path:?}; drop a source of it, or use one source with several handlers behind it",
        /// The process or the system has no file descriptor left.
        NoDescriptor { /** The operating system's error number. */ errno: i32 } =>
            "no file descriptor is left to watch for memory pressure (os error {errno}); close some, or raise the limit",
        /// The kernel refused for another reason.
        Refused { /** The file. */ path: PathBuf, /** The operating system's error number. */ errno: i32 } =>
            "the kernel sets no trigger on {path:?} (os error {errno}); a container may forbid it",
        /// The runtime's event loop cannot wait for it.
        NotWatched { /** Why not. */ error: WatchError } => "{error}",
    }
}

impl From<WatchError> for MemoryPressureError {
    fn from(error: WatchError) -> Self {
        Self::NotWatched { error }
    }
}
