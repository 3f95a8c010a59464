//! How operations end that do not run to their own end.

use super::*;
use concourse::OperationState;
use concourse::Shutdown;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

/// A runtime that counts what it drops and rejects.
fn counting() -> (Runtime, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let counts: [Arc<AtomicUsize>; 2] = Default::default();
    let [dropped, rejected] = counts.clone();
    let builder = Runtime::builder().on_dropped(move |_| _ = dropped.fetch_add(1, SeqCst));
    let runtime = builder.on_rejected(move |_| _ = rejected.fetch_add(1, SeqCst)).build().unwrap();
    let [dropped, rejected] = counts;
    (runtime, dropped, rejected)
}

#[test]
fn a_panic_costs_neither_a_place_nor_the_queue() {
    let panics = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&panics);
    let runtime = Runtime::builder().on_panic(move |report| {
        assert_eq!(report.label, "panics");
        count.fetch_add(1, SeqCst);
    });
    let runtime = runtime.build().unwrap();
    let ops = OperationQueue::builder("panics").on(&runtime).max_concurrent(1).build();
    for _ in 0..50 {
        ops.operation("panics").run(|| panic!("no"));
    }
    assert_eq!(*outcome(&ops.operation("goes on").run(|| 1)).unwrap(), 1);
    ops.wait_timeout(GENEROUS).unwrap();
    assert_eq!((panics.load(SeqCst), ops.running()), (50, 0));
}

#[test]
fn a_destructor_that_panics_is_contained_and_reported() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }
    let runtime = runtime();
    let ops = OperationQueue::builder("bombs").on(&runtime).build();
    let guard = ops.suspend_guard().unwrap();
    let bomb = Bomb;
    let operation = ops.operation("holds a bomb").run(move || {
        let _bomb = &bomb;
    });
    operation.cancel();
    drop(guard);
    assert_eq!(operation.state(), OperationState::Cancelled);
    let bad = ops.operation("bad").try_run(|_| Err::<(), _>("bad"));
    let bomb = Bomb;
    let skipped = ops.operation("skipped").after(&bad).run(move || {
        let _bomb = &bomb;
    });
    assert!(matches!(outcome(&skipped), Err(OperationError::Skipped { .. })));
    assert_eq!(runtime.shutdown(Shutdown::Drain.within(GENEROUS)).panics, 2);
}

#[test]
fn a_drain_runs_what_can_run_and_what_depends_on_it() {
    let (runtime, dropped, rejected) = counting();
    let ops = OperationQueue::builder("drained").on(&runtime).max_concurrent(1).build();
    let go = Event::new();
    let first = busy(&ops, &go);
    let mut last = ops.operation("link").after(&first).run(|| 0);
    for _ in 0..50 {
        last = ops.operation("link").with(&last).run(|n| n + 1);
    }
    let delayed = ops.operation("delayed").delay(GENEROUS).run(|| ());
    go.set();
    let report = runtime.shutdown(Shutdown::Drain.within(GENEROUS));
    assert!(report.complete, "{report:?}");
    assert_eq!(*last.outcome().unwrap().unwrap(), 50);
    assert!(matches!(delayed.outcome(), Some(Err(OperationError::Dropped))));
    assert_eq!(dropped.load(SeqCst), 1);
    let late = ops.operation("late").run(|| ());
    assert!(matches!(late.outcome(), Some(Err(OperationError::Dropped))));
    assert_eq!((rejected.load(SeqCst), ops.is_empty()), (1, true));
}

#[test]
fn a_drain_names_a_queue_that_is_held_and_the_end_drops_what_it_has() {
    let (runtime, dropped, _) = counting();
    let ops = OperationQueue::builder("held").on(&runtime).build();
    ops.suspend().unwrap();
    let held = ops.operation("held").run(|| ());
    let behind = ops.operation("behind").after(&held).run(|| ());
    let report = runtime.shutdown(Shutdown::Drain.within(GENEROUS));
    assert_eq!((report.complete, &report.suspended[..]), (false, &["held".to_owned()][..]));
    assert_eq!([held.state(), behind.state()], [OperationState::Ready, OperationState::Pending]);
    let report = runtime.shutdown(Shutdown::CancelPending.within(GENEROUS));
    assert!(report.complete, "{report:?}");
    for operation in [&held, &behind] {
        assert!(matches!(operation.outcome(), Some(Err(OperationError::Dropped))));
    }
    assert_eq!(dropped.load(SeqCst), 2);
    ops.resume().unwrap();
}

