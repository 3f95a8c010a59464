//! Queues against a flood: a serial queue's job does not wait for the pool to run dry.

use concourse::Event;
use concourse::Group;
use concourse::Qos;
use concourse::Queue;
use concourse::Runtime;
use concourse::Source;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use std::time::Instant;

/// Jobs of a flood. Each takes a while, so that both threads have enough to do for the whole test.
const FLOOD: usize = 10_000;

fn work() {
    for step in 0..2_000 {
        black_box(step);
    }
}

/// A flood of jobs on the global queue, and how many of them have run.
struct Flood {
    group: Group,
    ran: Arc<AtomicUsize>,
}

impl Flood {
    fn start(runtime: &Runtime, each: impl Fn() + Clone + Send + 'static) -> Self {
        let (global, group, ran) = (runtime.global(Qos::Utility), Group::new(), Arc::new(AtomicUsize::new(0)));
        // Nothing runs until all of it is there.
        let (go, begun) = (Event::new(), Group::new());
        for _ in 0..2 {
            let (go, begun) = (go.clone(), begun.enter());
            global.exec_async(move || {
                drop(begun);
                go.wait();
            });
        }
        begun.wait();
        for _ in 0..FLOOD {
            let (ran, each) = (Arc::clone(&ran), each.clone());
            group.exec_async(&global, move || {
                work();
                each();
                ran.fetch_add(1, SeqCst);
            });
        }
        go.set();
        Self { group, ran }
    }
}

fn runtime() -> Runtime {
    // No thread is added while the first two wait for the flood to be complete.
    Runtime::builder().threads(2).max_threads(2).build().unwrap()
}

#[test]
fn jobs_of_a_serial_queue_start_long_before_a_flood_ends() {
    const JOBS: usize = 30;
    let runtime = runtime();
    let ui = runtime.serial("ui");
    let flood = Flood::start(&runtime, || ());
    let mut waited = Vec::new();
    for _ in 0..JOBS {
        let (started, at) = (Event::new(), Arc::new(AtomicUsize::new(0)));
        let before = flood.ran.load(SeqCst);
        let (told, place, ran) = (started.clone(), Arc::clone(&at), Arc::clone(&flood.ran));
        ui.exec_async(move || {
            place.store(ran.load(SeqCst), SeqCst);
            told.set();
        });
        started.wait();
        waited.push(at.load(SeqCst) - before);
    }
    flood.group.wait();
    assert_eq!(flood.ran.load(SeqCst), FLOOD);
    // Not what ran between two of them, while the submitting thread waited for a processor.
    let passed: usize = waited.iter().sum();
    assert!(passed < FLOOD / 2, "{passed} jobs of the flood ran ahead of {JOBS} of the queue: {waited:?}");
    // A thread looks for drains once in 61 jobs at the latest. The median leaves out those that were submitted while the
    // submitting thread itself had to wait for a processor.
    waited.sort_unstable();
    assert!(waited[JOBS / 2] <= 4 * 61, "{waited:?}");
}

/// A chain of jobs over two queues.
struct Chain {
    queues: [Queue; 2],
    group: Group,
    hops: AtomicUsize,
    flood: Arc<AtomicUsize>,
    /// How much of the flood had run at the last hop.
    passed: AtomicUsize,
}

impl Chain {
    fn hop(self: &Arc<Self>, left: usize) {
        let chain = Arc::clone(self);
        self.group.exec_async(&self.queues[left % 2], move || {
            chain.hops.fetch_add(1, SeqCst);
            chain.passed.store(chain.flood.load(SeqCst), SeqCst);
            if left > 1 {
                chain.hop(left - 1);
            }
        });
    }
}

