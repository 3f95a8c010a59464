//! Work items: one run, one outcome, and nobody who waits is forgotten.

mod blocked;
mod records;

use blocked::GENEROUS;
use blocked::spawn_blocked;
use concourse::Cancellation;
use concourse::Dispatch;
use concourse::Event;
use concourse::Group;
use concourse::Outcome;
use concourse::Qos;
use concourse::Queue;
use concourse::Runtime;
use concourse::Shutdown;
use concourse::WaitError;
use concourse::WorkItem;
use concourse::WorkItemError;
use records::Fate;
use records::Records;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

fn runtime() -> Runtime {
    Runtime::builder().threads(2).build().unwrap()
}

/// Says when and where it is dropped.
struct Captured(Arc<Mutex<Option<thread::ThreadId>>>);

impl Captured {
    fn new() -> (Self, Arc<Mutex<Option<thread::ThreadId>>>) {
        let dropped = Arc::default();
        (Self(Arc::clone(&dropped)), dropped)
    }
}

impl Drop for Captured {
    fn drop(&mut self) {
        *self.0.lock().unwrap() = Some(thread::current().id());
    }
}

/// An item that must not run, and the thread that has dropped what it captured.
fn unwanted() -> (WorkItem, Arc<Mutex<Option<thread::ThreadId>>>) {
    let (captured, dropped) = Captured::new();
    let item = WorkItem::new(move || {
        drop(captured);
        panic!("nobody wants this to run");
    });
    (item, dropped)
}

/// What a notification of `item` on `queue` is told.
fn told<Q: Dispatch>(item: &WorkItem, queue: &Q) -> impl FnOnce() -> Outcome + use<Q> {
    let (event, outcome) = (Event::new(), Arc::new(Mutex::new(None)));
    item.notify(queue, {
        let (event, outcome) = (event.clone(), Arc::clone(&outcome));
        move |told| {
            *outcome.lock().unwrap() = Some(told);
            event.set();
        }
    });
    move || {
        event.wait_timeout(GENEROUS).unwrap();
        outcome.lock().unwrap().unwrap()
    }
}

#[test]
fn everybody_who_waits_hears_of_the_one_run() {
    let (runtime, ran) = (runtime(), Arc::new(AtomicUsize::new(0)));
    let item = WorkItem::new({
        let ran = Arc::clone(&ran);
        move || _ = ran.fetch_add(1, Relaxed)
    });
    let waiters = [(); 3].map(|()| {
        let item = item.clone();
        spawn_blocked(move || item.wait())
    });
    assert_eq!(item.outcome(), None);
    item.exec_async(&runtime.serial("once")).unwrap();
    for waiter in waiters {
        assert_eq!(waiter.join().unwrap(), Outcome::Finished);
    }
    assert_eq!((item.wait(), item.outcome()), (Outcome::Finished, Some(Outcome::Finished)));
    assert_eq!(ran.load(Relaxed), 1);
}

#[test]
fn an_item_is_submitted_once() {
    let runtime = runtime();
    let queue = runtime.serial("twice");
    let item = WorkItem::new(|| ());
    item.exec_async(&queue).unwrap();
    assert_eq!(item.clone().exec_async(&queue), Err(WorkItemError::AlreadySubmitted));
    assert_eq!(item.job().err(), Some(WorkItemError::AlreadySubmitted));
    assert_eq!(item.wait(), Outcome::Finished);
    assert_eq!(item.exec_async(&queue), Err(WorkItemError::AlreadySubmitted));
}

#[test]
fn any_queue_and_whatever_takes_a_closure_takes_an_item() {
    let runtime = runtime();
    let item = WorkItem::new(|| ());
    item.exec_async(&runtime.global(Qos::Utility)).unwrap();
    assert_eq!(item.wait(), Outcome::Finished);

    let queue = runtime.concurrent("closures");
    let (grouped, alone, later, now) =
        (WorkItem::new(|| ()), WorkItem::new(|| ()), WorkItem::new(|| ()), WorkItem::new(|| ()));
    let group = Group::new();
    group.exec_async(&queue, grouped.job().unwrap());
    group.wait();
    assert_eq!(grouped.outcome(), Some(Outcome::Finished));
    queue.barrier_async(alone.job().unwrap());
    assert_eq!(alone.wait(), Outcome::Finished);
    let _ = queue.after(Duration::from_millis(1), later.job().unwrap()).unwrap();
    assert_eq!(later.wait(), Outcome::Finished);
    queue.exec_sync(now.job().unwrap());
    assert_eq!(now.outcome(), Some(Outcome::Finished));
}

