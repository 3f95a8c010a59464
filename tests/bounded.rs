//! Bounded queues: every policy, shared bounds, and places that come back whatever happens.

mod blocked;

use blocked::GENEROUS;
use blocked::spawn_blocked;
use concourse::Bounded;
use concourse::CancelToken;
use concourse::Event;
use concourse::Group;
use concourse::Queue;
use concourse::Runtime;
use concourse::Shutdown;
use concourse::SubmitError;
use concourse::SuspendGuard;
use concourse::WhenFull;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

fn places(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

/// A suspended serial queue, with what is logged by its jobs.
struct Held {
    queue: Queue,
    guard: Option<SuspendGuard>,
    log: Arc<Mutex<Vec<usize>>>,
}

impl Held {
    fn new() -> Self {
        Self::on(Queue::serial("held"))
    }

    fn on(queue: Queue) -> Self {
        let guard = Some(queue.suspend_guard().unwrap());
        Self { queue, guard, log: Arc::default() }
    }

    fn note(&self, number: usize) -> impl FnOnce() + Send + use<> {
        let log = Arc::clone(&self.log);
        move || log.lock().unwrap().push(number)
    }

    /// What its jobs have logged once all have run.
    fn finish(&mut self) -> Vec<usize> {
        self.guard = None;
        self.queue.exec_sync(|| ());
        std::mem::take(&mut *self.log.lock().unwrap())
    }
}

#[test]
fn a_full_queue_gives_back_what_it_rejects_and_takes_more_when_it_has_run() {
    let mut held = Held::new();
    let bounded = Bounded::new(&held.queue, places(2));
    for number in 0..2 {
        bounded.try_exec_async(held.note(number)).unwrap();
    }
    let Err(SubmitError::Full(back)) = bounded.clone().try_exec_async(held.note(2)) else { panic!("it has room") };
    assert_eq!((bounded.waiting(), bounded.len(), bounded.capacity(), bounded.dropped()), (2, 2, 2, 0));
    back();
    assert_eq!(held.finish(), [2, 0, 1]);
    assert!(bounded.is_empty() && bounded.waiting() == 0);
    bounded.try_exec_async(held.note(3)).unwrap();
    assert_eq!(held.finish(), [3]);
}

#[test]
fn what_is_refused_without_being_given_back_goes_to_the_rejection_hook() {
    let rejected = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&rejected);
    let runtime = Runtime::builder()
        .on_rejected(move |report| log.lock().unwrap().push((report.label.to_owned(), report.closure.to_owned())))
        .build()
        .unwrap();
    let mut held = Held::on(runtime.serial("held"));
    let bounded = Bounded::new(&held.queue, places(1));
    (0..2).for_each(|number| bounded.exec_async(held.note(number)));
    assert_eq!(held.finish(), [0]);
    let rejected = rejected.lock().unwrap();
    let [(label, closure)] = &rejected[..] else { panic!("{rejected:?}") };
    assert!(label == "held" && closure.contains("note"), "{closure}");
}

#[test]
fn a_place_comes_back_when_the_job_begins() {
    let queue = Queue::serial("busy");
    let bounded = Bounded::new(&queue, places(1));
    let (begun, go) = (Event::new(), Event::new());
    let (begin, gate) = (begun.clone(), go.clone());
    bounded.exec_async(move || {
        begin.set();
        gate.wait();
    });
    begun.wait_timeout(GENEROUS).unwrap();
    assert!(bounded.try_exec_async(|| ()).is_ok());
    assert!(matches!(bounded.try_exec_async(|| ()), Err(SubmitError::Full(_))));
    go.set();
    queue.exec_sync(|| ());
    assert_eq!(bounded.waiting(), 0);
}

