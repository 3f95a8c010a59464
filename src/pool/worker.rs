//! A worker: how it runs jobs, when it looks for them, when it sleeps.

mod order;

use crate::job;
use crate::job::Job;
use crate::job::Route;
use crate::job::Shape;
use crate::pool::PoolEvent;
use crate::pool::backlog::CLASSES;
use crate::pool::crew::Crew;
use crate::pool::current;
use crate::pool::nice::Nice;
use crate::pool::roster::Rest;
use crate::pool::slot::Slot;
use crate::qos::Qos;
use crate::sync;
use crate::sync::Arc;
use crate::sync::Deque;
use crate::sync::Reason;
use order::LANES;
use order::OLDEST;
use order::STRIDE;
use std::cell::Cell;
use std::path::Path;
use std::path::PathBuf;
use std::rc::Rc;

/// How often a searcher looks everywhere before it lies down, and how long it pauses in between: a few microseconds in
/// all. A longer search pays for bursts, and costs every lone job as much processor time as it lasts.
const ROUNDS: usize = 8;
const PAUSES: usize = 12;

/// The calling thread's part in a crew.
pub(crate) struct Worker {
    pub(crate) crew: Arc<Crew>,
    slot: usize,
    deque: Deque<Job>,
    /// The class of the jobs in the deque, as it stands in the slot for others.
    class: Cell<usize>,
    /// Looks left until the next round of them begins.
    looks: Cell<u32>,
    /// Of each class, whether the next look at its injectors begins with the lanes.
    is_turn_of_lanes: [Cell<bool>; CLASSES],
    /// The class that was served last although more urgent ones had jobs.
    overdue: Cell<usize>,
    /// Where the next theft begins.
    victim: Cell<usize>,
    /// The drain that has run has made way, and nothing has been taken since.
    has_made_way: Cell<bool>,
    /// Whether the next look after that begins with the own deque.
    is_turn_of_oldest: Cell<bool>,
    /// A job was pushed that nobody else has been told of.
    has_quiet_job: Cell<bool>,
    /// The job that runs.
    running: Cell<Option<&'static Shape>>,
    /// How many own waits the thread is in. Only the outermost counts.
    waits: Cell<usize>,
    /// The thread's nice value, if it is to follow the classes.
    nice: Option<Nice>,
}

impl Worker {
    fn new(crew: &Arc<Crew>, slot: usize, nice: Option<Nice>) -> Rc<Self> {
        Rc::new(Self {
            crew: Arc::clone(crew),
            slot,
            class: Cell::new(crew.slots[slot].class.get()),
            deque: crew.slots[slot].move_in().expect("a slot without a worker keeps its deque"),
            looks: Cell::new(STRIDE - 1),
            is_turn_of_lanes: [const { Cell::new(true) }; CLASSES],
            overdue: Cell::new(CLASSES),
            victim: Cell::new(slot + 1),
            has_made_way: Cell::new(false),
            is_turn_of_oldest: Cell::new(false),
            has_quiet_job: Cell::new(false),
            running: Cell::new(None),
            waits: Cell::new(0),
            nice,
        })
    }

    /// The life of a worker's thread, which was counted as searching.
    pub(crate) fn live(crew: &Arc<Crew>, slot: usize) {
        let worker = Self::new(crew, slot, crew.config.nice.map(Nice::new));
        let host = sync::enter_host(Arc::clone(crew) as _);
        let seat = current::enter(Rc::clone(&worker));
        *crew.slots[slot].stat.lock() = stat_path();
        if let Some(job) = worker.arrive() {
            worker.work(job);
        }
        if sync::is_child() {
            // A job has forked and returned in the child. There is no crew to leave.
            return;
        }
        crew.call_hook(crew.config.on_thread_stop.as_ref(), "on_thread_stop");
        drop((seat, host));
        Self::leave(worker);
    }

    /// Runs one queued job on the calling thread, which waits for something and is not one of the started workers, if
    /// nobody else is active. False if it did not.
    pub(crate) fn stand_in(crew: &Arc<Crew>) -> bool {
        if let Some(worker) = current::worker(crew) {
            // A job that this thread runs while it stands in waits in its turn.
            if crew.roster.state.read().active() > 0 {
                return false;
            }
            crew.roster.state.unblock();
            let waits = worker.waits.replace(0);
            let outer = worker.running.get();
            let ran = worker.run_one();
            worker.running.set(outer);
            worker.waits.set(waits);
            crew.roster.state.block();
            return ran;
        }
        if !crew.roster.state.stand_in() {
            return false;
        }
        let slot = crew.occupied.claim().expect("there are as many slots as threads may live");
        // The thread belongs to somebody else, and so does its nice value.
        let worker = Self::new(crew, slot, None);
        let seat = current::enter(Rc::clone(&worker));
        let ran = worker.run_one();
        drop(seat);
        Self::leave(worker);
        ran
    }

