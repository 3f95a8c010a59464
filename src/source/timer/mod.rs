//! Sources of time: see [`Source::timer`].
//!
//! What is pending is not counted as time goes by. A timer keeps when it is due next, and a turn computes from the clock
//! how many times that was, takes them, and arms the timer for the first time that has not come yet. Hence missed times
//! become a number, the phase is kept, and nothing drifts, unless the schedule wants something else of [`Missed`] times.
//!
//! ```text
//! arm ── event loop ── fire: knock, and no more ── turn: take, arm ── handler
//! ```
//!
//! A timer that has fired is out of the event loop until its turn takes it, and one that takes its times one by one stays
//! out until it has caught up: each turn calls for the next. So one that waits for its handler, behind a
//! suspension or a long queue, costs nothing meanwhile, however short its interval is.
//!
//! # The races it fears
//!
//! - *It fires while a turn takes.* Either the turn reads the clock late enough to take that time too, or the knock finds
//!   the turn running and calls for another.
//! - *It is armed twice*, because a time is taken before the loop has fired for it. What was armed before is withdrawn
//!   under the same lock; if it is just firing, the turn that it calls for finds nothing to take.
//! - *The wall clock is set back between the fire and the turn.* The turn finds nothing to take, and arms again.
//! - *It fires while the last turn runs.* The knock is not heard. Whoever arms looks under the lock whether it has ended.
//! - *The event loop is left with the last reference.* Dropping it may drop the target queue, which is for the pool to do.
//!
//! The event loop has a strong reference to what it will fire, which ends with the fire or the last turn; a timer has weak
//! ones to itself and to the event loop.

mod missed;
mod schedule;

pub use missed::Missed;
pub use schedule::Schedule;

use super::Source;
use super::SourceBuilder;
use super::delivery::Delivery;
use super::delivery::Pending;
use super::delivery::Sealed;
use crate::error::TimerError;
use crate::event_loop::EventLoop;
use crate::event_loop::TimerKey;
use crate::queue::Dispatch;
use crate::sync::Arc;
use crate::sync::Mutex;
use crate::sync::Weak;
use crate::time::Clock;
use crate::time::Deadline;
use crate::time::Nanos;
use crate::time::now;
use schedule::First;
use schedule::Times;
use std::fmt;
use std::mem;
use std::time::Duration;

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
#[path = "../tests/timer.rs"]
mod tests;

/// Times that have come: see [`Source::timer`].
pub struct Timer(Mutex<Life>);

/// How far a timer has come.
enum Life {
    /// It is not active yet.
    Described(Schedule),
    Ticking(Clockwork),
    /// The source has ended.
    Ended,
}

/// A timer that is armed, or has fired and waits for its turn.
struct Clockwork {
    times: Times,
    /// What was armed last, and may have fired since.
    armed: Option<TimerKey>,
    event_loop: Weak<EventLoop>,
    delivery: Weak<Delivery<Timer>>,
}

impl Clockwork {
    /// Has the event loop fire at the next time, and at no other.
    ///
    /// Every caller has a reference to the delivery, so that the ones that are dropped here are not the last.
    fn arm(&mut self) {
        self.disarm();
        let Times { clock, next, leeway, .. } = self.times;
        let Some((event_loop, delivery)) = self.event_loop.upgrade().zip(self.delivery.upgrade()) else { return };
        if next != Nanos::FOREVER {
            // An event loop that refuses has ended with its runtime: no time will come any more.
            self.armed = event_loop.arm(clock, next, leeway, delivery, None).ok();
        }
    }

    fn disarm(&mut self) {
        if let Some((event_loop, key)) = self.event_loop.upgrade().zip(self.armed.take()) {
            drop(event_loop.cancel(key));
        }
    }
}

impl Timer {
    fn new() -> Self {
        Self(Mutex::new(Life::Described(Schedule::after(Duration::ZERO))))
    }

