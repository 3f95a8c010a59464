//! When turns come: see [`SourceBuilder::throttle`](super::SourceBuilder::throttle) and
//! [`SourceBuilder::debounce`](super::SourceBuilder::debounce).
//!
//! A pace divides time into periods, and into the quiet between them. A throttle's period begins with a call, or with an
//! event that finds none; a debounce's begins with an event that finds none, and each further event makes it longer. The
//! turn of an event that finds no period is at its leading edge, the turn at its end is at its trailing edge, and
//! [`Edge`] says which of them are wanted.
//!
//! ```text
//! merge:    change what is pending; note the time                    stamp: leads, if there was no period
//!           schedule, as without a pace (README.md)                  knock
//!           take back the turn that waits, and submit it             release, if it leads
//!
//! schedule: too early? ── event loop ── its time has come ──▶ the same again        hold
//!           else ── submit the job to the target queue
//!
//! turn:     too early, after a suspension or a wait in the target queue? ── end, and schedule again
//!           else ── forget what it waited for, take, handler                 begin, call
//! ```
//!
//! So a pace decides *when* the job of a turn goes to its queue, and nothing else: the phase is `SCHEDULED` meanwhile,
//! and the job, which is the turn's one owner, lies in the event loop. Merges that make a period longer do not touch the
//! timer. It fires when it was due first, looks again, and is armed anew.
//!
//! # The races it fears
//!
//! - *The source is cancelled, suspended or left while its turn is being held back.* Whoever stops it changes the state
//!   word first and looks for the turn under the lock then; whoever holds a turn back looks at the state word under the
//!   same lock, and lets it go. One of the two sees the other.
//! - *A merge leads while an earlier turn is being held back.* The same: it leaves its mark under the lock first.
//! - *The timer fires while the turn is taken back.* The event loop gives the job to one of the two. The other finds
//!   nothing, and the one who has it looks at the state word and the mark again.
//! - *A source is suspended and resumed before its turn finds out.* The turn looks at the time again once it has begun.
//! - *A merge is taken by a turn that began before it knocked.* Its knock leads to one more turn, which finds nothing.
//! - *A merge is interrupted before it notes the time.* The turn of what came before it may take it along, before it has been
//!   quiet for as long after it. The merge has not returned.
//! - *A merge leads after a turn has taken, but before that turn's call begins a period.* It is in that period.
//! - *A merge that leads is interrupted before it leaves its mark, until a call has come.* That call has delivered it, or
//!   began a period that it is in: the mark of an event that a call has overtaken counts no more, since it would let the
//!   next call come at once.
//! - *A merge is interrupted after it has looked at the clock.* A period never gets shorter.
//! - *The event loop ends with its runtime.* What it held goes at once, and nothing is held any more.

mod builder;
mod state;

pub use builder::Edge;
pub use builder::Paced;
pub use builder::Unpaced;

use super::delivery::Delivery;
use super::delivery::Pending;
use crate::engine::Engine;
use crate::event_loop::Armed;
use crate::event_loop::TimerKey;
use crate::job::Job;
use crate::sync::Arc;
use crate::sync::Mutex;
use crate::sync::yield_point;
use crate::time::Clock;
use crate::time::Nanos;
use crate::time::now;
use state::Period;
use std::time::Duration;

/// What makes a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    /// The time since the latest event.
    Debounce,
    /// The time since the latest call.
    Throttle,
}

/// A pace as it is described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    measure: Measure,
    length: Duration,
    edge: Edge,
    max_delay: Duration,
}

impl Rule {
    pub(crate) fn throttle(period: Duration) -> Self {
        Self { measure: Measure::Throttle, length: period, edge: Edge::Both, max_delay: Duration::MAX }
    }

    pub(crate) fn debounce(quiet: Duration) -> Self {
        Self { measure: Measure::Debounce, length: quiet, edge: Edge::Trailing, max_delay: Duration::MAX }
    }

    pub(crate) fn edge(self, edge: Edge) -> Self {
        Self { edge, ..self }
    }

    pub(crate) fn max_delay(self, max_delay: Duration) -> Self {
        Self { max_delay, ..self }
    }

    /// For a source that tells of nothing more until its turn has come: what comes in a period is called for at its end.
    pub(super) fn without_next_event(self) -> Self {
        if self.edge == Edge::Leading { self.edge(Edge::Both) } else { self }
    }

    /// Every merge has to say when it came. A throttle that calls at both edges asks only for the first one: all that come
    /// until the call change nothing.
    pub(super) fn times_merges(self) -> bool {
        self.measure == Measure::Debounce || self.edge != Edge::Both
    }
}

/// When the turns of one source come.
pub(super) struct Pace {
    rule: Rule,
    period: Period,
    wait: Mutex<Wait>,
}

