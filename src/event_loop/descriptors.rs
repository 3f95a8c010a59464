//! The descriptors that the loop waits for: who watches which of them, and for what.
//!
//! # One registration per descriptor
//!
//! The kernel takes each descriptor once, so a table combines its watches: what it is registered for is what its armed
//! watches are interested in, and while none is armed it is not registered at all. An event disarms the watches that it
//! is told to, so every arming costs one wake-up at most, and a descriptor whose watchers are busy or suspended costs
//! none, whatever happens to it.
//!
//! The kernel tells of edges. Registering a descriptor, and changing its registration, makes an edge of what it is ready
//! for already, so arming a watch never waits for something that has come before.
//!
//! # Generations
//!
//! The number of a descriptor that was closed is soon the number of another one. So the registrations are named by
//! tokens, and no token is given twice: an event that was under way when the last watch of a descriptor went finds
//! nothing under its token, whatever the number stands for by then.
//!
//! # What is told late
//!
//! A watcher may be told once more just after its watch is gone or was armed again: the loop thread has let go of the
//! lock before it tells. So being told is a hint to look, and a watcher looks at the descriptor itself.

#![cfg_attr(not(feature = "io"), allow(dead_code, reason = "the sources that need all of it are left out"))]

use crate::error::WatchError;
use crate::job::contain;
use crate::sync::Arc;
use crate::sync::Mutex;
use crate::sync::Weak;
use crate::sync::is_child;
use mio::Registry;
use mio::Token;
use mio::event::Event;
use mio::unix::SourceFd;
use rustix::io::Errno;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::RawFd;

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
#[path = "tests/descriptors.rs"]
mod tests;

/// Who is told that a descriptor is ready.
pub(crate) trait Watcher: Send + Sync + 'static {
    /// What was watched for has come, or an error or a hang-up has.
    ///
    /// Called on the loop thread, outside all locks, once for each arming at most. It must not block and must not run
    /// user code; dropping the last reference to something of the user's runs user code.
    fn ready(self: Arc<Self>);

    /// The label of the source behind the watcher, for errors.
    fn label(&self) -> &str;
}

/// What a watch waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "io"), allow(unreachable_pub, reason = "it is part of a sealed trait of that feature"))]
pub enum Interest {
    Readable,
    /// As `Readable`, but not that nobody is there to write any more.
    Input,
    Writable,
    /// Out-of-band data, or what a kind of descriptor tells in its place.
    #[allow(dead_code, reason = "sources of memory pressure wait for it")]
    Priority,
}

impl Interest {
    fn of_kernel(self) -> mio::Interest {
        match self {
            Self::Readable | Self::Input => mio::Interest::READABLE,
            Self::Writable => mio::Interest::WRITABLE,
            Self::Priority => mio::Interest::PRIORITY,
        }
    }

    /// The kernel tells of errors and hang-ups whatever it was asked for.
    fn is_met_by(self, event: &Event) -> bool {
        match self {
            Self::Readable => event.is_readable() || event.is_read_closed() || event.is_error(),
            Self::Input => event.is_readable(),
            Self::Writable => event.is_writable() || event.is_write_closed() || event.is_error(),
            Self::Priority => event.is_priority() || event.is_read_closed() || event.is_error(),
        }
    }
}

/// The table of what is watched.
pub(super) struct Descriptors(Mutex<Table>);

struct Table {
    /// `None` once the loop has ended, and in virtual time.
    registry: Option<Registry>,
    /// What the next registration or watch is called.
    next: usize,
    tokens: HashMap<RawFd, Token>,
    descriptors: HashMap<Token, Descriptor>,
}

struct Descriptor {
    fd: RawFd,
    /// What the kernel watches for: what the armed watches are interested in, together.
    registered: Option<mio::Interest>,
    watches: Vec<Watching>,
}

struct Watching {
    key: usize,
    interest: Interest,
    watcher: Weak<dyn Watcher>,
    is_armed: bool,
}

impl Descriptor {
    /// Has the kernel watch for what is armed, beginning with what has come already.
    fn settle(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let armed = self.watches.iter().filter(|watching| watching.is_armed);
        let wanted = armed.map(|watching| watching.interest.of_kernel()).reduce(|some, more| some | more);
        let mut source = SourceFd(&self.fd);
        // A change that fails leaves nothing registered: the descriptor was closed before its watches were gone.
        match (self.registered.take(), wanted) {
            (None, None) => {}
            (None, Some(interest)) => registry.register(&mut source, token, interest)?,
            (Some(_), Some(interest)) => registry.reregister(&mut source, token, interest)?,
            (Some(_), None) => registry.deregister(&mut source)?,
        }
        self.registered = wanted;
        Ok(())
    }
}

impl Table {
    /// Has the kernel watch for what is armed after `change` to a watch. Nothing happens if the loop has ended.
    fn change(&mut self, token: Token, key: usize, change: impl FnOnce(&mut Watching)) -> io::Result<()> {
        let Some((registry, descriptor)) = self.registry.as_ref().zip(self.descriptors.get_mut(&token)) else {
            return Ok(());
        };
        let Some(place) = descriptor.watches.iter().position(|watching| watching.key == key) else { return Ok(()) };
        change(&mut descriptor.watches[place]);
        let settled = descriptor.settle(registry, token);
        if settled.is_err() {
            descriptor.watches[place].is_armed = false;
        }
        settled
    }