#[test]
fn the_oldest_make_way_and_are_counted_and_reported() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&dropped);
    let runtime = Runtime::builder().on_dropped(move |_| _ = count.fetch_add(1, SeqCst)).build().unwrap();
    let mut held = Held::on(runtime.serial("held"));
    let bounded = Bounded::new(&held.queue, places(3)).when_full(WhenFull::DropOldest);
    for number in 0..1_000 {
        bounded.try_exec_async(held.note(number)).unwrap();
    }
    assert_eq!((bounded.waiting(), bounded.dropped(), dropped.load(SeqCst)), (3, 997, 997));
    assert_eq!(held.finish(), [997, 998, 999]);
    assert_eq!(bounded.waiting(), 0);
}

#[test]
fn the_newest_is_dropped_counted_and_reported() {
    let runtime = Runtime::builder().build().unwrap();
    let mut held = Held::on(runtime.serial("held"));
    let bounded = Bounded::new(&held.queue, places(2)).when_full(WhenFull::DropNewest);
    for number in 0..5 {
        bounded.try_exec_async(held.note(number)).unwrap();
    }
    assert_eq!((bounded.dropped(), held.finish()), (3, vec![0, 1]));
    assert_eq!(runtime.shutdown(Shutdown::Drain).dropped, 3);
}

#[test]
fn the_caller_runs_what_has_no_place_and_its_panic_is_reported() {
    let panics = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&panics);
    let runtime = Runtime::builder().on_panic(move |_| _ = count.fetch_add(1, SeqCst)).build().unwrap();
    let mut held = Held::on(runtime.serial("held"));
    let bounded = Bounded::new(&held.queue, places(1)).when_full(WhenFull::CallerRuns);
    bounded.exec_async(held.note(0));
    let (here, ran_on) = (thread::current().id(), Arc::new(Mutex::new(None)));
    let tell = Arc::clone(&ran_on);
    bounded.exec_async(move || *tell.lock().unwrap() = Some(thread::current().id()));
    assert_eq!(*ran_on.lock().unwrap(), Some(here));
    bounded.exec_async(|| panic!("of the caller"));
    assert_eq!(panics.load(SeqCst), 1);
    assert_eq!(held.finish(), [0]);
}

#[test]
fn producers_wait_in_order_and_every_job_runs() {
    let mut held = Held::new();
    let bounded = Bounded::new(&held.queue, places(1)).when_full(WhenFull::Block);
    bounded.exec_async(held.note(0));
    let producers: Vec<_> = (1..6)
        .map(|number| {
            let (bounded, job) = (bounded.clone(), held.note(number));
            spawn_blocked(move || bounded.try_exec_async(job).is_ok())
        })
        .collect();
    assert_eq!((bounded.len(), bounded.waiting()), (1, 1));
    held.guard = None;
    producers.into_iter().for_each(|producer| assert!(producer.join().unwrap()));
    assert_eq!(held.finish(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(bounded.waiting(), 0);
}

#[test]
fn many_producers_never_have_more_waiting_than_there_are_places() {
    let runtime = Runtime::builder().threads(2).build().unwrap();
    let queue = runtime.concurrent("work");
    let bounded = Bounded::new(&queue, places(4)).when_full(WhenFull::Block);
    let ran = Arc::new(AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    let ran = Arc::clone(&ran);
                    bounded.try_exec_async(move || _ = ran.fetch_add(1, SeqCst)).unwrap();
                    assert!(bounded.waiting() <= 4 && bounded.len() <= 4);
                }
            });
        }
    });
    queue.barrier_sync(|| ());
    assert_eq!((ran.load(SeqCst), bounded.waiting(), bounded.dropped()), (4_000, 0, 0));
}

