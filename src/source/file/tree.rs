//! What was seen at a path and below it, and how that is held against the disk.

use super::changes::FileChanges;
use super::digest::Digest;
use super::digest::Digests;
use super::events::FileEvents;
use super::ground::Ground;
use super::ground::Unclear;
use super::hints::FIRST;
use super::hints::Hints;
use super::hints::ITSELF;
use super::hints::OfDirectory;
use super::stamp::Heard;
use super::stamp::LEFT;
use super::stamp::Sight;
use super::stamp::Stamp;
use super::stamp::difference;
use super::way::Way;
use crate::error::FileError;
use crate::event_loop::Mark;
use crate::event_loop::Refusal;
use crate::event_loop::Scope;
use rustix::fs::CWD;
use rustix::fs::Dir;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::mem;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

/// What the user says of paths.
pub(super) type Predicate = Box<dyn Fn(&Path) -> bool + Send + Sync>;

/// What a source is to watch.
pub(super) struct Description {
    /// As the user gave it, and as paths are reported.
    pub(super) path: PathBuf,
    pub(super) events: FileEvents,
    /// Below a directory too.
    pub(super) recursive: bool,
    pub(super) skip: Option<Predicate>,
    /// Makes digests, if a save that changes nothing is to be told from one that does.
    pub(super) digests: Option<Digests>,
}

impl Description {
    fn skips(&self, path: &Path) -> bool {
        self.skip.as_ref().is_some_and(|skip| skip(path))
    }
}

/// What was seen at one name.
struct Entry {
    stamp: Stamp,
    digest: Option<Digest>,
    /// Its place among the directories, if its entries are watched.
    directory: Option<u64>,
}

/// A directory whose entries are watched.
struct Directory {
    /// Which one it is, whatever is found at its path now.
    stamp: Stamp,
    /// The directory that it is in; `None` if it is what the source was told to watch.
    above: Option<u64>,
    name: OsString,
    /// `None` as long as it cannot be marked.
    mark: Option<Mark>,
    entries: BTreeMap<OsString, Entry>,
}

/// One look at the disk.
struct Look {
    /// Told with every event.
    with: FileEvents,
    /// Look at the entries of every directory, and not only of new ones.
    everything: bool,
    /// Notices were lost.
    lost: bool,
    /// Directories whose entries are to be looked at.
    left: Vec<u64>,
}

/// What was seen at a path and below it.
///
/// Directories have numbers that are never given twice, by which their marks call them.
pub(super) struct Tree {
    what: Description,
    /// The path, made absolute.
    path: PathBuf,
    ground: Ground,
    /// Of the directories on the way.
    way: Vec<Mark>,
    /// Where the way ended when something was there last, without symbolic links.
    real: PathBuf,
    root: Option<Entry>,
    /// What the path leads to, and its mark, unless its entries are watched.
    itself: Option<(Stamp, Option<Mark>)>,
    /// The number of the file that has this mark.
    number: u64,
    directories: HashMap<u64, Directory>,
    /// Directories that were not at their paths when their entries were to be looked at. What is in their way is told.
    missed: BTreeSet<u64>,
    next: u64,
    /// What has changed, until somebody takes it.
    changes: FileChanges,
}

impl Tree {
    /// Nothing has been seen yet.
    pub(super) fn new(what: Description, path: PathBuf, ground: Ground) -> Self {
        Self {
            what,
            path,
            ground,
            way: Vec::new(),
            real: PathBuf::new(),
            root: None,
            itself: None,
            number: FIRST,
            directories: HashMap::new(),
            missed: BTreeSet::new(),
            next: FIRST + 1,
            changes: FileChanges::default(),
        }
    }

    /// Why the source does not hear of every change.
    pub(super) fn trouble(&self) -> Option<&FileError> {
        self.ground.trouble()
    }

    /// Looks at everything for the first time, which changes nothing.
    pub(super) fn begin(&mut self) {
        let wanted = mem::take(&mut self.what.events);
        self.look(Hints::everything());
        self.what.events = wanted;
    }

    /// What has changed, if anything has.
    pub(super) fn take(&mut self) -> Option<FileChanges> {
        Some(mem::take(&mut self.changes)).filter(|changes| !changes.is_empty())
    }

