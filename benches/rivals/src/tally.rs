//! Counting what has run, so cheaply that it is not what is measured.

use crossbeam_utils::CachePadded;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

static CELLS: Mutex<Vec<&'static AtomicU64>> = Mutex::new(Vec::new());

std::thread_local! {
    static CELL: &'static AtomicU64 = {
        let cell: &'static CachePadded<AtomicU64> = Box::leak(Box::default());
        CELLS.lock().expect("nobody panics in here").push(cell);
        cell
    };
}

/// Adds to the calling thread's own count.
pub(crate) fn add(n: u64) {
    CELL.with(|cell| cell.store(cell.load(Ordering::Relaxed) + n, Ordering::Release));
}

/// The sum of all threads' counts.
pub(crate) fn sum() -> u64 {
    CELLS.lock().expect("nobody panics in here").iter().map(|cell| cell.load(Ordering::Acquire)).sum()
}

/// Waits until so much has been counted since `before`, and panics if it gets more, or if it takes a minute.
pub(crate) fn wait_for(before: u64, total: u64) {
    let start = Instant::now();
    loop {
        match (sum() - before).cmp(&total) {
            std::cmp::Ordering::Less => std::thread::sleep(Duration::from_micros(50)),
            std::cmp::Ordering::Equal => return,
            std::cmp::Ordering::Greater => panic!("more has run than was submitted"),
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{} of {total} have run", sum() - before);
    }
}

/// A count for jobs that run one after another: two that overlap lose one, and the answer is wrong.
#[derive(Default)]
pub(crate) struct Plain(AtomicU64);

impl Plain {
    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed) + n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
