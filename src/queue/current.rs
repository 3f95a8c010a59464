//! What the calling thread is running: the newest of its [`Frame`]s.

use super::waiter::Frame;
use crate::sync::thread_local;
use std::cell::Cell;
use std::ptr;

thread_local! {
    static TOP: Cell<*const Frame> = const { Cell::new(ptr::null()) };
}

/// The newest frame, or null.
pub(super) fn top() -> *const Frame {
    TOP.try_with(Cell::get).unwrap_or(ptr::null())
}

/// Makes `frame` the newest and returns the one before.
pub(super) fn replace_top(frame: *const Frame) -> *const Frame {
    TOP.try_with(|top| top.replace(frame)).unwrap_or(ptr::null())
}
