//! Grand Central Dispatch for Rust.

// 0 machine
mod sync;

// 1 vocabulary
mod bits;
mod error;
mod job;
mod qos;

mod collections;

// 2 engines
mod pool;

// 3 queues
mod queue;

pub use error::{BuildError, GroupError, RuntimeError, SubmitError, SuspendError, SyncError, TimerError, WaitError};
pub use pool::StallPolicy;
pub use qos::Qos;
pub use queue::Dispatch;

#[cfg(all(test, any(concourse_loom, concourse_shuttle)))]
mod models;
