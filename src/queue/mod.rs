//! Queues.

mod dispatch;

pub use dispatch::Dispatch;
pub(crate) use dispatch::Accept;
