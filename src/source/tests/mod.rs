//! Every promise of a source, against a queue that is stepped by hand ([`life`], [`values`], [`panics`], [`port`], [`stream`]) and
//! against one with two threads ([`threads`]).

mod clock_steps;
mod life;
mod pace;
mod panics;
mod port;
mod queue;
mod stream;
mod threads;
mod values;

use crate::sync::Arc;
use crate::sync::Mutex;

/// What handlers have to say, in order.
struct Log<T>(Arc<Mutex<Vec<T>>>);

impl<T> Log<T> {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Vec::new())))
    }

    fn push(&self, entry: T) {
        self.0.lock().push(entry);
    }

    /// What was said since the last time.
    #[track_caller]
    fn expect<U>(&self, entries: impl IntoIterator<Item = U>)
    where
        T: PartialEq<U> + std::fmt::Debug,
        U: std::fmt::Debug,
    {
        let entries: Vec<U> = entries.into_iter().collect();
        assert_eq!(std::mem::take(&mut *self.0.lock()), entries);
    }

    #[track_caller]
    fn expect_nothing(&self)
    where
        T: std::fmt::Debug,
    {
        let entries = std::mem::take(&mut *self.0.lock());
        assert!(entries.is_empty(), "{entries:?}");
    }
}

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Unwinds as a panic does, without what a panic prints.
fn unwind(message: &'static str) -> ! {
    std::panic::resume_unwind(Box::new(message))
}

/// Says in a log that it was dropped.
struct Droppable<T: Clone>(Log<T>, T);

impl<T: Clone> Drop for Droppable<T> {
    fn drop(&mut self) {
        self.0.push(self.1.clone());
    }
}
