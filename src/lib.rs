//! Grand Central Dispatch for Rust.

// 0 machine
mod sync;

// 1 vocabulary
mod collections;
mod error;
mod job;
mod qos;

// 3 queues
mod queue;

// 4 built on queues
pub mod source;

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
pub use source::Source;
