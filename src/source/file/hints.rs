//! Where a file source has to look, as far as it was told since it looked last.
//!
//! The loop thread adds, a turn takes everything. What is kept is bounded: of a directory with more than [`MOST`] changed
//! entries all are looked at. So are the wake-ups: a mark that tells more than `MOST` notices before the turn comes is not
//! heard until then, and the turn makes another one before it looks.

use super::stamp::CAME;
use super::stamp::Heard;
use super::stamp::LEFT;
use crate::event_loop::Hearing;
use crate::event_loop::Told;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::ffi::OsString;

/// The mark of a directory on the way to what is watched.
pub(super) const WAY: u64 = 0;
/// The mark of the directory that has the entry which is watched.
pub(super) const LAST: u64 = 1;
/// The first number of a file or directory. It marks a directory whose entries are watched.
pub(super) const FIRST: u64 = 2;
/// With the number of a file, or of a directory that is watched like one, its mark.
pub(super) const ITSELF: u64 = 1 << 63;

/// How many notices of a mark are heard between two turns, and how many entries of a directory are told apart.
pub(super) const MOST: u32 = 64;

/// How many notices of a mark are heard before the next look: one while the source `is_held`, since nobody will look for
/// some time, and all as long as it `waits`, for quiet or for its first turn.
pub(super) fn patience(is_held: bool, waits: bool) -> u32 {
    match (waits, is_held) {
        (true, _) => u32::MAX,
        (false, true) => 1,
        (false, false) => MOST,
    }
}

/// What was told of a directory's entries.
#[derive(Debug, Default)]
pub(super) struct OfDirectory {
    pub(super) entries: HashMap<OsString, Heard>,
    /// Entries were told of that are not among these, or the mark is dead.
    pub(super) all: bool,
}

/// Everything that was told.
#[derive(Debug, Default)]
pub(super) struct Hints {
    /// Look at everything.
    pub(super) everything: bool,
    /// Notices were lost.
    pub(super) lost: bool,
    /// The way to what is watched may be another one, or a mark of it is dead.
    pub(super) way: bool,
    /// What is watched may have been away, because something on the way was.
    pub(super) away: bool,
    /// Of the entry that is watched.
    pub(super) entry: Heard,
    /// Of what was found there, by its mark.
    pub(super) itself: HashMap<u64, Heard>,
    pub(super) directories: HashMap<u64, OfDirectory>,
    /// How many notices each mark has told.
    notices: HashMap<u64, u32>,
}

impl Hints {
    pub(super) fn is_nothing(&self) -> bool {
        !self.everything && !self.way && self.itself.is_empty() && self.directories.is_empty()
    }

    /// Looks at everything.
    pub(super) fn everything() -> Self {
        Self { everything: true, ..Self::default() }
    }

    /// Takes a notice of `mark`, which is not to be heard any more if it is the last of so many.
    pub(super) fn add(&mut self, mark: u64, told: Told, name: Option<&OsStr>, most: u32) -> Hearing {
        let notices = self.notices.entry(mark).or_default();
        *notices = notices.saturating_add(1);
        let is_enough = *notices >= most || told.contains(Told::IGNORED);
        match mark {
            WAY | LAST => {
                if mark == LAST && name.is_some() && told.intersects(CAME | LEFT) {
                    self.entry.add(told);
                }
                self.away |= told.intersects(LEFT);
                self.way = true;
            }
            // Whether it was moved or deleted is told better where its entry is.
            itself if itself & ITSELF != 0 => {
                let heard = self.itself.entry(itself).or_default();
                if name.is_none() && told.intersects(Told::MODIFY | Told::ATTRIB | Told::CLOSE_WRITE) {
                    heard.add(told);
                } else if name.is_some() && told.intersects(CAME | LEFT) {
                    // An entry of a directory that is watched like a file.
                    heard.add(Told::MODIFY);
                }
                self.way |= told.intersects(Told::MOVE_SELF | Told::DELETE_SELF) || is_enough;
            }
            directory => self.directories.entry(directory).or_default().add(told, name, is_enough),
        }
        if is_enough { Hearing::Enough } else { Hearing::More }
    }
}

impl OfDirectory {
    fn add(&mut self, told: Told, name: Option<&OsStr>, is_enough: bool) {
        self.all |= is_enough;
        let Some(name) = name else { return };
        if let Some(heard) = self.entries.get_mut(name) {
            heard.add(told);
        } else if self.entries.len() < MOST as usize {
            self.entries.entry(name.to_owned()).or_default().add(told);
        } else {
            self.all = true;
        }
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
#[path = "tests/hints.rs"]
mod tests;
