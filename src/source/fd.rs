//! Sources of descriptors that become readable or writable.
//!
//! The event loop only says that a look is worth while. The turn looks at the descriptor itself, so that the handler hears
//! of what is there when it is called, and the watch is armed again when the handler has returned: what it has left is
//! something to be called for again.

mod ioctl;
mod look;

use super::Pending;
use super::Source;
use super::SourceBuilder;
use super::delivery::Delivery;
use super::delivery::Sealed;
use crate::error::WatchError;
use crate::event_loop::Watch;
use crate::event_loop::Watcher;
use crate::queue::Dispatch;
use crate::sync::Arc;
use crate::sync::Mutex;
pub use look::Direction;
pub use look::Input;
use look::Look;
use look::Nature;
use look::Next;
pub use look::Output;
use std::fmt;
use std::marker::PhantomData;
use std::os::fd::AsFd;

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
#[path = "tests/fd.rs"]
mod tests;

/// A descriptor `F` that a source waits for, in the direction `D`: see [`Source::readable`] and [`Source::writable`].
pub struct Descriptor<F, D>(Mutex<Option<Open<F>>>, PhantomData<fn() -> D>);

/// A descriptor that can be read: see [`Source::readable`].
pub type Readable<F> = Descriptor<F, Input>;

/// A descriptor that can be written: see [`Source::writable`].
pub type Writable<F> = Descriptor<F, Output>;

/// A descriptor whose source has not ended.
struct Open<F> {
    /// Nobody but the handlers of the source has another reference, and they go before the cancel handler.
    fd: Arc<F>,
    nature: Nature,
    /// `None` before the activation, and for what is always ready: files, and some devices.
    watch: Option<Watch>,
    next: Next,
    /// What was found last is not to be told twice.
    was_last: bool,
    /// The kernel could not wait for it again.
    is_refused: bool,
}

impl<F> Open<F> {
    /// What the handler is to hear of a look.
    fn tell<D: Direction>(&mut self, look: Look<D>) -> Option<D> {
        self.next = look.next;
        let found = if std::mem::take(&mut self.is_refused) {
            self.next = Next::Rest;
            Some(look.found.unwrap_or_default().failed())
        } else {
            look.found
        };
        let is_last = found.is_some_and(|found| found.is_last());
        let is_known = std::mem::replace(&mut self.was_last, is_last) && is_last;
        found.filter(|_| !is_known)
    }
}

impl<F: AsFd + Send + Sync + 'static, D: Direction> Descriptor<F, D> {
    fn new(fd: F) -> Self {
        let open = Open {
            fd: Arc::new(fd),
            nature: Nature::Other,
            watch: None,
            next: Next::Rest,
            was_last: false,
            is_refused: false,
        };
        Self(Mutex::new(Some(open)), PhantomData)
    }

    /// Does something to the descriptor, unless the source has ended.
    fn with<R>(&self, f: impl FnOnce(&mut Open<F>) -> R) -> Option<R> {
        self.0.lock().as_mut().map(f)
    }

    fn fd(&self) -> Option<Arc<F>> {
        self.with(|open| Arc::clone(&open.fd))
    }

    /// Waits for the first time; false if nothing will ever come.
    fn start(&self, delivery: &Arc<Delivery<Self>>) -> Result<bool, WatchError> {
        let Some(fd) = self.fd() else { return Ok(false) };
        if let Some(refusal) = D::refusal(fd.as_fd(), delivery.label()) {
            return Err(refusal);
        }
        let nature = Nature::of(fd.as_fd());
        let watch = match delivery.engine().watch(fd.as_fd(), D::INTEREST, delivery) {
            // What the kernel cannot wait for, it never lets wait either.
            Err(WatchError::NotPollable { .. }) if nature != Nature::Directory => {
                delivery.knock();
                None
            }
            watch => match watch? {
                Some(watch) => Some(watch),
                None => return Ok(false),
            },
        };
        self.with(|open| (open.nature, open.watch) = (nature, watch));
        Ok(true)
    }
}

impl<F, D> Sealed for Descriptor<F, D> {}