    /// Replaces the schedule, which can be kept, and with it what is pending.
    fn set(&self, schedule: Schedule) {
        match &mut *self.0.lock() {
            Life::Described(described) => *described = schedule,
            Life::Ticking(clockwork) => {
                clockwork.times = schedule.times(now);
                clockwork.arm();
            }
            Life::Ended => {}
        }
    }

    /// Whether the schedule of a timer that is not active can be kept.
    fn check(&self) -> Result<(), TimerError> {
        match &*self.0.lock() {
            Life::Described(schedule) => schedule.check(),
            Life::Ticking(_) | Life::Ended => Ok(()),
        }
    }

    /// Changes the schedule of a timer that is not active.
    fn describe(&self, change: impl FnOnce(Schedule) -> Schedule) {
        if let Life::Described(schedule) = &mut *self.0.lock() {
            *schedule = change(*schedule);
        }
    }

    /// Sets the timer going; its delivery holds it.
    fn start(&self, event_loop: &Arc<EventLoop>, delivery: &Arc<Delivery<Self>>) {
        let mut life = self.0.lock();
        if let Life::Described(schedule) = *life {
            let (event_loop, delivery) = (Arc::downgrade(event_loop), Arc::downgrade(delivery));
            let mut clockwork = Clockwork { times: schedule.times(now), armed: None, event_loop, delivery };
            clockwork.arm();
            *life = Life::Ticking(clockwork);
        }
    }
}

impl Sealed for Timer {}

impl Pending for Timer {
    type Value = u64;

    const TOLD_ONCE: bool = true;

    fn take(&self) -> Option<u64> {
        let mut life = self.0.lock();
        let Life::Ticking(clockwork) = &mut *life else { return None };
        let now = now(clockwork.times.clock);
        let fires = clockwork.times.take(now);
        if !clockwork.times.are_due(now) {
            clockwork.arm();
        } else if let Some(delivery) = clockwork.delivery.upgrade() {
            // The next time has come already, and needs no event loop: the turn is followed by another.
            clockwork.disarm();
            drop(life);
            delivery.knock();
        }
        (fires != 0).then_some(fires)
    }

    fn close(&self) {
        if let Life::Ticking(mut clockwork) = mem::replace(&mut *self.0.lock(), Life::Ended) {
            clockwork.disarm();
        }
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").finish_non_exhaustive()
    }
}

impl Source {
    /// A source of time: the handler receives how many times the timer has fired since its last call.
    ///
    /// Unless the builder says otherwise it fires once, at once: [`after`](SourceBuilder::after) or
    /// [`at`](SourceBuilder::at) says when, and [`every`](SourceBuilder::every) makes it repeat. The k-th time after the
    /// first is due exactly k intervals after it, however late a handler was called for the ones before. Times that pass
    /// while the handler runs, or while the source or its target is suspended, become a number: they arrive in one
    /// call, and the next time keeps to the schedule, unless [`missed`](SourceBuilder::missed) says otherwise. No time is
    /// early, and none is lost but by [`Source::set`] and the end of the source.
    ///
    /// A delay or an interval that reaches beyond 584 years never ends. A timer that will not fire again stays until it
    /// is cancelled or dropped, and can be [set](Source::set) again. Once the target's runtime is shut down it is quiet.
    ///
    /// On [`Clock::Wall`], setting the clock forwards makes the times in between missed ones, and setting it back makes
    /// the next one wait until the clock gets there; [`Source::clock_steps`] tells of it. This is libdispatch's `DISPATCH_SOURCE_TYPE_TIMER`, with
    /// a leeway that is made use of.
    ///
    /// # Examples
    ///
    /// ```
    /// use concourse::{Event, Queue, Source};
    /// use std::time::Duration;
    ///
    /// let queue = Queue::serial("com.example.heartbeat");
    /// let (enough, mut beats) = (Event::new(), 0);
    /// let tell = enough.clone();
    /// let timer = Source::timer(&queue)
    ///     .after(Duration::from_millis(2))
    ///     .every(Duration::from_millis(1))
    ///     .on_event_with(move |timer, fires| {
    ///         beats += fires;
    ///         if beats >= 5 {
    ///             timer.cancel();
    ///         }
    ///     })
    ///     .on_cancel(move || tell.set())
    ///     .activate()?;
    /// enough.wait();
    /// # drop(timer);
    /// # Ok::<(), concourse::TimerError>(())
    /// ```
    pub fn timer(target: &impl Dispatch) -> SourceBuilder<Timer> {
        SourceBuilder::new(Timer::new(), target)
    }
}

