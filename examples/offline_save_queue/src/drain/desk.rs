//! What the drain knows, and one turn of it.

use super::Ending;
use super::News;
use super::Post;
use super::Setup;
use super::Surroundings;
use crate::failure::Failure;
use crate::op::Op;
use crate::op::Seq;
use crate::plan::Fate;
use crate::plan::Holds;
use crate::plan::Moment;
use crate::plan::Plan;
use crate::plan::Policy;
use crate::plan::Step;
use crate::plan::Turn;
use crate::report::Event;
use crate::report::Level;
use crate::report::LinkState;
use crate::report::Name;
use crate::report::Witness;
use crate::store::Loaded;
use crate::store::Outcome;
use crate::store::Store;
use crate::store::StoreError;
use crate::text::wall_ms;
use crate::wake;
use crate::wire::Verdict;
use concourse::Queue;
use concourse::Source;
use concourse::SuspendGuard;
use concourse::blocking;
use concourse::source::Handle;
use concourse::source::Merging;
use concourse::source::Schedule;
use concourse::source::Timer;
use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

/// How long to wait before the store is tried again that could not be used.
const STORE_REST: Duration = Duration::from_secs(1);

/// How long the store may be behind the server. A commit costs a sync of the disk, and one does for many saves.
const BEHIND: Duration = Duration::from_millis(20);

/// By how many saves it may be behind.
const MOST_BEHIND: usize = 100;

/// How long a drain that is to stop waits for what is on its way.
const FAREWELL: Duration = Duration::from_secs(5);

/// Everything of the drain, touched on the drain's queue only.
pub(super) struct Desk {
    store: Box<dyn Store>,
    plan: Plan,
    post: Arc<dyn Post>,
    witness: Arc<dyn Witness>,
    surroundings: Box<dyn Surroundings>,
    /// How often the configuration was read.
    setups: u64,
    reach: Reach,
    once: bool,
    started: Instant,
    /// Holds the lanes while somebody says to wait.
    paused: Option<SuspendGuard>,
    /// What is on its way.
    sent: HashMap<Seq, Name>,
    /// What became of saves and is not in the store yet.
    unsettled: Vec<Outcome>,
    /// Since when the store has been behind.
    behind_since: Moment,
    /// What is to be told when it is.
    untold: Vec<Event>,
    trouble: Option<Trouble>,
    /// How much of the store the plan knows; none if it is to be told everything anew.
    known: Option<Known>,
    /// The last place that was ever seen.
    newest: Seq,
    /// When time alone lets the plan go on.
    wakes_at: Option<Moment>,
    dead: i64,
    turns: u64,
    give_up_at: Option<Moment>,
    was_drained: bool,
    ending: Option<Ending>,
}

/// What the desk can set in motion.
pub(super) struct Reach {
    /// Where requests wait for their answers.
    pub(super) lanes: Queue,
    /// Wakes the drain when it is time.
    pub(super) alarm: Source<Timer>,
    /// Where the lanes bring what came back.
    pub(super) news: Handle<Merging<Vec<News>>>,
}

/// The store could not be used.
struct Trouble {
    error: StoreError,
    rests_until: Moment,
}

/// How much of the store the plan knows.
struct Known {
    stamp: i64,
    revision: i64,
}

