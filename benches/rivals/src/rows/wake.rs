//! How soon an idle runtime begins with a closure.

use super::appointments::Appointments;
use super::process::Usage;
use crate::peers::{Closure, Concourse, CrossbeamThread, Pool, Rayon, Serial, Smol, Tokio};
use crate::row::{Contender, Goal, Row, Sample};
use concourse::Queue;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

pub(super) const ROWS: &[Row] = &[Row {
    name: "wake_latency",
    what: "An outside thread submits a closure every millisecond, and everybody sleeps in between: the time from the submission to the start. The processor time is the whole process's.",
    metrics: &["p50 us", "p99 us", "CPU us per wake"],
    size: 500,
    quick: 20,
    contenders: &[
        Contender { name: "concourse", run: |size| pooled(Concourse, size) },
        Contender { name: "concourse serial queue", run: serial::<Queue> },
        Contender { name: "std channel + thread", run: serial::<StdThread> },
        Contender { name: "crossbeam + thread", run: serial::<CrossbeamThread> },
        Contender { name: "tokio spawn", run: |size| pooled(Tokio, size) },
        Contender { name: "rayon spawn", run: |size| pooled(Rayon, size) },
        Contender { name: "smol spawn", run: |size| pooled(Smol, size) },
    ],
    goal: Goal::AtMost(6.5),
}];

fn pooled(pool: impl Pool, size: u64) -> Sample {
    wakes(size, |appointments, number| pool.spawn(move || appointments.keep(number)))
}

fn serial<S: Serial>(size: u64) -> Sample {
    let queue = S::start();
    wakes(size, |appointments, number| queue.exec(move || appointments.keep(number)))
}

fn wakes(size: u64, submit: impl Fn(&'static Appointments, u64)) -> Sample {
    let round = |size| {
        let appointments = Appointments::of(size);
        for number in appointments.numbers() {
            thread::sleep(Duration::from_millis(1));
            appointments.set(number, Instant::now());
            submit(appointments, number);
        }
        appointments.wait();
        appointments
    };
    round(size / 10);
    let before = Usage::of_all();
    let kept = round(size);
    let used = Usage::of_all() - before;
    let microseconds = kept.delays().map(|nanoseconds| nanoseconds / 1e3);
    vec![microseconds[0], microseconds[1], used.cpu.as_secs_f64() * 1e6 / size as f64]
}

/// A thread of its own behind a channel.
#[derive(Clone)]
struct StdThread(mpsc::Sender<Closure>);

impl Serial for StdThread {
    fn start() -> Self {
        let (sender, receiver) = mpsc::channel::<Closure>();
        thread::spawn(move || receiver.into_iter().for_each(|job| job()));
        Self(sender)
    }

    fn exec(&self, f: impl FnOnce() + Send + 'static) {
        self.0.send(Box::new(f)).expect("the receiver ends after the senders");
    }
}
