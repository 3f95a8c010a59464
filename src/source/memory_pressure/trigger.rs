//! A trigger of the kernel's pressure stall information: a descriptor that is ready once threads have stalled for so long.

use super::PressureLevels;
use crate::error::MemoryPressureError;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::event::poll;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::open;
use rustix::io::Errno;
use rustix::io::read;
use rustix::io::write;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
#[path = "../tests/trigger.rs"]
mod tests;

/// The longest window that the kernel takes.
const LONGEST: Duration = Duration::from_secs(10);

pub(super) struct Trigger(OwnedFd);

/// What a trigger has to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Quiet,
    /// It has fired since somebody looked, or was told.
    Fired,
    /// Its control group was removed: it will never fire again, and seems to fire all the time.
    Gone,
}

impl Trigger {
    /// Has the kernel watch for stalls that lead to `level`, in the pressure file of this path: of `stall` in all, within a
    /// `window`.
    pub(super) fn set(
        path: &Path,
        level: PressureLevels,
        stall: Duration,
        window: Duration,
    ) -> Result<Self, MemoryPressureError> {
        if stall > window || window > LONGEST {
            // The kernel would take it for less: it reads the lowest 32 bits.
            return Err(MemoryPressureError::InvalidStall { stall, window });
        }
        let refused = |error| refused(error, path, stall, window);
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = open(path, flags, Mode::empty()).map_err(refused)?;
        // Whatever else has this path must not be written to.
        let mut start = [0; 5];
        let length = read(&fd, &mut start).map_err(refused)?;
        if start[..length] != *b"some " {
            return Err(MemoryPressureError::Unsupported { path: path.to_owned() });
        }
        let who = if level == PressureLevels::CRITICAL { "full" } else { "some" };
        let text = format!("{who} {} {}\0", stall.as_micros(), window.as_micros());
        write(&fd, text.as_bytes()).map_err(refused)?;
        Ok(Self(fd))
    }

    /// Takes what it has to tell. Who waits for it is not told of that any more.
    pub(super) fn look(&self) -> Look {
        let mut fds = [PollFd::new(&self.0, PollFlags::PRI)];
        // It does not wait, so no signal can interrupt it.
        let _ = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
        match fds[0].revents() {
            told if told.contains(PollFlags::ERR) => Look::Gone,
            told if told.contains(PollFlags::PRI) => Look::Fired,
            _ => Look::Quiet,
        }
    }
}

impl AsFd for Trigger {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn refused(error: Errno, path: &Path, stall: Duration, window: Duration) -> MemoryPressureError {
    let (path, errno) = (path.to_owned(), error.raw_os_error());
    match error {
        Errno::NOENT | Errno::NOTDIR | Errno::ISDIR | Errno::NXIO | Errno::NODEV | Errno::AGAIN | Errno::OPNOTSUPP => {
            MemoryPressureError::Unsupported { path }
        }
        Errno::PERM | Errno::ACCESS | Errno::ROFS => MemoryPressureError::NotPermitted { path, errno },
        Errno::INVAL => MemoryPressureError::InvalidStall { stall, window },
        Errno::BUSY => MemoryPressureError::Busy { path },
        Errno::MFILE | Errno::NFILE => MemoryPressureError::NoDescriptor { errno },
        _ => MemoryPressureError::Refused { path, errno },
    }
}
