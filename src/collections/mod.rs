//! Containers that the engines and the queues stand on.

mod striped;

pub(crate) use striped::Striped;
