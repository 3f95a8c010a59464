//! The line of a queue, as those see it who wait for a job in it.

use super::lane::Lane;
use super::main_thread::MainThread;
use super::waiter::Frame;
use crate::error::HeldQueue;
use crate::sync::Arc;

/// A queue's line. It is no handle: it keeps nobody from closing the queue.
#[derive(Clone)]
pub struct QueueLine(Arc<Lane>);

impl QueueLine {
    pub(super) fn new(lane: &Arc<Lane>) -> Self {
        Self(Arc::clone(lane))
    }

    /// The queue's label, and the queues that the calling thread holds, newest first, if no job in the line can start
    /// before the thread lets them go: waiting for one would never end.
    pub(crate) fn is_held_up(&self) -> Option<(Arc<str>, Vec<HeldQueue>)> {
        // The main thread runs nothing of its queue while it waits, whether it is in one of its jobs or not.
        let is_its_own = || self.0.chain().filter_map(Lane::main_thread).any(MainThread::is_owned_here);
        let is_held_up = Frame::forbids(&self.0, false) || is_its_own();
        is_held_up.then(|| (Arc::clone(self.0.label()), HeldQueue::of_this_thread()))
    }
}

impl HeldQueue {
    /// What the calling thread holds, newest first.
    pub(super) fn of_this_thread() -> Vec<Self> {
        Frame::held().into_iter().map(|(label, site)| Self { label, site }).collect()
    }
}