impl<F: AsFd + Send + Sync + 'static, D: Direction> Pending for Descriptor<F, D> {
    type Value = D;

    const LISTENS: bool = true;

    const TOLD_ONCE: bool = true;

    fn take(&self) -> Option<D> {
        let (fd, nature) = self.with(|open| (Arc::clone(&open.fd), open.nature))?;
        // Outside the lock: how to get at a descriptor is the user's.
        let look = D::look(fd.as_fd(), nature);
        self.with(|open| open.tell(look))?
    }

    fn listen(&self) -> bool {
        let listen = |open: &mut Open<F>| match (open.next, &open.watch) {
            (Next::Wait(interest), Some(watch)) => {
                open.is_refused = watch.rearm_for(interest).is_err();
                open.is_refused
            }
            (Next::Wait(_), None) => true,
            (Next::Rest, _) => false,
        };
        self.with(listen).unwrap_or(false)
    }

    fn pause(&self) {
        self.with(|open| open.watch.as_ref().map(Watch::disarm));
    }

    fn close(&self) {
        let open = self.0.lock().take();
        if let Some(Open { fd, watch, .. }) = open {
            drop(watch);
            // This may close the descriptor, which nobody watches any more.
            drop(fd);
        }
    }
}

impl<F: AsFd + Send + Sync + 'static, D: Direction> Watcher for Delivery<Descriptor<F, D>> {
    fn ready(self: Arc<Self>) {
        self.knock();
        self.leave();
    }

    fn label(&self) -> &str {
        Delivery::label(self)
    }
}

impl<F, D> fmt::Debug for Descriptor<F, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Descriptor").finish_non_exhaustive()
    }
}

impl Source {
    /// A source of what comes in at a descriptor: the handler receives about how many bytes can be read, and is called
    /// again while there are any.
    ///
    /// The descriptor can be a socket, a listening one too, a pipe, a terminal, a device, an eventfd and the like, or a
    /// regular file. The source keeps it and lends it to [`on_ready`](SourceBuilder::on_ready); give an `Arc` of it to have
    /// it elsewhere too, or to have sources of both directions. Unless nobody else reads from it, set it not to block: what
    /// a call is told of may be gone when it reads. A type that reads through `&mut` only, as
    /// [`ChildStdout`](std::process::ChildStdout) does, becomes a [`File`](std::fs::File), which does not:
    /// `File::from(OwnedFd::from(stdout))`.
    ///
    /// # What the handler hears of
    ///
    /// A call tells what is there at its beginning, however often bytes have come since the one before. What the
    /// handler leaves unread brings the next call, behind what waits in the queue already. So a handler may read once,
    /// as much as it likes, and return. Nothing is lost: bytes stay in the kernel until they are read, and while the
    /// source is suspended or its handler runs, the kernel wakes nobody for them.
    ///
    /// The end, when everything is read and the other side has closed or shut down its direction, comes as a call for 0
    /// bytes with [`Input::ended`], once. After it the source is quiet. If somebody opens a FIFO or a terminal for writing
    /// again, it goes on. Resuming it from a suspension makes it look again in any case.
    ///
    /// A regular file is always ready: its handler is called with the bytes from the current offset to the end, until
    /// it has read them all. A file that grows afterwards is noticed when the source is resumed. Files whose size the
    /// kernel does not know, as in `/proc`, seem to be at their end. Devices that never block, as `/dev/null` and disks, are
    /// always ready too, and do not say where they end.
    ///
    /// Once the target's runtime is shut down, the source is quiet. This is libdispatch's `DISPATCH_SOURCE_TYPE_READ`.
    ///
    /// # When the descriptor is closed
    ///
    /// It must stay open until nobody waits for it, so the source drops it at its end: after the handlers that may use
    /// it, and before [`on_cancel`](SourceBuilder::on_cancel)'s. To go on with it,
    /// [`on_cancel_with`](SourceBuilder::on_cancel_with) gives it back.
    ///
    /// # Examples
    ///
    /// ```
    /// use concourse::{Event, Queue, Source};
    /// use std::io::{Read, Write};
    /// use std::os::unix::net::UnixStream;
    ///
    /// let queue = Queue::serial("com.example.connection");
    /// let (near, mut far) = UnixStream::pair()?;
    /// let (done, mut text) = (Event::new(), Vec::new());
    /// let tell = done.clone();
    /// let source = Source::readable(&queue, near)
    ///     .on_ready_with(move |source, mut stream, input| {
    ///         let mut bytes = [0; 512];
    ///         match stream.read(&mut bytes) {
    ///             Ok(0) | Err(_) => source.cancel(),
    ///             Ok(count) => text.extend_from_slice(&bytes[..count]),
    ///         }
    ///         if input.is_end() {
    ///             assert_eq!(text, b"hello");
    ///         }
    ///     })
    ///     .on_cancel_with(move |stream| {
    ///         drop(stream);
    ///         tell.set();
    ///     })
    ///     .activate()?;
    /// far.write_all(b"hello")?;
    /// drop(far);
    /// done.wait();
    /// # drop(source);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn readable<F>(target: &impl Dispatch, fd: F) -> SourceBuilder<Readable<F>>
    where
        F: AsFd + Send + Sync + 'static,
    {
        SourceBuilder::new(Descriptor::new(fd), target)
    }

