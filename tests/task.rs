//! Tasks: the value of a closure or a future, or what became of it instead.

use concourse::Cancellation;
use concourse::Event;
use concourse::GlobalQueue;
use concourse::Queue;
use concourse::Runtime;
use concourse::Shutdown;
use concourse::Task;
use concourse::TaskError;
use concourse::block_on;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

const GENEROUS: Duration = Duration::from_secs(60);

fn runtime() -> Runtime {
    Runtime::builder().threads(2).build().unwrap()
}

#[test]
fn a_value_comes_by_every_way_of_asking() {
    let runtime = runtime();
    let queue = runtime.serial("ask");
    assert_eq!(queue.submit(|| 1).wait(), Ok(1));
    assert_eq!(queue.submit(|| 2).wait_timeout(GENEROUS), Ok(2));
    assert_eq!(block_on(queue.submit(|| 3)), Ok(3));
    assert_eq!(queue.try_submit(|| 4).unwrap().wait(), Ok(4));
    let mut task = queue.submit(|| 5);
    queue.exec_sync(|| ());
    assert!(task.is_done());
    assert_eq!(task.try_take(), Some(Ok(5)));
    let (told, tell) = (Event::new(), Mutex::new(None));
    let (tell, event) = (Arc::new(tell), told.clone());
    let kept = Arc::clone(&tell);
    queue.submit(|| 6).on_complete(&runtime.serial("other"), move |value| {
        *kept.lock().unwrap() = Some((value, Queue::current().map(|queue| queue.label().to_owned())));
        event.set();
    });
    told.wait_timeout(GENEROUS).unwrap();
    let (value, label) = tell.lock().unwrap().take().unwrap();
    assert_eq!((value, label.as_deref()), (Ok(6), Some("other")));
}

#[test]
fn a_value_is_there_once() {
    let runtime = runtime();
    let queue = runtime.serial("once");
    let mut task = queue.submit(|| 1);
    assert_eq!(task.wait_timeout(GENEROUS), Ok(1));
    assert_eq!(task.try_take(), Some(Err(TaskError::Taken)));
    assert_eq!(task.wait(), Err(TaskError::Taken));
}

#[test]
fn a_panic_comes_as_an_error_with_its_message_and_is_reported_as_for_any_job() {
    let reported = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&reported);
    let runtime = Runtime::builder().threads(1).on_panic(move |_| _ = count.fetch_add(1, SeqCst)).build().unwrap();
    let queue = runtime.serial("panics");
    let failed = |message: &str| Err(TaskError::Panicked { message: Arc::from(message) });
    assert_eq!(queue.submit(|| -> u8 { panic!("closure {}", 1) }).wait(), failed("closure 1"));
    assert_eq!(queue.spawn(async { if true { panic!("future") } else { 1_u8 } }).wait(), failed("future"));
    assert_eq!(queue.submit(|| 2).wait(), Ok(2), "the queue goes on");
    assert_eq!(reported.load(SeqCst), 2);
}

#[test]
fn a_cancelled_task_drops_what_it_captured_before_the_call_returns() {
    let runtime = runtime();
    let queue = runtime.serial("held");
    let guard = queue.suspend_guard().unwrap();
    let captured = Arc::new(());
    let [in_closure, in_future] = [Arc::clone(&captured), Arc::clone(&captured)];
    let tasks: [Task<()>; 2] = [
        queue.submit(move || drop(in_closure)),
        queue.spawn(async move {
            drop(in_future);
        }),
    ];
    for (task, left) in tasks.iter().zip([2, 1]) {
        assert_eq!(task.cancel(), Cancellation::NeverRan);
        assert_eq!(Arc::strong_count(&captured), left);
    }
    drop(guard);
    for task in tasks {
        assert_eq!(task.wait(), Err(TaskError::Cancelled));
    }
    assert_eq!(queue.submit(|| 1).wait(), Ok(1));
}

