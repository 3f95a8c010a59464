//! Operations of sources and timers.

use crate::{Counted, Held, Operation, add, counted, expect_sum, in_batches, runtime};
use concourse::{After, Dispatch, Queue, Source};
use std::hint::black_box;
use std::time::Duration;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "merge",
        counted: Counted::Inside,
        what: "`merge` into a source that adds up and is owed a turn already. The only worker is held.",
        run: merge,
    },
    Operation {
        name: "timer arm",
        counted: Counted::Inside,
        what: "`after` an hour, beside up to a thousand others. The event loop sleeps.",
        run: timer_arm,
    },
    Operation {
        name: "timer cancel",
        counted: Counted::Inside,
        what: "`After::cancel` of such a timer. The event loop sleeps.",
        run: timer_cancel,
    },
];

const HOUR: Duration = Duration::from_secs(3_600);

fn merge(times: u64) {
    let held = Held::new();
    let source = Source::add(&held.queue).on_event(add).activate();
    source.merge(1);
    counted(times, || source.merge(black_box(1)));
    held.clear();
    expect_sum(times + 1);
}

fn arm(queue: &Queue) -> After {
    queue.after(HOUR, || unreachable!("the program takes less than an hour")).expect("the event loop runs")
}

fn cancel(after: After) {
    assert!(after.cancel(), "the timer waits still");
}

const BATCH: u64 = 1_000;

fn timer_arm(times: u64) {
    let runtime = runtime();
    let queue = runtime.serial("counted");
    let mut timers = Vec::with_capacity(BATCH as usize);
    in_batches(times, BATCH, |batch| {
        counted(batch, || timers.push(arm(&queue)));
        timers.drain(..).for_each(cancel);
    });
}

fn timer_cancel(times: u64) {
    let runtime = runtime();
    let queue = runtime.serial("counted");
    in_batches(times, BATCH, |batch| {
        let mut timers: Vec<_> = (0..batch).map(|_| arm(&queue)).collect();
        counted(batch, || timers.pop().into_iter().for_each(cancel));
    });
}
