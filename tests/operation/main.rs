//! Operations: what runs when, what flows between them, and how each of them ends.

mod corners;
mod endings;
mod graph;
mod line;
mod nsoperation;
mod pictures;
mod storm;
mod times;
mod watching;

use concourse::Event;
use concourse::Operation;
use concourse::OperationError;
use concourse::OperationQueue;
use concourse::Runtime;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

const GENEROUS: Duration = Duration::from_secs(60);

fn runtime() -> Runtime {
    Runtime::builder().threads(4).build().unwrap()
}

/// Waits for the operation, and fails if it is never over.
#[track_caller]
fn outcome<T>(operation: &Operation<T>) -> Result<Arc<T>, OperationError> {
    let outcome = operation.wait_timeout(GENEROUS);
    assert!(operation.is_over(), "{operation:?} is never over");
    outcome
}

#[track_caller]
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + GENEROUS;
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}

/// An operation that runs until the event is set, when the call returns.
fn busy(ops: &OperationQueue, go: &Event) -> Operation<()> {
    let (began, go) = (Event::new(), go.clone());
    let begin = began.clone();
    let busy = ops.operation("busy").run(move || {
        begin.set();
        go.wait();
    });
    began.wait_timeout(GENEROUS).unwrap();
    busy
}

/// Labels in the order in which operations ran.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn entry(&self, label: &str) -> impl FnOnce() + Send + 'static + use<> {
        let (log, label) = (self.clone(), label.to_owned());
        move || log.0.lock().unwrap().push(label)
    }

    /// What has been written, with spaces in between.
    fn read(&self) -> String {
        self.0.lock().unwrap().join(" ")
    }
}

#[test]
fn handles_are_shared_between_threads() {
    fn shared<T: Send + Sync + Unpin + std::fmt::Debug + 'static>() {}
    shared::<OperationQueue>();
    shared::<concourse::OperationQueueBuilder>();
    shared::<concourse::OperationBuilder>();
    shared::<concourse::SuspendedOperations>();
    shared::<Operation<u64>>();
    shared::<OperationError>();
    shared::<concourse::DependencyError>();
    shared::<concourse::OperationChange>();
    shared::<concourse::Progress>();
    shared::<concourse::Retry>();
}
