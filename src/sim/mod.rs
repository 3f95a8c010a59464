//! A whole program from one seed: one thread at a time, in virtual time, and the same again whenever it is asked for.
//!
//! A simulation runs a program that is written against a [`Runtime`] on threads of its own, of which one
//! acts at a time. Wherever threads meet (a submission, a wait, a merge, a transition of a queue, a semaphore, a
//! group, an event or a source) the seed decides who acts next. Most bugs of a concurrent program need a certain order of a
//! few such steps. Under a simulation another seed is another order, and a seed that has found one finds it again.
//!
//! ```
//! use concourse::sim::Cause;
//! use concourse::{Queue, Runtime, Sim};
//!
//! /// Works, unless both threads have taken their first queue before either takes its second.
//! fn transfers(runtime: &Runtime) {
//!     let (from, to) = (runtime.serial("from"), runtime.serial("to"));
//!     let (other_from, other_to) = (from.clone(), to.clone());
//!     runtime.global(Default::default()).exec_async(move || other_to.exec_sync(|| other_from.exec_sync(|| ())));
//!     from.exec_sync(|| to.exec_sync(|| ()));
//! }
//!
//! // On the machine this fails one day. Here it fails now, and names the queues.
//! let failure = (0..1_000).find_map(|seed| Sim::seeded(seed).run(transfers).err()).expect("one seed in a thousand");
//! let Cause::Deadlock(deadlock) = &failure.cause else { panic!("{failure}") };
//! assert!(deadlock.cycle.contains(&"from".to_owned()), "{failure}");
//!
//! // The seed shows it again.
//! assert!(Sim::seeded(failure.seed).run(transfers).is_err());
//! ```
//!
//! # Time
//!
//! Time stands still while any thread can go on, and jumps to the next deadline when all of them wait. An hour passes at
//! once. [`Deadline::now`](crate::Deadline::now), timers, `after` and timeouts count in it; the standard library's clocks
//! do not. A program that looks at the time until it has passed, and does not wait, goes round for ever, and is
//! reported when it has taken too many steps.
//!
//! # What a program must keep to
//!
//! - It uses the runtime that it is given, and no other: not [`Queue::serial`](crate::Queue::serial) but
//!   [`Runtime::serial`].
//! - It starts no threads. Work that shall overlap belongs on a queue. A thread that is not part of the simulation and
//!   submits to it panics.
//! - It holds no lock of its own across a call into this crate: another thread would wait for the lock, which the
//!   simulation does not see, and nobody would go on.
//! - What it asks of the world outside (the standard library's clocks, files, random numbers, the order of a `HashMap`) is
//!   not part of the seed.
//!
//! A blocking call in a job, also one inside [`blocking`](crate::blocking), holds up the whole simulation, and costs real
//! time but no virtual one.
//!
//! # What it does not find
//!
//! A simulation sees every order of the steps above, but not a weak memory order, and no bug that needs a thread to
//! stop between two of them. The model checkers that this crate is tested with look for those.

mod crew;
mod cycle;
mod failure;
mod jobs;
mod random;
mod seat;
mod stage;
mod trace;

pub use failure::BlockedThread;
pub use failure::Cause;
pub use failure::Deadlock;
pub use failure::Failure;
pub use trace::Moment;
pub use trace::Step;
pub use trace::Trace;

use crate::error::RuntimeError;
use crate::event_loop::EventLoop;
use crate::job;
use crate::job::Panic;
use crate::runtime::Runtime;
use crate::runtime::RuntimeBuilder;
use crate::runtime::note_panic_locations_once;
use crate::sync::Arc;
use crate::sync::Mutex;
use crew::Crew;
use stage::Ending;
use stage::Role;
use stage::Stage;

/// How many threads a simulated runtime has unless its builder says otherwise: as many on every machine.
const THREADS: usize = 2;

/// How many steps a simulation may take unless it is told otherwise.
const MAX_STEPS: usize = 1_000_000;

/// A simulation to run a program in. See the [module](crate::sim).
///
/// ```
/// use concourse::{Dispatch, Event, Sim};
/// use std::time::Duration;
///
/// let slept = Sim::seeded(42).run(|runtime| {
///     let morning = Event::new();
///     let alarm = morning.clone();
///     let _ = runtime.serial("clock").after(Duration::from_secs(8 * 3600), move || alarm.set())?;
///     morning.wait();
///     Ok::<_, concourse::TimerError>("well")
/// })?;
/// assert_eq!(slept, Ok("well"));
/// # Ok::<(), concourse::sim::Failure>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a simulation does nothing until `run` is called"]
pub struct Sim {
    seed: u64,
    max_steps: usize,
    runtime: RuntimeBuilder,
}

