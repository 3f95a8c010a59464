//! The system refuses threads: the pool goes on with what lives.

use super::*;
use crate::pool::Spawn;
use crate::sync::AtomicBool;
use crate::sync::Reason;
use crate::sync::ThreadBuilder;
use crate::sync::Ticket;

fn refuse() -> std::io::Error {
    std::io::ErrorKind::WouldBlock.into()
}

fn is_of_sentinel(builder: &ThreadBuilder) -> bool {
    format!("{builder:?}").contains("sentinel")
}

/// Starts workers only.
pub(super) fn without_sentinel() -> Spawn {
    Arc::new(|builder, body| if is_of_sentinel(&builder) { Err(refuse()) } else { builder.spawn(body) })
}

/// Starts a sentinel that does not look at anything.
pub(super) fn with_blind_sentinel() -> Spawn {
    Arc::new(|builder, body| if is_of_sentinel(&builder) { builder.spawn(|| {}) } else { builder.spawn(body) })
}

/// Starts nothing while the switch is on, and counts what it refuses.
fn unless(refuses: &Arc<AtomicBool>, refused: &Count) -> Spawn {
    let (refuses, refused) = (Arc::clone(refuses), refused.clone());
    Arc::new(move |builder, body| {
        if refuses.load(Ordering::SeqCst) {
            refused.add();
            return Err(refuse());
        }
        builder.spawn(body)
    })
}

fn is_refusal(event: &PoolEvent) -> bool {
    matches!(event, PoolEvent::SpawnFailed { .. })
}

#[test]
fn a_refused_thread_leaves_the_work_to_those_who_live() {
    let refuses = Arc::new(AtomicBool::new(false));
    let mut config = Config { spawn: unless(&refuses, &Count::new()), ..super::config(4, 8) };
    let events = Events::of(&mut config);
    let pool = Pool::new(config);
    loose(&pool, || {});
    assert!(pool.quiesce(soon(), &|| false));
    refuses.store(true, Ordering::SeqCst);
    let count = Count::new();
    for _ in 0..10_000 {
        let count = count.clone();
        loose(&pool, move || count.bump());
    }
    assert!(pool.quiesce(soon(), &|| false));
    assert_eq!((count.get(), pool.counts().live), (10_000, 1));
    // One for the second worker, and one for the sentinel.
    assert!(events.count(is_refusal) <= 2);
}

#[test]
fn without_threads_the_submitter_works_while_it_waits() {
    let (refuses, refused) = (Arc::new(AtomicBool::new(true)), Count::new());
    let mut config = Config { spawn: unless(&refuses, &refused), ..super::config(2, 4) };
    let events = Events::of(&mut config);
    let pool = Pool::new(config);
    // On a thread of its own: standing in is for good.
    let submitter = move || {
        let begin = sync::now();
        let (ticket, count) = (Ticket::new(), Count::new());
        for index in 0..1_000 {
            let (inner, grant, count) = (Arc::clone(&pool), Arc::clone(&ticket), count.clone());
            loose(&pool, move || {
                if index == 500 {
                    // A job that waits for another one.
                    let own = Ticket::new();
                    let other = Arc::clone(&own);
                    lane(&inner, move || assert!(other.grant()));
                    assert!(own.wait(&Reason::Event, soon()));
                }
                if count.add() == 1_000 {
                    assert!(grant.grant());
                }
            });
        }
        assert!(ticket.wait(&Reason::Completion, soon()));
        assert_eq!((count.get(), pool.counts().started), (1_000, 0));
        let tries = begin.elapsed().as_millis() as usize / 10 + 2;
        assert!(refused.get() <= tries, "{} tries in {:?}", refused.get(), begin.elapsed());
        // One for a worker, one for the sentinel.
        assert_eq!(events.count(is_refusal), 2);

        // As soon as the system gives threads again, workers take over.
        loose(&pool, || {});
        refuses.store(false, Ordering::SeqCst);
        assert!(pool.quiesce(soon(), &|| false));
        until("a worker lives", || {
            loose(&pool, || {});
            pool.counts().started > 0
        });
        assert!(pool.quiesce(soon(), &|| false));
    };
    sync::ThreadBuilder::new().spawn(submitter).unwrap().join().unwrap();
}

#[test]
fn the_sentinel_asks_again_for_a_thread_that_was_refused() {
    let refuses = Arc::new(AtomicBool::new(false));
    let inner = Arc::clone(&refuses);
    let mut config = super::config(1, 2);
    config.spawn = Arc::new(move |builder, body| {
        let refused = inner.load(Ordering::SeqCst) && !is_of_sentinel(&builder);
        if refused { Err(refuse()) } else { builder.spawn(body) }
    });
    let events = Events::of(&mut config);
    let pool = Pool::new(config);
    let (door, done) = (Door::new(), Count::new());
    let gate = door.clone();
    loose(&pool, move || sync::blocking(|| gate.pass()));
    until("it blocks", || pool.counts().blocked == 1);
    refuses.store(true, Ordering::SeqCst);
    let ends = done.clone();
    loose(&pool, move || ends.bump());
    until("it is told", || events.count(is_refusal) == 1);
    refuses.store(false, Ordering::SeqCst);
    // Nobody submits any more: only the sentinel can have asked.
    until("the job has run", || done.get() == 1);
    door.open();
    assert!(pool.quiesce(soon(), &|| false));
    assert_eq!(events.count(is_refusal), 1);
}
