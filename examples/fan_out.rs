//! Many jobs on a concurrent queue, a few at a time, and their results gathered on a serial one.
//!
//! Finds the number up to a million that takes the most steps to reach 1 by the rule of Collatz. The width of
//! `search` bounds how many jobs run, the serial queue `tally` takes their results one by one, and the group says when
//! the last one is in.

use concourse::Group;
use concourse::Queue;
use parking_lot::Mutex;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

const WIDTH: usize = 2;
const JOBS: u64 = 100;
const NUMBERS_PER_JOB: u64 = 10_000;

/// What is gathered. Only jobs of one serial queue lock it, so nobody ever waits for it.
#[derive(Default)]
struct Tally {
    jobs: u64,
    /// Steps, and the first number that takes so many.
    longest: (u32, u64),
}

fn main() -> Result<(), concourse::BuildError> {
    let search = Queue::builder("search").concurrent().width(WIDTH).build()?;
    let tally = Queue::serial("tally");
    let gathered = Arc::new(Mutex::new(Tally::default()));
    let crowd = Arc::new(Crowd::default());

    let everything = Group::new();
    for job in 0..JOBS {
        let (tally, gathered, crowd) = (tally.clone(), Arc::clone(&gathered), Arc::clone(&crowd));
        let group = everything.clone();
        everything.exec_async(&search, move || {
            crowd.come();
            let longest = longest(job * NUMBERS_PER_JOB + 1..(job + 1) * NUMBERS_PER_JOB + 1);
            crowd.go();
            // Entered by a member, so that the group is not empty in between.
            group.exec_async(&tally, move || {
                let mut gathered = gathered.lock();
                gathered.jobs += 1;
                gathered.longest = gathered.longest.max(longest);
            });
        });
    }
    println!("{JOBS} jobs are submitted");
    everything.wait();

    let Tally { jobs, longest: (steps, number) } = *gathered.lock();
    println!("{jobs} jobs have run, at most {} at a time", crowd.most.load(Ordering::Relaxed));
    println!("{number} takes {steps} steps to reach 1");
    Ok(())
}

fn longest(numbers: Range<u64>) -> (u32, u64) {
    numbers.map(|number| (steps(number), number)).max().unwrap_or_default()
}

fn steps(number: u64) -> u32 {
    let next = |&n: &u64| (n != 1).then(|| if n % 2 == 0 { n / 2 } else { 3 * n + 1 });
    std::iter::successors(Some(number), next).skip(1).map(|_| 1).sum()
}

/// Counts how many are there at the same time. Relaxed throughout: they are only numbers to look at.
#[derive(Default)]
struct Crowd {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Crowd {
    fn come(&self) {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
    }

    fn go(&self) {
        self.now.fetch_sub(1, Ordering::Relaxed);
    }
}
