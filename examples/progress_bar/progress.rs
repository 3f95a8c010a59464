//! How far the job is: a plain state that only adds up, and what can be said of it at one moment.

use crate::listing::Total;
use crate::report::Pauses;
use std::time::Duration;

/// What has happened so far, one bit a kind.
pub(crate) mod flag {
    /// Something could not be hashed.
    pub(crate) const FAILED: u64 = 1;
    /// A link was not followed, or a device was left alone.
    pub(crate) const SKIPPED: u64 = 2;
    /// A file had another size when it was read than when it was found.
    pub(crate) const CHANGED: u64 = 4;
}

/// The sums of everything that was reported.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) bytes: u64,
    pub(crate) files: u64,
    pub(crate) flags: u64,
    /// What the listing holds; unknown until the walk has gone through it.
    total: Option<Total>,
    /// The same, counted by somebody who ran ahead of the walk.
    estimate: Option<Total>,
    /// What files turned out to hold more, or less, than the listing said.
    correction: i64,
    /// How many files are hashed at the same time, if fewer than was asked for.
    pub(crate) jobs: Option<usize>,
    paused_at: Option<Duration>,
    /// The pauses that are over.
    pauses: Pauses,
    rate: Rate,
}

impl Progress {
    /// Sets what the listing held when it was gone through, file by file.
    pub(crate) fn set_total(&mut self, total: Total) {
        self.total = Some(total);
    }

    /// Sets what to go by as long as the total is not known.
    pub(crate) fn set_estimate(&mut self, total: Total) {
        self.estimate = Some(total);
    }

    /// Notes that a file is through, and that it held `actual` bytes where the listing had promised `expected`.
    ///
    /// This is what makes every run end at 100 %: files grow, shrink and vanish while they wait for their turn.
    pub(crate) fn correct(&mut self, expected: u64, actual: u64) {
        self.correction = self.correction.wrapping_add(actual.wrapping_sub(expected) as i64);
    }

    /// Notes that the job stands still from now on, `elapsed` after the start.
    pub(crate) fn pause(&mut self, elapsed: Duration) {
        self.paused_at = Some(elapsed);
    }

    /// Notes that the job goes on.
    pub(crate) fn resume(&mut self, elapsed: Duration) {
        if let Some(at) = self.paused_at.take() {
            self.pauses.times += 1;
            self.pauses.time += elapsed.saturating_sub(at);
            self.rate.pass_over(self.bytes, elapsed);
        }
    }

    /// The pauses so far.
    pub(crate) fn pauses(&self) -> Pauses {
        self.pauses
    }

    /// What is known at this moment, `elapsed` after the start.
    pub(crate) fn view(&mut self, elapsed: Duration) -> View {
        // A standstill that is wanted is no speed; but some work may go on in a pause.
        if self.paused_at.is_none() || self.bytes > self.rate.bytes {
            self.rate.note(self.bytes, elapsed);
        }
        let total = self.total.or(self.estimate).map(|total| Total {
            // A count can be out of date for a moment; a bar never shows more than there is.
            files: total.files.max(self.files),
            bytes: total.bytes.saturating_add_signed(self.correction).max(self.bytes),
        });
        View {
            elapsed,
            bytes: self.bytes,
            files: self.files,
            flags: self.flags,
            total,
            rate: self.rate.bytes_per_second(),
            jobs: self.jobs,
            paused: self.paused_at.is_some(),
        }
    }
}

/// One moment of a [`Progress`]: all that a renderer needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct View {
    pub(crate) elapsed: Duration,
    pub(crate) bytes: u64,
    pub(crate) files: u64,
    pub(crate) flags: u64,
    pub(crate) total: Option<Total>,
    /// Bytes a second, as of late.
    pub(crate) rate: f64,
    /// How many files are hashed at the same time, if fewer than was asked for.
    pub(crate) jobs: Option<usize>,
    pub(crate) paused: bool,
}

impl View {
    /// How much is done, in tenths of a percent and rounded down: 1000 is really all.
    pub(crate) fn permille(&self) -> Option<u32> {
        let total = self.total?;
        // Empty files have no bytes to go by.
        let (done, all) = if total.bytes > 0 { (self.bytes, total.bytes) } else { (self.files, total.files) };
        if all == 0 {
            return Some(1000);
        }
        u32::try_from(u128::from(done) * 1000 / u128::from(all)).ok()
    }

    /// How long the rest takes at the present speed, if there is any of both.
    pub(crate) fn eta(&self) -> Option<Duration> {
        let rest = self.total?.bytes - self.bytes;
        if rest == 0 {
            return None;
        }
        Duration::try_from_secs_f64(rest as f64 / self.rate).ok()
    }

    pub(crate) fn has(&self, flag: u64) -> bool {
        self.flags & flag != 0
    }
}

/// A moving average of the speed: a sample's weight falls to a third every [`Rate::MEMORY`].
#[derive(Debug, Default)]
struct Rate {
    /// The weighted sum of speeds, and of weights. Their quotient is exact from the first sample on.
    speed: f64,
    weight: f64,
    bytes: u64,
    at: Duration,
}

impl Rate {
    const MEMORY: Duration = Duration::from_secs(3);

    fn note(&mut self, bytes: u64, at: Duration) {
        let span = at.saturating_sub(self.at).as_secs_f64();
        if span == 0.0 {
            return;
        }
        let kept = (-span / Self::MEMORY.as_secs_f64()).exp();
        let speed = (bytes - self.bytes) as f64 / span;
        self.speed = self.speed * kept + speed * (1.0 - kept);
        self.weight = self.weight * kept + (1.0 - kept);
        (self.bytes, self.at) = (bytes, at);
    }

