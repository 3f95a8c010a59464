//! Demo 6: a semaphore of 1 as the lock of a list. Many jobs of a concurrent queue append to it, and a barrier behind
//! them counts what is there.
//!
//! Without the semaphore the original crashes or has lost some. Here whoever comes to the list while another is there
//! is turned away, and counted too.

use super::Journal;
use super::Outcome;
use super::PATIENCE;
use concourse::Event;
use concourse::Runtime;
use concourse::Semaphore;
use parking_lot::Mutex;
use std::hint;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

/// What the barrier found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) appended: usize,
    pub(crate) turned_away: usize,
}

/// A list that nobody may touch while another does.
#[derive(Default)]
struct List {
    numbers: Mutex<Vec<usize>>,
    turned_away: AtomicUsize,
}

impl List {
    fn append(&self, number: usize) {
        match self.numbers.try_lock() {
            Some(mut numbers) => {
                numbers.push(number);
                // Long enough to be met at.
                (0..50).for_each(|_| hint::spin_loop());
            }
            // Relaxed: the barrier comes after it.
            None => _ = self.turned_away.fetch_add(1, Ordering::Relaxed),
        }
    }

    fn count(&self) -> Counted {
        let turned_away = self.turned_away.load(Ordering::Relaxed);
        Counted { appended: self.numbers.lock().len(), turned_away }
    }
}

pub(crate) fn play(runtime: &Runtime, journal: &Journal) -> Outcome<()> {
    for (what, semaphore) in [("with", Some(Semaphore::new(1))), ("without", None)] {
        let Counted { appended, turned_away } = run(runtime, 100_000, semaphore)?;
        journal.note(format_args!("{what} the semaphore: {appended} appended, {turned_away} turned away"));
    }
    Ok(())
}

/// Lets so many jobs append, each with a permit if there is a semaphore.
pub(crate) fn run(runtime: &Runtime, jobs: usize, semaphore: Option<Semaphore>) -> Outcome<Counted> {
    let queue = runtime.concurrent("append");
    let shared = Arc::new((List::default(), semaphore));
    for number in 0..jobs {
        let shared = Arc::clone(&shared);
        queue.exec_async(move || {
            let (list, semaphore) = &*shared;
            let _permit = semaphore.as_ref().map(Semaphore::acquire);
            list.append(number);
        });
    }
    let (told, counted) = (Event::new(), Arc::new(Mutex::new(None)));
    let (tell, found) = (told.clone(), Arc::clone(&counted));
    queue.barrier_async(move || {
        *found.lock() = Some(shared.0.count());
        tell.set();
    });
    told.wait_timeout(PATIENCE)?;
    let counted = counted.lock().take();
    counted.ok_or_else(|| "the barrier has counted nothing".into())
}