#[test]
fn who_waits_for_a_place_gives_up_after_its_time_and_leaves_none_behind() {
    let mut held = Held::new();
    let bounded = Bounded::new(&held.queue, places(1)).when_full(WhenFull::BlockFor(Duration::from_millis(5)));
    bounded.try_exec_async(held.note(0)).unwrap();
    assert!(matches!(bounded.try_exec_async(held.note(1)), Err(SubmitError::Full(_))));
    let impatient = bounded.clone().when_full(WhenFull::BlockFor(Duration::ZERO));
    assert!(matches!(impatient.try_exec_async(held.note(2)), Err(SubmitError::Full(_))));
    assert_eq!(held.finish(), [0]);
    assert_eq!(bounded.waiting(), 0);
    let patient = bounded.when_full(WhenFull::BlockFor(GENEROUS));
    patient.try_exec_async(held.note(3)).unwrap();
    assert_eq!(held.finish(), [3]);
}

#[test]
fn a_producer_that_would_wait_for_itself_is_told_so() {
    let queue = Queue::serial("own");
    let bounded = Bounded::new(&queue, places(1)).when_full(WhenFull::Block);
    let (own, other) = (bounded.clone(), bounded.beside(&Queue::serial("other")));
    let refused = queue.exec_sync(|| {
        own.try_exec_async(|| ()).unwrap();
        let error = own.try_exec_async(|| ()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("\"own\"") && text.contains("never end"), "{text}");
        assert!(matches!(other.try_exec_async(|| ()), Err(SubmitError::WouldDeadlock { .. })));
        matches!(error, SubmitError::WouldDeadlock { .. })
    });
    assert!(refused);
    queue.exec_sync(|| ());
    assert_eq!(bounded.waiting(), 0);
}

#[test]
fn a_producer_waits_on_a_full_queue_of_its_own_for_a_place_of_another_queue() {
    let (own, other) = (Queue::serial("own"), Held::new());
    let of_own = Bounded::new(&own, places(2)).when_full(WhenFull::Block);
    let of_other = of_own.beside(&other.queue);
    let producer = of_own.clone();
    of_other.exec_async(other.note(0));
    let waiter = spawn_blocked(move || {
        own.exec_sync(|| {
            producer.try_exec_async(|| ()).unwrap();
            producer.try_exec_async(|| ()).is_ok()
        })
    });
    drop(other.guard);
    assert!(waiter.join().unwrap());
}

#[test]
fn queues_that_share_a_bound_share_its_places() {
    let (mut left, mut right) = (Held::new(), Held::new());
    let of_left = Bounded::new(&left.queue, places(2)).when_full(WhenFull::DropOldest);
    let of_right = of_left.beside(&right.queue);
    of_left.try_exec_async(left.note(0)).unwrap();
    of_left.try_exec_async(left.note(1)).unwrap();
    assert!(matches!(of_right.try_exec_async(right.note(2)), Err(SubmitError::Full(_))), "none of its own makes way");
    of_left.try_exec_async(left.note(3)).unwrap();
    assert_eq!((of_right.waiting(), of_right.len(), of_left.len()), (2, 0, 2));
    assert_eq!(left.finish(), [1, 3]);
    of_right.try_exec_async(right.note(4)).unwrap();
    assert_eq!(right.finish(), [4]);
    assert_eq!((of_left.dropped(), of_right.dropped(), of_left.waiting()), (1, 0, 0));
}

#[test]
fn the_last_of_a_key_runs_in_the_place_of_the_first() {
    let mut held = Held::new();
    let bounded = Bounded::keyed(&held.queue, places(2));
    bounded.exec_latest("a", held.note(1));
    bounded.exec_latest("b", held.note(2));
    bounded.exec_latest("a", held.note(3));
    bounded.try_exec_latest("b", held.note(4)).unwrap();
    assert!(matches!(bounded.try_exec_latest("c", held.note(5)), Err(SubmitError::Full(_))));
    assert!(matches!(bounded.try_exec_async(held.note(6)), Err(SubmitError::Full(_))));
    assert_eq!((bounded.len(), bounded.dropped()), (2, 2));
    assert_eq!(held.finish(), [3, 4]);
    bounded.exec_latest("a", held.note(7));
    assert_eq!(held.finish(), [7]);
    // A key whose job made way is as new.
    held.guard = Some(held.queue.suspend_guard().unwrap());
    let newest = bounded.when_full(WhenFull::DropOldest);
    for (number, key) in ["a", "b", "c", "a", "c"].into_iter().enumerate() {
        newest.exec_latest(key, held.note(number));
    }
    assert_eq!(held.finish(), [4, 3]);
}

