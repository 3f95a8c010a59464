//! What is sent, and when: the delivery rules without files, sockets, threads and clocks.
//!
//! The plan knows the places, keys and failures of all saves that wait, and nothing of what they say. Whoever drives it
//! tells it what has come and what became of what was sent, and does what [`Plan::next`] says. It keeps these promises:
//!
//! - Of each key one save is on its way at a time, the first of those that wait.
//! - A failure holds back its own key and no other. With one lane there are no other keys: everything is one line.
//! - Nothing leaves the plan but as [sent](Fate::Sent) or [dead](Fate::Dead).
//! - Whatever holds a save back, [`Step::Rest`] names the moment at which it may go on, or the save waits for news that
//!   somebody will bring. No wake-up depends on another one.

mod jitter;
mod lines;
mod link;
#[cfg(test)]
mod tests;

pub(crate) use link::Probes;
pub(crate) use link::Turn;

use crate::op::Seq;
use crate::store::Waiting;
use crate::wire::Verdict;
use clap::ValueEnum;
use jitter::full;
use lines::Lines;
use link::Link;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// A time, counted from when the program began: no setting of a clock changes it.
pub(crate) type Moment = Duration;

/// What a dead letter does to later saves of its key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OnDead {
    /// They are sent without it
    #[default]
    Skip,
    /// They wait until somebody has decided about it
    Hold,
}

/// The rules of delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// How many saves may be on their way at a time.
    pub(crate) lanes: usize,
    pub(crate) on_dead: OnDead,
    /// So many refusals for a time make a dead letter.
    pub(crate) max_attempts: u32,
    /// The most that a first failure is waited for; doubled with each further one.
    pub(crate) first_delay: Duration,
    /// The most that any failure is waited for.
    pub(crate) longest_delay: Duration,
    pub(crate) probes: Probes,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            lanes: 4,
            on_dead: OnDead::default(),
            max_attempts: 20,
            first_delay: Duration::from_millis(500),
            longest_delay: Duration::from_secs(300),
            probes: Probes::default(),
        }
    }
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send this save, now.
    Send(Seq),
    /// Ask the server whether it is there.
    Probe,
    /// Do nothing until something happens, or until this moment.
    Rest(Option<Moment>),
}

/// What became of a save.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Sent {
        duplicate: bool,
    },
    /// It has been put back and will be due in a while.
    Again {
        attempts: u32,
        delay: Duration,
        status: u16,
        why: String,
    },
    Dead {
        attempts: u32,
        status: Option<u16>,
        why: String,
    },
    /// It has been put back as it was: it did not get there.
    Unsent {
        why: String,
    },
}

/// What keeps saves back that are due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holds {
    /// Somebody has said that there is no network.
    pub(crate) offline: bool,
    /// Somebody has said to wait.
    pub(crate) paused: bool,
    /// The program ends.
    pub(crate) stopping: bool,
    /// The server has refused us, and nothing has changed since.
    pub(crate) unauthorized: bool,
}

/// A save on its way.
struct Flight {
    line: Arc<str>,
    attempts: u32,
}

/// All saves that wait, and what is known of the server.
pub(crate) struct Plan {
    policy: Policy,
    lines: Lines,
    in_flight: HashMap<Seq, Flight>,
    link: Link,
    pub(crate) holds: Holds,
    rng: fastrand::Rng,
}

impl Plan {
    pub(crate) fn new(policy: Policy, rng: fastrand::Rng) -> Self {
        let (lines, in_flight) = (Lines::default(), HashMap::new());
        Self { policy, lines, in_flight, link: Link::default(), holds: Holds::default(), rng }
    }

    /// Takes in a save that waits. `delay` says how long it is to rest, of an earlier failure.
    pub(crate) fn add(&mut self, waiting: &Waiting, delay: Duration, now: Moment) {
        if self.in_flight.contains_key(&waiting.seq) {
            return;
        }
        let line = self.line(&waiting.key);
        self.lines.add(line, waiting.seq, waiting.attempts, now + delay.min(self.policy.longest_delay));
    }

    /// Notes a dead letter, which may hold later saves of its key back.
    pub(crate) fn add_dead(&mut self, seq: Seq, key: &str) {
        if self.policy.on_dead == OnDead::Hold {
            let line = self.line(key);
            self.lines.hold_behind(line, seq);
        }
    }

    /// Forgets what waits, to be told anew: somebody has changed it. What is on its way stays.
    pub(crate) fn forget_waiting(&mut self) {
        self.lines = Lines::default();
        for flight in self.in_flight.values() {
            self.lines.occupy(Arc::clone(&flight.line));
        }
    }

    /// What to do now. To be called again after each step but [`Step::Rest`].
    pub(crate) fn next(&mut self, now: Moment) -> Step {
        let Holds { offline, paused, stopping, unauthorized } = self.holds;
        if offline || paused || stopping || unauthorized || self.lines.is_empty() {
            return Step::Rest(None);
        }
        if self.link.may_probe(now) {
            self.link.probed();
            return Step::Probe;
        }
        self.lines.wake(now);
        let in_flight = self.in_flight.len();
        if in_flight < self.policy.lanes
            && self.link.may_send(now, in_flight)
            && let Some((seq, attempts, line)) = self.lines.pop()
        {
            self.in_flight.insert(seq, Flight { line, attempts });
            return Step::Send(seq);
        }
        Step::Rest(self.wakes_at())
    }

