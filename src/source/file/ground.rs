//! What a source stands on: the notices of the kernel, as far as there are any, and why it must poll where there are not.

use super::File;
use super::events::FileEvents;
use super::silent::is_silent;
use super::stamp::Sight;
use super::stamp::Stamp;
use super::stamp::is_absence;
use crate::error::FileError;
use crate::error::WatchError;
use crate::event_loop::EventLoop;
use crate::event_loop::Mark;
use crate::event_loop::Notices;
use crate::event_loop::Refusal;
use crate::event_loop::Scope;
use crate::source::delivery::Delivery;
use crate::sync::Arc;
use crate::sync::Weak;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::openat;
use rustix::io::Errno;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::path::Path;

/// It cannot be said now what is at a path: what was known of it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unclear;

/// What is not supported, if a runtime has no kernel to ask.
const SIMULATION: &str = "watching files in a simulation";

/// What no kernel known here can tell.
const REVOKE: &str = "telling that access to a file was revoked";

/// Refuses what cannot be watched, or asks for nothing of what is `possible`.
pub(super) fn admit(
    event_loop: &EventLoop,
    asked: FileEvents,
    possible: FileEvents,
    label: &Arc<str>,
) -> Result<(), FileError> {
    let label = Arc::clone(label);
    if event_loop.is_simulated() {
        Err(FileError::Unsupported { label, what: SIMULATION })
    } else if asked.contains(FileEvents::REVOKE) {
        Err(FileError::Unsupported { label, what: REVOKE })
    } else if !asked.intersects(possible) {
        Err(FileError::NoEvents { label })
    } else {
        Ok(())
    }
}

pub(super) struct Ground {
    /// `None` if the source is to poll.
    notices: Option<Arc<Notices>>,
    witness: Weak<Delivery<File>>,
    label: Arc<str>,
    /// Why not every change is told.
    trouble: Option<FileError>,
    /// The file systems that were met.
    devices: HashSet<u64>,
}

impl Ground {
    pub(super) fn new(notices: Option<Arc<Notices>>, witness: Weak<Delivery<File>>, label: Arc<str>) -> Self {
        Self { notices, witness, label, trouble: None, devices: HashSet::new() }
    }

    /// Makes a mark on an open file: see [`Notices::mark`]. `Ok(None)` if nobody needs marks.
    pub(super) fn mark(
        &self,
        fd: BorrowedFd<'_>,
        scope: Scope,
        mark: u64,
        only: Option<&OsStr>,
    ) -> Result<Option<Mark>, Refusal> {
        let mark = |notices: &Arc<Notices>| notices.mark(fd, scope, &self.witness, mark, only);
        self.notices.as_ref().map(mark).transpose()
    }

    /// Opens what is at `path`, itself and not what it links to, and looks at it; `None` if nothing is there.
    ///
    /// # Errors
    ///
    /// If it cannot be said now, which is noted.
    pub(super) fn open(
        &mut self,
        at: BorrowedFd<'_>,
        path: &Path,
        how: OFlags,
    ) -> Result<Option<(OwnedFd, Stamp)>, Unclear> {
        let flags = how | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(at, path, flags, Mode::empty()).and_then(|fd| Stamp::of_open(&fd).map(|stamp| (fd, stamp)));
        match opened {
            Ok((fd, stamp)) => {
                self.meet(&fd, &stamp);
                Ok(Some((fd, stamp)))
            }
            Err(errno) if is_absence(errno) => Ok(None),
            Err(errno) => {
                let errno_of_system = errno.raw_os_error();
                self.note(match errno {
                    Errno::MFILE | Errno::NFILE => Refusal::NoDescriptor(errno_of_system),
                    _ => Refusal::Other(errno_of_system),
                });
                Err(Unclear)
            }
        }
    }

    /// Looks at an entry of a directory.
    pub(super) fn sight(&mut self, directory: BorrowedFd<'_>, name: &OsStr) -> Sight {
        let sight = Sight::of(directory, name);
        if let Sight::Unclear(errno) = sight {
            self.note(Refusal::Other(errno.raw_os_error()));
        }
        sight
    }

    /// Takes a look at the file system of an open file, if it is a new one.
    fn meet(&mut self, fd: &OwnedFd, stamp: &Stamp) {
        if self.devices.insert(stamp.device()) && is_silent(fd) {
            self.trouble = Some(FileError::Silent { label: Arc::clone(&self.label) });
        }
    }

    /// Notes that something cannot be marked or looked at.
    pub(super) fn note(&mut self, refusal: Refusal) {
        self.trouble = Some(reason(refusal, &self.label));
    }

    /// Why the source does not hear of every change.
    pub(super) fn trouble(&self) -> Option<&FileError> {
        self.trouble.as_ref()
    }

    /// Forgets what was in the way: everything is looked at again.
    pub(super) fn clear(&mut self) {
        self.trouble = None;
        self.devices.clear();
    }
}

/// A refusal, as the user is told.
pub(super) fn reason(refusal: Refusal, label: &Arc<str>) -> FileError {
    let label = Arc::clone(label);
    match refusal {
        Refusal::Denied => FileError::Denied { label },
        Refusal::NoWatch => FileError::NoWatch { label },
        Refusal::NoInstance => FileError::NoInstance { label },
        Refusal::NoDescriptor(errno) => FileError::NoDescriptor { label, errno },
        Refusal::NotWaitedFor(WatchError::Forked { .. }) => FileError::Forked { label },
        Refusal::NotWaitedFor(WatchError::Unsupported { .. }) => FileError::Unsupported { label, what: SIMULATION },
        Refusal::NotWaitedFor(error) => FileError::NotWaitedFor { label, error },
        Refusal::Other(errno) => FileError::Refused { label, errno },
    }
}
