//! Tasks of a queue, awaited by futures of another executor.

use concourse::Cancellation;
use concourse::Runtime;
use concourse::Shutdown;
use concourse::TaskError;
use concourse_interop::Peer;
use concourse_interop::Smol;
use concourse_interop::Tokio;
use concourse_interop::before;
use concourse_interop::under_each_peer;
use futures_lite::future::poll_once;
use futures_lite::future::yield_now;
use std::time::Duration;

fn runtime() -> Runtime {
    Runtime::builder().threads(2).build().unwrap()
}

under_each_peer! {
    thousands_of_tasks_are_awaited_at_once
    a_task_goes_on_with_the_executor_that_polled_it_last
    a_panic_comes_as_an_error
    a_task_that_has_lost_a_race_goes_on
    a_task_that_has_lost_a_race_can_be_cancelled
    a_dropped_task_goes_on
    a_shutdown_ends_what_is_awaited
}

fn thousands_of_tasks_are_awaited_at_once<P: Peer>() {
    let runtime = runtime();
    let queue = runtime.concurrent("squares");
    let awaiting: Vec<_> = (0..4_000_u64).map(|n| P::spawn(queue.submit(move || n * n))).collect();
    let sum = P::block_on(async {
        let mut sum = 0;
        for square in awaiting {
            sum += square.await.unwrap();
        }
        sum
    });
    assert_eq!(sum, (0..4_000).map(|n| n * n).sum());
}

fn a_task_goes_on_with_the_executor_that_polled_it_last<P: Peer>() {
    let runtime = runtime();
    let queue = runtime.serial("held");
    let held = queue.suspend_guard().unwrap();
    let mut task = queue.submit(|| 7);
    assert_eq!(Tokio::block_on(poll_once(&mut task)), None);
    assert_eq!(Smol::block_on(poll_once(&mut task)), None);
    assert_eq!(concourse::block_on(poll_once(&mut task)), None);
    let moved = P::spawn(async move {
        // Its waker is the last one that is left.
        assert_eq!(poll_once(&mut task).await, None);
        drop(held);
        task.await
    });
    assert_eq!(P::block_on(moved), Ok(7));
}

fn a_panic_comes_as_an_error<P: Peer>() {
    let runtime = runtime();
    let task = runtime.serial("unlucky").submit(|| -> u8 { panic!("out of luck") });
    assert_eq!(P::block_on(task), Err(TaskError::Panicked { message: "out of luck".into() }));
}

fn a_task_that_has_lost_a_race_goes_on<P: Peer>() {
    let runtime = runtime();
    let queue = runtime.serial("late");
    let held = queue.suspend_guard().unwrap();
    let mut task = queue.submit(|| "late");
    P::block_on(async {
        assert_eq!(before(P::sleep(Duration::from_millis(1)), &mut task).await, None);
        drop(held);
        assert_eq!(task.await, Ok("late"));
    });
}

fn a_task_that_has_lost_a_race_can_be_cancelled<P: Peer>() {
    let runtime = runtime();
    let queue = runtime.serial("unwanted");
    let _held = queue.suspend_guard().unwrap();
    let mut task = queue.submit(|| ());
    P::block_on(async {
        assert_eq!(before(yield_now(), &mut task).await, None);
        assert_eq!(task.cancel(), Cancellation::NeverRan);
        assert_eq!(task.await, Err(TaskError::Cancelled));
    });
}

fn a_dropped_task_goes_on<P: Peer>() {
    let runtime = runtime();
    let queue = runtime.serial("unheard");
    let (send, receive) = std::sync::mpsc::channel();
    let held = queue.suspend_guard().unwrap();
    let task = queue.submit(move || send.send("it ran").unwrap());
    assert_eq!(P::block_on(before(P::sleep(Duration::from_millis(1)), task)), None);
    drop(held);
    assert_eq!(receive.recv(), Ok("it ran"));
}

fn a_shutdown_ends_what_is_awaited<P: Peer>() {
    let runtime = runtime();
    let queue = runtime.serial("abandoned");
    let held = queue.suspend_guard().unwrap();
    let awaiting: Vec<_> = (0..100).map(|n| P::spawn(queue.submit(move || n))).collect();
    drop(runtime.shutdown(Shutdown::CancelPending));
    P::block_on(async {
        for ended in awaiting {
            assert_eq!(ended.await, Err(TaskError::Dropped));
        }
    });
    drop(held);
}
