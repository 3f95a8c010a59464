//! Nice values that follow the classes, where the system permits it.

use concourse::Event;
use concourse::Group;
use concourse::Qos;
use concourse::Runtime;
use concourse::RuntimeError;
use rustix::process::Resource;
use rustix::process::getpriority_process;
use rustix::process::getrlimit;
use rustix::thread::CapabilitySet;
use rustix::thread::capabilities;
use rustix::thread::set_capabilities;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// The calling thread's nice value.
fn nice() -> i32 {
    getpriority_process(None).unwrap()
}

/// A runtime with one thread that follows the classes; none where the system does not permit it.
fn runtime() -> Option<Runtime> {
    match Runtime::builder().threads(1).max_threads(1).name("nice").nice_levels(true).build() {
        Ok(runtime) => Some(runtime),
        Err(RuntimeError::NiceLevels { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Whether the limit alone allows a thread to come back to the nice value that it has now. From the greatest there is nowhere
/// to come back from.
fn is_within_the_limit() -> bool {
    nice() == 19 || getrlimit(Resource::Nice).current.is_none_or(|limit| limit as i64 >= 20 - i64::from(nice()))
}

fn may_be_less_nice() -> bool {
    capabilities(None).unwrap().effective.contains(CapabilitySet::SYS_NICE) || is_within_the_limit()
}

#[test]
fn the_thread_has_the_nice_value_of_its_jobs_class() {
    let (usual, runtime) = (nice(), runtime());
    assert_eq!(runtime.is_some(), may_be_less_nice());
    let Some(runtime) = runtime else { return };
    let (group, seen) = (Group::new(), Arc::new(Mutex::new(Vec::new())));
    for qos in [Qos::Background, Qos::UserInteractive, Qos::Utility, Qos::Default, Qos::Background] {
        let seen = Arc::clone(&seen);
        group.exec_async(&runtime.global(qos), move || seen.lock().unwrap().push(nice() - usual));
        assert!(group.wait_timeout(PATIENCE).is_ok());
    }
    assert_eq!(*seen.lock().unwrap(), [10, 0, 5, 0, 10].map(|step| (usual + step).min(19) - usual));
    assert_eq!(nice(), usual, "the calling thread is left alone");
}

#[test]
fn jobs_of_the_own_deque_have_their_level_back_after_an_urgent_one() {
    let (usual, Some(runtime)) = (nice(), runtime()) else { return };
    let queues = [Qos::Background, Qos::UserInitiated, Qos::Background].map(|qos| runtime.global(qos));
    let (group, seen) = (Group::new(), Arc::new(Mutex::new(Vec::new())));
    let (members, log) = (group.clone(), Arc::clone(&seen));
    group.exec_async(&runtime.global(Qos::Background), move || {
        for queue in queues {
            let (log, qos) = (Arc::clone(&log), queue.qos());
            members.exec_async(&queue, move || log.lock().unwrap().push((qos, nice() - usual)));
        }
    });
    assert!(group.wait_timeout(PATIENCE).is_ok());
    let background = (Qos::Background, (usual + 10).min(19) - usual);
    assert_eq!(*seen.lock().unwrap(), [(Qos::UserInitiated, 0), background, background]);
}

#[test]
fn a_thread_that_runs_jobs_while_it_waits_keeps_its_own_nice_value() {
    let (usual, Some(runtime)) = (nice(), runtime()) else { return };
    let (go, began) = (Event::new(), Event::new());
    let (gate, begins) = (go.clone(), began.clone());
    runtime.global(Qos::Default).exec_async(move || {
        begins.set();
        gate.wait();
    });
    assert!(began.wait_timeout(PATIENCE).is_ok());
    let background = runtime.queue("background").qos(Qos::Background).build().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    background.exec_async(move || log.lock().unwrap().push(nice()));
    background.exec_sync(|| seen.lock().unwrap().push(nice()));
    go.set();
    assert_eq!(*seen.lock().unwrap(), [usual; 2]);
}

#[test]
fn without_permission_it_is_an_error_that_says_so() {
    // Capabilities belong to a thread: the other tests keep theirs.
    let built = std::thread::spawn(|| {
        let mut sets = capabilities(None).unwrap();
        sets.effective.remove(CapabilitySet::SYS_NICE);
        set_capabilities(None, sets).unwrap();
        Runtime::builder().nice_levels(true).build()
    });
    match built.join().unwrap() {
        Ok(runtime) => {
            assert!(is_within_the_limit());
            drop(runtime);
        }
        Err(error) => {
            assert!(!is_within_the_limit() && matches!(error, RuntimeError::NiceLevels { .. }), "{error:?}");
            assert!(error.to_string().contains("RLIMIT_NICE"), "{error}");
        }
    }
}