    /// Gives the slot up, with the jobs that are left in it, and is gone.
    fn leave(worker: Rc<Self>) {
        let slot = worker.slot;
        let crew = Arc::clone(&worker.crew);
        while let Some(job) = worker.deque.pop() {
            crew.put_back(job, worker.class.get());
        }
        // As after any push: if the pool has stopped, nobody else may look any more.
        if crew.roster.state.settle().is_stopped() {
            crew.discard();
        }
        if let Some(worker) = Rc::into_inner(worker) {
            crew.slots[slot].move_out(worker.deque);
        }
        crew.occupied.remove(slot);
        crew.run(crew.roster.leave(|| crew.is_work_visible()));
        crew.note_calm();
    }

    pub(crate) fn is_of(&self, crew: &Crew) -> bool {
        std::ptr::eq(&raw const *self.crew, crew)
    }

    fn place(&self) -> &Slot {
        &self.crew.slots[self.slot]
    }

    /// The new worker's first job.
    fn arrive(&self) -> Option<Job> {
        if self.crew.config.on_thread_start.is_some() {
            // The hook may take its time or wait for a job: meanwhile nobody may count on this thread's search.
            self.crew.run(self.crew.roster.found(|| self.crew.is_work_visible()));
            self.crew.call_hook(self.crew.config.on_thread_start.as_ref(), "on_thread_start");
            return self.next_with_care();
        }
        let job = self.forage().or_else(|| {
            self.crew.roster.state.give_up();
            self.doze()
        })?;
        self.admit(job).or_else(|| self.next_with_care())
    }

    /// Runs `job` and all that follow, until the worker is to go.
    fn work(&self, job: Job) {
        let mut first = Some(job);
        // One containment around a run of jobs: entered again after each panic.
        while let Err(panic) = job::contain(|| {
            if let Some(job) = first.take() {
                self.run(job);
            }
            while !sync::is_child()
                && let Some(job) = self.next()
            {
                self.run(job);
            }
        }) {
            self.report_panic(panic);
        }
    }

    /// Runs one job if there is one.
    fn run_one(&self) -> bool {
        let Some(job) = self.at_hand() else { return false };
        if let Some(job) = self.admit(job)
            && let Err(panic) = job::contain(|| self.run(job))
        {
            self.report_panic(panic);
        }
        self.place().pace.rest();
        true
    }

    #[inline(always)]
    fn run(&self, job: Job) {
        self.running.set(Some(job.shape()));
        self.place().pace.step();
        job.run();
    }

    fn report_panic(&self, panic: job::Panic) {
        let type_name = self.running.take().map_or("a job", Shape::type_name);
        self.crew.report(PoolEvent::JobPanicked { panic, type_name });
    }

    /// The next job, however long it takes; `None` if the worker is to go, counted as running.
    #[inline(always)]
    fn next(&self) -> Option<Job> {
        let now = self.crew.roster.state.read();
        let looks = self.looks.get();
        if now.is_plain()
            && looks > OLDEST
            && !looks.is_multiple_of(LANES)
            && !self.has_made_way.get()
            && !self.is_urgent_demanded()
            && let Some(job) = self.deque.pop()
        {
            self.looks.set(looks - 1);
            self.serve(self.class.get());
            self.end_quiet();
            return Some(job);
        }
        self.next_with_care()
    }

    /// As [`Worker::next`], for all that is not every time.
    #[inline(never)]
    fn next_with_care(&self) -> Option<Job> {
        loop {
            let now = self.crew.roster.state.read();
            if now.is_stopped() {
                return None;
            }
            let job = if now.is_surplus() && self.crew.roster.state.lie_down_as_surplus() {
                self.place().pace.rest();
                self.doze()?
            } else if let Some(job) = self.at_hand() {
                job
            } else {
                self.search()?
            };
            if let Some(job) = self.admit(job) {
                return Some(job);
            }
        }
    }

    /// Tells others of a quiet job that is still there, before another one starts.
    #[inline(always)]
    fn end_quiet(&self) {
        if self.has_quiet_job.replace(false) && !self.deque.is_empty() {
            self.crew.announce(self.class.get());
        }
    }

    /// What comes between finding a job and running it; a cancelled one is dropped instead.
    fn admit(&self, job: Job) -> Option<Job> {
        self.end_quiet();
        if job.shape().kind.is_closure() && self.crew.roster.state.read().is_cancelled() {
            self.crew.drop_job(job);
            return None;
        }
        Some(job)
    }

