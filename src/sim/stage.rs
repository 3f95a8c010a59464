//! The threads of a simulation, of which one acts at a time, and who acts next.
//!
//! # Protocol
//!
//! A simulated thread is a thread of the machine that acts only while it has the turn. It gives the turn up in
//! [`Stage::step`], with the stance it takes meanwhile, and sleeps until it has it again. Whoever gives the turn up
//! chooses the next: the seed decides among all threads whose stance lets them go on. If there is none, virtual time
//! jumps to the earliest deadline. If there is no deadline either, the simulation has ended, well or in a deadlock.
//!
//! Everything that a choice depends on changes only by the thread that has the turn: so a seed decides all of it. What a
//! stance depends on besides the [`Schedule`] is whether the thread's own parker holds a token.
//!
//! A simulation that has failed never gives the turn to anybody again. Its threads stay where they are, with what they
//! hold, until the process ends: a wait has no way out that its lane could survive.

use super::cycle;
use super::failure::BlockedThread;
use super::failure::Deadlock;
use super::jobs::Jobs;
use super::random::Random;
use super::seat::Seat;
use super::trace::Moment;
use super::trace::Step;
use super::trace::Trace;
use crate::job::Job;
use crate::sync::Arc;
use crate::sync::Condvar;
use crate::sync::JoinHandle;
use crate::sync::Mutex;
use crate::sync::MutexGuard;
use crate::sync::Parker;
use crate::sync::Reason;
use crate::sync::ThreadBuilder;
use crate::sync::ThreadId;
use crate::sync::current_thread;
use crate::sync::enter_host;
use crate::sync::parker;
use std::time::Duration;
use std::time::Instant;

/// What a thread is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The program itself.
    Program,
    /// Jobs.
    Worker,
    /// Timers. It may wait for ever.
    Events,
}

/// Whether a thread could have the turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stance {
    /// At once. The thread that has the turn is ready too.
    Ready,
    /// When its parker holds a token, or at this time.
    Parked { until: Option<Duration> },
    /// When there is a job that a worker may begin, or no worker is needed any more.
    Idle,
    /// Never again.
    Gone,
}

/// A thread of the simulation.
pub(super) struct Actor {
    name: String,
    pub(super) role: Role,
    pub(super) stance: Stance,
    /// Where the thread sleeps while it has not the turn.
    turn: Arc<Condvar>,
    /// `None` until it has started.
    started: Option<Started>,
    /// What it waits for, the innermost wait last.
    pub(super) waits: Vec<Reason>,
    thread: Option<JoinHandle<()>>,
}

struct Started {
    parker: Arc<Parker>,
    id: ThreadId,
}

impl Actor {
    fn has_token(&self) -> bool {
        self.started.as_ref().is_some_and(|started| started.parker.has_token())
    }

    /// True if it is inside a job and does not wait.
    pub(super) fn is_active(&self) -> bool {
        self.role == Role::Worker && !matches!(self.stance, Stance::Idle | Stance::Gone) && self.waits.is_empty()
    }
}

/// How a simulation has ended.
#[derive(Clone, Debug)]
pub(super) enum Ending {
    /// Every thread has.
    Complete,
    Deadlock(Deadlock),
    TooManySteps,
    NoThread {
        errno: i32,
    },
}

/// What all choices depend on.
pub(super) struct Schedule {
    random: Random,
    pub(super) time: Duration,
    pub(super) actors: Vec<Actor>,
    /// Who has the turn.
    acting: usize,
    steps: Vec<Step>,
    max_steps: usize,
    ending: Option<Ending>,
    pub(super) jobs: Jobs,
}

impl Schedule {
    fn may_act(&self, actor: &Actor) -> bool {
        match actor.stance {
            Stance::Ready => true,
            Stance::Parked { until } => actor.has_token() || until.is_some_and(|until| until <= self.time),
            Stance::Idle => self.jobs.want_a_worker(&self.actors),
            Stance::Gone => false,
        }
    }

    /// Chooses who has the turn next, or ends the simulation.
    fn choose(&mut self) {
        if self.ending.is_some() {
            return;
        }
        if self.steps.len() >= self.max_steps {
            self.ending = Some(Ending::TooManySteps);
            return;
        }
        loop {
            let able = (0..self.actors.len()).filter(|number| self.may_act(&self.actors[*number]));
            let able: Vec<usize> = able.collect();
            if !able.is_empty() {
                self.acting = able[self.random.below(able.len())];
                return;
            }
            let deadlines = self.actors.iter().filter_map(|actor| match actor.stance {
                Stance::Parked { until } => until,
                Stance::Ready | Stance::Idle | Stance::Gone => None,
            });
            match deadlines.min() {
                Some(deadline) => self.time = deadline,
                None => break,
            }
        }
        self.ending = Some(if self.actors.iter().all(|actor| actor.stance == Stance::Gone) {
            Ending::Complete
        } else {
            Ending::Deadlock(self.deadlock())
        });
    }

    fn deadlock(&self) -> Deadlock {
        let is_stuck = |actor: &&Actor| actor.role != Role::Events && matches!(actor.stance, Stance::Parked { .. });
        let stuck: Vec<_> = self.actors.iter().filter(is_stuck).collect();
        let waiting = stuck.iter().map(|actor| {
            let innermost = actor.waits.last();
            let holds = match innermost {
                Some(Reason::Sync { held, .. }) => held.iter().map(|label| label.to_string()).collect(),
                _ => Vec::new(),
            };
            BlockedThread {
                name: actor.name.clone(),
                reason: innermost.map_or_else(String::new, Reason::to_string),
                holds,
            }
        });
        Deadlock {
            waiting: waiting.collect(),
            cycle: cycle::find(stuck.iter().filter_map(|actor| actor.waits.last())),
            queued: self.jobs.len(),
        }
    }

