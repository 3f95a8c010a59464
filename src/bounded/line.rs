//! The jobs of one queue that wait in places of a bound.
//!
//! The jobs wait here, and for each of them a *turn* waits in the queue. A turn takes the first job, gives its place
//! back, and runs it; so a job can be put in another one's place without the queue noticing. A turn that is dropped unrun
//! takes the last job along: it may be refused at once, as the runtime ends, and those before it have turns of their own.
//!
//! The line's lock is taken before the bound's. Under both, a job and its place come and go together.

use super::bound::Bound;
use crate::engine::Engine;
use crate::engine::Loss;
use crate::engine::Phase;
use crate::event_loop::Sink;
use crate::job::Job;
use crate::queue::Dispatch;
use crate::sync::Arc;
use crate::sync::Mutex;
use crate::sync::MutexGuard;
use crate::sync::yield_point;
use crate::time::Nanos;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::hash::Hash;
use std::marker::PhantomData;
use std::mem;

struct Entry<K> {
    key: Option<K>,
    job: Job,
}

/// An entry that waits no more. Its keys are the user's, and are dropped without the lock.
struct Removed<K> {
    job: Job,
    _keys: [Option<K>; 2],
}

/// What waits, in order.
struct Waiting<K> {
    entries: VecDeque<Entry<K>>,
    /// How many have been before the first entry.
    before: u64,
    /// The number of each key's entry, from the beginning.
    numbers: HashMap<K, u64>,
    dropped: u64,
}

impl<K: Eq + Hash + Clone> Waiting<K> {
    /// A job at the end, with its key, of which `again` is a clone.
    fn push(&mut self, key: Option<K>, again: Option<K>, job: Job) {
        if let Some(key) = again {
            self.numbers.insert(key, self.before + self.entries.len() as u64);
        }
        self.entries.push_back(Entry { key, job });
    }

    fn pop_first(&mut self) -> Option<Removed<K>> {
        let first = self.entries.pop_front()?;
        self.before += 1;
        Some(self.forget(first))
    }

    fn pop_last(&mut self) -> Option<Removed<K>> {
        let last = self.entries.pop_back()?;
        Some(self.forget(last))
    }

    fn forget(&mut self, Entry { key, job }: Entry<K>) -> Removed<K> {
        let of_number = key.as_ref().and_then(|key| self.numbers.remove_entry(key)).map(|(key, _)| key);
        Removed { job, _keys: [key, of_number] }
    }

    /// The job that waits under this key.
    fn job_of(&mut self, key: Option<&K>) -> Option<&mut Job> {
        let number = self.numbers.get(key?)?;
        let place = usize::try_from(number - self.before).ok()?;
        self.entries.get_mut(place).map(|entry| &mut entry.job)
    }
}

pub(super) struct Line<K> {
    /// No handle: what waits does not keep its queue from being closed.
    queue: Arc<dyn Sink>,
    pub(super) engine: Arc<Engine>,
    pub(super) bound: Arc<Bound>,
    pub(super) member: u64,
    waiting: Mutex<Waiting<K>>,
}

/// Who has to make way for a job without a place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Displaced {
    Nobody,
    Oldest,
}

