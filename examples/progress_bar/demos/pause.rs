//! Demo 4: how to pause work whose progress is shown. Suspending the queue stops the work, after the step that runs.
//! Suspending the source stops only the bar: the work goes on, and the bar jumps when it is resumed.
//!
//! The original also has a flag that steps look at, and that is set before the queue is suspended. A step that begins
//! in between gives up and is lost. Nothing else than suspension is needed, and nothing is lost by it.

use super::Journal;
use super::Outcome;
use super::PATIENCE;
use super::bar::Bar;
use super::bar::Delivered;
use concourse::Queue;
use concourse::Runtime;
use concourse::Semaphore;
use concourse::SuspendError;
use concourse::SuspendGuard;
use concourse::WaitError;
use concourse::source::Add;
use concourse::source::SuspendedSource;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

const STEPS: u64 = 100;
const STEP: Duration = Duration::from_millis(20);
/// The pause comes in this step, and is as long as so many.
const PAUSED_IN: u64 = 30;
const PAUSED_FOR: u32 = 10;

/// What is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paused {
    Both,
    Queue,
    Source,
}

/// Steps on a serial queue, each of which merges a unit into a bar.
pub(crate) struct Work {
    queue: Queue,
    pub(crate) bar: Bar,
    begun: Arc<AtomicU64>,
    /// Has a permit for each step that has begun.
    beginnings: Semaphore,
}

/// Ends when it is dropped. Each of several pauses at the same time has to end.
pub(crate) struct Pause {
    _queue: Option<SuspendGuard>,
    _source: Option<SuspendedSource<Add>>,
}

impl Work {
    pub(crate) fn start(runtime: &Runtime, journal: &Journal, steps: u64, step: Duration) -> Self {
        let queue = runtime.serial("work");
        let bar = Bar::new(&runtime.serial("main"), journal, steps, Duration::ZERO);
        let (begun, beginnings) = (Arc::new(AtomicU64::new(0)), Semaphore::new(0));
        for _ in 0..steps {
            let (source, begun, beginnings) = (bar.source.clone(), Arc::clone(&begun), beginnings.clone());
            queue.exec_async(move || {
                // Relaxed: a number to look at.
                begun.fetch_add(1, Ordering::Relaxed);
                beginnings.signal();
                source.merge(1);
                thread::sleep(step);
            });
        }
        Self { queue, bar, begun, beginnings }
    }

    pub(crate) fn pause(&self, paused: Paused) -> Result<Pause, SuspendError> {
        Ok(Pause {
            _queue: if paused == Paused::Source { None } else { Some(self.queue.suspend_guard()?) },
            _source: if paused == Paused::Queue { None } else { Some(self.bar.source.suspend_guard()?) },
        })
    }

    /// How many steps have begun.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Waits until so many steps have begun.
    pub(crate) fn wait_for(&self, steps: u64) -> Result<(), WaitError> {
        while self.begun() < steps {
            self.beginnings.wait_timeout(PATIENCE)?;
        }
        Ok(())
    }
}

/// What went on during the pause, and how the units came in all.
#[derive(Debug)]
pub(crate) struct Interrupted {
    /// Steps that began.
    pub(crate) begun: u64,
    /// Times that the bar was drawn.
    pub(crate) drawn: u64,
    pub(crate) delivered: Delivered,
}

pub(crate) fn play(runtime: &Runtime, journal: &Journal) -> Outcome<()> {
    for paused in [Paused::Both, Paused::Queue, Paused::Source] {
        let Interrupted { begun, drawn, delivered } = run(runtime, journal, paused)?;
        journal.note(format_args!("paused: {paused:?}, meanwhile begun {begun}, drawn {drawn}, {delivered}"));
    }
    Ok(())
}

/// Takes the steps, and makes one pause.
pub(crate) fn run(runtime: &Runtime, journal: &Journal, paused: Paused) -> Outcome<Interrupted> {
    let work = Work::start(runtime, journal, STEPS, STEP);
    work.wait_for(PAUSED_IN)?;
    let pause = work.pause(paused)?;
    journal.note("pause");
    let (begun, drawn) = (work.begun(), work.bar.delivered().calls);
    if paused == Paused::Source {
        work.wait_for(STEPS.min(begun + u64::from(PAUSED_FOR)))?;
    } else {
        thread::sleep(STEP * PAUSED_FOR);
    }
    let (begun, drawn) = (work.begun() - begun, work.bar.delivered().calls - drawn);
    journal.note("resume");
    drop(pause);
    Ok(Interrupted { begun, drawn, delivered: work.bar.wait()? })
}