    /// Looks everywhere for a while, and then sleeps, until there is a job.
    #[cold]
    fn search(&self) -> Option<Job> {
        self.place().pace.rest();
        if !self.crew.roster.state.search() {
            self.crew.roster.state.lie_down();
        } else if let Some(job) = self.forage() {
            return Some(job);
        } else {
            self.crew.roster.state.give_up();
        }
        self.doze()
    }

    /// What a searcher does. If it finds something it counts as running, else still as searching.
    fn forage(&self) -> Option<Job> {
        for round in 0..ROUNDS {
            if round > 0 {
                (0..PAUSES).for_each(|_| sync::spin_loop());
            }
            let job = self.own().or_else(|| self.outside(0));
            if job.is_some() {
                self.crew.run(self.crew.roster.found(|| self.crew.is_work_visible()));
                return job;
            }
        }
        None
    }

    /// Sleeps, searches when called, and sleeps again. The worker counts as asleep.
    fn doze(&self) -> Option<Job> {
        while self.sleep() {
            if self.crew.roster.state.read().is_stopped() {
                self.crew.run(self.crew.roster.found(|| false));
                return None;
            }
            if let Some(job) = self.forage() {
                return Some(job);
            }
            self.crew.roster.state.give_up();
        }
        None
    }

    /// Sleeps until called, and then counts as searching; false if it has slept too long for a spare worker, and then
    /// counts as running.
    fn sleep(&self) -> bool {
        let (crew, bell) = (&self.crew, &self.place().bell);
        // Whoever is called looks for jobs of any class.
        self.serve(Qos::Default as usize);
        match crew.roster.enter(self.slot, || crew.is_work_visible()) {
            Rest::Up => return true,
            Rest::Watch => {
                crew.watch();
            }
            Rest::Sleep => {}
        }
        crew.note_calm();
        let is_spare = || crew.roster.state.read().live() > crew.roster.state.threads();
        if is_spare() {
            if bell.wait(Some(sync::now() + crew.config.spare_idle)) {
                return true;
            }
            if is_spare() && crew.roster.rise(self.slot) {
                return false;
            }
        }
        bell.wait(None)
    }

    /// Takes a job that the calling thread's own job submits. The own deque keeps jobs of one class only.
    pub(crate) fn push(&self, job: Job, route: Route, class: usize) {
        let is_in_job = self.waits.get() == 0 && self.running.get().is_some();
        let is_of_own_class = class == self.class.get();
        match route {
            // The drain is about to return, and this worker's next look finds its successor.
            Route::Back if is_of_own_class && is_in_job && self.is_idle() => {
                self.deque.push(job);
                self.crew.backlog.demand.fence_and_note(class);
            }
            Route::Lane if is_of_own_class && is_in_job && !self.has_quiet_job.get() => {
                self.deque.push(job);
                let is_relied = self.crew.roster.state.settle().is_relied();
                self.crew.backlog.demand.note(class);
                if is_relied || self.crew.watch() {
                    self.has_quiet_job.set(true);
                } else {
                    self.crew.announce(class);
                }
            }
            Route::Lane | Route::Loose if is_of_own_class => {
                self.deque.push(job);
                self.crew.announce(class);
            }
            Route::Back => {
                self.crew.inject(job, route, class);
                self.has_made_way.set(true);
            }
            Route::Lane | Route::Beside | Route::Loose => self.crew.inject(job, route, class),
        }
    }

    /// True if this worker's next look would find nothing at hand.
    pub(crate) fn is_idle(&self) -> bool {
        self.deque.is_empty() && !self.is_urgent_demanded() && self.crew.backlog.seems_empty()
    }

    /// The running job is about to wait.
    pub(crate) fn block(&self, reason: &Reason) {
        let waits = self.waits.get();
        self.waits.set(waits + 1);
        if waits == 0 {
            *self.place().reason.lock() = Some(reason.clone());
            self.crew.run(self.crew.roster.block(|| self.crew.is_work_visible()));
        }
    }

    /// The running job goes on.
    pub(crate) fn unblock(&self) {
        let waits = self.waits.get() - 1;
        self.waits.set(waits);
        if waits == 0 {
            self.crew.roster.state.unblock();
            *self.place().reason.lock() = None;
            // The sentinel tells episodes of a standstill apart by this.
            self.place().pace.step();
        }
    }
}

/// Where the kernel tells what the calling thread is doing.
fn stat_path() -> Option<PathBuf> {
    let thread = std::fs::read_link("/proc/thread-self").ok()?;
    Some(Path::new("/proc").join(thread).join("stat"))
}