#[test]
fn a_closure_that_runs_is_not_stopped_by_a_cancellation() {
    let runtime = runtime();
    let queue = runtime.serial("runs");
    let (began, go) = (Event::new(), Event::new());
    let (begin, gate) = (began.clone(), go.clone());
    let task = queue.submit(move || {
        begin.set();
        gate.wait();
        7
    });
    began.wait_timeout(GENEROUS).unwrap();
    assert_eq!(task.cancel(), Cancellation::Running);
    go.set();
    assert_eq!(task.wait(), Ok(7));
}

#[test]
fn a_cancelled_future_is_dropped_on_its_queue_at_its_next_await() {
    struct Witness(Arc<Mutex<Option<String>>>);
    impl Drop for Witness {
        fn drop(&mut self) {
            *self.0.lock().unwrap() = Queue::current().map(|queue| queue.label().to_owned());
        }
    }
    let runtime = runtime();
    let queue = runtime.serial("where it belongs");
    let (began, never, place) = (Event::new(), Event::new(), Arc::default());
    let (begin, witness) = (began.clone(), Witness(Arc::clone(&place)));
    let task = queue.spawn(async move {
        let _witness = witness;
        begin.set();
        never.wait_async().await;
    });
    began.wait_timeout(GENEROUS).unwrap();
    assert_eq!(task.cancel(), Cancellation::Running);
    assert_eq!(task.wait(), Err(TaskError::Cancelled));
    assert_eq!(place.lock().unwrap().as_deref(), Some("where it belongs"));
}

#[test]
fn a_task_whose_queue_or_runtime_goes_ends_as_dropped() {
    let runtime = runtime();
    let queue = runtime.serial("cancelled");
    let guard = queue.suspend_guard().unwrap();
    let tasks = [queue.submit(|| 1), queue.spawn(async { 2 })];
    assert_eq!(queue.cancel_pending(), 2);
    drop(guard);
    for task in tasks {
        assert_eq!(task.wait(), Err(TaskError::Dropped));
    }
    let runtime = Runtime::builder().build().unwrap();
    let queue = runtime.serial("ended");
    runtime.shutdown(Shutdown::Drain);
    assert_eq!(queue.submit(|| 1).wait(), Err(TaskError::Dropped));
    assert_eq!(queue.spawn(async { 1 }).wait(), Err(TaskError::Dropped));
    let closure = queue.try_submit(|| 3).unwrap_err().into_inner();
    assert_eq!(closure(), 3, "after the end a submission gives its closure back");
}

#[test]
fn a_task_of_a_suspended_queue_that_nobody_can_resume_ends_as_dropped() {
    let runtime = runtime();
    let submit: [fn(&Queue) -> Task<u8>; 2] = [|queue| queue.submit(|| 1), |queue| queue.spawn(async { 2 })];
    for submit in submit {
        let queue = runtime.serial("left alone");
        queue.suspend().unwrap();
        let task = submit(&queue);
        drop(queue);
        assert_eq!(task.wait(), Err(TaskError::Dropped));
    }
    // One that is under way goes on, as the turns of sources do.
    let queue = runtime.serial("left alone");
    let (began, go) = (Event::new(), Event::new());
    let (begin, gate) = (began.clone(), go.clone());
    let task = queue.spawn(async move {
        begin.set();
        gate.wait_async().await;
    });
    began.wait_timeout(GENEROUS).unwrap();
    queue.exec_sync(|| ());
    queue.suspend().unwrap();
    drop(queue);
    go.set();
    assert_eq!(task.wait(), Ok(()));
}

#[test]
fn a_future_under_way_goes_on_when_its_queue_is_cancelled() {
    let runtime = runtime();
    let queue = runtime.serial("cancelled");
    let (began, go) = (Event::new(), Event::new());
    let (begin, gate) = (began.clone(), go.clone());
    let task = queue.spawn(async move {
        begin.set();
        gate.wait_async().await;
        1
    });
    began.wait_timeout(GENEROUS).unwrap();
    queue.exec_sync(|| ());
    let guard = queue.suspend_guard().unwrap();
    go.set();
    assert_eq!(queue.cancel_pending(), 0);
    drop(guard);
    assert_eq!(task.wait(), Ok(1));
}