    /// Leaves out the time until `at`, unless bytes have come in it.
    fn pass_over(&mut self, bytes: u64, at: Duration) {
        if bytes == self.bytes {
            self.at = at;
        }
    }

    fn bytes_per_second(&self) -> f64 {
        if self.weight == 0.0 { 0.0 } else { self.speed / self.weight }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A moment for tests that draw it.
    pub(crate) fn view(bytes: u64, files: u64, total: Option<Total>, elapsed: Duration) -> View {
        Progress { bytes, files, total, ..Progress::default() }.view(elapsed)
    }

    fn seconds(s: f64) -> Duration {
        Duration::from_secs_f64(s)
    }

    #[test]
    fn nothing_is_said_of_a_total_that_is_not_known() {
        let view = Progress { bytes: 5, ..Progress::default() }.view(seconds(1.0));
        assert_eq!((view.permille(), view.eta(), view.total), (None, None, None));
    }

    #[test]
    fn the_bar_ends_at_100_percent_whatever_files_do_meanwhile() {
        let mut progress = Progress::default();
        progress.set_total(Total { files: 4, bytes: 100 + 100 + 100 + 7 });
        for (expected, actual) in [(100, 150), (100, 30), (100, 0), (7, 7)] {
            progress.bytes += actual;
            assert!(progress.view(seconds(1.0)).permille() < Some(1000) || expected == 7);
            progress.files += 1;
            progress.correct(expected, actual);
        }
        let view = progress.view(seconds(2.0));
        assert_eq!(view.permille(), Some(1000));
        assert_eq!(view.total, Some(Total { files: 4, bytes: 187 }));
        assert_eq!(view.eta(), None);
    }

    #[test]
    fn percents_are_rounded_down_and_empty_files_count_as_files() {
        let mut progress = Progress { bytes: 99_999, ..Progress::default() };
        progress.set_total(Total { files: 2, bytes: 100_000 });
        assert_eq!(progress.view(seconds(1.0)).permille(), Some(999));

        let mut progress = Progress { files: 1, ..Progress::default() };
        progress.set_total(Total { files: 2, bytes: 0 });
        assert_eq!(progress.view(seconds(1.0)).permille(), Some(500));

        let mut nothing = Progress::default();
        nothing.set_total(Total::default());
        assert_eq!(nothing.view(seconds(1.0)).permille(), Some(1000));
    }

    #[test]
    fn a_count_that_is_out_of_date_never_shows_more_than_all() {
        let mut progress = Progress { bytes: 10, files: 2, ..Progress::default() };
        progress.set_total(Total { files: 1, bytes: 5 });
        let view = progress.view(seconds(1.0));
        assert_eq!(view.total, Some(Total { files: 2, bytes: 10 }));
        assert_eq!(view.permille(), Some(1000));
    }

    #[test]
    fn an_estimate_gives_way_to_the_total_even_if_it_comes_later() {
        let (estimate, total) = (Total { files: 5, bytes: 50 }, Total { files: 6, bytes: 60 });
        let mut progress = Progress::default();
        progress.set_estimate(estimate);
        assert_eq!(progress.view(seconds(1.0)).total, Some(estimate));
        progress.set_total(total);
        progress.set_estimate(estimate);
        assert_eq!(progress.view(seconds(1.0)).total, Some(total));
    }

    #[test]
    fn a_steady_speed_is_exact_from_the_first_sample_and_a_new_one_takes_over() {
        let mut progress = Progress::default();
        progress.set_total(Total { files: 1, bytes: 100_000 });
        for step in 1..=20_u32 {
            progress.bytes = u64::from(step) * 100;
            let view = progress.view(seconds(0.1) * step);
            assert!((view.rate - 1000.0).abs() < 1e-6, "{view:?}");
        }
        let eta = progress.view(seconds(2.0)).eta().unwrap();
        assert!((eta.as_secs_f64() - 98.0).abs() < 1e-6, "{eta:?}");
        // After one span of memory at twice the speed, about two thirds of the way are made, a little more as the past
        // was short.
        for step in 1..=30_u32 {
            progress.bytes += 200;
            progress.view(seconds(2.0) + seconds(0.1) * step);
        }
        let rate = progress.view(seconds(5.0)).rate;
        assert!((1630.0..1850.0).contains(&rate), "{rate}");
    }

    #[test]
    fn pauses_are_added_up_and_do_not_slow_the_speed() {
        let mut progress = Progress { bytes: 1000, ..Progress::default() };
        assert_eq!(progress.view(seconds(1.0)).rate, 1000.0);
        progress.pause(seconds(1.5));
        // Twice is once: the pause has begun already.
        assert!(progress.view(seconds(2.0)).paused);
        progress.resume(seconds(11.0));
        progress.resume(seconds(12.0));
        progress.bytes += 1000;
        let view = progress.view(seconds(12.0));
        assert!(!view.paused && (999.0..1001.0).contains(&view.rate), "{view:?}");
        progress.pause(seconds(13.0));
        // The work goes on beside this pause, and has its speed.
        progress.bytes += 3000;
        progress.resume(seconds(15.0));
        assert!((900.0..1010.0).contains(&progress.view(seconds(15.0)).rate), "{:?}", progress.rate);
        assert_eq!(progress.pauses(), Pauses { times: 2, time: seconds(11.5) });
    }

    #[test]
    fn a_standstill_has_no_eta() {
        let mut progress = Progress::default();
        progress.set_total(Total { files: 1, bytes: 10 });
        assert_eq!(progress.view(seconds(1.0)).eta(), None);
        assert_eq!(progress.view(seconds(1.0)).rate, 0.0);
    }
}
