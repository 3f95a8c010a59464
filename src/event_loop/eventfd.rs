//! A descriptor that other loops can wait for.

use super::errno;
use rustix::event::EventfdFlags;
use rustix::event::eventfd;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;

/// A descriptor that is readable while it is lit.
#[derive(Debug)]
pub(crate) struct Eventfd(OwnedFd);

impl Eventfd {
    /// A dark one. The error is the operating system's number.
    pub(crate) fn new() -> Result<Self, i32> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        fd.map(Self).map_err(|error| errno(&io::Error::from(error)))
    }

    /// Makes it readable.
    pub(crate) fn light(&self) {
        // It fails only if the count is at its limit: then it is readable.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Makes it readable no more.
    pub(crate) fn darken(&self) {
        // It fails only if the count is 0: then it is not readable.
        let _ = rustix::io::read(&self.0, &mut [0_u8; 8]);
    }
}

impl AsFd for Eventfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
