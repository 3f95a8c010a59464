//! What a handler receives: paths, and what happened to each.

use super::events::FileEvents;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;
use std::path::PathBuf;

/// What has happened to watched files since the last call of the handler: see [`Source::file`](crate::Source::file).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileChanges {
    events: FileEvents,
    count: u64,
    paths: BTreeMap<PathBuf, FileEvents>,
}

impl FileChanges {
    /// Everything that happened, to whichever path.
    pub fn events(&self) -> FileEvents {
        self.events
    }

    /// How many changes these are: those that the kernel told apart, and one for each path of which it told none.
    ///
    /// Equal changes that follow one another before they are read are one to the kernel, so this is the least that
    /// happened.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The paths, in order, each with what happened to it.
    ///
    /// They begin with the path that the source was given, as it was given.
    pub fn paths(&self) -> impl ExactSizeIterator<Item = (&Path, FileEvents)> {
        self.paths.iter().map(|(path, events)| (path.as_path(), *events))
    }

    /// What happened to `path`; nothing if it is not among the [`paths`](Self::paths).
    pub fn of(&self, path: impl AsRef<Path>) -> FileEvents {
        self.paths.get(path.as_ref()).copied().unwrap_or_default()
    }

    /// Adds what happened to a path, which the kernel has told in `count` notices.
    pub(super) fn add(&mut self, path: PathBuf, events: FileEvents, count: u64) {
        self.events |= events;
        match self.paths.entry(path) {
            Entry::Vacant(place) => {
                place.insert(events);
                self.count = self.count.saturating_add(count.max(1));
            }
            Entry::Occupied(mut known) => {
                *known.get_mut() |= events;
                self.count = self.count.saturating_add(count);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }
}
