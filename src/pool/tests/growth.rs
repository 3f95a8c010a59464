//! Who blocks makes room for others, up to the cap, and the room goes away again.

use super::*;
use crate::pool::StallPolicy;
use crate::sync::Reason;
use crate::sync::Ticket;

#[test]
fn threads_asleep_in_the_kernel_make_room() {
    let pool = Pool::new(config(2, 16));
    let (door, inside) = (Door::new(), Count::new());
    for _ in 0..16 {
        let (door, inside) = (door.clone(), inside.clone());
        loose(&pool, move || {
            inside.add();
            door.pass();
        });
    }
    until("all are inside", || inside.get() == 16);
    assert_eq!(pool.counts().live, 16);
    door.open();
    assert!(pool.quiesce(soon(), &|| false));
}

#[test]
fn the_cap_is_never_exceeded() {
    let pool = Pool::new(Config { name: "capped".into(), ..config(2, 5) });
    let (inside, most) = (Count::new(), Count::new());
    for _ in 0..300 {
        let (inside, most) = (inside.clone(), most.clone());
        loose(&pool, move || {
            most.raise_to(inside.add());
            nap(Duration::from_millis(1));
            inside.sub();
        });
    }
    until("everything has run", || {
        assert!(pool.counts().live <= 5);
        assert!(kernel_threads("capped").len() <= 6, "five workers and the sentinel");
        pool.quiesce(Some(sync::now()), &|| false)
    });
    assert!((2..=5).contains(&most.get()), "{} at a time", most.get());
}

// Under ThreadSanitizer a thread that computes also sleeps: in the checker's own locks.
#[cfg(not(concourse_tsan))]
#[test]
fn busy_threads_make_no_room() {
    let pool = Pool::new(config(2, 16));
    for _ in 0..40 {
        loose(&pool, || {
            let end = sync::now() + Duration::from_millis(15);
            while sync::now() < end {
                sync::spin_loop();
            }
        });
    }
    assert!(pool.quiesce(soon(), &|| false));
    assert!(pool.counts().started <= 2, "{:?}", pool.counts());
}

#[test]
fn an_own_wait_makes_room_at_once() {
    for threads in [1, 2] {
        let config = Config { spawn: super::shortage::without_sentinel(), ..super::config(threads, 16) };
        let pool = Pool::new(config);
        // A chain: each job waits for the next, so all but the last are blocked at the same time.
        fn link(pool: &Arc<Pool>, left: usize, count: &Count) {
            count.add();
            if left > 0 {
                let ticket = Ticket::new();
                let (inner, count, grant) = (Arc::clone(pool), count.clone(), Arc::clone(&ticket));
                loose(pool, move || {
                    link(&inner, left - 1, &count);
                    assert!(grant.grant());
                });
                assert!(ticket.wait(&Reason::Completion, soon()));
            }
        }
        let (inner, count) = (Arc::clone(&pool), Count::new());
        let seen = count.clone();
        loose(&pool, move || link(&inner, 15, &seen));
        assert!(pool.quiesce(soon(), &|| false));
        assert_eq!((count.get(), pool.counts().started), (16, 16));
        assert_eq!(pool.counts().blocked, 0);
    }
}

#[test]
fn blocking_makes_room_at_once() {
    let config = Config { spawn: super::shortage::without_sentinel(), ..super::config(1, 2) };
    let pool = Pool::new(config);
    let door = Door::new();
    let (opener, inner) = (door.clone(), Arc::clone(&pool));
    loose(&pool, move || {
        loose(&inner, move || opener.open());
        // Nested: counted once.
        sync::blocking(|| sync::blocking(|| door.pass()));
        assert_eq!(inner.counts().blocked, 0);
    });
    assert!(pool.quiesce(soon(), &|| false));
    assert_eq!(sync::blocking(|| 7), 7);
}