#[test]
fn a_cancelled_item_gives_its_captures_up_at_once_and_leaves_an_empty_place() {
    let runtime = runtime();
    let queue = runtime.serial("cancelled");
    let guard = queue.suspend_guard().unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |number| {
        let order = Arc::clone(&order);
        move || order.lock().unwrap().push(number)
    };
    queue.exec_async(note(1));
    let (item, dropped) = unwanted();
    item.exec_async(&queue).unwrap();
    queue.exec_async(note(2));
    let waiter = spawn_blocked({
        let item = item.clone();
        move || item.wait()
    });
    assert_eq!(item.cancel(), Cancellation::NeverRan);
    assert_eq!(*dropped.lock().unwrap(), Some(thread::current().id()));
    assert_eq!(waiter.join().unwrap(), Outcome::Cancelled, "nobody waits for the queue");
    assert!(item.is_cancelled());
    assert_eq!((item.cancel(), item.outcome()), (Cancellation::NeverRan, Some(Outcome::Cancelled)));
    drop(guard);
    queue.exec_sync(|| ());
    assert_eq!(*order.lock().unwrap(), [1, 2]);
}

#[test]
fn an_item_that_is_cancelled_first_may_be_submitted_as_an_empty_job() {
    let runtime = runtime();
    let queue = runtime.serial("empty");
    let (item, dropped) = unwanted();
    assert_eq!(item.cancel(), Cancellation::NeverRan);
    assert!(dropped.lock().unwrap().is_some());
    item.exec_async(&queue).unwrap();
    queue.exec_sync(|| ());
    assert_eq!(item.wait(), Outcome::Cancelled);
}

#[test]
fn a_running_item_sees_that_it_is_cancelled_and_ends_as_it_likes() {
    let runtime = runtime();
    let (begun, seen) = (Event::new(), Arc::new(AtomicBool::new(false)));
    let item = WorkItem::new_with({
        let (begun, seen) = (begun.clone(), Arc::clone(&seen));
        move |item| {
            assert!(!item.is_cancelled());
            begun.set();
            while !item.is_cancelled() {
                thread::yield_now();
            }
            seen.store(true, Relaxed);
        }
    });
    item.exec_async(&runtime.serial("running")).unwrap();
    begun.wait();
    assert_eq!(item.cancel(), Cancellation::Running);
    assert_eq!(item.wait(), Outcome::Finished);
    assert!(seen.load(Relaxed) && item.is_cancelled());
    assert_eq!(item.cancel(), Cancellation::Done);
}

#[test]
fn a_cancel_that_comes_too_late_leaves_no_mark() {
    let item = WorkItem::new(|| ());
    item.job().unwrap()();
    assert_eq!(item.cancel(), Cancellation::Done);
    assert!(!item.is_cancelled());
}

#[test]
fn an_item_that_its_queue_drops_tells_those_who_wait() {
    let runtime = runtime();
    let screen = runtime.serial("screen");
    let queue = runtime.serial("cancel_pending");
    let _guard = queue.suspend_guard().unwrap();
    let (item, dropped) = unwanted();
    item.exec_async(&queue).unwrap();
    let told = told(&item, &screen);
    let waiter = spawn_blocked({
        let item = item.clone();
        move || item.wait()
    });
    assert_eq!(queue.cancel_pending(), 1);
    assert_eq!(item.outcome(), Some(Outcome::Dropped));
    assert!(dropped.lock().unwrap().is_some());
    assert_eq!((waiter.join().unwrap(), told()), (Outcome::Dropped, Outcome::Dropped));
    assert_eq!((item.cancel(), item.is_cancelled()), (Cancellation::NeverRan, false));
}

#[test]
fn an_item_that_goes_with_its_suspended_queue_tells_those_who_wait() {
    let records = Records::default();
    let runtime = records.of(Runtime::builder()).build().unwrap();
    let queue = runtime.serial("gone");
    queue.suspend().unwrap();
    let (item, dropped) = unwanted();
    item.exec_async(&queue).unwrap();
    drop(queue);
    assert_eq!(item.wait_timeout(GENEROUS), Ok(Outcome::Dropped));
    assert!(dropped.lock().unwrap().is_some());
    assert_eq!(records.labels(Fate::Dropped), ["gone"]);
}

