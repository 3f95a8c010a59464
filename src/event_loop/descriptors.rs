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

#![allow(dead_code, reason = "the sources that wait for descriptors come next")]

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
pub(crate) enum Interest {
    Readable,
    Writable,
    /// Out-of-band data, or what a kind of descriptor tells in its place.
    Priority,
}

impl Interest {
    fn of_kernel(self) -> mio::Interest {
        match self {
            Self::Readable => mio::Interest::READABLE,
            Self::Writable => mio::Interest::WRITABLE,
            Self::Priority => mio::Interest::PRIORITY,
        }
    }

    /// Errors and hang-ups are of interest to everybody.
    fn is_met_by(self, event: &Event) -> bool {
        event.is_error()
            || match self {
                Self::Readable => event.is_readable() || event.is_read_closed(),
                Self::Writable => event.is_writable() || event.is_write_closed(),
                Self::Priority => event.is_priority() || event.is_read_closed(),
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
            (None, None) => return Ok(()),
            (None, Some(interest)) => registry.register(&mut source, token, interest)?,
            (Some(_), Some(interest)) => registry.reregister(&mut source, token, interest)?,
            (Some(_), None) => registry.deregister(&mut source)?,
        }
        self.registered = wanted;
        Ok(())
    }
}

impl Table {
    /// Arms a watch. Nothing happens if the loop has ended.
    fn arm(&mut self, token: Token, key: usize) -> io::Result<()> {
        let Some((registry, descriptor)) = self.registry.as_ref().zip(self.descriptors.get_mut(&token)) else {
            return Ok(());
        };
        let Some(place) = descriptor.watches.iter().position(|watching| watching.key == key) else { return Ok(()) };
        descriptor.watches[place].is_armed = true;
        let settled = descriptor.settle(registry, token);
        descriptor.watches[place].is_armed = settled.is_ok();
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
        descriptor.watches.push(Watching { key, interest, watcher: watcher_of_table, is_armed: false });
        if let Err(error) = table.arm(token, key) {
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
        for watching in descriptor.watches.iter_mut().filter(met) {
            watching.is_armed = false;
            ready.extend(watching.watcher.upgrade());
        }
        // It fails only for a descriptor that was closed: those who still wait for it are told when they arm again.
        let _ = descriptor.settle(registry, token);
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
    pub(crate) fn rearm(&self, label: &str) -> Result<(), WatchError> {
        if is_child() {
            return Ok(());
        }
        self.descriptors.0.lock().arm(self.token, self.key).map_err(|error| refused(&error, label))
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
