//! Cancelling, stopping, dropping.

use super::*;
use crate::sync::Ticket;

/// A pool of one whose worker waits at the door, and what it reports.
fn occupied() -> (Arc<Pool>, Events, Door) {
    let mut config = super::config(1, 1);
    let events = Events::of(&mut config);
    let (pool, door, inside) = (Pool::new(config), Door::new(), Count::new());
    let (gate, entered) = (door.clone(), inside.clone());
    loose(&pool, move || {
        entered.add();
        gate.pass();
    });
    until("the worker is inside", || inside.get() == 1);
    (pool, events, door)
}

#[test]
fn quiesce_waits_for_blocked_and_queued_jobs() {
    let (pool, _, door) = occupied();
    assert!(!pool.quiesce(Some(sync::now() + Duration::from_millis(5)), &|| false));
    let inner = Arc::clone(&pool);
    loose(&pool, move || assert!(!inner.quiesce(None, &|| false), "a job cannot wait for itself"));
    door.open();
    assert!(pool.quiesce(soon(), &|| false));
    assert_eq!((pool.counts().awake, pool.counts().queued), (0, 0));
}

#[test]
fn cancelled_loose_jobs_are_dropped_and_told_but_drains_run() {
    let (pool, events, door) = occupied();
    let (ran, kept) = (Count::new(), Arc::new(()));
    for _ in 0..100 {
        let kept = Arc::clone(&kept);
        loose(&pool, move || drop(kept));
    }
    for _ in 0..10 {
        let ran = ran.clone();
        lane(&pool, move || ran.bump());
    }
    pool.cancel_loose();
    door.open();
    assert!(pool.quiesce(soon(), &|| false));
    assert_eq!((ran.get(), events.dropped(), Arc::strong_count(&kept)), (10, 100, 1));
}

#[test]
fn stop_drops_what_is_queued_and_counts_who_still_runs() {
    let (pool, events, door) = occupied();
    let kept = Arc::new(());
    for route in [Route::Loose, Route::Lane] {
        for _ in 0..100 {
            let kept = Arc::clone(&kept);
            pool.submit(Job::new(move || drop(kept)), route, Qos::Default).unwrap();
        }
    }
    assert_eq!(pool.stop(Some(sync::now() + Duration::from_millis(5))), 1);
    assert_eq!((events.dropped(), Arc::strong_count(&kept)), (200, 1));
    let refused = pool.submit(Job::new(|| {}), Route::Loose, Qos::Default).unwrap_err();
    assert!(refused.type_name().contains("stop_drops_what_is_queued"));
    drop(refused);
    door.open();
    assert_eq!(pool.stop(soon()), 0);
    assert_eq!((pool.counts().live, events.dropped()), (0, 200));
}

#[test]
fn a_job_may_stop_its_own_pool() {
    let mut config = Config { name: "suicidal".into(), ..super::config(2, 2) };
    let events = Events::of(&mut config);
    let pool = Pool::new(config);
    let inner = Arc::clone(&pool);
    loose(&pool, move || {
        let more = Arc::clone(&inner);
        loose(&inner, move || drop(more));
        inner.stop(None);
        assert!(inner.submit(Job::new(|| {}), Route::Loose, Qos::Default).is_err());
    });
    until("all threads have left", || pool.counts().live == 0 && pool.crew.roster.state.read().is_stopped());
    assert_eq!(pool.stop(soon()), 0);
    assert!(kernel_threads("suicidal").is_empty());
    assert_eq!(events.count(|event| matches!(event, PoolEvent::JobPanicked { .. })), 0);
}

#[test]
fn submitters_and_stop_leave_no_job_untold() {
    for _ in 0..200 {
        let mut config = super::config(2, 3);
        let events = Events::of(&mut config);
        let (pool, ran) = (Pool::new(config), Count::new());
        let producers = [0, 1].map(|_| {
            let (pool, ran) = (Arc::clone(&pool), ran.clone());
            let submit = move || {
                let mut accepted = 0;
                loop {
                    let ran = ran.clone();
                    if pool.submit(Job::new(move || ran.bump()), Route::Loose, Qos::Default).is_err() {
                        return accepted;
                    }
                    accepted += 1;
                }
            };
            sync::ThreadBuilder::new().spawn(submit).unwrap()
        });
        until("something runs", || ran.get() > 10);
        assert_eq!(pool.stop(soon()), 0);
        let accepted: usize = producers.map(|producer| producer.join().unwrap()).iter().sum();
        assert_eq!(ran.get() + events.dropped(), accepted);
    }
}

#[test]
fn dropping_the_last_handle_ends_the_threads() {
    let mut config = Config { name: "orphan".into(), ..super::config(2, 8) };
    let events = Events::of(&mut config);
    let pool = Pool::new(config);
    let inner = Arc::clone(&pool);
    let (ticket, waiting) = (Arc::new(Mutex::new(None::<Arc<Ticket>>)), Count::new());
    let (slot, waits) = (Arc::clone(&ticket), waiting.clone());
    loose(&pool, move || {
        // The last handle is this job's.
        let own = Ticket::new();
        *slot.lock() = Some(Arc::clone(&own));
        waits.add();
        assert!(own.wait(&sync::Reason::Event, soon()));
        loose(&inner, || {});
    });
    until("it waits", || waiting.get() == 1);
    drop(pool);
    assert!(!kernel_threads("orphan").is_empty());
    assert!(ticket.lock().take().unwrap().grant());
    until("the threads are gone", || kernel_threads("orphan").is_empty());
    assert!(events.dropped() <= 1);
}

#[test]
fn a_pool_that_is_dropped_idle_ends_its_threads() {
    let pool = Pool::new(Config { name: "idle-drop".into(), ..config(2, 8) });
    for _ in 0..100 {
        loose(&pool, || nap(Duration::from_micros(50)));
    }
    assert!(pool.quiesce(soon(), &|| false));
    assert!(kernel_threads("idle-drop").len() >= 2);
    drop(pool);
    until("the threads are gone", || kernel_threads("idle-drop").is_empty());
}