impl<K: Eq + Hash + Clone + Send + 'static> Line<K> {
    pub(super) fn new(queue: &impl Dispatch, bound: Arc<Bound>) -> Arc<Self> {
        let member = bound.admit(queue.line());
        let waiting = Waiting { entries: VecDeque::new(), before: 0, numbers: HashMap::new(), dropped: 0 };
        let (sink, engine) = (queue.sink(), Arc::clone(queue.engine()));
        Arc::new(Self { queue: sink, engine, bound, member, waiting: Mutex::new(waiting) })
    }

    /// Puts `f` in the place of the job with its key, or in a free place, or in that of whoever is displaced. Otherwise key
    /// and closure come back.
    pub(super) fn offer<F>(self: &Arc<Self>, key: Option<K>, f: F, displaced: Displaced) -> Result<(), (Option<K>, F)>
    where
        F: FnOnce() + Send + 'static,
    {
        yield_point();
        // It may panic, before anything is taken.
        let again = key.clone();
        let mut waiting = self.waiting.lock();
        if let Some(job) = waiting.job_of(key.as_ref()) {
            let before = mem::replace(job, Job::new(f));
            self.displace(waiting, before);
            return Ok(());
        }
        if self.bound.try_take(self.member) {
            waiting.push(key, again, Job::new(f));
            drop(waiting);
            self.send::<F>();
            return Ok(());
        }
        let oldest = if displaced == Displaced::Oldest { waiting.pop_first() } else { None };
        let Some(oldest) = oldest else {
            drop(waiting);
            return Err((key, f));
        };
        // It has the oldest one's place, and its turn.
        waiting.push(key, again, Job::new(f));
        self.displace(waiting, oldest.job);
        Ok(())
    }

    /// Puts `f` in the place that the caller has taken for it, unless a job with its key, of which `again` is a clone, has
    /// one.
    pub(super) fn put<F: FnOnce() + Send + 'static>(self: &Arc<Self>, key: Option<K>, again: Option<K>, f: F) {
        let mut waiting = self.waiting.lock();
        let Some(job) = waiting.job_of(key.as_ref()) else {
            waiting.push(key, again, Job::new(f));
            drop(waiting);
            return self.send::<F>();
        };
        let before = mem::replace(job, Job::new(f));
        let next = self.bound.give(self.member);
        waiting.dropped += 1;
        drop(waiting);
        next.inspect(|next| next.wake());
        self.lose(before, Loss::Cancelled);
    }

    /// Drops a job that has found no place.
    pub(super) fn drop_newest(&self, job: Job) {
        self.displace(self.waiting.lock(), job);
    }

    /// Counts a job that has made way for another, and drops it without the lock.
    fn displace(&self, mut waiting: MutexGuard<'_, Waiting<K>>, job: Job) {
        waiting.dropped += 1;
        drop(waiting);
        self.lose(job, Loss::Cancelled);
    }

    pub(super) fn lose(&self, job: Job, loss: Loss) {
        self.engine.lose(self.queue.label(), job, loss);
    }

    /// How many jobs wait in this line.
    pub(super) fn len(&self) -> usize {
        self.waiting.lock().entries.len()
    }

    /// How many jobs have made way for others.
    pub(super) fn dropped(&self) -> u64 {
        self.waiting.lock().dropped
    }

    /// Sends a turn, which goes by the name of the closure that it comes with.
    fn send<F: 'static>(self: &Arc<Self>) {
        let turn = Turn { line: Some(Arc::clone(self)), of: PhantomData::<fn() -> F> };
        Arc::clone(&self.queue).fire(Some(Job::new(move || turn.run())), Nanos::ZERO);
    }

    /// Takes a job out of its place.
    fn take(&self, pop: impl FnOnce(&mut Waiting<K>) -> Option<Removed<K>>) -> Option<Job> {
        yield_point();
        let mut waiting = self.waiting.lock();
        let removed = pop(&mut waiting)?;
        let next = self.bound.give(self.member);
        drop(waiting);
        next.inspect(|next| next.wake());
        Some(removed.job)
    }
}

impl<K> Drop for Line<K> {
    fn drop(&mut self) {
        // No turn is left, and so no job.
        self.bound.dismiss(self.member);
    }
}

/// A turn, on its way or running.
struct Turn<K: Eq + Hash + Clone + Send + 'static, F> {
    line: Option<Arc<Line<K>>>,
    of: PhantomData<fn() -> F>,
}

impl<K: Eq + Hash + Clone + Send + 'static, F> Turn<K, F> {
    fn run(mut self) {
        let job = self.line.take().and_then(|line| line.take(Waiting::pop_first));
        job.into_iter().for_each(Job::run);
    }
}

impl<K: Eq + Hash + Clone + Send + 'static, F> Drop for Turn<K, F> {
    fn drop(&mut self) {
        // Whoever drops the turn reports it, as what it is a turn of.
        let job = self.line.take().and_then(|line| match line.engine.phase() {
            // Cancelled, or closed with its queue: a job that has been put in since has a turn of its own.
            Phase::Open => line.take(Waiting::pop_first),
            // Refused, perhaps: those before it have turns of their own.
            _ => line.take(Waiting::pop_last),
        });
        drop(job);
    }
}
