//! `debug`: showing the main queue, a global queue, a timer that was never resumed (its start is never, its interval 1
//! s, its leeway 100 ns) and an empty group must not crash. The timer is not resumed before the end either.
//!
//! Here everything public is shown, in the states in which an error report may find it: held, empty, over, from its own
//! callbacks, from the hooks of its runtime.

use crate::timed::GENEROUS;
use crate::timed::HOUR;
use crate::timed::finish;
use crate::timed::runtime;
use concourse::Clock;
use concourse::Deadline;
use concourse::Dispatch;
use concourse::Event;
use concourse::Group;
use concourse::Qos;
use concourse::Queue;
use concourse::Runtime;
use concourse::Semaphore;
use concourse::Shutdown;
use concourse::Source;
use concourse::StallPolicy;
use concourse::source::Last;
use concourse::source::Max;
use concourse::source::Min;
use concourse::source::Pending;
use concourse::source::Schedule;
use concourse::source::SourceBuilder;
use concourse::wait_for;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

/// Shows it on one line and on several.
#[track_caller]
fn show(thing: &dyn Debug) {
    assert!(!format!("{thing:?}").is_empty() && !format!("{thing:#?}").is_empty());
}

#[track_caller]
fn show_all(things: &[&dyn Debug]) {
    things.iter().for_each(|thing| show(*thing));
}

/// A destructor that shows what it has.
struct ShowsOnDrop<T: Debug>(T);

impl<T: Debug> Drop for ShowsOnDrop<T> {
    fn drop(&mut self) {
        show(&self.0);
    }
}

#[test]
fn what_was_never_used_can_be_shown() {
    let runtime = runtime();
    let (main, global) = (runtime.serial("main"), runtime.global(Qos::Default));
    let timer = Source::timer(&global).at(Deadline::FOREVER).every(Duration::from_secs(1));
    let timer = timer.leeway(Duration::from_nanos(100));
    show_all(&[&main, &global, &timer, &timer.handle(), &Group::new(), &Semaphore::new(0), &Event::new()]);
    show_all(&[&runtime, &Runtime::builder(), &runtime.statistics(), &runtime.queue("builder").concurrent().width(2)]);
    finish(&runtime);
}

#[test]
fn queues_can_be_shown_whatever_happens_to_them() {
    let runtime = runtime();
    for builder in [runtime.queue("serial"), runtime.queue("concurrent").concurrent()] {
        let inactive = builder.build_inactive().unwrap();
        show(&inactive);
        let queue = inactive.activate();
        let own = queue.clone();
        queue.exec_async(move || show_all(&[&own, &Queue::current()]));
        queue.barrier_sync(|| show(&queue.try_exec_sync(|| ())));
        let guard = queue.suspend_guard().unwrap();
        let capture = ShowsOnDrop(queue.clone());
        queue.exec_async(move || drop(capture));
        show_all(&[&queue, &guard]);
        assert_eq!(queue.cancel_pending(), 1);
        drop(guard);
        show_all(&[&queue.resume(), &queue.set_width(0), &queue.suspend_guard()]);
        let after = queue.after(HOUR, || ()).unwrap();
        show(&after);
        assert!(after.cancel());
    }
    let held = runtime.serial("held");
    held.suspend().unwrap();
    held.exec_async(|| ());
    let report = runtime.shutdown(Shutdown::Drain.within(GENEROUS));
    assert_eq!((report.panics, report.suspended.as_slice()), (0, ["held".to_owned()].as_slice()));
    show_all(&[&report, &runtime, &held, &held.try_exec_async(|| ()), &runtime.queue("late").build()]);
    show_all(&[&held.after(HOUR, || ()), &runtime.statistics()]);
    held.resume().unwrap();
}

/// Shows a source from its description to its end.
fn show_source<K: Pending + Debug>(builder: SourceBuilder<K>, activate: impl FnOnce(SourceBuilder<K>) -> Source<K>) {
    let (handle, ended) = (builder.handle(), Event::new());
    let (registered, capture, tell) = (handle.clone(), ShowsOnDrop(handle.clone()), ended.clone());
    let builder = builder.label("shown").on_registered(move || show(&registered));
    let builder = builder.on_event_with(|source, _| show(source)).on_cancel(move || {
        show(&capture.0);
        tell.set();
    });
    show(&builder);
    let source = activate(builder);
    let suspended = source.suspend_guard().unwrap();
    show_all(&[&source, &suspended, &handle]);
    source.cancel();
    show(&source);
    drop(suspended);
    ended.wait_timeout(GENEROUS).unwrap();
    show_all(&[&source, &source.resume()]);
    drop(source);
    show(&handle);
}

