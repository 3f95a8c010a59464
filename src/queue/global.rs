//! The global queue: the pool itself, without order.

use super::Accept;
use super::Dispatch;
use crate::engine::Engine;
use crate::engine::Loss;
use crate::error::SubmitError;
use crate::event_loop::Sink;
use crate::job::Job;
use crate::job::Kind;
use crate::job::Route;
use crate::qos::Qos;
use crate::runtime::Runtime;
use crate::sync::Arc;
use crate::time::Nanos;
use std::fmt;

/// A global concurrent queue: the runtime's threads themselves.
///
/// There is one for each [class](Qos). Jobs may run in any order; those of a more urgent class are taken first.
///
/// There are no barriers, no suspension and no width here: such a method does not exist, where libdispatch silently
/// ignores it.
///
/// ```
/// use concourse::{Event, GlobalQueue, Qos};
///
/// let done = Event::new();
/// let tell = done.clone();
/// GlobalQueue::get(Qos::Utility).exec_async(move || tell.set());
/// done.wait();
/// ```
///
/// ```compile_fail,E0599
/// # use concourse::{GlobalQueue, Qos};
/// GlobalQueue::get(Qos::Utility).barrier_async(|| ());
/// ```
///
/// ```compile_fail,E0599
/// # use concourse::{GlobalQueue, Qos};
/// GlobalQueue::get(Qos::Utility).suspend();
/// ```
#[derive(Clone)]
pub struct GlobalQueue {
    door: Arc<Door>,
}

/// The pool's door for loose jobs of one class.
struct Door {
    engine: Arc<Engine>,
    label: Arc<str>,
    qos: Qos,
}

impl Door {
    fn submit(&self, job: Job) {
        let refused = if self.engine.accepts(job.shape().kind) {
            self.engine.executor().submit(job, Route::Loose, self.qos).err()
        } else {
            Some(job)
        };
        match refused {
            // A place in line: nobody's closure.
            Some(token) if token.shape().kind == Kind::Token => self.engine.give_up(&self.label, token),
            Some(job) => self.engine.lose(&self.label, job, Loss::Rejected),
            None => {}
        }
    }
}

impl Sink for Door {
    fn fire(self: Arc<Self>, job: Option<Job>, _: Nanos) {
        if let Some(job) = job {
            self.submit(job);
        }
    }

    fn label(&self) -> &str {
        &self.label
    }
}

impl fmt::Debug for GlobalQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GlobalQueue").field("qos", &self.door.qos).finish()
    }
}

impl Accept for GlobalQueue {
    fn accept(&self, job: Job) {
        self.door.submit(job);
    }

    fn label(&self) -> &Arc<str> {
        &self.door.label
    }

    fn engine(&self) -> &Arc<Engine> {
        &self.door.engine
    }

    fn sink(&self) -> Arc<dyn Sink> {
        Arc::clone(&self.door) as Arc<dyn Sink>
    }
}

impl Dispatch for GlobalQueue {}

impl GlobalQueue {
    pub(crate) fn on(engine: Arc<Engine>, qos: Qos) -> Self {
        let label = Arc::from(format!("global-{qos:?}").to_lowercase());
        Self { door: Arc::new(Door { engine, label, qos }) }
    }

    /// The global queue of a class on the default runtime.
    #[must_use]
    pub fn get(qos: Qos) -> Self {
        Runtime::default_runtime().global(qos)
    }

    /// The queue's quality of service.
    #[must_use]
    pub fn qos(&self) -> Qos {
        self.door.qos
    }

    /// Submits `f` to run on one of the runtime's threads and returns at once.
    ///
    /// Nothing is merged or lost; after shutdown `f` is reported to the `on_rejected` hook and dropped. A panic in `f`
    /// is contained and reported to `on_panic`.
    pub fn exec_async<F: FnOnce() + Send + 'static>(&self, f: F) {
        self.accept(Job::new(f));
    }

    /// As [`exec_async`](Self::exec_async), but gives `f` back if the runtime has been shut down.
    ///
    /// # Errors
    ///
    /// [`SubmitError::ShutDown`], with the closure; in a forked child [`SubmitError::Forked`].
    pub fn try_exec_async<F: FnOnce() + Send + 'static>(&self, f: F) -> Result<(), SubmitError<F>> {
        let f = self.door.engine.admit(f)?;
        self.exec_async(f);
        Ok(())
    }

    /// Runs `f` on the calling thread, at once: a global queue has no order to wait for.
    pub fn exec_sync<F: FnOnce() -> R + Send, R: Send>(&self, f: F) -> R {
        f()
    }
}
