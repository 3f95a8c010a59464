//! Calls that return when their closure has run alone, against locks, which promise no order.

use crate::peers::{Tokio, runtime};
use crate::row::{Contender, Goal, Row, Sample, on_threads, per_operation};
use std::hint::black_box;
use std::sync::{Mutex, RwLock, mpsc};

macro_rules! exclusive {
    ($threads:literal, $($others:expr),*) => {
        [
            Contender { name: "concourse", run: |size| calls($threads, size, &Guarded::new(runtime().serial("bench"))) },
            Contender { name: "std Mutex", run: |size| calls($threads, size, &Mutex::new(0)) },
            Contender { name: "parking_lot Mutex", run: |size| calls($threads, size, &parking_lot::Mutex::new(0)) },
            $($others),*
        ]
    };
}

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "sync_uncontended",
        what: "One thread calls `exec_sync` on an idle serial queue; the others lock and unlock.",
        metrics: &["ns per call"],
        size: 5_000_000,
        quick: 5_000,
        contenders: &exclusive!(1,),
        goal: Goal::Times(1.3, "std Mutex"),
    },
    Row {
        name: "sync_contended",
        what: "Four threads call `exec_sync` on one serial queue; whoever has tried for a while keeps a place in line. The locks keep no order, but for the fair one and tokio's.",
        metrics: &["ns per call"],
        size: 400_000,
        quick: 4_000,
        contenders: &exclusive!(
            4,
            Contender {
                name: "parking_lot Mutex, fair",
                run: |size| calls(4, size, &Fair(parking_lot::Mutex::new(0)))
            },
            Contender { name: "tokio Mutex", run: |size| calls(4, size / 10, &tokio::sync::Mutex::new(0)) },
            Contender { name: "crossbeam actor", run: |size| calls(4, size / 10, &Actor::start()) }
        ),
        goal: Goal::AtMost(20.0),
    },
    Row {
        name: "barrier_rw",
        what: "Four threads read, and one call in twenty writes: `exec_sync` and `barrier_sync` on a concurrent queue.",
        metrics: &["ns per call"],
        size: 2_000_000,
        quick: 4_000,
        contenders: &[
            Contender { name: "concourse", run: |size| reads(size, &Guarded::new(runtime().concurrent("bench"))) },
            Contender { name: "std RwLock", run: |size| reads(size, &RwLock::new(0)) },
            Contender { name: "parking_lot RwLock", run: |size| reads(size, &parking_lot::RwLock::new(0)) },
            Contender { name: "tokio RwLock", run: |size| reads(size / 10, &tokio::sync::RwLock::new(0)) },
        ],
        goal: Goal::AtMost(40.0),
    },
];

/// A number that one caller changes at a time.
trait Exclusive: Sync {
    fn change(&self, change: impl FnOnce(&mut u64) + Send);
}

/// A number that many may read.
trait Shared: Exclusive {
    fn read(&self) -> u64;
}

fn calls(threads: u64, size: u64, number: &impl Exclusive) -> Sample {
    let round =
        |size: u64| on_threads(threads, |_| (0..size / threads).for_each(|_| number.change(|number| *number += 1)));
    round(size / 10);
    let time = round(size);
    let mut count = 0;
    number.change(|number| count = *number);
    assert_eq!(count, size / 10 / threads * threads + size / threads * threads, "calls overlapped");
    per_operation(time, size)
}

fn reads(size: u64, number: &impl Shared) -> Sample {
    const THREADS: u64 = 4;
    const WRITES: u64 = 20;
    let round = |size: u64| {
        on_threads(THREADS, |_| {
            for call in 0..size / THREADS {
                if call % WRITES == 0 {
                    number.change(|number| *number += 1);
                } else {
                    black_box(number.read());
                }
            }
        })
    };
    round(size / 10);
    let time = round(size);
    let writes = |size: u64| (size / THREADS).div_ceil(WRITES) * THREADS;
    assert_eq!(number.read(), writes(size / 10) + writes(size), "calls overlapped");
    per_operation(time, size)
}

/// A number that a queue guards.
struct Guarded {
    queue: concourse::Queue,
    /// Never contended: the queue sees to it. Two plain instructions, so that the program needs no unsafe code.
    number: std::sync::atomic::AtomicU64,
}

impl Guarded {
    fn new(queue: concourse::Queue) -> Self {
        Self { queue, number: 0.into() }
    }

    fn get(&self) -> u64 {
        self.number.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl Exclusive for Guarded {
    fn change(&self, change: impl FnOnce(&mut u64) + Send) {
        self.queue.barrier_sync(|| {
            let mut number = self.get();
            change(&mut number);
            self.number.store(number, std::sync::atomic::Ordering::Relaxed);
        });
    }
}

impl Shared for Guarded {
    fn read(&self) -> u64 {
        self.queue.exec_sync(|| self.get())
    }
}

macro_rules! locks {
    ($lock:ty, $self:ident => $write:expr, $read:expr) => {
        locks!($lock, $self => $write);

        impl Shared for $lock {
            fn read(&self) -> u64 {
                let $self = self;
                *$read
            }
        }
    };
    ($lock:ty, $self:ident => $write:expr) => {
        impl Exclusive for $lock {
            fn change(&self, change: impl FnOnce(&mut u64) + Send) {
                let $self = self;
                change(&mut $write);
            }
        }
    };
}

locks!(Mutex<u64>, lock => lock.lock().expect("nobody panics in here"));
locks!(parking_lot::Mutex<u64>, lock => lock.lock());
locks!(tokio::sync::Mutex<u64>, lock => Tokio::runtime().block_on(lock.lock()));
locks!(RwLock<u64>, lock => lock.write().expect("nobody panics in here"), lock.read().expect("nobody panics in here"));
locks!(parking_lot::RwLock<u64>, lock => lock.write(), lock.read());
locks!(
    tokio::sync::RwLock<u64>,
    lock => Tokio::runtime().block_on(lock.write()),
    Tokio::runtime().block_on(lock.read())
);

/// A lock that is handed over to whoever waits longest.
struct Fair(parking_lot::Mutex<u64>);

impl Exclusive for Fair {
    fn change(&self, change: impl FnOnce(&mut u64) + Send) {
        let mut number = self.0.lock();
        change(&mut number);
        parking_lot::MutexGuard::unlock_fair(number);
    }
}

/// A thread that owns the number, and answers each request on a channel of the caller's.
struct Actor(crossbeam_channel::Sender<Request>);

/// The new number is what is sent back after the old one was answered.
struct Request {
    lend: mpsc::SyncSender<u64>,
    back: mpsc::Receiver<u64>,
}

impl Actor {
    fn start() -> Self {
        let (sender, requests) = crossbeam_channel::unbounded::<Request>();
        std::thread::spawn(move || {
            let mut number = 0;
            for Request { lend, back } in requests {
                lend.send(number).expect("the caller waits");
                number = back.recv().expect("the caller answers");
            }
        });
        Self(sender)
    }
}

impl Exclusive for Actor {
    fn change(&self, change: impl FnOnce(&mut u64) + Send) {
        let (lend, lent) = mpsc::sync_channel(1);
        let (give, back) = mpsc::sync_channel(1);
        self.0.send(Request { lend, back }).expect("the actor lives as long as the handle");
        let mut number = lent.recv().expect("the actor answers");
        change(&mut number);
        give.send(number).expect("the actor waits");
    }
}
