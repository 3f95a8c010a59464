//! The thread that looks after jobs that nobody looks for.
//!
//! It runs no job itself. While it watches it finds out, tick by tick, whether a queued job is stuck behind a worker
//! that does not come to it, whether workers sleep in the kernel inside their jobs (then as many more may be active),
//! and whether everybody waits for what nobody is left to run.

use crate::pool::PoolEvent;
use crate::pool::Stall;
use crate::pool::StallPolicy;
use crate::pool::crew::Crew;
use crate::pool::roster::Errand;
use crate::pool::slot::Pace;
use crate::pool::slot::Slot;
use crate::pool::state::Snapshot;
use crate::sync;
use crate::sync::Arc;
use crate::sync::JoinHandle;
use crate::sync::Mutex;
use crate::sync::Parker;
use crate::sync::ThreadBuilder;
use std::fs::File;
use std::io::Read;
use std::time::Duration;
use std::time::Instant;

const FIRST_TICK: Duration = Duration::from_micros(50);
const LAST_TICK: Duration = Duration::from_millis(5);

/// How long a worker must have been in one job to be looked at.
const STUCK: Duration = Duration::from_micros(50);

/// At the cap a look at the threads can only lower the limit, and is long: there is no hurry.
const CAP_TICK: Duration = Duration::from_millis(20);

/// After so many ticks in a row that would have done with a lower limit, it is lowered.
const CALM_TICKS: u32 = 8;

/// How long everybody must have been blocked, with work queued, before it is reported.
const STANDSTILL: Duration = Duration::from_millis(100);

/// Where the sentinel is found.
pub(crate) struct Post {
    parker: Parker,
    guard: Mutex<Guard>,
}

enum Guard {
    /// Not needed so far.
    Vacant,
    Taken(JoinHandle<()>),
    /// The system has refused the thread: the pool does without.
    Refused,
}

impl Post {
    pub(crate) fn new() -> Self {
        Self { parker: Parker::new(), guard: Mutex::new(Guard::Vacant) }
    }

    /// Wakes the sentinel, on which somebody has just begun to rely, or starts it; false if there is none.
    pub(crate) fn wake(crew: &Arc<Crew>) -> bool {
        let mut guard = crew.post.guard.lock();
        match &*guard {
            Guard::Taken(_) => {
                crew.post.parker.unpark();
                return true;
            }
            Guard::Vacant => {}
            Guard::Refused => {
                crew.roster.state.unrely();
                return false;
            }
        }
        let sentinel = Sentinel::new(crew);
        let builder = ThreadBuilder::new().name(format!("{}-sentinel", crew.config.name));
        match (crew.config.spawn)(builder, Box::new(move || sentinel.watch())) {
            Ok(thread) => {
                *guard = Guard::Taken(thread);
                true
            }
            Err(error) => {
                *guard = Guard::Refused;
                crew.roster.state.unrely();
                drop(guard);
                crew.report(PoolEvent::SpawnFailed { error, live: crew.roster.state.read().live() });
                false
            }
        }
    }

    /// Wakes the sentinel to see that the pool has stopped.
    pub(crate) fn end_watch(&self) {
        self.parker.unpark();
    }

    /// The sentinel's thread, to be joined.
    pub(crate) fn take(&self) -> Option<JoinHandle<()>> {
        match std::mem::replace(&mut *self.guard.lock(), Guard::Refused) {
            Guard::Taken(thread) => Some(thread),
            Guard::Vacant | Guard::Refused => None,
        }
    }
}

/// What the sentinel remembers from tick to tick.
struct Sentinel {
    crew: Arc<Crew>,
    /// Each slot's pace at the beginning of a look.
    paces: Box<[u64]>,
    /// Ticks in a row that needed less than the limit.
    calm: u32,
    /// The most that one of these ticks needed.
    needed: usize,
    standstill: Option<Standstill>,
}

