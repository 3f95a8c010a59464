//! A worker's place: its number, its deque, its bell, and what others may know of it.
//!
//! Slots outlive their workers. A worker that retires leaves its empty deque behind, and the next one in the slot goes on
//! with it, so that thieves need no list that grows and shrinks.

pub(crate) mod state;

pub(crate) use state::Bell;
pub(crate) use state::Label;
pub(crate) use state::Pace;
pub(crate) use state::SlotSet;

use crate::job::Job;
use crate::sync::Deque;
use crate::sync::JoinHandle;
use crate::sync::Mutex;
use crate::sync::Reason;
use crate::sync::Stealer;
use std::path::PathBuf;

/// One place for a worker.
pub(crate) struct Slot {
    pub(crate) stealer: Stealer<Job>,
    /// The class of the jobs in the deque.
    pub(crate) class: Label,
    pub(crate) bell: Bell,
    pub(crate) pace: Pace,
    /// Why the worker waits, while it does.
    pub(crate) reason: Mutex<Option<Reason>>,
    /// Where the kernel tells the state of the worker's thread, if it does.
    pub(crate) stat: Mutex<Option<PathBuf>>,
    /// The last thread that was started here.
    pub(crate) thread: Mutex<Option<JoinHandle<()>>>,
    /// The deque, while no worker has it.
    deque: Mutex<Option<Deque<Job>>>,
}

impl Slot {
    pub(crate) fn new() -> Self {
        let deque = Deque::new_lifo();
        Self {
            stealer: deque.stealer(),
            class: Label::new(),
            bell: Bell::new(),
            pace: Pace::new(),
            reason: Mutex::new(None),
            stat: Mutex::new(None),
            thread: Mutex::new(None),
            deque: Mutex::new(Some(deque)),
        }
    }

    /// The class of the jobs that can be stolen here, if there are any.
    pub(crate) fn class_on_offer(&self) -> Option<usize> {
        // In this order: the label is at least as new as the job that was seen.
        (!self.stealer.is_empty()).then(|| self.class.get())
    }

    /// Gives the slot's new worker its deque.
    pub(crate) fn move_in(&self) -> Option<Deque<Job>> {
        self.deque.lock().take()
    }

    /// Takes the deque back. The worker has emptied it.
    pub(crate) fn move_out(&self, deque: Deque<Job>) {
        debug_assert!(deque.is_empty());
        *self.deque.lock() = Some(deque);
        *self.stat.lock() = None;
    }
}
