//! `starfish`: 1,000 serial queues of the class for long work, built suspended. The first job of each sends a ping to
//! all of them, itself included, and each ping is answered by a pong to its sender, which counts what is missing
//! without protection. A queue that has all its pongs tells the main queue. Ten laps, each with fresh queues.
//!
//! The original also demands less than 1,000 ns for each of the 2,002,000 messages of a lap, which only an idle machine
//! can promise; and it retargets the queues while they are suspended, where here they are built with their class.

use crate::add_in_two_steps;
use crate::profile::count;
use crate::timed::GENEROUS;
use crate::timed::finish;
use crate::timed::runtime;
use concourse::Event;
use concourse::Qos;
use concourse::Queue;
use concourse::Runtime;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

struct Arm {
    queue: Queue,
    /// Only touched by the jobs of the queue.
    pings: AtomicUsize,
    /// Only touched by the jobs of the queue.
    pongs: AtomicUsize,
}

struct Starfish {
    main: Queue,
    arms: Vec<Arm>,
    /// How many arms have all their pongs; only touched by the jobs of `main`.
    complete: AtomicUsize,
    done: Event,
}

impl Starfish {
    fn new(runtime: &Runtime, main: &Queue, arms: usize) -> Arc<Self> {
        let arms = (0..arms).map(|number| {
            let queue = runtime.queue(&format!("com.example.starfish-node#{number}")).qos(Qos::Utility);
            let queue = queue.build().unwrap();
            queue.suspend().unwrap();
            Arm { queue, pings: AtomicUsize::new(0), pongs: AtomicUsize::new(0) }
        });
        let (arms, main) = (arms.collect(), main.clone());
        Arc::new(Self { main, arms, complete: AtomicUsize::new(0), done: Event::new() })
    }

    fn start(self: &Arc<Self>, from: usize) {
        for to in 0..self.arms.len() {
            let own = Arc::clone(self);
            self.arms[to].queue.exec_async(move || own.ping(to, from));
        }
    }

    fn ping(self: &Arc<Self>, to: usize, from: usize) {
        add_in_two_steps(&self.arms[to].pings);
        let own = Arc::clone(self);
        self.arms[from].queue.exec_async(move || own.pong(from));
    }

    fn pong(self: &Arc<Self>, at: usize) {
        add_in_two_steps(&self.arms[at].pongs);
        if self.arms[at].pongs.load(Ordering::Relaxed) == self.arms.len() {
            let own = Arc::clone(self);
            self.main.exec_async(move || own.collect());
        }
    }

    fn collect(&self) {
        add_in_two_steps(&self.complete);
        if self.complete.load(Ordering::Relaxed) == self.arms.len() {
            self.done.set();
        }
    }
}

#[test]
fn a_star_of_queues_answers_every_ping() {
    let runtime = runtime();
    let (arms, laps) = (count(100, 1_000), count(3, 10));
    let main = runtime.serial("main");
    for _ in 0..laps {
        let starfish = Starfish::new(&runtime, &main, arms);
        for from in 0..arms {
            let own = Arc::clone(&starfish);
            starfish.arms[from].queue.exec_async(move || own.start(from));
        }
        assert!(starfish.arms.iter().all(|arm| arm.pings.load(Ordering::Relaxed) == 0), "they are suspended");
        starfish.arms.iter().for_each(|arm| arm.queue.resume().unwrap());
        starfish.done.wait_timeout(GENEROUS).unwrap();
        for arm in &starfish.arms {
            let counts = arm.queue.exec_sync(|| (arm.pings.load(Ordering::Relaxed), arm.pongs.load(Ordering::Relaxed)));
            assert_eq!((arm.queue.qos(), counts), (Qos::Utility, (arms, arms)));
        }
    }
    finish(&runtime);
}