impl<P> SourceBuilder<Timer, P> {
    /// Fires first when `delay` has passed from the activation: see [`Schedule::after`].
    pub fn after(self, delay: Duration) -> Self {
        self.describe(|schedule| schedule.beginning(First::After(delay)))
    }

    /// Fires first at `deadline`: see [`Schedule::at`].
    pub fn at(self, deadline: impl Into<Deadline>) -> Self {
        let first = First::At(deadline.into());
        self.describe(|schedule| schedule.beginning(first))
    }

    /// Fires again every `interval`: see [`Schedule::every`].
    pub fn every(self, interval: Duration) -> Self {
        self.describe(|schedule| schedule.every(interval))
    }

    /// May fire late by up to `leeway` to save wake-ups: see [`Schedule::leeway`].
    pub fn leeway(self, leeway: Duration) -> Self {
        self.describe(|schedule| schedule.leeway(leeway))
    }

    /// Counts a delay on `clock`: see [`Schedule::clock`].
    pub fn clock(self, clock: Clock) -> Self {
        self.describe(|schedule| schedule.clock(clock))
    }

    /// Does with missed times what `missed` says: see [`Missed`].
    pub fn missed(self, missed: Missed) -> Self {
        self.describe(|schedule| schedule.missed(missed))
    }

    fn describe(self, change: impl FnOnce(Schedule) -> Schedule) -> Self {
        self.source.handle.delivery().pending().describe(change);
        self
    }

    /// Starts the timer: a delay is counted from here, and times that have come are delivered after the registration
    /// handler.
    ///
    /// If the target's runtime has been shut down, the source has ended when this returns.
    ///
    /// # Errors
    ///
    /// [`TimerError::ZeroInterval`]; the others if the kernel refuses the descriptors or the thread of the event loop, which
    /// the first timer of a runtime starts. The handlers are dropped then.
    pub fn activate(self) -> Result<Source<Timer>, TimerError> {
        let delivery = self.source.handle.delivery();
        delivery.pending().check()?;
        let event_loop = delivery.engine().event_loop()?;
        if let Some(event_loop) = event_loop {
            delivery.pending().start(event_loop, delivery);
        }
        let has_ended = event_loop.is_none();
        let source = self.start();
        if has_ended {
            source.handle.delivery().end();
        }
        Ok(source)
    }
}

impl Source<Timer> {
    /// Gives the timer another schedule, from now on, whatever clock it is on.
    ///
    /// Times of the schedule before that have not been delivered are dropped: the next call of the handler is for a time
    /// of this one. From the target queue of a serial timer, or from its handler, that is exact; from elsewhere a call
    /// for the schedule before may be running. Has no effect once the source has ended.
    ///
    /// # Errors
    ///
    /// [`TimerError::ZeroInterval`], and the timer keeps the schedule it has.
    ///
    /// ```
    /// use concourse::source::Schedule;
    /// use concourse::{Event, Queue, Source};
    /// use std::time::Duration;
    ///
    /// let queue = Queue::serial("com.example.idle");
    /// let idle = Event::new();
    /// let tell = idle.clone();
    /// let timeout = Source::timer(&queue).after(Duration::from_secs(60)).on_event(move |_| tell.set()).activate()?;
    /// // Something happens: the timeout starts anew.
    /// timeout.set(Schedule::after(Duration::from_millis(5)))?;
    /// idle.wait();
    /// # Ok::<(), concourse::TimerError>(())
    /// ```
    pub fn set(&self, schedule: Schedule) -> Result<(), TimerError> {
        schedule.check()?;
        self.handle.delivery().pending().set(schedule);
        Ok(())
    }
}
