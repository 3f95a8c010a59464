//! Operations of queues.

use crate::{Counted, Held, Operation, add, counted, expect_sum, in_batches, runtime, sum};
use concourse::{Qos, Queue, Runtime};
use std::hint::black_box;
use std::sync::mpsc;
use std::thread;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "loop",
        counted: Counted::Inside,
        what: "Nothing: a part of every other count except that of a hop.",
        run: |times| counted(times, || _ = black_box(1_u64)),
    },
    Operation {
        name: "push",
        counted: Counted::Inside,
        what: "`exec_async` of a closure with a `u64` onto a serial queue that has jobs already. The only worker is held.",
        run: push,
    },
    Operation {
        name: "drain step",
        counted: Counted::Inside,
        what: "One more such closure that an `exec_sync` finds ahead of itself, and runs. The only worker is held.",
        run: drain_step,
    },
    Operation {
        name: "hop",
        counted: Counted::Busiest,
        what: "Two serial queues bounce one closure: a push onto an idle queue, its token, its turn, its going idle, all on \
               the only worker. The thread that waits for the end sleeps.",
        run: hop,
    },
    Operation {
        name: "sync call",
        counted: Counted::Inside,
        what: "`exec_sync` onto an idle serial queue. There is no worker yet.",
        run: |times| sync(times, |runtime| runtime.serial("counted")),
    },
    Operation {
        name: "sync read",
        counted: Counted::Inside,
        what: "`exec_sync` onto an idle concurrent queue. There is no worker yet.",
        run: |times| sync(times, |runtime| runtime.concurrent("counted")),
    },
    Operation {
        name: "global push",
        counted: Counted::Inside,
        what: "`exec_async` onto the global queue from a job of the pool, into its worker's own deque. There is no other \
               worker to be called; the sentinel, a thread of its own, is relied upon and looks now and then.",
        run: global_push,
    },
];

/// So many that the blocks of a queue are recycled, as in a program that goes on for long.
const BATCH: u64 = 1_000;

fn submit(queue: &Queue) {
    let captured = black_box(1_u64);
    queue.exec_async(move || add(captured));
}

fn push(times: u64) {
    let held = Held::new();
    // The blocks come from the allocator now, and are recycled from then on.
    (0..=BATCH).for_each(|_| submit(&held.queue));
    held.clear();
    let before = sum();
    in_batches(times, BATCH, |batch| {
        submit(&held.queue); // Lest the first one that counts finds the queue idle.
        counted(batch, || submit(&held.queue));
        held.clear();
    });
    expect_sum(before + times + times / BATCH);
}

fn drain_step(times: u64) {
    // The number of sync calls does not depend on how many jobs each of them finds: they are not in the difference.
    const CALLS: u64 = 10;
    let held = Held::new();
    for _ in 0..CALLS {
        (0..times / CALLS).for_each(|_| submit(&held.queue));
        counted(1, || held.clear());
    }
    expect_sum(times / CALLS * CALLS);
}

struct Court {
    queues: [Queue; 2],
    over: mpsc::Sender<()>,
}

impl Court {
    fn hit(&'static self, left: u64) {
        self.queues[(left % 2) as usize].exec_async(move || match left {
            0 => self.over.send(()).expect("the program waits for the end"),
            _ => self.hit(left - 1),
        });
    }
}

fn hop(times: u64) {
    let runtime = runtime();
    let (over, told) = mpsc::channel();
    let queues = ["ping", "pong"].map(|label| runtime.serial(label));
    let court: &Court = Box::leak(Box::new(Court { queues, over }));
    court.hit(times);
    told.recv().expect("the game ends");
}

fn sync(times: u64, queue: impl FnOnce(&Runtime) -> Queue) {
    let runtime = runtime();
    let queue = queue(&runtime);
    let mut sum = 0;
    counted(times, || sum += queue.exec_sync(|| black_box(1)));
    assert_eq!(sum, times);
}

fn global_push(times: u64) {
    // So few that the deque neither grows nor shrinks.
    const BATCH: u64 = 50;
    let runtime = runtime();
    let queue = runtime.global(Qos::Default);
    let mut submitted = 0;
    in_batches(times, BATCH, |batch| {
        let here = queue.clone();
        queue.exec_async(move || {
            counted(batch, || {
                let captured = black_box(1_u64);
                here.exec_async(move || add(captured));
            });
        });
        submitted += batch;
        while sum() < submitted {
            thread::yield_now();
        }
    });
    expect_sum(times);
}
