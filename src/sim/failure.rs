//! How a simulation fails: what it found, in words.

use crate::error::RuntimeError;
use std::fmt;
use std::panic::Location;

/// A simulated program that did not come to its end, and the seed that shows it again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// The seed of the run. The same program with the same seed and settings fails in the same way.
    pub seed: u64,
    /// What happened.
    pub cause: Cause,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "with seed {}: {}", self.seed, self.cause)
    }
}

impl std::error::Error for Failure {}

/// Why a simulated program did not come to its end.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Cause {
    /// Threads wait for ever.
    Deadlock(Deadlock),
    /// The run has taken as many steps as it may. Either the program goes round in circles, or it needs more:
    /// [`Sim::max_steps`](super::Sim::max_steps).
    TooManySteps {
        /// How many steps it has taken.
        steps: usize,
    },
    /// The program panicked. A panic in one of its jobs is contained and goes to the runtime's hook instead.
    Panicked {
        /// The panic's message, or a note that it was not a text.
        message: String,
        /// Where it was raised. `None` if the program has replaced the panic hook since its first simulation.
        location: Option<&'static Location<'static>>,
    },
    /// The runtime could not be built.
    Runtime(RuntimeError),
    /// The system has no thread left for the simulation.
    NoThread {
        /// The operating system's error number.
        errno: i32,
    },
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadlock(deadlock) => deadlock.fmt(f),
            Self::TooManySteps { steps } => {
                write!(f, "the program has not ended after {steps} steps; raise `max_steps` if it is no endless loop")
            }
            Self::Panicked { message, location: Some(location) } => {
                write!(f, "the program panicked at {location}: {message}")
            }
            Self::Panicked { message, location: None } => write!(f, "the program panicked: {message}"),
            Self::Runtime(error) => error.fmt(f),
            Self::NoThread { errno } => write!(f, "no thread is left for the simulation (os error {errno})"),
        }
    }
}

/// Threads that wait for ever: nobody is left to wake them, and no timer and no timeout is pending.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deadlock {
    /// The threads that wait.
    pub waiting: Vec<BlockedThread>,
    /// The labels of the queues whose sync calls wait for each other, the first one again at the end. Empty if the waits
    /// are no such cycle: a semaphore, a group or an event has no owner to wait for.
    pub cycle: Vec<String>,
    /// How many jobs are queued, and have no thread to run on.
    pub queued: usize,
}

/// A thread that waits for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockedThread {
    /// The thread's name; the program itself is called "program".
    pub name: String,
    /// What it waits for, in words.
    pub reason: String,
    /// The labels of the queues that it holds, newest first, if it waits in a sync call.
    pub holds: Vec<String>,
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "deadlock: {} threads wait for ever, and {} jobs are queued", self.waiting.len(), self.queued)?;
        for thread in &self.waiting {
            write!(f, "\n  {} waits for {}", thread.name, thread.reason)?;
        }
        if !self.cycle.is_empty() {
            write!(f, "\n  the cycle: \"{}\"", self.cycle.join("\" -> \""))?;
        }
        Ok(())
    }
}