#[test]
fn an_item_that_its_runtime_drops_or_refuses_tells_those_who_wait() {
    let records = Records::default();
    let runtime = records.of(Runtime::builder()).build().unwrap();
    let queue = runtime.serial("ending");
    queue.suspend().unwrap();
    let ((pending, _), (late, _)) = (unwanted(), unwanted());
    pending.exec_async(&queue).unwrap();
    let _ = runtime.shutdown(Shutdown::CancelPending.within(GENEROUS));
    assert_eq!(pending.wait_timeout(GENEROUS), Ok(Outcome::Dropped));
    late.exec_async(&queue).unwrap();
    assert_eq!(late.outcome(), Some(Outcome::Dropped));
    assert_eq!((records.labels(Fate::Dropped).len(), records.labels(Fate::Rejected).len()), (1, 1));
}

#[test]
fn an_item_that_nobody_can_submit_any_more_is_dropped_and_says_so() {
    let runtime = runtime();
    let (item, dropped) = unwanted();
    let told = told(&item, &runtime.serial("screen"));
    drop(item.clone());
    assert!(dropped.lock().unwrap().is_none(), "a handle is left");
    drop(item);
    assert!(dropped.lock().unwrap().is_some());
    assert_eq!(told(), Outcome::Dropped);
}

#[test]
fn a_timer_that_is_cancelled_drops_its_item() {
    let runtime = runtime();
    let (item, dropped) = unwanted();
    let timer = runtime.serial("later").after(Duration::from_secs(3_600), item.job().unwrap()).unwrap();
    assert!(timer.cancel());
    assert!(dropped.lock().unwrap().is_some());
    assert_eq!(item.wait(), Outcome::Dropped);
}

#[test]
fn an_item_that_panics_says_so_and_is_reported_and_its_queue_goes_on() {
    let records = Records::default();
    let runtime = records.of(Runtime::builder()).build().unwrap();
    let queue = runtime.serial("panics");
    let (captured, dropped) = Captured::new();
    let item = WorkItem::new(move || {
        let _captured = captured;
        panic!("a panic of an item");
    });
    let told = told(&item, &runtime.serial("screen"));
    item.exec_async(&queue).unwrap();
    assert_eq!((item.wait(), told()), (Outcome::Panicked, Outcome::Panicked));
    assert!(dropped.lock().unwrap().is_some());
    assert_eq!(item.cancel(), Cancellation::Done);
    assert_eq!(queue.exec_sync(|| 7), 7);
    assert_eq!(records.labels(Fate::Panicked), ["panics"]);
}

#[test]
fn a_wait_of_an_item_for_itself_is_told_from_others() {
    let runtime = runtime();
    let queue = runtime.serial("itself");
    let found = Arc::new(Mutex::new(Vec::new()));
    let item = WorkItem::new_with({
        let found = Arc::clone(&found);
        move |item| {
            for timeout in [Duration::ZERO, Duration::MAX] {
                found.lock().unwrap().push(item.wait_timeout(timeout));
            }
            let panic = catch_unwind(AssertUnwindSafe(|| item.wait())).unwrap_err();
            assert!(panic.downcast_ref::<String>().unwrap().contains("would never return"));
            // Another thread's wait is an ordinary one.
            let item = item.clone();
            let waiter = thread::spawn(move || item.wait_timeout(Duration::ZERO));
            found.lock().unwrap().push(waiter.join().unwrap());
        }
    });
    item.exec_async(&queue).unwrap();
    assert_eq!(item.wait(), Outcome::Finished);
    let timed_out = Err(WaitError::TimedOut { after: Duration::ZERO });
    assert_eq!(*found.lock().unwrap(), [Err(WaitError::WouldDeadlock), Err(WaitError::WouldDeadlock), timed_out]);
}

#[test]
fn a_wait_that_timed_out_may_be_repeated() {
    let runtime = runtime();
    let go = Event::new();
    let item = WorkItem::new({
        let go = go.clone();
        move || go.wait()
    });
    item.exec_async(&runtime.serial("slow")).unwrap();
    for after in [Duration::ZERO, Duration::from_millis(5)] {
        assert_eq!(item.wait_timeout(after), Err(WaitError::TimedOut { after }));
    }
    go.set();
    assert_eq!(item.wait_timeout(GENEROUS), Ok(Outcome::Finished));
}

