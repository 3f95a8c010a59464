//! What is asked for by mistake: a typed error that says what to do instead, never a trap.

use concourse::BuildError;
use concourse::Deadline;
use concourse::Dispatch;
use concourse::Event;
use concourse::Group;
use concourse::GroupError;
use concourse::Runtime;
use concourse::RuntimeBuilder;
use concourse::RuntimeError;
use concourse::Semaphore;
use concourse::Shutdown;
use concourse::Source;
use concourse::SuspendError;
use concourse::SyncError;
use concourse::WaitError;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

fn runtime() -> Runtime {
    Runtime::builder().threads(1).build().unwrap()
}

/// Asserts that the error speaks of all of this: what is wrong, and what to do.
fn says(error: impl Error, parts: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{text:?} lacks {part:?}");
    }
    assert!(!text.ends_with('.') && !text.contains('\n'), "{text:?} is not one clause that others can go on with");
}

fn refused(builder: RuntimeBuilder) -> RuntimeError {
    builder.build().unwrap_err()
}

#[test]
fn a_width_of_zero() {
    let runtime = runtime();
    let label: Arc<str> = "narrow".into();
    let expected = BuildError::ZeroWidth { label: Arc::clone(&label) };
    for concurrent in [false, true] {
        let builder = runtime.queue("narrow").width(0);
        let builder = if concurrent { builder.concurrent() } else { builder };
        assert_eq!(builder.clone().build().unwrap_err(), expected);
        assert_eq!(builder.build_inactive().unwrap_err(), expected);
    }
    let queue = runtime.concurrent("narrow");
    assert_eq!(queue.set_width(0).unwrap_err(), expected);
    assert_eq!(queue.exec_sync(|| 1), 1);
    says(expected, &["\"narrow\"", "width of 0", "at least 1", "suspend"]);
}

#[test]
fn a_width_of_a_serial_queue() {
    let runtime = runtime();
    let expected = BuildError::WidthOfSerial { label: "single".into() };
    assert_eq!(runtime.queue("single").width(1).build().unwrap_err(), expected);
    assert_eq!(runtime.queue("single").width(2).build_inactive().unwrap_err(), expected);
    assert_eq!(runtime.serial("single").set_width(1).unwrap_err(), expected);
    assert_eq!(runtime.serial("single").set_width(0).unwrap_err(), expected);
    says(expected, &["\"single\"", "serial", "`concurrent()`"]);
}

#[test]
fn the_widest_width() {
    let runtime = runtime();
    let queue = runtime.queue("wide").concurrent().width(usize::MAX).build().unwrap();
    queue.exec_async(|| ());
    queue.set_width(usize::MAX).unwrap();
    assert_eq!(queue.barrier_sync(|| 1), 1);
}

#[test]
fn a_queue_of_an_ended_runtime() {
    let runtime = runtime();
    assert!(runtime.shutdown(Shutdown::Drain).complete);
    let expected = BuildError::ShutDown { label: "late".into() };
    assert_eq!(runtime.queue("late").build().unwrap_err(), expected);
    assert_eq!(runtime.queue("late").build_inactive().unwrap_err(), expected);
    says(expected, &["\"late\"", "shut down", "another runtime"]);
    let (sender, receiver) = std::sync::mpsc::channel();
    let error = runtime.serial("late").try_exec_async(move || sender.send(7).unwrap()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("shut down") && text.contains("into_inner"), "{text}");
    error.into_inner()();
    assert_eq!(receiver.recv(), Ok(7));
}

#[test]
fn no_threads() {
    let expected = RuntimeError::ZeroThreads;
    assert_eq!(refused(Runtime::builder().threads(0)), expected);
    assert_eq!(refused(Runtime::builder().threads(0).max_threads(0)), expected);
    says(expected, &["0", "at least 1", "leave `threads` out"]);
}

#[test]
fn a_limit_below_the_number_of_threads() {
    let expected = RuntimeError::MaxBelowThreads { threads: 4, max_threads: 3 };
    assert_eq!(refused(Runtime::builder().threads(4).max_threads(3)), expected);
    says(expected, &["max_threads (3)", "threads (4)", "raise", "lower"]);
    let zero = refused(Runtime::builder().max_threads(0));
    assert!(matches!(zero, RuntimeError::MaxBelowThreads { max_threads: 0, .. }));
}

