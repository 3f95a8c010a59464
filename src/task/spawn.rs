//! A future that is polled on a queue.
//!
//! The [`State`] word decides who polls; between two polls the future lies in its place. Whoever polls takes it out, so
//! that no lock is held while it runs, and puts it back before the word says that it may be taken again.
//!
//! - **It is woken while it is polled.** The word keeps that, and the end of the poll schedules the next one.
//! - **It is cancelled while it is polled.** The work item is marked, and the future woken: it is polled again, which finds
//!   the mark and drops it, on its queue.
//! - **It is cancelled before it is polled first.** The item's word decides: whoever withdraws it drops the future.
//! - **A poll's job is dropped.** Then no poll will ever come: the future is dropped there.
//! - **Nobody is left to wake it.** Then nobody has a reference to it, as the task has a weak one: it is dropped with the
//!   last waker.

use super::Slot;
use super::state::State;
use crate::engine::Engine;
use crate::engine::Phase;
use crate::event_loop::Sink;
use crate::job::Job;
use crate::job::contain;
use crate::job::end_in_turn;
use crate::sync::Arc;
use crate::sync::Mutex;
use crate::sync::Weak;
use crate::time::Nanos;
use crate::work_item::Cancellation;
use crate::work_item::Outcome;
use crate::work_item::Run;
use crate::work_item::WorkItem;
use std::mem;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::Wake;
use std::task::Waker;

/// A spawned future, as its task cancels it.
pub(super) trait Withdraw: Send + Sync {
    /// The item has been cancelled, and had come this far.
    fn withdraw(self: Arc<Self>, cancellation: Cancellation);
}

/// Where a future is between two polls. The future is dropped before its run, which tells others of the end.
enum Place<F> {
    Unpolled(Pin<Box<F>>),
    UnderWay(Pin<Box<F>>, Run),
    /// Taken out, or over.
    Empty,
}

/// A future, the queue that polls it, and what its end is told to.
pub(super) struct Fiber<F: Future> {
    state: State,
    place: Mutex<Place<F>>,
    item: WorkItem,
    slot: Arc<Slot<F::Output>>,
    /// No handle: a future does not keep its queue from being closed, which may be what ends it.
    queue: Arc<dyn Sink>,
    engine: Arc<Engine>,
}

impl<F: Future<Output: Send> + Send + 'static> Fiber<F> {
    /// Schedules the first poll.
    pub(super) fn start(
        future: F,
        item: WorkItem,
        slot: Arc<Slot<F::Output>>,
        queue: Arc<dyn Sink>,
        engine: Arc<Engine>,
    ) -> Weak<dyn Withdraw> {
        let place = Mutex::new(Place::Unpolled(Box::pin(future)));
        let fiber = Arc::new(Self { state: State::scheduled(), place, item, slot, queue, engine });
        let weak = Arc::downgrade(&fiber);
        fiber.submit(|visit| Job::new(move || visit.run()));
        weak
    }

    /// Submits the next poll of a future under way. It is a token, so that cancelling the queue's pending jobs leaves it in
    /// its place.
    fn schedule(self: Arc<Self>) {
        self.submit(|visit| Job::token(move || visit.run()));
    }

    fn submit(self: Arc<Self>, job: impl FnOnce(Visit<F>) -> Job) {
        let queue = Arc::clone(&self.queue);
        queue.fire(Some(job(Visit(Some(self)))), Nanos::ZERO);
    }

    fn take(&self) -> Place<F> {
        mem::replace(&mut *self.place.lock(), Place::Empty)
    }

    /// What is to be polled or dropped next, with its run if that begins here. A future that has been withdrawn stays: it is
    /// dropped by whoever has withdrawn it, before that call returns.
    fn claim(&self) -> (Place<F>, Option<Run>) {
        let run = self.item.begin();
        let mut place = self.place.lock();
        let is_withdrawn = run.is_none() && matches!(*place, Place::Unpolled(_));
        let claimed = if is_withdrawn { Place::Empty } else { mem::replace(&mut *place, Place::Empty) };
        (claimed, run)
    }

    /// True if polls may still come. After the end of a drain they would run on whatever thread wakes the future.
    fn goes_on(&self) -> bool {
        match self.engine.phase() {
            Phase::Open => true,
            Phase::Draining => !self.engine.executor().is_over(),
            Phase::Cancelling | Phase::Forked => false,
        }
    }

    fn poll(self: &Arc<Self>) {
        self.state.begin();
        let (mut future, run) = match self.claim() {
            (Place::Unpolled(future), Some(run)) => (future, run),
            (Place::UnderWay(future, run), _) if self.item.is_cancelled() => {
                self.state.end();
                drop(future);
                return run.end(Outcome::Cancelled);
            }
            (Place::UnderWay(future, run), _) => (future, run),
            (Place::Unpolled(_) | Place::Empty, _) => return self.state.end(),
        };
        let waker = Waker::from(Arc::clone(self));
        match contain(|| future.as_mut().poll(&mut Context::from_waker(&waker))) {
            Ok(Poll::Pending) => {
                *self.place.lock() = Place::UnderWay(future, run);
                if self.state.rest() {
                    Arc::clone(self).schedule();
                }
            }
            Ok(Poll::Ready(value)) => {
                self.state.end();
                self.slot.put(value);
                drop(future);
                run.end(Outcome::Finished);
            }
            Err(panic) => {
                self.state.end();
                self.slot.put_panic(&panic);
                let dropped = contain(|| drop(future));
                run.end(Outcome::Panicked);
                if let Err(second) = dropped {
                    second.bury();
                }
                // Whoever runs the queue reports it.
                panic.resume();
            }
        }
    }

    /// No poll will ever come.
    fn abandon(&self) {
        self.state.end();
        // The future is dropped before its run, which ends the item, also when the future's destructor panics.
        let (place, run) = self.claim();
        let _run = run;
        drop(place);
    }
}

impl<F: Future<Output: Send> + Send + 'static> Withdraw for Fiber<F> {
    fn withdraw(self: Arc<Self>, cancellation: Cancellation) {
        match cancellation {
            // Nobody else will take it: the item has ended without having begun.
            Cancellation::NeverRan => drop(self.take()),
            Cancellation::Running => self.wake(),
            Cancellation::Done => {}
        }
    }
}

impl<F: Future<Output: Send> + Send + 'static> Wake for Fiber<F> {
    fn wake(self: Arc<Self>) {
        if self.state.wake() {
            self.schedule();
        }
    }
}

impl<F: Future> Drop for Fiber<F> {
    /// The last waker may go anywhere: a panic of the future's destructor is none of that thread's.
    fn drop(&mut self) {
        let place = mem::replace(&mut *self.place.lock(), Place::Empty);
        if let Err(panic) = contain(|| drop(place)) {
            self.engine.report_panic(self.queue.label(), panic, std::any::type_name::<F>());
        }
    }
}

/// A poll on its way through the queue.
struct Visit<F: Future<Output: Send> + Send + 'static>(Option<Arc<Fiber<F>>>);

impl<F: Future<Output: Send> + Send + 'static> Visit<F> {
    fn run(mut self) {
        if let Some(fiber) = self.0.take_if(|fiber| fiber.goes_on()) {
            fiber.poll();
        }
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for Visit<F> {
    fn drop(&mut self) {
        if let Some(fiber) = self.0.take() {
            end_in_turn(move || fiber.abandon());
        }
    }
}
