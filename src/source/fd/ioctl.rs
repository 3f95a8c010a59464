//! The one request to the kernel that no crate of ours has a safe function for.

#![allow(unsafe_code, reason = "an ioctl says by its number what it writes")]

use rustix::io::Errno;
use rustix::ioctl::Getter;
use rustix::ioctl::Opcode;
use rustix::ioctl::ioctl;
use std::ffi::c_int;
use std::os::fd::BorrowedFd;

/// `SIOCOUTQ`, which is `TIOCOUTQ` by another name.
const OUTPUT_QUEUE: Opcode = 0x5411;

/// How many bytes a socket has still to send, or its peer still to acknowledge.
pub(super) fn unsent(socket: BorrowedFd<'_>) -> Result<u64, Errno> {
    // SAFETY: every kind of descriptor that knows this request writes one `c_int`, and the others refuse it.
    let bytes: c_int = unsafe { ioctl(socket, Getter::<OUTPUT_QUEUE, c_int>::new()) }?;
    Ok(u64::try_from(bytes).unwrap_or(0))
}
