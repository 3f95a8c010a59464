//! What sources of processes do to the whole program, and it to them: descriptors, limits, `SIGCHLD`, forks.
//!
//! A program of its own, without a test harness: nothing else runs beside a scenario, and a forked child ends by itself.
#![allow(unsafe_code, reason = "fork, a debugger, and the disposition of a signal")]

use concourse::Event;
use concourse::EventLoopError;
use concourse::ProcessError;
use concourse::Queue;
use concourse::RefusedChild;
use concourse::Runtime;
use concourse::Shutdown;
use concourse::Source;
use concourse::WatchError;
use concourse::source::Exit;
use concourse::source::ProcessEvents;
use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::Signal;
use rustix::process::WaitId;
use rustix::process::WaitIdOptions;
use rustix::process::getrlimit;
use rustix::process::kill_process;
use rustix::process::setrlimit;
use rustix::process::waitid;
use std::fs;
use std::fs::File;
use std::io::PipeWriter;
use std::io::Read;
use std::io::Write;
use std::io::pipe;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// No test waits for so long unless it fails.
const GENEROUS: Duration = Duration::from_secs(60);

/// Told to LeakSanitizer, where it is linked: a child that ends by itself leaves what the parent's threads own.
#[unsafe(no_mangle)]
extern "C" fn __lsan_is_turned_off() -> libc::c_int {
    1
}

fn runtime() -> Runtime {
    Runtime::builder().threads(2).name("alone").build().unwrap()
}

fn finish(runtime: &Runtime) {
    assert_eq!(runtime.shutdown(Shutdown::Drain.within(GENEROUS)).panics, 0);
}

fn sh(commands: &str) -> Child {
    Command::new("sh").args(["-c", commands]).spawn().unwrap()
}

fn on_command(code: i32) -> Child {
    Command::new("sh").args(["-c", &format!("read line; exit {code}")]).stdin(Stdio::piped()).spawn().unwrap()
}

/// Lets a child go, and waits for its end through a source, as its owner or as somebody else.
fn end(queue: &Queue, mut child: Child, own: bool) -> (Exit, Option<Child>) {
    let (ended, exit) = (Event::new(), Arc::<Mutex<Option<Exit>>>::default());
    let (tell, to) = (ended.clone(), Arc::clone(&exit));
    let handler = move |exit| {
        *to.lock() = Some(exit);
        tell.set();
    };
    let (pid, stdin) = (child.id(), child.stdin.take());
    let (source, observed, child) = if own {
        (Some(Source::child(queue, child).on_event(handler).activate().unwrap()), None, None)
    } else {
        let observed = Source::process(queue, pid, ProcessEvents::EXIT).on_event(handler).activate().unwrap();
        (None, Some(observed), Some(child))
    };
    drop(stdin);
    ended.wait_timeout(GENEROUS).unwrap();
    drop((source, observed));
    let exit = exit.lock().take().unwrap();
    (exit, child)
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// What is done about signals: those that are blocked, ignored and caught.
fn signals() -> Vec<String> {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let lines = status.lines().filter(|line| ["SigBlk", "SigIgn", "SigCgt"].iter().any(|name| line.starts_with(name)));
    lines.map(str::to_owned).collect()
}

fn every_end_of_a_source_closes_what_it_has_opened() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    end(&queue, sh("exit 0"), true);
    let before = descriptors();
    for round in 0..200 {
        let own = round % 2 == 0;
        match round % 10 / 2 {
            0 => {
                let (_, child) = end(&queue, sh("exit 0"), own);
                if let Some(mut child) = child {
                    child.wait().unwrap();
                }
            }
            // Described and dropped, dropped while the process runs, cancelled, taken back.
            case if own => {
                let builder = Source::child(&queue, on_command(0));
                let handle = builder.handle();
                if case != 1 {
                    let source = builder.activate().unwrap();
                    if case == 3 {
                        source.cancel();
                    }
                } else {
                    drop(builder);
                }
                // It closes the child's standard input, at which the child ends.
                handle.take_child().unwrap().wait().unwrap();
            }
            case => {
                let mut child = on_command(0);
                let builder = Source::process(&queue, child.id(), ProcessEvents::EXIT);
                if case != 1 {
                    let source = builder.activate().unwrap();
                    if case == 3 {
                        source.cancel();
                    }
                    if case == 4 {
                        source.suspend().unwrap();
                        child.wait().unwrap();
                    }
                } else {
                    drop(builder);
                }
                child.wait().unwrap();
            }
        }
    }
    // The last turns of the sources run on the queue.
    queue.exec_sync(|| ());
    assert_eq!(descriptors(), before);
    assert_eq!(waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG).unwrap_err(), Errno::CHILD);
    finish(&runtime);
}

