//! `graceful_shutdown`: the first signal is a request, the second one is the end.

use crate::Scenario;
use crate::process::Ended::By;
use crate::process::GENEROUS;
use crate::process::WELL;
use crate::process::disposition;
use crate::process::finish;
use crate::process::kill_self;
use crate::process::raise;
use crate::process::runtime;
use crate::process::set_disposition;
use crate::process::wait_until;
use concourse::Event;
use concourse::Runtime;
use concourse::Shutdown;
use concourse::Signal;
use concourse::Source;
use concourse::graceful_shutdown;
use concourse::source::GracefulShutdown;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("the_first_signal_is_a_request", the_first_signal_is_a_request, WELL),
    ("a_second_signal_ends_the_process", a_second_signal_ends_the_process, By(Signal::INT)),
    ("a_second_signal_of_the_other_kind_ends_the_process", a_second_signal_of_the_other_kind, By(Signal::TERM)),
    ("a_second_signal_does_not_wait_for_a_queue_that_hangs", a_second_signal_does_not_wait, By(Signal::INT)),
    ("a_second_signal_ends_a_process_that_ignored_it", a_second_signal_that_was_ignored, By(Signal::INT)),
    ("a_second_signal_ends_a_process_whose_runtime_has_ended", a_second_signal_after_the_runtime, By(Signal::TERM)),
    ("without_its_guard_the_first_signal_ends_the_process", without_its_guard, By(Signal::TERM)),
    ("other_sources_see_the_first_signal_too", other_sources_see_the_first_signal_too, By(Signal::INT)),
    ("a_request_that_comes_with_another_runs_once", a_request_that_comes_with_another_runs_once, WELL),
];

/// What was asked, and an event that tells so.
#[derive(Clone, Default)]
struct Request {
    signals: Arc<Mutex<Vec<Signal>>>,
    asked: Option<Event>,
}

impl Request {
    fn new(runtime: &Runtime) -> (Self, GracefulShutdown) {
        let request = Self { asked: Some(Event::new()), ..Self::default() };
        let told = request.clone();
        let guard = graceful_shutdown(&runtime.serial("control"), move |signal| {
            told.signals.lock().unwrap().push(signal);
            told.asked.as_ref().unwrap().set();
        });
        (request, guard.unwrap())
    }

    fn wait(&self) -> Vec<Signal> {
        self.asked.as_ref().unwrap().wait_timeout(GENEROUS).unwrap();
        self.signals.lock().unwrap().clone()
    }
}

fn the_first_signal_is_a_request() {
    for signal in [Signal::INT, Signal::TERM] {
        let runtime = runtime();
        let (request, guard) = Request::new(&runtime);
        let finished = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&finished);
        runtime.serial("work").exec_async(move || _ = count.fetch_add(1, SeqCst));
        kill_self(signal);
        assert_eq!(request.wait(), [signal]);
        finish(&runtime);
        assert_eq!((finished.load(SeqCst), request.signals.lock().unwrap().len()), (1, 1));
        drop(guard);
        assert_eq!([Signal::INT, Signal::TERM].map(disposition), [libc::SIG_DFL; 2]);
    }
}

fn a_second_signal_ends_the_process() {
    let runtime = runtime();
    let (request, _guard) = Request::new(&runtime);
    raise(Signal::INT);
    assert_eq!(request.wait(), [Signal::INT]);
    raise(Signal::INT);
}

fn a_second_signal_of_the_other_kind() {
    let runtime = runtime();
    let (request, _guard) = Request::new(&runtime);
    raise(Signal::INT);
    assert_eq!(request.wait(), [Signal::INT]);
    kill_self(Signal::TERM);
}

fn a_second_signal_does_not_wait() {
    let runtime = Runtime::builder().threads(1).max_threads(1).build().unwrap();
    let (queue, begun) = (runtime.serial("control"), Event::new());
    let tell = begun.clone();
    queue.exec_async(move || {
        tell.set();
        loop {
            std::hint::spin_loop();
        }
    });
    let _guard = graceful_shutdown(&queue, |_| ()).unwrap();
    begun.wait();
    raise(Signal::INT);
    raise(Signal::INT);
}

fn a_second_signal_that_was_ignored() {
    set_disposition(Signal::INT, libc::SIG_IGN);
    a_second_signal_ends_the_process();
}

fn a_second_signal_after_the_runtime() {
    let runtime = runtime();
    let (request, guard) = Request::new(&runtime);
    raise(Signal::INT);
    assert_eq!(request.wait(), [Signal::INT]);
    assert!(runtime.shutdown(Shutdown::Drain.within(GENEROUS)).complete);
    raise(Signal::TERM);
    drop(guard);
}

fn without_its_guard() {
    let runtime = runtime();
    let (request, guard) = Request::new(&runtime);
    drop(guard);
    wait_until(|| disposition(Signal::TERM) == libc::SIG_DFL);
    assert!(request.signals.lock().unwrap().is_empty());
    raise(Signal::TERM);
}

fn other_sources_see_the_first_signal_too() {
    let runtime = runtime();
    let seen = Event::new();
    let tell = seen.clone();
    let source =
        Source::signal(&runtime.serial("other"), Signal::INT).on_event(move |_| tell.set()).activate().unwrap();
    let (request, _guard) = Request::new(&runtime);
    raise(Signal::INT);
    assert_eq!(request.wait(), [Signal::INT]);
    seen.wait_timeout(GENEROUS).unwrap();
    raise(Signal::INT);
    drop(source);
}

/// Two requests, made by two guards, are one each for both.
fn a_request_that_comes_with_another_runs_once() {
    let runtime = runtime();
    let (one, _first) = Request::new(&runtime);
    let (other, _second) = Request::new(&runtime);
    raise(Signal::TERM);
    assert_eq!((one.wait(), other.wait()), (vec![Signal::TERM], vec![Signal::TERM]));
    finish(&runtime);
}