#[test]
fn more_threads_than_can_be_counted() {
    for builder in [Runtime::builder().threads(usize::MAX), Runtime::builder().max_threads(usize::MAX)] {
        let error = refused(builder);
        let RuntimeError::TooManyThreads { max_threads: usize::MAX, limit } = error else { panic!("{error:?}") };
        says(error, &[&usize::MAX.to_string(), &format!("at most {limit}")]);
        // The limit itself is fine: no thread is started before it is needed.
        let runtime = Runtime::builder().threads(1).max_threads(limit).build().unwrap();
        assert_eq!(runtime.serial("one of a crowd").exec_sync(|| 1), 1);
    }
}

#[test]
fn a_thread_name_with_a_nul_byte() {
    let expected = RuntimeError::BadThreadName;
    assert_eq!(refused(Runtime::builder().name("nul\0byte")), expected);
    says(expected, &["name", "NUL", "leave it out"]);
    // Any other name will do, if the system cuts it or not.
    for name in ["", "ünï", &"long".repeat(1_000)] {
        let runtime = Runtime::builder().threads(1).name(name).build().unwrap();
        let done = Event::new();
        let told = done.clone();
        runtime.serial("named").after(Duration::ZERO, move || told.set()).map(drop).unwrap();
        done.wait_timeout(Duration::from_secs(60)).unwrap();
    }
}

#[test]
fn a_label_of_any_kind() {
    let runtime = runtime();
    for label in ["", "nul\0byte", "ünï\n", &"long".repeat(100_000)] {
        let queue = runtime.serial(label);
        assert_eq!(queue.label(), label);
        assert!(queue.exec_sync(|| queue.try_exec_sync(|| ()).is_err()));
    }
}

#[test]
fn a_resume_too_many() {
    let runtime = runtime();
    let queue = runtime.serial("awake");
    let expected = SuspendError::OverResume { label: "awake".into() };
    assert_eq!(queue.resume().unwrap_err(), expected);
    says(expected, &["\"awake\"", "more often", "once for each `suspend`", "`suspend_guard`"]);
    let source = Source::add(&queue).label("quiet").on_event(drop).activate();
    assert_eq!(source.resume().unwrap_err(), SuspendError::OverResume { label: "quiet".into() });
    source.suspend().unwrap();
    source.resume().unwrap();
}

#[test]
fn a_leave_too_many() {
    let group = Group::new();
    let expected = GroupError::UnbalancedLeave;
    assert_eq!(group.leave_raw().unwrap_err(), expected);
    let member = group.enter();
    assert_eq!(group.leave_raw().unwrap_err(), expected);
    assert_eq!(group.count(), 1);
    drop(member);
    says(expected, &["more often", "once for each `enter_raw`", "`enter`"]);
}

#[test]
fn a_sync_call_onto_a_queue_that_the_thread_holds() {
    let runtime = runtime();
    let queue = runtime.serial("held");
    let error: SyncError<_> = queue.exec_sync(|| queue.try_exec_sync(|| 7)).unwrap_err();
    says(error, &["\"held\"", "never return", "`exec_async`"]);
}

#[test]
fn times_too_long_for_any_clock() {
    let runtime = Runtime::builder().threads(1).spare_idle(Duration::MAX).drop_within(Duration::MAX).build().unwrap();
    let queue = runtime.serial("patient");
    let never = queue.after(Duration::MAX, || unreachable!()).unwrap();
    assert!(never.cancel());
    Semaphore::new(1).wait_timeout(Duration::MAX).unwrap();
    Group::new().wait_timeout(Duration::MAX).unwrap();
    let event = Event::new();
    let told = event.clone();
    queue.exec_async(move || told.set());
    event.wait_timeout(Duration::MAX).unwrap();
    assert_eq!(concourse::wait_for(Duration::MAX, |done| done.send(1).unwrap()), Ok(1));
    assert!(Deadline::FOREVER.is_forever());
    let report = runtime.shutdown(Shutdown::Drain.within(Duration::MAX));
    assert!(report.complete);
}

#[test]
fn times_of_nothing() {
    let timed_out = Err(WaitError::TimedOut { after: Duration::ZERO });
    assert_eq!(Event::new().wait_timeout(Duration::ZERO), timed_out);
    assert_eq!(Semaphore::new(0).wait_timeout(Duration::ZERO), timed_out);
    let group = Group::new();
    let _member = group.enter();
    assert_eq!(group.wait_timeout(Duration::ZERO), timed_out);
    let runtime = Runtime::builder().threads(1).spare_idle(Duration::ZERO).drop_within(Duration::ZERO).build().unwrap();
    assert_eq!(runtime.serial("hasty").exec_sync(|| 1), 1);
    // Nothing runs, so nothing has to be waited for.
    runtime.shutdown(Shutdown::Drain.within(Duration::ZERO));
}