#[test]
fn a_future_that_nobody_can_wake_is_dropped() {
    let runtime = runtime();
    let queue = runtime.serial("forgotten");
    let task = queue.spawn(std::future::pending::<()>());
    assert_eq!(task.wait(), Err(TaskError::Dropped));
}

#[test]
fn a_wait_that_keeps_its_own_task_from_running_is_an_error_that_names_the_queues() {
    let runtime = runtime();
    let (outer, target) = (runtime.serial("outer"), runtime.serial("target"));
    let child = runtime.queue("child").target(&target).build().unwrap();
    let found = outer.exec_sync(|| {
        target.exec_sync(|| {
            let mut task = child.submit(|| 1);
            let error = task.wait_timeout(GENEROUS).unwrap_err();
            (task, error)
        })
    });
    let (task, error) = found;
    let text = error.to_string();
    assert!(text.contains("\"child\"") && text.contains("\"target\"") && text.contains("\"outer\""), "{text}");
    assert_eq!(task.wait(), Ok(1), "the task goes on once the queues are free");
}

#[test]
fn a_wait_that_times_out_leaves_the_task_as_it_was() {
    let runtime = runtime();
    let queue = runtime.serial("slow");
    let go = Event::new();
    let gate = go.clone();
    let mut task = queue.submit(move || {
        gate.wait();
        1
    });
    let after = Duration::from_millis(5);
    assert_eq!(task.wait_timeout(after), Err(TaskError::TimedOut { after }));
    assert_eq!(task.wait_timeout(Duration::ZERO), Err(TaskError::TimedOut { after: Duration::ZERO }));
    assert_eq!(task.try_take(), None);
    go.set();
    assert_eq!(task.wait_timeout(GENEROUS), Ok(1));
}

#[test]
fn dropping_a_task_lets_its_work_go_on() {
    let runtime = runtime();
    let queue = runtime.serial("detached");
    let ran = Arc::new(AtomicUsize::new(0));
    let [one, two] = [Arc::clone(&ran), Arc::clone(&ran)];
    drop(queue.submit(move || _ = one.fetch_add(1, SeqCst)));
    drop(queue.spawn(async move { _ = two.fetch_add(1, SeqCst) }));
    queue.exec_sync(|| ());
    assert_eq!(ran.load(SeqCst), 2);
}

#[test]
fn polls_of_a_serial_queue_never_overlap_and_other_jobs_come_in_between() {
    let runtime = Runtime::builder().threads(4).build().unwrap();
    let queue = runtime.serial("polls");
    let (inside, rounds) = (Arc::new(AtomicUsize::new(0)), 200);
    let wheel: Vec<_> = (0..4).map(|_| Event::auto_reset()).collect();
    let tasks: Vec<_> = (0..4)
        .map(|place| {
            let (mine, next, inside) = (wheel[place].clone(), wheel[(place + 1) % 4].clone(), Arc::clone(&inside));
            queue.spawn(async move {
                for _ in 0..rounds {
                    mine.wait_async().await;
                    assert_eq!(inside.fetch_add(1, SeqCst), 0);
                    thread::yield_now();
                    inside.fetch_sub(1, SeqCst);
                    next.set();
                }
                rounds
            })
        })
        .collect();
    wheel[0].set();
    for task in tasks {
        assert_eq!(task.wait(), Ok(rounds));
    }
}

