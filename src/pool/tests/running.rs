//! Every job runs, once.

use super::*;

#[test]
fn every_job_from_outside_runs_once() {
    const JOBS: usize = 100_000;
    let pool = Pool::new(config(3, 8));
    let runs: Arc<[AtomicUsize]> = (0..JOBS).map(|_| AtomicUsize::new(0)).collect();
    let producers: Vec<_> = (0..2)
        .map(|producer| {
            let (pool, runs) = (Arc::clone(&pool), Arc::clone(&runs));
            let submit = move || {
                for index in (producer..JOBS).step_by(2) {
                    let runs = Arc::clone(&runs);
                    let job = move || {
                        runs[index].fetch_add(1, Ordering::Relaxed);
                    };
                    if index % 3 == 0 { lane(&pool, job) } else { loose(&pool, job) }
                }
            };
            sync::ThreadBuilder::new().spawn(submit).unwrap()
        })
        .collect();
    producers.into_iter().for_each(|producer| producer.join().unwrap());
    assert!(pool.quiesce(soon(), &|| false));
    assert!(runs.iter().all(|runs| runs.load(Ordering::Relaxed) == 1));
    assert_eq!(pool.counts().queued, 0);
}

fn spawn_tree(pool: &Arc<Pool>, depth: usize, count: &Count) {
    count.add();
    if depth > 0 {
        for route in [Route::Lane, Route::Loose] {
            let (submitter, child, count) = (Arc::clone(pool), Arc::clone(pool), count.clone());
            submitter.submit(Job::new(move || spawn_tree(&child, depth - 1, &count)), route, Qos::Default).unwrap();
        }
    }
}

#[test]
fn a_tree_of_jobs_runs_to_its_last_leaf() {
    let pool = Pool::new(config(2, 4));
    let count = Count::new();
    for _ in 0..4 {
        let (inner, count) = (Arc::clone(&pool), count.clone());
        loose(&pool, move || spawn_tree(&inner, 12, &count));
        assert!(pool.quiesce(soon(), &|| false));
    }
    assert_eq!(count.get(), 4 * ((1 << 13) - 1));
}

#[test]
fn a_drain_that_goes_to_the_back_runs_again() {
    fn turn(pool: &Arc<Pool>, left: usize, count: &Count) {
        count.add();
        if left > 0 {
            let (inner, count) = (Arc::clone(pool), count.clone());
            pool.submit(Job::token(move || turn(&inner, left - 1, &count)), Route::Back, Qos::Default).unwrap();
        }
    }
    let pool = Pool::new(config(2, 2));
    let count = Count::new();
    for _ in 0..5 {
        let (inner, count) = (Arc::clone(&pool), count.clone());
        lane(&pool, move || turn(&inner, 999, &count));
    }
    assert!(pool.quiesce(soon(), &|| false));
    assert_eq!(count.get(), 5_000);
}

#[test]
fn a_pool_without_work_has_no_threads() {
    let pool = Pool::new(Config { name: "unborn".into(), ..config(4, 8) });
    assert!(pool.quiesce(soon(), &|| false));
    assert_eq!((pool.counts().live, pool.counts().started), (0, 0));
    assert!(kernel_threads("unborn").is_empty());
    assert!(!pool.is_quiet(), "the calling thread is no worker");
    assert_eq!(pool.max_threads(), 8);
}

#[test]
fn lone_jobs_do_not_start_more_threads_than_run() {
    let pool = Pool::new(config(2, 64));
    for _ in 0..2_000 {
        loose(&pool, || {});
        assert!(pool.quiesce(soon(), &|| false));
    }
    assert!(pool.counts().started <= 2, "{:?}", pool.counts());
}

#[test]
fn a_quiet_job_is_not_forgotten_behind_a_long_one() {
    let pool = Pool::new(config(2, 2));
    for _ in 0..50 {
        let (door, inner) = (Door::new(), Arc::clone(&pool));
        loose(&pool, move || {
            let opener = door.clone();
            lane(&inner, move || opener.open());
            // Only the pushed drain opens the door, and this worker does not come to it.
            door.pass();
        });
        assert!(pool.quiesce(soon(), &|| false));
    }
}

#[test]
fn a_drain_that_is_handed_on_calls_nobody_else() {
    fn hand_on(pool: &Arc<Pool>, left: usize) {
        if left > 0 {
            let inner = Arc::clone(pool);
            lane(pool, move || hand_on(&inner, left - 1));
        }
    }
    let pool = Pool::new(Config { spawn: super::shortage::with_blind_sentinel(), ..config(2, 2) });
    hand_on(&pool, 10_000);
    assert!(pool.quiesce(soon(), &|| false));
    assert_eq!(pool.counts().started, 1);
}

