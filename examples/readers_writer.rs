//! A concurrent queue as a readers-writer lock: readers overlap, and a writer is alone.
//!
//! A reader is a sync call. It borrows what it reads, runs on the thread of its caller, and gives a value back. A writer
//! is a barrier: it waits for the readers before it and holds back those after it, and nobody has to wait for it.

use concourse::Queue;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

const ACCOUNTS: usize = 8;
const READERS: usize = 4;
const READINGS: usize = 5_000;
const TRANSFERS: usize = 1_000;
const MONEY: u64 = 100 * ACCOUNTS as u64;

struct Bank {
    queue: Queue,
    /// Atomic, so that the compiler lets several threads see them; that a sum of them is right is the queue's doing.
    balances: [AtomicU64; ACCOUNTS],
    /// How many read now, and how many at most at the same time.
    reading: (AtomicUsize, AtomicUsize),
}

impl Bank {
    /// What all accounts hold together.
    fn total(&self) -> u64 {
        self.queue.exec_sync(|| {
            let (now, most) = &self.reading;
            most.fetch_max(now.fetch_add(1, Relaxed) + 1, Relaxed);
            let (left, right) = self.balances.split_at(ACCOUNTS / 2);
            let sum = |balances: &[AtomicU64]| balances.iter().map(|balance| balance.load(Relaxed)).sum::<u64>();
            let half = sum(left);
            // Other readers come in between, and no writer.
            thread::yield_now();
            let total = half + sum(right);
            now.fetch_sub(1, Relaxed);
            total
        })
    }

    /// Sees to it that the money is moved, some time.
    fn transfer(self: &Arc<Self>, from: usize, to: usize, amount: u64) {
        let bank = Arc::clone(self);
        self.queue.barrier_async(move || {
            let amount = amount.min(bank.balances[from].load(Relaxed));
            bank.balances[from].fetch_sub(amount, Relaxed);
            // Whoever added up the balances now would find too little.
            thread::yield_now();
            bank.balances[to].fetch_add(amount, Relaxed);
        });
    }
}

fn main() {
    let queue = Queue::concurrent("bank");
    let balances = [0; ACCOUNTS].map(|_| AtomicU64::new(MONEY / ACCOUNTS as u64));
    let bank = Arc::new(Bank { queue, balances, reading: Default::default() });
    thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| (0..READINGS).for_each(|_| assert_eq!(bank.total(), MONEY)));
        }
        for number in 0..TRANSFERS {
            bank.transfer(number % ACCOUNTS, number / 7 % ACCOUNTS, number as u64 % 50);
        }
        println!("{TRANSFERS} transfers are submitted");
    });
    // The last barrier comes after all the others.
    let balances = bank.queue.barrier_sync(|| bank.balances.each_ref().map(|balance| balance.load(Relaxed)));
    println!("{} readings, up to {} at a time, found {MONEY} each", READERS * READINGS, bank.reading.1.load(Relaxed));
    println!("the money is where it was brought: {balances:?}");
    assert_eq!(balances.iter().sum::<u64>(), MONEY);
}
