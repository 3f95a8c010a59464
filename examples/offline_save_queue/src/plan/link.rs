//! Whether the server can be reached, and when to try again.

use super::Moment;
use super::jitter::half;
use std::time::Duration;

/// So many failures in a row are no accident any more.
const PATIENCE: u32 = 3;

/// How long to wait after the first failure; twice as long after the second.
const BLINK: Duration = Duration::from_millis(100);

/// The delays between two looks at a server that is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probes {
    pub(crate) first: Duration,
    pub(crate) most: Duration,
}

impl Default for Probes {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), most: Duration::from_secs(30) }
    }
}

/// The way to the server: up, in doubt, or down.
///
/// In doubt it carries one save at a time. Down it carries none, and a probe goes out now and then, at growing
/// intervals: half of each is certain and half of it is chance, so that the clients of a server that comes back do not
/// come all at once.
#[derive(Debug, Default)]
pub(crate) struct Link {
    /// In a row.
    failures: u32,
    /// Nothing goes out before this.
    not_before: Moment,
    is_probing: bool,
}

/// Whether news about the network changed what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Same,
    WentDown,
    CameUp,
}

impl Link {
    pub(crate) fn is_down(&self) -> bool {
        self.failures >= PATIENCE
    }

    /// Whether the last failure may have been an accident.
    pub(crate) fn is_in_doubt(&self) -> bool {
        (1..PATIENCE).contains(&self.failures)
    }

    pub(crate) fn is_probing(&self) -> bool {
        self.is_probing
    }

    /// Whether a save may go out while `in_flight` others have.
    pub(crate) fn may_send(&self, now: Moment, in_flight: usize) -> bool {
        match self.failures {
            0 => true,
            1..PATIENCE => in_flight == 0 && now >= self.not_before,
            PATIENCE.. => false,
        }
    }

    /// Whether a probe is to go out.
    pub(crate) fn may_probe(&self, now: Moment) -> bool {
        self.is_down() && !self.is_probing && now >= self.not_before
    }

    /// When something may go out, if only time is in its way.
    pub(crate) fn opens_at(&self) -> Option<Moment> {
        (self.failures > 0 && !self.is_probing).then_some(self.not_before)
    }

    /// A probe has gone out.
    pub(crate) fn probed(&mut self) {
        self.is_probing = true;
    }

    /// The server has answered.
    pub(crate) fn succeeded(&mut self) -> Turn {
        let was_down = self.is_down();
        *self = Self::default();
        if was_down { Turn::CameUp } else { Turn::Same }
    }

    /// Nobody has answered a save.
    pub(crate) fn failed(&mut self, now: Moment, probes: Probes, rng: &mut fastrand::Rng) -> Turn {
        if self.is_down() {
            // One of several that were on their way together: the probes are on already.
            return Turn::Same;
        }
        self.failures += 1;
        if self.is_down() {
            self.not_before = now + half(probes.first, rng);
            return Turn::WentDown;
        }
        self.not_before = now + half(BLINK * self.failures, rng);
        Turn::Same
    }

    /// Nobody has answered a probe.
    pub(crate) fn probe_failed(&mut self, now: Moment, probes: Probes, rng: &mut fastrand::Rng) {
        if !self.is_probing {
            // A save that was on its way as well has been answered meanwhile, and knows better.
            return;
        }
        self.is_probing = false;
        self.failures = self.failures.saturating_add(1);
        let doublings = (self.failures - PATIENCE).min(20);
        self.not_before = now + half((probes.first * (1 << doublings)).min(probes.most), rng);
    }

    /// Somebody says that the network is back: look at once.
    pub(crate) fn hint(&mut self, now: Moment) {
        self.not_before = self.not_before.min(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rng() -> fastrand::Rng {
        fastrand::Rng::with_seed(1)
    }

    #[test]
    fn three_failures_in_a_row_are_an_outage_and_one_success_ends_it() {
        let (mut link, mut rng, now) = (Link::default(), rng(), Moment::ZERO);
        assert_eq!(link.failed(now, Probes::default(), &mut rng), Turn::Same);
        assert!(link.is_in_doubt());
        assert_eq!(link.succeeded(), Turn::Same);
        for turn in [Turn::Same, Turn::Same, Turn::WentDown, Turn::Same] {
            assert_eq!(link.failed(now, Probes::default(), &mut rng), turn);
        }
        assert!(link.is_down() && !link.may_send(now + Duration::from_secs(9), 0));
        assert_eq!(link.succeeded(), Turn::CameUp);
        assert!(link.may_send(now, 3));
    }

    #[test]
    fn in_doubt_one_save_goes_out_after_a_moment() {
        let (mut link, mut rng, now) = (Link::default(), rng(), Moment::ZERO);
        let _ = link.failed(now, Probes::default(), &mut rng);
        assert!(!link.may_send(now, 0));
        let opens_at = link.opens_at().unwrap();
        assert!(opens_at >= now + BLINK / 2 && opens_at <= now + BLINK);
        assert!(link.may_send(opens_at, 0) && !link.may_send(opens_at, 1));
    }

    #[test]
    fn a_minute_without_a_server_costs_at_most_twelve_attempts() {
        for seed in 0..1_000 {
            let (mut link, mut rng) = (Link::default(), fastrand::Rng::with_seed(seed));
            let (mut now, mut attempts) = (Moment::ZERO, 0);
            while now < Duration::from_secs(60) {
                attempts += 1;
                if link.may_probe(now) {
                    link.probed();
                    link.probe_failed(now, Probes::default(), &mut rng);
                } else {
                    assert!(link.may_send(now, 0));
                    let _ = link.failed(now, Probes::default(), &mut rng);
                }
                now = link.opens_at().unwrap();
            }
            assert!((6..=12).contains(&attempts), "{attempts}");
        }
    }

    #[test]
    fn an_answer_overrules_a_probe_that_is_still_out() {
        let (mut link, mut rng, now) = (Link::default(), rng(), Moment::ZERO);
        for _ in 0..3 {
            let _ = link.failed(now, Probes::default(), &mut rng);
        }
        link.probed();
        assert_eq!(link.succeeded(), Turn::CameUp);
        link.probe_failed(now, Probes::default(), &mut rng);
        assert!(link.may_send(now, 3) && link.opens_at().is_none());
    }

    #[test]
    fn a_hint_brings_the_next_probe_forward_and_never_holds_one_back() {
        let (mut link, mut rng, now) = (Link::default(), rng(), Duration::from_secs(100));
        for _ in 0..3 {
            let _ = link.failed(now, Probes::default(), &mut rng);
        }
        assert!(!link.may_probe(now));
        link.hint(now);
        assert!(link.may_probe(now));
        link.probed();
        assert!(!link.may_probe(now));
        link.probe_failed(now, Probes::default(), &mut rng);
        let due = link.opens_at();
        link.hint(now + Duration::from_secs(50));
        assert_eq!(link.opens_at(), due);
    }
}
