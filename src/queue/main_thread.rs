//! The thread that runs a main lane's jobs: which one it is, whether jobs wait for it, and whether it is to stop.
//!
//! What the pool is to other lanes this is to the main lane: where its drain is scheduled. It is *rung* while the lane's
//! keeper is `Scheduled`; both change under the lane's control. So the descriptor is readable exactly while jobs wait for
//! which nobody has come.

use crate::error::MainQueueError;
use crate::event_loop::Eventfd;
use crate::sync::Arc;
use crate::sync::Mutex;
use crate::sync::OnceLock;
use crate::sync::Parker;
use crate::sync::Reason;
use crate::sync::is_first_thread;
use crate::sync::park_while;
use crate::sync::parker;
use std::mem;
use std::os::fd::AsFd as _;
use std::os::fd::BorrowedFd;

/// The thread, or the place for it.
#[derive(Debug)]
pub(super) struct MainThread {
    state: Mutex<State>,
    /// Made when somebody asks for it.
    eventfd: OnceLock<Eventfd>,
}

#[derive(Debug, Default)]
struct State {
    /// A thread is known by its parker.
    owner: Option<Arc<Parker>>,
    rung: bool,
    stopped: bool,
}

impl MainThread {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State::default()), eventfd: OnceLock::new() }
    }

    /// Makes the calling thread the owner if there is none. False if there is another.
    pub(super) fn own(&self) -> bool {
        let me = parker();
        let mut state = self.state.lock();
        Arc::ptr_eq(state.owner.get_or_insert_with(|| Arc::clone(&me)), &me)
    }

    /// True if the calling thread owns the queue: nobody else will run what waits in it.
    pub(super) fn is_owned_here(&self) -> bool {
        self.state.lock().owner.as_ref().is_some_and(|owner| Arc::ptr_eq(owner, &parker()))
    }

    /// True on the owner; as long as there is none, on the thread that the process began with.
    pub(super) fn is_here(&self) -> bool {
        match &self.state.lock().owner {
            Some(owner) => Arc::ptr_eq(owner, &parker()),
            None => is_first_thread(),
        }
    }

    /// Jobs wait. Unpark the result, once the control is unlocked.
    #[must_use]
    pub(super) fn ring(&self) -> Option<Arc<Parker>> {
        let mut state = self.state.lock();
        if !mem::replace(&mut state.rung, true)
            && let Some(eventfd) = self.eventfd.get()
        {
            eventfd.light();
        }
        state.owner.clone()
    }

    /// Somebody has come for the jobs.
    pub(super) fn hush(&self) {
        let mut state = self.state.lock();
        if mem::replace(&mut state.rung, false)
            && let Some(eventfd) = self.eventfd.get()
        {
            eventfd.darken();
        }
    }

    /// What is readable while jobs wait.
    pub(super) fn as_fd(&self) -> Result<BorrowedFd<'_>, MainQueueError> {
        // Under the lock, so that it is made once, and in step with the bell.
        let state = self.state.lock();
        if let Some(eventfd) = self.eventfd.get() {
            return Ok(eventfd.as_fd());
        }
        let eventfd = Eventfd::new().map_err(|errno| MainQueueError::NoDescriptor { errno })?;
        if state.rung {
            eventfd.light();
        }
        Ok(self.eventfd.get_or_init(|| eventfd).as_fd())
    }

    /// Lets the owner's `run` return, or the next one.
    pub(super) fn stop(&self) {
        let mut state = self.state.lock();
        state.stopped = true;
        let owner = state.owner.clone();
        drop(state);
        owner.inspect(|owner| owner.unpark());
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.state.lock().stopped
    }

    /// True if it was stopped. From then on it is not.
    pub(super) fn take_stop(&self) -> bool {
        mem::take(&mut self.state.lock().stopped)
    }

    /// Blocks the owner until jobs wait or it is stopped.
    pub(super) fn wait(&self, reason: &Reason) {
        park_while(&parker(), reason, None, || {
            let state = self.state.lock();
            !state.rung && !state.stopped
        });
    }
}
