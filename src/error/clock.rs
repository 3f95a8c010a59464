//! Why steps of the wall clock cannot be told.

use super::EventLoopError;
use crate::sync::Arc;
use std::fmt;

errors! {
    /// Why steps of the wall clock cannot be told.
    ClockError {
        /// The runtime's event loop could not be started.
        NoEventLoop { /** The label of the source. */ label: Arc<str>, /** What it lacks. */ error: EventLoopError } =>
            "\"{label}\": {error}",
        /// This process was forked, and the event loop is the parent's.
        Forked { /** The label of the source. */ label: Arc<str> } =>
            "\"{label}\": this process was forked, and the event loop is the parent's; activate the source in the parent, or start a program with `exec`",
        /// The runtime is a simulation, whose clocks nobody sets.
        Unsupported { /** The label of the source. */ label: Arc<str> } =>
            "\"{label}\": nobody sets the clocks of a simulation; leave this source out there",
    }
}
