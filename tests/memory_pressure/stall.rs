//! Stalls on demand.
#![allow(unsafe_code, reason = "a mapping, and the kernel's advice about it")]

use crate::MEMORY;
use std::fs;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process;
use std::ptr;

const PAGE: usize = 4096;
const PAGES: usize = 4096;

/// A file that is mapped, to be paged out and in.
pub(crate) struct Stall {
    path: PathBuf,
    start: *mut libc::c_void,
}

impl Stall {
    /// `None` if this system counts no stall for it.
    pub(crate) fn new(name: &str) -> Option<Self> {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", process::id()));
        let mut file = File::create_new(&path).unwrap();
        file.write_all(&vec![1; PAGE * PAGES]).unwrap();
        // Only what is on the disk can be paged out.
        file.sync_all().unwrap();
        let file = File::open(&path).unwrap();
        let (protection, flags) = (libc::PROT_READ, libc::MAP_SHARED);
        // SAFETY: a new mapping, of a file that nobody changes as long as it exists.
        let start = unsafe { libc::mmap(ptr::null_mut(), PAGE * PAGES, protection, flags, file.as_raw_fd(), 0) };
        assert_ne!(start, libc::MAP_FAILED);
        let stall = Self { path, start };
        let before = stalled();
        for _ in 0..20 {
            stall.make();
            if stalled() > before {
                return Some(stall);
            }
        }
        println!("nothing to hold: paging a file out and in is no stall here");
        None
    }

    /// Reads the file, which stalls, and has it paged out.
    pub(crate) fn make(&self) {
        for _ in 0..3 {
            for page in 0..PAGES {
                // SAFETY: inside the mapping, which lives as long as `self`.
                let byte = unsafe { self.start.cast::<u8>().add(page * PAGE).read_volatile() };
                assert_eq!(byte, 1);
            }
        }
        // SAFETY: the mapping stays what it is: its pages are read from the file again. A kernel that does not know the advice
        // says so, and there is no stall.
        unsafe { libc::madvise(self.start, PAGE * PAGES, libc::MADV_PAGEOUT) };
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's, and nobody uses it any more.
        unsafe { libc::munmap(self.start, PAGE * PAGES) };
        fs::remove_file(&self.path).unwrap();
    }
}

/// For how many microseconds some thread of the system has stalled so far.
fn stalled() -> u64 {
    let account = fs::read_to_string(MEMORY).unwrap();
    account.lines().next().and_then(|some| some.split("total=").nth(1)).unwrap().parse().unwrap()
}
