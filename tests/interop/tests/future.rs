//! Futures of another executor, polled on a queue.

use concourse::Event;
use concourse::Group;
use concourse::Queue;
use concourse::Runtime;
use concourse::Shutdown;
use concourse::TaskError;
use concourse::block_on;
use concourse_interop::GENEROUS;
use concourse_interop::Peer;
use concourse_interop::eventually;
use concourse_interop::under_each_peer;
use futures_lite::future::or;
use futures_lite::future::yield_now;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use std::time::Instant;

const SHORT: Duration = Duration::from_millis(1);

fn runtime() -> Runtime {
    Runtime::builder().threads(2).build().unwrap()
}

/// The label of the queue that the calling code runs on.
fn here() -> Option<String> {
    Queue::current().map(|queue| queue.label().to_owned())
}

/// What is told of its drop.
struct Captured(Event, Arc<Mutex<Option<String>>>);

impl Captured {
    fn new() -> (Self, Event, Arc<Mutex<Option<String>>>) {
        let (dropped, place) = (Event::new(), Arc::default());
        (Self(dropped.clone(), Arc::clone(&place)), dropped, place)
    }
}

impl Drop for Captured {
    fn drop(&mut self) {
        *self.1.lock().unwrap() = here();
        self.0.set();
    }
}

under_each_peer! {
    a_future_waits_on_its_own_timer_and_stays_on_its_queue
    a_future_uses_its_own_sockets
    polls_of_many_futures_never_overlap_on_a_serial_queue
    an_exclusive_future_holds_its_queue_while_it_waits
    a_queue_blocks_on_a_future
    a_cancelled_future_is_dropped_on_its_queue
    a_future_that_has_lost_a_race_is_dropped_at_once
    a_panic_after_a_wait_ends_the_task_and_not_the_queue
    a_shutdown_drops_what_waits_for_ever
    a_value_goes_to_and_fro
    an_event_and_a_group_are_awaited
}

fn a_future_waits_on_its_own_timer_and_stays_on_its_queue<P: Peer>() {
    let runtime = runtime();
    let begun = Instant::now();
    let stayed = runtime.serial("clock").spawn(P::inside(async {
        let before = here();
        P::sleep(SHORT).await;
        (before, here())
    }));
    let clock = Some("clock".to_owned());
    assert_eq!(P::block_on(stayed), Ok((clock.clone(), clock)));
    assert!(begun.elapsed() >= SHORT);
}

fn a_future_uses_its_own_sockets<P: Peer>() {
    let runtime = runtime();
    let queue = runtime.serial("sockets");
    let (address, echo) = P::echo().unwrap();
    let served = queue.spawn(P::inside(echo));
    let answer = P::block_on(P::call(address, "grand\n"));
    assert_eq!((answer.unwrap().as_str(), P::block_on(served).unwrap().unwrap()), ("grand\n", ()));

    let (address, echo) = P::echo().unwrap();
    let served = P::spawn(echo);
    let answer = queue.spawn(P::inside(async move { P::call(address, "central\n").await }));
    assert_eq!((P::block_on(answer).unwrap().unwrap().as_str(), P::block_on(served).unwrap()), ("central\n", ()));
}

fn polls_of_many_futures_never_overlap_on_a_serial_queue<P: Peer>() {
    let runtime = runtime();
    let queue = runtime.serial("alone");
    let (inside, group) = (Arc::new(AtomicBool::new(false)), Group::new());
    let alone = |inside: &AtomicBool| {
        assert!(!inside.swap(true, SeqCst), "two polls at once");
        std::thread::yield_now();
        inside.store(false, SeqCst);
    };
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            let (inside, membership) = (Arc::clone(&inside), group.enter());
            queue.spawn(P::inside(async move {
                for step in 0..5 {
                    alone(&inside);
                    if (n + step) % 5 == 0 { P::sleep(SHORT).await } else { yield_now().await }
                }
                drop(membership);
                n
            }))
        })
        .collect();
    P::block_on(group.wait_async());
    let numbers = P::block_on(async {
        let mut numbers = Vec::new();
        for task in tasks {
            numbers.push(task.await.unwrap());
        }
        numbers
    });
    assert!(numbers.into_iter().eq(0..200));
}

fn an_exclusive_future_holds_its_queue_while_it_waits<P: Peer>() {
    let runtime = runtime();
    let queue = runtime.serial("exclusive");
    let order = Arc::new(Mutex::new(Vec::new()));
    let (first, second) = (Arc::clone(&order), Arc::clone(&order));
    let held = queue.spawn_exclusive(P::inside(async move {
        P::sleep(SHORT).await;
        first.lock().unwrap().push("the future");
    }));
    let behind = queue.submit(move || second.lock().unwrap().push("the job behind it"));
    P::block_on(async { (held.await.unwrap(), behind.await.unwrap()) });
    assert_eq!(*order.lock().unwrap(), ["the future", "the job behind it"]);
}

