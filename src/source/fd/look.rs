//! What a descriptor is ready for at this moment, and what to wait for next.

use super::Sealed;
use super::ioctl::unsent;
use crate::error::WatchError;
use crate::event_loop::Interest;
use crate::sync::Arc;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::event::poll;
use rustix::fs::FileType;
use rustix::fs::OFlags;
use rustix::fs::fcntl_getfl;
use rustix::fs::fstat;
use rustix::fs::tell;
use rustix::io::Errno;
use rustix::io::ioctl_fionread;
use rustix::io::retry_on_intr;
use rustix::net::sockopt::socket_send_buffer_size;
use rustix::pipe::fcntl_getpipe_size;
use std::os::fd::BorrowedFd;

/// What can be read: what the handler of [`Source::readable`](crate::Source::readable) receives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Input {
    /// About how many bytes can be read without blocking, 0 at the end. `None` if the kernel does not say: there is a
    /// connection to accept, or a device or an eventfd to read.
    pub bytes: Option<u64>,
    /// Nobody will write any more, or the end of a file is reached: after `bytes`, reads return 0, or an error if the other
    /// side has not closed in good order.
    pub ended: bool,
    /// The next read returns an error; or the kernel cannot wait for the descriptor any more.
    pub failed: bool,
}

impl Input {
    /// True if nothing is left to read and nothing will come: the last call of the handler, unless things change.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.ended && self.bytes.unwrap_or(0) == 0
    }
}

/// What can be written: what the handler of [`Source::writable`](crate::Source::writable) receives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Output {
    /// About how many bytes can be written without blocking, at least 1 unless `closed`. `None` if the kernel does not say.
    ///
    /// Pipes and sockets count in pages and buffers, so many small writes fill them earlier.
    pub bytes: Option<u64>,
    /// Nobody will read any more: writes fail.
    pub closed: bool,
    /// The next write returns an error; or the kernel cannot wait for the descriptor any more.
    pub failed: bool,
}

/// What kind of thing a descriptor stands for, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// It is ready for as long as there is something in it.
    File,
    /// It is read with other calls than the rest.
    Directory,
    Pipe,
    Socket,
    Other,
}

impl Nature {
    pub(super) fn of(fd: BorrowedFd<'_>) -> Self {
        match fstat(fd).map(|stat| FileType::from_raw_mode(stat.st_mode)) {
            Ok(FileType::RegularFile) => Self::File,
            Ok(FileType::Directory) => Self::Directory,
            Ok(FileType::Fifo) => Self::Pipe,
            Ok(FileType::Socket) => Self::Socket,
            _ => Self::Other,
        }
    }
}

/// What follows the call of a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another look, when the kernel tells of this; at once if it does not wait for this kind of descriptor.
    Wait(Interest),
    /// Nothing, until the source is resumed: the kernel would tell of the same again and again.
    Rest,
}

/// What was found when a descriptor was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look<D> {
    pub(super) found: Option<D>,
    pub(super) next: Next,
}