#[test]
fn an_exclusive_future_keeps_its_queue_across_awaits() {
    let runtime = Runtime::builder().threads(2).build().unwrap();
    let queue = runtime.serial("kept");
    let (began, go) = (Event::new(), Event::new());
    let (begin, gate) = (began.clone(), go.clone());
    let log = Arc::new(Mutex::new(Vec::new()));
    let [first, second] = [Arc::clone(&log), Arc::clone(&log)];
    let task = queue.spawn_exclusive(async move {
        begin.set();
        gate.wait_async().await;
        first.lock().unwrap().push("future");
    });
    began.wait_timeout(GENEROUS).unwrap();
    let after = queue.submit(move || second.lock().unwrap().push("job"));
    go.set();
    assert_eq!((task.wait(), after.wait()), (Ok(()), Ok(())));
    assert_eq!(*log.lock().unwrap(), ["future", "job"]);
}

#[test]
fn ten_thousand_futures_share_one_semaphore_with_threads_in_one_line() {
    let runtime = Runtime::builder().threads(4).build().unwrap();
    let slots = concourse::Semaphore::new(3);
    let inside = Arc::new(AtomicUsize::new(0));
    let global = runtime.global(concourse::Qos::Default);
    let futures: Vec<_> = (0..10_000)
        .map(|_| {
            let (slots, inside) = (slots.clone(), Arc::clone(&inside));
            global.spawn(async move {
                let _permit = slots.acquire_async().await;
                assert!(inside.fetch_add(1, SeqCst) < 3);
                inside.fetch_sub(1, SeqCst);
            })
        })
        .collect();
    for _ in 0..1_000 {
        let _permit = slots.acquire();
        assert!(inside.fetch_add(1, SeqCst) < 3);
        inside.fetch_sub(1, SeqCst);
    }
    for future in futures {
        assert_eq!(future.wait(), Ok(()));
    }
    assert_eq!(slots.available(), 3);
}

#[test]
fn a_future_that_leaves_the_line_passes_its_permit_on() {
    let slots = concourse::Semaphore::new(0);
    let queue = GlobalQueue::get(concourse::Qos::Default);
    for _ in 0..200 {
        let (began, line) = (Event::new(), slots.clone());
        let begin = began.clone();
        let task = queue.spawn(async move {
            begin.set();
            let _permit = line.acquire_async().await;
        });
        began.wait_timeout(GENEROUS).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| slots.signal());
            task.cancel();
        });
        let ended = task.wait();
        assert!(matches!(ended, Ok(()) | Err(TaskError::Cancelled)), "{ended:?}");
        // Used and given back, or passed on.
        slots.wait_timeout(GENEROUS).unwrap();
        assert_eq!(slots.available(), 0);
    }
}

#[test]
fn groups_and_work_items_are_awaited() {
    let runtime = runtime();
    let queue = runtime.serial("awaited");
    let group = concourse::Group::new();
    let item = concourse::WorkItem::new(|| ());
    let waiter = {
        let (group, item) = (group.clone(), item.clone());
        let member = group.enter();
        let task = GlobalQueue::get(concourse::Qos::Default).spawn(async move {
            group.wait_async().await;
            item.wait_async().await
        });
        drop(member);
        task
    };
    item.exec_async(&queue).unwrap();
    assert_eq!(waiter.wait(), Ok(concourse::Outcome::Finished));
}

/// Panics when it is dropped, unless a panic is under way.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(thread::panicking(), "a bomb");
    }
}

