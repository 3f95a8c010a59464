//! Children that their source reaps.

use super::Exit;
use super::Process;
use super::Stage;
use super::Subject;
use super::open;
use crate::error::ProcessError;
use crate::error::RefusedChild;
use crate::queue::Dispatch;
use crate::source::Handle;
use crate::source::Source;
use crate::source::SourceBuilder;
use crate::source::delivery::Pending;
use crate::source::delivery::Sealed;
use rustix::io::Errno;
use rustix::process::Signal;
use rustix::process::pidfd_send_signal;
use std::fmt;
use std::os::fd::OwnedFd;
use std::process::Child;

/// The end of a child that the source reaps: see [`Source::child`].
pub struct ChildProcess(Process);

impl ChildProcess {
    fn take_child(&self) -> Option<Child> {
        let mut life = self.0.0.lock();
        let child = life.child.take()?;
        // An end that was seen is still delivered; one that was not is for the caller to see.
        if !matches!(life.stage, Stage::Ended(_)) {
            life.stage = Stage::Over;
        }
        Some(child)
    }

    fn kill(&self) -> Result<(), ProcessError> {
        let life = self.0.0.lock();
        let (pid, pidfd) = (life.pid, life.stage.pidfd());
        match pidfd.map_or(Ok(()), |pidfd| pidfd_send_signal(pidfd, Signal::KILL)) {
            // One that has ended, and was waited for, is as dead as it can be.
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(Errno::PERM) => Err(ProcessError::NotPermitted { pid }),
            Err(error) => Err(ProcessError::Refused { pid, errno: error.raw_os_error() }),
        }
    }
}

impl Stage {
    /// The descriptor, as long as the process is not known to have ended.
    fn pidfd(&self) -> Option<&OwnedFd> {
        match self {
            Self::Named(pidfd) => pidfd.as_ref().ok(),
            Self::Watched { pidfd, .. } => Some(pidfd),
            Self::Ended(_) | Self::Over => None,
        }
    }
}

impl Sealed for ChildProcess {}

impl Pending for ChildProcess {
    type Value = Exit;

    const TOLD_ONCE: bool = true;

    fn take(&self) -> Option<Exit> {
        self.0.take()
    }

    fn close(&self) {
        self.0.close();
    }
}

impl Subject for ChildProcess {
    fn process(&self) -> &Process {
        &self.0
    }
}

impl fmt::Debug for ChildProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildProcess").field("pid", &self.0.0.lock().pid).finish_non_exhaustive()
    }
}

impl Source {
    /// A source that waits for a child: the handler receives the [`Exit`], once, when the child has ended and was reaped.
    ///
    /// The source has the child from here on and waits for it, exactly once and for no other; a child of which nobody else
    /// takes care leaves no zombie. No signal handler is involved, `SIGCHLD` stays as it is, and whoever waits for other
    /// children is not disturbed. The end is kept while the source or its target is suspended.
    ///
    /// Take what you need of `stdin`, `stdout` and `stderr` out of the child before: the source does not touch them. A child
    /// that reads to the end of a pipe, or fills one that nobody empties, does not end.
    ///
    /// The child is never lost. [`take_child`](Source::take_child) gives it back at any time, also from the cancel handler,
    /// by way of a [`Handle`]. After its end it gives the child's status and what is left in its pipes as if its owner had
    /// waited for it. A child that is still running when its source is dropped, or cancelled and nobody takes it back, goes
    /// on running, as any [`Child`] that is dropped does, and becomes a zombie when it ends.
    ///
    /// libdispatch has no such source.
    ///
    /// # Examples
    ///
    /// ```
    /// use concourse::{Event, Queue, Source};
    /// use std::process::{Command, Stdio};
    ///
    /// let queue = Queue::serial("com.example.helpers");
    /// let ended = Event::new();
    /// let tell = ended.clone();
    /// let child = Command::new("echo").arg("hello").stdout(Stdio::piped()).spawn()?;
    /// let helper = Source::child(&queue, child)
    ///     .on_event_with(move |helper, exit| {
    ///         assert!(exit.status.is_some_and(|status| status.success()));
    ///         let output = helper.take_child().map(|child| child.wait_with_output());
    ///         assert!(output.is_some_and(|output| output.is_ok_and(|output| output.stdout == b"hello\n")));
    ///         tell.set();
    ///     })
    ///     .activate()?;
    /// ended.wait();
    /// # drop(helper);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn child(target: &impl Dispatch, child: Child) -> SourceBuilder<ChildProcess> {
        let pid = child.id();
        SourceBuilder::new(ChildProcess(Process::named(pid, open(pid), Some(child))), target)
    }
}

impl<P> SourceBuilder<ChildProcess, P> {
    /// Starts the source: the end of the child is delivered after the registration handler.
    ///
    /// If the target's runtime has been shut down, the source has ended when this returns, and
    /// [`take_child`](Source::take_child) gives the child back.
    ///
    /// # Errors
    ///
    /// [`RefusedChild`], with the child and the reason, as for [`Source::process`]: [`ProcessError::NoSuchProcess`] says that
    /// somebody has waited for the child already. The handlers are dropped then.
    pub fn activate(mut self) -> Result<Source<ChildProcess>, RefusedChild> {
        let delivery = self.source.handle.delivery();
        delivery.name(self.label.take());
        let is_watched = match delivery.pending().0.start(delivery) {
            Ok(is_watched) => is_watched,
            Err(error) => match delivery.pending().take_child() {
                Some(child) => return Err(RefusedChild { child, error }),
                // A handle has taken it back: there is nothing to refuse.
                None => false,
            },
        };
        let source = self.start();
        if !is_watched {
            source.handle.delivery().end();
        }
        Ok(source)
    }
}

impl Source<ChildProcess> {
    /// Takes the child back. `None` if it was taken before.
    ///
    /// Before its end was seen, it comes back as it was given, its end is for the caller to wait for, and the source delivers
    /// nothing. Afterwards it comes back with its status noted in it, and the end is delivered all the same.
    pub fn take_child(&self) -> Option<Child> {
        self.handle.take_child()
    }

    /// Has the child end at once, as [`Child::kill`] does; its end is delivered as any other is.
    ///
    /// Can never meet another process. Has no effect if the child has ended or was taken back.
    ///
    /// # Errors
    ///
    /// [`ProcessError::NotPermitted`] if the child runs for a user that this process may not signal.
    pub fn kill(&self) -> Result<(), ProcessError> {
        self.handle.delivery().pending().kill()
    }
}

impl Handle<ChildProcess> {
    /// Takes the child back, as [`Source::take_child`] does.
    pub fn take_child(&self) -> Option<Child> {
        self.delivery().pending().take_child()
    }
}
