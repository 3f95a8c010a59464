//! What a token says when it has been cancelled.

use std::fmt;

/// Something has been called off by its [`CancelToken`](crate::CancelToken), or one above that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cancelled;

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its token was cancelled: nobody wants it any more")
    }
}

impl std::error::Error for Cancelled {}