fn a_program_without_descriptors_is_told_so_and_keeps_its_child() {
    let limit = getrlimit(Resource::Nofile);
    let (runtime, unused) = (runtime(), runtime());
    let queue = runtime.serial("main");
    end(&queue, sh("exit 0"), true);
    let (mut observed, owned) = (sh("exit 1"), sh("exit 2"));
    let (pid, pid_of_owned) = (observed.id(), owned.id());

    setrlimit(Resource::Nofile, Rlimit { current: Some(64), ..limit }).unwrap();
    let mut rest: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    let refused = Source::process(&queue, pid, ProcessEvents::EXIT).activate().unwrap_err();
    let RefusedChild { child, error, .. } = Source::child(&queue, owned).activate().unwrap_err();
    rest.pop();
    let no_loop = Source::process(&unused.serial("other"), pid, ProcessEvents::EXIT).activate().unwrap_err();
    // One descriptor suffices for a source, but then none is left to read the times with.
    let (exit, _) = end(&queue, child, true);
    drop(rest);
    setrlimit(Resource::Nofile, limit).unwrap();

    let errno = Errno::MFILE.raw_os_error();
    assert_eq!(refused, ProcessError::NoDescriptor { pid, errno });
    assert_eq!(error, ProcessError::NoDescriptor { pid: pid_of_owned, errno });
    let of_loop = WatchError::NoEventLoop { label: "other".into(), error: EventLoopError::NoDescriptor { errno } };
    assert_eq!(no_loop, ProcessError::NotWatched { error: of_loop });
    assert_eq!((exit.status.unwrap().code(), exit.times), (Some(2), None));
    assert_eq!(observed.wait().unwrap().code(), Some(1));
    finish(&runtime);
    finish(&unused);
}

fn no_signal_is_caught_blocked_or_ignored() {
    let before = signals();
    let runtime = runtime();
    let queue = runtime.serial("main");
    end(&queue, sh("exit 0"), true);
    let (_, child) = end(&queue, sh("exit 0"), false);
    assert_eq!(signals(), before);
    finish(&runtime);
    assert_eq!(signals(), before);
    child.unwrap().wait().unwrap();
}

fn a_program_that_ignores_its_children_hears_of_their_ends_without_a_status() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    // SAFETY: no handler is installed.
    let before = unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    for own in [true, false] {
        // It has to be there when the source looks it up.
        let (exit, _) = end(&queue, on_command(3), own);
        assert_eq!((exit.status, exit.times), (None, None));
    }
    // SAFETY: what was there before is there again.
    unsafe { libc::signal(libc::SIGCHLD, before) };
    finish(&runtime);
}

fn a_forked_child_is_refused_and_touches_nothing_of_its_parents() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let (mut child, ended) = (on_command(4), Event::new());
    let tell = ended.clone();
    let stdin = child.stdin.take();
    let source = Source::child(&queue, child).on_event(move |_| tell.set()).activate().unwrap();
    // SAFETY: the child uses the crate, as its users would, and ends without the parent's exit handlers.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: no handler is involved: the alarm ends the process.
        unsafe { libc::alarm(60) };
        let refused = Source::process(&queue, std::process::id(), ProcessEvents::EXIT).activate();
        let error = ProcessError::NotWatched { error: WatchError::Forked { label: "main".into() } };
        let is_refused = refused.is_err_and(|refused| refused == error);
        let is_given_back = source.take_child().is_some();
        drop(source);
        // SAFETY: ends the process, and runs nothing of the parent's on the way.
        unsafe { libc::_exit(i32::from(!(is_refused && is_given_back))) }
    }
    let forked = Pid::from_raw(pid).unwrap();
    let status = waitid(WaitId::Pid(forked), WaitIdOptions::EXITED).unwrap().unwrap();
    assert_eq!(status.exit_status(), Some(0));
    drop(stdin);
    ended.wait_timeout(GENEROUS).unwrap();
    assert_eq!(source.take_child().unwrap().wait().unwrap().code(), Some(4));
    finish(&runtime);
}

