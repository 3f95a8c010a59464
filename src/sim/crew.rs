//! The workers of a simulation: what the pool is for a program on the machine.

use super::jobs::busy;
use super::jobs::count;
use super::jobs::live;
use super::stage::Actor;
use super::stage::Role;
use super::stage::Schedule;
use super::stage::Stage;
use super::stage::Stance;
use super::trace::Moment;
use crate::job;
use crate::job::Executor;
use crate::job::Job;
use crate::job::Route;
use crate::pool::Config;
use crate::pool::Counts;
use crate::pool::PoolEvent;
use crate::qos::Qos;
use crate::runtime::Threads;
use crate::sync::Arc;
use crate::sync::Reason;
use crate::sync::park_while;
use crate::sync::parker;
use std::time::Instant;

/// What the workers of a simulation have in common.
pub(super) struct Crew {
    stage: Arc<Stage>,
    config: Config,
}

impl Crew {
    pub(super) fn new(stage: &Arc<Stage>, config: Config) -> Arc<Self> {
        let crew = Arc::new(Self { stage: Arc::clone(stage), config });
        let mut schedule = stage.schedule();
        schedule.jobs.crew = Arc::downgrade(&crew);
        schedule.jobs.threads = crew.config.threads;
        schedule.jobs.max_threads = crew.config.max_threads;
        drop(schedule);
        crew
    }

    /// Starts workers for jobs that no other worker will begin, as far as the limits go.
    pub(super) fn reinforce(self: &Arc<Self>, schedule: &mut Schedule) {
        while schedule.jobs.want_another_worker(&schedule.actors) {
            let crew = Arc::clone(self);
            let name = format!("{}-{}", self.config.name, schedule.jobs.started);
            schedule.jobs.started += 1;
            self.stage.start(schedule, Role::Worker, name, move |number| crew.work(number));
        }
    }

    /// The life of a worker.
    fn work(&self, number: usize) {
        self.call_hook(self.config.on_thread_start.as_ref(), "on_thread_start");
        while let Some(job) = self.next(number) {
            self.run(job);
        }
        self.call_hook(self.config.on_thread_stop.as_ref(), "on_thread_stop");
    }

    /// The next job, however long it takes; `None` if the worker is to go.
    fn next(&self, number: usize) -> Option<Job> {
        loop {
            let mut schedule = self.stage.schedule();
            schedule.actors[number].stance = Stance::Idle;
            if schedule.jobs.are_done(&schedule.actors) {
                schedule.jobs.wake_watchers();
            }
            drop(schedule);
            self.stage.step(number, Moment::Rest, Stance::Idle);
            let mut schedule = self.stage.schedule();
            if schedule.jobs.stopped {
                return None;
            }
            let job = schedule.take_job();
            if job.is_some() {
                return job;
            }
        }
    }

    fn run(&self, job: Job) {
        if self.stage.schedule().jobs.forbid(job.shape().kind) {
            return self.drop_job(job);
        }
        let type_name = job.type_name();
        if let Err(panic) = job::contain(|| job.run()) {
            self.report(PoolEvent::JobPanicked { panic, type_name });
        }
    }

    /// Drops a job unrun and says so. A drain is nobody's closure: what it would have run is reported by its lane.
    fn drop_job(&self, job: Job) {
        let (type_name, kind) = (job.type_name(), job.shape().kind);
        let dropped = job::contain(|| drop(job));
        if kind.is_closure() {
            self.report(PoolEvent::JobDropped { type_name });
        }
        if let Err(panic) = dropped {
            self.report(PoolEvent::JobPanicked { panic, type_name });
        }
    }

    /// Tells the runtime, and survives what it does.
    fn report(&self, event: PoolEvent) {
        if let Err(panic) = job::contain(|| (self.config.on_event)(event)) {
            panic.bury();
        }
    }

    fn call_hook(&self, hook: Option<&Arc<dyn Fn() + Send + Sync>>, type_name: &'static str) {
        if let Some(hook) = hook
            && let Err(panic) = job::contain(|| hook())
        {
            self.report(PoolEvent::JobPanicked { panic, type_name });
        }
    }

    /// Waits until `done` held or the deadline has passed. `done` is looked at whenever nothing runs or a worker has gone.
    fn wait_until(
        &self,
        deadline: Option<Instant>,
        done: impl Fn(&Schedule) -> bool,
        errand: &dyn Fn() -> bool,
    ) -> bool {
        let own = parker();
        self.stage.schedule().jobs.add_watcher(&own);
        let mut held = false;
        park_while(&own, &Reason::Completion, deadline, || {
            loop {
                // In this order: once nothing runs, nothing more comes for the errand.
                held = done(&self.stage.schedule());
                if !errand() {
                    return !held;
                }
            }
        });
        self.stage.schedule().jobs.remove_watcher(&own);
        held
    }
}

impl Executor for Crew {
    fn submit(&self, job: Job, _: Route, _: Qos) -> Result<(), Job> {
        let mut schedule = self.stage.schedule();
        if schedule.jobs.stopped {
            return Err(job);
        }
        schedule.jobs.push(job);
        if let Some(crew) = schedule.jobs.crew.upgrade() {
            crew.reinforce(&mut schedule);
        }
        let caller = schedule.calling_actor();
        drop(schedule);
        let Some(number) = caller else {
            // What is accepted runs all the same, but not at a time that the seed decides.
            panic!(
                "a thread that is not part of the simulation has used it; use queues instead of threads of your own"
            );
        };
        self.stage.step(number, Moment::Submission, Stance::Ready);
        Ok(())
    }

    fn max_threads(&self) -> usize {
        self.config.max_threads
    }

    fn threads(&self) -> usize {
        self.config.threads
    }

    fn is_over(&self) -> bool {
        self.stage.schedule().jobs.stopped
    }

    fn is_quiet(&self) -> bool {
        let schedule = self.stage.schedule();
        schedule.jobs.stopped || schedule.jobs.len() == 0
    }
}

impl Threads for Crew {
    fn quiesce(&self, deadline: Option<Instant>, errand: &dyn Fn() -> bool) -> bool {
        let are_done = |schedule: &Schedule| schedule.jobs.are_done(&schedule.actors);
        !self.is_own_thread() && self.wait_until(deadline, are_done, errand)
    }

    fn cancel_loose(&self) {
        self.stage.schedule().jobs.cancelled = true;
    }

    fn stop(&self, deadline: Option<Instant>) -> usize {
        let mut schedule = self.stage.schedule();
        schedule.jobs.stopped = true;
        let left = schedule.jobs.take_all();
        drop(schedule);
        left.into_iter().for_each(|job| self.drop_job(job));
        if self.is_own_thread() {
            return count(&self.stage.schedule().actors, Actor::is_active).saturating_sub(1);
        }
        if self.wait_until(deadline, |schedule| live(&schedule.actors) == 0, &|| false) {
            return 0;
        }
        busy(&self.stage.schedule().actors)
    }

    fn counts(&self) -> Counts {
        let Schedule { actors, jobs, .. } = &*self.stage.schedule();
        let awake = busy(actors);
        Counts {
            live: live(actors),
            awake,
            blocked: awake - count(actors, Actor::is_active),
            sleeping: live(actors) - awake,
            limit: jobs.threads,
            started: jobs.started as u64,
            queued: jobs.len(),
        }
    }

    fn is_own_thread(&self) -> bool {
        let schedule = self.stage.schedule();
        schedule.calling_actor().is_some_and(|number| schedule.actors[number].role == Role::Worker)
    }
}
