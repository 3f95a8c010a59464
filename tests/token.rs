//! Tokens: the tree, waits that end early, covered work, callbacks, deadlines and the runtime's own.

mod blocked;

use blocked::GENEROUS;
use blocked::spawn_blocked;
use concourse::CancelToken;
use concourse::Cancellation;
use concourse::Cancelled;
use concourse::Clock;
use concourse::Deadline;
use concourse::Event;
use concourse::Group;
use concourse::Queue;
use concourse::Runtime;
use concourse::Semaphore;
use concourse::Shutdown;
use concourse::TaskError;
use concourse::WaitError;
use concourse::WorkItem;
use concourse::block_on;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Wake;
use std::task::Waker;
use std::thread;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const MS: Duration = Duration::from_millis(1);

/// Counts how many are gone.
struct Gone(Arc<AtomicUsize>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn count() -> (Arc<AtomicUsize>, impl Fn() -> Gone) {
    let gone = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&gone);
    (gone, move || Gone(Arc::clone(&counted)))
}

#[test]
fn a_cancellation_goes_down_and_neither_up_nor_sideways() {
    let top = CancelToken::new();
    let (left, right) = (top.child(), top.child());
    let leaf = left.child();
    assert_eq!(leaf.check(), Ok(()));
    left.cancel();
    left.cancel();
    assert_eq!([&top, &left, &right, &leaf].map(CancelToken::is_cancelled), [false, true, false, true]);
    assert_eq!(leaf.check(), Err(Cancelled));
    assert!(left.child().is_cancelled() && left.clone().is_cancelled());
    top.cancel();
    assert!(right.is_cancelled());
}

#[test]
fn a_token_whose_parents_handle_is_gone_still_hears_of_those_above() {
    let top = CancelToken::new();
    let leaf = top.child().child().child();
    top.cancel();
    assert!(leaf.is_cancelled());
}

#[test]
fn a_chain_that_is_longer_than_any_stack_is_cancelled_and_dropped() {
    let small = thread::Builder::new().stack_size(64 << 10);
    let work = || {
        let top = CancelToken::new();
        let chain = |mut leaf: CancelToken| {
            (0..100_000).for_each(|_| leaf = leaf.child());
            leaf
        };
        drop(chain(top.child()));
        let leaf = chain(top.child());
        top.cancel();
        assert!(leaf.is_cancelled());
    };
    small.spawn(work).unwrap().join().unwrap();
}

#[test]
fn every_wait_ends_when_its_token_is_cancelled() {
    let (slots, event, turn, group) = (Semaphore::new(0), Event::new(), Event::auto_reset(), Group::new());
    let (item, token, queue) = (WorkItem::new(|| ()), CancelToken::new(), Queue::serial("held"));
    let (_member, guard) = (group.enter(), queue.suspend_guard().unwrap());
    let mut task = queue.submit(|| 7);
    let with = |wait: fn(&CancelToken, Semaphore, Event, Group, WorkItem) -> bool, event: &Event| {
        let (token, slots, event, group, item) =
            (token.child(), slots.clone(), event.clone(), group.clone(), item.clone());
        spawn_blocked(move || wait(&token, slots, event, group, item))
    };
    let waiters = [
        with(|token, slots, _, _, _| slots.acquire_or(token).is_err(), &event),
        with(|token, slots, _, _, _| slots.wait_or(token).is_err(), &event),
        with(|token, _, event, _, _| event.wait_or(token) == Err(Cancelled), &event),
        with(|token, _, event, _, _| event.wait_or(token) == Err(Cancelled), &turn),
        with(|token, _, _, group, _| group.wait_or(token) == Err(Cancelled), &event),
        with(|token, _, _, _, item| item.wait_or(token) == Err(WaitError::Interrupted), &event),
    ];
    let of_task = token.child();
    let waiter = spawn_blocked(move || (task.wait_or(&of_task), task));
    token.cancel();
    waiters.into_iter().for_each(|waiter| assert!(waiter.join().unwrap()));
    let (interrupted, task) = waiter.join().unwrap();
    assert_eq!(interrupted, Err(TaskError::Interrupted));
    // Nobody is left in a line, and nothing has been taken.
    assert!(!slots.signal());
    assert_eq!(slots.available(), 1);
    turn.set();
    assert!(turn.is_set() && !event.is_set() && group.count() == 1);
    drop(guard);
    assert_eq!(task.wait(), Ok(7));
}

#[test]
fn a_wait_that_is_served_has_what_it_waited_for() {
    let (slots, event, token) = (Semaphore::new(1), Event::new(), CancelToken::new());
    let permit = slots.acquire_or(&token).unwrap();
    let waiter = {
        let (slots, token) = (slots.clone(), token.clone());
        spawn_blocked(move || slots.acquire_or(&token).map(drop))
    };
    drop(permit);
    assert_eq!(waiter.join().unwrap(), Ok(()));
    event.set();
    assert_eq!((event.wait_or(&token), Group::new().wait_or(&token)), (Ok(()), Ok(())));
    assert_eq!(Queue::serial("sums").submit(|| 6 * 7).wait_or(&token), Ok(42));
}

