//! Sources of processes that end: see [`Source::process`] and [`Source::child`].
//!
//! The system has a descriptor for a process, which becomes readable when the process has ended. A number of a process is
//! used once, to open that descriptor, and a number that the system gives to another process later confuses nobody.
//!
//! ```text
//! name ── pidfd ── event loop ── ready: look, reap if it is a child of ours, knock ── turn: take ── handler
//! ```
//!
//! The event loop's thread looks how the process has ended, and not the turn: whoever else waits for the process takes what
//! there is to see with it, and the turn may come late. For a child that is ours there is nobody else, so it is reaped
//! there too, and leaves no zombie while its source waits for a handler.
//!
//! # The races it fears
//!
//! - *The process has ended before it is named*, and nobody has waited for it: its descriptor is readable from the start.
//! - *It ends between its naming and the activation*: likewise.
//! - *A child is taken back while it ends.* Both happen under the lock: either the child comes back with its status noted
//!   in it, and the end is delivered too, or it comes back as it was given, and whoever has it waits for it.
//! - *A debugger has the process.* Its descriptor is ready from its end on, but it can be waited for only when the debugger
//!   has seen the end. Until then the source looks now and then: to watch it again would be to be told again, at once.
//! - *A child is killed while it is reaped.* It is killed through its descriptor, which names nobody else afterwards.
//! - *The event loop is left with the last reference.* Dropping it may drop the target queue, which is for the pool to do.

mod child;
mod exit;

pub use child::ChildProcess;
pub use exit::CpuTimes;
pub use exit::Exit;

use super::Source;
use super::SourceBuilder;
use super::delivery::Delivery;
use super::delivery::Pending;
use super::delivery::Sealed;
use crate::error::ProcessError;
use crate::event_loop::Interest;
use crate::event_loop::Sink;
use crate::event_loop::Watch;
use crate::event_loop::Watcher;
use crate::job::Job;
use crate::queue::Dispatch;
use crate::sync::Arc;
use crate::sync::Mutex;
use crate::time::Clock;
use crate::time::Nanos;
use crate::time::now;
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::process::PidfdFlags;
use rustix::process::pidfd_open;
use std::fmt;
use std::mem;
use std::ops::BitOr;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::process::Child;
use std::time::Duration;

/// How long to wait for a debugger before looking again.
const PATIENCE: Duration = Duration::from_millis(10);

/// What there may be to hear of a process. They are libdispatch's `DISPATCH_PROC_*`, and only [`EXIT`](Self::EXIT) is
/// supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProcessEvents(u8);

impl ProcessEvents {
    /// It has ended.
    pub const EXIT: Self = Self(1);
    /// It has made a child. Unsupported: the system tells nobody but a debugger.
    pub const FORK: Self = Self(1 << 1);
    /// It has become another program. Unsupported, as [`FORK`](Self::FORK) is.
    pub const EXEC: Self = Self(1 << 2);
    /// It was sent a signal. Unsupported, as [`FORK`](Self::FORK) is.
    pub const SIGNAL: Self = Self(1 << 3);
}

impl BitOr for ProcessEvents {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The end of a process: see [`Source::process`].
pub struct Process(Mutex<Life>);

struct Life {
    pid: u32,
    stage: Stage,
    /// If it is for this source to reap it.
    child: Option<Child>,
}

/// How far a process has come, and its source.
enum Stage {
    /// The source is not active yet.
    Named(Result<OwnedFd, ProcessError>),
    /// In this order, as a descriptor outlives its watch.
    Watched { _watch: Watch, pidfd: OwnedFd },
    /// No turn has taken it yet.
    Ended(Exit),
    /// The end was taken, or will never be.
    Over,
}

/// A kind of source of a process's end.
pub(crate) trait Subject: Pending {
    fn process(&self) -> &Process;
}

/// What there is to see of a process.
enum Look {
    Ended,
    /// It has ended, but a debugger is to see that first.
    NotYet,
    /// Nobody has to look any more.
    Over,
}

impl Process {
    /// The process that has this number now.
    fn named(pid: u32, pidfd: Result<OwnedFd, ProcessError>, child: Option<Child>) -> Self {
        Self(Mutex::new(Life { pid, stage: Stage::Named(pidfd), child }))
    }

    /// Has the event loop wait for the end. False if there is no event loop any more.
    fn start<K: Subject>(&self, delivery: &Arc<Delivery<K>>) -> Result<bool, ProcessError> {
        let mut life = self.0.lock();
        let Stage::Named(pidfd) = mem::replace(&mut life.stage, Stage::Over) else { return Ok(true) };
        let pidfd = pidfd?;
        // If it is ready at once, the event loop waits for the lock.
        let watch = delivery.engine().watch(pidfd.as_fd(), Interest::Readable, delivery)?;
        let is_watched = watch.is_some();
        if let Some(watch) = watch {
            life.stage = Stage::Watched { _watch: watch, pidfd };
        }
        Ok(is_watched)
    }

    /// Looks at a process whose descriptor is ready.
    fn look(&self) -> Look {
        let mut life = self.0.lock();
        let Stage::Watched { pidfd, .. } = &life.stage else { return Look::Over };
        let Some(exit) = Exit::look(life.pid, pidfd.as_fd()) else { return Look::NotYet };
        // Without a status there is nothing to reap, and the number may be somebody else's.
        if let Some(child) = life.child.as_mut().filter(|_| exit.status.is_some()) {
            // It is there to be reaped, as was just seen, and the child takes note of its status. If somebody else was faster
            // there is nothing left to do.
            let _ = child.try_wait();
        }
        life.stage = Stage::Ended(exit);
        Look::Ended
    }

