//! Sources that tell when somebody sets the wall clock: see [`Source::clock_steps`].

use super::Source;
use super::SourceBuilder;
use super::delivery::Delivery;
use super::delivery::Pending;
use super::delivery::Sealed;
use crate::error::ClockError;
use crate::event_loop::EventLoop;
use crate::event_loop::StepKey;
use crate::event_loop::StepWatcher;
use crate::queue::Dispatch;
use crate::sync::Arc;
use crate::sync::Mutex;
use crate::sync::Weak;
use crate::sync::is_child;
use std::fmt;
use std::mem;
use std::time::Duration;

/// How far the wall clock was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClockStep {
    /// It shows so much more than it would have shown.
    Forward(Duration),
    /// It shows so much less.
    Back(Duration),
}

/// Steps of the wall clock: see [`Source::clock_steps`].
pub struct ClockSteps(Mutex<Sum>);

#[derive(Default)]
struct Sum {
    /// Nanoseconds since the handler was called last.
    step: i64,
    /// Where the steps come from, until the source has ended.
    watch: Option<(Weak<EventLoop>, StepKey)>,
}

impl Sealed for ClockSteps {}

impl Pending for ClockSteps {
    type Value = ClockStep;

    const TOLD_ONCE: bool = true;

    fn take(&self) -> Option<ClockStep> {
        let step = mem::take(&mut self.0.lock().step);
        let length = Duration::from_nanos(step.unsigned_abs());
        match step {
            0 => None,
            1.. => Some(ClockStep::Forward(length)),
            _ => Some(ClockStep::Back(length)),
        }
    }

    fn close(&self) {
        let watch = self.0.lock().watch.take();
        if let Some((event_loop, key)) = watch.and_then(|(event_loop, key)| Some((event_loop.upgrade()?, key))) {
            drop(event_loop.unwatch_steps(key));
        }
    }
}

impl StepWatcher for Delivery<ClockSteps> {
    fn stepped(self: Arc<Self>, by: i64) {
        let mut sum = self.pending().0.lock();
        sum.step = sum.step.saturating_add(by);
        drop(sum);
        self.knock();
        self.leave();
    }
}

impl fmt::Debug for ClockSteps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClockSteps").finish_non_exhaustive()
    }
}

impl Source {
    /// A source that tells how far the wall clock was set: by a person, by a service that corrects it with a jump, or by a
    /// leap second.
    ///
    /// Timers on [`Clock::Wall`](crate::Clock::Wall) follow the clock by themselves. This is for what a program has
    /// computed from it before: the text of a clock, a cache that expires at a time of day, a log with times in it.
    ///
    /// Several steps before a call are added up, and ones that undo each other are no event. A correction that only makes the
    /// clock go faster or slower for a while is no step, nor is a sleep of the machine. A step of less than some hundred
    /// nanoseconds is lost in the reading of the clocks, until others add to it. libdispatch has no such source.
    ///
    /// ```
    /// use concourse::{Queue, Source};
    /// use concourse::source::ClockStep;
    ///
    /// let screen = Queue::serial("com.example.screen");
    /// let steps = Source::clock_steps(&screen)
    ///     .on_event(|step| match step {
    ///         ClockStep::Forward(by) => println!("the time of day is {by:?} later than it was"),
    ///         ClockStep::Back(by) => println!("the time of day is {by:?} earlier than it was"),
    ///     })
    ///     .activate()?;
    /// # drop(steps);
    /// # Ok::<(), concourse::ClockError>(())
    /// ```
    pub fn clock_steps(target: &impl Dispatch) -> SourceBuilder<ClockSteps> {
        SourceBuilder::new(ClockSteps(Mutex::default()), target)
    }
}

impl<P> SourceBuilder<ClockSteps, P> {
    /// Starts the source: steps from now on are told.
    ///
    /// If the target's runtime has been shut down, the source has ended when this returns.
    ///
    /// # Errors
    ///
    /// [`ClockError::Forked`] in a forked child, [`ClockError::Unsupported`] in a simulation, and
    /// [`ClockError::NoEventLoop`] if the kernel refuses what the event loop needs. The handlers are dropped then.
    pub fn activate(self) -> Result<Source<ClockSteps>, ClockError> {
        let delivery = Arc::clone(self.source.handle.delivery());
        let label = self.label.clone().unwrap_or_else(|| Arc::clone(delivery.label()));
        let event_loop = match delivery.engine().event_loop() {
            Ok(_) if is_child() => return Err(ClockError::Forked { label }),
            Ok(event_loop) => event_loop,
            Err(error) => return Err(ClockError::NoEventLoop { label, error }),
        };
        let watch = match event_loop {
            None => None,
            Some(event_loop) => {
                let key = event_loop.watch_steps(Arc::<Delivery<ClockSteps>>::clone(&delivery), label)?;
                key.map(|key| (Arc::downgrade(event_loop), key))
            }
        };
        let is_watching = watch.is_some();
        delivery.pending().0.lock().watch = watch;
        let source = self.start();
        if !is_watching {
            delivery.end();
        }
        Ok(source)
    }
}
