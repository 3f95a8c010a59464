//! `proc`: five sources of the end of one child are each told once, of just that, and each one's cancel handler follows;
//! after 5 s there are still five calls. The same again for a child that has ended before the sources are made.
//!
//! Here that child has not been waited for yet. For a number that is nobody's any more the original demands an end too;
//! here it is an error, as nobody knows whose number it was.

use crate::let_pass;
use crate::profile::time;
use crate::timed::GENEROUS;
use crate::timed::finish;
use crate::timed::millis;
use crate::timed::runtime;
use concourse::Group;
use concourse::ProcessError;
use concourse::Runtime;
use concourse::Source;
use concourse::source::Process;
use concourse::source::ProcessEvents;
use rustix::process::Pid;
use rustix::process::WaitId;
use rustix::process::WaitIdOptions;
use rustix::process::waitid;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

/// Five sources of a child, and how often they have been called together.
struct Observers {
    calls: Arc<AtomicUsize>,
    all: Group,
    sources: Vec<Source<Process>>,
}

impl Observers {
    fn new(runtime: &Runtime, child: &Child) -> Self {
        let (queue, calls, all) = (runtime.serial("main"), Arc::new(AtomicUsize::new(0)), Group::new());
        let sources = (0..5).map(|_| {
            let (own, member) = (Arc::new(AtomicUsize::new(0)), all.enter());
            let (calls, before) = (Arc::clone(&calls), Arc::clone(&own));
            Source::process(&queue, child.id(), ProcessEvents::EXIT)
                .on_event_with(move |source, exit| {
                    assert_eq!(exit.status.unwrap().code(), Some(3));
                    calls.fetch_add(1, Ordering::Relaxed);
                    own.fetch_add(1, Ordering::Relaxed);
                    source.cancel();
                })
                .on_cancel(move || {
                    assert_eq!(before.load(Ordering::Relaxed), 1);
                    drop(member);
                })
                .activate()
                .unwrap()
        });
        let sources = sources.collect();
        Self { calls, all, sources }
    }

    /// Each is told once, and cancelled, and that is all.
    fn are_told(self, runtime: &Runtime) {
        self.all.wait_timeout(GENEROUS).unwrap();
        let_pass(&runtime.serial("later"), time(millis(5_000)));
        assert_eq!(self.calls.load(Ordering::Relaxed), 5);
        drop(self.sources);
    }
}

#[test]
fn five_sources_of_a_child_are_told_once_each() {
    let runtime = runtime();
    let child = || Command::new("sh").args(["-c", "read line; exit 3"]).stdin(Stdio::piped()).spawn().unwrap();

    let mut running = child();
    let observers = Observers::new(&runtime, &running);
    drop(running.stdin.take());
    observers.are_told(&runtime);
    assert_eq!(running.wait().unwrap().code(), Some(3));

    let mut over = child();
    drop(over.stdin.take());
    let pid = Pid::from_child(&over);
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
    Observers::new(&runtime, &over).are_told(&runtime);
    assert_eq!(over.wait().unwrap().code(), Some(3));

    let pid = over.id();
    let refused = Source::process(&runtime.serial("main"), pid, ProcessEvents::EXIT).activate().unwrap_err();
    assert_eq!(refused, ProcessError::NoSuchProcess { pid });
    finish(&runtime);
}