#[test]
fn a_chain_over_two_queues_makes_its_way_through_a_flood() {
    const HOPS: usize = 60;
    let runtime = runtime();
    let queues = [runtime.serial("left"), runtime.serial("right")];
    let flood = Flood::start(&runtime, || ());
    let (hops, passed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let chain = Arc::new(Chain { queues, group: Group::new(), hops, flood: Arc::clone(&flood.ran), passed });
    let before = flood.ran.load(SeqCst);
    chain.hop(HOPS);
    chain.group.wait();
    flood.group.wait();
    assert_eq!((chain.hops.load(SeqCst), flood.ran.load(SeqCst)), (HOPS, FLOOD));
    let passed = chain.passed.load(SeqCst).saturating_sub(before);
    assert!(passed < FLOOD / 2, "{passed} jobs of the flood ran before {HOPS} hops");
}

#[test]
fn a_handler_is_called_again_and_again_while_its_own_producers_fill_the_pool() {
    let runtime = runtime();
    let ui = runtime.serial("ui");
    let (calls, sum, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Event::new());
    let (count, total, told) = (Arc::clone(&calls), Arc::clone(&sum), done.clone());
    let bar = Source::add(&ui)
        .on_event(move |value| {
            count.fetch_add(1, SeqCst);
            if total.fetch_add(value as usize, SeqCst) + value as usize == FLOOD {
                told.set();
            }
        })
        .activate();
    let handle = bar.handle().clone();
    let flood = Flood::start(&runtime, move || _ = handle.merge(1));
    flood.group.wait();
    done.wait();
    assert_eq!(sum.load(SeqCst), FLOOD);
    // Once in 4 * 61 jobs, as above, and never more often than there was something to deliver.
    let calls = calls.load(SeqCst);
    assert!((FLOOD / (4 * 61)..=FLOOD).contains(&calls), "{calls} calls");
}

#[test]
fn a_busy_queue_does_not_keep_its_siblings_waiting() {
    let runtime = Runtime::builder().threads(1).max_threads(1).build().unwrap();
    let (busy, sibling) = (runtime.serial("busy"), runtime.serial("sibling"));
    let (group, ran) = (Group::new(), Arc::new(AtomicUsize::new(0)));
    let (go, begun, stop) = (Event::new(), Event::new(), Arc::new(AtomicBool::new(false)));
    let (wait, tell) = (go.clone(), begun.clone());
    group.exec_async(&busy, move || {
        tell.set();
        wait.wait();
    });
    begun.wait();
    for _ in 0..10_000 {
        let (ran, stop) = (Arc::clone(&ran), Arc::clone(&stop));
        group.exec_async(&busy, move || {
            ran.fetch_add(usize::from(!stop.load(SeqCst)), SeqCst);
        });
    }
    let stopped = Arc::clone(&stop);
    group.exec_async(&sibling, move || stopped.store(true, SeqCst));
    go.set();
    group.wait();
    // One budget of the busy queue's jobs at most, of which the first was the one that waited.
    let before = ran.load(SeqCst);
    assert!(before <= 64, "{before} jobs ran before the sibling's only one");
}

/// Jobs that take their time, and how many of them have run.
struct Slow {
    group: Group,
    ran: Arc<AtomicUsize>,
}

impl Slow {
    const JOBS: usize = 400;

    fn start(queue: &Queue, length: Duration, each: impl Fn() + Clone + Send + 'static) -> Self {
        let (group, ran) = (Group::new(), Arc::new(AtomicUsize::new(0)));
        // Nothing runs until all of it is there.
        let held = queue.suspend_guard().unwrap();
        for _ in 0..Self::JOBS {
            let (ran, each) = (Arc::clone(&ran), each.clone());
            group.exec_async(queue, move || {
                let begun = Instant::now();
                // It computes: for a job that sleeps another thread would be started.
                while begun.elapsed() < length {
                    work();
                }
                each();
                ran.fetch_add(1, SeqCst);
            });
        }
        drop(held);
        Self { group, ran }
    }
}

#[test]
fn a_handler_is_called_again_and_again_beside_slow_jobs_of_a_wide_queue() {
    let runtime = Runtime::builder().threads(2).build().unwrap();
    let (calls, sum, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Event::new());
    let (count, total, told) = (Arc::clone(&calls), Arc::clone(&sum), done.clone());
    let bar = Source::add(&runtime.serial("ui"))
        .on_event(move |value| {
            count.fetch_add(1, SeqCst);
            if total.fetch_add(value as usize, SeqCst) + value as usize == Slow::JOBS {
                told.set();
            }
        })
        .activate();
    let handle = bar.handle().clone();
    let wide = runtime.concurrent("slow");
    let slow = Slow::start(&wide, Duration::from_millis(2), move || _ = handle.merge(1));
    slow.group.wait();
    done.wait();
    assert_eq!((slow.ran.load(SeqCst), sum.load(SeqCst)), (Slow::JOBS, Slow::JOBS));
    // A turn lasts a few milliseconds, and not 64 jobs: some eighty calls, where it would be two.
    let calls = calls.load(SeqCst);
    assert!((16..=Slow::JOBS).contains(&calls), "{calls} calls");
}

#[test]
fn slow_jobs_of_a_queue_do_not_keep_its_siblings_waiting_for_a_whole_budget() {
    let runtime = Runtime::builder().threads(1).build().unwrap();
    let (busy, sibling) = (runtime.serial("busy"), runtime.serial("sibling"));
    let slow = Slow::start(&busy, Duration::from_millis(5), || ());
    let (started, at) = (Event::new(), Arc::new(AtomicUsize::new(0)));
    let before = slow.ran.load(SeqCst);
    let (told, place, ran) = (started.clone(), Arc::clone(&at), Arc::clone(&slow.ran));
    sibling.exec_async(move || {
        place.store(ran.load(SeqCst), SeqCst);
        told.set();
    });
    started.wait();
    assert!(busy.cancel_pending() > 0, "the busy queue has run dry");
    slow.group.wait();
    // A tick of five milliseconds, and the job in which it falls; the budget would be 64.
    let passed = at.load(SeqCst) - before;
    assert!(passed <= 32, "{passed} jobs ran before the sibling's only one");
}
