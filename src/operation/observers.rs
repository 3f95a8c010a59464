//! Who is told of changes, and in which order.
//!
//! A change is put into the inbox of every observer under the lock of the operation that changes, so that an inbox has the
//! changes of each operation in their order. For each change one job goes to the observer's queue, without a lock, and
//! takes the next change out of the inbox, whichever that is.

use crate::job::Job;
use crate::job::Promise;
use crate::queue::Accept;
use crate::queue::Dispatch;
use crate::sync::Arc;
use crate::sync::Mutex;
use std::collections::BTreeMap;

/// How far an operation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OperationState {
    /// It waits for what it depends on, for its delay, or for its next attempt.
    Pending,
    /// It waits for its turn in its queue.
    Ready,
    /// It runs.
    Running,
    /// It has a value.
    Finished,
    /// It was cancelled.
    Cancelled,
    /// It is over without a value, and was not cancelled: its [`OperationError`](crate::OperationError) says why.
    Failed,
}

/// A change of an operation's state, as [`OperationQueue::on_change`](crate::OperationQueue::on_change) tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OperationChange {
    /// The operation's label.
    pub label: Arc<str>,
    /// The how-manieth operation of its queue it is, from 1 on.
    pub number: u64,
    /// What it has changed to.
    pub state: OperationState,
}

/// Has no handle of the queue: a call that is held back there would keep it.
struct Inbox {
    changes: Mutex<Changes>,
    handler: Box<dyn Fn(OperationChange) + Send + Sync>,
}

/// Changes that have not been told, by the how-manieth they are.
#[derive(Default)]
struct Changes {
    noted: u64,
    waiting: BTreeMap<u64, OperationChange>,
}

struct Observer {
    inbox: Arc<Inbox>,
    /// Its queue ends with the operations that it is told of. Elsewhere they may go on for ever.
    is_own: bool,
    queue: Box<dyn Accept>,
}

/// A call of the handler, on its way. One that is dropped takes a change with it, so that none comes late for that: the one
/// that it was sent for, unless another call has told that.
struct Call(Option<Arc<Inbox>>, u64);

impl Call {
    fn run(mut self) {
        if let Some(inbox) = self.0.take() {
            let change = inbox.changes.lock().waiting.pop_first();
            change.into_iter().for_each(|(_, change)| (inbox.handler)(change));
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let lost = self.0.take().map(|inbox| {
            let waiting = &mut inbox.changes.lock().waiting;
            waiting.remove(&self.1).or_else(|| waiting.pop_first().map(|(_, change)| change))
        });
        drop(lost);
    }
}

/// Those whom a queue's operations tell.
#[derive(Default)]
pub(super) struct Observers(Mutex<Vec<Arc<Observer>>>);

impl Observers {
    pub(super) fn add(
        &self,
        queue: &impl Dispatch,
        is_own: bool,
        handler: impl Fn(OperationChange) + Send + Sync + 'static,
    ) {
        let inbox = Arc::new(Inbox { changes: Mutex::new(Changes::default()), handler: Box::new(handler) });
        self.0.lock().push(Arc::new(Observer { inbox, is_own, queue: Box::new(queue.clone()) }));
    }

    /// Puts a change of an operation into every inbox. The caller rings the bells without a lock.
    pub(super) fn note(&self, promise: Promise, label: &Arc<str>, number: u64, state: OperationState) -> Bells {
        let observers = self.0.lock().clone();
        let observers = observers.into_iter().map(|observer| {
            let mut changes = observer.inbox.changes.lock();
            changes.noted += 1;
            let noted = changes.noted;
            changes.waiting.insert(noted, OperationChange { label: Arc::clone(label), number, state });
            drop(changes);
            (observer, noted)
        });
        let observers = observers.collect();
        Bells { observers, promise }
    }
}

/// Observers with something in their inboxes, one time each.
#[must_use]
pub(super) struct Bells {
    observers: Vec<(Arc<Observer>, u64)>,
    promise: Promise,
}

impl Bells {
    pub(super) fn ring(self) {
        for (observer, noted) in self.observers {
            let call = Call(Some(Arc::clone(&observer.inbox)), noted);
            let promise = Promise(self.promise.0 && observer.is_own);
            observer.queue.accept(Job::registered::<Call, _>(promise, move || call.run()));
        }
    }
}
