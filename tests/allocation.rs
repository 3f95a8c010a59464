//! What the steady state allocates: nothing for a job of a serial queue, a sync call, a merge or a message, and less than
//! one block in fifty jobs where many threads share an injector.
#![allow(unsafe_code, reason = "counting allocations takes an allocator of one's own")]

use concourse::Event;
use concourse::Qos;
use concourse::Queue;
use concourse::Runtime;
use concourse::Source;
use std::alloc::GlobalAlloc;
use std::alloc::Layout;
use std::alloc::System;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::Ordering::SeqCst;

/// How many allocations the threads of one test have made.
type Meter = &'static AtomicUsize;

thread_local! {
    /// Where the calling thread's allocations are counted. The harness's own threads have none.
    static METER: Cell<Option<Meter>> = const { Cell::new(None) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    if let Ok(Some(meter)) = METER.try_with(Cell::get) {
        meter.fetch_add(1, Relaxed);
    }
}

// SAFETY: everything is passed on to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

/// A runtime whose threads' allocations are counted together with the calling thread's.
fn metered(threads: usize) -> (Runtime, Meter) {
    let meter: Meter = Box::leak(Box::new(AtomicUsize::new(0)));
    METER.set(Some(meter));
    let builder = Runtime::builder().threads(threads).max_threads(threads);
    (builder.on_thread_start(move || METER.set(Some(meter))).build().unwrap(), meter)
}

/// How often [`steady`] does its work.
const RUNS: usize = WARM + SAMPLES;
const WARM: usize = 20;
const SAMPLES: usize = 5;

/// How many allocations `work` leads to once it has everything that it needs. What it comes to need in only one of its
/// last runs, because two threads meet for the first time where they have not met before, is not of the steady state.
fn steady(meter: Meter, mut work: impl FnMut()) -> usize {
    (0..WARM).for_each(|_| work());
    let mut sample = || {
        let before = meter.load(SeqCst);
        work();
        meter.load(SeqCst) - before
    };
    (0..SAMPLES).map(|_| sample()).min().unwrap_or_default()
}

/// Captures three words: a pointer and two numbers.
fn three_words(sum: &Arc<AtomicUsize>, left: usize, right: usize) -> impl FnOnce() + Send + 'static {
    let sum = Arc::clone(sum);
    let closure = move || _ = sum.fetch_add(left * right, Relaxed);
    assert_eq!(size_of_val(&closure), 3 * size_of::<usize>());
    closure
}

#[test]
fn an_allocation_is_noticed() {
    let (runtime, meter) = metered(1);
    let queue = runtime.serial("boxed");
    // Four words do not fit a job.
    let captured = [1_usize; 4];
    let count = steady(meter, || {
        for _ in 0..100 {
            queue.exec_async(move || _ = std::hint::black_box(captured));
        }
        queue.exec_sync(|| ());
    });
    assert!(count >= 100, "{count}");
}

/// Submits jobs to the queue from one of its own: they wait in line until that one has ended.
fn burst(queue: &Queue, sum: &Arc<AtomicUsize>) {
    let (own, total) = (queue.clone(), Arc::clone(sum));
    queue.exec_async(move || {
        for number in 0..1_000 {
            own.exec_async(three_words(&total, number, 1));
        }
    });
}

#[test]
fn a_job_of_a_serial_queue_allocates_nothing() {
    let (runtime, meter) = metered(1);
    let (queue, sum, ended) = (runtime.serial("steady"), Arc::new(AtomicUsize::new(0)), Event::auto_reset());
    let count = steady(meter, || {
        burst(&queue, &sum);
        let told = ended.clone();
        queue.exec_async(|| ());
        // The queue is not idle before all of it has run.
        let own = queue.clone();
        queue.exec_async(move || own.exec_async(move || told.set()));
        ended.wait();
    });
    assert_eq!(sum.load(SeqCst), RUNS * (0..1_000).sum::<usize>());
    // A burst that finds the queue idle sends one drain through the shared injector, which takes a block every 63 times.
    assert!(count <= 1, "{count} allocations in 1,000 jobs");
}

/// Passes a ball from queue to queue, until no hop is left.
fn hop(queues: &'static [Queue; 2], sum: &'static AtomicUsize, left: usize) {
    queues[left % 2].exec_async(move || {
        sum.fetch_add(1, Relaxed);
        if left > 1 {
            hop(queues, sum, left - 1);
        }
    });
}

#[test]
fn a_job_that_goes_from_queue_to_queue_allocates_nothing() {
    let (runtime, meter) = metered(1);
    let queues: &'static [Queue; 2] = Box::leak(Box::new([runtime.serial("ping"), runtime.serial("pong")]));
    let sum: &'static AtomicUsize = Box::leak(Box::new(AtomicUsize::new(0)));
    let mut hops = 0;
    let count = steady(meter, || {
        hops += 2_000;
        hop(queues, sum, 2_000);
        while sum.load(SeqCst) < hops {
            std::thread::yield_now();
        }
    });
    // Each hop finds its queue idle; only the first comes from outside.
    assert!(count <= 1, "{count} allocations in 2,000 hops");
}

