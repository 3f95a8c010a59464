//! Programs that keep their promises on every engine: the machine, and every seed.

use super::hold;
use concourse::source::Max;
use concourse::{Dispatch, Event, Group, Qos, Runtime, Semaphore, Shutdown, Source, wait_for};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const GENEROUS: Duration = Duration::from_secs(60);

/// A few jobs take turns at two permits, and tell a source; a timer ticks meanwhile. Gives the sum and the ticks.
pub(super) fn orders(runtime: &Runtime) -> (u64, u64) {
    let (work, ledger) = (runtime.concurrent("work"), runtime.serial("ledger"));
    let (slots, group, all, ticked) = (Semaphore::new(2), Group::new(), Event::new(), Event::new());
    let (inside, mut sum) = (Arc::new(AtomicUsize::new(0)), 0);
    let tell = all.clone();
    let orders = Source::add(&ledger)
        .on_event(move |more: u64| {
            sum += more;
            if sum == 10 {
                tell.set();
            }
        })
        .activate();
    let (tell, mut ticks) = (ticked.clone(), 0);
    let timer = Source::timer(&ledger).after(2 * MS).every(MS).on_event_with(move |timer, more| {
        ticks += more;
        if ticks >= 3 {
            timer.cancel();
            tell.set();
        }
    });
    let timer = timer.activate().expect("a timer");
    for order in 1..=4 {
        let (slots, orders, inside) = (slots.clone(), orders.clone(), Arc::clone(&inside));
        group.exec_async(&work, move || {
            let _permit = slots.acquire();
            assert!(inside.fetch_add(1, Ordering::SeqCst) < 2, "two at a time");
            orders.merge(order);
            inside.fetch_sub(1, Ordering::SeqCst);
        });
    }
    group.wait();
    all.wait();
    ticked.wait();
    drop(timer);
    let total = work.barrier_sync(|| ledger.exec_sync(|| slots.available() as u64));
    (10, total)
}

#[test]
fn a_program_of_everything_holds_on_the_machine_and_under_every_seed() {
    let runtime = Runtime::builder().threads(2).build().unwrap();
    assert_eq!(orders(&runtime), (10, 2));
    assert!(hold(orders).iter().all(|result| *result == (10, 2)));
}

/// One waits for an event that another one sets.
pub(super) fn meeting(runtime: &Runtime) {
    let (guests, gate) = (runtime.global(Qos::Default), Event::new());
    let sign = gate.clone();
    guests.exec_async(move || sign.set());
    gate.wait();
}

#[test]
fn an_event_wakes_whoever_waits_for_it() {
    hold(meeting);
}

/// One waits for a group that is left meanwhile.
pub(super) fn farewell(runtime: &Runtime) {
    let (guests, group) = (runtime.global(Qos::Default), Group::new());
    group.exec_async(&guests, || ());
    group.wait();
    assert!(group.is_empty());
}

#[test]
fn a_group_wakes_whoever_waits_for_its_last_member() {
    hold(farewell);
}

/// Three take turns at one permit.
pub(super) fn turns(runtime: &Runtime) {
    let (players, permit, group) = (runtime.global(Qos::Default), Semaphore::new(1), Group::new());
    for _ in 0..3 {
        let permit = permit.clone();
        group.exec_async(&players, move || drop(permit.acquire()));
    }
    group.wait();
    assert_eq!(permit.available(), 1);
}

#[test]
fn a_permit_goes_from_hand_to_hand() {
    hold(turns);
}

/// Two merge into a source while its handler runs.
pub(super) fn tips(runtime: &Runtime) {
    let (waiters, till, all) = (runtime.global(Qos::Default), runtime.serial("till"), Semaphore::new(0));
    let (heard, sum) = (all.clone(), Arc::new(AtomicU64::new(0)));
    let (total, ring) = (Arc::clone(&sum), Event::new());
    let tips = Source::add(&till).on_event(move |more: u64| {
        ring.set(); // Others may merge meanwhile.
        if total.fetch_add(more, Ordering::SeqCst) + more == 6 {
            heard.signal();
        }
    });
    let tips = tips.activate();
    for tip in [2, 3] {
        let tips = tips.clone();
        waiters.exec_async(move || tips.merge(tip));
    }
    tips.merge(1);
    all.wait();
    assert_eq!(sum.load(Ordering::SeqCst), 6);
}

#[test]
fn a_source_delivers_every_merge() {
    hold(tips);
}

/// Two threads call onto a serial queue that has jobs of its own, with one thread to run them all.
pub(super) fn counter(runtime: &Runtime) {
    let (queue, group) = (runtime.serial("counter"), Group::new());
    let count = Arc::new(AtomicUsize::new(0));
    for _ in 0..2 {
        let (queue, count) = (queue.clone(), Arc::clone(&count));
        group.exec_async(&runtime.global(Qos::Default), move || {
            // One at a time: else one of two additions gets lost.
            let add = move |count: &AtomicUsize| count.store(count.load(Ordering::SeqCst) + 1, Ordering::SeqCst);
            let later = Arc::clone(&count);
            queue.exec_async(move || add(&later));
            queue.exec_sync(|| add(&count));
        });
    }
    group.wait();
    assert_eq!(queue.exec_sync(|| count.load(Ordering::SeqCst)), 4);
}

