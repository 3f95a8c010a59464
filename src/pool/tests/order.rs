//! Nothing is hidden for ever.

use super::*;

#[test]
fn drains_are_served_during_a_flood_of_loose_jobs() {
    const FLOOD: usize = 50_000;
    let pool = Pool::new(config(1, 1));
    let door = Door::new();
    let (gate, flooded) = (door.clone(), Count::new());
    loose(&pool, move || gate.pass());
    for _ in 0..FLOOD {
        let flooded = flooded.clone();
        loose(&pool, move || flooded.bump());
    }
    // All of these lie behind the whole flood in time.
    let seen = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..10 {
        let (seen, flooded) = (Arc::clone(&seen), flooded.clone());
        lane(&pool, move || seen.lock().push(flooded.get()));
    }
    door.open();
    assert!(pool.quiesce(soon(), &|| false));
    assert_eq!(flooded.get(), FLOOD);
    let seen = seen.lock();
    assert_eq!(seen.len(), 10);
    assert!(seen.iter().all(|before| *before < 1_000), "drains waited for {seen:?} loose jobs");
}

#[test]
fn loose_jobs_are_served_beside_a_lane_that_never_ends() {
    fn again(pool: &Arc<Pool>, door: &Count) {
        if door.get() == 0 {
            let (inner, door) = (Arc::clone(pool), door.clone());
            pool.submit(Job::token(move || again(&inner, &door)), Route::Lane, Qos::Default).unwrap();
        }
    }
    let pool = Pool::new(config(1, 1));
    let (inner, done) = (Arc::clone(&pool), Count::new());
    let seen = done.clone();
    lane(&pool, move || again(&inner, &seen));
    until("the lane runs", || pool.counts().awake == 1);
    let ends = done.clone();
    loose(&pool, move || ends.bump());
    assert!(pool.quiesce(soon(), &|| false));
    assert_eq!(done.get(), 1);
}

#[test]
fn the_oldest_own_job_is_served_beside_an_endless_tree() {
    fn again(pool: &Arc<Pool>, done: &Count) {
        if done.get() == 0 {
            let (inner, done) = (Arc::clone(pool), done.clone());
            loose(pool, move || again(&inner, &done));
        }
    }
    let pool = Pool::new(config(1, 1));
    let (inner, done) = (Arc::clone(&pool), Count::new());
    let (seen, ends) = (done.clone(), done.clone());
    loose(&pool, move || {
        // This one lies at the bottom of the worker's deque, and the other always at its top.
        loose(&inner, move || ends.bump());
        again(&inner, &seen);
    });
    assert!(pool.quiesce(soon(), &|| false));
    assert_eq!(done.get(), 1);
}

#[test]
fn jobs_from_outside_run_in_order_on_one_thread() {
    let pool = Pool::new(config(1, 1));
    let seen = Arc::new(Mutex::new(Vec::new()));
    for index in 0..10_000 {
        let seen = Arc::clone(&seen);
        lane(&pool, move || seen.lock().push(index));
    }
    assert!(pool.quiesce(soon(), &|| false));
    assert!(seen.lock().iter().copied().eq(0..10_000));
}

#[test]
fn drains_from_outside_come_next_when_one_makes_way_although_the_own_deque_is_full() {
    const OWN: usize = 30;
    let pool = Pool::new(config(1, 1));
    let (inner, seen) = (Arc::clone(&pool), Arc::new(Mutex::new(Vec::new())));
    let (begun, go) = (Count::new(), Door::new());
    let (kept, tell, gate) = (Arc::clone(&seen), begun.clone(), go.clone());
    lane(&pool, move || {
        // The first look of a round: the next ones would find these.
        for _ in 0..OWN {
            let own = Arc::clone(&kept);
            inner.submit(Job::token(move || own.lock().push("own")), Route::Lane, Qos::Default).unwrap();
        }
        tell.bump();
        gate.pass();
        inner.submit(Job::token(|| ()), Route::Back, Qos::Default).unwrap();
    });
    until("the lane runs", || begun.get() == 1);
    let outside = Arc::clone(&seen);
    lane(&pool, move || outside.lock().push("outside"));
    go.open();
    assert!(pool.quiesce(soon(), &|| false));
    let seen = seen.lock();
    assert_eq!((seen[0], seen.len()), ("outside", OWN + 1));
}

#[test]
fn a_drain_that_is_to_run_beside_its_submitter_wakes_somebody_at_once() {
    let pool = Pool::new(config(2, 2));
    let (inner, awake, read) = (Arc::clone(&pool), Count::new(), Door::new());
    let (seen, done) = (awake.clone(), read.clone());
    lane(&pool, move || {
        inner.submit(Job::token(move || read.pass()), Route::Beside, Qos::Default).unwrap();
        // The sentinel would come to it too, but later than this.
        seen.raise_to(inner.counts().awake);
        done.open();
    });
    assert!(pool.quiesce(soon(), &|| false));
    assert_eq!(awake.get(), 2);
}
