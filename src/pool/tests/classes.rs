//! The more urgent class goes first, and none waits for ever.

use super::*;

const CLASSES: [Qos; 5] = Qos::ALL;

/// What one class waits for at most: each of the others has its turn every 61st time.
const PATIENCE_OF_A_CLASS: usize = 61 * (CLASSES.len() - 1);

fn submit(pool: &Pool, qos: Qos, route: Route, f: impl FnOnce() + Send + 'static) {
    pool.submit(if route == Route::Loose { Job::new(f) } else { Job::token(f) }, route, qos).unwrap();
}

/// A pool whose only worker stands at the door, inside a job.
fn held(door: &Door) -> Arc<Pool> {
    let (pool, gate, began) = (Pool::new(config(1, 1)), door.clone(), Count::new());
    let begins = began.clone();
    loose(&pool, move || {
        begins.bump();
        gate.pass();
    });
    until("the worker stands at the door", || began.get() == 1);
    pool
}

/// Keeps the order in which jobs run.
#[derive(Clone)]
struct Log(Arc<Mutex<Vec<Qos>>>);

impl Log {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Vec::new())))
    }

    fn job(&self, qos: Qos) -> impl FnOnce() + Send + 'static {
        let log = self.clone();
        move || log.0.lock().push(qos)
    }

    fn is_strict(&self) -> bool {
        self.0.lock().is_sorted_by(|one, next| one >= next)
    }
}

#[test]
fn one_worker_takes_the_most_urgent_first() {
    for routes in [[Route::Loose; 2], [Route::Lane; 2], [Route::Lane, Route::Loose], [Route::Back, Route::Loose]] {
        let (door, log) = (Door::new(), Log::new());
        let pool = held(&door);
        for round in 0..4 {
            for qos in CLASSES {
                submit(&pool, qos, routes[round % 2], log.job(qos));
            }
        }
        door.open();
        assert!(pool.quiesce(soon(), &|| false));
        assert!(log.is_strict(), "{:?}", log.0.lock());
        assert_eq!(log.0.lock().len(), 20);
    }
}

#[test]
fn jobs_of_jobs_have_the_class_that_they_were_given() {
    for route in [Route::Loose, Route::Lane] {
        let (pool, log) = (Pool::new(config(1, 1)), Log::new());
        let (inner, inner_log) = (Arc::clone(&pool), log.clone());
        submit(&pool, Qos::Utility, route, move || {
            // The own deque's class among them, neither first nor last.
            for qos in [CLASSES, CLASSES].concat() {
                submit(&inner, qos, route, inner_log.job(qos));
            }
        });
        assert!(pool.quiesce(soon(), &|| false));
        assert!(log.is_strict(), "{:?}", log.0.lock());
        assert_eq!(log.0.lock().len(), 10);
    }
}

#[test]
fn an_urgent_job_overtakes_what_lies_in_the_own_deque() {
    let (pool, log) = (Pool::new(config(1, 1)), Log::new());
    let (inner, inner_log) = (Arc::clone(&pool), log.clone());
    submit(&pool, Qos::Background, Route::Loose, move || {
        for _ in 0..5 {
            let (inmost, deepest_log) = (Arc::clone(&inner), inner_log.clone());
            let background = inner_log.job(Qos::Background);
            submit(&inner, Qos::Background, Route::Loose, move || {
                background();
                submit(&inmost, Qos::UserInteractive, Route::Loose, deepest_log.job(Qos::UserInteractive));
            });
        }
    });
    assert!(pool.quiesce(soon(), &|| false));
    assert_eq!(*log.0.lock(), [Qos::Background, Qos::UserInteractive].repeat(5));
}

#[test]
fn no_class_waits_for_more_than_its_turn() {
    const FLOOD: usize = 5_000;
    for route in [Route::Loose, Route::Lane] {
        let (door, ran) = (Door::new(), Count::new());
        let pool = held(&door);
        let seen = Arc::new(Mutex::new(Vec::new()));
        for _ in 0..FLOOD {
            let ran = ran.clone();
            submit(&pool, Qos::UserInteractive, route, move || ran.bump());
        }
        for qos in &CLASSES[..4] {
            let (seen, ran) = (Arc::clone(&seen), ran.clone());
            submit(&pool, *qos, Route::Loose, move || seen.lock().push(ran.get()));
        }
        door.open();
        assert!(pool.quiesce(soon(), &|| false));
        assert_eq!(ran.get(), FLOOD);
        let seen = seen.lock();
        assert_eq!(seen.len(), 4);
        assert!(seen.iter().all(|before| (1..PATIENCE_OF_A_CLASS).contains(before)), "{seen:?}");
    }
}

