#![doc = include_str!("README.md")]

mod builder;
mod changes;
mod digest;
mod events;
mod ground;
mod hints;
mod silent;
mod stamp;
mod tree;
mod vnode;
mod way;

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests;

pub use changes::FileChanges;
pub use events::FileEvents;
pub use vnode::Vnode;

use crate::error::FileError;
use crate::error::WatchError;
use crate::event_loop::EventLoop;
use crate::event_loop::Hearing;
use crate::event_loop::TimerKey;
use crate::event_loop::Told;
use crate::event_loop::Witness;
use crate::source::delivery::Delivery;
use crate::source::delivery::Pending;
use crate::source::delivery::Sealed;
use crate::sync::Arc;
use crate::sync::Mutex;
use crate::sync::Weak;
use crate::time::Clock;
use crate::time::Nanos;
use crate::time::now;
use ground::Ground;
use ground::admit;
use ground::reason;
use hints::Hints;
use hints::patience;
use std::ffi::OsStr;
use std::fmt;
use std::io::ErrorKind;
use std::mem;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::path::absolute;
use std::time::Duration;
use tree::Description;
use tree::Tree;

/// How often a source polls that cannot hear of every change, unless it is told otherwise.
const POLL: Duration = Duration::from_secs(2);

/// What happens at a path: see [`Source::file`](crate::Source::file).
pub struct File {
    pace: Mutex<Pace>,
    life: Mutex<Life>,
}

/// What was told, and when it is time to look.
#[derive(Default)]
struct Pace {
    hints: Hints,
    /// The source is active, and its registration handler has run. Before, everything is heard that comes.
    is_under_way: bool,
    /// When the last notice came, if that counts.
    told: Option<Nanos>,
    /// How long it has to be quiet before a look.
    settle: Duration,
    /// How often to look at everything, if the user wants it.
    poll: Option<Duration>,
    /// Why it is done anyhow, as a result of the last look.
    trouble: Option<FileError>,
    /// Why nothing will be told any more.
    deaf: Option<FileError>,
    /// The next look that nobody else calls for, and when it is due.
    alarm: Option<(TimerKey, Nanos)>,
    /// Who rings the alarm, and for whom. There is nobody before the source is active and after it has ended.
    bell: Option<(Weak<EventLoop>, Weak<Delivery<File>>)>,
}

impl Pace {
    /// Takes the hints, if there are any and it is time for a look.
    fn begin(&mut self) -> Option<Hints> {
        self.is_under_way = true;
        let quiet = self.told.map(|told| told.after(self.settle));
        if let Some(quiet) = quiet.filter(|quiet| now(Clock::Monotonic) < *quiet) {
            self.ring_at(quiet);
            return None;
        }
        Some(mem::take(&mut self.hints)).filter(|hints| !hints.is_nothing())
    }

    /// Takes note of what was met in a look that has ended.
    fn end(&mut self, trouble: Option<&FileError>) {
        self.trouble = self.deaf.as_ref().or(trouble).cloned();
        if self.polls() {
            self.ring_at(now(Clock::Monotonic).after(self.poll.unwrap_or(POLL)));
        }
    }

    fn polls(&self) -> bool {
        self.poll.is_some() || self.trouble.is_some()
    }

    /// Has the source look at `due`, or before.
    fn ring_at(&mut self, due: Nanos) {
        if self.alarm.is_some_and(|(_, earlier)| earlier <= due) {
            return;
        }
        let bell = self.bell.as_ref().and_then(|(event_loop, delivery)| event_loop.upgrade().zip(delivery.upgrade()));
        let Some((event_loop, delivery)) = bell else { return };
        if let Some((key, _)) = self.alarm.take() {
            // What comes back is not the last reference to the source.
            drop(event_loop.cancel(key));
        }
        // An event loop that refuses has ended with its runtime: nothing will be looked at any more.
        let armed = event_loop.arm(Clock::Monotonic, due, Duration::ZERO, delivery, None);
        self.alarm = armed.ok().map(|key| (key, due));
    }

    /// No alarm rings from now on.
    fn close(&mut self) {
        if let Some(((key, _), (event_loop, _))) = self.alarm.take().zip(self.bell.take())
            && let Some(event_loop) = event_loop.upgrade()
        {
            drop(event_loop.cancel(key));
        }
        self.hints = Hints::default();
    }
}

/// How far a source has come.
enum Life {
    /// It is not active yet.
    Described(Description),
    Watching(Box<Tree>),
    /// The source has ended.
    Ended,
}

/// What became of the start of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Started {
    Watching,
    LoopHasEnded,
}

impl File {
    fn new(path: PathBuf, events: FileEvents) -> Self {
        let what = Description { path, events, recursive: false, skip: None, digests: None };
        Self { pace: Mutex::default(), life: Mutex::new(Life::Described(what)) }
    }

