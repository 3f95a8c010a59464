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

// 4 built on queues
mod event;
mod group;
mod semaphore;
mod wait_for;

pub use error::{BuildError, GroupError, RuntimeError, SubmitError, SuspendError, SyncError, TimerError, WaitError};
pub use event::Event;
pub use group::Group;
pub use group::Membership;
pub use qos::Qos;
pub use queue::Dispatch;
pub use semaphore::Permit;
pub use semaphore::Semaphore;
pub use wait_for::Done;
pub use wait_for::wait_for;

#[cfg(doc)]
#[doc = include_str!("ARCHITECTURE.md")]
mod architecture {}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

#[cfg(all(test, any(concourse_loom, concourse_shuttle)))]
mod models;
