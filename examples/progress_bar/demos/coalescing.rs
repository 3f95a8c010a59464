//! A hundred steps of 20 ms on the global queue, each of which merges a unit into a bar: by one job, or by a hundred.

use super::Journal;
use super::Outcome;
use super::PATIENCE;
use super::bar::Bar;
use super::bar::Delivered;
use concourse::Dispatch;
use concourse::Group;
use concourse::Qos;
use concourse::Runtime;
use std::thread;
use std::time::Duration;
use std::time::Instant;

pub(crate) const STEPS: u64 = 100;
pub(crate) const STEP: Duration = Duration::from_millis(20);

/// Who takes the steps.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Producers {
    /// One job, one after the other.
    One,
    /// A job for each, as many at a time as there are threads.
    Hundred,
}

/// Takes all steps, shows them on `target`, where drawing takes some time, and says how they came and how long it took.
pub(crate) fn run(
    runtime: &Runtime,
    journal: &Journal,
    target: &impl Dispatch,
    producers: Producers,
    drawing: Duration,
) -> Outcome<(Delivered, Duration)> {
    let bar = Bar::new(target, journal, STEPS, drawing);
    let (started, group, global) = (Instant::now(), Group::new(), runtime.global(Qos::Default));
    let source = bar.source.clone();
    let step = move || {
        source.merge(1);
        thread::sleep(STEP);
    };
    match producers {
        Producers::One => group.exec_async(&global, move || (0..STEPS).for_each(|_| step())),
        Producers::Hundred => (0..STEPS).for_each(|_| group.exec_async(&global, step.clone())),
    }
    group.wait_timeout(PATIENCE)?;
    let (delivered, elapsed) = (bar.wait()?, started.elapsed());
    let (drawing, seconds) = (drawing.as_millis(), elapsed.as_secs_f64());
    journal.note(format_args!("producers: {producers:?}, drawing: {drawing} ms, {delivered}, {seconds:.2} s"));
    Ok((delivered, elapsed))
}
