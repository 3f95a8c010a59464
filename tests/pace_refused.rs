//! A paced source that cannot be activated. A process of its own: its limit of descriptors is its whole process's.

use concourse::Event;
use concourse::EventLoopError;
use concourse::PaceError;
use concourse::Runtime;
use concourse::Shutdown;
use concourse::Source;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::getrlimit;
use rustix::process::setrlimit;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

const GENEROUS: Duration = Duration::from_secs(60);

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn without_a_descriptor_for_the_event_loop_the_activation_is_refused_and_nothing_is_left_in_the_end() {
    let (before, captured) = (descriptors(), Arc::new(()));
    let runtime = Runtime::builder().threads(1).build().unwrap();
    let queue = runtime.serial("com.example.refused");
    let (done, handler) = (Event::new(), Arc::clone(&captured));
    let tell = done.clone();
    let builder = || Source::add(&queue).throttle(Duration::from_millis(1));
    let refused = builder().label("progress").on_event(move |_| _ = &handler);

    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..limit }).unwrap();
    let (named, unnamed) = (refused.activate(), builder().activate());
    setrlimit(Resource::Nofile, limit).unwrap();

    let error = EventLoopError::NoDescriptor { errno: rustix::io::Errno::MFILE.raw_os_error() };
    let refused = |label: &str| PaceError::NoEventLoop { label: label.into(), error: error.clone() };
    let named = named.unwrap_err();
    assert!(named.to_string().starts_with("\"progress\": no file descriptor is left"), "{named}");
    assert_eq!((named, unnamed.unwrap_err()), (refused("progress"), refused("com.example.refused")));
    assert_eq!(Arc::strong_count(&captured), 1, "the handlers are gone");

    let source = builder().on_event(move |_| tell.set()).activate().unwrap();
    source.merge(1);
    done.wait_timeout(GENEROUS).unwrap();
    drop(source);
    assert!(runtime.shutdown(Shutdown::Drain.within(GENEROUS)).complete);
    drop((queue, runtime));
    assert_eq!(descriptors(), before);
}
