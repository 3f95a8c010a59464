//! Semaphores: the count, the line and the permits.

mod blocked;

use blocked::GENEROUS;
use blocked::spawn_blocked;
use concourse::Permit;
use concourse::Semaphore;
use concourse::WaitError;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// Runs `work` on `threads` threads, each with its number, and waits for all.
fn on_threads(threads: usize, work: impl Fn(usize) + Sync) {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|number| {
                let work = &work;
                scope.spawn(move || work(number))
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// Adds 1 in two steps: additions at the same time lose each other.
fn add_in_two_steps(counter: &AtomicUsize) {
    let before = counter.load(Ordering::Relaxed);
    std::hint::spin_loop();
    counter.store(before + 1, Ordering::Relaxed);
}

#[test]
fn one_permit_is_a_lock() {
    let (semaphore, counter) = (Semaphore::new(1), AtomicUsize::new(0));
    on_threads(4, |_| {
        for _ in 0..10_000 {
            let _permit = semaphore.acquire();
            add_in_two_steps(&counter);
        }
    });
    assert_eq!(counter.into_inner(), 40_000);
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn a_limit_is_reached_and_never_exceeded() {
    let semaphore = Semaphore::new(3);
    let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let full = std::sync::Barrier::new(3);
    on_threads(3, |_| {
        let _permit = semaphore.acquire();
        full.wait();
        assert!(semaphore.try_acquire().is_none());
        full.wait();
    });
    on_threads(8, |_| {
        for _ in 0..2_000 {
            let _permit = semaphore.acquire();
            most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::yield_now();
            inside.fetch_sub(1, Ordering::SeqCst);
        }
    });
    assert!(most.into_inner() <= 3);
    assert_eq!(semaphore.available(), 3);
}

#[test]
fn whoever_waits_longest_is_served_first() {
    let semaphore = Semaphore::new(0);
    let served = Arc::new(Mutex::new(Vec::new()));
    let threads: Vec<_> = (0..8)
        .map(|number| {
            let (semaphore, served) = (semaphore.clone(), Arc::clone(&served));
            spawn_blocked(move || {
                semaphore.wait();
                served.lock().unwrap().push(number);
                semaphore.signal();
            })
        })
        .collect();
    // Each passes the permit on when it has noted its number.
    assert!(semaphore.signal());
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(*served.lock().unwrap(), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn nobody_takes_a_permit_past_the_line() {
    let semaphore = Semaphore::new(0);
    let waiter = spawn_blocked({
        let semaphore = semaphore.clone();
        move || semaphore.wait()
    });
    assert!(semaphore.signal());
    // The permit is the waiter's, whether it has woken yet or not.
    assert!(!semaphore.try_wait());
    assert_eq!(semaphore.available(), 0);
    waiter.join().unwrap();
    assert_eq!(semaphore.available(), 0);
}

#[test]
fn a_signal_tells_whether_somebody_waited() {
    let semaphore = Semaphore::new(0);
    assert!(!semaphore.signal());
    assert!(!semaphore.signal());
    assert_eq!(semaphore.available(), 2);
    assert!(semaphore.try_wait() && semaphore.try_wait() && !semaphore.try_wait());
    let waiter = spawn_blocked({
        let semaphore = semaphore.clone();
        move || semaphore.wait()
    });
    assert!(semaphore.signal());
    waiter.join().unwrap();
    assert!(!semaphore.signal());
}

#[test]
fn a_timeout_comes_in_time_and_restores_the_count() {
    let semaphore = Semaphore::new(0);
    let (start, timeout) = (Instant::now(), Duration::from_millis(50));
    assert_eq!(semaphore.wait_timeout(timeout), Err(WaitError::TimedOut { after: timeout }));
    let waited = start.elapsed();
    assert!(waited >= timeout && waited < Duration::from_secs(10), "waited {waited:?}");
    assert!(semaphore.acquire_timeout(timeout).is_err());
    assert!(!semaphore.signal());
    assert_eq!(semaphore.available(), 1);
    assert_eq!(semaphore.wait_timeout(timeout), Ok(()));
    assert_eq!(semaphore.available(), 0);
}

#[test]
fn a_timeout_in_the_middle_of_the_line_leaves_the_others_in_order() {
    let semaphore = Semaphore::new(0);
    let waiter = || {
        let semaphore = semaphore.clone();
        spawn_blocked(move || semaphore.wait())
    };
    let first = waiter();
    assert!(semaphore.wait_timeout(Duration::from_millis(5)).is_err());
    let second = waiter();
    assert!(semaphore.wait_timeout(Duration::from_millis(5)).is_err());
    assert!(semaphore.signal());
    first.join().unwrap();
    assert!(semaphore.signal());
    second.join().unwrap();
    assert!(!semaphore.signal());
}

#[test]
fn no_timeout_at_all_tries_once() {
    let semaphore = Semaphore::new(1);
    assert_eq!(semaphore.wait_timeout(Duration::ZERO), Ok(()));
    assert_eq!(semaphore.wait_timeout(Duration::ZERO), Err(WaitError::TimedOut { after: Duration::ZERO }));
    semaphore.signal();
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn an_endless_timeout_is_none() {
    for endless in [Duration::MAX, Duration::from_secs(u64::MAX / 4), Duration::from_secs(1 << 40)] {
        let semaphore = Semaphore::new(0);
        let waiter = spawn_blocked({
            let semaphore = semaphore.clone();
            move || semaphore.wait_timeout(endless)
        });
        semaphore.signal();
        assert_eq!(waiter.join().unwrap(), Ok(()));
    }
}

#[test]
fn timeouts_against_signals_lose_no_permit() {
    const SIGNALS: usize = 20_000;
    let (semaphore, taken) = (Semaphore::new(0), AtomicUsize::new(0));
    on_threads(4, |number| {
        if number == 0 {
            for round in 0..SIGNALS {
                semaphore.signal();
                if round % 8 == 0 {
                    thread::yield_now();
                }
            }
            return;
        }
        let mut timeout = Duration::from_micros(1);
        // The last permits come without timeouts to speak of, so that the test ends with the signals.
        while taken.load(Ordering::Relaxed) + 3 < SIGNALS {
            if semaphore.wait_timeout(timeout).is_ok() {
                taken.fetch_add(1, Ordering::Relaxed);
            }
            timeout = Duration::from_micros(1 + u64::try_from(timeout.as_micros()).unwrap() % 20);
        }
    });
    assert_eq!(taken.into_inner() + semaphore.available(), SIGNALS);
    assert!(!semaphore.signal());
}

#[test]
fn a_permit_comes_back_after_a_panic() {
    let semaphore = Semaphore::new(1);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _permit = semaphore.acquire();
        std::panic::resume_unwind(Box::new("while holding a permit"));
    }));
    assert!(panicked.is_err());
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn a_permit_may_come_back_on_another_thread_and_after_the_semaphore() {
    let semaphore = Semaphore::new(1);
    let permit = semaphore.acquire();
    let kept = semaphore.clone();
    drop(semaphore);
    thread::spawn(move || drop(permit)).join().unwrap();
    assert_eq!(kept.available(), 1);
    let last = kept.acquire();
    drop(kept);
    drop(last);
}

#[test]
fn a_forgotten_permit_does_not_come_back() {
    let semaphore = Semaphore::new(2);
    semaphore.acquire().forget();
    assert_eq!(semaphore.available(), 1);
    semaphore.signal();
    assert_eq!(semaphore.available(), 2);
}

#[test]
fn a_semaphore_may_be_dropped_at_any_count() {
    for permits in 0..3 {
        let semaphore = Semaphore::new(permits);
        if permits > 0 {
            semaphore.wait();
        }
        drop(semaphore);
    }
    let semaphore = Semaphore::new(0);
    let waiter = spawn_blocked({
        let semaphore = semaphore.clone();
        move || semaphore.wait_timeout(GENEROUS)
    });
    let last = semaphore.clone();
    drop(semaphore);
    assert!(last.signal());
    assert_eq!(waiter.join().unwrap(), Ok(()));
}

#[test]
fn growing_wakes_those_who_wait_in_order() {
    let semaphore = Semaphore::new(0);
    let granted = Arc::new(AtomicUsize::new(0));
    let waiters: Vec<_> = (0..3)
        .map(|_| {
            let (semaphore, granted) = (semaphore.clone(), Arc::clone(&granted));
            spawn_blocked(move || {
                semaphore.wait();
                granted.fetch_add(1, Ordering::SeqCst);
            })
        })
        .collect();
    semaphore.resize(2);
    let mut waiters = waiters.into_iter();
    for waiter in waiters.by_ref().take(2) {
        waiter.join().unwrap();
    }
    assert_eq!((granted.load(Ordering::SeqCst), semaphore.available()), (2, 0));
    semaphore.resize(7);
    waiters.for_each(|waiter| waiter.join().unwrap());
    assert_eq!((granted.load(Ordering::SeqCst), semaphore.available()), (3, 4));
}

#[test]
fn shrinking_waits_for_permits_to_come_back() {
    let semaphore = Semaphore::new(4);
    let mut permits: Vec<Permit> = (0..3).map(|_| semaphore.acquire()).collect();
    semaphore.resize(1);
    assert_eq!(semaphore.available(), 0);
    let waiter = spawn_blocked({
        let semaphore = semaphore.clone();
        move || semaphore.acquire()
    });
    // Two permits too many are out: they vanish, and only the third is handed on.
    assert!(!semaphore.signal());
    permits.pop().unwrap().forget();
    drop(permits.pop());
    assert!(!waiter.is_finished());
    drop(permits.pop());
    let last = waiter.join().unwrap();
    assert_eq!(semaphore.available(), 0);
    drop(last);
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn a_semaphore_is_resized_while_it_is_used() {
    let (semaphore, sum) = (Semaphore::new(1), AtomicUsize::new(0));
    on_threads(4, |number| {
        for round in 0..3_000 {
            if number == 0 {
                semaphore.resize(round % 4);
            } else {
                let _permit = semaphore.acquire();
                sum.fetch_add(1, Ordering::Relaxed);
            }
        }
        if number == 0 {
            semaphore.resize(2);
        }
    });
    assert_eq!(sum.into_inner(), 9_000);
    assert_eq!(semaphore.available(), 2);
}

#[test]
fn the_count_ends_at_its_limit() {
    let semaphore = Semaphore::new(usize::MAX);
    let limit = semaphore.available();
    assert!(!semaphore.signal());
    assert_eq!(semaphore.available(), limit);
    semaphore.wait();
    assert_eq!(semaphore.available(), limit - 1);
    semaphore.resize(0);
    semaphore.resize(usize::MAX);
    semaphore.resize(usize::MAX);
    assert_eq!(semaphore.available(), limit - 1);
    assert!(!semaphore.signal());
    assert!(!semaphore.signal());
    assert_eq!(semaphore.available(), limit);
}

#[test]
fn a_semaphore_shows_what_is_free() {
    assert_eq!(format!("{:?}", Semaphore::new(2)), "Semaphore { available: 2, .. }");
}