#[test]
fn with_a_cancelled_token_nothing_is_taken_although_it_is_there() {
    let (slots, turn, token) = (Semaphore::new(1), Event::auto_reset(), CancelToken::new());
    turn.set();
    token.cancel();
    assert_eq!(slots.wait_or(&token), Err(Cancelled));
    assert_eq!(turn.wait_or(&token), Err(Cancelled));
    assert_eq!(Group::new().wait_or(&token), Err(Cancelled));
    assert!(slots.available() == 1 && turn.is_set());
    token.wait();
    assert_eq!(token.wait_timeout(Duration::ZERO), Ok(()));
}

#[test]
fn no_permit_is_lost_between_a_grant_and_a_cancellation() {
    const PERMITS: usize = 2;
    let slots = Semaphore::new(PERMITS);
    let taken = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let token = CancelToken::new();
                    thread::scope(|scope| {
                        let canceller = scope.spawn(|| token.cancel());
                        if let Ok(permit) = slots.acquire_or(&token) {
                            taken.fetch_add(1, Ordering::SeqCst);
                            thread::yield_now();
                            drop(permit);
                        }
                        canceller.join().unwrap();
                    });
                }
            });
        }
    });
    assert_eq!(slots.available(), PERMITS);
    assert!(!slots.signal(), "nobody is left in the line");
}

#[test]
fn a_thread_waits_for_the_token_itself_and_for_no_longer_than_it_wants() {
    let token = CancelToken::new();
    assert_eq!(token.wait_timeout(MS), Err(WaitError::TimedOut { after: MS }));
    assert_eq!(token.wait_timeout(Duration::ZERO), Err(WaitError::TimedOut { after: Duration::ZERO }));
    let waiters = [Duration::MAX, GENEROUS].map(|timeout| {
        let token = token.child();
        spawn_blocked(move || token.wait_timeout(timeout))
    });
    token.cancel();
    waiters.into_iter().for_each(|waiter| assert_eq!(waiter.join().unwrap(), Ok(())));
}

#[test]
fn covered_work_that_has_not_begun_never_does_and_its_captures_go_at_once() {
    let (queue, group, token) = (Queue::concurrent("held"), Group::new(), CancelToken::new());
    let guard = queue.suspend_guard().unwrap();
    let (gone, capture) = count();
    let unwanted = || {
        let held = capture();
        move || {
            drop(held);
            unreachable!("it was cancelled");
        }
    };
    queue.exec_async(token.job(unwanted()));
    queue.barrier_async(token.child().job(unwanted()));
    group.exec_async(&queue, token.job(unwanted()));
    let task = token.submit(&queue, unwanted());
    token.cancel();
    assert_eq!(gone.load(Ordering::SeqCst), 4);
    assert_eq!(task.cancel(), Cancellation::NeverRan);
    assert_eq!(task.wait(), Err(TaskError::Cancelled));
    assert!(!group.is_empty(), "its place in the queue is an empty job");
    // With the token cancelled, nothing begins at all.
    queue.exec_async(token.job(unwanted()));
    assert_eq!(token.submit(&queue, unwanted()).wait(), Err(TaskError::Cancelled));
    assert_eq!(gone.load(Ordering::SeqCst), 6);
    drop(guard);
    group.wait();
    queue.barrier_sync(|| ());
}

#[test]
fn covered_work_that_has_begun_goes_on_and_may_look() {
    let (queue, token, begun) = (Queue::serial("long"), CancelToken::new(), Event::new());
    let task = token.submit(&queue, {
        let (token, begun) = (token.clone(), begun.clone());
        move || {
            begun.set();
            token.wait();
            token.check()
        }
    });
    begun.wait();
    token.cancel();
    assert_eq!(task.wait(), Ok(Err(Cancelled)));
    let calm = CancelToken::new();
    assert_eq!(calm.submit(&queue, || 3).wait(), Ok(3));
    let (ran, capture) = count();
    let held = capture();
    queue.exec_async(calm.job(move || drop(held)));
    queue.exec_sync(|| ());
    assert_eq!(ran.load(Ordering::SeqCst), 1);
}

#[test]
fn covered_work_that_its_queue_drops_is_dropped_once() {
    let (queue, token) = (Queue::serial("held"), CancelToken::new());
    let guard = queue.suspend_guard().unwrap();
    let (gone, capture) = count();
    let (first, second) = (capture(), capture());
    queue.exec_async(token.job(move || drop(first)));
    let task = token.submit(&queue, move || drop(second));
    assert_eq!(queue.cancel_pending(), 2);
    assert_eq!(gone.load(Ordering::SeqCst), 2);
    token.cancel();
    assert_eq!(gone.load(Ordering::SeqCst), 2);
    assert_eq!(task.wait(), Err(TaskError::Dropped));
    drop(guard);
}

