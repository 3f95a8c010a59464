//! What a queue carries: values under keys, which targets pass on, a finalizer, and jobs for when it is idle.

mod records;

use concourse::Event;
use concourse::Queue;
use concourse::Runtime;
use concourse::Shutdown;
use concourse::SpecificKey;
use records::Fate;
use records::Records;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// No test waits for so long unless it fails.
const GENEROUS: Duration = Duration::from_secs(60);

static NAME: SpecificKey<&'static str> = SpecificKey::new();
static OTHER_NAME: SpecificKey<&'static str> = SpecificKey::new();
static NOTE: SpecificKey<Note> = SpecificKey::new();

/// Says where it was dropped.
struct Note {
    told: Arc<Mutex<Vec<Option<String>>>>,
    tell: Event,
}

impl Drop for Note {
    fn drop(&mut self) {
        self.told.lock().unwrap().push(Queue::current().map(|queue| queue.label().to_owned()));
        self.tell.set();
    }
}

fn runtime() -> Runtime {
    Runtime::builder().threads(2).build().unwrap()
}

#[test]
fn a_job_finds_what_its_queue_or_the_nearest_target_carries() {
    let runtime = runtime();
    let root = runtime.concurrent("root");
    let middle = runtime.queue("middle").target(&root).build().unwrap();
    let leaf = runtime.queue("leaf").target(&middle).build().unwrap();
    assert_eq!(root.set_specific(&NAME, "of the root"), None);
    root.set_specific(&OTHER_NAME, "other");
    middle.set_specific(&NAME, "of the middle");
    let seen = |queue: &Queue| queue.exec_sync(|| Queue::current_specific(&NAME).map(|name| *name));
    assert_eq!([&root, &middle, &leaf].map(seen), [Some("of the root"), Some("of the middle"), Some("of the middle")]);
    assert_eq!(leaf.exec_sync(|| Queue::current_specific(&OTHER_NAME).map(|name| *name)), Some("other"));
    // From outside, only what the queue itself carries.
    assert_eq!(leaf.specific(&NAME), None);
    assert_eq!(middle.specific(&NAME).map(|name| *name), Some("of the middle"));
    assert_eq!(Queue::current_specific(&NAME), None);
    // Another queue's sync call is in the way.
    let stranger = runtime.serial("stranger");
    assert_eq!(leaf.exec_sync(|| stranger.exec_sync(|| Queue::current_specific(&NAME))), None);
}

#[test]
fn a_value_is_replaced_and_removed_and_comes_back() {
    let runtime = runtime();
    let queue = runtime.serial("queue");
    assert_eq!(queue.remove_specific(&NAME), None);
    assert_eq!(queue.set_specific(&NAME, "first"), None);
    assert_eq!(queue.set_specific(&NAME, "second").map(|name| *name), Some("first"));
    // From a job of the queue as well.
    queue.exec_sync(|| queue.set_specific(&OTHER_NAME, "its own"));
    assert_eq!(queue.remove_specific(&NAME).map(|name| *name), Some("second"));
    assert_eq!(queue.specific(&NAME), None);
    assert_eq!(queue.specific(&OTHER_NAME).map(|name| *name), Some("its own"));
}

#[test]
fn what_a_queue_carries_is_dropped_on_its_target_after_its_last_job() {
    let runtime = runtime();
    let root = runtime.serial("root");
    let child = runtime.queue("child").target(&root).build().unwrap();
    let (told, tell) = (Arc::new(Mutex::new(Vec::new())), Event::new());
    child.set_specific(&NOTE, Note { told: Arc::clone(&told), tell: tell.clone() });
    let (ran, finalized) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(None)));
    child.set_finalizer(|| unreachable!("it is replaced"));
    child.set_finalizer({
        let (ran, finalized, told) = (Arc::clone(&ran), Arc::clone(&finalized), Arc::clone(&told));
        move || {
            let on = Queue::current().map(|queue| queue.label().to_owned());
            *finalized.lock().unwrap() = Some((ran.load(SeqCst), told.lock().unwrap().len(), on));
        }
    });
    let guard = root.suspend_guard().unwrap();
    for _ in 0..200 {
        let ran = Arc::clone(&ran);
        child.exec_async(move || _ = ran.fetch_add(1, SeqCst));
    }
    drop(child);
    assert_eq!(told.lock().unwrap().len(), 0);
    drop(guard);
    tell.wait_timeout(GENEROUS).unwrap();
    assert_eq!(*told.lock().unwrap(), [Some("root".to_owned())]);
    assert_eq!(*finalized.lock().unwrap(), Some((200, 0, Some("root".to_owned()))));
}

