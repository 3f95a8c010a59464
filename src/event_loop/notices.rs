//! What the kernel tells of files and directories: one inotify instance for all file sources of a runtime.
//!
//! A [`Mark`] asks for the notices of one inode, a file or directory that is open when the mark is made. The kernel has one watch for each inode, however many marks ask for it, so a table counts them, and removes the watch with the
//! last. With the last mark of all the instance itself is closed.
//!
//! # The races it fears
//!
//! - *A notice comes before the table knows whose it is.* The kernel is asked under the table's lock, and a notice is
//!   looked up under it. Besides, whoever makes a mark looks at the inode afterwards.
//! - *The last mark of an inode goes while another one is made.* Both ask the kernel under the lock, so it is one watch
//!   or two, and the table knows which.
//! - *A notice is under way when its mark goes.* Its watch has no place in the table any more. The kernel gives the number
//!   of a watch to another one only after it has counted through all numbers.
//! - *A directory's notices come faster than its source looks.* The witness has [`Enough`](Hearing::Enough): its mark is
//!   dead from then on, and wakes nobody, until the source makes another one and looks.
//! - *The kernel drops notices*, because too many wait to be read. Every witness is told that some are lost.
//!
//! The loop thread reads a buffer's worth and then lets others have their turn: arming the descriptor again makes an edge
//! of what is left.

use super::EventLoop;
use super::Interest;
use super::Watch;
use super::Watcher;
use crate::error::WatchError;
use crate::sync::Arc;
use crate::sync::Mutex;
use crate::sync::OnceLock;
use crate::sync::Weak;
use crate::sync::is_child;
use rustix::event::EventfdFlags;
use rustix::event::eventfd;
use rustix::fs::inotify;
use rustix::fs::inotify::CreateFlags;
pub(crate) use rustix::fs::inotify::ReadFlags as Told;
use rustix::fs::inotify::WatchFlags;
use rustix::io::Errno;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
#[path = "tests/notices.rs"]
mod tests;

/// What the instance is called in errors of the event loop.
const LABEL: &str = "files";

/// Who hears the notices that its marks ask for.
///
/// All are called on the loop thread, outside all locks. They must not block and must not run user code; dropping the
/// last reference to something of the user's runs user code.
pub(crate) trait Witness: Send + Sync + 'static {
    /// Something happened to the inode of the mark, or, if there is a name, to the entry of that name in it.
    fn hear(self: Arc<Self>, mark: u64, told: Told, name: Option<&OsStr>) -> Hearing;

    /// Something happened to the inode of the mark that it does not ask for; it has woken the loop thread nevertheless.
    fn overhear(self: Arc<Self>, mark: u64) -> Hearing;

    /// Notices were lost. If there is an error, there will be none any more.
    fn miss(self: Arc<Self>, end: Option<&WatchError>);
}

/// Whether a witness wants to hear more of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hearing {
    More,
    /// The mark is dead; whoever has it drops it some time.
    Enough,
}

/// What to tell of an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Of a directory, which entries come and go, and what happens to itself.
    Names,
    /// Also what is done to the file, or to the files in the directory.
    Contents,
}

impl Scope {
    /// Whether such a notice is asked for. Of the end of a watch everybody is told.
    fn includes(self, told: Told) -> bool {
        told.intersects(Told::from_bits_retain(self.flags().bits()) | Told::IGNORED | Told::UNMOUNT)
    }

    fn flags(self) -> WatchFlags {
        let names = WatchFlags::ATTRIB
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF;
        match self {
            Self::Names => names,
            // What was written through a mapping is told when the file is closed, and not before.
            Self::Contents => names | WatchFlags::MODIFY | WatchFlags::CLOSE_WRITE,
        }
    }
}

/// Why there is no mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It may not be read.
    Denied,
    /// The user's watches are used up.
    NoWatch,
    /// The user's instances are used up.
    NoInstance,
    /// The process or the system has no descriptor left.
    NoDescriptor(i32),
    /// The event loop does not wait for the instance.
    NotWaitedFor(WatchError),
    /// The kernel refuses for another reason.
    Other(i32),
}

/// The instance, and who asked for what.
pub(crate) struct Notices {
    /// Set before anybody else has the instance. It is dropped before the descriptor is closed.
    watch: OnceLock<Watch>,
    table: Mutex<Table>,
    inotify: OwnedFd,
}

#[derive(Default)]
struct Table {
    /// By the kernel's number for the watch.
    inodes: HashMap<i32, Inode>,
    /// What the next mark is called.
    next: u64,
}

/// Who asked for the notices of an inode.
type Inode = Vec<Marked>;

/// What a mark asks for.
struct Marked {
    key: u64,
    witness: Weak<dyn Witness>,
    /// What the witness calls its mark.
    mark: u64,
    scope: Scope,
    /// The only entry of interest.
    only: Option<Box<OsStr>>,
}

impl Marked {
    /// Whether a notice is of interest. The marks of an inode share its watch, so there are some for others. One without a
    /// name is about the inode itself.
    fn wants(&self, told: Told, name: Option<&OsStr>) -> bool {
        self.scope.includes(told) && (name.is_none() || self.only.is_none() || self.only.as_deref() == name)
    }
}

