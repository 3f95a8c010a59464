//! Many small turns: closures that go from queue to queue.

use crate::peers::{Rayon, Serial, Smol, Strand, Tokio, TokioTask};
use crate::row::{Contender, Goal, Row, Sample, per_operation};
use crate::tally;
use concourse::Queue;
use std::hint::black_box;
use std::sync::mpsc;
use std::time::Instant;

macro_rules! contenders {
    ($run:ident) => {
        [
            Contender { name: "concourse", run: $run::<Queue> },
            Contender { name: "rayon strand", run: $run::<Strand<Rayon>> },
            Contender { name: "smol strand", run: $run::<Strand<Smol>> },
            Contender { name: "tokio strand", run: $run::<Strand<Tokio>> },
            Contender { name: "tokio mpsc + task", run: $run::<TokioTask> },
        ]
    };
}

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "pingpong",
        what: "Two serial queues bounce one closure.",
        metrics: &["ns per hop"],
        size: 500_000,
        quick: 1_000,
        contenders: &contenders!(pingpong),
        goal: Goal::AtMost(30.0),
    },
    Row {
        name: "starfish",
        what: "One outside thread deals closures to 1,000 serial queues, round robin.",
        metrics: &["ns per closure"],
        size: 1_000_000,
        quick: 5_000,
        contenders: &contenders!(starfish),
        goal: Goal::AtMost(35.0),
    },
];

fn pingpong<S: Serial>(size: u64) -> Sample {
    let (court, over): (&'static Court<S>, _) = Court::open();
    let play = |hops: u64| {
        let start = Instant::now();
        court.hit(hops);
        over.recv().expect("the game ends") - start
    };
    play(size / 10);
    per_operation(play(size), size)
}

struct Court<S> {
    queues: [S; 2],
    over: mpsc::SyncSender<Instant>,
}

impl<S: Serial> Court<S> {
    fn open() -> (&'static Self, mpsc::Receiver<Instant>) {
        let (over, told) = mpsc::sync_channel(1);
        (Box::leak(Box::new(Self { queues: [S::start(), S::start()], over })), told)
    }

    fn hit(&'static self, left: u64) {
        self.queues[(left % 2) as usize].exec(move || match left {
            0 => self.over.send(Instant::now()).expect("the measurement waits"),
            _ => self.hit(left - 1),
        });
    }
}

fn starfish<S: Serial>(size: u64) -> Sample {
    dealt_to::<S>(1_000, size)
}

/// Closures from one outside thread to so many serial queues, round robin.
pub(crate) fn dealt_to<S: Serial>(queues: u64, size: u64) -> Sample {
    let queues: Vec<S> = (0..queues).map(|_| S::start()).collect();
    let round = |size: u64| {
        let before = tally::sum();
        let start = Instant::now();
        for queue in queues.iter().cycle().take(size as usize) {
            let captured = black_box(1_u64);
            queue.exec(move || tally::add(captured));
        }
        tally::wait_for(before, size);
        start.elapsed()
    };
    round((size / 10).max(queues.len() as u64));
    per_operation(round(size), size)
}
