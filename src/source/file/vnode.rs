//! Sources of what happens to an open file, whatever it is called: see [`Source::vnode`].

use super::POLL;
use super::Started;
use super::events::FileEvents;
use super::ground::admit;
use super::ground::reason;
use super::hints::ITSELF;
use super::hints::patience;
use super::stamp::CAME;
use super::stamp::Heard;
use super::stamp::LEFT;
use super::stamp::Stamp;
use crate::error::FileError;
use crate::error::WatchError;
use crate::event_loop::EventLoop;
use crate::event_loop::Hearing;
use crate::event_loop::Mark;
use crate::event_loop::Notices;
use crate::event_loop::Scope;
use crate::event_loop::TimerKey;
use crate::event_loop::Told;
use crate::event_loop::Witness;
use crate::event_loop::path_of;
use crate::queue::Dispatch;
use crate::source::Source;
use crate::source::SourceBuilder;
use crate::source::delivery::Delivery;
use crate::source::delivery::Pending;
use crate::source::delivery::Sealed;
use crate::sync::Arc;
use crate::sync::Mutex;
use crate::sync::Weak;
use crate::time::Clock;
use crate::time::now;
use std::ffi::OsStr;
use std::fmt;
use std::mem;
use std::os::fd::AsFd;
use std::path::PathBuf;

/// What happens to an open file: see [`Source::vnode`].
pub struct Vnode {
    told: Mutex<SinceTurn>,
    life: Mutex<Life>,
}

/// What was told since the last turn.
#[derive(Default)]
struct SinceTurn {
    heard: Heard,
    notices: u32,
    /// The mark is dead, or notices were lost.
    missed: bool,
    /// Notices were lost.
    lost: bool,
    /// The registration handler has run: see [`Pace`](super::Pace).
    is_under_way: bool,
}

/// How far a source has come.
enum Life {
    /// It is not active yet.
    Described(OpenFile),
    Watching(Box<Watched>),
    /// The source has ended.
    Ended,
}

/// The descriptor, and what is asked of it.
struct OpenFile {
    fd: Box<dyn AsFd + Send + Sync>,
    events: FileEvents,
}

/// An open file, as it was seen last.
struct Watched {
    file: OpenFile,
    stamp: Option<Stamp>,
    /// Where it was, for when it is moved while nobody listens.
    path: Option<PathBuf>,
    mark: Option<Mark>,
    notices: Arc<Notices>,
    witness: Weak<Delivery<Vnode>>,
    event_loop: Weak<EventLoop>,
    /// While there is no mark: when it is looked at again.
    alarm: Option<TimerKey>,
}

impl Watched {
    /// Makes another mark, as the one before is dead. If the user's watches are used up, or memory is, the file is looked at
    /// now and then, until there is room for a mark.
    fn mark(&mut self) {
        self.silence();
        self.mark = self.notices.mark(self.file.fd.as_fd(), Scope::Contents, &self.witness, ITSELF, None).ok();
        if self.mark.is_none()
            && let Some((event_loop, sink)) = self.event_loop.upgrade().zip(self.witness.upgrade())
        {
            let at = now(Clock::Monotonic).after(POLL);
            self.alarm = event_loop.arm(Clock::Monotonic, at, POLL, sink, None).ok();
        }
    }

    /// Takes the alarm back.
    fn silence(&mut self) {
        if let Some((event_loop, alarm)) = self.event_loop.upgrade().zip(self.alarm.take()) {
            drop(event_loop.cancel(alarm));
        }
    }

    /// What has happened since it was seen last.
    fn look(&mut self, told: &SinceTurn) -> FileEvents {
        if told.missed {
            self.mark();
        }
        let fd = self.file.fd.as_fd();
        let (path, stamp) = (path_of(fd), Stamp::of_open(fd).ok());
        let Some((before, now)) = self.stamp.zip(stamp) else { return FileEvents::NONE };
        let unlinked = now.is_unlinked();
        let moved = told.heard.has(Told::MOVE_SELF) || told.missed && !unlinked && path != self.path;
        let events = before.difference(&now, told.heard.partial(told.missed))
            | FileEvents::DELETE.when(unlinked && !before.is_unlinked())
            | FileEvents::RENAME.when(moved);
        (self.stamp, self.path) = (stamp, path);
        events & self.file.events
    }
}

impl Vnode {
    /// Marks and sees the file for the first time.
    fn start(
        &self,
        event_loop: &Arc<EventLoop>,
        delivery: &Arc<Delivery<Self>>,
        label: &Arc<str>,
    ) -> Result<Started, FileError> {
        let label = || Arc::clone(label);
        let mut life = self.life.lock();
        let Life::Described(file) = mem::replace(&mut *life, Life::Ended) else { return Ok(Started::LoopHasEnded) };
        admit(event_loop, file.events, FileEvents::ALL - FileEvents::CREATE, &label())?;
        let refused = |refusal| reason(refusal, &label());
        let Some(notices) = event_loop.notices().map_err(refused)? else { return Ok(Started::LoopHasEnded) };
        let witness = Arc::downgrade(delivery);
        let mark = notices.mark(file.fd.as_fd(), Scope::Contents, &witness, ITSELF, None);
        let mark = Some(mark.map_err(refused)?);
        let (stamp, path) = (Stamp::of_open(file.fd.as_fd()).ok(), path_of(file.fd.as_fd()));
        let (event_loop, alarm) = (Arc::downgrade(event_loop), None);
        *life = Life::Watching(Box::new(Watched { file, stamp, path, mark, notices, witness, event_loop, alarm }));
        Ok(Started::Watching)
    }
}