    /// Looks where the hints say. What has changed since the last look is there to be [taken](Self::take), also if the
    /// user's predicate panics on the way.
    pub(super) fn look(&mut self, hints: Hints) {
        let Hints { everything, lost, way, away, entry, itself, is_partial, directories, .. } = hints;
        let mut look = Look { with: FileEvents::RESYNCED.when(lost), everything, lost, left: Vec::new() };
        if everything {
            self.ground.clear();
        }
        if everything || way || !itself.is_empty() {
            let in_place = if everything || way { None } else { self.seen_in_place() };
            if let Ok(stamp) = in_place.map_or_else(|| self.find_the_way(), |stamp| Ok(Some(stamp))) {
                // What was told of a file that is not there any more says nothing of the one that is.
                let mut heard = itself.get(&(ITSELF | self.number)).copied().unwrap_or_default();
                heard.merge(entry);
                let heard = heard.partial(everything || is_partial);
                if away || !heard.is_nothing() || !self.will_be_told_of(stamp.as_ref()) {
                    let (at, before) = (Position::root(), self.root.take());
                    self.root = self.compare(at, before, stamp, heard, away, &mut look);
                    self.look_on(&mut look);
                }
            }
        }
        let mut hinted: Vec<_> = directories.into_iter().collect();
        hinted.sort_by_cached_key(|(directory, _)| self.depth(*directory));
        for (directory, hint) in hinted {
            self.look_for(directory, &hint, &mut look);
            if hint.all {
                self.look_through(directory, true, &mut look);
            }
            self.look_on(&mut look);
        }
        let mut missed: Vec<_> = mem::take(&mut self.missed).into_iter().collect();
        missed.sort_by_cached_key(|directory| self.depth(*directory));
        for directory in missed {
            self.look_through(directory, true, &mut look);
            self.look_on(&mut look);
        }
    }

    /// Looks where what was seen so far leads.
    fn look_on(&mut self, look: &mut Look) {
        while let Some(directory) = look.left.pop() {
            let unheard = look.lost;
            self.look_through(directory, unheard, look);
        }
    }

    /// What is watched, if it is still where the way led.
    fn seen_in_place(&mut self) -> Option<Stamp> {
        let (marked, _) = self.itself.as_ref()?;
        let (_, stamp) = self.ground.open(CWD, &self.real, OFlags::PATH).ok()??;
        Some(stamp).filter(|stamp| marked.is_same_file(stamp))
    }

    /// The file that was seen last is still there, and whatever has been done to it is told by a mark of its own.
    ///
    /// What somebody has found on the way says nothing of it then. To compare it now would be to guess the reason of a
    /// change whose notice is about to say it.
    fn will_be_told_of(&self, now: Option<&Stamp>) -> bool {
        let is_marked = matches!(self.itself, Some((_, Some(_))));
        let seen = self.root.as_ref().map(|entry| &entry.stamp);
        is_marked && seen.zip(now).is_some_and(|(seen, now)| seen.is_same_file(now))
    }

    /// Goes the way again, and marks what is at its end before it looks at it.
    fn find_the_way(&mut self) -> Result<Option<Stamp>, Unclear> {
        let Way { marks, end } = Way::go(&self.path, &mut self.ground)?;
        // The marks of before go when the new ones are made, so that an inode with both is heard of all the time.
        self.way = marks;
        let marked = self.itself.take();
        let Some((real, file)) = end else { return Ok(None) };
        self.real = real;
        let seen = |file: &OwnedFd| Stamp::of_open(file).map_err(|_| Unclear);
        let mut stamp = seen(&file)?;
        if !stamp.is_directory() || !self.what.recursive {
            if !marked.as_ref().is_some_and(|(marked, _)| marked.is_same_file(&stamp)) {
                self.number = self.new_number();
            }
            let scope = if stamp.is_directory() { Scope::Names } else { Scope::Contents };
            let mark = self.ground.mark(file.as_fd(), scope, ITSELF | self.number, None);
            let mark = mark.map_err(|refusal| self.ground.note(refusal)).ok().flatten();
            stamp = seen(&file)?;
            self.itself = Some((stamp, mark));
        }
        Ok(Some(stamp))
    }

    /// A number that nothing had before.
    fn new_number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// Opens a directory to look at its entries, if it is at its path.
    fn open(&mut self, directory: u64) -> Option<(PathBuf, OwnedFd)> {
        let path = self.path_of(directory)?;
        let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK;
        let opened = self.ground.open(CWD, &under(&self.real, &path), how);
        let known = self.directories.get_mut(&directory)?;
        match opened {
            Ok(Some((fd, stamp))) if stamp.is_same_file(&known.stamp) => Some((path, fd)),
            _ => {
                self.missed.insert(directory);
                None
            }
        }
    }

