//! Models: small programs over one state word or list, run through every schedule (loom) or many (shuttle).
//!
//! A model is an ordinary test around [`check`], or [`explore`] where it is large. Both checkers run the same models:
//! loom explores all interleavings up to a number of preemptions and sees weak orderings; shuttle treats every atomic as
//! sequentially consistent, but runs longer programs, and prints a schedule that replays what it found. A property that
//! only one of them can see is asserted under both all the same.
//!
//! Models keep to what both can do: at most four threads, every thread joined, no time, no statics. A value behind an
//! `Arc` outlives its threads, as the count is the standard one and carries no ordering here (see [`crate::sync`]).

mod block_list;
mod event;
mod future;
mod group;
mod lane;
mod loan;
mod main_queue;
mod meetings;
#[cfg(feature = "sim")]
mod pace;
mod parking;
mod plain;
mod pool;
mod port;
#[cfg(concourse_shuttle)]
mod program;
mod semaphore;
#[cfg(feature = "signal")]
mod signal;
mod source;
mod stream;
mod target;
mod task;
mod ticket;
mod token;
mod visit;
mod wait_for;
mod work_item;

use crate::sync::AtomicU32;
use crate::sync::Ordering;

#[cfg(concourse_loom)]
pub(crate) use loom::thread::{JoinHandle, spawn};
#[cfg(concourse_shuttle)]
pub(crate) use shuttle::thread::{JoinHandle, spawn};

/// Runs `model` through every interleaving with at most `LOOM_MAX_PREEMPTIONS` preemptions, or through many schedules.
pub(crate) fn check(model: impl Fn() + Send + Sync + 'static) {
    explore(usize::MAX, model);
}

/// Like [`check`], with no more than `preemptions` under loom: for a model that takes minutes beyond that.
#[cfg(concourse_loom)]
pub(crate) fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = match (builder.preemption_bound, preemptions) {
        (None, usize::MAX) => None,
        (bound, preemptions) => Some(bound.map_or(preemptions, |bound| bound.min(preemptions))),
    };
    builder.check(model);
}

/// Runs `model` through `CONCOURSE_SCHEDULES` random schedules (2,000 if unset), and as many again that change threads
/// at three chosen points, which finds rarer bugs. Shuttle has no bound of preemptions.
#[cfg(concourse_shuttle)]
pub(crate) fn explore(_: usize, model: impl Fn() + Send + Sync + 'static) {
    let schedules = std::env::var("CONCOURSE_SCHEDULES").map_or(2_000, |count| count.parse().unwrap());
    let model = std::sync::Arc::new(model);
    let again = std::sync::Arc::clone(&model);
    shuttle::check_random(move || model(), schedules);
    shuttle::check_pct(move || again(), schedules, 3);
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
