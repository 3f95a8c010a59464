//! Models of the lock-free parts, one file per state word or list, run by loom and shuttle.

mod block_list;
mod pool;

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