#[test]
fn a_future_whose_destructor_panics_ends_its_task_all_the_same() {
    let reported = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&reported);
    let runtime = Runtime::builder().threads(2).on_panic(move |_| _ = count.fetch_add(1, SeqCst)).build().unwrap();
    let queue = runtime.serial("bombs");
    // One that is dropped with the jobs of its queue.
    let guard = queue.suspend_guard().unwrap();
    let bomb = Bomb;
    let mut task = queue.spawn(async move { drop(bomb) });
    assert_eq!(queue.cancel_pending(), 1);
    drop(guard);
    assert_eq!(task.wait_timeout(GENEROUS), Err(TaskError::Dropped));
    // One that goes with its last waker, on a thread that has nothing to do with it.
    let (polled, waker) = (Event::new(), Arc::new(Mutex::new(None)));
    let (tell, keep, bomb) = (polled.clone(), Arc::clone(&waker), Bomb);
    let mut task = queue.spawn(async move {
        let _bomb = bomb;
        std::future::poll_fn(|context| {
            *keep.lock().unwrap() = Some(context.waker().clone());
            tell.set();
            std::task::Poll::<()>::Pending
        })
        .await;
    });
    polled.wait_timeout(GENEROUS).unwrap();
    queue.exec_sync(|| ());
    let last = waker.lock().unwrap().take();
    drop(last);
    assert_eq!(task.wait_timeout(GENEROUS), Err(TaskError::Dropped));
    assert_eq!(reported.load(SeqCst), 2);
}

#[test]
fn a_cancelled_task_is_cancelled_and_its_captures_are_gone_however_close_its_first_poll_is() {
    let runtime = runtime();
    let queue = runtime.concurrent("close");
    let mut withdrawn = 0;
    for round in 0..3_000 {
        let captured = Arc::new(());
        let kept = Arc::clone(&captured);
        let task = queue.spawn(async move { drop(kept) });
        (0..round % 300).for_each(|_| std::hint::spin_loop());
        if task.cancel() == Cancellation::NeverRan {
            assert_eq!(Arc::strong_count(&captured), 1);
            assert_eq!(task.wait(), Err(TaskError::Cancelled));
            withdrawn += 1;
        }
    }
    assert!(withdrawn > 0, "no task was cancelled in time");
}

#[test]
fn a_long_chain_of_tasks_that_wait_for_each_other_ends_with_its_runtime() {
    for how in [Shutdown::Drain, Shutdown::CancelPending] {
        let runtime = runtime();
        let global = runtime.global(concourse::Qos::Default);
        let never = Event::new();
        let gate = never.clone();
        let mut last = global.spawn(async move { gate.wait_async().await });
        for _ in 0..5_000 {
            let before = last;
            last = global.spawn(async move { _ = before.await });
        }
        runtime.shutdown(how);
        drop(runtime);
        never.set();
        assert_eq!(last.wait_timeout(GENEROUS), Err(TaskError::Dropped));
    }
}

#[test]
fn a_task_of_a_global_queue_that_waits_for_itself_is_told_so() {
    let runtime = runtime();
    let (own, found) = (Arc::new(Mutex::new(None::<Task<()>>)), Arc::new(Mutex::new(None)));
    let (go, told) = (Event::new(), Event::new());
    let (gate, tell) = (go.clone(), told.clone());
    let (mine, result) = (Arc::clone(&own), Arc::clone(&found));
    let task = runtime.global(concourse::Qos::Default).submit(move || {
        gate.wait();
        let task = mine.lock().unwrap().take();
        *result.lock().unwrap() = task.map(Task::wait);
        tell.set();
    });
    *own.lock().unwrap() = Some(task);
    go.set();
    told.wait_timeout(GENEROUS).unwrap();
    assert!(matches!(found.lock().unwrap().take(), Some(Err(TaskError::WouldDeadlock { .. }))));
}

#[test]
fn a_wake_after_the_end_is_nobody_s_rejected_closure() {
    let rejected = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&rejected);
    let runtime = Runtime::builder().threads(2).on_rejected(move |_| _ = count.fetch_add(1, SeqCst)).build().unwrap();
    let (began, go) = (Event::new(), Event::new());
    let (begin, gate) = (began.clone(), go.clone());
    let mut task = runtime.global(concourse::Qos::Default).spawn(async move {
        begin.set();
        gate.wait_async().await;
    });
    began.wait_timeout(GENEROUS).unwrap();
    runtime.shutdown(Shutdown::Drain);
    go.set();
    assert_eq!(task.wait_timeout(GENEROUS), Err(TaskError::Dropped));
    assert_eq!(rejected.load(SeqCst), 0);
}
