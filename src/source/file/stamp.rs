//! What a file looked like, and what must have happened to it if it looks different now.

use super::events::FileEvents;
use crate::event_loop::Told;
use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::Stat;
use rustix::fs::fstat;
use rustix::fs::statat;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;

/// Something came to be at the place: what is there now may be another thing than before.
pub(super) const CAME: Told = Told::CREATE.union(Told::MOVED_TO);
/// What was at the place left it.
pub(super) const LEFT: Told = Told::DELETE.union(Told::MOVED_FROM);
/// What becomes an event by itself, beside what is seen.
const COUNTED: Told = CAME.union(LEFT).union(Told::MODIFY).union(Told::ATTRIB).union(Told::MOVE_SELF);

/// What the kernel has told of one file or entry since it was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    told: Told,
    /// How many of the notices are changes.
    count: u64,
    /// There may have been notices that were not heard.
    is_partial: bool,
}

impl Heard {
    pub(super) fn add(&mut self, told: Told) {
        self.told |= told;
        self.count += u64::from(told.intersects(COUNTED));
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.told |= other.told;
        self.count += other.count;
        self.is_partial |= other.is_partial;
    }

    /// The same, and perhaps more.
    pub(super) fn partial(self, is_partial: bool) -> Self {
        Self { is_partial, ..self }
    }

    /// No notice was heard, and none was missed.
    pub(super) fn is_nothing(self) -> bool {
        self == Self::default()
    }

    pub(super) fn count(self) -> u64 {
        self.count
    }

    pub(super) fn has(self, any: Told) -> bool {
        self.told.intersects(any)
    }
}

/// What was seen at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    Nothing,
    Something(Stamp),
    /// It could not be looked at now, for this reason of the operating system's; what was known of it stays.
    Unclear(Errno),
}

impl Sight {
    /// What is at `name` in an open directory; itself, and not what it links to.
    pub(super) fn of(directory: BorrowedFd<'_>, name: &OsStr) -> Self {
        match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Self::Something(Stamp::new(&stat)),
            Err(errno) if is_absence(errno) => Self::Nothing,
            Err(errno) => Self::Unclear(errno),
        }
    }
}

/// What may not be looked at is not there either, as far as this process goes.
pub(super) fn is_absence(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::LOOP | Errno::NAMETOOLONG | Errno::INVAL | Errno::NXIO
    )
}

/// A part of a second, which rustix's backends give different types.
fn nanos(part: impl TryInto<u64>) -> u64 {
    part.try_into().unwrap_or_default()
}

/// What tells two states of a file apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    mode: u32,
    links: u64,
    owner: (u32, u32),
    size: u64,
    written: (i64, u64),
    changed: (i64, u64),
}

impl Stamp {
    fn new(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            mode: stat.st_mode,
            links: stat.st_nlink,
            owner: (stat.st_uid, stat.st_gid),
            size: stat.st_size.unsigned_abs(),
            written: (stat.st_mtime, nanos(stat.st_mtime_nsec)),
            changed: (stat.st_ctime, nanos(stat.st_ctime_nsec)),
        }
    }

    /// What an open file looks like.
    pub(super) fn of_open(file: impl AsFd) -> Result<Self, Errno> {
        fstat(file).map(|stat| Self::new(&stat))
    }

    fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }

    pub(super) fn is_directory(&self) -> bool {
        self.kind() == FileType::Directory
    }

    pub(super) fn is_link(&self) -> bool {
        self.kind() == FileType::Symlink
    }

    pub(super) fn is_regular(&self) -> bool {
        self.kind() == FileType::RegularFile
    }

    pub(super) fn device(&self) -> u64 {
        self.device
    }

    /// The file has no name any more.
    pub(super) fn is_unlinked(&self) -> bool {
        self.links == 0
    }

    /// It is the same file, whatever has happened to it. A new one that was given the number of one that has gone is
    /// taken for that, unless the kernel tells.
    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode, self.kind()) == (other.device, other.inode, other.kind())
    }

    /// The same file was touched in any way.
    pub(super) fn has_changed(&self, now: &Self) -> bool {
        self.changed != now.changed
    }

    /// What has happened to the same file, by what is seen of it and what was `heard`.
    ///
    /// A notice says that something was written or changed, also if the clock of the file system is too coarse to show
    /// it; what is seen says which it was. If not everything was heard, what is seen has to do.
    pub(super) fn difference(&self, now: &Self, heard: Heard) -> FileEvents {
        let times = self.written != now.written;
        // Setting the times changes them too.
        let only_times_set = heard.has(Told::ATTRIB) && !heard.has(Told::MODIFY) && self.size == now.size;
        let written = heard.has(Told::MODIFY) || self.size != now.size || times && !only_times_set;
        let linked = self.links != now.links;
        let attributes = self.mode != now.mode || self.owner != now.owner || heard.has(Told::ATTRIB) && !linked;
        let found = FileEvents::WRITE.when(written)
            | FileEvents::EXTEND.when(now.size > self.size)
            | FileEvents::LINK.when(linked)
            | FileEvents::ATTRIB.when(attributes);
        // The kernel notes every change of an inode. What nothing else explains was an attribute that is not seen here, or
        // a notice will tell.
        let unexplained = heard.is_partial && found.is_empty() && self.changed != now.changed;
        found | FileEvents::ATTRIB.when(unexplained)
    }

    /// What has happened to it beside its content. A directory whose entries are watched has no other changes: its times
    /// and its size are theirs.
    pub(super) fn difference_of_attributes(&self, now: &Self, heard: Heard) -> FileEvents {
        FileEvents::ATTRIB.when(self.mode != now.mode || self.owner != now.owner || heard.has(Told::ATTRIB))
    }
}

/// What has happened at a place, by what was seen there `before` and is seen `now`, and what was `heard` in between.
///
/// `followed` says that a directory at the place has its entries watched.
pub(super) fn difference(before: Option<&Stamp>, now: Option<&Stamp>, heard: Heard, followed: bool) -> FileEvents {
    let moved = FileEvents::RENAME.when(heard.has(Told::MOVED_FROM | Told::MOVED_TO));
    let new = |now: &Stamp| FileEvents::CREATE | FileEvents::WRITE.when(!now.is_directory());
    match (before, now) {
        // It came, and is gone. That something left has been seen already, if nothing was known to be there; how it left
        // has not.
        (None, None) => (FileEvents::CREATE | FileEvents::DELETE).when(heard.has(CAME)) | moved,
        (None, Some(now)) => new(now) | moved,
        (Some(_), None) => FileEvents::DELETE | moved,
        // One that was deleted and is there has been made anew, perhaps with the number of the old one.
        (Some(before), Some(now)) if heard.has(Told::DELETE) || !before.is_same_file(now) => {
            FileEvents::DELETE | new(now) | moved
        }
        (Some(before), Some(now)) => {
            let changed = if followed && now.is_directory() {
                before.difference_of_attributes(now, heard)
            } else {
                before.difference(now, heard)
            };
            // A file that is being replaced has lost its name and can still be found there for a moment.
            let is_going = before.is_unlinked() || now.is_unlinked();
            (changed - FileEvents::LINK.when(is_going)) | moved
        }
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
#[path = "tests/stamp.rs"]
mod tests;