#[test]
fn a_panic_while_blocking_is_unblocked() {
    let mut config = config(1, 2);
    let events = Events::with_panics(&mut config);
    let pool = Pool::new(config);
    loose(&pool, || sync::blocking(|| panic_silently("blocked".into())));
    assert!(pool.quiesce(soon(), &|| false));
    assert_eq!((pool.counts().blocked, events.0.lock().len()), (0, 1));
}

#[test]
fn spare_threads_go_when_they_have_been_idle() {
    let mut config = Config { spare_idle: Duration::from_millis(20), name: "spare".into(), ..super::config(2, 12) };
    let stopped = Count::new();
    let stop = stopped.clone();
    config.on_thread_stop = Some(Arc::new(move || stop.bump()));
    let pool = Pool::new(config);
    for _ in 0..3 {
        let (door, inside) = (Door::new(), Count::new());
        for _ in 0..12 {
            let (door, inside) = (door.clone(), inside.clone());
            loose(&pool, move || {
                inside.add();
                sync::blocking(|| door.pass());
            });
        }
        until("all are inside", || inside.get() == 12);
        door.open();
        // Two that go at the same time may leave fewer than two behind.
        until("the spares are gone", || {
            let counts = pool.counts();
            counts.live <= 2 && stopped.get() + counts.live == counts.started as usize
        });
        until("their threads too", || kernel_threads("spare").len() <= 3);
    }
    assert!(pool.quiesce(soon(), &|| false));
}

#[test]
fn the_limit_comes_back_down() {
    let pool = Pool::new(config(2, 8));
    for _ in 0..100 {
        loose(&pool, || nap(Duration::from_millis(1)));
    }
    assert!(pool.quiesce(soon(), &|| false));
    until("the limit is at rest", || pool.counts().limit == 2);
    until("nobody watches", || !pool.crew.roster.state.read().is_watched());
}

fn is_stalled(event: &PoolEvent) -> bool {
    matches!(event, PoolEvent::Stalled(_))
}

/// Fills a pool of two with waits that only a third job would end; returns what grants them.
fn deadlock(pool: &Arc<Pool>) -> Arc<Mutex<Vec<Arc<Ticket>>>> {
    let waiting = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..2 {
        let waiting = Arc::clone(&waiting);
        loose(pool, move || {
            let ticket = Ticket::new();
            waiting.lock().push(Arc::clone(&ticket));
            assert!(ticket.wait(&Reason::Semaphore, soon()));
        });
    }
    until("both wait", || pool.counts().blocked == 2);
    let grants = Arc::clone(&waiting);
    loose(pool, move || grants.lock().drain(..).for_each(|ticket| assert!(ticket.grant())));
    waiting
}

#[test]
fn a_standstill_is_reported_once_per_episode() {
    let mut config = super::config(2, 2);
    let events = Events::of(&mut config);
    let pool = Pool::new(config);
    for episode in 1..=2 {
        let waiting = deadlock(&pool);
        until("it is reported", || events.count(is_stalled) == episode);
        // The sentinel has nothing to add, and sleeps.
        until("nobody watches", || !pool.crew.roster.state.read().is_watched());
        // Another job of the same episode is no news.
        loose(&pool, || {});
        until("nobody watches", || !pool.crew.roster.state.read().is_watched());
        assert_eq!(events.count(is_stalled), episode);
        waiting.lock().drain(..).for_each(|ticket| assert!(ticket.grant()));
        assert!(pool.quiesce(soon(), &|| false));
    }
    let told = events.0.lock();
    let Some(PoolEvent::Stalled(stall)) = told.first() else { panic!("{told:?}") };
    assert_eq!(stall.blocked, [(0, Reason::Semaphore), (1, Reason::Semaphore)]);
    assert_eq!(stall.queued, 1);
}

#[test]
fn a_standstill_may_grow_the_pool() {
    let mut config = Config { stall: StallPolicy::Grow(1), ..super::config(2, 2) };
    let events = Events::of(&mut config);
    let pool = Pool::new(config);
    deadlock(&pool);
    assert!(pool.quiesce(soon(), &|| false));
    assert_eq!((events.count(is_stalled), pool.counts().started), (1, 3));
}
