//! Callbacks that are registered for an event, and a shutdown that comes before it.

mod occupied;

use concourse::CancelToken;
use concourse::Dispatch;
use concourse::Event;
use concourse::Group;
use concourse::Operation;
use concourse::OperationQueue;
use concourse::OperationState;
use concourse::Qos;
use concourse::Queue;
use concourse::Report;
use concourse::Runtime;
use concourse::Shutdown;
use concourse::Source;
use concourse::WorkItem;
use occupied::occupy;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

const GENEROUS: Duration = Duration::from_secs(60);

/// How often each callback was called.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<BTreeMap<&'static str, u32>>>);

impl Calls {
    fn note(&self, name: &'static str) {
        *self.0.lock().entry(name).or_default() += 1;
    }

    fn callback(&self, name: &'static str) -> impl FnOnce() + Send + use<> {
        let calls = self.clone();
        move || calls.note(name)
    }
}

/// Waits until nothing new is accepted. A closure might be taken at the very moment of the end, and be rejected.
fn wait_for_the_end(runtime: &Runtime) {
    let deadline = Instant::now() + GENEROUS;
    while runtime.queue("early").build().is_ok() {
        assert!(Instant::now() < deadline, "nobody has shut the runtime down");
        thread::yield_now();
    }
}

/// Shuts the runtime down while a queue is occupied, which is let `go` when nothing new is accepted.
fn end_while(runtime: &Runtime, how: Shutdown, go: &Event) -> Report {
    thread::scope(|scope| {
        let end = scope.spawn(|| runtime.shutdown(how.within(GENEROUS)));
        wait_for_the_end(runtime);
        go.set();
        end.join().unwrap()
    })
}

/// Registers one callback of each kind on `home`, for what happens on `work`.
fn register(work: &Queue, home: &impl Dispatch, calls: &Calls) {
    let group = Group::new();
    group.exec_async(work, || ());
    group.notify(home, calls.callback("group"));
    let task = calls.callback("task");
    work.submit(|| 6 * 7).on_complete(home, move |answer| {
        assert_eq!(answer, Ok(42));
        task();
    });
    let (item, told) = (WorkItem::new(|| ()), calls.callback("item"));
    item.notify(home, move |_| told());
    item.exec_async(work).unwrap();
    let token = CancelToken::new();
    let handle = token.on_cancel(home, calls.callback("token"));
    let port = Source::port::<u32>(work).activate().unwrap();
    port.sender().on_dead(home, calls.callback("port"));
    work.exec_async(move || {
        token.cancel();
        drop(handle);
        drop(port);
    });
}

#[test]
fn a_drain_makes_the_calls_that_were_registered_before() {
    let runtime = Runtime::builder().threads(2).build().unwrap();
    let (work, calls) = (runtime.serial("work"), Calls::default());
    let go = occupy(&work);
    register(&work, &runtime.serial("serial"), &calls);
    register(&work, &runtime.concurrent("concurrent"), &calls);
    register(&work, &runtime.global(Qos::Utility), &calls);
    register(&work, &runtime.queue("below").target(&runtime.serial("above")).build().unwrap(), &calls);
    let report = end_while(&runtime, Shutdown::Drain, &go);
    assert!(report.complete, "{report:?}");
    assert_eq!((report.rejected, report.dropped, report.panics), (0, 0, 0), "{report:?}");
    let expected = ["group", "item", "port", "task", "token"].map(|name| (name, 4));
    assert_eq!(*calls.0.lock(), BTreeMap::from(expected));
}

#[test]
fn a_drain_tells_of_the_operations_that_it_runs() {
    let runtime = Runtime::builder().threads(2).build().unwrap();
    let (work, home, calls) = (runtime.serial("work"), runtime.serial("home"), Calls::default());
    let operations = OperationQueue::builder("operations").target(&work).build();
    let observer = calls.clone();
    operations.on_change(&home, move |change| {
        if change.state == OperationState::Finished {
            observer.note("finished");
        }
    });
    let go = occupy(&work);
    let first = operations.operation("first").run(|| 1);
    let second = operations.operation("second").with(&first).run(|first| *first + 1);
    let over = calls.callback("complete");
    second.on_complete(&home, move |value| {
        assert_eq!(*value.unwrap(), 2);
        over();
    });
    let report = end_while(&runtime, Shutdown::Drain, &go);
    assert_eq!((report.complete, report.rejected, report.panics), (true, 0, 0), "{report:?}");
    assert_eq!(*calls.0.lock(), BTreeMap::from([("complete", 1), ("finished", 2)]));
}