    /// Removes a watch, and with the last one its descriptor.
    fn remove(&mut self, token: Token, key: usize) {
        let Some((registry, descriptor)) = self.registry.as_ref().zip(self.descriptors.get_mut(&token)) else { return };
        descriptor.watches.retain(|watching| watching.key != key);
        // It fails only for a descriptor that was closed, which the kernel has forgotten by itself.
        let _ = descriptor.settle(registry, token);
        if descriptor.watches.is_empty() {
            self.tokens.remove(&descriptor.fd);
            self.descriptors.remove(&token);
        }
    }

    /// A name that was never given before.
    fn name(&mut self) -> usize {
        self.next += 1;
        self.next - 1
    }
}

impl Descriptors {
    /// An empty table, whose tokens begin with `first`.
    pub(super) fn new(registry: Option<Registry>, first: usize) -> Arc<Self> {
        let table = Table { registry, next: first, tokens: HashMap::new(), descriptors: HashMap::new() };
        Arc::new(Self(Mutex::new(table)))
    }

    /// See [`EventLoop::watch`](super::EventLoop::watch).
    pub(super) fn watch<W: Watcher>(
        this: &Arc<Self>,
        fd: BorrowedFd<'_>,
        interest: Interest,
        watcher: &Arc<W>,
    ) -> Result<Option<Watch>, WatchError> {
        if is_child() {
            // The child shares the parent's registrations: what it changes is changed there.
            return Err(WatchError::Forked { label: watcher.label().into() });
        }
        let mut table = this.0.lock();
        if table.registry.is_none() {
            return Ok(None);
        }
        let (fd, key) = (fd.as_raw_fd(), table.name());
        let token = table.tokens.get(&fd).copied().unwrap_or(Token(key));
        table.tokens.insert(fd, token);
        let descriptor =
            table.descriptors.entry(token).or_insert(Descriptor { fd, registered: None, watches: Vec::new() });
        let watcher_of_table: Weak<W> = Arc::downgrade(watcher);
        descriptor.watches.push(Watching { key, interest, watcher: watcher_of_table, is_armed: true });
        if let Err(error) = table.change(token, key, |_| ()) {
            table.remove(token, key);
            return Err(refused(&error, watcher.label()));
        }
        Ok(Some(Watch { descriptors: Arc::clone(this), token, key }))
    }

    /// Tells those who wait for this event, and disarms them. Only the loop thread calls it.
    pub(super) fn deliver(&self, event: &Event, ready: &mut Vec<Arc<dyn Watcher>>) {
        let mut table = self.0.lock();
        let Table { registry: Some(registry), descriptors, .. } = &mut *table else { return };
        let token = event.token();
        let Some(descriptor) = descriptors.get_mut(&token) else { return };
        let met = |watching: &&mut Watching| watching.is_armed && watching.interest.is_met_by(event);
        let mut has_changed = false;
        for watching in descriptor.watches.iter_mut().filter(met) {
            watching.is_armed = false;
            has_changed = true;
            ready.extend(watching.watcher.upgrade());
        }
        if has_changed {
            // It fails only for a descriptor that was closed: those who still wait for it are told when they arm again.
            let _ = descriptor.settle(registry, token);
        }
        drop(table);
        for watcher in ready.drain(..) {
            if let Err(panic) = contain(|| watcher.ready()) {
                panic.bury();
            }
        }
    }

    /// Watches nothing any more, and accepts nothing.
    pub(super) fn close(&self) {
        let mut table = self.0.lock();
        table.registry = None;
        table.tokens.clear();
        table.descriptors.clear();
    }
}

/// A descriptor that is watched; dropping it ends that.
pub(crate) struct Watch {
    descriptors: Arc<Descriptors>,
    token: Token,
    key: usize,
}

impl Watch {
    /// Waits again, and for what has come already too. Nothing happens if the loop has ended.
    ///
    /// # Errors
    ///
    /// If the kernel has no room for it any more. The watch is not armed then.
    #[allow(dead_code, reason = "sources of signals and processes call it")]
    pub(crate) fn rearm(&self, label: &str) -> Result<(), WatchError> {
        self.change(|watching| watching.is_armed = true).map_err(|error| refused(&error, label))
    }

    /// As [`rearm`](Self::rearm), for this from now on.
    pub(crate) fn rearm_for(&self, interest: Interest) -> io::Result<()> {
        self.change(|watching| (watching.interest, watching.is_armed) = (interest, true))
    }

    /// Waits no more until it is armed again.
    pub(crate) fn disarm(&self) {
        // It fails only for a descriptor that was closed, and for that nobody waits.
        let _ = self.change(|watching| watching.is_armed = false);
    }

    fn change(&self, change: impl FnOnce(&mut Watching)) -> io::Result<()> {
        if is_child() { Ok(()) } else { self.descriptors.0.lock().change(self.token, self.key, change) }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !is_child() {
            self.descriptors.0.lock().remove(self.token, self.key);
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("token", &self.token).finish_non_exhaustive()
    }
}

fn refused(error: &io::Error, label: &str) -> WatchError {
    let (errno, label) = (super::errno(error), label.into());
    match Errno::from_raw_os_error(errno) {
        Errno::BADF => WatchError::Closed { label },
        Errno::PERM => WatchError::NotPollable { label },
        Errno::NOSPC | Errno::NOMEM => WatchError::TooManyWatches { label, errno },
        _ => WatchError::Refused { label, errno },
    }
}