#[test]
fn jobs_from_outside_share_the_blocks_of_the_injectors() {
    const JOBS: usize = 5_000;
    let (runtime, meter) = metered(2);
    let sum = Arc::new(AtomicUsize::new(0));
    let (serial, concurrent, global) =
        (runtime.serial("serial"), runtime.concurrent("concurrent"), runtime.global(Qos::Utility));
    let mut submitted = 0;
    let mut measure = |submit: &dyn Fn(usize)| {
        steady(meter, || {
            // In bursts that the caches are made for.
            for number in 0..JOBS {
                submit(number);
                submitted += 1;
                while submitted - sum.load(SeqCst) > 500 {
                    std::thread::yield_now();
                }
            }
            while sum.load(SeqCst) < submitted {
                std::thread::yield_now();
            }
        })
    };
    let counts = [
        measure(&|_| serial.exec_async(three_words(&sum, 1, 1))),
        measure(&|_| concurrent.exec_async(three_words(&sum, 1, 1))),
        measure(&|_| global.exec_async(three_words(&sum, 1, 1))),
    ];
    assert!(counts.iter().all(|count| *count < JOBS / 50), "{counts:?} allocations in {JOBS} jobs each");
}

#[test]
fn a_sync_call_that_need_not_wait_allocates_nothing() {
    let (runtime, meter) = metered(1);
    let (serial, concurrent) = (runtime.serial("serial"), runtime.concurrent("concurrent"));
    let mut sum = 0;
    let count = steady(meter, || {
        for number in 0..1_000 {
            serial.exec_sync(|| sum += number);
            concurrent.exec_sync(|| ());
            concurrent.barrier_sync(|| sum += number);
            assert!(serial.try_exec_sync(|| ()).is_ok());
        }
    });
    assert_eq!((count, sum), (0, RUNS * 2 * (0..1_000).sum::<usize>()));
}

#[test]
fn a_merge_allocates_nothing() {
    let (runtime, meter) = metered(1);
    let queue = runtime.serial("target");
    let sum = Arc::new(AtomicUsize::new(0));
    let total = Arc::clone(&sum);
    let bar = Source::add(&queue).on_event(move |value| _ = total.fetch_add(value as usize, SeqCst)).activate();
    let flags = Source::or(&queue).on_event(drop).activate();
    let latest = Source::replace::<u64>(&queue).on_event(drop).activate();
    let mut merged = 0;
    // While nothing is delivered,
    queue.suspend().unwrap();
    let held = steady(meter, || {
        for number in 0..1_000 {
            bar.merge(1);
            flags.merge(1 << (number % 64));
            latest.merge(number);
            merged += 1;
        }
    });
    queue.resume().unwrap();
    // and while everything is.
    let delivered = steady(meter, || {
        for _ in 0..1_000 {
            bar.merge(1);
            merged += 1;
        }
        while sum.load(SeqCst) < merged {
            std::thread::yield_now();
        }
    });
    assert_eq!((held, sum.load(SeqCst)), (0, merged));
    // Only a delivery that finds its queue idle goes through the injector.
    assert!(delivered <= 1_000 / 50, "{delivered} allocations in 1,000 merges");
}

#[test]
fn a_message_allocates_nothing() {
    let (runtime, meter) = metered(1);
    let (queue, sum) = (runtime.serial("port"), Arc::new(AtomicUsize::new(0)));
    let total = Arc::clone(&sum);
    let port = Source::bounded_port(&queue, 1_000).on_event(move |messages| {
        total.fetch_add(messages.sum(), SeqCst);
    });
    let sender = port.sender();
    let port = port.activate().unwrap();
    let count = steady(meter, || {
        queue.exec_sync(|| (0..1_000_usize).for_each(|n| sender.send(n).unwrap()));
        queue.exec_sync(|| ());
    });
    assert_eq!(sum.load(SeqCst), RUNS * (0..1_000).sum::<usize>());
    // A turn that finds its queue idle goes through the injector.
    assert!(count <= 1, "{count} allocations in 1,000 messages");
    drop(port);
}

#[test]
fn suspending_and_resuming_do_not_leave_allocations_behind() {
    let (runtime, meter) = metered(1);
    let queue = runtime.serial("often");
    let ran = Arc::new(AtomicUsize::new(0));
    let count = steady(meter, || {
        queue.suspend().unwrap();
        queue.exec_async(three_words(&ran, 1, 1));
        queue.resume().unwrap();
        queue.exec_sync(|| ());
    });
    // The note of the suspended queue, its place among the notes, and the waiter's.
    assert!(count <= 4, "{count}");
}