    /// A job for a worker to run.
    pub(super) fn take_job(&mut self) -> Option<Job> {
        self.jobs.take(&mut self.random)
    }

    /// The number of the calling thread, if it is the one that has the turn.
    pub(super) fn calling_actor(&self) -> Option<usize> {
        let acting = self.actors[self.acting].started.as_ref();
        acting.is_some_and(|acting| acting.id == current_thread().id()).then_some(self.acting)
    }
}

/// A simulation.
pub(super) struct Stage {
    schedule: Mutex<Schedule>,
    /// Whoever waits for the end.
    ended: Condvar,
    /// Virtual time 0 on the machine's clock, so that it can be told as an `Instant`. Decides nothing.
    origin: Instant,
}

impl Stage {
    pub(super) fn new(seed: u64, max_steps: usize) -> Arc<Self> {
        let schedule = Schedule {
            random: Random::seeded(seed),
            time: Duration::ZERO,
            actors: Vec::new(),
            acting: 0,
            steps: Vec::new(),
            max_steps,
            ending: None,
            jobs: Jobs::none(),
        };
        Arc::new(Self { schedule: Mutex::new(schedule), ended: Condvar::new(), origin: Instant::now() })
    }

    /// Nobody steps, and runs no user code, while it is locked.
    pub(super) fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock()
    }

    /// The instant of a virtual time.
    pub(super) fn instant(&self, time: Duration) -> Instant {
        self.origin + time
    }

    /// The virtual time of an instant.
    pub(super) fn time_of(&self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.origin)
    }

    /// Adds a thread to the simulation, to be given the turn some time. If the system refuses it, the simulation ends.
    pub(super) fn start(
        self: &Arc<Self>,
        schedule: &mut Schedule,
        role: Role,
        name: String,
        act: impl FnOnce(usize) + Send + 'static,
    ) {
        let number = schedule.actors.len();
        let stance = if role == Role::Worker { Stance::Idle } else { Stance::Ready };
        let stage = Arc::clone(self);
        let started = ThreadBuilder::new().name(name.clone()).spawn(move || stage.play(number, act));
        let thread = match started {
            Ok(thread) => Some(thread),
            Err(error) => {
                schedule.ending.get_or_insert(Ending::NoThread { errno: error.raw_os_error().unwrap_or_default() });
                self.ended.notify_all();
                None
            }
        };
        let turn = Arc::new(Condvar::new());
        schedule.actors.push(Actor { name, role, stance, turn, started: None, waits: Vec::new(), thread });
    }

    /// The life of a simulated thread.
    fn play(self: Arc<Self>, number: usize, act: impl FnOnce(usize)) {
        let mut schedule = self.schedule();
        schedule.actors[number].started = Some(Started { parker: parker(), id: current_thread().id() });
        drop(self.wait_for_turn(schedule, number));
        let host = enter_host(Arc::new(Seat::new(Arc::clone(&self), number)));
        act(number);
        drop(host);
        let mut schedule = self.schedule();
        schedule.jobs.wake_watchers();
        self.pass_turn(&mut schedule, number, Moment::End, Stance::Gone);
    }

    /// Gives the turn to whoever the seed says, and returns when it comes back.
    pub(super) fn step(&self, number: usize, moment: Moment, stance: Stance) {
        let mut schedule = self.schedule();
        self.pass_turn(&mut schedule, number, moment, stance);
        let mut schedule = self.wait_for_turn(schedule, number);
        schedule.actors[number].stance = Stance::Ready;
    }

    fn pass_turn(&self, schedule: &mut Schedule, number: usize, moment: Moment, stance: Stance) {
        schedule.actors[number].stance = stance;
        schedule.steps.push(Step { time: schedule.time, thread: number, moment });
        schedule.choose();
        if schedule.ending.is_some() {
            self.ended.notify_all();
        } else if schedule.acting != number {
            schedule.actors[schedule.acting].turn.notify_one();
        }
    }

    fn wait_for_turn<'a>(&self, mut schedule: MutexGuard<'a, Schedule>, number: usize) -> MutexGuard<'a, Schedule> {
        let turn = Arc::clone(&schedule.actors[number].turn);
        while schedule.acting != number || schedule.ending.is_some() {
            turn.wait(&mut schedule);
        }
        schedule
    }

    /// Waits, in real time, until the simulation has ended, and sees its threads off if all of them have.
    pub(super) fn wait_for_end(&self) -> (Ending, Trace) {
        let mut schedule = self.schedule();
        let ending = loop {
            match &schedule.ending {
                Some(ending) => break ending.clone(),
                None => self.ended.wait(&mut schedule),
            }
        };
        let threads = schedule.actors.iter().map(|actor| actor.name.clone()).collect();
        let trace = Trace { threads, steps: std::mem::take(&mut schedule.steps) };
        let handles: Vec<_> = schedule.actors.iter_mut().filter_map(|actor| actor.thread.take()).collect();
        drop(schedule);
        if matches!(ending, Ending::Complete) {
            for thread in handles {
                // The program's panic is contained, and so is that of every job: there is none left to pass on.
                let _ = thread.join();
            }
        }
        (ending, trace)
    }
}
