//! Permits: taken and given back, alone and by more threads than there are permits.

use crate::row::{Contender, Goal, Row, Sample, on_threads, per_operation};
use crossbeam_utils::CachePadded;
use std::hint::black_box;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "sema_uncontended",
        what: "One thread takes a permit and gives it back. Two read-modify-writes of one word are the floor.",
        metrics: &["ns per pair"],
        size: 4_000_000,
        quick: 4_000,
        contenders: &[
            Contender { name: "concourse", run: alone::<concourse::Semaphore> },
            Contender { name: "two read-modify-writes", run: alone::<Word> },
            Contender { name: "tokio try_acquire", run: alone::<TokioTry> },
            Contender { name: "tokio acquire", run: alone::<TokioBlocking> },
            Contender { name: "kanal bounded", run: alone::<Kanal> },
            Contender { name: "crossbeam bounded", run: alone::<Crossbeam> },
            Contender { name: "std Mutex + Condvar", run: alone::<Std> },
            Contender { name: "parking_lot Mutex + Condvar", run: alone::<ParkingLot> },
        ],
        goal: Goal::Times(1.25, "two read-modify-writes"),
    },
    Row {
        name: "sema_contended",
        what: "Four threads share two permits.",
        metrics: &["ns per pair"],
        size: 2_000_000,
        quick: 2_000,
        contenders: &[
            Contender { name: "concourse", run: contended::<concourse::Semaphore> },
            Contender { name: "tokio acquire", run: contended::<TokioBlocking> },
            Contender { name: "kanal bounded", run: contended::<Kanal> },
            Contender { name: "crossbeam bounded", run: contended::<Crossbeam> },
            Contender { name: "std Mutex + Condvar", run: contended::<Std> },
            Contender { name: "parking_lot Mutex + Condvar", run: contended::<ParkingLot> },
        ],
        goal: Goal::AtMost(8.0),
    },
];

/// A limit on how many threads are inside at the same time.
trait Limit: Sync {
    fn of(permits: usize) -> Self;

    /// Takes a permit, waiting for one if it must, and gives it back when `inside` returns.
    fn hold(&self, inside: impl FnOnce());
}

fn alone<L: Limit>(size: u64) -> Sample {
    held_by::<L>(1, 1, size)
}

fn contended<L: Limit>(size: u64) -> Sample {
    held_by::<L>(4, 2, size)
}

/// What is inside is only counted in the warm-up: the count would cost as much as the permit.
fn held_by<L: Limit>(threads: u64, permits: usize, size: u64) -> Sample {
    let limit = L::of(permits);
    let inside = CachePadded::new(AtomicU64::new(0));
    let holds = AtomicU64::new(0);
    on_threads(threads, |_| {
        for _ in 0..size / 10 / threads {
            limit.hold(|| {
                assert!(inside.fetch_add(1, Ordering::Relaxed) < permits as u64, "more are inside than may");
                holds.fetch_add(1, Ordering::Relaxed);
                inside.fetch_sub(1, Ordering::Relaxed);
            });
        }
    });
    assert_eq!(holds.into_inner(), size / 10 / threads * threads, "not everybody came inside");
    let each = size / threads;
    let time = on_threads(threads, |_| (0..each).for_each(|_| black_box(&limit).hold(|| ())));
    per_operation(time, each * threads)
}

impl Limit for concourse::Semaphore {
    fn of(permits: usize) -> Self {
        Self::new(permits)
    }

    #[inline]
    fn hold(&self, inside: impl FnOnce()) {
        self.wait();
        inside();
        self.signal();
    }
}

/// A count that nobody can wait for.
struct Word(AtomicI64);

impl Limit for Word {
    fn of(permits: usize) -> Self {
        Self(AtomicI64::new(permits as i64))
    }

    #[inline]
    fn hold(&self, inside: impl FnOnce()) {
        let free = self.0.fetch_sub(1, Ordering::Acquire);
        assert!(free > 0, "the floor is measured alone");
        inside();
        self.0.fetch_add(1, Ordering::Release);
    }
}

struct TokioTry(tokio::sync::Semaphore);

impl Limit for TokioTry {
    fn of(permits: usize) -> Self {
        Self(tokio::sync::Semaphore::new(permits))
    }

    #[inline]
    fn hold(&self, inside: impl FnOnce()) {
        let _permit = self.0.try_acquire().expect("without contention there is a permit");
        inside();
    }
}

/// Each thread waits with the cheapest executor that there is.
struct TokioBlocking(tokio::sync::Semaphore);

impl Limit for TokioBlocking {
    fn of(permits: usize) -> Self {
        Self(tokio::sync::Semaphore::new(permits))
    }

    #[inline]
    fn hold(&self, inside: impl FnOnce()) {
        let _permit = futures_lite::future::block_on(self.0.acquire()).expect("nobody closes it");
        inside();
    }
}

/// A channel with as much room as there are permits.
struct Kanal(kanal::Sender<()>, kanal::Receiver<()>);

impl Limit for Kanal {
    fn of(permits: usize) -> Self {
        let (sender, receiver) = kanal::bounded(permits);
        Self(sender, receiver)
    }

    #[inline]
    fn hold(&self, inside: impl FnOnce()) {
        self.0.send(()).expect("the receiver lives");
        inside();
        self.1.recv().expect("what was sent is there");
    }
}

/// A channel with as much room as there are permits.
struct Crossbeam(crossbeam_channel::Sender<()>, crossbeam_channel::Receiver<()>);

impl Limit for Crossbeam {
    fn of(permits: usize) -> Self {
        let (sender, receiver) = crossbeam_channel::bounded(permits);
        Self(sender, receiver)
    }

    #[inline]
    fn hold(&self, inside: impl FnOnce()) {
        self.0.send(()).expect("the receiver lives");
        inside();
        self.1.recv().expect("what was sent is there");
    }
}

struct Std {
    free: Mutex<usize>,
    freed: Condvar,
}

impl Limit for Std {
    fn of(permits: usize) -> Self {
        Self { free: Mutex::new(permits), freed: Condvar::new() }
    }

    #[inline]
    fn hold(&self, inside: impl FnOnce()) {
        let lock = || self.free.lock().expect("nobody panics in here");
        *self.freed.wait_while(lock(), |free| *free == 0).expect("nobody panics in here") -= 1;
        inside();
        *lock() += 1;
        self.freed.notify_one();
    }
}

struct ParkingLot {
    free: parking_lot::Mutex<usize>,
    freed: parking_lot::Condvar,
}

impl Limit for ParkingLot {
    fn of(permits: usize) -> Self {
        Self { free: parking_lot::Mutex::new(permits), freed: parking_lot::Condvar::new() }
    }

    #[inline]
    fn hold(&self, inside: impl FnOnce()) {
        let mut free = self.free.lock();
        self.freed.wait_while(&mut free, |free| *free == 0);
        *free -= 1;
        drop(free);
        inside();
        *self.free.lock() += 1;
        self.freed.notify_one();
    }
}
