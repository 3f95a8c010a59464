//! The seven demos of the example `progress_bar`, each in a module that has the name of its own. Counts and orders are
//! exact. Times are at least what the demo takes by itself; how many calls come together is held between what the
//! demo shows on an idle machine and what may become of it on a busy one.

mod limit;
mod lock;
mod pause;
mod semaphore;
mod source_on_global;
mod source_on_main;
mod suspended_queue;

#[allow(dead_code, reason = "the example prints, and lists the demos for its help")]
#[path = "../../examples/progress_bar/demos/mod.rs"]
mod demos;

use concourse::Runtime;
use concourse::Shutdown;
use demos::Journal;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// No test waits for so long unless it fails.
const GENEROUS: Duration = Duration::from_secs(60);

fn runtime() -> Runtime {
    demos::runtime().unwrap()
}

/// A journal, and what has been written into it.
fn journal() -> (Journal, Arc<Mutex<Vec<String>>>) {
    let lines = Arc::<Mutex<Vec<String>>>::default();
    let writer = Arc::clone(&lines);
    (Journal::new(move |line| writer.lock().push(line.to_string())), lines)
}

/// Ends the runtime, which has run everything and has seen no panic.
#[track_caller]
fn finish(runtime: &Runtime) {
    let report = runtime.shutdown(Shutdown::Drain.within(GENEROUS));
    assert_eq!((report.complete, report.panics, report.dropped), (true, 0, 0));
}
