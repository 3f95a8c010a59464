//! Children that their source reaps.

use crate::GENEROUS;
use crate::Record;
use crate::finish;
use crate::let_go;
use crate::let_time_pass;
use crate::on_command;
use crate::peek;
use crate::reap;
use crate::runtime;
use crate::sh;
use crate::wait_until;
use concourse::Event;
use concourse::ProcessError;
use concourse::Shutdown;
use concourse::Source;
use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::process::Signal;
use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::thread;

#[test]
fn hundreds_of_children_end_once_each_with_their_own_status_and_leave_no_zombie() {
    const CHILDREN: i32 = 400;
    let runtime = runtime();
    let (queue, record) = (runtime.concurrent("main"), Record::default());
    let mut codes = HashMap::new();
    let sources: Vec<_> = (0..CHILDREN)
        .map(|number| {
            let child = sh(&format!("exit {}", number % 256));
            assert_eq!(codes.insert(child.id(), number % 256), None, "no number is used again before it is reaped");
            record.own(&queue, child)
        })
        .collect();
    wait_until(|| record.len() == codes.len());
    let_time_pass(&queue);
    for exit in record.ends() {
        assert_eq!(exit.status.unwrap().code(), codes.remove(&exit.pid), "{exit:?}");
        assert!(exit.times.is_some());
        assert_eq!(peek(exit.pid).unwrap_err(), Errno::CHILD, "it was reaped");
    }
    assert!(codes.is_empty(), "{codes:?}");
    drop(sources);
    finish(&runtime);
}

#[test]
fn a_child_that_has_ended_already_is_reaped_and_delivered() {
    let runtime = runtime();
    let (child, record) = (sh("exit 7"), Record::default());
    let pid = child.id();
    peek(pid).unwrap();
    let source = record.own(&runtime.serial("main"), child);
    let exit = record.one();
    assert_eq!((exit.pid, exit.status.unwrap().code(), exit.times.is_some()), (pid, Some(7), true));
    assert_eq!(peek(pid).unwrap_err(), Errno::CHILD);
    drop(source);
    finish(&runtime);
}

#[test]
fn a_child_can_be_killed_while_it_runs_and_not_afterwards() {
    let runtime = runtime();
    let (queue, record) = (runtime.serial("main"), Record::default());
    let source = record.own(&queue, sh("exec sleep 600"));
    source.kill().unwrap();
    assert_eq!(record.one().status.unwrap().signal(), Some(Signal::KILL.as_raw()));
    source.kill().unwrap();
    let child = source.take_child().unwrap();
    source.kill().unwrap();
    drop((source, child));
    finish(&runtime);
}

#[test]
fn a_child_that_is_taken_back_while_it_runs_is_its_takers_alone() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let source = Source::child(&queue, on_command(6)).on_event(|exit| panic!("{exit:?}")).activate().unwrap();
    let mut child = source.take_child().unwrap();
    assert!(source.take_child().is_none() && source.handle().take_child().is_none(), "there is one");
    source.kill().unwrap();
    let_go(&mut child);
    assert_eq!(child.wait().unwrap().code(), Some(6), "it was neither killed nor reaped");
    let_time_pass(&queue);
    drop(source);
    finish(&runtime);
}

#[test]
fn a_child_that_is_taken_back_before_the_activation_is_not_watched() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let builder = Source::child(&queue, on_command(6)).on_event(|exit| panic!("{exit:?}"));
    let mut child = builder.handle().take_child().unwrap();
    let source = builder.activate().unwrap();
    let_go(&mut child);
    assert_eq!(child.wait().unwrap().code(), Some(6));
    let_time_pass(&queue);
    drop(source);
    finish(&runtime);
}

#[test]
fn a_child_comes_back_after_its_end_with_its_status_and_its_pipes() {
    let runtime = runtime();
    let (queue, output) = (runtime.serial("main"), Arc::new(Mutex::new(None)));
    let child = Command::new("sh")
        .args(["-c", "echo out; echo err >&2; exit 5"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let to = Arc::clone(&output);
    let builder = Source::child(&queue, child).on_event_with(move |source, exit| {
        let mut child = source.take_child().unwrap();
        assert_eq!(child.try_wait().unwrap(), exit.status);
        *to.lock() = Some(child.wait_with_output().unwrap());
    });
    let source = builder.activate().unwrap();
    wait_until(|| output.lock().is_some());
    let output = output.lock().take().unwrap();
    assert_eq!((output.status.code(), &output.stdout[..], &output.stderr[..]), (Some(5), &b"out\n"[..], &b"err\n"[..]));
    drop(source);
    finish(&runtime);
}

#[test]
fn a_suspended_source_reaps_at_once_and_delivers_when_it_is_resumed() {
    let runtime = runtime();
    let (queue, record) = (runtime.serial("main"), Record::default());
    for take in [false, true] {
        let mut child = on_command(8);
        let (pid, stdin) = (child.id(), child.stdin.take());
        let source = record.own(&queue, child);
        source.suspend().unwrap();
        drop(stdin);
        wait_until(|| peek(pid).err() == Some(Errno::CHILD));
        assert_eq!(record.len(), 0);
        let child = take.then(|| source.take_child().unwrap());
        source.resume().unwrap();
        assert_eq!(record.one().status.unwrap().code(), Some(8));
        if let Some(mut child) = child {
            assert_eq!(child.wait().unwrap().code(), Some(8));
        }
        record.0.lock().clear();
        drop(source);
    }
    finish(&runtime);
}

#[test]
fn a_cancelled_source_gives_its_child_to_the_cancel_handler() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let given = Arc::<Mutex<Option<Child>>>::default();
    let to = Arc::clone(&given);
    let builder = Source::child(&queue, on_command(6)).on_event(|exit| panic!("{exit:?}"));
    let handle = builder.handle();
    let source = builder.on_cancel(move || *to.lock() = handle.take_child()).activate().unwrap();
    source.cancel();
    wait_until(|| given.lock().is_some());
    let mut child = given.lock().take().unwrap();
    let_go(&mut child);
    assert_eq!(child.wait().unwrap().code(), Some(6));
    drop(source);
    finish(&runtime);
}

#[test]
fn a_source_that_is_dropped_leaves_its_child_running_and_reaps_nothing() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let mut child = on_command(3);
    let (pid, stdin, captured) = (child.id(), child.stdin.take(), Arc::new(()));
    let event = Arc::clone(&captured);
    let builder = Source::child(&queue, child).on_event(move |exit| panic!("{event:?}: {exit:?}"));
    let source = builder.on_cancel(|| panic!("nobody cancelled it")).activate().unwrap();
    drop(source);
    wait_until(|| Arc::strong_count(&captured) == 1);
    drop(stdin);
    assert_eq!(peek(pid).unwrap().exit_status(), Some(3));
    reap(pid);
    finish(&runtime);
}