#[test]
fn a_panic_in_a_destructor_keeps_nobody_from_being_told() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a destructor");
        }
    }
    let (queue, token) = (Queue::serial("held"), CancelToken::new());
    let guard = queue.suspend_guard().unwrap();
    let (gone, capture) = count();
    let told = Arc::new(AtomicUsize::new(0));
    let tell = Arc::clone(&told);
    let callbacks = Queue::serial("callbacks");
    for _ in 0..2 {
        let (bomb, held) = (Bomb, capture());
        queue.exec_async(token.job(move || drop(bomb)));
        queue.exec_async(token.child().job(move || drop(held)));
    }
    let below = token.child();
    let _told = below.on_cancel(&callbacks, move || _ = tell.fetch_add(1, Ordering::SeqCst));
    let cancel = token.clone();
    let panic = thread::spawn(move || cancel.cancel()).join().unwrap_err();
    assert_eq!(*panic.downcast_ref::<&str>().unwrap(), "a destructor");
    callbacks.exec_sync(|| ());
    assert_eq!((gone.load(Ordering::SeqCst), told.load(Ordering::SeqCst)), (2, 1));
    drop(guard);
}

#[test]
fn callbacks_come_once_in_order_and_not_when_they_were_taken_back() {
    let (queue, token) = (Queue::serial("callbacks"), CancelToken::new());
    let log = Arc::new(Mutex::new(Vec::new()));
    let note = |word: &'static str| {
        let log = Arc::clone(&log);
        move || log.lock().unwrap().push(word)
    };
    let below = token.child();
    let _fourth = below.on_cancel(&queue, note("below"));
    let _first = token.on_cancel(&queue, note("first"));
    let (gone, capture) = count();
    let held = capture();
    let taken_back = token.on_cancel(&queue, move || drop(held));
    let _second = token.on_cancel(&queue, note("second"));
    let _third = token.on_cancel(&queue, || panic!("contained"));
    drop(taken_back);
    assert_eq!(gone.load(Ordering::SeqCst), 1);
    token.cancel();
    below.cancel();
    queue.exec_sync(|| ());
    assert_eq!(*log.lock().unwrap(), ["first", "second", "below"]);
    let late = token.on_cancel(&queue, note("late"));
    drop(late);
    queue.exec_sync(|| ());
    assert_eq!(log.lock().unwrap().last(), Some(&"late"));
}

#[test]
fn a_callback_keeps_its_token_alive() {
    let (queue, top) = (Queue::serial("callbacks"), CancelToken::new());
    let called = Event::new();
    let call = called.clone();
    let _callback = top.child().on_cancel(&queue, move || call.set());
    top.cancel();
    called.wait_timeout(GENEROUS).unwrap();
}

#[test]
fn a_deadline_cancels_what_is_below_it_and_not_what_is_above() {
    let top = CancelToken::new();
    let limit = top.after(5 * MS).unwrap();
    let below = limit.child();
    below.wait_timeout(GENEROUS).unwrap();
    assert!(limit.is_cancelled() && !top.is_cancelled());
    let wall = top.at(Deadline::now(Clock::Wall) + 5 * MS).unwrap();
    wall.wait_timeout(GENEROUS).unwrap();
}

#[test]
fn a_deadline_that_has_passed_has_cancelled_and_one_that_never_comes_has_not() {
    let top = CancelToken::new();
    assert!(top.after(Duration::ZERO).unwrap().is_cancelled());
    assert!(top.at(Deadline::now(Clock::Boottime) - MS).unwrap().is_cancelled());
    let (never, late) = (top.at(Deadline::FOREVER).unwrap(), top.after(HOUR).unwrap());
    assert!(!never.is_cancelled() && !late.is_cancelled());
    top.cancel();
    assert!(never.is_cancelled() && late.is_cancelled());
    assert!(top.after(HOUR).unwrap().is_cancelled());
}

#[test]
fn a_deadline_comes_although_all_threads_wait_for_it() {
    let runtime = Runtime::builder().threads(1).max_threads(1).build().unwrap();
    let limit = runtime.token().after(20 * MS).unwrap();
    let (slots, token) = (Semaphore::new(0), limit.clone());
    let blocked = runtime.serial("blocked").submit(move || (slots.wait_or(&token), block_on(token.cancelled())));
    let (gone, capture) = count();
    let held = capture();
    let covered = limit.submit(&runtime.serial("behind"), move || drop(held));
    assert_eq!(blocked.wait(), Ok((Err(Cancelled), ())));
    assert_eq!(covered.wait(), Err(TaskError::Cancelled));
    assert_eq!(gone.load(Ordering::SeqCst), 1);
    assert!(!runtime.token().is_cancelled());
}

