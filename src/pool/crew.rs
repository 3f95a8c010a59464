//! What all threads of a pool share: the counts, the slots, what is queued.

use crate::job;
use crate::job::Job;
use crate::job::Route;
use crate::pool::Config;
use crate::pool::Counts;
use crate::pool::PoolEvent;
use crate::pool::backlog::Backlog;
use crate::pool::backlog::Classes;
use crate::pool::current;
use crate::pool::current::StandIn;
use crate::pool::roster::Errand;
use crate::pool::roster::Roster;
use crate::pool::sentinel::Post;
use crate::pool::slot::Slot;
use crate::pool::slot::SlotSet;
use crate::pool::worker::Worker;
use crate::sync;
use crate::sync::Arc;
use crate::sync::Host;
use crate::sync::Mutex;
use crate::sync::Parker;
use crate::sync::Reason;
use crate::sync::Steal;
use crate::sync::ThreadBuilder;
use std::time::Duration;
use std::time::Instant;

/// How long the pool waits after the system has refused a thread before it asks for another.
const RETRY: Duration = Duration::from_millis(10);

/// The shared part of a pool. Its threads hold it; the [`Pool`](super::Pool) is what users hold.
pub(crate) struct Crew {
    pub(crate) config: Config,
    pub(crate) roster: Roster,
    pub(crate) slots: Box<[Slot]>,
    /// The slots that have a worker.
    pub(crate) occupied: SlotSet,
    pub(crate) backlog: Backlog,
    pub(crate) post: Post,
    starts: Mutex<Starts>,
    /// Threads that wait until nobody is awake, or nobody lives.
    waiters: Mutex<Vec<Arc<Parker>>>,
}

/// How starting threads has gone.
struct Starts {
    /// Threads started so far.
    total: u64,
    /// The last start was refused; the next one is not tried before this.
    refused_until: Option<Instant>,
}

/// Takes a job out of `steal`, however often it asks for another try.
pub(crate) fn insist(steal: impl Fn() -> Steal<Job>) -> Option<Job> {
    loop {
        match steal() {
            Steal::Success(job) => return Some(job),
            Steal::Empty => return None,
            Steal::Retry => sync::spin_loop(),
        }
    }
}

impl Crew {
    pub(crate) fn new(config: Config) -> Arc<Self> {
        let slots = config.slots();
        Arc::new(Self {
            roster: Roster::new(config.threads, config.max_threads, slots),
            slots: (0..slots).map(|_| Slot::new()).collect(),
            occupied: SlotSet::new(slots),
            backlog: Backlog::new(),
            post: Post::new(),
            starts: Mutex::new(Starts { total: 0, refused_until: None }),
            waiters: Mutex::new(Vec::new()),
            config,
        })
    }

    /// Takes a job that no worker keeps for itself.
    pub(crate) fn inject(self: &Arc<Self>, job: Job, route: Route, class: usize) {
        self.backlog.push(job, route, class);
        self.announce(class);
    }

    /// Sees to it that somebody looks for the job of `class` that was just pushed.
    pub(crate) fn announce(self: &Arc<Self>, class: usize) {
        // The reading fences, as the note wants it; and the note comes before anybody is called.
        let errand = self.roster.notify();
        self.backlog.demand.note(class);
        self.run(errand);
    }

    pub(crate) fn run(self: &Arc<Self>, errand: Errand) {
        match errand {
            Errand::Done => {}
            Errand::Call(slot) => self.slots[slot].bell.ring(),
            Errand::Start => self.start(self.config.max_threads),
            Errand::Watch => {
                self.watch();
            }
            Errand::Discard => self.discard(),
        }
    }

    /// Makes the sentinel look soon; false if there is none.
    pub(crate) fn watch(self: &Arc<Self>) -> bool {
        !self.roster.state.rely() || Post::wake(self)
    }

    /// True if any queue holds a job, whatever its class.
    pub(crate) fn is_work_visible(&self) -> bool {
        let deques = || self.occupied.iter_from(0).find_map(|slot| self.slots[slot].class_on_offer());
        let class = self.backlog.first().or_else(deques);
        // Whoever now comes to look for it finds it by its class, even if its submitter has not come to note it yet.
        class.inspect(|class| self.backlog.demand.note(*class)).is_some()
    }

