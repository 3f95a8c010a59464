//! Dependencies: order, values, failures and cycles.

use super::*;
use concourse::Cancellation;
use concourse::DependencyError;
use concourse::OperationState;

#[test]
fn values_flow_along_the_edges_of_a_diamond_across_queues() {
    let runtime = runtime();
    let left = OperationQueue::builder("left").on(&runtime).max_concurrent(1).build();
    let right = OperationQueue::builder("right").on(&runtime).build();
    let source = left.operation("source").run(|| "grand central".to_owned());
    let length = left.operation("length").with(&source).run(|text: &String| text.len());
    let words =
        right.operation("words").with(&source).run(|text| text.split(' ').map(str::to_owned).collect::<Vec<_>>());
    let both = right.operation("both").with((&length, &words)).run(|(length, words)| (*length, words.join("-")));
    assert_eq!(*outcome(&both).unwrap(), (13, "grand-central".to_owned()));
    let four = left.operation("four").with((&length, &words, &both, &source)).try_run(|context, (a, b, c, d)| {
        assert_eq!(context.label(), "four");
        Ok::<_, OperationError>(*a == d.len() && b.len() == 2 && c.0 == *a)
    });
    assert!(*outcome(&four).unwrap());
}

#[test]
fn many_inputs_come_in_their_order() {
    let runtime = runtime();
    let ops = OperationQueue::builder("many").on(&runtime).build();
    let parts: Vec<_> = (0..500).map(|n| ops.operation("part").run(move || n)).collect();
    let all = ops
        .operation("all")
        .with((&parts, &parts[..2]))
        .run(|(all, two)| all.into_iter().copied().eq(0..500) && two == [&0, &1]);
    assert!(*outcome(&all).unwrap());
    let none = ops.operation("none").with(&Vec::<Operation<i32>>::new()).run(|none| none.len());
    assert_eq!(*outcome(&none).unwrap(), 0);
}

#[test]
fn an_operation_begins_after_all_that_it_depends_on() {
    let runtime = runtime();
    let ops = OperationQueue::builder("chain").on(&runtime).build();
    let log = Log::default();
    let guard = ops.suspend_guard().unwrap();
    let a = ops.operation("a").run(log.entry("a"));
    let b = ops.operation("b").after(&a).run(log.entry("b"));
    let c = ops.operation("c").after(&a).after(&b).run(log.entry("c"));
    let d = ops.operation("d").after(&c).after(&c).after_end_of(&a).run(log.entry("d"));
    assert_eq!(
        [a.state(), b.state(), d.state()],
        [OperationState::Ready, OperationState::Pending, OperationState::Pending]
    );
    drop(guard);
    outcome(&d).unwrap();
    assert_eq!(log.read(), "a b c d");
    let late = ops.operation("late").after(&a).run(|| ());
    outcome(&late).unwrap();
}

#[test]
fn what_depends_on_a_failure_is_skipped_and_says_where_that_began() {
    let runtime = runtime();
    let ops = OperationQueue::builder("skipped").on(&runtime).build();
    let failed = ops.operation("failed").try_run(|_| Err::<u32, _>(std::fmt::Error));
    let first = ops.operation("first").with(&failed).run(|_| unreachable!());
    let second: Operation<()> = ops.operation("second").after(&first).run(|| unreachable!());
    let Err(OperationError::Skipped { dependency, error }) = outcome(&second) else { panic!("{second:?}") };
    assert_eq!(&*dependency, "failed");
    let OperationError::Failed { error } = &*error else { panic!("{error}") };
    assert!(error.is::<std::fmt::Error>());
    assert_eq!((first.state(), second.cancel()), (OperationState::Failed, Cancellation::NeverRan));
    let late: Operation<()> = ops.operation("late").after(&failed).run(|| unreachable!());
    assert!(matches!(outcome(&late), Err(OperationError::Skipped { .. })));
}

#[test]
fn panics_and_cancellations_skip_as_errors_do() {
    let runtime = runtime();
    let ops = OperationQueue::builder("skipped").on(&runtime).build();
    let panicked: Operation<()> = ops.operation("panicked").run(|| panic!("out of paper"));
    let cancelled =
        OperationQueue::builder("held").on(&runtime).max_concurrent(0).build().operation("cancelled").run(|| ());
    cancelled.cancel();
    for failed in [&panicked, &cancelled] {
        let captured = Arc::new(());
        let kept = Arc::clone(&captured);
        let skipped = ops.operation("skipped").after(failed).run(move || drop(kept));
        assert!(matches!(outcome(&skipped), Err(OperationError::Skipped { .. })));
        assert_eq!(Arc::strong_count(&captured), 1);
    }
    assert!(outcome(&panicked).unwrap_err().to_string().ends_with("out of paper"));
}