    /// Changes what a source that is not active is to watch, and how.
    fn describe(&self, change: impl FnOnce(&mut Description, &mut Pace)) {
        if let Life::Described(what) = &mut *self.life.lock() {
            change(what, &mut self.pace.lock());
        }
    }

    /// Marks and sees everything for the first time.
    fn start(
        &self,
        event_loop: &Arc<EventLoop>,
        delivery: &Arc<Delivery<Self>>,
        label: &Arc<str>,
    ) -> Result<Started, FileError> {
        let label = || Arc::clone(label);
        let mut life = self.life.lock();
        let Life::Described(what) = mem::replace(&mut *life, Life::Ended) else { return Ok(Started::LoopHasEnded) };
        admit(event_loop, what.events, FileEvents::ALL, &label())?;
        let bad_path = |kind| FileError::BadPath { label: label(), kind };
        if what.path.as_os_str().as_bytes().contains(&0) {
            return Err(bad_path(ErrorKind::InvalidInput));
        }
        let path = absolute(&what.path).map_err(|error| bad_path(error.kind()))?;
        let notices = if self.pace.lock().poll.is_some() {
            None
        } else {
            let Some(notices) = event_loop.notices().map_err(|refusal| reason(refusal, &label()))? else {
                return Ok(Started::LoopHasEnded);
            };
            Some(notices)
        };
        self.pace.lock().bell = Some((Arc::downgrade(event_loop), Arc::downgrade(delivery)));
        let mut tree = Tree::new(what, path, Ground::new(notices, Arc::downgrade(delivery), label()));
        tree.begin();
        match tree.trouble() {
            // Polling makes up for it.
            None | Some(FileError::Silent { .. } | FileError::Denied { .. }) => {}
            Some(error) => return Err(error.clone()),
        }
        self.pace.lock().end(tree.trouble());
        *life = Life::Watching(Box::new(tree));
        Ok(Started::Watching)
    }
}

/// What is left of a look that a panic of the user's predicate ends: everything, after a while.
struct Unfinished<'a>(&'a File);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let mut pace = self.0.pace.lock();
        pace.hints.everything = true;
        pace.ring_at(now(Clock::Monotonic).after(POLL));
    }
}

impl Sealed for File {}

impl Pending for File {
    type Value = FileChanges;

    const TOLD_ONCE: bool = true;

    fn take(&self) -> Option<FileChanges> {
        let mut life = self.life.lock();
        let Life::Watching(tree) = &mut *life else { return None };
        let hints = self.pace.lock().begin()?;
        let unfinished = Unfinished(self);
        tree.look(hints);
        mem::forget(unfinished);
        self.pace.lock().end(tree.trouble());
        tree.take()
    }

    fn ring(&self) {
        let mut pace = self.pace.lock();
        pace.alarm = None;
        pace.hints.everything |= pace.polls();
    }

    fn close(&self) {
        self.pace.lock().close();
        let ended = mem::replace(&mut *self.life.lock(), Life::Ended);
        // The user's predicate is dropped when the lock is free.
        drop(ended);
    }
}

impl Witness for Delivery<File> {
    fn hear(self: Arc<Self>, mark: u64, told: Told, name: Option<&OsStr>) -> Hearing {
        let mut pace = self.pending().pace.lock();
        // Under the lock: before the activation it is held, and what was seen then does not count once it is under way.
        let is_held = self.is_held();
        let (settles, rests) = (!pace.settle.is_zero(), is_held && pace.is_under_way);
        // While it rests nobody looks, however quiet it is: the turn that waits for the resumption looks at the time.
        let waits = settles && !rests;
        let most = patience(is_held, waits || !pace.is_under_way || (!is_held && self.waits_for_quiet()));
        let hearing = pace.hints.add(mark, told, name, most);
        if settles {
            let now = now(Clock::Monotonic);
            pace.told = Some(now);
            let quiet = now.after(pace.settle);
            if waits {
                pace.ring_at(quiet);
            }
        }
        drop(pace);
        if !waits {
            self.knock();
        }
        self.leave();
        hearing
    }

    fn overhear(self: Arc<Self>, mark: u64) -> Hearing {
        // In this order, as in `hear`.
        if self.pending().pace.lock().is_under_way && self.is_held() {
            // What others do must not wake anybody for a source that is suspended: its mark dies.
            self.hear(mark, Told::IGNORED, None)
        } else {
            self.leave();
            Hearing::More
        }
    }

    fn miss(self: Arc<Self>, end: Option<&WatchError>) {
        let mut pace = self.pending().pace.lock();
        pace.hints.everything = true;
        pace.hints.lost = true;
        if let Some(end) = end {
            let label = Arc::clone(self.label());
            pace.deaf = Some(FileError::NotWaitedFor { label, error: end.clone() });
        }
        drop(pace);
        self.knock();
        self.leave();
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").finish_non_exhaustive()
    }
}
