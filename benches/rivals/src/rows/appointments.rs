//! When each of many jobs was due to begin, and how late it was.

use crate::statistics::percentile;
use crate::tally;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The appointments of jobs that know themselves by number. A job carries the number and a reference, and no times.
pub(super) struct Appointments {
    epoch: Instant,
    /// In nanoseconds: when a job is due, and once it has begun, its delay.
    places: Box<[AtomicU64]>,
    before: u64,
}

impl Appointments {
    /// Places for so many jobs. They are never freed: a job may outlive the measurement.
    pub(super) fn of(jobs: u64) -> &'static Self {
        let places = (0..jobs).map(|_| AtomicU64::new(0)).collect();
        Box::leak(Box::new(Self { epoch: Instant::now(), places, before: tally::sum() }))
    }

    pub(super) fn numbers(&self) -> Range<u64> {
        0..self.places.len() as u64
    }

    pub(super) fn set(&self, number: u64, due: Instant) {
        self.places[number as usize].store((due - self.epoch).as_nanos() as u64, Ordering::Relaxed);
    }

    pub(super) fn due(&self, number: u64) -> Instant {
        self.epoch + Duration::from_nanos(self.places[number as usize].load(Ordering::Relaxed))
    }

    /// To be called by the job as soon as it runs. Panics if that is before its time.
    pub(super) fn keep(&self, number: u64) {
        let delay = Instant::now().checked_duration_since(self.due(number)).expect("no job runs before its time");
        self.places[number as usize].store(delay.as_nanos() as u64, Ordering::Relaxed);
        tally::add(1);
    }

    /// Waits until every job has run. Nothing else may be tallied meanwhile.
    pub(super) fn wait(&self) {
        tally::wait_for(self.before, self.places.len() as u64);
    }

    /// The delay that half of the jobs did not exceed, and the one that 99 of 100 did not, in nanoseconds. All have run.
    pub(super) fn delays(&self) -> [f64; 2] {
        let mut delays: Vec<_> = self.places.iter().map(|place| place.load(Ordering::Relaxed) as f64).collect();
        [0.5, 0.99].map(|part| percentile(&mut delays, part))
    }
}