#[test]
fn a_child_that_was_waited_for_is_refused_and_comes_back() {
    let runtime = runtime();
    let mut child = sh("exit 2");
    let (pid, status) = (child.id(), child.wait().unwrap());
    let mut refused = Source::child(&runtime.serial("main"), child).activate().unwrap_err();
    assert_eq!(refused.error, ProcessError::NoSuchProcess { pid });
    assert_eq!(refused.child.wait().unwrap(), status);
    assert!(refused.to_string().contains(&pid.to_string()));
    finish(&runtime);
}

#[test]
fn a_child_that_somebody_else_has_waited_for_has_an_end_without_a_status() {
    let runtime = runtime();
    let (queue, record) = (runtime.serial("main"), Record::default());
    let (child, handler) = (sh("exit 5"), record.clone());
    let pid = child.id();
    let builder = Source::child(&queue, child).on_event(move |exit| handler.push(exit));
    reap(pid);
    let source = builder.activate().unwrap();
    let exit = record.one();
    assert_eq!((exit.pid, exit.status, exit.times), (pid, None, None));
    drop(source);
    finish(&runtime);
}

#[test]
fn children_that_others_wait_for_are_not_touched() {
    let runtime = runtime();
    let (queue, record) = (runtime.serial("main"), Record::default());
    thread::scope(|scope| {
        for thread in 0..3 {
            scope.spawn(move || {
                for round in 0..40 {
                    let code = thread * 40 + round;
                    let status = Command::new("sh").args(["-c", &format!("exit {code}")]).status();
                    assert_eq!(status.unwrap().code(), Some(code));
                }
            });
        }
        let sources: Vec<_> = (0..120).map(|code| record.own(&queue, sh(&format!("exit {code}")))).collect();
        wait_until(|| record.len() == sources.len());
        drop(sources);
    });
    let mut codes: Vec<_> = record.ends().iter().map(|exit| exit.status.unwrap().code().unwrap()).collect();
    codes.sort_unstable();
    assert_eq!(codes, Vec::from_iter(0..120));
    finish(&runtime);
}

#[test]
fn a_child_comes_back_after_the_runtime() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let active = Source::child(&queue, on_command(1)).on_event(|exit| panic!("{exit:?}")).activate().unwrap();
    let described = Source::child(&queue, on_command(2)).on_event(|exit| panic!("{exit:?}"));
    assert_eq!(runtime.shutdown(Shutdown::Drain.within(GENEROUS)).panics, 0);
    let described = described.activate().unwrap();
    assert!(described.handle().has_ended());
    for (source, code) in [(active, 1), (described, 2)] {
        let mut child = source.take_child().unwrap();
        let_go(&mut child);
        assert_eq!(child.wait().unwrap().code(), Some(code));
    }
}

#[test]
fn the_registration_handler_comes_before_the_end() {
    let runtime = runtime();
    let (child, ended) = (sh("exit 0"), Event::new());
    peek(child.id()).unwrap();
    let (registered, tell) = (Event::new(), ended.clone());
    let first = registered.clone();
    let source = Source::child(&runtime.concurrent("main"), child)
        .on_registered(move || first.set())
        .on_event(move |_| {
            assert!(registered.is_set());
            tell.set();
        })
        .activate()
        .unwrap();
    ended.wait();
    drop(source);
    finish(&runtime);
}

#[cfg(feature = "sim")]
#[test]
fn a_simulation_gives_a_child_back() {
    use concourse::Sim;
    use concourse::WatchError;
    let mut refused = Sim::seeded(1)
        .run(|runtime| {
            let child = sh("exit 9");
            Source::child(&runtime.serial("simulated"), child).activate().unwrap_err()
        })
        .unwrap();
    let error = WatchError::Unsupported { label: "simulated".into() };
    assert_eq!(refused.error, ProcessError::NotWatched { error });
    assert_eq!(refused.child.wait().unwrap().code(), Some(9));
}
