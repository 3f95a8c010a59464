//! The way from the root of the file system to what is at a path.
//!
//! Every directory on the way is marked before its entry is looked at, and symbolic links are followed by hand. So each
//! answer on which the way depends is one whose change will be told. What comes later in the path need not exist: the way
//! ends where something is missing, and the mark there tells when it comes.

use super::ground::Ground;
use super::hints::LAST;
use super::hints::WAY;
use crate::event_loop::Mark;
use crate::event_loop::Refusal;
use crate::event_loop::Scope;
use rustix::fs::CWD;
use rustix::fs::OFlags;
use rustix::fs::readlinkat;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

/// How many symbolic links the kernel follows before it gives up.
const MOST_LINKS: u32 = 40;

/// A way that was gone.
pub(super) struct Way {
    /// Of the directories on it.
    pub(super) marks: Vec<Mark>,
    /// Where it leads, without symbolic links, and what is open there, as a path only. `None` if something is missing.
    pub(super) end: Option<(PathBuf, OwnedFd)>,
}

/// A step of a path.
enum Step {
    Root,
    Up,
    Down(OsString),
}

/// The steps of a path, the last one first.
fn steps(path: &Path) -> impl Iterator<Item = Step> {
    path.components().rev().filter_map(|component| match component {
        Component::RootDir => Some(Step::Root),
        Component::ParentDir => Some(Step::Up),
        Component::Normal(name) => Some(Step::Down(name.to_owned())),
        Component::CurDir | Component::Prefix(_) => None,
    })
}

impl Way {
    /// Goes along an absolute path.
    pub(super) fn go(path: &Path, ground: &mut Ground) -> Self {
        let mut marks = Vec::new();
        let end = Self::walk(path, ground, &mut marks);
        Self { marks, end }
    }

    fn walk(path: &Path, ground: &mut Ground, marks: &mut Vec<Mark>) -> Option<(PathBuf, OwnedFd)> {
        let root = |ground: &mut Ground| Some((PathBuf::from("/"), ground.open(CWD, Path::new("/"), OFlags::PATH)?.0));
        let (mut at, mut directory) = root(ground)?;
        let (mut left, mut links) = (steps(path).collect::<Vec<_>>(), 0);
        while let Some(step) = left.pop() {
            let name = match step {
                Step::Root => {
                    (at, directory) = root(ground)?;
                    continue;
                }
                Step::Up => {
                    at.pop();
                    directory = ground.open(directory.as_fd(), Path::new(".."), OFlags::PATH)?.0;
                    continue;
                }
                Step::Down(name) => name,
            };
            let mark = if left.is_empty() { LAST } else { WAY };
            let marked = ground.mark(directory.as_fd(), Scope::Names, mark, Some(&name));
            let is_deaf = matches!(marked, Err(Refusal::Denied));
            match marked {
                Ok(mark) => marks.extend(mark),
                Err(Refusal::Denied) => {}
                Err(refusal) => ground.note(refusal),
            }
            let Some((next, stamp)) = ground.open(directory.as_fd(), Path::new(&name), OFlags::PATH) else {
                // A directory that may be searched but not read does not tell what comes to be in it. Of what is there
                // already, its own mark tells where it goes.
                if is_deaf {
                    ground.note(Refusal::Denied);
                }
                return None;
            };
            if stamp.is_link() {
                links += 1;
                let target = readlinkat(&next, "", Vec::new()).ok().filter(|_| links <= MOST_LINKS)?;
                left.extend(steps(Path::new(OsStr::from_bytes(target.as_bytes()))));
            } else if stamp.is_directory() || left.is_empty() {
                at.push(name);
                directory = next;
            } else {
                return None;
            }
        }
        Some((at, directory))
    }
}