fn a_queue_blocks_on_a_future<P: Peer>() {
    let runtime = runtime();
    let queue = runtime.serial("blocked");
    let slept = P::spawn(async {
        P::sleep(SHORT).await;
        "slept"
    });
    assert_eq!(queue.exec_sync(|| block_on(slept)), "slept");
    // More of them at once than the runtime has threads for: who waits does not keep a core.
    let all: Vec<_> = (0..8)
        .map(|n| {
            let queue = runtime.serial("each");
            queue.submit(move || {
                block_on(P::inside(async move {
                    P::sleep(SHORT).await;
                    n
                }))
            })
        })
        .collect();
    let all: Vec<_> = all.into_iter().map(|task| P::block_on(task).unwrap()).collect();
    assert!(all.into_iter().eq(0..8));
}

fn a_cancelled_future_is_dropped_on_its_queue<P: Peer>() {
    let runtime = runtime();
    let (captured, dropped, place) = Captured::new();
    let began = Event::new();
    let begin = began.clone();
    let task = runtime.serial("cancelled").spawn(P::inside(async move {
        let _captured = captured;
        begin.set();
        P::sleep(GENEROUS).await;
    }));
    P::block_on(began.wait_async());
    let _ = task.cancel();
    assert_eq!(P::block_on(task), Err(TaskError::Cancelled));
    P::block_on(dropped.wait_async());
    assert_eq!(place.lock().unwrap().as_deref(), Some("cancelled"));
}

fn a_future_that_has_lost_a_race_is_dropped_at_once<P: Peer>() {
    let runtime = runtime();
    let (captured, dropped, place) = Captured::new();
    let task = runtime.serial("race").spawn(P::inside(async move {
        let slow = async move {
            let _captured = captured;
            P::sleep(GENEROUS).await;
            "slow"
        };
        let winner = or(slow, async {
            P::sleep(SHORT).await;
            "fast"
        });
        (winner.await, here())
    }));
    assert_eq!(P::block_on(task), Ok(("fast", Some("race".to_owned()))));
    assert!(dropped.is_set());
    assert_eq!(place.lock().unwrap().as_deref(), Some("race"));
}

fn a_panic_after_a_wait_ends_the_task_and_not_the_queue<P: Peer>() {
    let reported = Arc::new(AtomicUsize::new(0));
    let report = Arc::clone(&reported);
    let runtime = Runtime::builder().threads(2).on_panic(move |_| _ = report.fetch_add(1, SeqCst)).build().unwrap();
    let queue = runtime.serial("unlucky");
    let unlucky = queue.spawn(P::inside(async {
        P::sleep(SHORT).await;
        panic!("out of luck");
    }));
    let ended: Result<(), _> = P::block_on(unlucky);
    assert_eq!(ended, Err(TaskError::Panicked { message: "out of luck".into() }));
    assert_eq!(P::block_on(queue.submit(|| "it goes on")), Ok("it goes on"));
    eventually("reported", || reported.load(SeqCst) == 1);
}

fn a_shutdown_drops_what_waits_for_ever<P: Peer>() {
    let runtime = runtime();
    let (captured, dropped, _) = Captured::new();
    let (began, never) = (Event::new(), Event::new());
    let (begin, wait) = (began.clone(), never.clone());
    let task = runtime.serial("for ever").spawn(P::inside(async move {
        let _captured = captured;
        begin.set();
        wait.wait_async().await;
    }));
    P::block_on(began.wait_async());
    let ended = P::spawn(task);
    drop(runtime.shutdown(Shutdown::CancelPending));
    // Nothing polls it any more: the wake-up finds that out.
    never.set();
    assert_eq!(P::block_on(ended), Err(TaskError::Dropped));
    P::block_on(dropped.wait_async());
}

fn a_value_goes_to_and_fro<P: Peer>() {
    let runtime = runtime();
    let queue = runtime.serial("half way");
    let hops = queue.clone();
    let arrived = queue.spawn(async move {
        let mut value = 0;
        for _ in 0..500 {
            let there = P::spawn(async move { value + 1 }).await;
            value = hops.submit(move || there + 1).await.unwrap();
        }
        value
    });
    assert_eq!(P::block_on(arrived), Ok(1_000));
}

fn an_event_and_a_group_are_awaited<P: Peer>() {
    let runtime = runtime();
    let queue = runtime.concurrent("members");
    let (group, go, count) = (Group::new(), Event::new(), Arc::new(AtomicUsize::new(0)));
    for _ in 0..100 {
        let (go, count) = (go.clone(), Arc::clone(&count));
        let membership = group.enter();
        let member = queue.spawn(async move {
            go.wait_async().await;
            count.fetch_add(1, SeqCst);
            drop(membership);
        });
        drop(member);
    }
    P::block_on(async {
        let ended = P::spawn(group.wait_async());
        go.set();
        ended.await;
    });
    assert_eq!(count.load(SeqCst), 100);
}