#[test]
fn a_serial_queue_serves_jobs_and_callers_one_at_a_time() {
    hold(counter);
}

/// Readers and writers of a concurrent queue, which is suspended for a while.
pub(super) fn library(runtime: &Runtime) {
    let (shelf, group) = (runtime.queue("shelf").concurrent().width(2).build().unwrap(), Group::new());
    let (readers, writers) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (bell, guard) = (Event::new(), shelf.suspend_guard().unwrap());
    for visitor in 0..5 {
        let (readers, writers, member) = (Arc::clone(&readers), Arc::clone(&writers), group.enter());
        let bell = bell.clone();
        if visitor % 2 == 0 {
            shelf.exec_async(move || {
                assert!(readers.fetch_add(1, Ordering::SeqCst) < 2, "the width");
                bell.set(); // Others may go on meanwhile.
                assert_eq!(writers.load(Ordering::SeqCst), 0, "no writer beside a reader");
                readers.fetch_sub(1, Ordering::SeqCst);
                drop(member);
            });
        } else {
            shelf.barrier_async(move || {
                assert_eq!(writers.fetch_add(1, Ordering::SeqCst), 0, "one writer at a time");
                bell.set();
                assert_eq!(readers.load(Ordering::SeqCst), 0, "no reader beside a writer");
                writers.fetch_sub(1, Ordering::SeqCst);
                drop(member);
            });
        }
    }
    drop(guard);
    shelf.barrier_sync(|| {
        assert_eq!((readers.load(Ordering::SeqCst), writers.load(Ordering::SeqCst)), (0, 0));
        assert!(group.is_empty(), "all came before");
    });
}

#[test]
fn barriers_and_readers_keep_apart() {
    hold(library);
}

/// Jobs and callers of a queue of width one.
pub(super) fn window(runtime: &Runtime) {
    let (window, group, bell) =
        (runtime.queue("window").concurrent().width(1).build().unwrap(), Group::new(), Event::new());
    let inside = Arc::new(AtomicUsize::new(0));
    for _ in 0..2 {
        let (window, bell, inside, member) = (window.clone(), bell.clone(), Arc::clone(&inside), group.enter());
        group.exec_async(&runtime.global(Qos::Default), move || {
            let serve = move |inside: &AtomicUsize, bell: &Event| {
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "one at a time");
                bell.set(); // Others may come meanwhile.
                inside.fetch_sub(1, Ordering::SeqCst);
            };
            let (later, ring) = (Arc::clone(&inside), bell.clone());
            window.exec_sync(|| serve(&inside, &bell));
            window.exec_async(move || {
                serve(&later, &ring);
                drop(member);
            });
        });
    }
    group.wait();
}

#[test]
fn a_caller_that_leaves_lets_the_next_job_in() {
    hold(window);
}

/// Jobs and callers of two queues that share a target, which is suspended for a while.
pub(super) fn family(runtime: &Runtime) {
    let (parent, group, bell) = (runtime.serial("parent"), Group::new(), Event::new());
    let inside = Arc::new(AtomicUsize::new(0));
    let guard = parent.suspend_guard().unwrap();
    let children = [runtime.queue("elder"), runtime.queue("younger").concurrent()];
    let children = children.map(|child| child.target(&parent).build().unwrap());
    for child in children.iter().chain(&children) {
        let (child, bell, inside, member) = (child.clone(), bell.clone(), Arc::clone(&inside), group.enter());
        group.exec_async(&runtime.global(Qos::Default), move || {
            let play = move |inside: &AtomicUsize, bell: &Event| {
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "one at a time in the whole family");
                bell.set(); // Others may come meanwhile.
                inside.fetch_sub(1, Ordering::SeqCst);
            };
            let (later, ring) = (Arc::clone(&inside), bell.clone());
            child.exec_async(move || {
                play(&later, &ring);
                drop(member);
            });
            child.exec_sync(|| play(&inside, &bell));
        });
    }
    drop(guard);
    parent.exec_sync(|| assert_eq!(inside.load(Ordering::SeqCst), 0));
    group.wait();
}

#[test]
fn a_family_of_queues_runs_one_job_at_a_time() {
    hold(family);
}

