//! Processes that are observed: whoever has them waits for them.

use crate::GENEROUS;
use crate::Record;
use crate::finish;
use crate::let_go;
use crate::let_time_pass;
use crate::on_command;
use crate::peek;
use crate::raw;
use crate::reap;
use crate::runtime;
use crate::sh;
use crate::wait_until;
use concourse::Event;
use concourse::ProcessError;
use concourse::Shutdown;
use concourse::Source;
use concourse::source::ProcessEvents;
use rustix::process::Signal;
use rustix::process::kill_process;
use rustix::thread::gettid;
use std::io::BufRead;
use std::io::BufReader;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

#[test]
fn what_is_seen_of_a_child_is_what_its_owner_is_told_afterwards() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let scripts =
        ["exit 0", "exit 1", "exit 42", "exit 255", "kill -KILL $$", "kill -TERM $$", "ulimit -c 0; kill -SEGV $$"];
    for script in scripts {
        let (mut child, record) = (sh(script), Record::default());
        let source = record.observe(&queue, child.id());
        let exit = record.one();
        assert_eq!((exit.pid, exit.status), (child.id(), Some(child.wait().unwrap())), "{script}");
        assert!(exit.times.is_some());
        drop(source);
    }
    finish(&runtime);
}

#[test]
fn a_core_that_is_dumped_is_told_as_its_owner_is_told() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("core-{}", process::id()));
    std::fs::create_dir(&folder).unwrap();
    let mut command = Command::new("sh");
    // Not QUIT, which is ignored by whoever was started in the background.
    let mut child = command.args(["-c", "ulimit -c unlimited; kill -ABRT $$"]).current_dir(&folder).spawn().unwrap();
    let record = Record::default();
    let source = record.observe(&queue, child.id());
    let seen = record.one().status.unwrap();
    let told = child.wait().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!((seen, seen.signal(), seen.core_dumped()), (told, Some(Signal::ABORT.as_raw()), told.core_dumped()));
    drop(source);
    finish(&runtime);
}

#[test]
fn a_child_that_has_ended_already_is_delivered() {
    let runtime = runtime();
    let (mut child, record) = (sh("exit 7"), Record::default());
    peek(child.id()).unwrap();
    let source = record.observe(&runtime.serial("main"), child.id());
    let exit = record.one();
    assert_eq!((exit.status.unwrap().code(), exit.times.is_some()), (Some(7), true));
    assert_eq!(child.wait().unwrap().code(), Some(7));
    drop(source);
    finish(&runtime);
}

#[test]
fn a_process_that_is_no_child_has_no_status_and_no_times() {
    let runtime = runtime();
    let mut parent =
        Command::new("sh").args(["-c", "sleep 600 & echo $!; wait"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(parent.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let (pid, record) = (line.trim().parse().unwrap(), Record::default());
    let source = record.observe(&runtime.serial("main"), pid);
    kill_process(raw(pid), Signal::KILL).unwrap();
    let exit = record.one();
    assert_eq!((exit.pid, exit.status, exit.times), (pid, None, None));
    parent.wait().unwrap();
    drop(source);
    finish(&runtime);
}

#[test]
fn a_number_without_a_process_is_refused() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let mut child = sh("exit 0");
    child.wait().unwrap();
    // No process, above every limit, not even a number of the system's, and one that has been.
    for pid in [0, i32::MAX.unsigned_abs(), i32::MAX.unsigned_abs() + 1, u32::MAX, child.id()] {
        let captured = Arc::new(());
        let event = Arc::clone(&captured);
        let builder =
            Source::process(&queue, pid, ProcessEvents::EXIT).on_event(move |_| panic!("{event:?}: no process"));
        assert_eq!(builder.activate().unwrap_err(), ProcessError::NoSuchProcess { pid });
        wait_until(|| Arc::strong_count(&captured) == 1);
    }
    finish(&runtime);
}

#[test]
fn a_threads_number_is_no_processs() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let pid = gettid().as_raw_nonzero().get().unsigned_abs();
            let refused = Source::process(&queue, pid, ProcessEvents::EXIT).activate().unwrap_err();
            assert_eq!(refused, ProcessError::NoSuchProcess { pid });
        });
        thread.join().unwrap();
    });
    finish(&runtime);
}

#[test]
fn only_ends_are_told() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let others = [ProcessEvents::FORK, ProcessEvents::EXEC, ProcessEvents::SIGNAL];
    for events in others.into_iter().chain(others.map(|event| event | ProcessEvents::EXIT)) {
        let refused = Source::process(&queue, process::id(), events).activate().unwrap_err();
        assert_eq!(refused, ProcessError::UnsupportedEvents);
    }
    finish(&runtime);
}

#[test]
fn a_program_may_observe_itself() {
    let runtime = runtime();
    let (queue, record) = (runtime.serial("main"), Record::default());
    let source = record.observe(&queue, process::id());
    let_time_pass(&queue);
    assert_eq!(record.len(), 0);
    drop(source);
    finish(&runtime);
}

