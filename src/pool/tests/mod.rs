//! The pool at work: on real threads, each test with a pool of its own.

mod classes;
mod ending;
mod growth;
mod order;
mod running;
mod shortage;

use crate::job::Executor;
use crate::job::Job;
use crate::job::Route;
use crate::pool::Config;
use crate::pool::Pool;
use crate::pool::PoolEvent;
use crate::qos::Qos;
use crate::sync;
use crate::sync::Arc;
use crate::sync::AtomicUsize;
use crate::sync::Condvar;
use crate::sync::Mutex;
use crate::sync::Ordering;
use std::time::Duration;
use std::time::Instant;

/// Long enough for anything on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn soon() -> Option<Instant> {
    Some(sync::now() + PATIENCE)
}

/// Sleeps in a way that the pool does not see.
fn nap(duration: Duration) {
    let (lock, never, deadline) = (Mutex::new(()), Condvar::new(), sync::now() + duration);
    let mut guard = lock.lock();
    while sync::now() < deadline {
        never.wait_until(&mut guard, deadline);
    }
}

/// Waits until `condition` holds.
fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = sync::now() + PATIENCE;
    while !condition() {
        assert!(sync::now() < deadline, "waited in vain until {what}");
        nap(Duration::from_micros(200));
    }
}

/// A door that threads wait at, unseen by the pool, until it is opened.
#[derive(Clone)]
struct Door(Arc<(Mutex<bool>, Condvar)>);

impl Door {
    fn new() -> Self {
        Self(Arc::new((Mutex::new(false), Condvar::new())))
    }

    fn open(&self) {
        *self.0.0.lock() = true;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        let mut is_open = self.0.0.lock();
        while !*is_open {
            self.0.1.wait(&mut is_open);
        }
    }
}

/// Counts up.
#[derive(Clone)]
struct Count(Arc<AtomicUsize>);

impl Count {
    fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(0)))
    }

    fn add(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn bump(&self) {
        self.add();
    }

    fn sub(&self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    fn raise_to(&self, value: usize) {
        self.0.fetch_max(value, Ordering::SeqCst);
    }
}

/// A pool whose jobs do not panic: an assertion that fails in a job must not go unheard.
fn config(threads: usize, max_threads: usize) -> Config {
    Config { on_event: Arc::new(|event| fail_if_panic(&event)), ..Config::new(threads, max_threads) }
}

fn fail_if_panic(event: &PoolEvent) {
    if let PoolEvent::JobPanicked { .. } = event {
        eprintln!("{event:?}");
        std::process::abort();
    }
}

/// Panics without the message on the standard error, which all tests share.
fn panic_silently(message: String) -> ! {
    std::panic::resume_unwind(Box::new(message))
}

/// Keeps what a pool reports.
#[derive(Clone)]
struct Events(Arc<Mutex<Vec<PoolEvent>>>);

impl Events {
    fn of(config: &mut Config) -> Self {
        let events = Self::with_panics(config);
        let keep = Arc::clone(&config.on_event);
        config.on_event = Arc::new(move |event| {
            fail_if_panic(&event);
            keep(event);
        });
        events
    }

    fn with_panics(config: &mut Config) -> Self {
        let events = Self(Arc::new(Mutex::new(Vec::new())));
        let kept = events.clone();
        config.on_event = Arc::new(move |event| kept.0.lock().push(event));
        events
    }

    fn count(&self, is_it: impl Fn(&PoolEvent) -> bool) -> usize {
        self.0.lock().iter().filter(|event| is_it(event)).count()
    }

    fn dropped(&self) -> usize {
        self.count(|event| matches!(event, PoolEvent::JobDropped { .. }))
    }
}

fn loose(pool: &Pool, f: impl FnOnce() + Send + 'static) {
    pool.submit(Job::new(f), Route::Loose, Qos::Default).unwrap();
}

fn lane(pool: &Pool, f: impl FnOnce() + Send + 'static) {
    pool.submit(Job::token(f), Route::Lane, Qos::Default).unwrap();
}

/// The kernel's `status` of each thread of this process whose name begins with `name`.
fn kernel_threads(name: &str) -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let status = tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("status")).ok());
    status.filter(|status| status.lines().next().is_some_and(|line| line[6..].starts_with(name))).collect()
}

/// How often these threads have gone to sleep, in all.
fn voluntary_switches(threads: &[String]) -> u64 {
    let line = |status: &String| -> Option<u64> {
        status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")?.trim().parse::<u64>().ok())
    };
    threads.iter().map(|status| line(status).unwrap()).sum()
}
