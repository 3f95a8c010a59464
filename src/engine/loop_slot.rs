//! A runtime's event loop: none so far, the one that there is, or one that has ended.

use crate::error::EventLoopError;
use crate::event_loop::EventLoop;
use crate::sync::Arc;
use crate::sync::Mutex;
use crate::sync::OnceLock;

/// Where the event loop is found. It stays here when it has ended, and refuses everything, so that finding it takes neither a
/// lock nor a reference of one's own.
pub(super) struct LoopSlot {
    started: OnceLock<Arc<EventLoop>>,
    /// Locked to start it. True once it has been given away to be stopped: a queue may outlive its runtime, and starts no
    /// other one.
    is_closed: Mutex<bool>,
}

impl LoopSlot {
    pub(super) fn new() -> Self {
        Self { started: OnceLock::new(), is_closed: Mutex::new(false) }
    }

    /// The loop, if there is one that has not ended.
    #[inline]
    pub(super) fn running(&self) -> Option<&Arc<EventLoop>> {
        // ThreadSanitizer does not see what the standard library's cell orders, and sees what this lock does.
        #[cfg(concourse_tsan)]
        drop(self.is_closed.lock());
        self.started()
    }

    #[inline]
    fn started(&self) -> Option<&Arc<EventLoop>> {
        self.started.get().filter(|event_loop| !event_loop.has_ended())
    }

    /// The loop, which `start` starts on first use; `None` once it has ended.
    pub(super) fn get_or_start(
        &self,
        start: impl FnOnce() -> Result<Arc<EventLoop>, EventLoopError>,
    ) -> Result<Option<&Arc<EventLoop>>, EventLoopError> {
        let is_closed = self.is_closed.lock();
        if !*is_closed && self.started.get().is_none() {
            let event_loop = start()?;
            self.started.get_or_init(|| event_loop);
        }
        Ok(self.started())
    }

    /// The loop, for the caller to stop, once. There will be no other.
    pub(super) fn close(&self) -> Option<Arc<EventLoop>> {
        let was_closed = std::mem::replace(&mut *self.is_closed.lock(), true);
        if was_closed { None } else { self.started.get().cloned() }
    }
}