#[test]
fn an_operation_may_run_whatever_becomes_of_others_with_or_without_their_results() {
    let runtime = runtime();
    let ops = OperationQueue::builder("anyway").on(&runtime).build();
    let good = ops.operation("good").run(|| 1);
    let bad = ops.operation("bad").try_run(|_| Err::<i32, _>("bad"));
    let anyway = ops.operation("anyway").after_end_of(&bad).after(&good).run(|| "ran");
    assert_eq!(*outcome(&anyway).unwrap(), "ran");
    let sum = ops.operation("sum").with((good.or(10), bad.or(20))).run(|(a, b)| a + b);
    assert_eq!(*outcome(&sum).unwrap(), 21);
    let told = ops.operation("told").with((good.result(), bad.result())).run(|(a, b)| {
        assert_eq!(a.unwrap(), &1);
        b.unwrap_err().to_string()
    });
    assert_eq!(*outcome(&told).unwrap(), "the operation failed: bad");
}

#[test]
fn one_failure_skips_at_once_though_others_still_run() {
    let runtime = runtime();
    let ops = OperationQueue::builder("at once").on(&runtime).build();
    let go = Event::new();
    let running = busy(&ops, &go);
    let bad = ops.operation("bad").try_run(|_| Err::<(), _>("bad"));
    let both: Operation<()> = ops.operation("both").after(&running).after(&bad).run(|| unreachable!());
    assert!(matches!(outcome(&both), Err(OperationError::Skipped { .. })));
    assert_eq!(running.state(), OperationState::Running);
    go.set();
    ops.wait_timeout(GENEROUS).unwrap();
}

#[test]
fn a_cycle_is_refused_and_named_and_changes_nothing() {
    let runtime = runtime();
    let (ops, other) =
        (OperationQueue::builder("ops").on(&runtime).build(), OperationQueue::builder("other").on(&runtime));
    let other = other.build();
    let guards = [ops.suspend_guard().unwrap(), other.suspend_guard().unwrap()];
    let a = ops.operation("a").run(|| ());
    let b = other.operation("b").after(&a).run(|| ());
    let c = ops.operation("c").after(&b).run(|| ());
    let labels = |error| match error {
        DependencyError::Cycle { labels } => labels.join(" "),
        other => panic!("{other}"),
    };
    assert_eq!(labels(a.add_dependency(&c).unwrap_err()), "a c b a");
    assert_eq!(labels(a.add_dependency(&b).unwrap_err()), "a b a");
    assert_eq!(labels(a.add_dependency(&a).unwrap_err()), "a a");
    assert_eq!(a.state(), OperationState::Ready);
    let d = other.operation("d").run(|| ());
    a.add_dependency(&d).unwrap();
    assert_eq!(a.state(), OperationState::Pending);
    assert_eq!(labels(d.add_dependency(&c).unwrap_err()), "d c b a d");
    drop(guards);
    for operation in [&c, &a, &d] {
        outcome(operation).unwrap();
    }
    assert_eq!(a.add_dependency(&c).unwrap_err(), DependencyError::TooLate { label: "a".into() });
}

#[test]
fn a_cycle_that_several_threads_close_together_is_never_left() {
    let runtime = runtime();
    for _ in 0..200 {
        let ops = OperationQueue::builder("race").on(&runtime).max_concurrent(0).build();
        let ring: Vec<_> = (0..3).map(|_| ops.operation("ring").run(|| ())).collect();
        std::thread::scope(|scope| {
            let add = |place: usize| {
                let ring = &ring;
                scope.spawn(move || ring[place].add_dependency(&ring[(place + 1) % 3]))
            };
            // ThreadSanitizer sees no other join than an explicit one.
            [0, 1, 2].map(add).into_iter().for_each(|thread| _ = thread.join().unwrap());
        });
        ops.set_max_concurrent(1);
        for operation in &ring {
            outcome(operation).unwrap();
        }
    }
}

