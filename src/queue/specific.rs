//! What a queue carries for its users: values under keys, and a finalizer.

use super::Queue;
use super::idle::Idlers;
use super::lane::Lane;
use super::waiter::Frame;
use crate::job::Job;
use crate::job::Route;
use crate::sync::Arc;
use crate::sync::Mutex;
use crate::sync::OnceLock;
use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::ptr;

/// The name of a value that queues can carry. Make it a static: each one is a key of its own.
///
/// ```
/// use concourse::{Queue, SpecificKey};
///
/// static TENANT: SpecificKey<String> = SpecificKey::new();
///
/// let queue = Queue::serial("requests");
/// queue.set_specific(&TENANT, "north".to_owned());
/// queue.exec_sync(|| {
///     // Deep inside the job, where nobody has passed the queue on.
///     assert_eq!(*Queue::current_specific(&TENANT).unwrap(), "north");
/// });
/// ```
pub struct SpecificKey<T> {
    /// Gives each key an address of its own; and as it could change, a reference to a constant is none to a static.
    _place: OnceLock<()>,
    value: PhantomData<fn() -> T>,
}

impl<T> SpecificKey<T> {
    /// A new key.
    #[must_use]
    pub const fn new() -> Self {
        Self { _place: OnceLock::new(), value: PhantomData }
    }

    fn id(&'static self) -> usize {
        ptr::from_ref(self).addr()
    }
}

impl<T> Default for SpecificKey<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for SpecificKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpecificKey<{}>", std::any::type_name::<T>())
    }
}

type Value = Arc<dyn Any + Send + Sync>;
type Finalizer = Box<dyn FnOnce() + Send>;

/// What a lane carries. Most carry nothing.
#[derive(Default)]
pub(super) struct Baggage {
    values: Mutex<BTreeMap<usize, Value>>,
    finalizer: Mutex<Option<Finalizer>>,
    pub(super) idlers: Idlers,
}

impl fmt::Debug for Baggage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Baggage").finish_non_exhaustive()
    }
}

impl Drop for Baggage {
    fn drop(&mut self) {
        if let Some(finalizer) = self.finalizer.lock().take() {
            finalizer();
        }
    }
}

impl Lane {
    fn value<T: Send + Sync + 'static>(&self, key: &'static SpecificKey<T>) -> Option<Arc<T>> {
        typed(self.baggage()?.values.lock().get(&key.id()).cloned())
    }

    /// Sends what the lane has carried to its target. The lane has run its last job, and goes.
    pub(super) fn unload(&self, baggage: Box<Baggage>) {
        // It is dropped where the job runs. A runtime that has ended refuses the job, which drops it here.
        let job = Job::token(move || drop(baggage));
        match self.target() {
            Some(target) => target.enqueue(job),
            None => drop(self.engine().executor().submit(job, Route::Loose, self.qos())),
        }
    }
}

fn typed<T: Send + Sync + 'static>(value: Option<Value>) -> Option<Arc<T>> {
    // It has the key's type: only a `T` is put in under a key of `T`.
    value?.downcast().ok()
}

impl Queue {
    /// Lets the queue carry `value` under `key`, and returns what it carried there before.
    ///
    /// The queue drops what it carries once its last handle has gone and its last job has run, on its target queue; on a
    /// thread of the runtime if it has none. This is libdispatch's `dispatch_queue_set_specific`.
    pub fn set_specific<T: Send + Sync + 'static>(&self, key: &'static SpecificKey<T>, value: T) -> Option<Arc<T>> {
        let before = self.lane.baggage_to_fill().values.lock().insert(key.id(), Arc::new(value));
        typed(before)
    }

    /// Takes back what the queue carries under `key`.
    pub fn remove_specific<T: Send + Sync + 'static>(&self, key: &'static SpecificKey<T>) -> Option<Arc<T>> {
        let before = self.lane.baggage()?.values.lock().remove(&key.id());
        typed(before)
    }

    /// What this queue itself carries under `key`. This is libdispatch's `dispatch_queue_get_specific`.
    #[must_use]
    pub fn specific<T: Send + Sync + 'static>(&self, key: &'static SpecificKey<T>) -> Option<Arc<T>> {
        self.lane.value(key)
    }

    /// What the queue whose job the calling thread is running carries under `key`, or else its target, and so on. `None`
    /// outside of any private queue. This is libdispatch's `dispatch_get_specific`.
    #[must_use]
    pub fn current_specific<T: Send + Sync + 'static>(key: &'static SpecificKey<T>) -> Option<Arc<T>> {
        Frame::current()?.chain().find_map(|lane| lane.value(key))
    }

    /// Lets `f` run once the last handle of the queue has gone and its last job has run: on the target queue, or on a
    /// thread of the runtime if the queue has no target. It replaces an earlier finalizer, which is dropped unrun.
    ///
    /// What the queue carries under keys is dropped after it. A runtime that has ended by then lets `f` run on the thread
    /// that leaves the queue last. This is libdispatch's `dispatch_set_finalizer_f`.
    ///
    /// ```
    /// use concourse::{Event, Queue};
    ///
    /// let finalized = Event::new();
    /// let queue = Queue::serial("session");
    /// queue.exec_async(|| println!("the last words"));
    /// let bell = finalized.clone();
    /// queue.set_finalizer(move || bell.set());
    /// drop(queue);
    /// finalized.wait();
    /// ```
    pub fn set_finalizer<F: FnOnce() + Send + 'static>(&self, f: F) {
        let before = self.lane.baggage_to_fill().finalizer.lock().replace(Box::new(f));
        drop(before);
    }
}
