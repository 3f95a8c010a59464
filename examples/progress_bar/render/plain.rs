//! A line now and then, for logs and pipes.

use super::Render;
use super::caption;
use crate::listing::Failure;
use crate::progress::View;
use crate::report::Summary;
use std::io;
use std::time::Duration;

/// A job that is over sooner than this says nothing at all, unless something fails.
const QUIET: Duration = Duration::from_secs(2);

/// Writes a line every `every`, and one at each tenth of the job.
pub(super) struct Plain<W> {
    out: W,
    every: Duration,
    next_at: Duration,
    next_tenth: u32,
    /// Whether the last line said so.
    paused: bool,
}

impl<W: io::Write> Plain<W> {
    pub(super) fn new(out: W, every: Duration) -> Self {
        Self { out, every, next_at: every, next_tenth: 1, paused: false }
    }

    fn is_due(&self, view: &View) -> bool {
        // The last tenth is left to the end: all bytes can be there while files are still being closed.
        let tenth = (view.permille().unwrap_or(0) / 100).min(9);
        view.elapsed >= QUIET && (view.elapsed >= self.next_at || tenth >= self.next_tenth)
    }

    fn write(&mut self, view: &View) {
        self.next_at = view.elapsed + self.every;
        self.next_tenth = view.permille().unwrap_or(0) / 100 + 1;
        self.paused = view.paused;
        super::write_line(&mut self.out, caption::line(view));
    }
}

impl<W: io::Write + Send> Render for Plain<W> {
    fn draw(&mut self, view: &View) {
        // A pause is told at once, and so is its end: nothing else would say why there are no lines.
        if self.is_due(view) || view.paused != self.paused {
            self.write(view);
        }
    }

    fn status(&mut self, view: &View) {
        self.write(view);
    }

    fn complain(&mut self, failure: &Failure) {
        super::complain(&mut self.out, failure);
    }

    fn finish(&mut self, view: &View, summary: &Summary) {
        if view.elapsed >= QUIET {
            self.write(view);
            super::write_line(&mut self.out, summary);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::Total;
    use crate::progress;

    fn lines(plain: &Plain<Vec<u8>>) -> Vec<String> {
        String::from_utf8(plain.out.clone()).unwrap().lines().map(String::from).collect()
    }

    fn view(bytes: u64, total: Option<u64>, elapsed: f64) -> View {
        let total = total.map(|bytes| Total { files: 1, bytes });
        progress::tests::view(bytes, 0, total, Duration::from_secs_f64(elapsed))
    }

    #[test]
    fn a_short_job_says_nothing() {
        let mut plain = Plain::new(Vec::new(), Duration::from_secs(5));
        for step in 0..10 {
            plain.draw(&view(step * 100, Some(1000), 0.19 * step as f64));
        }
        plain.finish(&view(1000, Some(1000), 1.999), &crate::report::tests::example());
        assert_eq!(lines(&plain), Vec::<String>::new());
    }

    #[test]
    fn a_long_job_says_each_tenth_and_its_end_once() {
        let mut plain = Plain::new(Vec::new(), Duration::from_secs(1000));
        for step in 0..=100 {
            plain.draw(&view(step * 10, Some(1000), 2.0 + 0.1 * step as f64));
        }
        plain.finish(&view(1000, Some(1000), 12.1), &crate::report::tests::example());
        let lines = lines(&plain);
        let percents: Vec<_> = lines[..10].iter().map(|line| line.split('.').next().unwrap()).collect();
        assert_eq!(percents, ["10", "20", "30", "40", "50", "60", "70", "80", "90", "100"]);
        assert!(lines[10].starts_with("4 213 files"));
        assert_eq!(lines.len(), 11);
    }

    #[test]
    fn a_slow_job_says_something_every_few_seconds() {
        let mut plain = Plain::new(Vec::new(), Duration::from_secs(5));
        for tenth in 0..=200 {
            plain.draw(&view(1, Some(1_000_000), 0.1 * tenth as f64));
        }
        assert_eq!(lines(&plain).len(), 4);
        let mut plain = Plain::new(Vec::new(), Duration::from_secs(5));
        plain.draw(&view(5120, None, 5.0));
        assert_eq!(lines(&plain), ["counting  5.0 KiB · 0 files · 1.0 KiB/s"]);
    }

    #[test]
    fn a_pause_its_end_and_what_is_asked_for_are_told_at_once() {
        let mut plain = Plain::new(Vec::new(), Duration::from_secs(5));
        let running = view(500, Some(1000), 1.0);
        let paused = View { paused: true, ..running };
        for view in [running, paused, paused, running, running] {
            plain.draw(&view);
        }
        plain.status(&View { jobs: Some(1), ..running });
        let lines = lines(&plain);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(
            lines[0].ends_with("paused") && lines[1].ends_with("s left") && lines[2].ends_with("1 job"),
            "{lines:?}"
        );
    }

    #[test]
    fn a_failure_is_told_at_once_and_the_end_is_told_even_if_no_tenth_was_due() {
        let mut plain = Plain::new(Vec::new(), Duration::from_secs(5));
        plain.complain(&Failure::new("a\u{1b}b".as_ref(), "gone"));
        plain.finish(&view(10, Some(10), 3.0), &crate::report::tests::example());
        let lines = lines(&plain);
        assert_eq!(lines[0], "progress_bar: a\\u{1b}b: gone");
        assert!(lines[1].starts_with("100.0 %  10 B of 10 B"), "{lines:?}");
        assert_eq!(lines.len(), 3);
    }
}
