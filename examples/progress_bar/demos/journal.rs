//! What a demo says, line by line.

use std::fmt::Display;
use std::io;
use std::io::Write as _;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

/// Takes lines from any thread. Clones are the same journal.
#[derive(Clone)]
pub(crate) struct Journal(Arc<Write>);

type Write = dyn Fn(&dyn Display) + Send + Sync;

impl Journal {
    /// A journal that hands each line to `write`, on the thread that has something to say.
    pub(crate) fn new(write: impl Fn(&dyn Display) + Send + Sync + 'static) -> Self {
        Self(Arc::new(write))
    }

    /// A journal that prints each line, with its time and its thread.
    pub(crate) fn printed() -> Self {
        let started = Instant::now();
        Self::new(move |line| {
            let (thread, time) = (thread::current(), started.elapsed().as_secs_f64());
            // Whoever has closed the other end does not want to see the rest; that is no reason to stop halfway.
            let _ = writeln!(io::stdout(), "{time:7.3} s  {:8}  {line}", thread.name().unwrap_or("-"));
        })
    }

    pub(crate) fn note(&self, line: impl Display) {
        (self.0)(&line);
    }
}