#[test]
fn sources_can_be_shown_from_their_description_to_their_end() {
    let runtime = runtime();
    for queue in [runtime.serial("serial"), runtime.concurrent("concurrent")] {
        show_source(Source::add(&queue), |builder| {
            builder.handle().merge(1);
            builder.activate()
        });
        show_source(Source::or(&queue), |builder| builder.activate());
        show_source(Source::replace::<Vec<u8>>(&queue), |builder| builder.activate());
        show_source(Source::merging::<(Max<u8>, Min<u8>, Last<u8>)>(&queue), |builder| builder.activate());
        show_source(Source::timer(&queue).every(Duration::from_nanos(1)), |builder| builder.activate().unwrap());
    }
    finish(&runtime);
}

#[test]
fn what_threads_wait_for_can_be_shown_before_and_after() {
    let runtime = runtime();
    let (queue, group, semaphore, event) =
        (runtime.serial("main"), Group::new(), Semaphore::new(1), Event::auto_reset());
    let (member, permit) = (group.enter(), semaphore.acquire());
    group.enter_raw();
    show_all(&[&group, &member, &semaphore, &permit, &event]);
    let told = wait_for(GENEROUS, |done| {
        show(&done);
        group.notify(&queue, move || _ = done.send(()));
        drop((member, permit));
        group.leave_raw().unwrap();
    });
    event.set();
    show_all(&[&group, &semaphore, &event, &told, &group.leave_raw(), &semaphore.wait_timeout(Duration::ZERO)]);
    show_all(&[&semaphore.wait_timeout(Duration::ZERO), &Runtime::builder().threads(0).build()]);
    finish(&runtime);
}

#[test]
fn values_can_be_shown() {
    let soon = Deadline::now(Clock::Wall) + HOUR;
    show_all(&[&Clock::default(), &soon, &Deadline::FOREVER, &Qos::default()]);
    show_all(&[&Schedule::never(), &Schedule::at(soon).every(Duration::MAX).leeway(HOUR), &Schedule::after(HOUR)]);
    show_all(&[
        &Shutdown::Drain,
        &Shutdown::CancelPending.within(HOUR),
        &StallPolicy::default(),
        &StallPolicy::Grow(1),
    ]);
}

#[test]
fn reports_can_be_shown_in_the_hooks_that_are_given_them() {
    let shown = Arc::new(Mutex::new(Vec::new()));
    let [panicked, dropped, rejected, stalled] = [(); 4].map(|()| Arc::clone(&shown));
    let go = Event::new();
    let free = go.clone();
    let runtime = Runtime::builder()
        .threads(1)
        .max_threads(1)
        .on_panic(move |report| {
            show_all(&[report, &Queue::current()]);
            panicked.lock().unwrap().push("panicked");
        })
        .on_dropped(move |report| {
            show_all(&[report, &Queue::current()]);
            dropped.lock().unwrap().push("dropped");
        })
        .on_rejected(move |report| {
            show_all(&[report, &Queue::current()]);
            rejected.lock().unwrap().push("rejected");
        })
        .on_stall(move |report| {
            show_all(&[report, &report.waiting]);
            stalled.lock().unwrap().push("stalled");
            free.set();
        })
        .build()
        .unwrap();
    let (queue, global) = (runtime.serial("main"), runtime.global(Qos::Default));
    queue.exec_async(|| std::panic::resume_unwind(Box::new("a job")));
    queue.exec_sync(|| ());
    queue.suspend().unwrap();
    queue.exec_async(|| ());
    assert_eq!(queue.cancel_pending(), 1);
    queue.resume().unwrap();
    // The only thread waits for an event, while another job is queued.
    let group = Group::new();
    group.exec_async(&global, move || go.wait());
    group.exec_async(&global, || ());
    group.wait_timeout(GENEROUS).unwrap();
    assert!(runtime.shutdown(Shutdown::Drain.within(GENEROUS)).complete);
    queue.exec_async(|| ());
    assert_eq!(*shown.lock().unwrap(), ["panicked", "dropped", "stalled", "rejected"]);
}