#[test]
fn callbacks_that_call_for_their_like_do_not_keep_a_drain_going() {
    /// Registers itself for the end of a task that cannot be submitted any more.
    fn again(home: Queue, calls: Calls) {
        calls.note("task");
        let next = home.clone();
        home.submit(|| ()).on_complete(&home, move |_| again(next, calls));
    }
    let runtime = Runtime::builder().threads(2).build().unwrap();
    let (work, home, calls) = (runtime.serial("work"), runtime.serial("home"), Calls::default());
    let operations = Arc::new(Mutex::new(None));
    let (more, observer) = (Arc::clone(&operations), calls.clone());
    let queue = OperationQueue::builder("operations").target(&work).build();
    queue.on_change(&home, move |_| {
        observer.note("operation");
        let queue: Option<OperationQueue> = more.lock().clone();
        queue.inspect(|queue| drop(queue.operation("another").run(|| ())));
    });
    let go = occupy(&work);
    drop(queue.operation("first").run(|| ()));
    let (next, callback) = (home.clone(), calls.clone());
    work.submit(|| ()).on_complete(&home, move |_| again(next, callback));
    *operations.lock() = Some(queue);
    let report = end_while(&runtime, Shutdown::Drain, &go);
    assert!(report.complete, "{report:?}");
    assert_eq!(calls.0.lock()["task"], 1);
    assert!(calls.0.lock()["operation"] >= 1);
    // It holds its observer, which holds it.
    drop(operations.lock().take());
}

#[test]
fn what_a_drain_refuses_costs_nobody_the_changes_of_what_it_ran() {
    let runtime = Runtime::builder().threads(2).build().unwrap();
    let (home, told) = (runtime.serial("home"), Arc::new(Mutex::new(Vec::new())));
    let operations = OperationQueue::builder("operations").on(&runtime).build();
    let tell = Arc::clone(&told);
    operations.on_change(&home, move |change| tell.lock().push((change.label.to_string(), change.state)));
    let go = occupy(&home);
    operations.operation("first").run(|| ()).wait().unwrap();
    thread::scope(|scope| {
        let end = scope.spawn(|| runtime.shutdown(Shutdown::Drain.within(GENEROUS)));
        wait_for_the_end(&runtime);
        (0..2).for_each(|_| assert!(operations.operation("late").run(|| ()).is_over()));
        go.set();
        assert!(end.join().unwrap().complete);
    });
    let first = |state| ("first".to_owned(), state);
    let states = [OperationState::Pending, OperationState::Ready, OperationState::Running, OperationState::Finished];
    assert_eq!(*told.lock(), states.map(first));
}

#[test]
fn what_goes_on_elsewhere_does_not_keep_a_drain_going() {
    let (elsewhere, runtime) = (Runtime::builder().build().unwrap(), Runtime::builder().threads(1).build().unwrap());
    let operations = OperationQueue::builder("operations").on(&elsewhere).build();
    let (calls, stop) = (Calls::default(), Event::new());
    let observer = calls.clone();
    operations.on_change(&runtime.serial("home"), move |_| observer.note("change"));
    let report = thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.is_set() {
                operations.operation("more").run(|| ()).wait().unwrap();
            }
        });
        let deadline = Instant::now() + GENEROUS;
        while calls.0.lock().get("change").is_none_or(|calls| *calls < 10) {
            assert!(Instant::now() < deadline, "nobody tells of the operations");
            thread::yield_now();
        }
        let report = runtime.shutdown(Shutdown::Drain.within(GENEROUS));
        stop.set();
        report
    });
    assert!(report.complete, "{report:?}");
}

#[test]
fn an_operation_that_is_put_back_in_a_drain_does_not_keep_it_going() {
    let runtime = Runtime::builder().threads(2).build().unwrap();
    let (home, operations) = (runtime.serial("home"), OperationQueue::builder("operations").on(&runtime).build());
    let done = operations.operation("done").run(|| ());
    done.wait().unwrap();
    operations.suspend().unwrap();
    let held = Arc::new(Mutex::new(None::<Operation<()>>));
    let (put_back, over) = (Arc::clone(&held), done.clone());
    operations.on_change(&home, move |change| {
        if change.state == OperationState::Ready {
            let operation = put_back.lock().clone();
            operation.inspect(|operation| operation.add_dependency(&over).unwrap());
        }
    });
    let operation = operations.operation("held").run(|| ());
    *held.lock() = Some(operation.clone());
    operation.add_dependency(&done).unwrap();
    let report = runtime.shutdown(Shutdown::Drain.within(GENEROUS));
    drop(held.lock().take());
    assert_eq!((report.still_running, report.suspended.len()), (0, 1), "{report:?}");
}

#[test]
fn a_cancelling_shutdown_makes_no_more_calls() {
    let runtime = Runtime::builder().threads(2).build().unwrap();
    let (work, home, calls) = (runtime.serial("work"), runtime.serial("home"), Calls::default());
    let go = occupy(&work);
    register(&work, &home, &calls);
    let report = end_while(&runtime, Shutdown::CancelPending, &go);
    assert!(report.complete, "{report:?}");
    assert_eq!(*calls.0.lock(), BTreeMap::new());
}