/// Callers of a serial queue whose target lets all of them in at the same time.
pub(super) fn counter_in_a_hall(runtime: &Runtime) {
    let (hall, group, bell) = (runtime.concurrent("hall"), Group::new(), Event::new());
    let counter = runtime.queue("counter").target(&hall).build().unwrap();
    let inside = Arc::new(AtomicUsize::new(0));
    for _ in 0..3 {
        let (counter, bell, inside) = (counter.clone(), bell.clone(), Arc::clone(&inside));
        group.exec_async(&runtime.global(Qos::Default), move || {
            counter.exec_sync(|| {
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "one at a time");
                bell.set(); // Others may come meanwhile.
                inside.fetch_sub(1, Ordering::SeqCst);
            });
        });
    }
    group.wait();
}

#[test]
fn a_caller_who_waits_below_a_target_is_told_to_come() {
    hold(counter_in_a_hall);
}

/// A queue whose target is suspended while its jobs run.
pub(super) fn siesta(runtime: &Runtime) {
    let (parent, group, bell) = (runtime.serial("parent"), Group::new(), Event::new());
    let child = runtime.queue("child").target(&parent).build().unwrap();
    let started = Arc::new(AtomicUsize::new(0));
    for _ in 0..4 {
        let (bell, started) = (bell.clone(), Arc::clone(&started));
        group.exec_async(&child, move || {
            started.fetch_add(1, Ordering::SeqCst);
            bell.set(); // The suspension may come meanwhile.
        });
    }
    bell.wait();
    let guard = parent.suspend_guard().unwrap();
    let before = started.load(Ordering::SeqCst);
    // As long as whoever can go on does so.
    assert!(Semaphore::new(0).wait_timeout(20 * MS).is_err());
    assert!(started.load(Ordering::SeqCst) <= before + 1, "only one that was chosen already");
    drop(guard);
    group.wait();
}

#[test]
fn a_suspended_target_holds_what_is_below_it() {
    hold(siesta);
}

/// A reader that comes after a writer, on a queue whose readers may overtake each other.
pub(super) fn record(runtime: &Runtime) {
    let (book, bell, page) = (runtime.concurrent("book"), Event::new(), Arc::new(AtomicUsize::new(0)));
    book.exec_async(move || bell.set());
    let written = Arc::clone(&page);
    book.barrier_async(move || written.store(1, Ordering::SeqCst));
    assert_eq!(book.exec_sync(|| page.load(Ordering::SeqCst)), 1);
}

#[test]
fn a_reader_sees_what_was_written_before() {
    hold(record);
}

/// A call that is answered on another thread, before or after it is waited for.
fn question(runtime: &Runtime) -> u32 {
    let oracle = runtime.serial("oracle");
    wait_for(GENEROUS, |done| oracle.exec_async(move || _ = done.send(42))).unwrap()
}

#[test]
fn an_answer_arrives() {
    assert!(hold(question).iter().all(|answer| *answer == 42));
}

/// Sources that fold, notifications, cancellations and a shutdown that drains.
fn closing_time(runtime: &Runtime) -> u64 {
    let (bar, group) = (runtime.serial("bar"), Group::new());
    let (served, last) = (Arc::new(AtomicU64::new(0)), Event::new());
    let (count, tell) = (Arc::clone(&served), last.clone());
    let peak = Source::merging(&bar).on_event(move |Max(most): Max<u64>| _ = count.fetch_max(most, Ordering::SeqCst));
    let peak = peak.on_cancel(move || tell.set()).activate();
    for guests in 1..=3 {
        let peak = peak.clone();
        group.exec_async(&runtime.global(Qos::Default), move || peak.merge(Max(guests)));
    }
    let (served_by_then, notified) = (Arc::clone(&served), Event::new());
    let tell = notified.clone();
    group.notify(&bar, move || {
        // The handler's turn may still stand behind this job.
        assert!(served_by_then.load(Ordering::SeqCst) <= 3);
        tell.set();
    });
    notified.wait();
    bar.exec_sync(|| ());
    peak.cancel();
    last.wait();
    let report = runtime.shutdown(Shutdown::Drain.within(GENEROUS));
    assert!(report.complete, "{report:?}");
    served.load(Ordering::SeqCst)
}

#[test]
fn a_drained_runtime_has_delivered_what_was_merged() {
    // Every turn that was scheduled before the notification ran before the cancellation.
    assert!(hold(closing_time).iter().all(|most| *most == 3));
}

#[test]
fn a_job_that_is_cancelled_in_time_never_runs() {
    fn reminder(runtime: &Runtime) -> bool {
        let queue = runtime.serial("reminder");
        let fired = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&fired);
        let after = queue.after(MS, move || _ = count.fetch_add(1, Ordering::SeqCst)).unwrap();
        let pause = Semaphore::new(0);
        // As long as the delay: either may come first.
        assert!(pause.wait_timeout(MS).is_err());
        let cancelled = after.cancel();
        let report = runtime.shutdown(Shutdown::Drain.within(GENEROUS));
        assert!(report.complete);
        assert_eq!(fired.load(Ordering::SeqCst), usize::from(!cancelled));
        cancelled
    }
    let cancelled = hold(reminder);
    assert!(cancelled.contains(&true) && cancelled.contains(&false), "both orders come up");
}
