//! The operations that could run now, and which of them goes first.

use super::record::Record;
use crate::sync::Arc;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// How urgent an operation is among those that are ready.
///
/// A more urgent operation goes first, and operations of one priority go in the order in which they became ready. So that
/// nobody starves, an operation rises by one priority each time [`Priority::PATIENCE`] others have gone before it: one that
/// became ready later goes before it no more than that often for each priority above its own. Priorities count in a queue
/// with [`Order::Priority`] only.
///
/// ```
/// use concourse::{OperationQueue, Priority};
/// use std::sync::mpsc;
///
/// let ops = OperationQueue::builder("trains").max_concurrent(1).build();
/// let (platform, trains) = mpsc::channel();
/// let guard = ops.suspend_guard()?;
/// for (train, priority) in [("freight", Priority::Low), ("local", Priority::Normal), ("express", Priority::High)] {
///     let platform = platform.clone();
///     ops.operation(train).priority(priority).run(move || platform.send(train).unwrap());
/// }
/// drop(guard);
/// assert_eq!(trains.iter().take(3).collect::<Vec<_>>(), ["express", "local", "freight"]);
/// # Ok::<(), concourse::SuspendError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// After everything else.
    VeryLow,
    /// After what is normal.
    Low,
    /// Neither.
    #[default]
    Normal,
    /// Before what is normal.
    High,
    /// Before everything else.
    VeryHigh,
}

impl Priority {
    /// How many operations go before one that is ready until it rises by a priority.
    pub const PATIENCE: u64 = 16;

    const COUNT: usize = Self::VeryHigh as usize + 1;
}

/// Which of the operations that are ready goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// The most urgent one; see [`Priority`].
    #[default]
    Priority,
    /// The one that became ready first.
    Fifo,
    /// The one that became ready last. As long as newer ones come, an older one waits.
    Lifo,
}

/// An operation that is ready.
#[derive(Debug)]
struct Entry {
    record: Arc<Record>,
    /// How many had gone when it came.
    departures: u64,
}

/// The line of a queue. Stands under the queue's lock.
#[derive(Debug)]
pub(super) struct Line {
    order: Order,
    /// By priority, and then by arrival.
    classes: [BTreeMap<u64, Entry>; Priority::COUNT],
    /// Where an operation stands, by its number.
    places: BTreeMap<u64, (usize, u64)>,
    arrivals: u64,
    departures: u64,
}

impl Line {
    pub(super) fn new(order: Order) -> Self {
        Self { order, classes: Default::default(), places: BTreeMap::new(), arrivals: 0, departures: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Puts an operation into the line, unless it is there.
    pub(super) fn join(&mut self, record: Arc<Record>, priority: Priority) {
        if self.places.contains_key(&record.number) {
            return;
        }
        self.arrivals += 1;
        let entry = Entry { record, departures: self.departures };
        self.insert(self.class(priority), self.arrivals, entry);
    }

    /// Takes an operation out of the line, if it is there.
    pub(super) fn leave(&mut self, number: u64) -> Option<Arc<Record>> {
        self.remove(number).map(|(_, entry)| entry.record)
    }

    /// Gives an operation that is in the line another priority; it keeps its age.
    pub(super) fn move_to(&mut self, number: u64, priority: Priority) {
        if let Some((arrival, entry)) = self.remove(number) {
            self.insert(self.class(priority), arrival, entry);
        }
    }

    /// Takes out the operation that goes first.
    pub(super) fn pop(&mut self) -> Option<Arc<Record>> {
        let number = match self.order {
            Order::Lifo => self.classes.iter().flat_map(BTreeMap::values).next_back(),
            Order::Fifo | Order::Priority => {
                // The first of a class is its oldest, and so the one that has risen furthest.
                let firsts = self.classes.iter().enumerate().filter_map(|(class, line)| {
                    let (arrival, entry) = line.first_key_value()?;
                    let risen = (self.departures - entry.departures) / Priority::PATIENCE;
                    let rank = (class as u64 + risen).min(Priority::VeryHigh as u64);
                    Some((rank, Reverse(arrival), entry))
                });
                firsts.max_by_key(|(rank, arrival, _)| (*rank, *arrival)).map(|(_, _, entry)| entry)
            }
        }
        .map(|entry| entry.record.number)?;
        self.departures += 1;
        self.leave(number)
    }

    /// Without priorities all stand in one class.
    fn class(&self, priority: Priority) -> usize {
        match self.order {
            Order::Priority => priority as usize,
            Order::Fifo | Order::Lifo => Priority::Normal as usize,
        }
    }

    fn insert(&mut self, class: usize, arrival: u64, entry: Entry) {
        self.places.insert(entry.record.number, (class, arrival));
        self.classes[class].insert(arrival, entry);
    }

    fn remove(&mut self, number: u64) -> Option<(u64, Entry)> {
        let (class, arrival) = self.places.remove(&number)?;
        self.classes[class].remove(&arrival).map(|entry| (arrival, entry))
    }
}
