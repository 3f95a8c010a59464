//! Everything that can be done to a queue, from several threads at once: no job is lost, none runs twice, and what the
//! queue protects is touched by one job at a time.
#![allow(unsafe_code, reason = "a plain cell shows a sanitizer whether the queue orders its jobs")]

use concourse::Queue;
use concourse::Runtime;
use concourse::Shutdown;
use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

const THREADS: usize = 4;
const STEPS: usize = 3_000;
const QUEUES: usize = 20;

/// What became of the jobs, and the cell that their queue protects.
#[derive(Default)]
struct Ledger {
    submitted: AtomicUsize,
    ran: AtomicUsize,
    dropped: AtomicUsize,
    cell: UnsafeCell<usize>,
}

// SAFETY: the cell is touched by jobs of one queue that exclude each other; that they do is what is tested.
unsafe impl Sync for Ledger {}

/// A job's capture: it is dropped unrun, or says that it has run.
struct Entry(Option<Arc<Ledger>>);

impl Entry {
    fn new(ledger: &Arc<Ledger>) -> Self {
        ledger.submitted.fetch_add(1, Relaxed);
        Self(Some(Arc::clone(ledger)))
    }

    fn run(mut self, alone: bool) {
        let ledger = self.0.take().expect("a job runs once");
        ledger.touch(alone);
        ledger.ran.fetch_add(1, Relaxed);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(ledger) = self.0.take() {
            ledger.dropped.fetch_add(1, Relaxed);
        }
    }
}

impl Ledger {
    fn touch(&self, alone: bool) {
        let cell = self.cell.get();
        if alone {
            // SAFETY: see the type.
            unsafe { *cell += 1 };
        } else {
            // SAFETY: see the type.
            std::hint::black_box(unsafe { *cell });
        }
    }
}

/// A generator of numbers that differ from thread to thread.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

fn step(queue: &Queue, ledger: &Arc<Ledger>, dice: &mut Dice, serial: bool) {
    match dice.roll(40) {
        0..14 => {
            let entry = Entry::new(ledger);
            queue.exec_async(move || entry.run(serial));
        }
        14..18 => {
            let entry = Entry::new(ledger);
            queue.barrier_async(move || entry.run(true));
        }
        18..28 => queue.exec_sync(|| Entry::new(ledger).run(serial)),
        28..31 => queue.barrier_sync(|| Entry::new(ledger).run(true)),
        31..33 => {
            let guard = queue.suspend_guard().unwrap();
            let entry = Entry::new(ledger);
            queue.exec_async(move || entry.run(serial));
            drop(guard);
        }
        33..35 => _ = queue.cancel_pending(),
        35 => {
            let inner = queue.clone();
            queue.exec_async(move || _ = inner.cancel_pending());
        }
        36 => {
            let (inner, entry) = (queue.clone(), Entry::new(ledger));
            queue.exec_async(move || inner.exec_async(move || entry.run(serial)));
        }
        37 => drop(queue.set_width(dice.roll(3) as usize + 1)),
        38 => {
            let (inner, entry) = (queue.clone(), Entry::new(ledger));
            queue.exec_async(move || {
                let guard = inner.suspend_guard().unwrap();
                inner.exec_async(move || entry.run(serial));
                drop(guard);
            });
        }
        _ => thread::yield_now(),
    }
}

fn storm(runtime: &Runtime, serial: bool, seed: u64) {
    let queue = if serial { runtime.serial("storm") } else { runtime.concurrent("storm") };
    let ledger = Arc::new(Ledger::default());
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (queue, ledger) = (queue.clone(), Arc::clone(&ledger));
            let mut dice = Dice(seed * 31 + thread as u64 * 7_919 + 1);
            scope.spawn(move || (0..STEPS / QUEUES * 4).for_each(|_| step(&queue, &ledger, &mut dice, serial)));
        }
    });
    // Twice: the last jobs of the storm push another one each.
    queue.barrier_sync(|| ());
    queue.barrier_sync(|| ());
    let (ran, dropped) = (ledger.ran.load(Relaxed), ledger.dropped.load(Relaxed));
    assert_eq!(ran + dropped, ledger.submitted.load(Relaxed));
    drop(queue);
}

#[test]
fn no_job_is_lost_or_run_twice_whatever_is_done_to_a_serial_queue() {
    let runtime = Runtime::builder().threads(2).build().unwrap();
    (1..=QUEUES as u64).for_each(|seed| storm(&runtime, true, seed));
    let report = runtime.shutdown(Shutdown::Drain);
    assert_eq!((report.complete, report.panics), (true, 0));
}

#[test]
fn no_job_is_lost_or_run_twice_whatever_is_done_to_a_concurrent_queue() {
    let runtime = Runtime::builder().threads(2).build().unwrap();
    (1..=QUEUES as u64).for_each(|seed| storm(&runtime, false, seed));
    let report = runtime.shutdown(Shutdown::Drain);
    assert_eq!((report.complete, report.panics), (true, 0));
}

#[test]
fn every_job_is_accounted_for_whenever_a_runtime_is_cancelled_and_its_queues_go() {
    for seed in 1..=QUEUES as u64 {
        let runtime = Runtime::builder().threads(2).build().unwrap();
        let ledger = Arc::new(Ledger::default());
        thread::scope(|scope| {
            for thread in 0..THREADS as u64 {
                let queues = [runtime.serial("short"), runtime.concurrent("short")];
                let ledger = Arc::clone(&ledger);
                scope.spawn(move || {
                    let mut dice = Dice(seed * 31 + thread * 7_919 + 1);
                    for _ in 0..STEPS / QUEUES {
                        let queue = &queues[dice.roll(2) as usize];
                        let entry = Entry::new(&ledger);
                        match dice.roll(8) {
                            0 => queue.suspend().unwrap(),
                            1 => drop(queue.resume()),
                            2 => drop(queue.cancel_pending()),
                            3 => queue.barrier_async(move || drop(entry)),
                            _ => queue.exec_async(move || drop(entry)),
                        }
                    }
                });
            }
            let _ = runtime.shutdown(if seed % 2 == 0 { Shutdown::CancelPending } else { Shutdown::Drain });
        });
        drop(runtime);
        assert_eq!(ledger.dropped.load(Relaxed), ledger.submitted.load(Relaxed));
        assert_eq!(Arc::strong_count(&ledger), 1);
    }
}
