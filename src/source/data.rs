//! Sources of values that the program itself merges: sums, bits, latest values, and folds of its own making.

use super::Handle;
use super::Pending;
use super::Source;
use super::SourceBuilder;
use super::delivery::Sealed;
use super::merge::Merge;
use crate::collections::Striped;
use crate::queue::Dispatch;
use crate::sync::Mutex;
use std::fmt;
use std::mem;

/// A kind of source into which the program merges values.
///
/// The trait is sealed: [`Add`], [`Or`], [`Replace`] and [`Merging`] implement it.
pub trait Mergeable: Pending {
    /// What is merged.
    type Merged;

    /// Merges a value; false if that changes nothing.
    #[doc(hidden)]
    fn merge(&self, value: Self::Merged) -> bool;
}

/// Sums: see [`Source::add`].
#[derive(Debug)]
pub struct Add(Striped);

impl Add {
    /// What a handler gets for a sum of 2⁶³ or more: sums saturate here, so every smaller value is exact.
    pub const LIMIT: u64 = Striped::LIMIT;
}

impl Mergeable for Add {
    type Merged = u64;

    #[inline(always)]
    fn merge(&self, value: u64) -> bool {
        if value != 0 {
            self.0.add(value);
        }
        value != 0
    }
}

impl Sealed for Add {}

impl Pending for Add {
    type Value = u64;

    fn take(&self) -> Option<u64> {
        let sum = self.0.take(u64::saturating_add).min(Self::LIMIT);
        (sum != 0).then_some(sum)
    }

    fn close(&self) {}
}

/// Bits: see [`Source::or`].
#[derive(Debug)]
pub struct Or(Striped);

impl Mergeable for Or {
    type Merged = u64;

    #[inline(always)]
    fn merge(&self, value: u64) -> bool {
        if value != 0 {
            self.0.or(value);
        }
        value != 0
    }
}

impl Sealed for Or {}

impl Pending for Or {
    type Value = u64;

    fn take(&self) -> Option<u64> {
        let bits = self.0.take(|a, b| a | b);
        (bits != 0).then_some(bits)
    }

    fn close(&self) {}
}

/// A value that may be there, until the source has ended.
enum Slot<T> {
    Open(Option<T>),
    Closed,
}

impl<T> Slot<T> {
    fn take(&mut self) -> Option<T> {
        match self {
            Self::Open(value) => value.take(),
            Self::Closed => None,
        }
    }
}

/// The latest value: see [`Source::replace`].
pub struct Replace<T>(Mutex<Slot<T>>);

impl<T: Send + 'static> Mergeable for Replace<T> {
    type Merged = T;

    fn merge(&self, value: T) -> bool {
        let mut slot = self.0.lock();
        let refused_or_replaced = match &mut *slot {
            Slot::Open(pending) => pending.replace(value),
            Slot::Closed => Some(value),
        };
        drop(slot);
        // Dropped when the lock is free: it may run anything.
        drop(refused_or_replaced);
        true
    }
}

impl<T> Sealed for Replace<T> {}

impl<T: Send + 'static> Pending for Replace<T> {
    type Value = T;

    fn take(&self) -> Option<T> {
        self.0.lock().take()
    }

    fn close(&self) {
        let pending = mem::replace(&mut *self.0.lock(), Slot::Closed);
        drop(pending);
    }
}

/// A fold of one's own: see [`Source::merging`].
pub struct Merging<M>(Mutex<Slot<M>>);

impl<M: Merge + Send + 'static> Mergeable for Merging<M> {
    type Merged = M;

    fn merge(&self, value: M) -> bool {
        let mut slot = self.0.lock();
        let refused = match &mut *slot {
            Slot::Open(Some(pending)) => {
                pending.merge(value);
                None
            }
            Slot::Open(pending) => pending.replace(value),
            Slot::Closed => Some(value),
        };
        drop(slot);
        drop(refused);
        true
    }
}