/// Everybody is blocked, and work is queued.
struct Standstill {
    since: Instant,
    /// The sum of all paces: as long as it stays, it is the same standstill.
    steps: u64,
    is_reported: bool,
}

/// What a look at the workers shows.
#[derive(Default)]
struct Sight {
    steps: u64,
    /// Workers that are stuck in one job and asleep in the kernel.
    asleep: usize,
    /// Workers that are stuck in one job, on a system that does not tell what they do.
    unknown: usize,
    /// A job is queued where nobody passes by.
    is_job_stranded: bool,
}

impl Sentinel {
    fn new(crew: &Arc<Crew>) -> Self {
        let paces = vec![0; crew.slots.len()].into();
        Self { crew: Arc::clone(crew), paces, calm: 0, needed: 0, standstill: None }
    }

    fn watch(mut self) {
        if let Some(levels) = self.crew.config.nice {
            levels.settle();
        }
        let mut pause = FIRST_TICK;
        loop {
            let now = self.crew.roster.state.read();
            if now.is_stopped() {
                return;
            } else if now.is_watched() {
                self.crew.post.parker.park(Some(sync::now() + pause));
                pause = self.tick(pause);
            } else {
                self.crew.post.parker.park(None);
                pause = FIRST_TICK;
            }
        }
    }

    /// Looks around; the pause until the next tick.
    fn tick(&mut self, pause: Duration) -> Duration {
        let before = self.crew.roster.state.tick();
        let sight = self.crew.is_work_visible().then(|| {
            let sight = self.look_twice();
            // After the look: whoever makes way begins another job, and would not pass for stuck.
            self.crew.backlog.demand.tick();
            sight
        });
        let sight = sight.as_ref();
        if sight.is_some_and(|sight| sight.is_job_stranded) {
            match self.crew.roster.notify() {
                // It would rely on itself, and never sleep.
                Errand::Watch => {}
                errand => self.crew.run(errand),
            }
        }
        let has_grown = self.adjust(sight);
        let is_needed = match sight {
            Some(sight) => !self.judge(sight),
            None => before.is_relied() || before.limit() > self.crew.roster.state.threads(),
        };
        if !is_needed && self.crew.roster.state.unwatch() || has_grown {
            FIRST_TICK
        } else if before.limit() == self.crew.roster.state.cap() {
            CAP_TICK
        } else {
            (pause * 2).min(LAST_TICK)
        }
    }

    /// A look, and another one before it is believed that workers sleep: any job may do so for a moment.
    fn look_twice(&mut self) -> Sight {
        let first = self.look();
        let now = self.crew.roster.state.read();
        if first.asleep + first.unknown == 0 || now.limit() == self.crew.roster.state.cap() {
            return first;
        }
        let second = self.look();
        Sight { asleep: first.asleep.min(second.asleep), unknown: first.unknown.min(second.unknown), ..second }
    }

    /// Watches the workers for a moment: which of them does not get on, and why.
    fn look(&mut self) -> Sight {
        let crew = &self.crew;
        for slot in crew.occupied.iter_from(0) {
            self.paces[slot] = crew.slots[slot].pace.read();
        }
        crew.post.parker.park(Some(sync::now() + STUCK));
        let mut sight = Sight { is_job_stranded: crew.backlog.first().is_some(), ..Sight::default() };
        for slot in crew.occupied.iter_from(0) {
            let place = &crew.slots[slot];
            let pace = place.pace.read();
            sight.steps = sight.steps.wrapping_add(pace);
            let is_blocked = place.reason.lock().is_some();
            let is_stuck = Pace::is_stuck(self.paces[slot], pace);
            if is_stuck && !is_blocked {
                match is_asleep_in_kernel(place) {
                    Some(true) => sight.asleep += 1,
                    Some(false) => {}
                    None => sight.unknown += 1,
                }
            }
            sight.is_job_stranded |= (is_stuck || is_blocked || !Pace::is_running(pace)) && !place.stealer.is_empty();
        }
        sight
    }