    /// When time alone will let something go on.
    fn wakes_at(&self) -> Option<Moment> {
        if self.link.is_down() {
            self.link.opens_at()
        } else if self.link.is_in_doubt() && self.lines.has_ready() {
            // One that is on its way will bring news itself.
            self.link.opens_at().filter(|_| self.in_flight.is_empty())
        } else {
            self.lines.next_due()
        }
    }

    /// Takes the reply to a save that was on its way.
    pub(crate) fn settle(&mut self, seq: Seq, verdict: Verdict, now: Moment) -> (Fate, Turn) {
        let Some(Flight { line, attempts }) = self.in_flight.remove(&seq) else {
            // It was never on its way: nothing of it is known, and nothing changes.
            return (Fate::Unsent { why: "not on its way".to_owned() }, Turn::Same);
        };
        self.lines.vacate(&line);
        let turn = match verdict {
            Verdict::NoNetwork { .. } => self.link.failed(now, self.policy.probes, &mut self.rng),
            _ => self.link.succeeded(),
        };
        let fate = match verdict {
            Verdict::Applied { duplicate } => Fate::Sent { duplicate },
            Verdict::NoNetwork { why } => {
                self.lines.add(line, seq, attempts, now);
                Fate::Unsent { why }
            }
            Verdict::NotAuthorized { status } => {
                self.holds.unauthorized = true;
                self.lines.add(line, seq, attempts, now);
                Fate::Unsent { why: format!("{status}: not authorized") }
            }
            Verdict::Later { status, why, .. } if attempts + 1 >= self.policy.max_attempts => {
                self.bury(line, seq, attempts + 1, Some(status), why)
            }
            Verdict::Later { status, retry_after_s, why } => {
                let delay = self.delay(attempts, retry_after_s);
                self.lines.add(line, seq, attempts + 1, now + delay);
                Fate::Again { attempts: attempts + 1, delay, status, why }
            }
            Verdict::Refused { status, why } => self.bury(line, seq, attempts + 1, Some(status), why),
        };
        (fate, turn)
    }

    /// Takes out a save that turned out not to be what was saved.
    pub(crate) fn damaged(&mut self, seq: Seq) -> Option<Fate> {
        let Flight { line, attempts } = self.in_flight.remove(&seq)?;
        self.lines.vacate(&line);
        Some(self.bury(line, seq, attempts, None, "what is stored is not what was saved".to_owned()))
    }

    /// Puts a save back as it was: it could not be read, and so not be sent.
    pub(crate) fn put_back(&mut self, seq: Seq, now: Moment) {
        if let Some(Flight { line, attempts }) = self.in_flight.remove(&seq) {
            self.lines.vacate(&line);
            self.lines.add(line, seq, attempts, now);
        }
    }

    /// Takes out a save that somebody has taken away while it waited.
    pub(crate) fn vanished(&mut self, seq: Seq) {
        if let Some(flight) = self.in_flight.remove(&seq) {
            self.lines.vacate(&flight.line);
        }
    }

    /// Takes the answer to a probe.
    pub(crate) fn probed(&mut self, is_there: bool, now: Moment) -> Turn {
        if is_there {
            return self.link.succeeded();
        }
        self.link.probe_failed(now, self.policy.probes, &mut self.rng);
        Turn::Same
    }

    /// Somebody says that the network is back.
    pub(crate) fn hint_network(&mut self, now: Moment) {
        self.link.hint(now);
    }

    /// Changes the rules for what comes.
    pub(crate) fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    pub(crate) fn is_down(&self) -> bool {
        self.link.is_down()
    }

    /// How many saves wait or are on their way.
    pub(crate) fn pending(&self) -> usize {
        self.lines.len() + self.in_flight.len()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Whether nothing is on its way, and nothing will be without more news or more than a moment of waiting.
    pub(crate) fn is_at_rest(&self) -> bool {
        let is_held = self.holds != Holds::default();
        let will_go_on = self.link.is_in_doubt() && self.lines.has_ready() && !is_held;
        self.in_flight.is_empty() && !self.link.is_probing() && !will_go_on
    }

    fn bury(&mut self, line: Arc<str>, seq: Seq, attempts: u32, status: Option<u16>, why: String) -> Fate {
        if self.policy.on_dead == OnDead::Hold {
            self.lines.hold_behind(line, seq);
        }
        Fate::Dead { attempts, status, why }
    }

    /// How long a save rests that has failed `attempts` times before.
    fn delay(&mut self, attempts: u32, retry_after_s: Option<u64>) -> Duration {
        let most = self.policy.first_delay.saturating_mul(1 << attempts.min(20)).min(self.policy.longest_delay);
        match retry_after_s {
            None => full(most, &mut self.rng),
            // The server knows best; only a little chance comes on top, for it may have told many.
            Some(seconds) => {
                let asked = Duration::from_secs(seconds).min(self.policy.longest_delay);
                asked + full(most.min(Duration::from_secs(1)), &mut self.rng)
            }
        }
    }

    fn line(&self, key: &str) -> Arc<str> {
        if self.policy.lanes == 1 { Arc::from("") } else { Arc::from(key) }
    }
}
