//! Grand Central Dispatch for Rust.

// 0 machine
mod sync;

// 1 vocabulary
mod bits;
mod error;
mod job;
mod qos;

mod collections;

// 3 queues
mod queue;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

#[cfg(doc)]
#[doc = include_str!("ARCHITECTURE.md")]
mod architecture {}

#[cfg(all(test, any(concourse_loom, concourse_shuttle)))]
mod models;

pub use error::{BuildError, GroupError, RuntimeError, SubmitError, SuspendError, SyncError, TimerError, WaitError};
pub use qos::Qos;
pub use queue::Dispatch;