/// What the next turn waits for.
struct Wait {
    /// When the first came of what it will deliver.
    first: Option<Nanos>,
    /// Nothing: it is at a leading edge, or nobody could tell it its time.
    at_once: bool,
    /// Where its job was left last.
    armed: Option<TimerKey>,
    /// What came before this has been delivered, or is in the period of a call.
    overtaken: Nanos,
}

impl Wait {
    fn nothing() -> Self {
        Self { first: None, at_once: false, armed: None, overtaken: Nanos::ZERO }
    }
}

impl Pace {
    pub(super) fn new(rule: Rule) -> Self {
        Self { rule, period: Period::new(), wait: Mutex::new(Wait::nothing()) }
    }

    /// Each event makes the wait longer.
    #[cfg(feature = "fs")]
    pub(super) fn waits_for_quiet(&self) -> bool {
        self.rule.measure == Measure::Debounce
    }

    /// Takes note of a merge at `now`, which is the `first` if no turn is to come yet. True if it is at a leading edge that
    /// is wanted, so that a turn which is being held back has to be [released](Self::release).
    pub(super) fn stamp(&self, now: Nanos, first: bool) -> bool {
        let leads = self.leads(now);
        yield_point();
        (leads || first) && self.mark(now, leads)
    }

    /// The period of an event at `now`; true if it begins one, and its call is wanted.
    pub(super) fn leads(&self, now: Nanos) -> bool {
        let end = now.after(self.rule.length);
        let found_none = match self.rule.measure {
            Measure::Debounce => self.period.extend(now.0, end.0),
            Measure::Throttle => self.period.open(now.0, end.0),
        };
        found_none && self.rule.edge != Edge::Trailing
    }

    /// The mark of an event at `now` that leads, or is the first. True if it leads and no call has overtaken it.
    pub(super) fn mark(&self, now: Nanos, leads: bool) -> bool {
        let mut wait = self.wait.lock();
        wait.first.get_or_insert(now);
        let leads = leads && wait.overtaken <= now;
        wait.at_once |= leads;
        leads
    }

    /// A turn begins at `now`: what comes from here on waits for another one. False if it is too early for it.
    pub(super) fn begin(&self, now: Nanos) -> bool {
        let mut wait = self.wait.lock();
        let is_due = self.due(&mut wait, now) <= now;
        if is_due {
            wait.first = None;
            wait.at_once = false;
            wait.overtaken = wait.overtaken.max(now);
        }
        is_due
    }

    /// The turn has something to deliver, and its call begins at `now`.
    pub(super) fn call(&self, now: Nanos) {
        if self.rule.measure == Measure::Throttle {
            let end = now.after(self.rule.length);
            let mut wait = self.wait.lock();
            self.period.extend(now.0, end.0);
            wait.at_once = false;
            wait.overtaken = end;
        }
    }

    /// When the turn that `wait` is about may begin.
    fn due(&self, wait: &mut Wait, now: Nanos) -> Nanos {
        if wait.at_once {
            return now;
        }
        let latest = wait.first.get_or_insert(now).after(self.rule.max_delay);
        let edge = if self.rule.edge == Edge::Leading { Nanos::FOREVER } else { Nanos(self.period.end()) };
        edge.min(latest)
    }

    /// Leaves the job of a turn with the event loop until its time has come; gives it back if it has.
    pub(super) fn hold<P: Pending>(&self, turn: Job, delivery: &Arc<Delivery<P>>) -> Option<Job> {
        yield_point();
        let now = now(Clock::Monotonic);
        let mut wait = self.wait.lock();
        let due = self.due(&mut wait, now);
        if due <= now || !(delivery.delivers() || cfg!(concourse_planted = "pace_holds_blindly")) {
            return Some(turn);
        }
        let held = match delivery.engine().event_loop() {
            Ok(Some(event_loop)) => {
                let armed =
                    event_loop.arm(Clock::Monotonic, due, Duration::ZERO, Arc::clone(delivery) as _, Some(turn));
                armed.map_err(|Armed { job, .. }| job)
            }
            Ok(None) | Err(_) => Err(Some(turn)),
        };
        match held {
            Ok(key) => {
                wait.armed = Some(key);
                None
            }
            Err(turn) => {
                wait.at_once = true;
                turn
            }
        }
    }

    /// Takes the job of a turn back from the event loop, if it is there. The caller has changed what `hold` looks at, and
    /// has a reference to the delivery.
    pub(super) fn release(&self, engine: &Engine) -> Option<Job> {
        yield_point();
        let key = self.wait.lock().armed.take()?;
        engine.running_event_loop()?.cancel(key)?.job
    }
}
