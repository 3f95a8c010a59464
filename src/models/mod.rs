//! Models of the lock-free parts, one file per state word or list, run by loom and shuttle.

mod block_list;
mod event;
mod group;
mod semaphore;
mod ticket;
mod wait_for;

use crate::sync::AtomicU32;
use crate::sync::Ordering;

#[cfg(concourse_loom)]
pub(crate) use loom::thread::JoinHandle;
#[cfg(concourse_loom)]
pub(crate) use loom::thread::spawn;
#[cfg(concourse_shuttle)]
pub(crate) use shuttle::thread::JoinHandle;
#[cfg(concourse_shuttle)]
pub(crate) use shuttle::thread::spawn;

/// Explores `model`: under loom every schedule with up to `preemptions` preemptions, or the number in
/// `LOOM_MAX_PREEMPTIONS` if that is smaller; under shuttle a fixed number of random ones.
#[cfg(concourse_loom)]
pub(crate) fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(builder.preemption_bound.map_or(preemptions, |bound| bound.min(preemptions)));
    builder.check(model);
}

/// As above.
#[cfg(concourse_shuttle)]
pub(crate) fn explore(_: usize, model: impl Fn() + Sync + Send + 'static) {
    shuttle::check_random(model, 2_000);
}

/// A deadline that has passed. No model has time: a timeout that can come at any moment comes at once.
pub(crate) fn passed() -> std::time::Instant {
    crate::sync::now()
}

/// A number without an ordering of its own: where nothing else orders an addition before a look, loom lets the look miss
/// it, and of two additions at once one is lost.
pub(crate) struct Plain(AtomicU32);

impl Plain {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    pub(crate) fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self) {
        self.0.store(self.get() + 1, Ordering::Relaxed);
    }
}