    /// Looks at all entries of a directory. If there were notices that were `unheard`, any of them may have been away.
    fn look_through(&mut self, directory: u64, unheard: bool, look: &mut Look) {
        let Some((path, fd)) = self.open(directory) else { return };
        let marked = self.ground.mark(fd.as_fd(), Scope::Contents, directory, None);
        let mark = marked.map_err(|refusal| self.ground.note(refusal)).ok().flatten();
        let Some(known) = self.directories.get_mut(&directory) else { return };
        known.mark = mark;
        let mut names: BTreeSet<OsString> = known.entries.keys().cloned().collect();
        if let Err(errno) = list(&fd, &mut names) {
            self.ground.note(Refusal::Other(errno.raw_os_error()));
        }
        let heard = Heard::default().partial(unheard || look.everything);
        for name in &names {
            self.look_at(directory, fd.as_fd(), path.join(name), heard, unheard, look);
        }
    }

    /// Looks at those entries of a directory of which something was told.
    fn look_for(&mut self, directory: u64, hint: &OfDirectory, look: &mut Look) {
        if hint.entries.is_empty() {
            return;
        }
        let Some((path, fd)) = self.open(directory) else { return };
        for (name, heard) in &hint.entries {
            self.look_at(directory, fd.as_fd(), path.join(name), heard.partial(hint.all), hint.all, look);
        }
    }

    /// Looks at an entry of a directory.
    fn look_at(
        &mut self,
        directory: u64,
        fd: BorrowedFd<'_>,
        path: PathBuf,
        heard: Heard,
        unheard: bool,
        look: &mut Look,
    ) {
        if self.what.skips(&under(&self.what.path, &path)) {
            return;
        }
        let Some(name) = path.file_name().map(OsStr::to_owned) else { return };
        let stamp = match self.ground.sight(fd, &name) {
            Sight::Something(stamp) => Some(stamp),
            Sight::Nothing => None,
            Sight::Unclear(_) => return,
        };
        let Some(known) = self.directories.get_mut(&directory) else { return };
        let before = known.entries.remove(&name);
        let at = Position { above: Some(directory), name: &name, path: &path };
        // Moving a directory changes it, as a change of its entries does.
        let changed = |(before, now): (&Entry, Stamp)| now.is_directory() && before.stamp.has_changed(&now);
        let away = heard.has(LEFT) || unheard && before.as_ref().zip(stamp).is_some_and(changed);
        let now = self.compare(at, before, stamp, heard, away, look);
        if let Some((now, known)) = now.zip(self.directories.get_mut(&directory)) {
            known.entries.insert(name, now);
        }
    }

    /// Holds what is seen at a place `now` against what was seen `before`, and adds what must have happened in between.
    ///
    /// If it may have been `away` and is back, whoever looked at the path meanwhile has seen something else, there and
    /// below: all of it is told to be new.
    fn compare(
        &mut self,
        at: Position<'_>,
        before: Option<Entry>,
        now: Option<Stamp>,
        heard: Heard,
        away: bool,
        look: &mut Look,
    ) -> Option<Entry> {
        let seen = before.as_ref().map(|entry| entry.stamp);
        let mut events = difference(seen.as_ref(), now.as_ref(), heard, self.what.recursive);
        let is_same = seen.zip(now).is_some_and(|(seen, now)| seen.is_same_file(&now));
        let (digest, directory) = before.map_or((None, None), |entry| (entry.digest, entry.directory));
        let kept = directory.filter(|_| is_same);
        if let Some(now) = now.filter(|_| is_same && away) {
            events |= renewed(&now);
            self.below(kept, at.path, |entry| (renewed(&entry.stamp), true), look);
        }
        if !is_same {
            self.below(directory, at.path, |_| (FileEvents::DELETE, false), look);
            self.forget(directory);
        }
        let entry = now.map(|stamp| {
            let is_untouched = seen == Some(stamp) && events.is_empty();
            let digest_now = if is_untouched { digest } else { self.digest(at.path, &stamp) };
            if let Some(seen) = seen.filter(|_| digest_now.is_some() && digest_now == digest) {
                events = events & FileEvents::LINK | seen.difference_of_attributes(&stamp, heard);
            }
            Entry { stamp, digest: digest_now, directory: self.follow(&at, stamp, kept, look) }
        });
        let is_there = entry.is_some();
        report(&self.what, &mut self.changes, at.path, (events | look.with, heard.count(), is_there));
        entry
    }

