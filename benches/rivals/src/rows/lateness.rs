//! How late many timers fire, and what that costs.

use super::appointments::Appointments;
use super::process::Usage;
use super::timer::scattered;
use crate::peers::{Smol, Tokio, runtime};
use crate::row::{Contender, Goal, Row, Sample};
use concourse::{Dispatch, Qos};
use futures_lite::StreamExt;
use std::thread;
use std::time::{Duration, Instant};
use tokio_util::time::DelayQueue;

const METRICS: &[&str] = &["p50 ms", "p99 ms", "CPU ms"];

const CONTENDERS: &[Contender] = &[
    Contender { name: "concourse", run: |size| lateness(size, concourse_after) },
    Contender { name: "tokio DelayQueue", run: |size| lateness(size, tokio_delay_queue) },
    Contender { name: "tokio sleep", run: |size| lateness(size, tokio_sleep) },
    Contender { name: "smol Timer", run: |size| lateness(size, smol_timer) },
];

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "timer_1m_lateness",
        what: "A million timers fire between one and two seconds from now, in a random order; each stamps how late it is. The processor time is the whole process's, arming included.",
        metrics: METRICS,
        size: 1_000_000,
        quick: 1_000,
        contenders: CONTENDERS,
        goal: Goal::AtMost(0.1),
    },
    Row {
        name: "timer_100k_lateness",
        what: "As `timer_1m_lateness`, with a hundred thousand timers.",
        metrics: METRICS,
        size: 100_000,
        quick: 1_000,
        contenders: CONTENDERS,
        goal: Goal::AtMost(0.04),
    },
];

/// Fewer timers than this are only to show that everything runs.
const ENOUGH: u64 = 100_000;

fn lateness(size: u64, arm: fn(&'static Appointments)) -> Sample {
    fire(size / 10, Duration::from_millis(20), arm);
    let before = Usage::of_all();
    let kept = fire(size, Duration::from_millis(if size < ENOUGH { 20 } else { 1_000 }), arm);
    let used = Usage::of_all() - before;
    let milliseconds = kept.delays().map(|nanoseconds| nanoseconds / 1e6);
    vec![milliseconds[0], milliseconds[1], used.cpu.as_secs_f64() * 1e3]
}

/// Has timers armed for the `span` that begins in a `span` from now, and waits until they have fired.
fn fire(timers: u64, span: Duration, arm: fn(&'static Appointments)) -> &'static Appointments {
    let first = Instant::now() + span;
    let appointments = Appointments::of(timers);
    appointments.numbers().for_each(|number| appointments.set(number, first + scattered(number, span)));
    arm(appointments);
    // Whoever looks every now and then takes time from those that are measured: it begins after the last deadline.
    thread::sleep((first + span).saturating_duration_since(Instant::now()));
    appointments.wait();
    appointments
}

fn concourse_after(appointments: &'static Appointments) {
    let queue = runtime().global(Qos::Default);
    for number in appointments.numbers() {
        let delay = appointments.due(number).saturating_duration_since(Instant::now());
        let _ = queue.after(delay, move || appointments.keep(number)).expect("the event loop runs");
    }
}

/// One task owns the queue, and does what is due.
fn tokio_delay_queue(appointments: &'static Appointments) {
    Tokio::runtime().spawn(async move {
        let mut queue = DelayQueue::new();
        for number in appointments.numbers() {
            queue.insert_at(number, appointments.due(number).into());
        }
        while let Some(expired) = queue.next().await {
            appointments.keep(expired.into_inner());
        }
    });
}

fn tokio_sleep(appointments: &'static Appointments) {
    for number in appointments.numbers() {
        Tokio::runtime().spawn(async move {
            tokio::time::sleep_until(appointments.due(number).into()).await;
            appointments.keep(number);
        });
    }
}

fn smol_timer(appointments: &'static Appointments) {
    for number in appointments.numbers() {
        Smol::detach(async move {
            async_io::Timer::at(appointments.due(number)).await;
            appointments.keep(number);
        });
    }
}