#[test]
fn a_second_job_of_a_long_one_does_not_wait_for_the_sentinel() {
    let config = Config { spawn: super::shortage::without_sentinel(), ..super::config(2, 2) };
    let pool = Pool::new(config);
    for _ in 0..50 {
        let (door, inner) = (Door::new(), Arc::clone(&pool));
        loose(&pool, move || {
            for _ in 0..2 {
                let opener = door.clone();
                lane(&inner, move || opener.open());
            }
            door.pass();
        });
        assert!(pool.quiesce(soon(), &|| false));
    }
}

#[test]
fn a_panic_costs_neither_the_worker_nor_the_jobs_behind_it() {
    let mut config = super::config(1, 1);
    let events = Events::with_panics(&mut config);
    let pool = Pool::new(config);
    let count = Count::new();
    for index in 0..100 {
        let count = count.clone();
        loose(&pool, move || {
            count.add();
            if index % 10 == 0 {
                panic_silently(format!("job {index}"));
            }
        });
    }
    assert!(pool.quiesce(soon(), &|| false));
    assert_eq!(count.get(), 100);
    assert_eq!(pool.counts().started, 1);
    let told = events.0.lock();
    assert_eq!(told.len(), 10);
    for event in told.iter() {
        let PoolEvent::JobPanicked { panic, type_name } = event else { panic!("{event:?}") };
        assert!(panic.message().starts_with("job "), "{panic:?}");
        assert!(type_name.contains("a_panic_costs_neither"), "{type_name}");
    }
}

#[test]
fn hooks_run_on_each_thread_and_their_panics_are_told() {
    let mut config = Config { name: "hooked".into(), ..super::config(2, 2) };
    let events = Events::with_panics(&mut config);
    let (started, stopped) = (Count::new(), Count::new());
    let (start, stop) = (started.clone(), stopped.clone());
    config.on_thread_start = Some(Arc::new(move || {
        assert!(sync::current_thread().name().is_some_and(|name| name.starts_with("hooked-")));
        start.add();
        panic_silently("start".into());
    }));
    config.on_thread_stop = Some(Arc::new(move || stop.bump()));
    let pool = Pool::new(config);
    for _ in 0..100 {
        loose(&pool, || {});
    }
    assert!(pool.quiesce(soon(), &|| false));
    assert_eq!(pool.stop(soon()), 0);
    let threads = pool.counts().started as usize;
    assert!((1..=2).contains(&threads));
    assert_eq!((started.get(), stopped.get()), (threads, threads));
    assert_eq!(events.count(|event| matches!(event, PoolEvent::JobPanicked { .. })), threads);
}

#[test]
fn a_start_hook_may_wait_for_a_job() {
    let mut config = super::config(2, 2);
    let ticket = Arc::new(Mutex::new(None));
    let waiting = Arc::clone(&ticket);
    let is_first = Count::new();
    config.on_thread_start = Some(Arc::new(move || {
        if is_first.add() == 1 {
            let own = sync::Ticket::new();
            *waiting.lock() = Some(Arc::clone(&own));
            assert!(own.wait(&sync::Reason::Event, soon()));
        }
    }));
    let pool = Pool::new(config);
    loose(&pool, || {});
    until("the hook waits", || ticket.lock().is_some());
    loose(&pool, move || assert!(ticket.lock().take().unwrap().grant()));
    assert!(pool.quiesce(soon(), &|| false));
}

#[test]
fn an_idle_pool_does_not_wake_up() {
    let pool = Pool::new(Config { name: "idler".into(), ..config(2, 4) });
    let inner = Arc::clone(&pool);
    loose(&pool, move || {
        for _ in 0..1_000 {
            lane(&inner, || {});
            loose(&inner, || nap(Duration::from_micros(10)));
        }
    });
    assert!(pool.quiesce(soon(), &|| false));
    until("the sentinel has stopped watching", || !pool.crew.roster.state.read().is_watched());
    // Whoever is still on the way to sleep gets there.
    nap(Duration::from_millis(100));
    let threads = kernel_threads("idler");
    assert!(threads.len() >= 3, "two workers and the sentinel");
    let before = voluntary_switches(&threads);
    nap(Duration::from_millis(300));
    assert_eq!(voluntary_switches(&kernel_threads("idler")), before);
}
