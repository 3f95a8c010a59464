//! What can happen to a file, as bits.

use std::fmt;
use std::ops::BitAnd;
use std::ops::BitOr;
use std::ops::BitOrAssign;
use std::ops::Sub;

/// What can happen to a file or a directory, and which of it a source is interested in.
///
/// The words have two slightly different readings. A source of a *path* ([`Source::file`](crate::Source::file)) speaks of
/// what is found at the path, a source of a *descriptor* ([`Source::vnode`](crate::Source::vnode)) of the one file that
/// the descriptor has open.
///
/// | event | at a path | of a descriptor |
/// |---|---|---|
/// | `CREATE` | something is there that was not, or another file than before | |
/// | `DELETE` | what was there is not any more, or another file is | its last name was removed |
/// | `RENAME` | something was moved to the path, or away from it | it was moved |
/// | `WRITE` | the content changed, or it is another file's | the content changed; an entry of the directory came or went |
/// | `EXTEND` | the file grew | the file grew |
/// | `ATTRIB` | mode, owner, times or extended attributes were changed | the same |
/// | `LINK` | the number of hard links changed | the same |
///
/// A file that is saved by writing another one and renaming that over it is deleted, created, renamed and written at
/// once: whoever asks for `WRITE` alone hears of every save, however an editor does it.
///
/// ```
/// use concourse::source::FileEvents;
///
/// let saved_or_gone = FileEvents::WRITE | FileEvents::DELETE;
/// assert!(saved_or_gone.contains(FileEvents::WRITE));
/// assert!(!saved_or_gone.intersects(FileEvents::ATTRIB | FileEvents::LINK));
/// assert_eq!(format!("{saved_or_gone:?}"), "DELETE | WRITE");
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct FileEvents(u16);

impl FileEvents {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// What was there is not any more.
    pub const DELETE: Self = Self(1);
    /// The content changed.
    pub const WRITE: Self = Self(1 << 1);
    /// The file grew.
    pub const EXTEND: Self = Self(1 << 2);
    /// Mode, owner, times or extended attributes changed.
    pub const ATTRIB: Self = Self(1 << 3);
    /// The number of hard links changed.
    pub const LINK: Self = Self(1 << 4);
    /// The file was moved.
    pub const RENAME: Self = Self(1 << 5);
    /// Access to the file was revoked. No source on Linux can tell: asking for it is
    /// [`FileError::Unsupported`](crate::FileError::Unsupported).
    pub const REVOKE: Self = Self(1 << 6);
    /// Something is there that was not.
    pub const CREATE: Self = Self(1 << 7);
    /// A mark beside the other events: the kernel had dropped notices, and these changes were found by looking at
    /// everything again. It is never asked for, and always told.
    pub const RESYNCED: Self = Self(1 << 8);
    /// Everything that can be told.
    pub const ALL: Self = Self(
        Self::DELETE.0
            | Self::WRITE.0
            | Self::EXTEND.0
            | Self::ATTRIB.0
            | Self::LINK.0
            | Self::RENAME.0
            | Self::CREATE.0,
    );

    /// True if these are all among them.
    pub const fn contains(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// True if any of these is among them.
    pub const fn intersects(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// These and those, in constants too.
    #[must_use]
    pub const fn union(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// True if it is nothing.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// These events if `condition` holds, and nothing otherwise.
    pub(super) fn when(self, condition: bool) -> Self {
        if condition { self } else { Self::NONE }
    }
}

impl BitOr for FileEvents {
    type Output = Self;

    fn bitor(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }
}

impl BitOrAssign for FileEvents {
    fn bitor_assign(&mut self, others: Self) {
        *self = *self | others;
    }
}

impl BitAnd for FileEvents {
    type Output = Self;

    fn bitand(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }
}

impl Sub for FileEvents {
    type Output = Self;

    /// Those that are not among `others`.
    fn sub(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }
}

impl fmt::Debug for FileEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Self::DELETE, "DELETE"),
            (Self::WRITE, "WRITE"),
            (Self::EXTEND, "EXTEND"),
            (Self::ATTRIB, "ATTRIB"),
            (Self::LINK, "LINK"),
            (Self::RENAME, "RENAME"),
            (Self::REVOKE, "REVOKE"),
            (Self::CREATE, "CREATE"),
            (Self::RESYNCED, "RESYNCED"),
        ];
        let present: Vec<_> = names.iter().filter(|(event, _)| self.contains(*event)).map(|(_, name)| *name).collect();
        f.write_str(if present.is_empty() { "NONE" } else { "" })?;
        f.write_str(&present.join(" | "))
    }
}
