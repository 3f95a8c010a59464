//! Models: small programs over one state word or list, run through every schedule (loom) or many (shuttle).
//!
//! A model is an ordinary test around [`check`]. Both checkers run the same models: loom explores all interleavings up
//! to a number of preemptions and sees weak orderings; shuttle treats every atomic as sequentially consistent, but runs
//! longer programs, and prints a schedule that replays what it found. A property that only one of them can see is
//! asserted under both all the same.
//!
//! Models keep to what both can do: at most four threads, every thread joined, no time, no statics. A value behind an
//! `Arc` outlives its threads, as the count is the standard one and carries no ordering here (see [`crate::sync`]).

mod parking;
mod source;

#[cfg(concourse_loom)]
pub(crate) use loom::thread::spawn;
#[cfg(concourse_shuttle)]
pub(crate) use shuttle::thread::spawn;

/// Runs `model` through every interleaving within loom's bounds (`LOOM_MAX_PREEMPTIONS`).
#[cfg(concourse_loom)]
pub(crate) fn check(model: impl Fn() + Send + Sync + 'static) {
    loom::model(model);
}

/// Runs `model` through `CONCOURSE_SCHEDULES` random schedules (2,000 if unset), and as many again that change threads
/// at three chosen points, which finds rarer bugs.
#[cfg(concourse_shuttle)]
pub(crate) fn check(model: impl Fn() + Send + Sync + 'static) {
    let schedules = std::env::var("CONCOURSE_SCHEDULES").map_or(2_000, |count| count.parse().unwrap());
    let model = std::sync::Arc::new(model);
    let again = std::sync::Arc::clone(&model);
    shuttle::check_random(move || model(), schedules);
    shuttle::check_pct(move || again(), schedules, 3);
}
