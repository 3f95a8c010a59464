//! Who is told when a thread waits, asks for the time or passes a state transition.
//!
//! A runtime's engine is the [`Host`] of its worker threads. The thread carries the pointer, so whatever blocks (a
//! semaphore, a group, a sync) reaches the right engine without knowing which one it is. A thread without a host just
//! blocks.

use super::parking::{Parker, Reason};
use super::{Arc, thread_local};
use std::cell::RefCell;
use std::time::{Duration, Instant};

/// The seam between waiting code and the engine that runs it: real threads, or a simulation.
pub(crate) trait Host: Send + Sync {
    /// The calling thread is about to block. Nobody holds an ordinary lock here.
    fn before_park(&self, reason: &Reason);

    /// The calling thread goes on. Called once for every `before_park`.
    fn after_park(&self);

    /// Called before each sleep of a wait: how long the thread may sleep before it asks again. `None`: until it is woken.
    ///
    /// An engine that is short of threads may run a queued job on the calling thread here, and answers zero: the thread
    /// looks at what it waits for, and asks again.
    fn patience(&self) -> Option<Duration> {
        None
    }

    /// Sleeps until the calling thread's parker holds a token, which is taken, or until the deadline has passed on the
    /// engine's clock. May also return early.
    fn park(&self, parker: &Parker, deadline: Option<Instant>) {
        parker.park(deadline);
    }

    /// The time on the engine's monotonic clock.
    fn now(&self) -> Instant {
        Instant::now()
    }

    /// How long the engine's clocks have been going, if they are virtual.
    #[cfg(feature = "sim")]
    fn virtual_time(&self) -> Option<Duration> {
        None
    }

    /// The calling thread passes a state transition: another one may go first. Nobody holds an ordinary lock here.
    #[cfg(feature = "sim")]
    fn yield_point(&self) {}
}

thread_local! {
    static HOST: RefCell<Option<Arc<dyn Host>>> = const { RefCell::new(None) };
}

/// The calling thread's host, if it has one.
pub(crate) fn host() -> Option<Arc<dyn Host>> {
    // A destructor of another thread-local may wait while ours is already gone: then there is nobody to tell.
    HOST.try_with(|host| host.borrow().clone()).ok().flatten()
}

/// Gives the calling thread a host until the guard is dropped; hosts nest.
pub(crate) fn enter_host(host: Arc<dyn Host>) -> HostGuard {
    HostGuard(HOST.with(|slot| slot.borrow_mut().replace(host)))
}

/// Gives the calling thread a host for good, if it has none.
pub(crate) fn offer_host(host: impl FnOnce() -> Arc<dyn Host>) {
    let _ = HOST.try_with(|slot| {
        slot.borrow_mut().get_or_insert_with(host);
    });
}

/// Takes the calling thread's host away for good, without telling it: in a forked child its engine has no threads.
pub(super) fn abandon() {
    let _ = HOST.try_with(|slot| {
        if let Ok(mut slot) = slot.try_borrow_mut() {
            std::mem::forget(slot.take());
        }
    });
}

/// Runs `f`, which may block in ways that the crate does not see; the thread's host, if any, makes up for it at once.
pub(crate) fn blocking<R>(f: impl FnOnce() -> R) -> R {
    /// Tells the host also when `f` unwinds.
    struct Blocked(Arc<dyn Host>);

    impl Drop for Blocked {
        fn drop(&mut self) {
            self.0.after_park();
        }
    }

    let _blocked = host().map(|host| {
        host.before_park(&Reason::Blocking);
        Blocked(host)
    });
    f()
}

/// Restores the thread's previous host.
#[must_use]
pub(crate) struct HostGuard(Option<Arc<dyn Host>>);

impl Drop for HostGuard {
    fn drop(&mut self) {
        let outer = self.0.take();
        let ended = HOST.try_with(|slot| std::mem::replace(&mut *slot.borrow_mut(), outer));
        drop(ended);
    }
}

/// The time on the clock of the thread's host.
pub(crate) fn now() -> Instant {
    host().map_or_else(Instant::now, |host| host.now())
}

/// The time by which a wait of this length is over; none if it is longer than the clock can tell.
pub(crate) fn deadline_after(timeout: Duration) -> Option<Instant> {
    now().checked_add(timeout)
}

/// How long virtual time has been going, on a thread of a simulation.
#[inline(always)]
pub(crate) fn virtual_time() -> Option<Duration> {
    #[cfg(feature = "sim")]
    return host()?.virtual_time();
    #[cfg(not(feature = "sim"))]
    None
}

/// Passes a state transition, where a simulation may let another thread go first. No ordinary lock may be held: a
/// thread that goes first would wait for it, and nobody would let this one go on.
#[inline(always)]
pub(crate) fn yield_point() {
    #[cfg(concourse_jitter)]
    if runs_beside_others() {
        super::jitter::pass();
    }
    #[cfg(feature = "sim")]
    if let Some(host) = host() {
        host.yield_point();
    }
}

/// True if another thread may change something while the calling one spins. In a simulation it cannot.
#[inline(always)]
pub(crate) fn runs_beside_others() -> bool {
    virtual_time().is_none()
}

/// Sleeps until `parker`, which must be the calling thread's, holds a token, which is taken, or until the deadline has
/// passed on the clock of the thread's host, which is told of nothing. May also return early.
#[cfg(feature = "sim")]
pub(crate) fn park(parker: &Parker, deadline: Option<Instant>) {
    match host() {
        Some(host) => host.park(parker, deadline),
        None => parker.park(deadline),
    }
}

/// A host that notes the reasons of its thread's waits, and does something at the beginning of each.
#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
pub(crate) struct OnPark<F> {
    action: F,
    reasons: super::Mutex<Vec<Reason>>,
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
impl<F: Fn() + Send + Sync> OnPark<F> {
    pub(crate) fn new(action: F) -> Arc<Self> {
        Arc::new(Self { action, reasons: super::Mutex::new(Vec::new()) })
    }

    /// The waits so far.
    pub(crate) fn reasons(&self) -> Vec<Reason> {
        self.reasons.lock().clone()
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
impl<F: Fn() + Send + Sync> Host for OnPark<F> {
    fn before_park(&self, reason: &Reason) {
        self.reasons.lock().push(reason.clone());
        (self.action)();
    }

    fn after_park(&self) {}
}