#[test]
fn of_two_producers_that_waited_with_one_key_the_later_replaces_the_earlier() {
    let (mut held, mut other) = (Held::new(), Held::new());
    let keyed = Bounded::keyed(&held.queue, places(2)).when_full(WhenFull::Block);
    let of_other = keyed.beside(&other.queue);
    (0..2).for_each(|number| of_other.exec_async(other.note(number)));
    let producers = [2, 3].map(|number| {
        let (keyed, job) = (keyed.clone(), held.note(number));
        spawn_blocked(move || keyed.try_exec_latest("key", job).is_ok())
    });
    assert_eq!(other.finish(), [0, 1]);
    producers.into_iter().for_each(|producer| assert!(producer.join().unwrap()));
    assert_eq!((keyed.len(), keyed.waiting(), keyed.dropped()), (1, 1, 1));
    assert!(matches!(held.finish()[..], [2] | [3]));
    assert_eq!(keyed.waiting(), 0);
}

#[test]
fn places_come_back_from_panics_cancellation_and_tokens() {
    let mut held = Held::new();
    let bounded = Bounded::new(&held.queue, places(2));
    bounded.exec_async(|| panic!("contained"));
    bounded.exec_async(held.note(0));
    assert_eq!(held.finish(), [0]);
    assert_eq!(bounded.waiting(), 0);

    held.guard = Some(held.queue.suspend_guard().unwrap());
    (0..2).for_each(|number| bounded.exec_async(held.note(number)));
    assert_eq!(held.queue.cancel_pending(), 2);
    assert_eq!((bounded.waiting(), bounded.len(), bounded.dropped()), (0, 0, 0));

    let token = CancelToken::new();
    bounded.exec_async(token.job(held.note(1)));
    token.cancel();
    bounded.exec_async(held.note(2));
    assert_eq!(held.finish(), [2]);
    assert_eq!(bounded.waiting(), 0);
}

#[test]
fn what_its_queue_cancels_is_reported_under_its_own_name() {
    let dropped = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&dropped);
    let runtime = Runtime::builder()
        .on_dropped(move |report| log.lock().unwrap().push(report.closure.to_owned()))
        .build()
        .unwrap();
    let held = Held::on(runtime.serial("held"));
    Bounded::new(&held.queue, places(1)).exec_async(held.note(0));
    assert_eq!(held.queue.cancel_pending(), 1);
    let dropped = dropped.lock().unwrap();
    assert!(dropped.len() == 1 && dropped[0].contains("note"), "{dropped:?}");
}

#[test]
fn a_queue_that_goes_away_suspended_gives_its_places_back_to_who_waits() {
    let (other, going) = (Queue::serial("other"), Queue::serial("going"));
    going.suspend().unwrap();
    let of_going = Bounded::new(&going, places(1)).when_full(WhenFull::Block);
    let of_other = of_going.beside(&other);
    let ran = Event::new();
    of_going.exec_async(|| unreachable!("its queue went away suspended"));
    let (run, producer) = (ran.clone(), of_other.clone());
    let waiter = spawn_blocked(move || producer.try_exec_async(move || run.set()).is_ok());
    drop((of_going, going));
    assert!(waiter.join().unwrap());
    ran.wait_timeout(GENEROUS).unwrap();
    other.exec_sync(|| ());
    assert_eq!(of_other.waiting(), 0);
}

