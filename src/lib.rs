//! Grand Central Dispatch for Rust.

// 0 machine
mod sync;

// 1 vocabulary
mod bits;
mod error;
mod job;
mod qos;
mod time;

mod collections;

// 2 engines
mod event_loop;

mod engine;

// 3 queues
mod queue;

pub use engine::{LossReport, PanicReport};
pub use error::{BuildError, GroupError, RuntimeError, SubmitError, SuspendError, SyncError, TimerError, WaitError};
pub use qos::Qos;
pub use queue::{After, Dispatch, GlobalQueue, InactiveQueue, Queue, QueueBuilder, SuspendGuard};
pub use time::{Clock, Deadline};

#[cfg(all(test, any(concourse_loom, concourse_shuttle)))]
mod models;
