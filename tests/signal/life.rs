//! How signal sources end, and what is left of them: nothing.

use crate::Scenario;
use crate::process::GENEROUS;
use crate::process::WELL;
use crate::process::finish;
use crate::process::open_descriptors;
use crate::process::raise;
use crate::process::runtime;
use crate::process::sender;
use crate::process::wait_until;
use concourse::Event;
use concourse::Runtime;
use concourse::Shutdown;
use concourse::Signal;
use concourse::Source;
use concourse::graceful_shutdown;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("a_source_cancelled_in_a_storm_ends_once_and_last", a_source_cancelled_in_a_storm_ends_once_and_last, WELL),
    ("sources_come_and_go_in_a_storm", sources_come_and_go_in_a_storm, WELL),
    ("dropping_the_last_handle_ends_a_source_silently", dropping_the_last_handle_ends_a_source_silently, WELL),
    ("nothing_of_a_source_is_left", nothing_of_a_source_is_left, WELL),
    ("a_handler_that_steers_its_own_source", a_handler_that_steers_its_own_source, WELL),
    ("the_event_loops_thread_drops_nothing_of_the_users", the_event_loops_thread_drops_nothing_of_the_users, WELL),
];

/// Sends a signal to this process again and again, until it is dropped.
struct Storm {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Storm {
    fn of(signal: Signal) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let storm = move || {
            while !stopped.load(SeqCst) {
                raise(signal);
            }
        };
        Self { stop, thread: Some(thread::spawn(storm)) }
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
        self.thread.take().map(|thread| thread.join().unwrap());
    }
}

fn a_source_cancelled_in_a_storm_ends_once_and_last() {
    let runtime = runtime();
    // Keeps the signal, whose default action is fatal, from the storm's beginning to its end.
    let keeper = Source::signal(&runtime.serial("keeper"), Signal::USR1).activate().unwrap();
    let storm = Storm::of(Signal::USR1);
    let queue = runtime.concurrent("main");
    for round in 0..300 {
        let (ended, calls, over) = (Event::new(), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (tell, count, is_over, end) = (ended.clone(), Arc::clone(&calls), Arc::clone(&over), Arc::clone(&over));
        let builder = Source::signal(&queue, Signal::USR1).on_event(move |_| {
            assert_eq!(is_over.load(SeqCst), 0, "an event after the end");
            count.fetch_add(1, SeqCst);
        });
        let builder = builder.on_cancel(move || {
            assert_eq!(end.fetch_add(1, SeqCst), 0);
            tell.set();
        });
        let source = builder.activate().unwrap();
        wait_until(|| round % 2 == 0 || calls.load(SeqCst) > 2);
        if round % 3 == 0 {
            source.suspend().unwrap();
            source.cancel_now();
        } else {
            source.cancel();
        }
        ended.wait_timeout(GENEROUS).unwrap();
        assert_eq!(over.load(SeqCst), 1);
    }
    drop(storm);
    finish(&runtime);
    drop(keeper);
}

fn sources_come_and_go_in_a_storm() {
    let runtimes = [runtime(), runtime()];
    let keeper = Source::signal(&runtimes[0].serial("keeper"), Signal::USR1).activate().unwrap();
    let child = sender("blindly", Signal::USR1, 50_000);
    let storm = Storm::of(Signal::USR1);
    thread::scope(|scope| {
        for runtime in &runtimes {
            scope.spawn(move || {
                for round in 0..200 {
                    let arrived = Event::new();
                    let tell = arrived.clone();
                    let builder = Source::signal(&runtime.serial("visitor"), Signal::USR1);
                    let source = builder.on_event(move |_| tell.set()).activate().unwrap();
                    if round % 2 == 0 {
                        arrived.wait_timeout(GENEROUS).unwrap();
                    }
                    drop(source);
                }
            });
        }
    });
    assert_eq!(child.ended(), WELL);
    drop(storm);
    runtimes.iter().for_each(finish);
    drop(keeper);
}

fn dropping_the_last_handle_ends_a_source_silently() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    for suspended in [false, true] {
        let captured = Arc::new(());
        let (event, cancel) = (Arc::clone(&captured), Arc::clone(&captured));
        let builder = Source::signal(&queue, Signal::USR1).on_event(move |_| _ = &event);
        let source = builder.on_cancel(move || panic!("{cancel:?}: nobody cancelled it")).activate().unwrap();
        if suspended {
            source.suspend().unwrap();
            raise(Signal::USR1);
        }
        let handle = source.handle().clone();
        drop(source);
        wait_until(|| Arc::strong_count(&captured) == 1);
        assert!(handle.has_ended());
    }
    finish(&runtime);
}

