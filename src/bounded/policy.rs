//! What becomes of a job for which there is no place.

use std::time::Duration;

/// What [`Bounded`](crate::Bounded) does with a job for which there is no place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhenFull {
    /// It is refused: given back, or reported to the runtime's rejection hook.
    #[default]
    Reject,
    /// The caller waits for a place, in the order of arrival.
    Block,
    /// The caller waits for a place for at most so long; then the job is refused.
    BlockFor(Duration),
    /// The job that has waited longest in the same queue makes way: it is dropped, counted, and reported to the runtime's
    /// `on_dropped` hook. If no job of the same queue waits, since others have all places, it is refused.
    DropOldest,
    /// The newest job makes way, which is this one: it is dropped, counted, and reported to the runtime's `on_dropped` hook.
    DropNewest,
    /// The caller runs it, at once, beside what the queue runs: nothing for a closure that needs the queue's order, or to be
    /// alone. A panic is contained and reported as on the queue.
    CallerRuns,
}