    /// The content of a file, if it counts.
    fn digest(&self, path: &Path, stamp: &Stamp) -> Option<Digest> {
        let digests = self.what.digests.as_ref().filter(|_| stamp.is_regular())?;
        digests.of(&under(&self.real, path))
    }

    /// Sees to it that the entries of a directory are looked at, if it is a new one.
    fn follow(&mut self, at: &Position<'_>, stamp: Stamp, known: Option<u64>, look: &mut Look) -> Option<u64> {
        if !self.what.recursive || !stamp.is_directory() {
            return None;
        }
        let directory = known.unwrap_or_else(|| {
            let (number, above, name) = (self.new_number(), at.above, at.name.to_owned());
            self.directories.insert(number, Directory { stamp, above, name, mark: None, entries: BTreeMap::new() });
            number
        });
        if known.is_none() || look.everything {
            look.left.push(directory);
        }
        Some(directory)
    }

    /// Forgets a directory, with everything that was in it.
    fn forget(&mut self, directory: Option<u64>) {
        let mut left: Vec<_> = directory.into_iter().collect();
        while let Some(directory) = left.pop() {
            let entries = self.directories.remove(&directory).map(|directory| directory.entries);
            left.extend(entries.into_iter().flatten().filter_map(|(_, entry)| entry.directory));
        }
    }

    /// Reports of everything that is in a directory, and below it, what happened and whether it is there.
    fn below(&mut self, directory: Option<u64>, path: &Path, what: impl Fn(&Entry) -> (FileEvents, bool), look: &Look) {
        let mut left: Vec<_> = directory.map(|directory| (directory, path.to_owned())).into_iter().collect();
        while let Some((directory, path)) = left.pop() {
            let Some(known) = self.directories.get(&directory) else { continue };
            for (name, entry) in &known.entries {
                let path = path.join(name);
                let (events, is_there) = what(entry);
                report(&self.what, &mut self.changes, &path, (events | look.with, 0, is_there));
                left.extend(entry.directory.map(|directory| (directory, path)));
            }
        }
    }

    /// The directories from this one up to the one at the path; `None` if it was forgotten.
    fn line_of(&self, directory: u64) -> Option<Vec<&Directory>> {
        let mut line = vec![self.directories.get(&directory)?];
        while let Some(above) = line[line.len() - 1].above {
            line.push(self.directories.get(&above)?);
        }
        Some(line)
    }

    fn depth(&self, directory: u64) -> usize {
        self.line_of(directory).map_or(0, |line| line.len())
    }

    /// Where a directory is, from the path on.
    fn path_of(&self, directory: u64) -> Option<PathBuf> {
        Some(self.line_of(directory)?.iter().rev().map(|directory| &directory.name).collect())
    }
}

/// Where something is seen.
struct Position<'a> {
    above: Option<u64>,
    name: &'a OsStr,
    /// From the path on.
    path: &'a Path,
}

impl Position<'_> {
    /// Where the path leads.
    fn root() -> Self {
        Self { above: None, name: OsStr::new(""), path: Path::new("") }
    }
}

/// What is said of something that was away and is back.
fn renewed(stamp: &Stamp) -> FileEvents {
    FileEvents::DELETE | FileEvents::CREATE | FileEvents::WRITE.when(!stamp.is_directory())
}

/// Adds what happened to `path`, as far as it was asked for, in how many notices, and whether something is there.
fn report(what: &Description, changes: &mut FileChanges, path: &Path, found: (FileEvents, u64, bool)) {
    let (events, count, is_there) = found;
    if events.intersects(what.events) {
        changes.add(under(&what.path, path), events & (what.events | FileEvents::RESYNCED), count, is_there);
    }
}

/// What is at `path` below `root`; nothing below it is itself.
fn under(root: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { root.to_owned() } else { root.join(path) }
}

/// Adds the names in a directory.
fn list(directory: &OwnedFd, names: &mut BTreeSet<OsString>) -> Result<(), Errno> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.insert(name.to_owned());
        }
    }
    Ok(())
}