#[test]
fn a_queue_that_is_resumed_after_its_runtime_has_been_drained_drops_what_it_has() {
    let (runtime, dropped, _) = counting();
    let ops = OperationQueue::builder("late").on(&runtime).build();
    ops.suspend().unwrap();
    let captured = Arc::new(());
    let kept = Arc::clone(&captured);
    let held = ops.operation("held").run(move || drop(kept));
    assert!(!runtime.shutdown(Shutdown::Drain.within(GENEROUS)).complete);
    ops.resume().unwrap();
    assert!(matches!(held.wait_timeout(GENEROUS), Err(OperationError::Dropped)));
    assert_eq!((Arc::strong_count(&captured), dropped.load(SeqCst)), (1, 1));
}

#[test]
fn dropping_the_runtime_ends_everything_with_an_outcome() {
    let (runtime, dropped, _) = counting();
    let other = Runtime::builder().threads(1).build().unwrap();
    let ops = OperationQueue::builder("ended").on(&runtime).max_concurrent(1).build();
    let elsewhere = OperationQueue::builder("elsewhere").on(&other).build();
    let (go, began) = (Event::new(), Event::new());
    let (gate, begin) = (go.clone(), began.clone());
    let running = ops.operation("running").run(move || {
        begin.set();
        gate.wait();
    });
    began.wait_timeout(GENEROUS).unwrap();
    let waiting: Vec<_> = (0..20).map(|_| ops.operation("waiting").run(|| ())).collect();
    let dependent = elsewhere.operation("dependent").after(&waiting[0]).run(|| ());
    let anyway = elsewhere.operation("anyway").after_end_of(&waiting[19]).run(|| ());
    std::thread::scope(|scope| {
        scope.spawn(|| drop(runtime));
        for operation in &waiting {
            assert!(matches!(outcome(operation), Err(OperationError::Dropped)));
        }
        go.set();
    });
    outcome(&running).unwrap();
    assert!(matches!(outcome(&dependent), Err(OperationError::Skipped { .. })));
    outcome(&anyway).unwrap();
    assert_eq!((dropped.load(SeqCst), ops.is_empty()), (20, true));
}

#[test]
fn dropping_handles_changes_nothing() {
    let runtime = runtime();
    let (log, done) = (Log::default(), Event::new());
    let ops = OperationQueue::builder("dropped").on(&runtime).max_concurrent(1).build();
    for label in ["a", "b", "c"] {
        drop(ops.operation(label).run(log.entry(label)));
    }
    let tell = done.clone();
    drop(ops.operation("last").delay(Duration::from_millis(5)).run(move || tell.set()));
    drop(ops);
    done.wait_timeout(GENEROUS).unwrap();
    assert_eq!(log.read(), "a b c");
}

#[test]
fn a_held_queue_that_nobody_has_any_more_drops_what_it_has() {
    for suspended in [true, false] {
        let (runtime, dropped, _) = counting();
        let ops = OperationQueue::builder("held").on(&runtime).max_concurrent(if suspended { 1 } else { 0 }).build();
        if suspended {
            ops.suspend().unwrap();
        }
        let held = ops.operation("held").run(|| ());
        let behind = ops.operation("behind").after(&held).run(|| ());
        drop(ops);
        for operation in [&held, &behind] {
            assert!(matches!(operation.outcome(), Some(Err(OperationError::Dropped))));
        }
        assert_eq!(dropped.load(SeqCst), 2);
    }
}

#[test]
fn a_target_that_goes_away_suspended_lets_its_operations_go() {
    let (runtime, dropped, _) = counting();
    let target = runtime.serial("target");
    let ops = OperationQueue::builder("above").target(&target).build();
    target.suspend().unwrap();
    let operation = ops.operation("held").run(|| ());
    drop((target, ops));
    outcome(&operation).unwrap();
    assert_eq!(dropped.load(SeqCst), 0);
}

#[test]
fn cancelling_the_pending_jobs_of_the_target_loses_no_operation() {
    let runtime = runtime();
    let target = runtime.serial("target");
    let ops = OperationQueue::builder("above").target(&target).build();
    let guard = target.suspend_guard().unwrap();
    let operations: Vec<_> = (0..10).map(|n| ops.operation("held").run(move || n)).collect();
    assert_eq!(target.cancel_pending(), 0);
    drop(guard);
    for (n, operation) in operations.iter().enumerate() {
        assert_eq!(*outcome(operation).unwrap(), n);
    }
}

#[test]
fn nothing_is_left_of_operations_that_are_over() {
    let runtime = runtime();
    let ops = OperationQueue::builder("gone").on(&runtime).build();
    let captured = Arc::new(());
    let operations: Vec<_> = (0..100)
        .map(|n| {
            let kept = Arc::clone(&captured);
            ops.operation("kept").try_run(move |_| if n % 2 == 0 { Ok(kept) } else { Err("odd") })
        })
        .collect();
    ops.wait_timeout(GENEROUS).unwrap();
    assert_eq!(Arc::strong_count(&captured), 51, "the values of half of them");
    drop(operations);
    assert_eq!(Arc::strong_count(&captured), 1);
}