#[test]
fn an_end_while_the_source_is_suspended_comes_when_it_is_resumed() {
    let runtime = runtime();
    let (queue, other) = (runtime.serial("main"), runtime.serial("other"));
    for by_queue in [false, true] {
        let (mut child, record) = (on_command(9), Record::default());
        let source = record.observe(&queue, child.id());
        if by_queue {
            queue.suspend().unwrap();
        } else {
            source.suspend().unwrap();
        }
        let_go(&mut child);
        peek(child.id()).unwrap();
        let_time_pass(&other);
        assert_eq!(record.len(), 0);
        // The source has looked when it could: its owner may wait before the source is resumed.
        assert_eq!(child.wait().unwrap().code(), Some(9));
        if by_queue {
            queue.resume().unwrap();
        } else {
            source.resume().unwrap();
        }
        assert_eq!(record.one().status.unwrap().code(), Some(9));
        drop(source);
    }
    finish(&runtime);
}

#[test]
fn a_process_that_was_waited_for_before_it_was_looked_at_has_an_end_without_a_status() {
    let runtime = runtime();
    let (queue, record) = (runtime.serial("main"), Record::default());
    let (mut child, handler) = (on_command(5), record.clone());
    let builder = Source::process(&queue, child.id(), ProcessEvents::EXIT).on_event(move |exit| handler.push(exit));
    let_go(&mut child);
    reap(child.id());
    let source = builder.activate().unwrap();
    let exit = record.one();
    assert_eq!((exit.pid, exit.status, exit.times), (child.id(), None, None));
    drop(source);
    finish(&runtime);
}

#[test]
fn a_cancelled_source_says_nothing_and_leaves_the_process_alone() {
    let runtime = runtime();
    let (queue, cancelled) = (runtime.serial("main"), Event::new());
    let (mut child, tell) = (on_command(4), cancelled.clone());
    let builder = Source::process(&queue, child.id(), ProcessEvents::EXIT).on_event(|exit| panic!("{exit:?}"));
    let source = builder.on_cancel(move || tell.set()).activate().unwrap();
    source.cancel();
    cancelled.wait();
    let_go(&mut child);
    assert_eq!(child.wait().unwrap().code(), Some(4));
    let_time_pass(&queue);
    drop(source);
    finish(&runtime);
}

#[test]
fn an_end_that_was_not_delivered_goes_with_its_source() {
    let runtime = runtime();
    let (queue, other) = (runtime.serial("main"), runtime.serial("other"));
    for cancel in [true, false] {
        let (mut child, cancelled, captured) = (on_command(4), Event::new(), Arc::new(()));
        let (tell, event) = (cancelled.clone(), Arc::clone(&captured));
        let builder = Source::process(&queue, child.id(), ProcessEvents::EXIT);
        let builder = builder.on_event(move |exit| panic!("{event:?}: {exit:?}")).on_cancel(move || tell.set());
        let source = builder.activate().unwrap();
        source.suspend().unwrap();
        let_go(&mut child);
        peek(child.id()).unwrap();
        let_time_pass(&other);
        if cancel {
            source.cancel();
            source.resume().unwrap();
            cancelled.wait();
        }
        drop(source);
        wait_until(|| Arc::strong_count(&captured) == 1);
        assert_eq!(cancelled.is_set(), cancel, "dropping is silent");
        child.wait().unwrap();
    }
    finish(&runtime);
}

#[test]
fn nothing_is_delivered_after_the_runtime() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let mut child = on_command(0);
    let captured = Arc::new(());
    let describe = |captured: Arc<()>| {
        let builder = Source::process(&queue, child.id(), ProcessEvents::EXIT);
        builder.on_event(move |_| panic!("{captured:?}: there is no thread to run it"))
    };
    let (active, described) = (describe(Arc::clone(&captured)), describe(Arc::clone(&captured)));
    let active = active.activate().unwrap();
    assert_eq!(runtime.shutdown(Shutdown::Drain.within(GENEROUS)).panics, 0);
    let described = described.activate().unwrap();
    assert!(described.handle().has_ended());
    let_go(&mut child);
    assert!(child.wait().unwrap().success());
    drop((active, described));
    assert_eq!(Arc::strong_count(&captured), 1);
}

#[test]
fn times_are_those_of_the_process_and_of_its_descendants() {
    const A_SECOND_OF_PROCESSOR_TIME: &str = "ulimit -S -t 1; while :; do :; done";
    let runtime = runtime();
    let queue = runtime.serial("main");
    let scripts = [A_SECOND_OF_PROCESSOR_TIME.to_owned(), format!("sh -c '{A_SECOND_OF_PROCESSOR_TIME}'; exit 0")];
    for script in scripts {
        let (mut child, record) = (sh(&script), Record::default());
        let source = record.observe(&queue, child.id());
        let times = record.one().times.unwrap();
        let seconds = (times.user + times.system).as_secs_f64();
        assert!((0.5..5.0).contains(&seconds), "{times:?} of {script}");
        child.wait().unwrap();
        drop(source);
    }
    let (mut idle, record) = (on_command(0), Record::default());
    let source = record.observe(&queue, idle.id());
    let_go(&mut idle);
    let times = record.one().times.unwrap();
    assert!(times.user + times.system < Duration::from_millis(500), "{times:?}");
    idle.wait().unwrap();
    drop(source);
    finish(&runtime);
}

#[cfg(feature = "sim")]
#[test]
fn a_simulation_has_no_processes() {
    use concourse::Sim;
    use concourse::WatchError;
    let refused = Sim::seeded(1).run(|runtime| {
        Source::process(&runtime.serial("simulated"), process::id(), ProcessEvents::EXIT).activate().unwrap_err()
    });
    let error = WatchError::Unsupported { label: "simulated".into() };
    assert_eq!(refused.unwrap(), ProcessError::NotWatched { error });
}
