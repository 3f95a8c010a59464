//! How much of something is done, as a tree of parts.
//!
//! A node counts in units of 2<sup>-40</sup> of its own units, in which the part that a child has done, rounded down to such a
//! unit, times its weight is a whole number. So a node whose children are done is done, and one whose children are not is
//! not; and what a change is worth above is the difference of two numbers that were taken under the node's lock, so that
//! changes of several children add up in any order.

use crate::queue::Dispatch;
use crate::source::Add;
use crate::source::Source;
use crate::sync::Arc;
use crate::sync::Mutex;
use std::fmt;

/// What is all of a node.
const WHOLE: u64 = 1 << 40;

/// Work of which some units are done, directly or by parts of it that count for themselves: Foundation's `Progress`.
///
/// Units only ever become done, and not more than there are. A handle is cheap to clone; all clones are the same node of the
/// tree. Dropping a handle of a part changes nothing.
///
/// ```
/// use concourse::Progress;
///
/// let backup = Progress::new(8);
/// let (files, index) = (backup.child(6, 4_096), backup.child(2, 1));
/// files.add(2_048);
/// assert_eq!((backup.completed(), backup.fraction()), (3, 0.375));
/// files.add(2_048);
/// index.finish();
/// assert!(backup.is_finished());
/// ```
#[derive(Clone)]
pub struct Progress {
    node: Arc<Node>,
}

struct Node {
    total: u64,
    count: Mutex<Count>,
    /// What it is part of, and how many units of that it is worth.
    whole: Option<(Progress, u64)>,
}

struct Count {
    /// What is done.
    done: u128,
    watchers: Vec<Source<Add>>,
}

impl Node {
    /// How much of [`WHOLE`] so much is.
    fn part(&self, done: u128) -> u64 {
        // What is less than everything is less than 2^40 of it.
        let part = done.checked_div(u128::from(self.total)).unwrap_or(u128::from(WHOLE));
        u64::try_from(part).unwrap_or(WHOLE).min(WHOLE)
    }
}

impl Drop for Node {
    /// One after another: a part of a part of a part may go deeper than any stack.
    fn drop(&mut self) {
        let mut whole = self.whole.take();
        while let Some((progress, _)) = whole {
            whole = Arc::into_inner(progress.node).and_then(|mut node| node.whole.take());
        }
    }
}

impl Progress {
    /// So many units, none of them done. Without any, it is done.
    #[must_use]
    pub fn new(total: u64) -> Self {
        Self::part_of(None, total)
    }

    /// A part that is worth so many units of this, and counts `total` of its own.
    ///
    /// The units of all parts together, and those that are [added](Self::add), should come to the total of this; what
    /// exceeds it does not count.
    #[must_use]
    pub fn child(&self, units: u64, total: u64) -> Self {
        let child = Self::part_of(Some((self.clone(), units)), total);
        if total == 0 {
            self.advance(u128::from(units) * u128::from(WHOLE));
        }
        child
    }

    fn part_of(whole: Option<(Self, u64)>, total: u64) -> Self {
        let count = Mutex::new(Count { done: 0, watchers: Vec::new() });
        Self { node: Arc::new(Node { total, count, whole }) }
    }

    /// Says that so many units more are done.
    pub fn add(&self, units: u64) {
        self.advance(u128::from(units) * u128::from(WHOLE));
    }

    /// Says that everything is done.
    pub fn finish(&self) {
        self.add(self.node.total);
    }

    fn advance(&self, more: u128) {
        let (mut node, mut more) = (&*self.node, more);
        loop {
            let (grown, watchers) = {
                let mut count = node.count.lock();
                let before = node.part(count.done);
                count.done = count.done.saturating_add(more).min(u128::from(node.total) * u128::from(WHOLE));
                let grown = node.part(count.done) - before;
                (grown, if grown > 0 { count.watchers.clone() } else { Vec::new() })
            };
            watchers.iter().for_each(|watcher| watcher.merge(grown));
            match &node.whole {
                Some((whole, units)) if grown > 0 => {
                    more = u128::from(grown) * u128::from(*units);
                    node = &whole.node;
                }
                _ => return,
            }
        }
    }

    /// How many units there are.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.node.total
    }

    /// How many units are done, those of parts included. Units of which some is missing do not count.
    #[must_use]
    pub fn completed(&self) -> u64 {
        u64::try_from(self.node.count.lock().done / u128::from(WHOLE)).unwrap_or(u64::MAX)
    }

    /// How much is done, from 0 to 1. It is 1 only if everything is.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        fraction(self.node.part(self.node.count.lock().done))
    }

    /// True if everything is done.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.completed() == self.node.total
    }

    /// Calls `handler` on `queue` with [how much](Self::fraction) is done, when that has changed, and now if it is something.
    ///
    /// Reports are merged by a [`Source::add`]: however often units are added, one call at a time is made, with what has come
    /// together by then, and the last one tells the last state. The handler stays as long as any handle of this node or of
    /// its parts; when the last one goes, what has not been told is not told any more.
    ///
    /// ```
    /// use concourse::{Event, Progress, Queue};
    ///
    /// let (bytes, done) = (Progress::new(1_000_000), Event::new());
    /// let tell = done.clone();
    /// bytes.on_change(&Queue::serial("screen"), move |fraction| {
    ///     println!("{:.0} %", fraction * 100.0);
    ///     if fraction == 1.0 {
    ///         tell.set();
    ///     }
    /// });
    /// for _ in 0..1_000_000 {
    ///     bytes.add(1);
    /// }
    /// done.wait();
    /// ```
    pub fn on_change(&self, queue: &impl Dispatch, mut handler: impl FnMut(f64) + Send + 'static) {
        let mut part = 0;
        let source = Source::add(queue).on_event(move |grown: u64| {
            part += grown;
            handler(fraction(part));
        });
        let source = source.activate();
        let part = {
            let mut count = self.node.count.lock();
            count.watchers.push(source.clone());
            self.node.part(count.done)
        };
        source.merge(part);
    }
}

fn fraction(part: u64) -> f64 {
    // Both are exact: a double has 53 bits.
    part as f64 / WHOLE as f64
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").field("completed", &self.completed()).field("total", &self.total()).finish()
    }
}
