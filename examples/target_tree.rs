//! A database on three queues: one writer at a time, a few readers beside it, and times when nobody may do anything.
//!
//! ```text
//! writer (serial) ────┐
//!                     ├──▶ database (concurrent)
//! readers (width 2) ──┘
//! ```
//!
//! Each queue says what holds for its own jobs. What holds for all of them is said to the queue that they target: a
//! barrier there excludes them, and its suspension holds them back.

use concourse::Group;
use concourse::Queue;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

const READERS: usize = 2;

/// Counts who is inside, who was at most at the same time, and who has been there. Relaxed throughout: only numbers to
/// look at.
#[derive(Default)]
struct Crowd {
    now: AtomicUsize,
    most: AtomicUsize,
    visits: AtomicUsize,
}

impl Crowd {
    fn visit(&self) {
        self.most.fetch_max(self.now.fetch_add(1, Relaxed) + 1, Relaxed);
        thread::sleep(Duration::from_millis(1));
        self.visits.fetch_add(1, Relaxed);
        self.now.fetch_sub(1, Relaxed);
    }

    fn state(&self) -> (usize, usize) {
        (self.now.load(Relaxed), self.visits.load(Relaxed))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let database = Queue::concurrent("database");
    let writer = Queue::builder("writer").target(&database).build()?;
    let readers = Queue::builder("readers").concurrent().width(READERS).target(&database).build()?;

    let (writes, reads, group) = (Arc::new(Crowd::default()), Arc::new(Crowd::default()), Group::new());
    let work = || {
        for _ in 0..100 {
            let (write, first, second) = (Arc::clone(&writes), Arc::clone(&reads), Arc::clone(&reads));
            group.exec_async(&writer, move || write.visit());
            group.exec_async(&readers, move || first.visit());
            group.exec_async(&readers, move || second.visit());
        }
    };

    work();
    // A checkpoint: nothing is written or read beside it. The queues make way for it, with jobs still in their lines.
    let ((writing, written), (reading, read)) = database.barrier_sync(|| (writes.state(), reads.state()));
    println!("checkpoint: {written} writes and {read} reads are done, {} are under way", writing + reading);
    assert_eq!(writing + reading, 0);

    // Maintenance: as a barrier has nobody beside it, what is suspended in one stands still at once.
    let maintenance = database.barrier_sync(|| database.suspend_guard())?;
    let before = (writes.state(), reads.state());
    work();
    thread::sleep(Duration::from_millis(50));
    println!("maintenance: {} jobs wait, and none begins", group.count());
    assert_eq!((writes.state(), reads.state()), before);
    drop(maintenance);

    group.wait();
    let [most_writes, most_reads] = [&writes, &reads].map(|crowd| crowd.most.load(Relaxed));
    println!("{} writes, at most {most_writes} at a time", writes.visits.load(Relaxed));
    println!("{} reads, at most {most_reads} at a time", reads.visits.load(Relaxed));
    assert!(most_writes == 1 && most_reads <= READERS);
    Ok(())
}
