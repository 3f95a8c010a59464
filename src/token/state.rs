//! Whether a token has been cancelled: one flag, which goes up once and never comes down.
//!
//! ```text
//! [CANCELLED]
//! ```
//!
//! It is raised under the lock of the token's listeners, together with taking them, and looked at without it.

use crate::sync::AtomicBool;
use crate::sync::Ordering;

/// The word.
#[derive(Debug, Default)]
pub(super) struct State(AtomicBool);

impl State {
    /// Raises the flag.
    pub(super) fn cancel(&self) {
        // Release: what the canceller did before is seen by whoever sees the flag.
        self.0.store(true, Ordering::Release);
    }

    #[inline]
    pub(super) fn is_cancelled(&self) -> bool {
        // Acquire: pairs with `cancel`.
        self.0.load(Ordering::Acquire)
    }
}
