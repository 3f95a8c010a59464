//! A limit on bytes a second, shared by all workers.

use crate::gate::Gate;
use parking_lot::Mutex;
use std::time::Duration;
use std::time::Instant;

/// Books time for bytes, one after the other: whoever has read a chunk waits until its booked time is over.
pub(crate) struct Throttle {
    bytes_per_second: f64,
    free_at: Mutex<Instant>,
}

impl Throttle {
    pub(crate) fn new(bytes_per_second: f64) -> Self {
        Self { bytes_per_second, free_at: Mutex::new(Instant::now()) }
    }

    /// Waits as long as `bytes` take at this speed, behind everything that others have booked, unless the job is
    /// cancelled meanwhile.
    pub(crate) fn pay(&self, bytes: u64, gate: &Gate) {
        gate.rest(self.book(bytes, Instant::now()));
    }

    /// A chunk that takes about a tenth of a second, so that even a slow bar moves.
    pub(crate) fn chunk(&self, largest: usize) -> usize {
        ((self.bytes_per_second / 10.0) as usize).clamp(1024, largest)
    }

    fn book(&self, bytes: u64, now: Instant) -> Duration {
        let mut free_at = self.free_at.lock();
        // Time that nobody used is not saved up: the limit holds in every second, not on average.
        *free_at = (*free_at).max(now) + Duration::from_secs_f64(bytes as f64 / self.bytes_per_second);
        *free_at - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bookings_queue_up_and_idle_time_is_not_saved() {
        let throttle = Throttle::new(1000.0);
        let start = Instant::now() + Duration::from_secs(1);
        let second = Duration::from_secs(1);
        assert_eq!(throttle.book(500, start), second / 2);
        assert_eq!(throttle.book(1500, start), 2 * second);
        assert_eq!(throttle.book(1000, start + second), 2 * second);
        assert_eq!(throttle.book(1000, start + 60 * second), second);
    }

    #[test]
    fn a_slow_limit_makes_small_chunks() {
        assert_eq!(Throttle::new(100_000.0).chunk(512 * 1024), 10_000);
        assert_eq!(Throttle::new(1.0).chunk(512 * 1024), 1024);
        assert_eq!(Throttle::new(1e12).chunk(512 * 1024), 512 * 1024);
    }
}
