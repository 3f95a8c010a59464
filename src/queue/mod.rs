//! Queues.

mod dispatch;

pub(crate) use dispatch::Accept;
pub use dispatch::Dispatch;