impl Sealed for Vnode {}

impl Pending for Vnode {
    type Value = FileEvents;

    const TOLD_ONCE: bool = true;

    fn take(&self) -> Option<FileEvents> {
        let mut life = self.life.lock();
        let Life::Watching(watched) = &mut *life else { return None };
        let told = mem::replace(&mut *self.told.lock(), SinceTurn { is_under_way: true, ..SinceTurn::default() });
        let events = watched.look(&told);
        (!events.is_empty()).then(|| events | FileEvents::RESYNCED.when(told.lost))
    }

    fn ring(&self) {
        self.told.lock().missed = true;
    }

    fn close(&self) {
        let mut ended = mem::replace(&mut *self.life.lock(), Life::Ended);
        if let Life::Watching(watched) = &mut ended {
            watched.silence();
        }
        // The user's descriptor is dropped when the lock is free.
        drop(ended);
    }
}

impl Witness for Delivery<Vnode> {
    fn hear(self: Arc<Self>, _: u64, told: Told, name: Option<&OsStr>) -> Hearing {
        let mut since_turn = self.pending().told.lock();
        // Under the lock, as a file source does.
        let is_held = self.is_held();
        since_turn.notices = since_turn.notices.saturating_add(1);
        let most = patience(is_held, !since_turn.is_under_way || (!is_held && self.waits_for_quiet()));
        let is_enough = since_turn.notices >= most || told.contains(Told::IGNORED);
        since_turn.missed |= is_enough;
        match name {
            None => since_turn.heard.add(told),
            // An entry of a directory came or went, which changes the directory.
            Some(_) if told.intersects(CAME | LEFT) => since_turn.heard.add(Told::MODIFY),
            Some(_) => {}
        }
        drop(since_turn);
        self.knock();
        self.leave();
        if is_enough { Hearing::Enough } else { Hearing::More }
    }

    fn overhear(self: Arc<Self>, _: u64) -> Hearing {
        // It asks for everything there is.
        self.leave();
        Hearing::More
    }

    fn miss(self: Arc<Self>, _: Option<&WatchError>) {
        let mut since_turn = self.pending().told.lock();
        since_turn.missed = true;
        since_turn.lost = true;
        drop(since_turn);
        self.knock();
        self.leave();
    }
}

impl fmt::Debug for Vnode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vnode").finish_non_exhaustive()
    }
}

impl Source {
    /// A source of what happens to an open file or directory, whatever it is called by now: the handler receives the
    /// events since its last call.
    ///
    /// It follows the file, as libdispatch's `DISPATCH_SOURCE_TYPE_VNODE` does: after a rename it is told of the file under
    /// its new name, and of what is put in its old place it hears nothing. To watch a path, use [`file`](Source::file).
    /// `DELETE` is told when the last of its names is removed, though the descriptor keeps the file itself; `WRITE` of a
    /// directory, when an entry comes or goes. `CREATE` never happens.
    ///
    /// The source keeps the descriptor until it has ended, so that it cannot become another file's: give it a clone, or an
    /// `Arc` of the file.
    ///
    /// Events that come before the handler is called are one set. While the source is suspended, what leaves no trace is
    /// not told, such as a second rename that undoes the first.
    ///
    /// # Examples
    ///
    /// ```
    /// use concourse::source::FileEvents;
    /// use concourse::{Event, Queue, Source};
    /// use std::fs::{self, File};
    ///
    /// let path = std::env::temp_dir().join(format!("concourse-doc-vnode-{}", std::process::id()));
    /// let (queue, renamed) = (Queue::serial("com.example.follow"), Event::new());
    /// let tell = renamed.clone();
    /// let source = Source::vnode(&queue, File::create(&path)?, FileEvents::RENAME)
    ///     .on_event(move |events| {
    ///         assert_eq!(events, FileEvents::RENAME);
    ///         tell.set();
    ///     })
    ///     .activate()?;
    /// fs::rename(&path, path.with_extension("old"))?;
    /// renamed.wait();
    /// # drop(source);
    /// # fs::remove_file(path.with_extension("old"))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn vnode(
        target: &impl Dispatch,
        fd: impl AsFd + Send + Sync + 'static,
        events: FileEvents,
    ) -> SourceBuilder<Vnode> {
        let life = Life::Described(OpenFile { fd: Box::new(fd), events });
        SourceBuilder::new(Vnode { told: Mutex::default(), life: Mutex::new(life) }, target)
    }
}

impl<P> SourceBuilder<Vnode, P> {
    /// Starts the source: whatever happens from now on is delivered after the registration handler.
    ///
    /// If the target's runtime has been shut down, the source has ended when this returns.
    ///
    /// # Errors
    ///
    /// As those of a [path](SourceBuilder::<super::File>::activate). The handlers and the descriptor are dropped then.
    pub fn activate(self) -> Result<Source<Vnode>, FileError> {
        self.start_on_loop(Vnode::start, |vnode| vnode.told.lock().is_under_way = true)
    }
}
