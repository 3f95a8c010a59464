//! `readsync`, its first pass: 64 threads for each processor make 10,000 laps in all over a concurrent queue. A lap is
//! two sync readers, after every 100th a writer comes in between as an async barrier, and after every 1,000th all
//! threads wait while a sync barrier drains the queue. A reader or writer sleeps for 10 ms, and then looks 1,000,000
//! times whether the other kind is there. Readers are as many at a time as there are threads, since each brings its
//! own; writers are alone.
//!
//! The original counts on the sleep to bring all readers together; here those of each thread's first lap wait for each
//! other. On machines with more than four processors there are as many threads as for four. The second pass needs
//! target queues.

use crate::profile::count;
use crate::profile::is_full;
use crate::timed::GENEROUS;
use crate::timed::finish;
use crate::timed::millis;
use concourse::Event;
use concourse::Group;
use concourse::Qos;
use concourse::Queue;
use concourse::Runtime;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

/// A writer comes after so many laps, and a drain after ten times as many.
const INTERVAL: usize = 100;

/// Readers or writers: how many are inside, how many were at most at the same time, and how many came.
#[derive(Default)]
struct Crowd {
    inside: AtomicUsize,
    most: AtomicUsize,
    visits: AtomicUsize,
}

struct Library {
    queue: Queue,
    threads: usize,
    laps: usize,
    sleep: Duration,
    looks: usize,
    readers: Crowd,
    writers: Crowd,
    /// How often one kind has seen the other.
    mixed: AtomicUsize,
    lap: AtomicUsize,
    drains: AtomicUsize,
    everybody_reads: Event,
    writing: Group,
}

impl Library {
    fn read(&self) {
        self.visit(&self.readers, &self.writers, || {
            if self.readers.inside.load(SeqCst) == self.threads {
                self.everybody_reads.set();
            }
            self.everybody_reads.wait_timeout(GENEROUS).unwrap();
        });
    }

    fn write(&self) {
        self.visit(&self.writers, &self.readers, || ());
    }

    fn visit(&self, own: &Crowd, other: &Crowd, first: impl Fn()) {
        own.most.fetch_max(own.inside.fetch_add(1, SeqCst) + 1, SeqCst);
        first();
        thread::sleep(self.sleep);
        let mixed = (0..self.looks).filter(|_| other.inside.load(Relaxed) > 0).count();
        self.mixed.fetch_add(mixed, SeqCst);
        own.visits.fetch_add(1, SeqCst);
        own.inside.fetch_sub(1, SeqCst);
    }

    /// The laps of one thread.
    fn run(self: &Arc<Self>) {
        loop {
            let lap = self.lap.fetch_add(1, SeqCst) + 1;
            if lap > self.laps {
                return;
            }
            self.queue.exec_sync(|| self.read());
            if lap.is_multiple_of(INTERVAL) {
                let (own, member) = (Arc::clone(self), self.writing.enter());
                self.queue.barrier_async(move || {
                    own.write();
                    drop(member);
                });
            }
            self.queue.exec_sync(|| self.read());
            if lap.is_multiple_of(10 * INTERVAL) {
                self.drains.fetch_add(1, SeqCst);
                thread::sleep(self.sleep);
                self.queue.barrier_sync(|| ());
                self.drains.fetch_sub(1, SeqCst);
            } else {
                while self.drains.load(SeqCst) > 0 {
                    thread::sleep(millis(1));
                }
            }
        }
    }
}

#[test]
fn sync_readers_are_as_many_as_threads_and_writers_are_alone() {
    let processors = thread::available_parallelism().map_or(1, usize::from).min(4);
    let threads = count(8, 64) * processors;
    let runtime = Runtime::builder().threads(threads).max_threads(threads).build().unwrap();
    let library = Arc::new(Library {
        queue: runtime.concurrent("readsync"),
        threads,
        laps: count(2_000, 10_000),
        sleep: if is_full() { millis(10) } else { millis(1) },
        looks: count(1_000, 1_000_000),
        readers: Crowd::default(),
        writers: Crowd::default(),
        mixed: AtomicUsize::new(0),
        lap: AtomicUsize::new(0),
        drains: AtomicUsize::new(0),
        everybody_reads: Event::new(),
        writing: Group::new(),
    });
    let (running, global) = (Group::new(), runtime.global(Qos::UserInitiated));
    for _ in 0..threads {
        let own = Arc::clone(&library);
        running.exec_async(&global, move || own.run());
    }
    running.wait_timeout(5 * GENEROUS).unwrap();
    library.writing.wait_timeout(GENEROUS).unwrap();
    let Library { readers, writers, mixed, .. } = &*library;
    assert_eq!((readers.most.load(SeqCst), writers.most.load(SeqCst)), (threads, 1));
    assert_eq!(mixed.load(SeqCst), 0, "a reader beside a writer");
    let visits = (readers.visits.load(SeqCst), writers.visits.load(SeqCst));
    assert_eq!(visits, (2 * library.laps, library.laps / INTERVAL));
    finish(&runtime);
}