fn nothing_of_a_source_is_left() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    // The first source starts the event loop, which stays.
    let first = Source::signal(&queue, Signal::USR1).activate().unwrap();
    let with_bell = open_descriptors();
    first.cancel();
    wait_until(|| open_descriptors() == with_bell - 1);
    let (before, captured) = (open_descriptors(), Arc::new(()));
    for round in 0..100 {
        let sources = [Signal::USR1, Signal::USR1, Signal::HUP, Signal::realtime(2)].map(|signal| {
            let captured = Arc::clone(&captured);
            Source::signal(&queue, signal).on_event(move |_| _ = &captured).activate().unwrap()
        });
        assert_eq!(open_descriptors(), before + 1, "the sources of a runtime share one");
        let graceful = {
            let captured = Arc::clone(&captured);
            graceful_shutdown(&queue, move |_| drop(captured)).unwrap()
        };
        raise(Signal::USR1);
        match round % 3 {
            0 => sources.iter().for_each(Source::cancel),
            1 => sources.iter().for_each(|source| source.suspend().unwrap()),
            _ => {}
        }
        drop((sources, graceful));
        wait_until(|| open_descriptors() == before && Arc::strong_count(&captured) == 1);
    }
    drop((first, queue));
    finish(&runtime);
    drop(runtime);
    let without_runtime = open_descriptors();
    for how in [Shutdown::Drain, Shutdown::CancelPending].into_iter().cycle().take(20) {
        let runtime = Runtime::builder().threads(1).build().unwrap();
        let keep = Arc::clone(&captured);
        let builder = Source::signal(&runtime.serial("main"), Signal::USR1).on_event(move |_| _ = &keep);
        let source = builder.activate().unwrap();
        raise(Signal::USR1);
        let _ = runtime.shutdown(how.within(GENEROUS));
        drop((source, runtime));
        wait_until(|| Arc::strong_count(&captured) == 1 && open_descriptors() == without_runtime);
    }
}

fn a_handler_that_steers_its_own_source() {
    let runtime = runtime();
    let (ended, calls) = (Event::new(), Arc::new(AtomicU64::new(0)));
    let (tell, count) = (ended.clone(), Arc::clone(&calls));
    let builder = Source::signal(&runtime.serial("main"), Signal::INT).on_event_with(move |source, arrivals| {
        assert_eq!(arrivals.count, 1);
        if count.fetch_add(1, SeqCst) == 2 {
            source.cancel();
        } else {
            // Behind this call, which takes it for the next.
            raise(Signal::INT);
        }
    });
    let source = builder.on_cancel(move || tell.set()).activate().unwrap();
    raise(Signal::INT);
    ended.wait_timeout(GENEROUS).unwrap();
    assert!(calls.load(SeqCst) == 3 && source.is_cancelled());
    finish(&runtime);
}

/// Counts how often it is dropped on the event loop's thread.
struct NotOnTheLoop(Arc<AtomicU64>);

impl Drop for NotOnTheLoop {
    fn drop(&mut self) {
        if thread::current().name().is_some_and(|name| name.ends_with("-events")) {
            self.0.fetch_add(1, SeqCst);
        }
    }
}

fn the_event_loops_thread_drops_nothing_of_the_users() {
    let runtime = runtime();
    let breaches = Arc::new(AtomicU64::new(0));
    let keeper = Source::signal(&runtime.serial("keeper"), Signal::USR1).activate().unwrap();
    let storm = Storm::of(Signal::USR1);
    for round in 0..300 {
        let queue = runtime.serial("main");
        let captures = [(); 2].map(|()| Mutex::new(NotOnTheLoop(Arc::clone(&breaches))));
        let [event, pending] = captures;
        let builder = Source::signal(&queue, Signal::USR1).on_event(move |_| _ = &event);
        let source = builder.activate().unwrap();
        if round % 3 == 0 {
            // The source has the last handle of a suspended queue, whose jobs go with it.
            queue.suspend().unwrap();
            concourse::Dispatch::exec_async(&queue, move || drop(pending));
        }
        drop(queue);
        if round % 2 == 0 {
            source.cancel();
        }
        drop(source);
    }
    drop(storm);
    finish(&runtime);
    drop((keeper, runtime));
    wait_until(|| Arc::strong_count(&breaches) == 1);
    assert_eq!(breaches.load(SeqCst), 0);
}
