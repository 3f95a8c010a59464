//! How urgent work is.

/// The quality of service of a queue: how urgent its work is to a person who waits for it.
///
/// The classes are libdispatch's. The scheduler serves one class for now: every class is accepted and kept, and all of
/// them share the same threads and the same order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Qos {
    /// Work nobody waits for.
    Background,
    /// Long work with visible progress.
    Utility,
    /// Ordinary work.
    #[default]
    Default,
    /// Work somebody asked for and waits for.
    UserInitiated,
    /// Work that a person feels within a frame.
    UserInteractive,
}
