//! Several tasks at once, and functions over iterators with bounded look-ahead.

use concourse::Event;
use concourse::Runtime;
use concourse::TaskError;
use concourse::Tasks;
use futures_core::Stream;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Context;
use std::task::Wake;
use std::task::Waker;

fn runtime() -> Runtime {
    Runtime::builder().threads(4).build().unwrap()
}

fn window(size: usize) -> NonZeroUsize {
    NonZeroUsize::new(size).unwrap()
}

#[test]
fn tasks_are_taken_in_the_order_in_which_they_are_done() {
    let runtime = runtime();
    let queue = runtime.concurrent("races");
    let gates: Vec<_> = (0..4).map(|_| Event::new()).collect();
    let mut tasks: Tasks<usize> = gates
        .iter()
        .cloned()
        .enumerate()
        .map(|(number, gate)| {
            queue.submit(move || {
                gate.wait();
                number * 10
            })
        })
        .collect();
    for number in [2, 0, 3, 1] {
        gates[number].set();
        assert_eq!(tasks.next(), Some((number, Ok(number * 10))));
    }
    assert!(tasks.is_empty() && tasks.next().is_none());
    assert_eq!(tasks.push(queue.submit(|| 7)), 4, "tasks may be put in later");
    assert_eq!(tasks.next(), Some((4, Ok(7))));
}

#[test]
fn all_values_come_in_the_order_of_their_tasks_or_the_first_failure_comes_at_once() {
    let runtime = runtime();
    let queue = runtime.concurrent("all");
    let tasks: Tasks<usize> = (0..1_000).map(|n| queue.submit(move || n)).collect();
    assert!(tasks.all().unwrap().into_iter().eq(0..1_000));

    let (began, never) = (Event::new(), Event::new());
    let (begin, gate) = (began.clone(), never.clone());
    let serial = runtime.serial("behind");
    let captured = Arc::new(());
    let kept = Arc::clone(&captured);
    let running = serial.submit(move || {
        begin.set();
        gate.wait();
    });
    let unwanted = serial.submit(move || drop(kept));
    began.wait();
    let failed: Tasks<()> = [running, unwanted, queue.submit(|| panic!("no"))].into_iter().collect();
    assert_eq!(failed.all(), Err(TaskError::Panicked { message: Arc::from("no") }));
    assert_eq!(Arc::strong_count(&captured), 1, "what has not begun is cancelled, with what it captured");
    never.set();
}

#[test]
fn a_task_that_the_taker_keeps_from_running_is_an_error_and_the_others_come() {
    let runtime = runtime();
    let (own, other) = (runtime.serial("own"), runtime.serial("other"));
    let taken = own.exec_sync(|| {
        let mut tasks: Tasks<u8> = [own.submit(|| 1), other.submit(|| 2)].into_iter().collect();
        [tasks.next(), tasks.next(), tasks.next()]
    });
    // The other one may come first.
    assert!(taken.contains(&Some((1, Ok(2)))) && taken[2].is_none());
    assert!(taken.iter().flatten().any(|(number, ended)| {
        *number == 0 && matches!(ended, Err(TaskError::WouldDeadlock { queue, .. }) if &**queue == "own")
    }));
}

#[test]
fn a_map_keeps_the_order_of_its_items_and_has_no_more_under_way_than_its_window() {
    let runtime = runtime();
    let queue = runtime.concurrent("mapped");
    let (inside, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let pulled = Arc::new(AtomicUsize::new(0));
    let (count, peak, source) = (Arc::clone(&inside), Arc::clone(&most), Arc::clone(&pulled));
    let items = (0..).inspect(move |_| _ = source.fetch_add(1, SeqCst));
    let mapped = queue
        .map(items, move |n: usize| {
            peak.fetch_max(count.fetch_add(1, SeqCst) + 1, SeqCst);
            std::thread::yield_now();
            count.fetch_sub(1, SeqCst);
            n * 2
        })
        .window(window(3));
    let values: Vec<_> = mapped.take(500).map(Result::unwrap).collect();
    assert!(values.into_iter().eq((0..500).map(|n| n * 2)));
    assert!((1..=3).contains(&most.load(SeqCst)));
    assert!(pulled.load(SeqCst) <= 500 + 3, "an endless source is read as far as its window");
}

#[test]
fn an_unordered_map_gives_every_value_once_with_its_place() {
    let runtime = runtime();
    let queue = runtime.concurrent("unordered");
    let mut places: Vec<_> = queue
        .map(0..500_usize, |n| n + 1)
        .window(window(7))
        .unordered()
        .map(|(place, value)| {
            assert_eq!(value, Ok(place + 1));
            place
        })
        .collect();
    places.sort_unstable();
    assert!(places.into_iter().eq(0..500));
}

#[test]
fn a_panic_in_a_map_is_the_error_of_its_item_alone() {
    let runtime = runtime();
    let queue = runtime.concurrent("fragile");
    let values: Vec<_> = queue.map(0..5, |n| if n == 2 { panic!("two") } else { n }).collect();
    assert_eq!(values[2], Err(TaskError::Panicked { message: Arc::from("two") }));
    assert!([0, 1, 3, 4].into_iter().all(|n| values[n] == Ok(n as i32)));
}

#[test]
fn a_map_that_is_dropped_cancels_what_has_not_begun() {
    let runtime = runtime();
    let queue = runtime.serial("dropped");
    let (began, go) = (Event::new(), Event::new());
    let (begin, gate) = (began.clone(), go.clone());
    let ran = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ran);
    let mut mapped = queue
        .map(0..10, move |n| {
            count.fetch_add(1, SeqCst);
            if n == 1 {
                begin.set();
                gate.wait();
            }
        })
        .window(window(5));
    assert_eq!(mapped.next(), Some(Ok(())));
    began.wait();
    drop(mapped);
    go.set();
    queue.exec_sync(|| ());
    assert_eq!(ran.load(SeqCst), 2);
}

#[test]
fn a_map_that_becomes_unordered_loses_nothing_and_keeps_its_places() {
    let runtime = runtime();
    let queue = runtime.concurrent("changed");
    let mut mapped = queue.map(0..10_usize, |n| n).window(window(4));
    assert_eq!(mapped.next(), Some(Ok(0)));
    let mut rest: Vec<_> = mapped.unordered().collect();
    rest.sort_by_key(|(place, _)| *place);
    assert!(rest.into_iter().eq((1..10).map(|n| (n, Ok(n)))));
}

#[test]
fn a_waker_that_panics_while_a_task_does_harms_nobody() {
    struct Angry;
    impl Wake for Angry {
        fn wake(self: Arc<Self>) {
            panic!("not now")
        }
    }
    let runtime = runtime();
    let (queue, waker) = (runtime.serial("panics"), Waker::from(Arc::new(Angry)));
    let guard = queue.suspend_guard().unwrap();
    let mut tasks = Tasks::new();
    tasks.push(queue.submit(|| -> u32 { panic!("a task") }));
    let mut stream = tasks.stream();
    assert!(Pin::new(&mut stream).poll_next(&mut Context::from_waker(&waker)).is_pending());
    drop(guard);
    let ended = concourse::block_on(std::future::poll_fn(|context| Pin::new(&mut stream).poll_next(context)));
    assert!(matches!(ended, Some((0, Err(TaskError::Panicked { .. })))), "{ended:?}");
}
