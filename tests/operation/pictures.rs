//! What a graph and its progress look like from outside.

use super::*;
use concourse::Progress;
use concourse::Retry;
use std::sync::mpsc;

#[test]
fn a_graph_is_drawn_with_states_foreign_queues_and_both_kinds_of_arrows() {
    let runtime = runtime();
    let (ops, other) = (
        OperationQueue::builder("say \"hi\"").on(&runtime).max_concurrent(0).build(),
        OperationQueue::builder("other").on(&runtime).build(),
    );
    let done = other.operation("done").run(|| 1);
    outcome(&done).unwrap();
    let first = ops.operation("first\\").with(&done).run(|_| ());
    // The operation keeps what it depends on, until it is over.
    let held = other.operation("held").after(&first).run(|| ());
    ops.operation("last").after(&held).after_end_of(&first).after(&held).run(|| ());
    assert_eq!(
        ops.dot(),
        r#"digraph "say \"hi\"" {
    rankdir=LR;
    node [shape=box];
    n0 [label="first\\\nReady"];
    n1 [label="last\nPending"];
    n2 [label="other: done\nFinished"];
    n3 [label="other: held\nPending"];
    n0 -> n1 [style=dashed];
    n0 -> n3;
    n2 -> n0;
    n3 -> n1;
}
"#
    );
    ops.set_max_concurrent(1);
    ops.wait_timeout(GENEROUS).unwrap();
    assert_eq!(ops.dot().lines().count(), 4, "nothing is left");
}

#[test]
fn parts_of_parts_flow_into_the_whole_without_a_rest() {
    let whole = Progress::new(7);
    let parts: Vec<_> = (0..7).map(|_| whole.child(1, 3)).collect();
    let leaves: Vec<_> = parts.iter().map(|part| [part.child(1, 3), part.child(2, 1_000)]).collect();
    for leaf in leaves.iter().flatten() {
        assert!(!whole.is_finished() && whole.fraction() < 1.0);
        for _ in 0..leaf.total() {
            leaf.add(1);
        }
        assert!(leaf.is_finished());
    }
    assert_eq!((whole.completed(), whole.fraction(), whole.is_finished()), (7, 1.0, true));
    assert!(parts.iter().all(|part| part.completed() == 3));
}

#[test]
fn no_more_is_done_than_there_is() {
    let whole = Progress::new(10);
    let part = whole.child(4, u64::MAX);
    part.add(u64::MAX / 2);
    assert_eq!(whole.completed(), 1);
    part.add(u64::MAX);
    assert_eq!((whole.completed(), part.fraction()), (4, 1.0));
    whole.add(100);
    assert_eq!((whole.completed(), whole.fraction()), (10, 1.0));
    whole.finish();
    whole.child(3, 5).finish();
    assert_eq!(whole.fraction(), 1.0);
    let nothing = Progress::new(0);
    assert!(nothing.is_finished() && nothing.fraction() == 1.0);
    let with_nothing = Progress::new(2);
    drop(with_nothing.child(1, 0));
    assert_eq!(with_nothing.completed(), 1);
}

#[test]
fn many_threads_count_together_and_reports_are_merged() {
    let runtime = runtime();
    let (whole, screen) = (Progress::new(8), runtime.serial("screen"));
    let (told, reports) = mpsc::channel();
    whole.add(1);
    whole.on_change(&screen, move |fraction| told.send(fraction).unwrap());
    assert_eq!(reports.recv_timeout(GENEROUS).unwrap(), 0.125, "what is there already");
    let guard = screen.suspend_guard().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..7 {
            let part = whole.child(1, 10_000);
            scope.spawn(move || (0..10_000).for_each(|_| part.add(1)));
        }
    });
    assert!(whole.is_finished());
    drop(guard);
    assert_eq!(reports.recv_timeout(GENEROUS).unwrap(), 1.0);
    screen.exec_sync(|| ());
    assert!(reports.try_recv().is_err(), "seventy thousand changes are one report");
}

#[test]
fn operations_are_parts_of_a_progress_however_they_end() {
    let runtime = runtime();
    let ops = OperationQueue::builder("parts").on(&runtime).build();
    let whole = Progress::new(100);
    let go = Event::new();
    let (gate, began) = (go.clone(), Event::new());
    let begin = began.clone();
    let half = ops.operation("half").progress(&whole, 40).try_run(move |context| {
        context.part(2).add(1);
        begin.set();
        gate.wait();
        Ok::<_, OperationError>(())
    });
    began.wait_timeout(GENEROUS).unwrap();
    assert_eq!(whole.completed(), 20);
    let retry = Retry::up_to(2).pause(Duration::from_millis(1));
    let failed = ops.operation("failed").progress(&whole, 30).retry(retry, |context| {
        context.part(2).add(1);
        Err::<(), _>("failed")
    });
    assert!(outcome(&failed).is_err());
    assert_eq!(whole.completed(), 50);
    let cancelled = ops.operation("cancelled").progress(&whole, 30).after(&half).run(|| ());
    cancelled.cancel();
    assert_eq!(whole.completed(), 80);
    go.set();
    outcome(&half).unwrap();
    assert!(whole.is_finished());
    let alone = ops.operation("alone").try_run(|context| Ok::<_, OperationError>(context.part(5).total()));
    assert_eq!(*outcome(&alone).unwrap(), 5);
}