#[test]
fn a_finalizer_runs_on_the_runtime_or_where_the_queue_is_left_after_its_end() {
    let records = Records::default();
    let runtime = records.of(Runtime::builder().threads(1)).build().unwrap();
    let told = Event::new();
    let queue = runtime.serial("ends before");
    let tell = told.clone();
    queue.set_finalizer(move || tell.set());
    drop(queue);
    told.wait_timeout(GENEROUS).unwrap();
    // One that panics is reported and costs nothing else.
    let queue = runtime.serial("panics");
    let (noted, tell) = (Arc::new(Mutex::new(Vec::new())), Event::new());
    queue.set_specific(&NOTE, Note { told: Arc::clone(&noted), tell: tell.clone() });
    queue.set_finalizer(|| panic!("in a finalizer"));
    drop(queue);
    tell.wait_timeout(GENEROUS).unwrap();
    let queue = runtime.serial("ends after");
    let here = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&here);
    queue.set_finalizer(move || _ = count.fetch_add(1, SeqCst));
    assert!(runtime.shutdown(Shutdown::Drain).complete);
    assert_eq!(records.labels(Fate::Panicked).len(), 1);
    assert_eq!(here.load(SeqCst), 0);
    drop(queue);
    assert_eq!(here.load(SeqCst), 1);
}

#[test]
fn a_suspended_queue_that_goes_with_its_jobs_is_finalized_too() {
    let records = Records::default();
    let runtime = records.of(Runtime::builder().threads(1)).build().unwrap();
    for build in [Runtime::serial, Runtime::concurrent] {
        let queue = build(&runtime, "queue");
        let told = Event::new();
        let tell = told.clone();
        queue.set_finalizer(move || tell.set());
        queue.suspend().unwrap();
        queue.exec_async(|| unreachable!("nobody can resume the queue"));
        drop(queue);
        told.wait_timeout(GENEROUS).unwrap();
    }
    assert_eq!(records.labels(Fate::Dropped).len(), 2);
}

/// A queue of each kind, alone and below a target.
fn queues(runtime: &Runtime) -> [Queue; 4] {
    let root = runtime.concurrent("root");
    [
        runtime.serial("serial"),
        runtime.concurrent("concurrent"),
        runtime.queue("serial child").target(&root).build().unwrap(),
        runtime.queue("concurrent child").concurrent().target(&root).build().unwrap(),
    ]
}

#[test]
fn jobs_for_an_idle_queue_run_after_all_others_and_in_order() {
    let runtime = runtime();
    for queue in queues(&runtime) {
        let (seen, done) = (Arc::new(Mutex::new(Vec::new())), Event::new());
        let note = |text: &'static str| {
            let seen = Arc::clone(&seen);
            move || seen.lock().unwrap().push(text)
        };
        let guard = queue.suspend_guard().unwrap();
        queue.on_idle(note("first idle"));
        queue.on_idle({
            let (note, done) = (note("second idle"), done.clone());
            move || {
                note();
                done.set();
            }
        });
        // Jobs that submit jobs: the queue is not idle before the last.
        queue.exec_async({
            let (queue, [one, two, three]) = (queue.clone(), ["one", "two", "three"].map(note));
            move || {
                one();
                let again = queue.clone();
                queue.exec_async(move || {
                    two();
                    again.exec_async(three);
                });
            }
        });
        drop(guard);
        done.wait_timeout(GENEROUS).unwrap();
        assert_eq!(*seen.lock().unwrap(), ["one", "two", "three", "first idle", "second idle"], "{queue:?}");
        // It is for once, and the queue can be watched again.
        let again = Event::new();
        let tell = again.clone();
        queue.on_idle(move || tell.set());
        again.wait_timeout(GENEROUS).unwrap();
        assert_eq!(seen.lock().unwrap().len(), 5);
    }
}

#[test]
fn a_job_for_an_idle_queue_runs_before_the_finalizer() {
    let runtime = runtime();
    for queue in queues(&runtime) {
        let (seen, done) = (Arc::new(Mutex::new(Vec::new())), Event::new());
        let (idle, last, tell) = (Arc::clone(&seen), Arc::clone(&seen), done.clone());
        queue.set_finalizer(move || {
            last.lock().unwrap().push("finalizer");
            tell.set();
        });
        queue.on_idle(move || idle.lock().unwrap().push("idle"));
        drop(queue);
        done.wait_timeout(GENEROUS).unwrap();
        assert_eq!(*seen.lock().unwrap(), ["idle", "finalizer"]);
    }
}

#[test]
fn jobs_for_an_idle_queue_are_contained_cancelled_and_rejected_like_others() {
    let records = Records::default();
    let runtime = records.of(Runtime::builder().threads(2)).build().unwrap();
    for queue in queues(&runtime) {
        queue.on_idle(|| panic!("in an idle job"));
        let done = Event::new();
        let tell = done.clone();
        queue.on_idle(move || tell.set());
        done.wait_timeout(GENEROUS).unwrap();
        let guard = queue.suspend_guard().unwrap();
        (0..3).for_each(|_| queue.on_idle(|| unreachable!("it was cancelled")));
        assert_eq!(queue.cancel_pending(), 1, "the others do not stand in line yet");
        drop(guard);
        let done = Event::new();
        let tell = done.clone();
        queue.on_idle(move || tell.set());
        done.wait_timeout(GENEROUS).unwrap();
    }
    assert_eq!(records.labels(Fate::Panicked).len(), 4);
    assert_eq!(records.labels(Fate::Dropped).len(), 12);
    let queue = runtime.serial("late");
    let _ = runtime.shutdown(Shutdown::Drain);
    queue.on_idle(|| unreachable!("it came too late"));
    assert_eq!(records.labels(Fate::Rejected), ["late"]);
}
