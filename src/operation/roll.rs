//! A queue's operations that are not over, and how barriers divide them.
//!
//! A barrier waits for everything that was added before it, and what is added after it waits for the barrier. Nobody notes
//! that down for each pair of them: where the first barrier stands says all of it. What was added before that goes on; the
//! barrier itself goes on if it is the first of all; and what was added after it is held back. When an operation is over,
//! those go on between where that line was and where it is now. A barrier that is cancelled falls out, and leaves those
//! before it in force.

use super::record::Record;
use crate::sync::Arc;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// Stands under the queue's lock.
#[derive(Debug, Default)]
pub(super) struct Roll {
    numbers: u64,
    /// By number, and so in the order in which they were added.
    records: BTreeMap<u64, Arc<Record>>,
    barriers: BTreeSet<u64>,
}

/// What a walk over the graph has come past in one queue: it has been given all barriers below one number, and everything
/// below another.
#[derive(Debug, Default)]
pub(super) struct Passed {
    barriers: u64,
    everything: u64,
}

impl Roll {
    /// Enters the operation that `new` makes of its number, and of whether it is held back.
    pub(super) fn enter(&mut self, is_barrier: bool, new: impl FnOnce(u64, bool) -> Arc<Record>) -> Arc<Record> {
        let is_held = if is_barrier { !self.records.is_empty() } else { !self.barriers.is_empty() };
        self.numbers += 1;
        let record = new(self.numbers, is_held);
        self.records.insert(self.numbers, Arc::clone(&record));
        if is_barrier {
            self.barriers.insert(self.numbers);
        }
        record
    }

    /// Takes out an operation that is over, and gives those that it held back alone.
    pub(super) fn strike(&mut self, number: u64) -> Vec<Arc<Record>> {
        let before = self.first_held();
        // Not the last reference: whoever ends an operation has one.
        self.records.remove(&number);
        self.barriers.remove(&number);
        self.records.range(before..self.first_held()).map(|(_, record)| Arc::clone(record)).collect()
    }

    /// The number from which on everything is held back.
    fn first_held(&self) -> u64 {
        match (self.barriers.first(), self.records.first_key_value()) {
            (Some(barrier), Some((first, _))) if barrier == first => barrier + 1,
            (Some(barrier), _) => *barrier,
            (None, _) => u64::MAX,
        }
    }

    /// Those that hold an operation back, for a walk that visits them all: without what it has been given before.
    pub(super) fn ahead(&self, number: u64, passed: &mut Passed) -> Vec<Arc<Record>> {
        if !self.contains(number) {
            return Vec::new();
        }
        if self.barriers.contains(&number) {
            let from = passed.everything.min(number);
            passed.everything = passed.everything.max(number);
            return self.records.range(from..number).map(|(_, record)| Arc::clone(record)).collect();
        }
        let from = passed.barriers.max(passed.everything).min(number);
        passed.barriers = passed.barriers.max(number);
        self.barriers.range(from..number).filter_map(|barrier| self.records.get(barrier).cloned()).collect()
    }

    /// The last of those that hold an operation back: they wait for the others.
    pub(super) fn next_ahead(&self, number: u64) -> Vec<Arc<Record>> {
        if !self.contains(number) {
            return Vec::new();
        }
        let barrier = self.barriers.range(..number).next_back();
        let from = barrier.copied().unwrap_or(0);
        let to = if self.barriers.contains(&number) { number } else { barrier.map_or(0, |barrier| barrier + 1) };
        self.records.range(from..to).map(|(_, record)| Arc::clone(record)).collect()
    }

    /// True if somebody is held back by an operation: by a barrier, or by what stands before one.
    pub(super) fn holds_back(&self, number: u64) -> bool {
        let last = if self.barriers.contains(&number) { self.records.keys().next_back() } else { self.barriers.last() };
        last.is_some_and(|last| *last > number)
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        self.records.contains_key(&number)
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// All of them, in the order in which they were added.
    pub(super) fn records(&self) -> Vec<Arc<Record>> {
        self.records.values().cloned().collect()
    }
}