    /// Says that nothing of these classes, which somebody has found empty, is queued, unless there is after all.
    #[cold]
    pub(crate) fn strike(&self, classes: Classes) {
        self.backlog.demand.strike(classes);
        for class in classes.iter() {
            let mut deques = self.occupied.iter_from(0).filter_map(|slot| self.slots[slot].class_on_offer());
            if self.backlog.has(class) || deques.any(|offered| offered == class) {
                self.backlog.demand.note(class);
            }
        }
    }

    /// Starts a thread, if fewer than `cap` live and fewer than the limit could run.
    pub(crate) fn start(self: &Arc<Self>, cap: usize) {
        let refused_until = self.starts.lock().refused_until;
        if refused_until.is_some_and(|until| sync::now() < until) {
            return self.go_short();
        }
        if !self.roster.state.start(cap) {
            return;
        }
        let slot = self.occupied.claim().expect("there are as many slots as threads may live");
        let crew = Arc::clone(self);
        let builder = ThreadBuilder::new().name(format!("{}-{slot}", self.config.name));
        match (self.config.spawn)(builder, Box::new(move || Worker::live(&crew, slot))) {
            Ok(thread) => {
                *self.slots[slot].thread.lock() = Some(thread);
                let mut starts = self.starts.lock();
                starts.total += 1;
                starts.refused_until = None;
            }
            Err(error) => {
                self.occupied.remove(slot);
                let is_news = self.starts.lock().refused_until.replace(sync::now() + RETRY).is_none();
                self.run(self.roster.unstart(|| self.is_work_visible()));
                self.go_short();
                if is_news {
                    self.report(PoolEvent::SpawnFailed { error, live: self.roster.state.read().live() });
                }
            }
        }
    }

    /// Goes on without a thread that is needed: the sentinel tries again, and so does the calling thread when it waits,
    /// if nobody else is there to run anything.
    fn go_short(self: &Arc<Self>) {
        self.watch();
        self.offer_to_stand_in();
    }

    /// Makes the calling thread one that runs jobs while it waits, if nobody else is there to run them.
    fn offer_to_stand_in(self: &Arc<Self>) {
        if self.roster.state.read().active() == 0 {
            sync::offer_host(|| Arc::new(StandIn::new(self)));
        }
    }

    /// True if the last thread that was asked for was refused.
    fn is_short(&self) -> bool {
        self.starts.lock().refused_until.is_some()
    }

    /// How long a waiting thread may sleep before it asks again. A thread that may stand in for workers runs a job
    /// here if nobody else can.
    pub(crate) fn patience(self: &Arc<Self>, may_stand_in: bool) -> Option<Duration> {
        if !self.is_short() {
            return None;
        }
        let is_work_visible = self.is_work_visible();
        if is_work_visible {
            self.run(self.roster.notify());
            if may_stand_in && Worker::stand_in(self) {
                return Some(Duration::ZERO);
            }
        }
        (is_work_visible || may_stand_in).then_some(RETRY)
    }

    /// Tells the owner of the pool, and survives what it does.
    pub(crate) fn report(&self, event: PoolEvent) {
        if let Err(panic) = job::contain(|| (self.config.on_event)(event)) {
            panic.bury();
        }
    }

    /// Runs one of the owner's hooks.
    pub(crate) fn call_hook(&self, hook: Option<&Arc<dyn Fn() + Send + Sync>>, name: &'static str) {
        if let Some(hook) = hook
            && let Err(panic) = job::contain(|| hook())
        {
            self.report(PoolEvent::JobPanicked { panic, type_name: name });
        }
    }

    /// Drops a job unrun and says so. A drain is nobody's closure: what it would have run is reported by its lane.
    pub(crate) fn drop_job(&self, job: Job) {
        let (type_name, kind) = (job.type_name(), job.shape().kind);
        let dropped = job::contain(|| drop(job));
        if kind.is_closure() {
            self.report(PoolEvent::JobDropped { type_name });
        }
        if let Err(panic) = dropped {
            self.report(PoolEvent::JobPanicked { panic, type_name });
        }
    }