impl<M> Sealed for Merging<M> {}

impl<M: Merge + Send + 'static> Pending for Merging<M> {
    type Value = M;

    fn take(&self) -> Option<M> {
        self.0.lock().take()
    }

    fn close(&self) {
        let pending = mem::replace(&mut *self.0.lock(), Slot::Closed);
        drop(pending);
    }
}

impl<T> fmt::Debug for Replace<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replace").finish_non_exhaustive()
    }
}

impl<M> fmt::Debug for Merging<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merging").finish_non_exhaustive()
    }
}

impl Source {
    /// A source that sums up: the handler receives the sum of everything merged since its last call.
    ///
    /// The sum of all values that the handler receives is the sum of all merges. Merging 0 is not an event. A sum that
    /// reaches 2⁶³ stays there and arrives as [`Add::LIMIT`]; what exceeds it is lost. A merge is one atomic addition and
    /// one load. This is libdispatch's `DISPATCH_SOURCE_TYPE_DATA_ADD`, which wraps instead.
    pub fn add(target: &impl Dispatch) -> SourceBuilder<Add> {
        SourceBuilder::new(Add(Striped::new()), target)
    }

    /// A source that collects bits: the handler receives those that were merged since its last call.
    ///
    /// How often a bit was merged, and in which order, is not kept. Merging 0 is not an event. This is libdispatch's
    /// `DISPATCH_SOURCE_TYPE_DATA_OR`.
    pub fn or(target: &impl Dispatch) -> SourceBuilder<Or> {
        SourceBuilder::new(Or(Striped::new()), target)
    }

    /// A source of which only the latest value counts: the handler receives the last one merged since its last call.
    ///
    /// A value that is replaced before it was delivered is dropped by the thread that replaces it. Every value is an
    /// event, also one that equals zero; [`clear`](Source::clear) withdraws one that has not been delivered. libdispatch's
    /// `DISPATCH_SOURCE_TYPE_DATA_REPLACE` takes a 0 for that.
    pub fn replace<T: Send + 'static>(target: &impl Dispatch) -> SourceBuilder<Replace<T>> {
        SourceBuilder::new(Replace(Mutex::new(Slot::Open(None))), target)
    }

    /// A source that folds values by their own rule, in the order in which they arrive: see [`Merge`].
    ///
    /// The handler receives what everything merged since its last call came to. Every value is an event. Nothing is lost
    /// but what the rule drops.
    pub fn merging<M: Merge + Send + 'static>(target: &impl Dispatch) -> SourceBuilder<Merging<M>> {
        SourceBuilder::new(Merging(Mutex::new(Slot::Open(None))), target)
    }
}

impl<K: Mergeable> Source<K> {
    /// Merges a value; the handler will receive what it came to.
    ///
    /// Never runs the handler on the spot and never waits for it. Merges while the handler runs, or while the source or its
    /// target is suspended, fold into one later call; after the source was cancelled they are ignored.
    #[inline]
    pub fn merge(&self, value: K::Merged) {
        self.handle().merge(value);
    }
}

impl<K: Mergeable> Handle<K> {
    /// Merges a value, as [`Source::merge`] does. False if it is ignored, because the source was cancelled or is gone.
    #[inline]
    pub fn merge(&self, value: K::Merged) -> bool {
        let changed = self.delivery().pending().merge(value);
        if changed { self.delivery().knock() } else { !self.has_ended() }
    }
}

impl<T: Send + 'static> Source<Replace<T>> {
    /// Withdraws the value that has not been delivered, if there is one, and gives it back.
    ///
    /// A value that a call of the handler has already taken is not touched.
    pub fn clear(&self) -> Option<T> {
        self.handle().delivery().pending().take()
    }
}

impl<T: Send + 'static> Handle<Replace<T>> {
    /// Withdraws the value that has not been delivered, as [`Source::clear`] does.
    pub fn clear(&self) -> Option<T> {
        self.delivery().pending().take()
    }
}
