//! What the loop thread and its owner tell each other without a lock: that it shall end, and how often it has woken.

use crate::sync::AtomicBool;
use crate::sync::AtomicU64;
use crate::sync::Ordering;

#[derive(Debug)]
pub(super) struct State {
    stopping: AtomicBool,
    wakeups: AtomicU64,
}

impl State {
    pub(super) fn new() -> Self {
        Self { stopping: AtomicBool::new(false), wakeups: AtomicU64::new(0) }
    }

    /// Asks the thread to end. It looks when it wakes up.
    pub(super) fn stop(&self) {
        // Release: pairs with `is_stopping`, so that the thread sees what its owner did before.
        self.stopping.store(true, Ordering::Release);
    }

    /// True once the thread has been asked to end.
    pub(super) fn is_stopping(&self) -> bool {
        // Acquire: pairs with `stop`.
        self.stopping.load(Ordering::Acquire)
    }

    /// The thread has been woken once more.
    pub(super) fn wake_up(&self) {
        // Relaxed: a statistic. Firings are published by their sinks.
        self.wakeups.fetch_add(1, Ordering::Relaxed);
    }

    /// How often the thread has been woken.
    pub(super) fn wakeups(&self) -> u64 {
        // Relaxed: a statistic.
        self.wakeups.load(Ordering::Relaxed)
    }
}