    /// Drops everything that is queued: nobody will run it any more.
    pub(crate) fn discard(&self) {
        while let Some(class) = self.backlog.first() {
            let shelf = self.backlog.shelf(class);
            while let Some(job) = insist(|| shelf.lanes.steal()).or_else(|| insist(|| shelf.loose.steal())) {
                self.drop_job(job);
            }
        }
        for slot in self.occupied.iter_from(0) {
            while let Some(job) = insist(|| self.slots[slot].stealer.steal()) {
                self.drop_job(job);
            }
        }
        self.note_calm();
    }

    /// Puts a job that its worker cannot keep where the others find it.
    pub(crate) fn put_back(&self, job: Job, class: usize) {
        let route = if job.shape().kind.is_closure() { Route::Loose } else { Route::Lane };
        self.backlog.push(job, route, class);
    }

    /// True if no job was queued or running. What others submit meanwhile may or may not be seen.
    pub(crate) fn is_calm(&self) -> bool {
        // A job that was queued before the first look has been taken by a worker that was awake from then until it
        // had finished it: if nobody is awake afterwards, it is finished. The last look is for what it submitted.
        !self.is_work_visible() && self.roster.state.settle().awake() == 0 && !self.is_work_visible()
    }

    /// Wakes those who wait for calm, if nobody is awake.
    pub(crate) fn note_calm(&self) {
        if self.roster.state.read().awake() == 0 {
            // A waiter that registers after this lock was released sees the counts as they are now.
            for waiter in self.waiters.lock().iter() {
                waiter.unpark();
            }
        }
    }

    /// Waits until `done` held or the deadline has passed. `done` is looked at whenever nobody is awake any more.
    pub(crate) fn wait_until(self: &Arc<Self>, deadline: Option<Instant>, done: impl Fn() -> bool) -> bool {
        if self.is_short() {
            self.offer_to_stand_in();
        }
        let parker = sync::parker();
        self.waiters.lock().push(Arc::clone(&parker));
        // What held once need not hold for long: a second look would be at something else.
        let mut held = false;
        sync::park_while(&parker, &Reason::Completion, deadline, || {
            held = done();
            !held
        });
        self.waiters.lock().retain(|waiter| !Arc::ptr_eq(waiter, &parker));
        held
    }

    /// Refuses jobs from now on, lets every worker go, and drops what is queued.
    pub(crate) fn close(self: &Arc<Self>) {
        self.roster.state.stop();
        while let Errand::Call(slot) = self.roster.call() {
            self.slots[slot].bell.ring();
        }
        self.post.end_watch();
        self.discard();
    }

    /// Sees the ended threads off, until the deadline: they have left the pool, but may still be in destructors of
    /// their thread-locals.
    pub(crate) fn join(&self, deadline: Option<Instant>) {
        let workers = self.slots.iter().filter_map(|slot| slot.thread.lock().take());
        for thread in workers.chain(self.post.take()) {
            if thread.thread().id() == sync::current_thread().id() {
                continue;
            }
            while !thread.is_finished() && deadline.is_some_and(|deadline| sync::now() < deadline) {
                sync::yield_now();
            }
            if thread.is_finished() || deadline.is_none() {
                // The thread contains every panic of a job or a hook: there is none left to pass on.
                let _ = thread.join();
            }
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        let now = self.roster.state.read();
        let own = self.occupied.iter_from(0).map(|slot| self.slots[slot].stealer.len());
        Counts {
            live: now.live(),
            awake: now.awake(),
            blocked: now.blocked(),
            sleeping: now.sleeping(),
            limit: now.limit(),
            started: self.starts.lock().total,
            queued: self.backlog.len() + own.sum::<usize>(),
        }
    }
}

impl Host for Crew {
    fn before_park(&self, reason: &Reason) {
        if let Some(worker) = current::worker(self) {
            worker.block(reason);
        }
    }

    fn after_park(&self) {
        if let Some(worker) = current::worker(self) {
            worker.unblock();
        }
    }

    fn patience(&self) -> Option<Duration> {
        current::worker(self)?.crew.patience(false)
    }
}
