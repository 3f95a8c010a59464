//! What the calling thread is running: the newest of its [`Frame`]s; and what it is closing.

use super::lane::Lane;
use super::waiter::Frame;
use crate::sync::Arc;
use crate::sync::thread_local;
use std::cell::Cell;
use std::cell::RefCell;
use std::ptr;

thread_local! {
    static TOP: Cell<*const Frame> = const { Cell::new(ptr::null()) };
    /// The lanes to close after the one that the thread is closing; `None` if it is closing none.
    static TO_CLOSE: RefCell<Option<Vec<Arc<Lane>>>> = const { RefCell::new(None) };
}

/// The newest frame, or null.
pub(super) fn top() -> *const Frame {
    TOP.try_with(Cell::get).unwrap_or(ptr::null())
}

/// Makes `frame` the newest and returns the one before.
pub(super) fn replace_top(frame: *const Frame) -> *const Frame {
    TOP.try_with(|top| top.replace(frame)).unwrap_or(ptr::null())
}

/// Calls `close` for the lane, or leaves it to the call further up the stack that is closing another one.
///
/// What a lane drops may hold the last handle of the next. Such a chain may be longer than any stack, so it is taken
/// link by link.
pub(super) fn close(lane: &Lane, close: impl Fn(&Lane)) {
    let is_outermost = TO_CLOSE.try_with(|to_close| match &mut *to_close.borrow_mut() {
        Some(lanes) => {
            lanes.push(lane.to_arc());
            false
        }
        none => {
            *none = Some(Vec::new());
            true
        }
    });
    match is_outermost {
        Ok(false) => {}
        // The thread is ending, and its list is gone.
        Err(_) => close(lane),
        Ok(true) => {
            close(lane);
            while let Some(next) = next_to_close() {
                close(&next);
            }
        }
    }
}

/// The next lane to close. Without one the thread is closing none any more.
fn next_to_close() -> Option<Arc<Lane>> {
    let next = |to_close: &RefCell<Option<Vec<Arc<Lane>>>>| {
        let mut to_close = to_close.borrow_mut();
        let next = to_close.as_mut().and_then(Vec::pop);
        if next.is_none() {
            *to_close = None;
        }
        next
    };
    TO_CLOSE.try_with(next).ok().flatten()
}
