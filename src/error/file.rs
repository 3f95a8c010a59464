//! Why a file cannot be watched.

use super::EventLoopError;
use super::WatchError;
use crate::sync::Arc;
use std::fmt;
use std::io::ErrorKind;

errors! {
    /// Why a file or a directory is not watched, or not as promptly as it could be.
    FileError {
        /// The user has no inotify watch left.
        NoWatch { /** The label of the source. */ label: Arc<str> } =>
            "\"{label}\": no inotify watch is left for this user; raise the sysctl fs.inotify.max_user_watches, skip some directories, or poll with `poll_every`",
        /// The user has no inotify instance left.
        NoInstance { /** The label of the source. */ label: Arc<str> } =>
            "\"{label}\": no inotify instance is left for this user; raise the sysctl fs.inotify.max_user_instances, use fewer runtimes, or poll with `poll_every`",
        /// The process or the system has no file descriptor left.
        NoDescriptor { /** The label of the source. */ label: Arc<str>, /** The operating system's error number. */ errno: i32 } =>
            "\"{label}\": no file descriptor is left to watch files with (os error {errno}); close some, or raise the limit",
        /// The path is empty or has a NUL in it, or it is relative and there is no current directory.
        BadPath { /** The label of the source. */ label: Arc<str>, /** What is wrong with it. */ kind: ErrorKind } =>
            "\"{label}\": a path is not empty and has no NUL in it, and a relative one needs a current directory ({kind}); give an absolute one",
        /// No event was asked for that can happen: the handler would never be called.
        NoEvents { /** The label of the source. */ label: Arc<str> } =>
            "\"{label}\": no event was asked for that can happen; name some of `FileEvents`, of which `CREATE` is for paths",
        /// The interval of polling was 0: it would look without end.
        ZeroInterval { /** The label of the source. */ label: Arc<str> } =>
            "\"{label}\": polling with an interval of 0 looks without end; give `poll_every` at least a millisecond",
        /// What is watched may not be read, which watching it needs.
        Denied { /** The label of the source. */ label: Arc<str> } =>
            "\"{label}\": what cannot be read cannot be watched; grant the permission to read it, or poll with `poll_every`",
        /// The file system does not tell what other machines, or the kernel itself, do to its files.
        Silent { /** The label of the source. */ label: Arc<str> } =>
            "\"{label}\": this file system does not tell of all changes, so the source polls; set the pace with `poll_every`",
        /// The event loop does not wait for notices any more, or never did.
        NotWaitedFor { /** The label of the source. */ label: Arc<str>, /** Why. */ error: WatchError } =>
            "\"{label}\": {error}",
        /// The runtime's event loop could not be started.
        NoEventLoop { /** The label of the source. */ label: Arc<str>, /** What it lacks. */ error: EventLoopError } =>
            "\"{label}\": {error}",
        /// This process was forked, and the event loop is the parent's.
        Forked { /** The label of the source. */ label: Arc<str> } =>
            "\"{label}\": this process was forked, and the event loop is the parent's; activate the source in the parent, or start a program with `exec`",
        /// The platform or the runtime cannot do it.
        Unsupported { /** The label of the source. */ label: Arc<str>, /** What was asked for. */ what: &'static str } =>
            "\"{label}\": {what} is not supported; leave it out",
        /// The kernel refused for another reason.
        Refused { /** The label of the source. */ label: Arc<str>, /** The operating system's error number. */ errno: i32 } =>
            "\"{label}\": the kernel does not watch this (os error {errno}); poll with `poll_every`",
    }
}