#[test]
fn a_shutdown_gives_the_places_back_and_the_closure_to_who_waited_for_one() {
    let runtime = Runtime::builder().build().unwrap();
    let held = Held::on(runtime.serial("held"));
    let bounded = Bounded::new(&held.queue, places(2)).when_full(WhenFull::Block);
    (0..2).for_each(|number| bounded.exec_async(held.note(number)));
    let (producer, job) = (bounded.clone(), held.note(2));
    let waiter = spawn_blocked(move || matches!(producer.try_exec_async(job), Err(SubmitError::ShutDown(_))));
    assert_eq!(runtime.shutdown(Shutdown::CancelPending).dropped, 2);
    assert!(waiter.join().unwrap());
    assert_eq!((bounded.waiting(), bounded.len()), (0, 0));
    assert!(matches!(bounded.try_exec_async(held.note(3)), Err(SubmitError::ShutDown(_))));
    assert!(held.log.lock().unwrap().is_empty());
}

#[test]
fn a_drain_runs_what_has_places() {
    let runtime = Runtime::builder().threads(1).build().unwrap();
    let (bounded, group) = (Bounded::new(&runtime.concurrent("work"), places(64)), Group::new());
    for _ in 0..64 {
        let member = group.enter();
        bounded.exec_async(move || drop(member));
    }
    let report = runtime.shutdown(Shutdown::Drain.within(GENEROUS));
    assert!(report.complete && report.dropped == 0 && report.rejected == 0, "{report:?}");
    assert!(group.is_empty() && bounded.waiting() == 0);
}

#[test]
fn a_place_that_is_granted_counts_for_the_producer_that_waited_for_it() {
    for _ in 0..100 {
        let queue = Queue::serial("own");
        let guard = queue.suspend_guard().unwrap();
        let bounded = Bounded::new(&queue, NonZeroUsize::MIN).when_full(WhenFull::Block);
        let (told, answer) = std::sync::mpsc::channel();
        let own = bounded.clone();
        bounded.exec_async(move || {
            let is_refused = match own.try_exec_async(|| ()) {
                Ok(()) => false,
                Err(SubmitError::WouldDeadlock { .. }) => true,
                Err(error) => panic!("{error:?}"),
            };
            told.send(is_refused).unwrap();
        });
        let other = bounded.clone();
        let producer = spawn_blocked(move || other.exec_async(|| ()));
        drop(guard);
        // The producer has the only place from the moment in which the job began.
        assert_eq!(answer.recv_timeout(GENEROUS), Ok(true));
        producer.join().unwrap();
    }
}

#[test]
fn what_is_submitted_by_the_destructor_of_a_cancelled_job_is_not_cancelled_in_its_place() {
    struct Successor(Bounded, Arc<Mutex<Vec<usize>>>, usize);
    impl Drop for Successor {
        fn drop(&mut self) {
            let (log, number) = (Arc::clone(&self.1), self.2 + 10);
            self.0.try_exec_async(move || log.lock().unwrap().push(number)).unwrap();
        }
    }
    let mut held = Held::new();
    let bounded = Bounded::new(&held.queue, places(8));
    for number in 0..3 {
        let successor = Successor(bounded.clone(), Arc::clone(&held.log), number);
        bounded.exec_async(move || {
            successor.1.lock().unwrap().push(successor.2);
            std::mem::forget(successor);
        });
    }
    assert_eq!(held.queue.cancel_pending(), 3);
    assert_eq!(held.finish(), [10, 11, 12]);
}

#[test]
fn a_key_that_cannot_be_cloned_takes_no_place() {
    #[derive(PartialEq, Eq, Hash)]
    struct Once(u8);
    impl Clone for Once {
        fn clone(&self) -> Self {
            panic!("there is one")
        }
    }
    let mut held = Held::new();
    let bounded = Bounded::keyed(&held.queue, NonZeroUsize::MIN);
    let submission = std::panic::AssertUnwindSafe(|| bounded.exec_latest(Once(0), || ()));
    assert!(std::panic::catch_unwind(submission).is_err());
    bounded.try_exec_async(held.note(1)).unwrap();
    assert_eq!(held.finish(), [1]);
}
