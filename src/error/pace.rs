//! Why a source cannot keep its pace.

use super::EventLoopError;
use crate::sync::Arc;
use std::fmt;

errors! {
    /// Why a paced source was not activated.
    PaceError {
        /// The runtime's event loop could not be started.
        NoEventLoop { /** The label of the source. */ label: Arc<str>, /** What it lacks. */ error: EventLoopError } =>
            "\"{label}\": {error}",
        /// This process was forked, and the event loop is the parent's.
        Forked { /** The label of the source. */ label: Arc<str> } =>
            "\"{label}\": this process was forked, and the event loop is the parent's; activate the source in the parent, or start a program with `exec`",
    }
}