impl Sim {
    /// A simulation in which this seed decides. Every seed is as good as any other.
    pub fn seeded(seed: u64) -> Self {
        Self { seed, max_steps: MAX_STEPS, runtime: Runtime::builder() }
    }

    /// Settles how the program's runtime is built: its threads, limits and hooks.
    ///
    /// `threads` is 2 if the builder does not say. The simulated threads take their jobs in any order, and spare ones
    /// stay until the end; `nice_levels`, `spare_idle`, `stall_policy`, `on_stall` and `on_spawn_failure` have no meaning here.
    pub fn runtime(mut self, builder: RuntimeBuilder) -> Self {
        self.runtime = builder;
        self
    }

    /// How many steps the program may take, one million by default. A program that has not ended then has failed.
    pub fn max_steps(mut self, steps: usize) -> Self {
        self.max_steps = steps;
        self
    }

    /// Runs `program`, drops the runtime as [`Runtime`] says, and returns the program's value once all threads have ended.
    ///
    /// After a deadlock or too many steps the threads of the simulation can never end. They stay as they are, asleep, with
    /// all that they hold, until the process ends: a few threads and their stacks for each failure.
    ///
    /// # Errors
    ///
    /// [`Failure`], with the seed, if the program panics, its threads come to wait for each other for ever, it takes too many
    /// steps, the runtime cannot be built, or the system refuses a thread.
    pub fn run<T, F>(self, program: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&Runtime) -> T + Send + 'static,
    {
        self.record(program).0
    }

    /// As [`run`](Self::run), and also returns what happened, step by step.
    ///
    /// ```
    /// use concourse::{Runtime, Sim};
    ///
    /// fn program(runtime: &Runtime) {
    ///     let queue = runtime.serial("work");
    ///     queue.exec_async(|| ());
    ///     queue.exec_sync(|| ());
    /// }
    ///
    /// let (_, first) = Sim::seeded(7).record(program);
    /// let (_, again) = Sim::seeded(7).record(program);
    /// assert_eq!(first, again);
    /// println!("{first}");
    /// ```
    pub fn record<T, F>(self, program: F) -> (Result<T, Failure>, Trace)
    where
        T: Send + 'static,
        F: FnOnce(&Runtime) -> T + Send + 'static,
    {
        let seed = self.seed;
        let failed = |cause| Err(Failure { seed, cause });
        note_panic_locations_once();
        let stage = Stage::new(seed, self.max_steps);
        let runtime = match build(self.runtime, &stage) {
            Ok(runtime) => runtime,
            Err(error) => return (failed(Cause::Runtime(error)), Trace::default()),
        };
        // A thread that the system refuses leaves the runtime here, where it can be dropped without a lock.
        let runtime = Arc::new(Mutex::new(Some(runtime)));
        let result: Arc<Mutex<Option<Result<T, Panic>>>> = Arc::new(Mutex::new(None));
        let (of_program, place) = (Arc::clone(&runtime), Arc::clone(&result));
        stage.start(&mut stage.schedule(), Role::Program, "program".into(), move |_| {
            let runtime = of_program.lock().take();
            let outcome = runtime.as_ref().map(|runtime| job::contain(|| program(runtime)));
            drop(runtime);
            *place.lock() = outcome;
        });
        let (ending, trace) = stage.wait_for_end();
        let result = result.lock().take();
        let result = match (ending, result) {
            (Ending::Complete, Some(Ok(value))) => Ok(value),
            (Ending::Deadlock(deadlock), _) => failed(Cause::Deadlock(deadlock)),
            (Ending::TooManySteps, _) => failed(Cause::TooManySteps { steps: trace.steps.len() }),
            (Ending::NoThread { errno }, _) => failed(Cause::NoThread { errno }),
            (Ending::Complete, Some(Err(panic))) => {
                let (message, location) = (panic.message().to_owned(), panic.location);
                panic.bury();
                failed(Cause::Panicked { message, location })
            }
            (Ending::Complete, None) => unreachable!("the program's thread ends with a value or a panic"),
        };
        (result, trace)
    }
}

/// A runtime whose threads are those of the simulation.
fn build(builder: RuntimeBuilder, stage: &Arc<Stage>) -> Result<Runtime, RuntimeError> {
    let of_loop = Arc::clone(stage);
    let start_loop = move |name: &str| {
        let event_loop = EventLoop::in_virtual_time();
        let living = Arc::clone(&event_loop);
        of_loop.start(&mut of_loop.schedule(), Role::Events, name.to_owned(), move |_| living.live());
        Ok(event_loop)
    };
    // A nice value decides about real time.
    let builder = builder.nice_levels(false);
    builder.threads_by_default(THREADS).build_on(|config| Crew::new(stage, config), Box::new(start_loop))
}