    /// Sets the limit to what is needed: up at once, down after a while. True if it went up.
    fn adjust(&mut self, sight: Option<&Sight>) -> bool {
        let state = &self.crew.roster.state;
        let now = state.read();
        let limit = now.limit();
        let need = sight.map_or(0, |sight| need(sight, now, state.threads())).clamp(state.threads(), state.cap());
        self.needed = self.needed.max(need);
        if need < limit {
            self.calm += 1;
            if self.calm == CALM_TICKS {
                state.set_limit(self.needed);
                (self.calm, self.needed) = (0, 0);
            }
            return false;
        }
        (self.calm, self.needed) = (0, 0);
        if need == limit {
            return false;
        }
        state.set_limit(need);
        // All of them at once, and not one after the other as each finds something.
        for _ in limit..need {
            match self.crew.roster.call() {
                Errand::Done => self.crew.start(state.cap()),
                errand => self.crew.run(errand),
            }
        }
        true
    }

    /// Reports a standstill once, and does what the policy says; true if it has been reported.
    fn judge(&mut self, sight: &Sight) -> bool {
        let now = self.crew.roster.state.read();
        if now.blocked() == 0 || now.active() > 0 {
            self.standstill = None;
            return false;
        }
        let since = match &self.standstill {
            Some(known) if known.steps == sight.steps => {
                if known.is_reported {
                    return true;
                }
                known.since
            }
            _ => sync::now(),
        };
        let is_reported = sync::now() - since >= STANDSTILL;
        self.standstill = Some(Standstill { since, steps: sight.steps, is_reported });
        if is_reported {
            self.crew.report(PoolEvent::Stalled(self.describe()));
            match self.crew.config.stall {
                StallPolicy::Report => {}
                StallPolicy::Grow(more) => self.crew.start(self.crew.roster.state.cap() + more),
                StallPolicy::Abort => std::process::abort(),
            }
        }
        is_reported
    }

    fn describe(&self) -> Stall {
        let reason = |slot: usize| self.crew.slots[slot].reason.lock().clone().map(|reason| (slot, reason));
        Stall {
            blocked: self.crew.occupied.iter_from(0).filter_map(reason).collect(),
            queued: self.crew.counts().queued,
        }
    }
}

/// How many workers should be active so that `threads` of them run.
fn need(sight: &Sight, now: Snapshot, threads: usize) -> usize {
    if sight.asleep > 0 && sight.asleep >= now.active() {
        // Nobody runs: as the next ones will probably sleep too, twice as many at once.
        now.limit() + sight.asleep
    } else if sight.unknown > 0 && sight.unknown >= now.active() {
        // Nobody gets on, and the system does not tell why: one more.
        now.limit() + 1
    } else {
        threads + sight.asleep
    }
}

/// Whether the slot's thread sleeps in the kernel, if the system tells.
fn is_asleep_in_kernel(slot: &Slot) -> Option<bool> {
    let path = slot.stat.lock();
    let mut text = [0; 64];
    let length = File::open(path.as_ref()?).ok()?.read(&mut text).ok()?;
    state_letter(&text[..length]).map(|letter| matches!(letter, b'S' | b'D'))
}

/// The state in a line such as `71 (name) S 1 ..`, where the name may hold anything.
fn state_letter(line: &[u8]) -> Option<u8> {
    let end_of_name = line.iter().rposition(|byte| *byte == b')')?;
    line.get(end_of_name + 2).copied()
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use super::state_letter;

    #[test]
    fn the_state_is_found_behind_any_name() {
        assert_eq!(state_letter(b"71 (pool-0) S 1 71"), Some(b'S'));
        assert_eq!(state_letter(b"71 (a) R (b) D 1 71"), Some(b'D'));
        assert_eq!(state_letter(b"71 (pool-0)"), None);
        assert_eq!(state_letter(b""), None);
    }
}
