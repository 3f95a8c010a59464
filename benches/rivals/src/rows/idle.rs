//! What a runtime uses that has nothing to do for an hour.

use super::process::Usage;
use crate::peers::{Concourse, Pool, Smol, Tokio, runtime};
use crate::row::{Contender, Goal, Row, Sample};
use crate::tally;
use concourse::{Dispatch, Qos};
use std::thread;
use std::time::Duration;

pub(super) const ROWS: &[Row] = &[Row {
    name: "idle_cpu",
    what: "Two seconds with nothing to do and a timer armed that fires in an hour, after a thousand closures have run: what all threads use but the one that measures.",
    metrics: &["CPU ms", "context switches"],
    size: 2_000,
    quick: 20,
    contenders: &[
        Contender { name: "concourse", run: concourse_after },
        Contender { name: "tokio sleep", run: tokio_sleep },
        Contender { name: "smol Timer", run: smol_timer },
    ],
    goal: Goal::AtMost(0.06),
}];

const HOUR: Duration = Duration::from_secs(3_600);

/// Gives the pool something to come to rest from, and looks at it for so many milliseconds.
fn idle(pool: impl Pool, milliseconds: u64) -> Sample {
    let ran = tally::sum();
    (0..1_000).for_each(|_| pool.spawn(|| tally::add(1)));
    tally::wait_for(ran, 1_000);
    thread::sleep(Duration::from_millis(milliseconds / 10));

    let before = Usage::of_others();
    thread::sleep(Duration::from_millis(milliseconds));
    let used = Usage::of_others() - before;
    vec![used.cpu.as_secs_f64() * 1e3, used.switches as f64]
}

fn concourse_after(size: u64) -> Sample {
    let queue = runtime().global(Qos::Default);
    let alarm = queue.after(HOUR, || unreachable!("it takes an hour")).expect("the event loop runs");
    let sample = idle(Concourse, size);
    assert!(alarm.cancel(), "the timer was not armed");
    sample
}

fn tokio_sleep(size: u64) -> Sample {
    let alarm = Tokio::runtime().spawn(async { tokio::time::sleep(HOUR).await });
    let sample = idle(Tokio, size);
    assert!(!alarm.is_finished(), "the timer was not armed");
    sample
}

fn smol_timer(size: u64) -> Sample {
    let alarm = Smol::executor().spawn(async_io::Timer::after(HOUR));
    let sample = idle(Smol, size);
    assert!(!alarm.is_finished(), "the timer was not armed");
    sample
}