#[test]
fn a_panic_in_a_destructor_that_a_deadline_calls_is_reported() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a destructor");
        }
    }
    let reported = Event::new();
    let report = reported.clone();
    let runtime = Runtime::builder().on_panic(move |_| report.set()).build().unwrap();
    let held = runtime.serial("held");
    let _guard = held.suspend_guard().unwrap();
    let bomb = Bomb;
    held.exec_async(runtime.token().after(5 * MS).unwrap().job(move || drop(bomb)));
    reported.wait_timeout(GENEROUS).unwrap();
}

#[test]
fn a_shutdown_cancels_the_runtimes_token_and_a_drain_runs_its_callbacks() {
    let runtime = Runtime::builder().threads(2).build().unwrap();
    let (work, events) = (runtime.serial("work"), runtime.serial("events"));
    let (token, mail, begun, stopped) = (runtime.token(), Semaphore::new(0), Event::new(), Event::new());
    let (begin, stop) = (begun.clone(), stopped.clone());
    let of_job = token.child();
    work.exec_async(move || {
        begin.set();
        assert_eq!(mail.wait_or(&of_job), Err(Cancelled));
    });
    work.exec_async(token.job(|| unreachable!("a shutdown does not begin covered work")));
    let _callback = token.on_cancel(&events, move || stop.set());
    begun.wait();
    let report = runtime.shutdown(Shutdown::Drain.within(GENEROUS));
    assert!(report.complete && report.panics == 0, "{report:?}");
    assert!(stopped.is_set() && token.is_cancelled());
    assert!(runtime.token().is_cancelled() && runtime.token().after(HOUR).unwrap().is_cancelled());
}

#[test]
fn a_token_that_is_first_asked_for_after_a_shutdown_is_cancelled() {
    let runtime = Runtime::builder().build().unwrap();
    assert!(runtime.shutdown(Shutdown::CancelPending.within(GENEROUS)).complete);
    assert!(runtime.token().is_cancelled());
}

#[test]
fn a_future_is_dropped_when_its_token_is_cancelled_and_loses_no_permit() {
    let (slots, token, queue) = (Semaphore::new(0), CancelToken::new(), Queue::serial("futures"));
    let (gone, capture) = count();
    let (held, waiting) = (capture(), slots.clone());
    let task = queue.spawn(token.run_until_cancelled(async move {
        let _held = held;
        waiting.acquire_async().await
    }));
    queue.exec_sync(|| ());
    token.cancel();
    assert_eq!(task.wait().unwrap().map(drop), Err(Cancelled));
    assert_eq!(gone.load(Ordering::SeqCst), 1);
    assert!(!slots.signal());
    assert_eq!(slots.available(), 1);
    assert!(block_on(token.run_until_cancelled(slots.acquire_async())).is_err());
    let calm = CancelToken::new();
    assert_eq!(block_on(calm.run_until_cancelled(async { 5 })), Ok(5));
    block_on(async {
        token.cancelled().await;
        token.child().cancelled().await;
    });
}

#[test]
fn a_wait_under_a_token_still_says_that_it_would_never_end() {
    let (queue, token) = (Queue::serial("own"), CancelToken::new());
    let own = queue.clone();
    let outer = queue.submit(move || own.submit(|| ()).wait_or(&token));
    assert!(matches!(outer.wait(), Ok(Err(TaskError::WouldDeadlock { .. }))));
    let item = WorkItem::new_with(|item| {
        assert_eq!(item.wait_or(&CancelToken::new()), Err(WaitError::WouldDeadlock));
    });
    item.job().unwrap()();
    assert_eq!(item.wait_or(&CancelToken::new()), Ok(concourse::Outcome::Finished));
}

#[test]
fn a_waker_that_panics_keeps_nobody_else_asleep() {
    struct Angry;
    impl Wake for Angry {
        fn wake(self: Arc<Self>) {
            panic!("not now")
        }
    }
    let (token, waker) = (CancelToken::new(), Waker::from(Arc::new(Angry)));
    let mut cancelled = token.cancelled();
    assert!(Pin::new(&mut cancelled).poll(&mut Context::from_waker(&waker)).is_pending());
    let behind = token.clone();
    let waiter = spawn_blocked(move || behind.wait_timeout(GENEROUS));
    let (queue, (gone, captured)) = (Queue::serial("held"), count());
    let _guard = queue.suspend_guard().unwrap();
    let capture = captured();
    queue.exec_async(token.job(move || drop(capture)));
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| token.cancel())).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"not now"));
    assert_eq!((waiter.join().unwrap(), gone.load(Ordering::SeqCst)), (Ok(()), 1));
}