impl Desk {
    pub(super) fn new(
        store: Box<dyn Store>,
        plan: Plan,
        post: Arc<dyn Post>,
        witness: Arc<dyn Witness>,
        surroundings: Box<dyn Surroundings>,
        reach: Reach,
        once: bool,
    ) -> Self {
        Self {
            store,
            plan,
            post,
            witness,
            surroundings,
            setups: 0,
            reach,
            once,
            started: Instant::now(),
            paused: None,
            sent: HashMap::new(),
            unsettled: Vec::new(),
            behind_since: Moment::ZERO,
            untold: Vec::new(),
            trouble: None,
            known: None,
            newest: 0,
            wakes_at: None,
            dead: 0,
            turns: 0,
            give_up_at: None,
            was_drained: false,
            ending: None,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ending.is_some()
    }

    /// One turn: hears why it was woken and what came back from the lanes, and sends what can be sent. True if that was
    /// the last.
    pub(super) fn turn(&mut self, why: u64, news: Vec<News>) -> bool {
        let now = self.started.elapsed();
        self.turns += 1;
        // Whatever it was that came first: nothing is sent before everything has been looked at.
        let why = if self.turns == 1 { why | wake::NETWORK | wake::STORE } else { why };
        if why & wake::STOP != 0 && !mem::replace(&mut self.plan.holds.stopping, true) {
            self.give_up_at = Some(now + FAREWELL);
            self.witness.see(Event::Stopping);
        }
        if why & (wake::CONFIG | wake::RELOAD) != 0 {
            self.configure(why & wake::RELOAD != 0);
        }
        if why & wake::NETWORK != 0 {
            self.look_for_network(now);
        }
        for news in news {
            self.hear(news, now);
        }
        // The lanes go on before the disk is waited for, but not behind a save that was given up: after a death of this
        // process it would wait again, and come behind those.
        if !self.may_note_late() {
            self.settle(now);
        }
        self.send(now);
        let pulls = why & wake::STORE != 0 || self.known.is_none();
        if pulls || self.is_time_to_settle(now) {
            self.settle(now);
        }
        if pulls && self.unsettled.is_empty() {
            self.pull(now);
            self.send(now);
        }
        if self.is_time_to_settle(now) {
            self.settle(now);
        }
        let wakes_at = self.rest(now);
        self.tell(wakes_at, now);
        self.may_end(now)
    }

    /// Lets go of everything and says how it stands.
    pub(super) fn close(&mut self) -> Ending {
        let now = self.started.elapsed();
        self.settle(now);
        self.set_alarm(Schedule::never());
        self.ending.take().unwrap_or_else(|| self.ended(None))
    }

    /// Reads the configuration, if it has changed, or `anyway`.
    fn configure(&mut self, anyway: bool) {
        match self.surroundings.setup(anyway) {
            None => {}
            Some(Err(why)) => self.witness.see(Event::BadConfig { why }),
            Some(Ok(Setup { policy, post })) => {
                // The lanes were built with their width.
                self.plan.set_policy(Policy { lanes: self.plan.policy().lanes, ..policy });
                self.post = post;
                self.setups += 1;
                self.plan.holds.unauthorized = false;
                self.known = None;
                self.witness.see(Event::Configured);
            }
        }
    }

    fn look_for_network(&mut self, now: Moment) {
        let offline = self.surroundings.is_offline();
        if mem::replace(&mut self.plan.holds.offline, offline) == offline {
            return;
        }
        if !offline {
            self.plan.hint_network(now);
        }
        self.witness.see(if offline { Event::Offline } else { Event::Online });
    }

    /// Takes what came back from a lane.
    fn hear(&mut self, news: News, now: Moment) {
        match news {
            News::Probe(is_there) => {
                if self.plan.probed(is_there, now) == Turn::CameUp {
                    self.witness.see(Event::NetworkUp);
                }
            }
            News::Verdict(seq, verdict, setup) => {
                let Some(name) = self.sent.remove(&seq) else { return };
                if matches!(verdict, Verdict::NotAuthorized { .. }) && setup != self.setups {
                    // The configuration has changed since it was sent, and may be what was missing.
                    return self.plan.put_back(seq, now);
                }
                let was_authorized = !self.plan.holds.unauthorized;
                let (fate, turn) = self.plan.settle(seq, verdict, now);
                let why = match &fate {
                    Fate::Unsent { why } => why.clone(),
                    _ => String::new(),
                };
                match turn {
                    Turn::Same => {}
                    Turn::WentDown => self.witness.see(Event::NetworkDown { why }),
                    Turn::CameUp => self.witness.see(Event::NetworkUp),
                }
                if let (Fate::Unsent { why }, true, true) = (&fate, was_authorized, self.plan.holds.unauthorized) {
                    self.witness.see(Event::NotAuthorized { why: why.clone() });
                }
                self.write_down(name, fate, now);
            }
        }
    }

    /// Keeps what became of a save for the next commit, after which it is told.
    fn write_down(&mut self, name: Name, fate: Fate, now: Moment) {
        let seq = name.seq;
        let (outcome, event) = match fate {
            Fate::Sent { duplicate } => {
                let event = if duplicate { Event::Duplicate(name) } else { Event::Sent(name) };
                (Outcome::Sent { seq }, event)
            }
            Fate::Again { attempts, delay, status, why } => {
                let next_at_ms = wall_ms().saturating_add(delay.as_millis() as i64);
                let outcome = Outcome::Again { seq, attempts, next_at_ms, status: Some(status), why: why.clone() };
                (outcome, Event::Failed { name, attempts, retry_in_ms: delay.as_millis() as u64, status, why })
            }
            Fate::Dead { attempts, status, why } => {
                let outcome = Outcome::Dead { seq, attempts, status, why: why.clone() };
                (outcome, Event::Dead { name, attempts, status, why })
            }
            // The store has it as it was.
            Fate::Unsent { .. } => return,
        };
        if self.unsettled.is_empty() {
            self.behind_since = now;
        }
        self.unsettled.push(outcome);
        self.untold.push(event);
    }

    /// Gives the lanes what they can take.
    fn send(&mut self, now: Moment) {
        while self.trouble.is_none() {
            match self.plan.next(now) {
                Step::Rest(until) => {
                    self.wakes_at = until;
                    return;
                }
                Step::Probe => {
                    let (post, news) = (Arc::clone(&self.post), self.reach.news.clone());
                    self.reach.lanes.exec_async(move || {
                        let is_there = blocking(|| post.is_there());
                        news.merge(vec![News::Probe(is_there)]);
                    });
                }
                Step::Send(seq) => match self.store.load(seq) {
                    Ok(Some(Loaded::Intact(op))) => self.dispatch(op),
                    Ok(Some(Loaded::Damaged)) => {
                        if let Some(fate) = self.plan.damaged(seq) {
                            let name = Name { seq, key: String::new(), idem: String::new() };
                            self.write_down(name, fate, now);
                        }
                    }
                    Ok(None) => self.plan.vanished(seq),
                    Err(error) => {
                        self.plan.put_back(seq, now);
                        self.fail(error, now);
                    }
                },
            }
        }
    }

    fn dispatch(&mut self, op: Op) {
        self.sent.insert(op.seq, Name::from(&op));
        let (post, news, setup) = (Arc::clone(&self.post), self.reach.news.clone(), self.setups);
        self.reach.lanes.exec_async(move || {
            let verdict = blocking(|| post.send(&op)).judge(&op.idem);
            news.merge(vec![News::Verdict(op.seq, verdict, setup)]);
        });
    }

    /// Whether the store is behind, and should not be any longer. Only what was sent may be noted late: if the process dies
    /// before, it is sent once more, and the server knows it.
    fn is_time_to_settle(&self, now: Moment) -> bool {
        let may_wait = self.plan.in_flight() > 0
            && self.unsettled.len() < MOST_BEHIND
            && now < self.behind_since + BEHIND
            && self.trouble.is_none()
            && self.may_note_late();
        !may_wait
    }

    fn may_note_late(&self) -> bool {
        self.unsettled.iter().all(|outcome| matches!(outcome, Outcome::Sent { .. }))
    }

    /// Writes into the store what became of saves.
    fn settle(&mut self, now: Moment) {
        if self.trouble.as_ref().is_some_and(|trouble| now < trouble.rests_until) {
            return;
        }
        if !self.unsettled.is_empty() {
            if let Err(error) = self.store.settle(&self.unsettled) {
                return self.fail(error, now);
            }
            let died = |outcome: &Outcome| matches!(outcome, Outcome::Dead { .. });
            self.dead += self.unsettled.iter().filter(|outcome| died(outcome)).count() as i64;
            self.unsettled.clear();
            self.untold.drain(..).for_each(|event| self.witness.see(event));
        }
        // If reading was the trouble, `pull` follows and finds out.
        if self.trouble.take().is_some() {
            self.witness.see(Event::StoreWorks);
            self.send(now);
        }
    }

    /// Tells the plan what others have written into the store.
    fn pull(&mut self, now: Moment) {
        if self.trouble.is_some() {
            return;
        }
        match self.read(now) {
            Ok(0) => {}
            Ok(count) => self.witness.see(Event::Enqueued { count }),
            Err(error) => {
                self.known = None;
                self.fail(error, now);
            }
        }
    }

    /// How many saves there are that were not known.
    fn read(&mut self, now: Moment) -> Result<u64, StoreError> {
        // First the stamp: what is written after it will change it again.
        let stamp = self.store.stamp()?;
        if self.known.as_ref().is_some_and(|known| known.stamp == stamp) {
            return Ok(0);
        }
        self.look_for_pause()?;
        let totals = self.store.totals()?;
        let is_only_longer = self.known.as_ref().is_some_and(|known| known.revision == totals.revision);
        if !is_only_longer {
            self.plan.forget_waiting();
            for letter in self.store.dead(None)? {
                self.plan.add_dead(letter.op.seq, &letter.op.key);
            }
        }
        let waiting = self.store.waiting_after(if is_only_longer { self.newest } else { 0 })?;
        let wall = wall_ms();
        for waiting in &waiting {
            let delay = Duration::from_millis(waiting.next_at_ms.saturating_sub(wall).try_into().unwrap_or(0));
            self.plan.add(waiting, delay, now);
        }
        let new = waiting.iter().filter(|waiting| waiting.seq > self.newest).count();
        self.newest = waiting.last().map_or(self.newest, |last| last.seq.max(self.newest));
        self.dead = totals.dead;
        self.known = Some(Known { stamp, revision: totals.revision });
        Ok(new as u64)
    }

    fn look_for_pause(&mut self) -> Result<(), StoreError> {
        let paused = self.store.is_paused()?;
        if mem::replace(&mut self.plan.holds.paused, paused) == paused {
            return Ok(());
        }
        // What the lanes have not begun waits there; a request that is on its way arrives.
        self.paused = if paused { self.reach.lanes.suspend_guard().ok() } else { None };
        self.witness.see(if paused { Event::Paused } else { Event::Resumed });
        Ok(())
    }

    /// Notes that the store cannot be used, and rests before it is tried again.
    fn fail(&mut self, error: StoreError, now: Moment) {
        if self.trouble.is_none() {
            self.witness.see(Event::StoreFailed { why: error.to_string() });
        }
        self.trouble = Some(Trouble { error, rests_until: now + STORE_REST });
    }

    /// Sets the alarm to the next moment at which there is something to do.
    fn rest(&mut self, now: Moment) -> Option<Moment> {
        let next = match &self.trouble {
            Some(trouble) => Some(trouble.rests_until),
            None => self.wakes_at,
        };
        let behind = (!self.unsettled.is_empty() && self.trouble.is_none()).then_some(self.behind_since + BEHIND);
        let wakes_at = next.into_iter().chain(behind).chain(self.give_up_at).min();
        let schedule = wakes_at.map_or_else(Schedule::never, |at| Schedule::after(at.saturating_sub(now)));
        self.set_alarm(schedule);
        next
    }

    fn set_alarm(&self, schedule: Schedule) {
        // Only an interval of zero is refused, and these have none.
        let _ = self.reach.alarm.set(schedule);
    }

    /// Tells how things stand.
    fn tell(&mut self, next: Option<Moment>, now: Moment) {
        let Holds { offline, paused, unauthorized, .. } = self.plan.holds;
        let link = match (paused, unauthorized) {
            (true, _) => LinkState::Paused,
            (_, true) => LinkState::NotAuthorized,
            _ if offline || self.plan.is_down() => LinkState::Offline,
            _ => LinkState::Online,
        };
        let pending = self.plan.pending();
        let is_drained = pending == 0 && self.unsettled.is_empty() && self.known.is_some();
        if is_drained && !mem::replace(&mut self.was_drained, is_drained) {
            self.witness.see(Event::Drained);
        }
        self.was_drained = is_drained;
        self.witness.level(Level {
            pending,
            dead: self.dead,
            in_flight: self.plan.in_flight(),
            link,
            next_in_ms: next.map(|at| at.saturating_sub(now).as_millis() as u64),
            turns: self.turns,
        });
    }

    /// Whether this was the last turn.
    fn may_end(&mut self, now: Moment) -> bool {
        let failure = match &self.trouble {
            Some(Trouble { error, .. }) if self.once || matches!(error, StoreError::Corrupt(_)) => {
                Some(Failure::from(error.clone()))
            }
            _ => None,
        };
        let in_flight = self.plan.in_flight();
        let has_stopped = self.give_up_at.is_some_and(|give_up_at| in_flight == 0 || now >= give_up_at);
        let is_through = self.once && self.trouble.is_none() && self.plan.is_at_rest();
        if failure.is_some() || has_stopped || is_through {
            self.ending = Some(self.ended(failure));
        }
        self.has_ended()
    }

    fn ended(&self, failure: Option<Failure>) -> Ending {
        Ending { pending: self.plan.pending(), dead: self.dead, failure }
    }
}
