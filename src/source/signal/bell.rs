//! One eventfd for all signal sources of a runtime, which its event loop watches. A handler rings it; the loop thread looks
//! for whom.

use super::Signals;
use crate::engine::Engine;
use crate::error::SignalError;
use crate::event_loop::Eventfd;
use crate::event_loop::Interest;
use crate::event_loop::Watch;
use crate::event_loop::Watcher;
use crate::signal::Signal;
use crate::source::delivery::Delivery;
use crate::sync::Arc;
use crate::sync::Mutex;
use crate::sync::OnceLock;
use crate::sync::Weak;
use crate::sync::is_child;
use std::os::fd::AsFd;

const LABEL: &str = "signals";

/// What wakes a runtime's event loop for its signal sources. It exists as long as there are any.
pub(super) struct Bell {
    engine: Weak<Engine>,
    /// Set before anybody can ring. It goes before the descriptor, whose number is another's as soon as it is closed.
    watch: OnceLock<Watch>,
    /// Shared with the handlers that ring.
    eventfd: Arc<Eventfd>,
    listeners: Mutex<Vec<Weak<Delivery<Signals>>>>,
}

impl Bell {
    /// The bell of a runtime for a source of `signal`; `None` if the runtime's event loop has ended.
    pub(super) fn of(engine: &Arc<Engine>, signal: Signal) -> Result<Option<Arc<Self>>, SignalError> {
        static BELLS: OnceLock<Mutex<Vec<Weak<Bell>>>> = OnceLock::new();
        let event_loop = engine.event_loop().map_err(|error| SignalError::NoEventLoop { signal, error })?;
        if event_loop.is_none() {
            return Ok(None);
        }
        let unwatched = |error| SignalError::unwatched(signal, error);
        let mut bells = BELLS.get_or_init(|| Mutex::new(Vec::new())).lock();
        bells.retain(|bell| bell.strong_count() != 0);
        let is_own = |bell: &Arc<Self>| bell.engine.as_ptr() == Arc::as_ptr(engine);
        if let Some(bell) = bells.iter().filter_map(Weak::upgrade).find(is_own) {
            // No change, unless the kernel has refused to arm it again.
            bell.watch.get().map_or(Ok(()), |watch| watch.rearm(LABEL)).map_err(unwatched)?;
            return Ok(Some(bell));
        }
        let eventfd = Eventfd::new().map_err(|errno| SignalError::NoDescriptor { signal, errno })?;
        let bell = Arc::new(Self {
            engine: Arc::downgrade(engine),
            eventfd: Arc::new(eventfd),
            watch: OnceLock::new(),
            listeners: Mutex::new(Vec::new()),
        });
        let watch = engine.watch(bell.eventfd.as_fd(), Interest::Readable, &bell).map_err(unwatched)?;
        let Some(watch) = watch else { return Ok(None) };
        // It is a new bell, which has none.
        let _ = bell.watch.set(watch);
        bells.push(Arc::downgrade(&bell));
        Ok(Some(bell))
    }

    /// What a handler rings.
    pub(super) fn eventfd(&self) -> Arc<Eventfd> {
        Arc::clone(&self.eventfd)
    }

    /// Has the source looked for whenever the bell rings.
    pub(super) fn listen(self: Arc<Self>, delivery: &Arc<Delivery<Signals>>) -> Listening {
        let listener = Arc::downgrade(delivery);
        self.listeners.lock().push(Weak::clone(&listener));
        Listening { bell: self, listener }
    }
}

impl Watcher for Bell {
    fn ready(self: Arc<Self>) {
        // Before the looks: what comes after its look finds the bell dark and rings again.
        self.eventfd.darken();
        let listeners: Vec<_> = self.listeners.lock().iter().filter_map(Weak::upgrade).collect();
        for delivery in listeners {
            if delivery.pending().tally.is_pending() {
                delivery.remind();
            }
            delivery.leave();
        }
        // It fails only if the kernel has no memory for it. The next source of the runtime tries again.
        let _ = self.watch.get().map(|watch| watch.rearm(LABEL));
    }

    fn label(&self) -> &str {
        LABEL
    }
}

/// A source that its bell looks for; dropping it ends that.
pub(super) struct Listening {
    bell: Arc<Bell>,
    listener: Weak<Delivery<Signals>>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        // In a child a thread of the parent may hold the lock for ever, and nobody rings.
        if !is_child() {
            self.bell.listeners.lock().retain(|listener| !listener.ptr_eq(&self.listener));
        }
    }
}