#[test]
fn a_dependency_that_has_failed_already_skips_when_it_is_added() {
    let runtime = runtime();
    let ops = OperationQueue::builder("late").on(&runtime).build();
    let bad = ops.operation("bad").try_run(|_| Err::<(), _>("bad"));
    assert!(outcome(&bad).is_err());
    let guard = ops.suspend_guard().unwrap();
    let waits = ops.operation("waits").run(|| ());
    waits.add_dependency(&bad).unwrap();
    assert!(matches!(outcome(&waits), Err(OperationError::Skipped { .. })));
    drop(guard);
}

#[test]
fn chains_may_be_longer_than_any_stack() {
    let runtime = runtime();
    for fails in [false, true] {
        let ops = OperationQueue::builder("long").on(&runtime).build();
        let guard = ops.suspend_guard().unwrap();
        let mut last = ops.operation("first").try_run(move |_| if fails { Err("first") } else { Ok(0_u64) });
        for _ in 0..20_000 {
            last = ops.operation("next").with(&last).run(|n| n + 1);
        }
        drop(guard);
        match outcome(&last) {
            Ok(length) => assert!(!fails && *length == 20_000),
            Err(OperationError::Skipped { .. }) => assert!(fails),
            Err(other) => panic!("{other}"),
        }
        ops.wait_timeout(GENEROUS).unwrap();
    }
}