impl Notices {
    /// Opens an instance that `event_loop` reads; `None` if that has ended.
    pub(super) fn open(event_loop: &EventLoop) -> Result<Option<Arc<Self>>, Refusal> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(no_instance)?;
        let notices = Arc::new(Self { inotify, table: Mutex::default(), watch: OnceLock::new() });
        let watch = event_loop.watch(notices.inotify.as_fd(), Interest::Readable, &notices);
        let Some(watch) = watch.map_err(Refusal::NotWaitedFor)? else { return Ok(None) };
        // Nobody else has it yet. The loop thread may be here already, and arms nothing then: there are no marks.
        let _ = notices.watch.set(watch);
        notices.rearm();
        Ok(Some(notices))
    }

    /// Asks for notices of an open file, which `witness` hears under the name `mark`. In a directory it hears of the entry
    /// `only`, or of all.
    ///
    /// Whatever happens to it after this call is told, unless it is said that notices were lost. The descriptor is not
    /// needed any more then; one that was opened only as a path will do.
    pub(crate) fn mark<W: Witness>(
        self: &Arc<Self>,
        fd: BorrowedFd<'_>,
        scope: Scope,
        witness: &Weak<W>,
        mark: u64,
        only: Option<&OsStr>,
    ) -> Result<Mark, Refusal> {
        let mut table = self.table.lock();
        // The marks of an inode share its watch: what others asked for must not be narrowed.
        let flags = scope.flags() | WatchFlags::MASK_ADD;
        let wd = inotify::add_watch(&self.inotify, link_to(fd), flags).map_err(refused)?;
        let key = table.next;
        table.next += 1;
        let witness: Weak<W> = Weak::clone(witness);
        table.inodes.entry(wd).or_default().push(Marked { key, witness, mark, scope, only: only.map(Box::from) });
        Ok(Mark { notices: Arc::clone(self), wd, key })
    }

    /// Forgets what a mark asked for.
    fn remove(&self, wd: i32, key: u64) {
        let mut table = self.table.lock();
        let Entry::Occupied(mut inode) = table.inodes.entry(wd) else { return };
        inode.get_mut().retain(|marked| marked.key != key);
        if inode.get().is_empty() {
            inode.remove();
            // It fails only if the inode has gone, and its watch with it.
            let _ = inotify::remove_watch(&self.inotify, wd);
        }
    }

    /// Lets those hear a notice who asked for it.
    fn tell(&self, wd: i32, told: Told, name: Option<&OsStr>) {
        if told.contains(Told::QUEUE_OVERFLOW) {
            return self.miss(None);
        }
        let mut table = self.table.lock();
        let Some(inode) = table.inodes.get(&wd) else { return };
        let hearers = inode.iter().filter_map(|it| Some((it.witness.upgrade()?, it.mark, it.key, it.wants(told, name))));
        let hearers: Vec<_> = hearers.collect();
        if told.contains(Told::IGNORED) {
            // The inode has gone, or its file system has: the kernel has removed the watch.
            table.inodes.remove(&wd);
        }
        drop(table);
        for (witness, mark, key, is_wanted) in hearers {
            let hearing = if is_wanted { witness.hear(mark, told, name) } else { witness.overhear(mark) };
            if hearing == Hearing::Enough {
                self.remove(wd, key);
            }
        }
    }

    /// Lets everybody know, once each, that notices were lost.
    fn miss(&self, end: Option<&WatchError>) {
        let mut witnesses: Vec<Arc<dyn Witness>> = Vec::new();
        let table = self.table.lock();
        for witness in table.inodes.values().flatten().filter_map(|marked| marked.witness.upgrade()) {
            if !witnesses.iter().any(|known| Arc::ptr_eq(known, &witness)) {
                witnesses.push(witness);
            }
        }
        drop(table);
        witnesses.into_iter().for_each(|witness| witness.miss(end));
    }

    /// Waits for more notices.
    fn rearm(&self) {
        if let Some(Err(end)) = self.watch.get().map(|watch| watch.rearm(LABEL)) {
            self.miss(Some(&end));
        }
    }
}

impl Watcher for Notices {
    fn ready(self: Arc<Self>) {
        let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
        let mut notices = inotify::Reader::new(&self.inotify, &mut buffer);
        // It fails when there is nothing left, which is not to be waited for here.
        while let Ok(notice) = notices.next() {
            let name = notice.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
            self.tell(notice.wd(), notice.events(), name);
            if notices.is_buffer_empty() {
                break;
            }
        }
        self.rearm();
    }

    fn label(&self) -> &str {
        LABEL
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notices").field("inodes", &self.table.lock().inodes.len()).finish_non_exhaustive()
    }
}

/// Asks for the notices of an inode until it is dropped.
pub(crate) struct Mark {
    notices: Arc<Notices>,
    wd: i32,
    key: u64,
}

impl Drop for Mark {
    fn drop(&mut self) {
        // A forked child shares the instance: what it removes is removed for the parent.
        if !is_child() {
            self.notices.remove(self.wd, self.key);
        }
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mark").field("wd", &self.wd).finish_non_exhaustive()
    }
}

/// The link by which the kernel finds an open file.
fn link_to(fd: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// Where an open file is now, as far as the kernel can say.
pub(crate) fn path_of(fd: BorrowedFd<'_>) -> Option<PathBuf> {
    fs::read_link(link_to(fd)).ok()
}

fn refused(errno: Errno) -> Refusal {
    match errno {
        Errno::ACCESS | Errno::PERM => Refusal::Denied,
        Errno::NOSPC => Refusal::NoWatch,
        _ => Refusal::Other(errno.raw_os_error()),
    }
}

/// The kernel says the same if the process has no descriptor left and if the user has no instance left.
fn no_instance(errno: Errno) -> Refusal {
    match errno {
        Errno::MFILE if eventfd(0, EventfdFlags::CLOEXEC).is_ok() => Refusal::NoInstance,
        Errno::MFILE | Errno::NFILE => Refusal::NoDescriptor(errno.raw_os_error()),
        _ => Refusal::Other(errno.raw_os_error()),
    }
}
