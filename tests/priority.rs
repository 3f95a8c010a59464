//! Classes of urgency: what is more urgent goes first, and nothing waits for ever.

use concourse::Event;
use concourse::GlobalQueue;
use concourse::Group;
use concourse::Qos;
use concourse::Runtime;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

const CLASSES: [Qos; 5] = [Qos::Background, Qos::Utility, Qos::Default, Qos::UserInitiated, Qos::UserInteractive];
const PATIENCE: Duration = Duration::from_secs(60);

/// A runtime whose only thread is kept busy until the event is set.
fn held() -> (Runtime, Event) {
    let runtime = Runtime::builder().threads(1).max_threads(1).build().unwrap();
    let (go, began) = (Event::new(), Event::new());
    let (gate, begins) = (go.clone(), began.clone());
    runtime.global(Qos::Default).exec_async(move || {
        begins.set();
        gate.wait();
    });
    assert!(began.wait_timeout(PATIENCE).is_ok());
    (runtime, go)
}

fn wait(group: &Group) {
    assert!(group.wait_timeout(PATIENCE).is_ok());
}

/// Keeps what has run, in order.
type Log<T> = Arc<Mutex<Vec<T>>>;

#[test]
fn serial_queues_run_in_the_order_of_their_classes() {
    let (runtime, go) = held();
    let (log, group) = (Log::default(), Group::new());
    // The least urgent has waited longest.
    for qos in CLASSES {
        let queue = runtime.queue("of a class").qos(qos).build().unwrap();
        for place in 0..5 {
            let log = Arc::clone(&log);
            group.exec_async(&queue, move || log.lock().unwrap().push((qos, place)));
        }
    }
    go.set();
    wait(&group);
    let expected: Vec<_> = CLASSES.iter().rev().flat_map(|qos| (0..5).map(move |place| (*qos, place))).collect();
    assert_eq!(*log.lock().unwrap(), expected);
}

#[test]
fn a_queue_makes_way_between_two_jobs_for_something_more_urgent() {
    let runtime = Runtime::builder().threads(1).max_threads(1).build().unwrap();
    let urgent = runtime.queue("urgent").qos(Qos::UserInteractive).build().unwrap();
    let low = |label| runtime.queue(label).qos(Qos::Utility);
    let root = low("target").build().unwrap();
    let queues = [
        low("serial").build().unwrap(),
        low("concurrent").concurrent().build().unwrap(),
        low("serial below").target(&root).build().unwrap(),
        low("concurrent below").concurrent().target(&root).build().unwrap(),
    ];
    for queue in queues {
        let (log, group, gate) = (Log::default(), Group::new(), Event::new());
        for place in 0..20 {
            let (log, members, urgent, gate) = (Arc::clone(&log), group.clone(), urgent.clone(), gate.clone());
            group.exec_async(&queue, move || {
                gate.wait();
                log.lock().unwrap().push(Some(place));
                if place == 3 {
                    members.exec_async(&urgent, move || log.lock().unwrap().push(None));
                }
            });
        }
        gate.set();
        wait(&group);
        let mut expected: Vec<_> = (0..20).map(Some).collect();
        expected.insert(4, None);
        assert_eq!(*log.lock().unwrap(), expected, "{}", queue.label());
    }
}

#[test]
fn jobs_that_a_job_submits_are_ordered_by_their_classes() {
    let runtime = Runtime::builder().threads(1).max_threads(1).build().unwrap();
    for own in CLASSES {
        let (log, group) = (Log::default(), Group::new());
        let (queues, members, kept) = (CLASSES.map(|qos| runtime.global(qos)), group.clone(), Arc::clone(&log));
        group.exec_async(&runtime.global(own), move || {
            for queue in queues {
                let (log, qos) = (Arc::clone(&kept), queue.qos());
                members.exec_async(&queue, move || log.lock().unwrap().push(qos));
            }
        });
        wait(&group);
        let most_urgent_first: Vec<_> = CLASSES.into_iter().rev().collect();
        assert_eq!(*log.lock().unwrap(), most_urgent_first, "submitted by a job of {own:?}");
    }
}

#[test]
fn a_background_job_runs_during_a_flood_that_never_ends() {
    fn again(queue: &GlobalQueue, flood: &Arc<AtomicUsize>, end: &Arc<AtomicBool>, members: &Group) {
        if !end.load(SeqCst) {
            flood.fetch_add(1, SeqCst);
            let (next, flood, end, group) = (queue.clone(), Arc::clone(flood), Arc::clone(end), members.clone());
            members.exec_async(queue, move || again(&next, &flood, &end, &group));
        }
    }
    let (runtime, go) = held();
    let (flood, end, group) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)), Group::new());
    for _ in 0..10 {
        again(&runtime.global(Qos::UserInteractive), &flood, &end, &group);
    }
    let (passed, ends) = (Arc::clone(&flood), Arc::clone(&end));
    let waited = Arc::new(AtomicUsize::new(0));
    let tell = Arc::clone(&waited);
    let background = runtime.queue("background").qos(Qos::Background).build().unwrap();
    group.exec_async(&background, move || {
        tell.store(passed.load(SeqCst), SeqCst);
        ends.store(true, SeqCst);
    });
    go.set();
    wait(&group);
    // Ten were there before, and a class has its turn after 244 others at the latest.
    let waited = waited.load(SeqCst);
    assert!((10..=10 + 244).contains(&waited), "the background job came after {waited} others were submitted");
}

#[test]
fn a_sync_call_lends_its_thread_to_a_queue_of_a_low_class() {
    let (runtime, go) = held();
    let background = runtime.queue("background").qos(Qos::Background).build().unwrap();
    let here = std::thread::current().id();
    let (log, urgent) = (Log::default(), Group::new());
    for _ in 0..100 {
        urgent.exec_async(&runtime.global(Qos::UserInteractive), || ());
    }
    for _ in 0..3 {
        let log = Arc::clone(&log);
        background.exec_async(move || log.lock().unwrap().push(std::thread::current().id()));
    }
    // The only thread is busy, and a hundred urgent jobs stand before the queue.
    let ran = background.exec_sync(|| log.lock().unwrap().clone());
    assert_eq!(ran, [here; 3]);
    go.set();
    wait(&urgent);
}

#[test]
fn every_class_has_its_global_queue() {
    let runtime = Runtime::builder().threads(2).build().unwrap();
    let (group, ran) = (Group::new(), Arc::new(AtomicUsize::new(0)));
    for qos in CLASSES {
        let global = runtime.global(qos);
        assert_eq!(global.qos(), qos);
        for _ in 0..1_000 {
            let ran = Arc::clone(&ran);
            group.exec_async(&global, move || _ = ran.fetch_add(1, SeqCst));
        }
    }
    wait(&group);
    assert_eq!(ran.load(SeqCst), 5_000);
}