#[test]
fn a_chain_is_linked_afterwards_from_either_end_and_in_no_order() {
    const LENGTH: usize = 20_000;
    let runtime = runtime();
    // Each place once: the step has no factor in common with the length.
    let orders: [fn(usize) -> usize; 3] = [|step| step, |step| LENGTH - 1 - step, |step| step * 7_919 % LENGTH];
    for place in orders {
        let ops = OperationQueue::builder("chain").on(&runtime).max_concurrent(4).build();
        let (guard, ran) = (ops.suspend_guard().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let links: Vec<_> = (0..=LENGTH)
            .map(|number| {
                let ran = Arc::clone(&ran);
                ops.operation("link").run(move || ran.lock().unwrap().push(number))
            })
            .collect();
        for place in (0..LENGTH).map(place) {
            links[place + 1].add_dependency(&links[place]).unwrap();
        }
        let Err(DependencyError::Cycle { labels }) = links[0].add_dependency(&links[LENGTH]) else { panic!("a ring") };
        assert_eq!(labels.len(), LENGTH + 2);
        drop(guard);
        ops.wait_timeout(GENEROUS).unwrap();
        assert!(ran.lock().unwrap().iter().copied().eq(0..=LENGTH), "one after another");
    }
}

#[test]
fn a_barrier_waits_for_what_is_there_and_holds_what_comes() {
    let runtime = runtime();
    let ops = OperationQueue::builder("barrier").on(&runtime).build();
    let (log, guard) = (Log::default(), ops.suspend_guard().unwrap());
    let bad = ops.operation("bad").try_run(|_| Err::<(), _>("bad"));
    for label in ["a", "a", "a"] {
        ops.operation(label).run(log.entry(label));
    }
    let barrier = ops.operation("|").barrier().run(log.entry("|"));
    for label in ["b", "b"] {
        ops.operation(label).run(log.entry(label));
    }
    ops.operation("||").barrier().run(log.entry("||"));
    let last = ops.operation("c").run(log.entry("c"));
    assert_eq!((ops.len(), barrier.state(), last.state()), (9, OperationState::Pending, OperationState::Pending));
    drop(guard);
    ops.wait_timeout(GENEROUS).unwrap();
    assert_eq!(log.read(), "a a a | b b || c");
    assert!(bad.is_over());
    let error = outcome(&ops.operation("free").after(&bad).barrier().run(|| ())).unwrap_err();
    assert!(matches!(error, OperationError::Skipped { .. }));
}

#[test]
fn a_cancelled_barrier_holds_nobody() {
    let runtime = runtime();
    let ops = OperationQueue::builder("barrier").on(&runtime).build();
    let go = Event::new();
    let running = busy(&ops, &go);
    let barrier = ops.operation("barrier").barrier().run(|| ());
    let behind = ops.operation("behind").run(|| ());
    assert_eq!(behind.state(), OperationState::Pending);
    barrier.cancel();
    outcome(&behind).unwrap();
    assert!(!running.is_over());
    go.set();
    outcome(&running).unwrap();
}

#[test]
fn barriers_hold_as_few_edges_as_say_what_waits_for_what() {
    let runtime = runtime();
    let ops = OperationQueue::builder("barriers").on(&runtime).max_concurrent(0).build();
    let arrows = || ops.dot().lines().filter(|line| line.contains("->")).count();
    let [first, second] = [(); 2].map(|()| ops.operation("before").run(|| ()));
    let barriers = [(); 3].map(|()| ops.operation("barrier").barrier().run(|| ()));
    let behind = ops.operation("behind").after(&second).run(|| ());
    assert_eq!(arrows(), 2 + 1 + 1 + 2, "the operations before, barrier by barrier, and what is behind");
    barriers[1].cancel();
    assert_eq!(arrows(), 2 + 1 + 2, "the third barrier waits for the first");
    barriers[2].cancel();
    assert_eq!(arrows(), 2 + 2, "what is behind waits for the first");
    barriers[0].cancel();
    assert_eq!(arrows(), 1);
    assert_eq!((first.state(), behind.state()), (OperationState::Ready, OperationState::Pending));
    assert!(matches!(second.add_dependency(&behind), Err(DependencyError::Cycle { .. })));
    first.add_dependency(&behind).unwrap();
    ops.set_max_concurrent(4);
    outcome(&first).unwrap();
}

#[test]
fn ten_thousand_barriers_hold_no_more_than_their_neighbours_and_keep_the_order() {
    const BARRIERS: usize = 10_000;
    let runtime = runtime();
    let ops = OperationQueue::builder("barriers").on(&runtime).max_concurrent(8).build();
    let (guard, log) = (ops.suspend_guard().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let entry = |number: usize| {
        let log = Arc::clone(&log);
        move || log.lock().unwrap().push(number)
    };
    let first = ops.operation("first").run(entry(0));
    let mut last = first.clone();
    for number in 1..=BARRIERS {
        ops.operation("barrier").barrier().run(entry(2 * number - 1));
        // Of two in between, the second is cancelled, and holds nobody.
        last = ops.operation("operation").run(entry(2 * number));
        ops.operation("cancelled").run(|| unreachable!()).cancel();
    }
    let arrows = ops.dot().lines().filter(|line| line.contains("->")).count();
    assert_eq!(arrows, 3 * BARRIERS - 1, "each barrier has two neighbours before it, but the first, and one behind it");
    let Err(DependencyError::Cycle { labels }) = first.add_dependency(&last) else { panic!("it is before them all") };
    assert_eq!((&*labels[0], labels.last()), ("first", labels.first()));
    drop(guard);
    ops.wait_timeout(GENEROUS).unwrap();
    assert!(log.lock().unwrap().iter().copied().eq(0..=2 * BARRIERS), "one after another");
}

#[test]
fn a_cancelled_barrier_in_between_leaves_the_next_one_waiting_for_what_was_before_it() {
    let runtime = runtime();
    let ops = OperationQueue::builder("barriers").on(&runtime).max_concurrent(8).build();
    let (log, go) = (Log::default(), Event::new());
    let running = busy(&ops, &go);
    let between = ops.operation("between").barrier().run(log.entry("between"));
    ops.operation("a").run(log.entry("a"));
    let next = ops.operation("|").barrier().run(log.entry("|"));
    let last = ops.operation("b").run(log.entry("b"));
    between.cancel();
    wait_until("what no barrier holds back has run", || log.read() == "a");
    assert_eq!((next.state(), last.state()), (OperationState::Pending, OperationState::Pending));
    go.set();
    outcome(&running).unwrap();
    outcome(&last).unwrap();
    assert_eq!(log.read(), "a | b");
}

#[test]
fn a_wait_for_what_a_barrier_holds_back_until_the_waiter_is_over_is_an_error() {
    let runtime = runtime();
    let ops = OperationQueue::builder("barriers").on(&runtime).max_concurrent(8).build();
    let own = ops.clone();
    let outer = ops.operation("outer").run(move || {
        let [cancelled, _] = [(); 2].map(|()| own.operation("barrier").barrier().run(|| ()));
        let behind = own.operation("behind").run(|| ());
        cancelled.cancel();
        behind.wait_timeout(GENEROUS).map(|value| *value)
    });
    assert!(matches!(*outcome(&outer).unwrap(), Err(OperationError::WouldDeadlock { .. })));
    ops.wait_timeout(GENEROUS).unwrap();
}