#[test]
fn both_injectors_of_a_waiting_class_have_their_turn() {
    const FLOOD: usize = 5_000;
    let (door, ran) = (Door::new(), Count::new());
    let pool = held(&door);
    for _ in 0..FLOOD {
        let ran = ran.clone();
        submit(&pool, Qos::UserInteractive, Route::Lane, move || ran.bump());
    }
    let seen = Arc::new(Mutex::new(Vec::new()));
    for route in [Route::Lane, Route::Lane, Route::Lane, Route::Loose] {
        let (seen, ran) = (Arc::clone(&seen), ran.clone());
        submit(&pool, Qos::Background, route, move || seen.lock().push((route, ran.get())));
    }
    door.open();
    assert!(pool.quiesce(soon(), &|| false));
    let seen = seen.lock();
    assert!(seen[..2].iter().any(|(route, _)| *route == Route::Loose), "{seen:?}");
    assert!(seen.iter().all(|(_, before)| *before < FLOOD / 2), "{seen:?}");
}

#[test]
fn a_background_tree_does_not_hide_behind_an_urgent_one_that_never_ends() {
    fn again(pool: &Arc<Pool>, done: &Count) {
        if done.get() == 0 {
            let (inner, done) = (Arc::clone(pool), done.clone());
            submit(pool, Qos::UserInteractive, Route::Loose, move || again(&inner, &done));
        }
    }
    let (pool, done) = (Pool::new(config(1, 1)), Count::new());
    let (inner, seen, ends) = (Arc::clone(&pool), done.clone(), done.clone());
    submit(&pool, Qos::Background, Route::Loose, move || {
        // It lies in the own deque, whose class the endless one always overtakes.
        submit(&inner, Qos::Background, Route::Loose, move || ends.bump());
        again(&inner, &seen);
    });
    assert!(pool.quiesce(soon(), &|| false));
    assert_eq!(done.get(), 1);
}

#[test]
fn thieves_take_the_most_urgent_job_wherever_it_lies() {
    let (pool, door, log, began) = (Pool::new(config(2, 2)), Door::new(), Log::new(), Count::new());
    // The first worker keeps urgent jobs in its deque and does not come to them; the second one has a choice.
    let (inner, inner_log, begins) = (Arc::clone(&pool), log.clone(), began.clone());
    let (stand, comes) = (door.clone(), began.clone());
    submit(&pool, Qos::Default, Route::Loose, move || {
        comes.bump();
        stand.pass();
    });
    until("the first stands", || began.get() == 1);
    let ends = Door::new();
    let end = ends.clone();
    submit(&pool, Qos::UserInteractive, Route::Loose, move || {
        for _ in 0..5 {
            submit(&inner, Qos::UserInteractive, Route::Loose, inner_log.job(Qos::UserInteractive));
        }
        begins.bump();
        end.pass();
    });
    until("the second has jobs in its deque", || began.get() == 2);
    for _ in 0..5 {
        submit(&pool, Qos::UserInitiated, Route::Lane, log.job(Qos::UserInitiated));
    }
    door.open();
    until("the first has taken them all", || log.0.lock().len() == 10);
    ends.open();
    assert!(pool.quiesce(soon(), &|| false));
    assert!(log.is_strict(), "{:?}", log.0.lock());
}

#[test]
fn trees_of_all_classes_run_to_their_last_leaf() {
    fn plant(pool: &Arc<Pool>, depth: usize, count: &Count) {
        count.bump();
        if depth > 0 {
            for (route, qos) in [(Route::Lane, CLASSES[depth % 5]), (Route::Loose, CLASSES[depth / 2])] {
                let (inner, count) = (Arc::clone(pool), count.clone());
                submit(pool, qos, route, move || plant(&inner, depth - 1, &count));
            }
        }
    }
    let pool = Pool::new(config(3, 6));
    for round in 1..=20 {
        let count = Count::new();
        for qos in CLASSES {
            let (inner, count) = (Arc::clone(&pool), count.clone());
            submit(&pool, qos, Route::Loose, move || plant(&inner, 9, &count));
        }
        assert!(pool.quiesce(soon(), &|| false));
        assert_eq!(count.get(), 5 * ((1 << 10) - 1), "round {round}");
        assert_eq!(pool.counts().queued, 0);
    }
}
