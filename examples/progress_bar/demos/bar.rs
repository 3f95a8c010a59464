//! The bar of the demos: a source whose handler says how far it is, and counts how it was told.

use super::Journal;
use super::PATIENCE;
use concourse::Dispatch;
use concourse::Event;
use concourse::Source;
use concourse::WaitError;
use concourse::source::Add;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::thread::ThreadId;
use std::time::Duration;

/// A bar that is full after so many units.
pub(crate) struct Bar {
    pub(crate) source: Source<Add>,
    delivered: Arc<Mutex<Delivered>>,
    full: Event,
}

/// How the units came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delivered {
    pub(crate) calls: u64,
    pub(crate) total: u64,
    /// The most units in one call.
    pub(crate) largest: u64,
    /// The most calls at the same time.
    pub(crate) at_once: usize,
    pub(crate) threads: HashSet<ThreadId>,
}

impl Bar {
    /// A bar on `target`, which takes the time `drawing` for each step.
    pub(crate) fn new(target: &impl Dispatch, journal: &Journal, units: u64, drawing: Duration) -> Self {
        let (delivered, full) = (Arc::<Mutex<Delivered>>::default(), Event::new());
        let (record, journal, tell, inside) =
            (Arc::clone(&delivered), journal.clone(), full.clone(), AtomicUsize::new(0));
        let source = Source::add(target).on_event(move |value| {
            // Relaxed: a number to look at.
            let at_once = inside.fetch_add(1, Ordering::Relaxed) + 1;
            thread::sleep(drawing);
            let mut record = record.lock();
            record.calls += 1;
            record.total += value;
            record.largest = record.largest.max(value);
            record.at_once = record.at_once.max(at_once);
            record.threads.insert(thread::current().id());
            journal.note(format_args!("progress {:3} %  +{value}", 100 * record.total / units));
            if record.total >= units {
                tell.set();
            }
            inside.fetch_sub(1, Ordering::Relaxed);
        });
        Self { source: source.activate(), delivered, full }
    }

    /// What has come until now.
    pub(crate) fn delivered(&self) -> Delivered {
        self.delivered.lock().clone()
    }

    /// Waits until the bar is full.
    pub(crate) fn wait(&self) -> Result<Delivered, WaitError> {
        self.full.wait_timeout(PATIENCE)?;
        Ok(self.delivered())
    }
}

impl fmt::Display for Delivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calls, total, largest, threads, .. } = self;
        write!(f, "units {total}, calls {calls}, largest +{largest}, threads {}", threads.len())
    }
}
