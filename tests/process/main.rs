//! Sources of processes, against real ones: what a source says of each end is held against what whoever waits for the
//! process is told. What concerns the whole program is in `tests/process_alone.rs`.

mod children;
mod observed;
mod races;

use concourse::Dispatch;
use concourse::Runtime;
use concourse::Shutdown;
use concourse::Source;
use concourse::source::ChildProcess;
use concourse::source::Exit;
use concourse::source::Process;
use concourse::source::ProcessEvents;
use parking_lot::Mutex;
use rustix::process::Pid;
use rustix::process::WaitId;
use rustix::process::WaitIdOptions;
use rustix::process::WaitIdStatus;
use rustix::process::waitid;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// No test waits for so long unless it fails.
const GENEROUS: Duration = Duration::from_secs(60);

fn runtime() -> Runtime {
    Runtime::builder().threads(2).name("processes").build().unwrap()
}

/// Ends the runtime, and with it a test whose handlers have assertions: a panic in a handler is contained and counted.
#[track_caller]
fn finish(runtime: &Runtime) {
    assert_eq!(runtime.shutdown(Shutdown::Drain.within(GENEROUS)).panics, 0);
}

/// Waits for something that another thread or another process does.
#[track_caller]
fn wait_until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + GENEROUS;
    while !condition() {
        assert!(Instant::now() < deadline, "waited for a minute");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A child that runs these commands of a shell.
fn sh(commands: &str) -> Child {
    Command::new("sh").args(["-c", commands]).spawn().unwrap()
}

/// A child that ends when its standard input is closed, with this status.
fn on_command(code: i32) -> Child {
    Command::new("sh").args(["-c", &format!("read line; exit {code}")]).stdin(Stdio::piped()).spawn().unwrap()
}

/// Lets a child go that [`on_command`] has made.
fn let_go(child: &mut Child) {
    drop(child.stdin.take());
}

/// Looks, as any other part of the program could, how the child has ended, and waits for that if need be.
fn peek(pid: u32) -> Result<WaitIdStatus, rustix::io::Errno> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(raw(pid)), options).map(|status| status.expect("it waits for that"))
}

/// Waits for the child behind the back of whoever has it.
fn reap(pid: u32) {
    waitid(WaitId::Pid(raw(pid)), WaitIdOptions::EXITED).unwrap();
}

fn raw(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
}

/// What the handlers of some sources were given.
#[derive(Clone, Default)]
struct Record(Arc<Mutex<Vec<Exit>>>);

impl Record {
    fn push(&self, exit: Exit) {
        self.0.lock().push(exit);
    }

    fn ends(&self) -> Vec<Exit> {
        self.0.lock().clone()
    }

    fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// The one end there is, once it is there.
    #[track_caller]
    fn one(&self) -> Exit {
        wait_until(|| self.len() > 0);
        let ends = self.ends();
        assert_eq!(ends.len(), 1, "{ends:?}");
        ends[0]
    }

    fn observe(&self, queue: &impl Dispatch, pid: u32) -> Source<Process> {
        let record = self.clone();
        Source::process(queue, pid, ProcessEvents::EXIT).on_event(move |exit| record.push(exit)).activate().unwrap()
    }

    fn own(&self, queue: &impl Dispatch, child: Child) -> Source<ChildProcess> {
        let record = self.clone();
        Source::child(queue, child).on_event(move |exit| record.push(exit)).activate().unwrap()
    }
}

/// Lets another process end, and its end arrive on the queue: what would have come by now, has.
#[track_caller]
fn let_time_pass(queue: &impl Dispatch) {
    let record = Record::default();
    let source = record.own(queue, sh("exit 0"));
    record.one();
    drop(source);
}
