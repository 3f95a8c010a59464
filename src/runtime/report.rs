//! What a runtime says of itself, and how it is told to end.

use std::fmt;
use std::io;
use std::time::Duration;

/// How a runtime ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shutdown {
    /// Run what has been accepted, refuse what comes.
    Drain,
    /// Drop and report what has not started, refuse what comes.
    CancelPending,
}

impl Shutdown {
    /// Waits no longer than `time`. What a drain has not started by then is dropped and reported.
    #[must_use]
    pub fn within(self, time: Duration) -> TimedShutdown {
        TimedShutdown { how: self, time: Some(time) }
    }
}

/// A [`Shutdown`] and how long it may take; from [`Shutdown::within`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedShutdown {
    pub(super) how: Shutdown,
    pub(super) time: Option<Duration>,
}

impl From<Shutdown> for TimedShutdown {
    /// Without a limit: waits for as long as a job runs.
    fn from(how: Shutdown) -> Self {
        Self { how, time: None }
    }
}

/// What became of a runtime's work when it was shut down.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// True if everything that was accepted has run, or was dropped because that was asked for, and nothing runs any
    /// more; but for what threads of the program run in sync calls, or behind them, of which
    /// [`Runtime::shutdown`](super::Runtime::shutdown) knows nothing.
    pub complete: bool,
    /// Jobs that were still running at the deadline. Their threads are left to end by themselves.
    pub still_running: usize,
    /// Labels of suspended queues that hold jobs back. After a drain those jobs run when the queue is resumed, on the thread
    /// that resumes it; they are dropped and reported if the queue goes first. The main queue is among them while jobs wait
    /// for the main thread, or one runs there.
    pub suspended: Vec<String>,
    /// Closures that were dropped unrun since the runtime was built: cancelled, or cut off by a shutdown.
    pub dropped: u64,
    /// Closures that came too late since the runtime was built.
    pub rejected: u64,
    /// Panics that were contained since the runtime was built.
    pub panics: u64,
}

/// A thread that was blocked when its runtime stalled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaitingThread {
    /// The thread's number among the runtime's threads.
    pub number: usize,
    /// What it waits for.
    pub reason: String,
}

/// A stall: every thread of the runtime is blocked, and jobs are queued that might free them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StallReport {
    /// Who waits for what.
    pub waiting: Vec<WaitingThread>,
    /// About how many jobs are queued.
    pub queued: usize,
}

impl fmt::Display for StallReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "all {} threads are blocked and {} jobs are queued:", self.waiting.len(), self.queued)?;
        for thread in &self.waiting {
            write!(f, "\n  thread {} waits for {}", thread.number, thread.reason)?;
        }
        Ok(())
    }
}

/// The system has refused a thread.
#[derive(Debug)]
#[non_exhaustive]
pub struct SpawnFailure<'a> {
    /// What the system said.
    pub error: &'a io::Error,
    /// How many threads the runtime has. With none, a thread that submits runs jobs itself while it waits for them.
    pub live: usize,
}

/// A runtime at a glance. The numbers are read one after the other and may not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Threads that exist, the event loop's and the watch's not counted.
    pub threads: usize,
    /// Threads that run a job or look for one.
    pub awake: usize,
    /// Threads that wait inside a job.
    pub blocked: usize,
    /// Threads that sleep for want of work.
    pub sleeping: usize,
    /// How many threads may be awake at the moment: `threads`, and one more for each that is found blocked.
    pub limit: usize,
    /// Threads started so far.
    pub started: u64,
    /// About how many jobs and drains are queued.
    pub queued: usize,
    /// How often the event loop has been woken, by timers and by descriptors that sources wait for.
    pub event_loop_wakeups: u64,
    /// How many more wake-ups there would have been without leeway.
    pub timer_wakeups_saved: u64,
}
