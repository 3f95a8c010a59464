//! Grand Central Dispatch for Rust.

// 0 machine
mod sync;

// 1 vocabulary
mod bits;
mod collections;
mod error;
mod job;
mod qos;
mod time;

// 2 engines
mod engine;
mod event_loop;
mod pool;
mod runtime;

// 3 queues
mod queue;

// 4 built on queues
mod event;
mod group;
mod semaphore;
pub mod source;
mod wait_for;

pub use engine::{LossReport, PanicReport};
pub use error::{BuildError, GroupError, RuntimeError, SubmitError, SuspendError, SyncError, TimerError, WaitError};
pub use event::Event;
pub use group::{Group, Membership};
pub use pool::StallPolicy;
pub use qos::Qos;
pub use queue::{After, Dispatch, GlobalQueue, InactiveQueue, Queue, QueueBuilder, SuspendGuard};
pub use runtime::{Report, Runtime, RuntimeBuilder, Shutdown, StallReport, TimedShutdown, WaitingThread, blocking};
pub use semaphore::{Permit, Semaphore};
pub use source::Source;
pub use time::{Clock, Deadline};
pub use wait_for::{Done, wait_for};

#[cfg(doc)]
#[doc = include_str!("ARCHITECTURE.md")]
mod architecture {}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

#[cfg(all(test, any(concourse_loom, concourse_shuttle)))]
mod models;