/// A direction in which bytes go: [`Input`] or [`Output`].
///
/// The trait is sealed: there are these two.
pub trait Direction: Sealed + Copy + Default + Send + Sync + 'static {
    /// What the kernel is asked for.
    #[doc(hidden)]
    const INTEREST: Interest;

    /// Why a descriptor cannot be used in this direction, if it is open for the other one only.
    #[doc(hidden)]
    fn refusal(fd: BorrowedFd<'_>, label: &Arc<str>) -> Option<WatchError>;

    /// Looks what the descriptor is ready for, without waiting.
    #[doc(hidden)]
    fn look(fd: BorrowedFd<'_>, nature: Nature) -> Look<Self>;

    /// True if the handler need not hear of it twice in a row.
    #[doc(hidden)]
    fn is_last(&self) -> bool;

    /// The same for a descriptor that the kernel cannot wait for.
    #[doc(hidden)]
    fn failed(self) -> Self;
}

impl Sealed for Input {}

impl Direction for Input {
    const INTEREST: Interest = Interest::Readable;

    fn refusal(fd: BorrowedFd<'_>, label: &Arc<str>) -> Option<WatchError> {
        is_open_for(fd, OFlags::WRONLY).then(|| WatchError::NotReadable { label: Arc::clone(label) })
    }

    fn look(fd: BorrowedFd<'_>, nature: Nature) -> Look<Self> {
        if nature == Nature::File {
            let bytes = left(fd);
            let ended = bytes == Some(0);
            let next = if ended { Next::Rest } else { Next::Wait(Interest::Readable) };
            return Look { found: Some(Self { bytes, ended, failed: false }), next };
        }
        let state = state(fd, PollFlags::IN | PollFlags::RDHUP);
        if state.is_empty() {
            return Look { found: None, next: Next::Wait(Interest::Readable) };
        }
        let found = Self {
            bytes: ioctl_fionread(fd).ok(),
            ended: state.intersects(PollFlags::HUP | PollFlags::RDHUP | PollFlags::NVAL),
            failed: state.intersects(PollFlags::ERR | PollFlags::NVAL),
        };
        let next = if !found.is_end() {
            Next::Wait(Interest::Readable)
        } else if state.intersects(PollFlags::IN | PollFlags::NVAL) {
            // To the kernel, the end is something to read.
            Next::Rest
        } else {
            // A pipe or a terminal that nobody has open for writing; somebody may come.
            Next::Wait(Interest::Input)
        };
        Look { found: Some(found), next }
    }

    fn is_last(&self) -> bool {
        self.is_end()
    }

    fn failed(self) -> Self {
        Self { failed: true, ..self }
    }
}

impl Sealed for Output {}

impl Direction for Output {
    const INTEREST: Interest = Interest::Writable;

    fn refusal(fd: BorrowedFd<'_>, label: &Arc<str>) -> Option<WatchError> {
        is_open_for(fd, OFlags::RDONLY).then(|| WatchError::NotWritable { label: Arc::clone(label) })
    }

    fn look(fd: BorrowedFd<'_>, nature: Nature) -> Look<Self> {
        let state = state(fd, PollFlags::OUT);
        if state.is_empty() {
            return Look { found: None, next: Next::Wait(Interest::Writable) };
        }
        // A pipe without a reader has no other way to say so.
        let is_broken_pipe = nature == Nature::Pipe && state.contains(PollFlags::ERR);
        let closed = is_broken_pipe || state.intersects(PollFlags::HUP | PollFlags::NVAL);
        let failed = state.intersects(PollFlags::ERR | PollFlags::NVAL);
        let bytes = if closed { Some(0) } else { room(fd, nature).map(|bytes| bytes.max(1)) };
        let next = if closed { Next::Rest } else { Next::Wait(Interest::Writable) };
        Look { found: Some(Self { bytes, closed, failed }), next }
    }

    fn is_last(&self) -> bool {
        self.closed
    }

    fn failed(self) -> Self {
        Self { failed: true, ..self }
    }
}

/// True if the descriptor is open in just this mode. One that is not open is for the event loop to refuse.
fn is_open_for(fd: BorrowedFd<'_>, mode: OFlags) -> bool {
    fcntl_getfl(fd).is_ok_and(|flags| flags & OFlags::ACCMODE == mode)
}

/// What `wanted` comes to at once. Errors and hang-ups are always in it.
fn state(fd: BorrowedFd<'_>, wanted: PollFlags) -> PollFlags {
    let mut polled = [PollFd::from_borrowed_fd(fd, wanted)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    match retry_on_intr(|| poll(&mut polled, Some(&at_once))) {
        Ok(_) => polled[0].revents(),
        // The kernel had no memory for the question. Waiting for the descriptor asks it again.
        Err(_) => PollFlags::empty(),
    }
}

/// How far it is to the end of a file.
fn left(file: BorrowedFd<'_>) -> Option<u64> {
    let size = u64::try_from(fstat(file).ok()?.st_size).ok()?;
    Some(size.saturating_sub(tell(file).ok()?))
}

/// About how much more fits into what the descriptor writes to.
fn room(fd: BorrowedFd<'_>, nature: Nature) -> Option<u64> {
    let difference = |size: Result<usize, Errno>, used: Result<u64, Errno>| {
        Some(u64::try_from(size.ok()?).ok()?.saturating_sub(used.ok()?))
    };
    match nature {
        Nature::Pipe => difference(fcntl_getpipe_size(fd), ioctl_fionread(fd)),
        Nature::Socket => difference(socket_send_buffer_size(fd), unsent(fd)),
        Nature::File | Nature::Directory | Nature::Other => None,
    }
}