    /// A source of room for what is to be written to a descriptor: the handler receives about how many bytes fit, and is
    /// called again while any do.
    ///
    /// Mostly there is room. So such a source is [suspended](Source::suspend) while there is nothing to write, which its
    /// handler may do itself, and then costs nothing; resuming it makes it look at once.
    ///
    /// If nobody will read any more, because a pipe has no reader or a connection has ended, that comes as one call with
    /// [`Output::closed`], and the source is quiet until it is resumed. A connection of which only the other direction is
    /// shut down is not closed. Connect a socket before the source is activated: one that is not is taken for closed.
    ///
    /// Everything else is as in [`Source::readable`]. This is libdispatch's `DISPATCH_SOURCE_TYPE_WRITE`, which on Linux
    /// reports the bytes that wait to be sent instead.
    ///
    /// # Examples
    ///
    /// ```
    /// use concourse::{Event, Queue, Source};
    /// use std::io::{Read, Write, pipe};
    ///
    /// let queue = Queue::serial("com.example.output");
    /// let (mut reader, writer) = pipe()?;
    /// let mut text = &b"written when there is room"[..];
    /// let source = Source::writable(&queue, writer)
    ///     .on_ready_with(move |source, mut pipe, output| {
    ///         let fits = output.bytes.map_or(1, |bytes| bytes.min(8) as usize).min(text.len());
    ///         match pipe.write(&text[..fits]) {
    ///             Ok(count) => text = &text[count..],
    ///             Err(_) => source.cancel(),
    ///         }
    ///         if text.is_empty() {
    ///             source.cancel();
    ///         }
    ///     })
    ///     .activate()?;
    /// // The source closes the pipe when it has ended.
    /// let mut received = String::new();
    /// reader.read_to_string(&mut received)?;
    /// assert_eq!(received, "written when there is room");
    /// # drop(source);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn writable<F>(target: &impl Dispatch, fd: F) -> SourceBuilder<Writable<F>>
    where
        F: AsFd + Send + Sync + 'static,
    {
        SourceBuilder::new(Descriptor::new(fd), target)
    }
}

impl<F: AsFd + Send + Sync + 'static, D: Direction, P> SourceBuilder<Descriptor<F, D>, P> {
    /// Runs `f` as [`on_event`](Self::on_event) does, and lends it the descriptor.
    pub fn on_ready(self, mut f: impl FnMut(&F, D) + Send + 'static) -> Self {
        match self.descriptor() {
            Some(fd) => self.on_event(move |ready| f(&fd, ready)),
            None => self,
        }
    }

    /// Runs `f` as [`on_event_with`](Self::on_event_with) does, with its own source, and lends it the descriptor too.
    pub fn on_ready_with(self, mut f: impl FnMut(&Source<Descriptor<F, D>>, &F, D) + Send + 'static) -> Self {
        match self.descriptor() {
            Some(fd) => self.on_event_with(move |source, ready| f(source, &fd, ready)),
            None => self,
        }
    }

    /// Runs `f` as [`on_cancel`](Self::on_cancel) does, and gives it the descriptor, which nobody waits for any more.
    pub fn on_cancel_with(self, f: impl FnOnce(F) + Send + 'static) -> Self {
        match self.descriptor() {
            // The source and its other handlers have let go of theirs when this is called.
            Some(fd) => self.on_cancel(move || _ = Arc::into_inner(fd).map(f)),
            None => self,
        }
    }

    fn descriptor(&self) -> Option<Arc<F>> {
        self.source.handle.delivery().pending().fd()
    }

    /// Starts to wait for the descriptor: what it is ready for already is delivered after the registration handler.
    ///
    /// If the target's runtime has been shut down, the source has ended when this returns.
    ///
    /// # Errors
    ///
    /// [`WatchError`] if the descriptor is not open, is open for the other direction only, or is of a kind that the kernel
    /// cannot wait for, a directory for instance; if the kernel refuses what the event loop needs, in a forked child, and in a simulation. The handlers and
    /// the descriptor are dropped then.
    pub fn activate(mut self) -> Result<Source<Descriptor<F, D>>, WatchError> {
        let delivery = self.source.handle.delivery();
        delivery.name(self.label.take());
        let is_waiting = delivery.pending().start(delivery)?;
        let source = self.start();
        if !is_waiting {
            source.handle.delivery().end();
        }
        Ok(source)
    }
}