/// A process that debugs the child with this number, until the other end of what it returns is closed. `None` if that is
/// not permitted here.
fn debug(pid: u32) -> Option<(PipeWriter, Pid)> {
    let (mut told, mut tell) = pipe().unwrap();
    let (mut held, hold) = pipe().unwrap();
    // SAFETY: the child makes a few system calls and ends.
    let debugger = unsafe { libc::fork() };
    if debugger == 0 {
        drop(hold);
        // SAFETY: it is another process that is stopped and looked at.
        let seized = unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid.cast_signed(), 0, 0) };
        tell.write_all(&[u8::from(seized == 0)]).unwrap();
        assert_eq!(held.read(&mut [0]).unwrap(), 0);
        // SAFETY: ends the process, and runs nothing of the parent's on the way.
        unsafe { libc::_exit(0) };
    }
    let mut answer = [0];
    told.read_exact(&mut answer).unwrap();
    let debugger = Pid::from_raw(debugger).unwrap();
    if answer == [1] {
        return Some((hold, debugger));
    }
    drop(hold);
    waitid(WaitId::Pid(debugger), WaitIdOptions::EXITED).unwrap();
    println!("nothing to hold: a process may not debug its sibling here");
    None
}

fn an_end_that_a_debugger_is_to_see_first_comes_when_it_has() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    for own in [true, false] {
        let (child, ended) = (on_command(7), Event::new());
        let pid = child.id();
        let Some((hold, debugger)) = debug(pid) else { break };
        let tell = ended.clone();
        let handler = move |exit: Exit| {
            assert_eq!((exit.status.unwrap().signal(), exit.times.is_some()), (Some(Signal::KILL.as_raw()), true));
            tell.set();
        };
        let (owner, observer, child) = if own {
            (Some(Source::child(&queue, child).on_event(handler).activate().unwrap()), None, None)
        } else {
            let observer = Source::process(&queue, pid, ProcessEvents::EXIT).on_event(handler).activate().unwrap();
            (None, Some(observer), Some(child))
        };
        let (wakeups, start) = (runtime.statistics().event_loop_wakeups, Instant::now());
        kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
        // It looks in vain, but not all the time.
        let looks = || runtime.statistics().event_loop_wakeups - wakeups;
        while looks() < 5 {
            assert!(start.elapsed() < GENEROUS);
            thread::sleep(Duration::from_millis(1));
        }
        assert!(!ended.is_set() && u128::from(looks()) <= start.elapsed().as_millis() / 10 + 2);
        drop(hold);
        ended.wait_timeout(GENEROUS).unwrap();
        waitid(WaitId::Pid(debugger), WaitIdOptions::EXITED).unwrap();
        drop((owner, observer));
        if let Some(mut child) = child {
            child.wait().unwrap();
        }
    }
    finish(&runtime);
}

fn main() {
    let scenarios: &[(&str, fn())] = &[
        ("every_end_of_a_source_closes_what_it_has_opened", every_end_of_a_source_closes_what_it_has_opened),
        (
            "a_program_without_descriptors_is_told_so_and_keeps_its_child",
            a_program_without_descriptors_is_told_so_and_keeps_its_child,
        ),
        ("no_signal_is_caught_blocked_or_ignored", no_signal_is_caught_blocked_or_ignored),
        (
            "a_program_that_ignores_its_children_hears_of_their_ends_without_a_status",
            a_program_that_ignores_its_children_hears_of_their_ends_without_a_status,
        ),
        (
            "a_forked_child_is_refused_and_touches_nothing_of_its_parents",
            a_forked_child_is_refused_and_touches_nothing_of_its_parents,
        ),
        (
            "an_end_that_a_debugger_is_to_see_first_comes_when_it_has",
            an_end_that_a_debugger_is_to_see_first_comes_when_it_has,
        ),
    ];
    for (name, scenario) in scenarios {
        println!("test {name} ...");
        scenario();
    }
    println!("test result: ok. {} passed", scenarios.len());
}
