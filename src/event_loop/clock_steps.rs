//! Whoever wants to know that somebody has set the wall clock, and how far.
//!
//! The kernel says when: a timerfd on the wall clock becomes readable when the clock is set (cancel on set). It does not
//! say how far, and it says as much when the machine has slept. So the loop thread measures: the wall clock and the clock
//! since the machine was started go equally fast, sleep included, and how far one is ahead of the other changes by nothing
//! but a step. Each watcher keeps what was measured last for it. It is looked at at every wake-up for the wall clock,
//! whatever that was for: a step is told once, and no wake-up without a step is told.

use crate::job::contain;
use crate::sync::Arc;
use crate::sync::Mutex;
use crate::time::Clock;
use crate::time::now;

/// Who is told of steps.
pub(crate) trait StepWatcher: Send + Sync + 'static {
    /// The wall clock was set this many nanoseconds forward, or back if they are negative.
    ///
    /// Called on the loop thread, outside all locks. It must not block and must not run user code, as dropping the last
    /// reference to something of the user's does.
    fn stepped(self: Arc<Self>, by: i64);
}

/// Names a watcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StepKey(u64);

/// How far the wall clock is ahead of the clock since the machine was started.
#[derive(Clone, Copy, Debug)]
struct Lead {
    nanos: i64,
    /// How far the measurement may be off.
    error: u64,
}

impl Lead {
    /// The best of a few measurements: the thread may be interrupted in the middle of one.
    fn measure() -> Self {
        let mut best = Self::measure_once();
        for _ in 0..4 {
            let next = Self::measure_once();
            if next.error < best.error {
                best = next;
            }
        }
        best
    }

    fn measure_once() -> Self {
        let (before, wall, after) = (now(Clock::Boottime).0, now(Clock::Wall).0, now(Clock::Boottime).0);
        let error = after.saturating_sub(before);
        // Clocks that stand below 2^63 nanoseconds, which is the year 2262, have a difference that fits.
        Self { nanos: wall.wrapping_sub(before + error / 2).cast_signed(), error }
    }

    /// How far the wall clock was set since `earlier`, if it is more than what the measurements are off.
    fn step_since(self, earlier: Self) -> Option<i64> {
        let step = self.nanos.saturating_sub(earlier.nanos);
        (step.unsigned_abs() > self.error.saturating_add(earlier.error)).then_some(step)
    }
}

/// All watchers of a loop.
pub(super) struct ClockSteps(Mutex<Watchers>);

struct Watchers {
    list: Vec<Watching>,
    named: u64,
    closed: bool,
}

struct Watching {
    key: StepKey,
    lead: Lead,
    watcher: Arc<dyn StepWatcher>,
}

impl ClockSteps {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Watchers { list: Vec::new(), named: 0, closed: false }))
    }

    /// From now on tells `watcher` of each step; `None` if the loop has ended.
    pub(super) fn watch(&self, watcher: Arc<dyn StepWatcher>) -> Option<StepKey> {
        let lead = Lead::measure();
        let mut watchers = self.0.lock();
        if watchers.closed {
            return None;
        }
        let key = StepKey(watchers.named);
        watchers.named += 1;
        watchers.list.push(Watching { key, lead, watcher });
        Some(key)
    }

    /// Takes a watcher back, for the caller to drop.
    pub(super) fn unwatch(&self, key: StepKey) -> Option<Arc<dyn StepWatcher>> {
        let list = &mut self.0.lock().list;
        let place = list.iter().position(|watching| watching.key == key)?;
        Some(list.remove(place).watcher)
    }

    /// Tells everybody whose clock was set since the last look. Only the loop thread calls it.
    pub(super) fn look(&self) {
        let mut watchers = self.0.lock();
        if watchers.list.is_empty() {
            return;
        }
        let lead = Lead::measure();
        let stepped = |watching: &mut Watching| {
            let step = lead.step_since(watching.lead)?;
            watching.lead = lead;
            Some((Arc::clone(&watching.watcher), step))
        };
        let stepped: Vec<_> = watchers.list.iter_mut().filter_map(stepped).collect();
        drop(watchers);
        for (watcher, step) in stepped {
            if let Err(panic) = contain(|| watcher.stepped(step)) {
                panic.bury();
            }
        }
    }

    /// Tells nobody any more, and takes everybody out, for the caller to drop.
    #[must_use]
    pub(super) fn close(&self) -> Vec<Arc<dyn StepWatcher>> {
        let mut watchers = self.0.lock();
        watchers.closed = true;
        std::mem::take(&mut watchers.list).into_iter().map(|watching| watching.watcher).collect()
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
#[path = "tests/clock_steps.rs"]
mod tests;