#[test]
fn notifications_run_on_their_queues_in_the_order_of_registration_and_at_once_afterwards() {
    let runtime = runtime();
    let screen = runtime.serial("screen");
    let item = WorkItem::new(|| ());
    let order = Arc::new(Mutex::new(Vec::new()));
    let notify = |number| {
        let (order, screen_again) = (Arc::clone(&order), screen.clone());
        item.notify(&screen, move |outcome| {
            assert_eq!((Queue::current(), outcome), (Some(screen_again), Outcome::Finished));
            order.lock().unwrap().push(number);
        });
    };
    (0..3).for_each(notify);
    screen.exec_sync(|| ());
    assert_eq!(*order.lock().unwrap(), [], "not before the item has ended");
    item.exec_async(&runtime.serial("work")).unwrap();
    assert_eq!(item.wait(), Outcome::Finished);
    // Those who wait are told before the notifications are submitted, so this one may pass the others.
    notify(3);
    let deadline = std::time::Instant::now() + GENEROUS;
    while order.lock().unwrap().len() < 4 {
        assert!(std::time::Instant::now() < deadline);
        thread::yield_now();
    }
    let mut order = order.lock().unwrap().clone();
    order.retain(|number| *number < 3);
    assert_eq!(order, [0, 1, 2]);
}

#[test]
fn a_destructor_that_panics_in_a_cancel_leaves_nobody_waiting() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a capture's destructor");
        }
    }
    let bomb = Bomb;
    let item = WorkItem::new(move || drop(bomb));
    let waiter = spawn_blocked({
        let item = item.clone();
        move || item.wait()
    });
    let canceller = item.clone();
    assert!(catch_unwind(AssertUnwindSafe(|| canceller.cancel())).is_err(), "the panic belongs to the canceller");
    assert_eq!(waiter.join().unwrap(), Outcome::Cancelled);
}

#[test]
fn a_destructor_that_waits_for_its_own_item_is_told_that_it_cannot() {
    struct Impatient(Arc<Mutex<Option<WorkItem>>>, Arc<Mutex<Option<Result<Outcome, WaitError>>>>);
    impl Drop for Impatient {
        fn drop(&mut self) {
            let item = self.0.lock().unwrap().take().unwrap();
            *self.1.lock().unwrap() = Some(item.wait_timeout(Duration::MAX));
        }
    }
    let (slot, heard) = (Arc::default(), Arc::default());
    let impatient = Impatient(Arc::clone(&slot), Arc::clone(&heard));
    let item = WorkItem::new(move || drop(impatient));
    *slot.lock().unwrap() = Some(item.clone());
    assert_eq!(item.cancel(), Cancellation::NeverRan);
    assert_eq!(*heard.lock().unwrap(), Some(Err(WaitError::WouldDeadlock)));
}

#[test]
fn every_item_of_a_storm_runs_or_is_cancelled_and_never_both() {
    const ITEMS: usize = 20_000;
    let runtime = runtime();
    let queues = [runtime.serial("storm-0"), runtime.serial("storm-1")];
    let ran = Arc::new(AtomicUsize::new(0));
    let items: Vec<_> = (0..ITEMS)
        .map(|_| {
            let ran = Arc::clone(&ran);
            WorkItem::new(move || _ = ran.fetch_add(1, Relaxed))
        })
        .collect();
    let never_ran: usize = thread::scope(|scope| {
        let canceller = scope.spawn(|| items.iter().filter(|item| item.cancel() == Cancellation::NeverRan).count());
        for (number, item) in items.iter().enumerate() {
            item.exec_async(&queues[number % 2]).unwrap();
        }
        canceller.join().unwrap()
    });
    let outcomes: Vec<_> = items.iter().map(WorkItem::wait).collect();
    let count = |outcome| outcomes.iter().filter(|other| **other == outcome).count();
    assert_eq!(count(Outcome::Cancelled), never_ran);
    assert_eq!((count(Outcome::Finished), ran.load(Relaxed)), (ITEMS - never_ran, ITEMS - never_ran));
}