    fn take(&self) -> Option<Exit> {
        let mut life = self.0.lock();
        if let Stage::Ended(exit) = life.stage {
            life.stage = Stage::Over;
            return Some(exit);
        }
        None
    }

    fn close(&self) {
        self.0.lock().stage = Stage::Over;
    }
}

impl<K: Subject> Delivery<K> {
    /// Looks at the process, and again after a while if that is too early. The descriptor says nothing new until then.
    fn look(self: Arc<Self>) {
        match self.pending().process().look() {
            Look::Ended => _ = self.knock(),
            Look::NotYet => {
                if let Some(event_loop) = self.engine().running_event_loop() {
                    let at = now(Clock::Monotonic).after(PATIENCE);
                    let sink = Arc::new(Again(Arc::clone(&self)));
                    // An event loop that refuses has ended with its runtime: nobody is told any more.
                    let _ = event_loop.arm(Clock::Monotonic, at, PATIENCE, sink, None);
                }
            }
            Look::Over => {}
        }
        self.leave();
    }
}

impl<K: Subject> Watcher for Delivery<K> {
    fn ready(self: Arc<Self>) {
        self.look();
    }

    fn label(&self) -> &str {
        Delivery::label(self)
    }
}

/// A source that looks at its process again when the time has come.
struct Again<K: Subject>(Arc<Delivery<K>>);

impl<K: Subject> Sink for Again<K> {
    fn fire(self: Arc<Self>, _: Option<Job>, _: Nanos) {
        // Nobody else has a reference: it was armed with the only one.
        if let Some(Self(delivery)) = Arc::into_inner(self) {
            delivery.look();
        }
    }

    fn label(&self) -> &str {
        Delivery::label(&self.0)
    }
}

/// Opens a descriptor of the process that has this number.
fn open(pid: u32) -> Result<OwnedFd, ProcessError> {
    let named = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(ProcessError::NoSuchProcess { pid })?;
    pidfd_open(named, PidfdFlags::empty()).map_err(|error| {
        let errno = error.raw_os_error();
        match error {
            // For the number of a thread that is no process, kernels disagree between the last two.
            Errno::SRCH | Errno::INVAL | Errno::NOENT => ProcessError::NoSuchProcess { pid },
            Errno::MFILE | Errno::NFILE => ProcessError::NoDescriptor { pid, errno },
            Errno::NOSYS => ProcessError::Unsupported { errno },
            _ => ProcessError::Refused { pid, errno },
        }
    })
}

impl Sealed for Process {}

impl Pending for Process {
    type Value = Exit;

    const TOLD_ONCE: bool = true;

    fn take(&self) -> Option<Exit> {
        self.take()
    }

    fn close(&self) {
        self.close();
    }
}

impl Subject for Process {
    fn process(&self) -> &Process {
        self
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("pid", &self.0.lock().pid).finish_non_exhaustive()
    }
}

impl Source {
    /// A source of a process's end: the handler receives the [`Exit`], once, when the process has ended.
    ///
    /// The process may be any that this one can see, whoever its parent is. It is only observed: a child's status is looked
    /// at and left for whoever waits for the child, so that there is a zombie until somebody does. For a child of which
    /// nobody else takes care, use [`Source::child`]. No signal handler is involved, and `SIGCHLD` stays as it is.
    ///
    /// `pid` is looked up by this call, and from then on the source is about that process, whatever the number stands for
    /// later. A process that has ended already is delivered if nobody has waited for it yet. The end is kept while the source or
    /// its target is suspended, and is lost only with the source. Any number of sources may observe one process.
    ///
    /// Of `events` only [`ProcessEvents::EXIT`] is supported. This is libdispatch's `DISPATCH_SOURCE_TYPE_PROC`, which takes a
    /// process that does not exist for one that has ended.
    ///
    /// # Examples
    ///
    /// ```
    /// use concourse::source::ProcessEvents;
    /// use concourse::{Event, Queue, Source};
    /// use std::process::Command;
    ///
    /// let queue = Queue::serial("com.example.helpers");
    /// let ended = Event::new();
    /// let tell = ended.clone();
    /// let mut child = Command::new("false").spawn()?;
    /// let helper = Source::process(&queue, child.id(), ProcessEvents::EXIT)
    ///     .on_event(move |exit| {
    ///         assert_eq!(exit.status.and_then(|status| status.code()), Some(1));
    ///         tell.set();
    ///     })
    ///     .activate()?;
    /// ended.wait();
    /// // It was only observed: whoever has the child still waits for it.
    /// assert_eq!(child.wait()?.code(), Some(1));
    /// # drop(helper);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn process(target: &impl Dispatch, pid: u32, events: ProcessEvents) -> SourceBuilder<Process> {
        let pidfd = if events == ProcessEvents::EXIT { open(pid) } else { Err(ProcessError::UnsupportedEvents) };
        SourceBuilder::new(Process::named(pid, pidfd, None), target)
    }
}

impl<P> SourceBuilder<Process, P> {
    /// Starts the source: the end of the process is delivered after the registration handler.
    ///
    /// If the target's runtime has been shut down, the source has ended when this returns.
    ///
    /// # Errors
    ///
    /// [`ProcessError::NoSuchProcess`] if no process had the number when the source was described,
    /// [`ProcessError::UnsupportedEvents`] for anything but [`ProcessEvents::EXIT`], and others if the kernel refuses what it
    /// takes; in a forked child and in a simulation [`ProcessError::NotWatched`] says so. The handlers are dropped then.
    pub fn activate(mut self) -> Result<Source<Process>, ProcessError> {
        let delivery = self.source.handle.delivery();
        delivery.name(self.label.take());
        let is_watched = delivery.pending().start(delivery)?;
        let source = self.start();
        if !is_watched {
            source.handle.delivery().end();
        }
        Ok(source)
    }
}
