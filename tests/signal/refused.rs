//! What cannot be observed is said by type, and changes nothing.

use crate::Scenario;
use crate::process::WELL;
use crate::process::disposition;
use crate::process::finish;
use crate::process::open_descriptors;
use crate::process::raise;
use crate::process::runtime;
use concourse::Event;
use concourse::Signal;
use concourse::SignalError;
use concourse::Source;
use concourse::graceful_shutdown;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::getrlimit;
use rustix::process::setrlimit;
use std::sync::Arc;

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("forbidden_signals_are_refused", forbidden_signals_are_refused, WELL),
    ("unknown_signals_are_refused", unknown_signals_are_refused, WELL),
    ("without_a_descriptor_left_a_source_is_refused", without_a_descriptor_left, WELL),
    #[cfg(feature = "sim")]
    ("a_simulation_has_no_signals", a_simulation_has_no_signals, WELL),
];

/// Asks for a source of `signal`, whose handler is to be dropped.
fn refused(signal: Signal) -> SignalError {
    let (runtime, captured) = (runtime(), Arc::new(()));
    let (event, queue) = (Arc::clone(&captured), runtime.serial("main"));
    let builder = Source::signal(&queue, signal).on_event(move |_| panic!("{event:?}: it was refused"));
    let handle = builder.handle();
    let error = builder.activate().unwrap_err();
    assert_eq!(Arc::strong_count(&captured), 1);
    assert!(handle.has_ended());
    finish(&runtime);
    error
}

fn forbidden_signals_are_refused() {
    let faults = [Signal::BUS, Signal::FPE, Signal::ILL, Signal::SEGV, Signal::SYS, Signal::TRAP];
    let before = faults.map(disposition);
    for signal in faults.into_iter().chain([Signal::KILL, Signal::STOP]) {
        let error = refused(signal);
        assert_eq!(error, SignalError::Forbidden { signal });
        assert!(error.to_string().starts_with(&signal.to_string()), "{error}");
    }
    assert_eq!(faults.map(disposition), before);
}

fn unknown_signals_are_refused() {
    for number in [i32::MIN, -1, 0, 32, 33, 65, 4096, i32::MAX] {
        let signal = Signal::new(number);
        let error = refused(signal);
        assert_eq!(error, SignalError::Unknown { signal });
        assert!(error.to_string().contains(&number.to_string()), "{error}");
    }
    assert_eq!(refused(Signal::realtime(200)), SignalError::Unknown { signal: Signal::realtime(200) });
}

fn without_a_descriptor_left() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let limit = getrlimit(Resource::Nofile);
    let without_descriptors = || {
        setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..limit }).unwrap();
        let refused =
            (Source::signal(&queue, Signal::TERM).activate().map(drop), graceful_shutdown(&queue, |_| ()).map(drop));
        setrlimit(Resource::Nofile, limit).unwrap();
        refused
    };
    let signal = Signal::TERM;
    let (refused, graceful) = without_descriptors();
    assert!(matches!(refused, Err(SignalError::NoEventLoop { .. })), "{refused:?}");
    assert!(matches!(graceful, Err(SignalError::NoEventLoop { signal: Signal::INT, .. })), "{graceful:?}");
    // With an event loop there is no descriptor for the bell.
    let _ = concourse::Dispatch::after(&queue, std::time::Duration::ZERO, || ()).unwrap();
    let errno = rustix::io::Errno::MFILE.raw_os_error();
    let (before, (refused, _)) = (open_descriptors(), without_descriptors());
    assert_eq!(refused, Err(SignalError::NoDescriptor { signal, errno }));
    assert_eq!([Signal::INT, signal].map(disposition), [libc::SIG_DFL; 2]);
    assert_eq!(open_descriptors(), before);
    // With a bell there is nothing that could be refused.
    let arrived = Event::new();
    let tell = arrived.clone();
    let first = Source::signal(&queue, Signal::HUP).activate().unwrap();
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..limit }).unwrap();
    let source = Source::signal(&queue, signal).on_event(move |_| tell.set()).activate().unwrap();
    setrlimit(Resource::Nofile, limit).unwrap();
    raise(signal);
    arrived.wait();
    drop((first, source));
    finish(&runtime);
}

#[cfg(feature = "sim")]
fn a_simulation_has_no_signals() {
    let refused = concourse::Sim::seeded(1).run(|runtime| {
        let queue = runtime.serial("main");
        let graceful = graceful_shutdown(&queue, |_| ()).map(drop);
        (Source::signal(&queue, Signal::TERM).activate().map(drop), graceful)
    });
    let unsupported = |signal| Err(SignalError::Unsupported { signal });
    assert_eq!(refused, (unsupported(Signal::TERM), unsupported(Signal::INT)));
    assert_eq!(disposition(Signal::TERM), libc::SIG_DFL);
}
