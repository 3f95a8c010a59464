//! What a simulation did, step by step.

use std::fmt;
use std::time::Duration;

/// Where a thread of a simulation stood when another one could go on in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Moment {
    /// It passes a transition of a queue, a source or another shared state.
    Transition,
    /// It has submitted a job.
    Submission,
    /// It waits.
    Wait,
    /// It has no job.
    Rest,
    /// It has ended.
    End,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transition => "passes a transition",
            Self::Submission => "has submitted a job",
            Self::Wait => "waits",
            Self::Rest => "has no job",
            Self::End => "has ended",
        })
    }
}

/// One decision of a simulation: a thread stood at a moment, and the next one was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// The virtual time that had passed since the beginning.
    pub time: Duration,
    /// The number of the thread, in the order in which the simulation started them; the program is number 0.
    pub thread: usize,
    /// Where it stood.
    pub moment: Moment,
}

/// The schedule of one run; from [`Sim::record`](super::Sim::record).
///
/// The same program, seed and settings give an equal trace, on every machine and in every build of the same sources.
/// It shows as one line for each step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trace {
    /// The names of the threads, by number.
    pub threads: Vec<String>,
    /// What happened, in order.
    pub steps: Vec<Step>,
}

impl Trace {
    /// A number that stands for the whole schedule, to be written down and compared.
    #[must_use]
    pub fn digest(&self) -> u64 {
        // FNV-1a, which is the same everywhere; the standard library's hashers do not promise that.
        let numbers = self.steps.iter().flat_map(|step| {
            let nanos = u64::try_from(step.time.as_nanos()).unwrap_or(u64::MAX);
            [nanos, step.thread as u64, step.moment as u64]
        });
        let bytes = numbers.flat_map(u64::to_le_bytes);
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Step { time, thread, moment }) in self.steps.iter().enumerate() {
            let name = self.threads.get(*thread).map_or("?", String::as_str);
            writeln!(f, "{number:>6} {time:>12?} {name} {moment}")?;
        }
        Ok(())
    }
}
