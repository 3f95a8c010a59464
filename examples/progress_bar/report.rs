//! What a run came to: the figures of its last line, and its exit code.

use crate::text;
use std::fmt;
use std::time::Duration;

/// What became of the files. Only the printer counts here, on its own queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Results {
    /// Files that were hashed, or verified.
    pub(crate) files: u64,
    /// Bytes that went through a hasher, also of files that failed later on.
    pub(crate) bytes: u64,
    /// How often a worker merged into the byte source.
    pub(crate) merges: u64,
    /// Names that could not be hashed, or not be looked up.
    pub(crate) failed: u64,
    /// Files whose digest is not the one that was expected.
    pub(crate) mismatched: u64,
}

impl Results {
    /// 0, 1 if anything failed, 3 if a check did not match.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self { mismatched: 1.., .. } => 3,
            Self { failed: 1.., .. } => 1,
            _ => 0,
        }
    }
}

/// What the byte source delivered, and what was drawn of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Deliveries {
    pub(crate) calls: u64,
    pub(crate) sum: u64,
    pub(crate) largest: u64,
    pub(crate) redraws: u64,
}

impl Deliveries {
    pub(crate) fn note(&mut self, value: u64) {
        self.calls += 1;
        self.sum += value;
        self.largest = self.largest.max(value);
    }
}

/// How often the job stood still because somebody wanted it to, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pauses {
    pub(crate) times: u64,
    pub(crate) time: Duration,
}

/// Everything there is to say in the end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Summary {
    pub(crate) elapsed: Duration,
    pub(crate) results: Results,
    pub(crate) deliveries: Deliveries,
    pub(crate) pauses: Pauses,
    /// Somebody has ended the job before it was done.
    pub(crate) cancelled: bool,
}

impl Summary {
    pub(crate) fn bytes_per_second(&self) -> f64 {
        per_second(self.results.bytes, self.elapsed)
    }

    /// Merges per handler call.
    pub(crate) fn coalescing(&self) -> f64 {
        self.results.merges as f64 / self.deliveries.calls.max(1) as f64
    }
}

fn per_second(n: u64, elapsed: Duration) -> f64 {
    n as f64 / elapsed.as_secs_f64().max(1e-9)
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { elapsed, results, deliveries, pauses, cancelled } = self;
        write!(f, "{} files  {}  ", text::count(results.files), text::bytes(results.bytes))?;
        write!(f, "{}  {}", text::duration(*elapsed), text::rate(self.bytes_per_second()))?;
        if results.failed > 0 {
            write!(f, "  {} failed", text::count(results.failed))?;
        }
        if results.mismatched > 0 {
            write!(f, "  {} did NOT match", text::count(results.mismatched))?;
        }
        if *cancelled {
            write!(f, "  cancelled")?;
        }
        write!(f, " | merges {}", text::count(results.merges))?;
        write!(f, " · handler calls {}", text::count(deliveries.calls))?;
        write!(f, " · redraws {} ", text::count(deliveries.redraws))?;
        write!(f, "({:.1}/s)", per_second(deliveries.redraws, *elapsed))?;
        write!(f, " · coalescing {:.0}:1", self.coalescing())?;
        write!(f, " · largest merge {}", text::bytes(deliveries.largest))?;
        if pauses.times > 0 {
            write!(f, " · paused {}× {}", text::count(pauses.times), text::duration(pauses.time))?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn example() -> Summary {
        let gib = 1 << 30;
        Summary {
            elapsed: Duration::from_millis(8100),
            results: Results { files: 4213, bytes: 12 * gib, merges: 51_902, failed: 0, mismatched: 0 },
            deliveries: Deliveries { calls: 81, sum: 12 * gib, largest: 212 << 20, redraws: 81 },
            pauses: Pauses::default(),
            cancelled: false,
        }
    }

    #[test]
    fn the_summary_is_one_line() {
        assert_eq!(
            example().to_string(),
            "4 213 files  12.0 GiB  8.1 s  1.5 GiB/s | merges 51 902 · handler calls 81 · redraws 81 (10.0/s) \
             · coalescing 641:1 · largest merge 212.0 MiB"
        );
    }

    #[test]
    fn the_summary_names_what_went_wrong() {
        let results = Results { failed: 2, mismatched: 1, ..example().results };
        assert!(Summary { results, ..example() }.to_string().contains("1.5 GiB/s  2 failed  1 did NOT match | merges"));
    }

    #[test]
    fn the_summary_names_pauses_and_a_cancellation() {
        let pauses = Pauses { times: 3, time: Duration::from_millis(4200) };
        let text = Summary { pauses, cancelled: true, ..example() }.to_string();
        assert!(text.contains("1.5 GiB/s  cancelled | merges"), "{text}");
        assert!(text.ends_with("largest merge 212.0 MiB · paused 3× 4.2 s"), "{text}");
    }

    #[test]
    fn a_run_without_a_byte_has_a_summary_too() {
        let (results, deliveries) = (Results::default(), Deliveries::default());
        let nothing = Summary { elapsed: Duration::ZERO, results, deliveries, ..example() };
        assert!(nothing.to_string().starts_with("0 files  0 B  0.0 s  0 B/s | merges 0"));
    }

    #[test]
    fn the_worst_that_happened_decides_the_exit_code() {
        let code = |failed, mismatched| Results { failed, mismatched, ..Results::default() }.exit_code();
        assert_eq!([code(0, 0), code(1, 0), code(0, 1), code(7, 7)], [0, 1, 3, 3]);
    }
}
