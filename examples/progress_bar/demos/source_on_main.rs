//! Demo 1: a source that delivers to a serial queue, where a main queue would be. With one producer that is slower than
//! the handler each unit has a call of its own. With a hundred producers, or with a handler that is slow, units come
//! together, and none is lost.

use super::Journal;
use super::Outcome;
use super::coalescing;
use super::coalescing::Producers;
use concourse::Runtime;
use std::time::Duration;

/// What a handler takes to draw that is slower than its producers.
pub(crate) const SLOW: Duration = Duration::from_millis(50);

pub(crate) fn play(runtime: &Runtime, journal: &Journal) -> Outcome<()> {
    let main = runtime.serial("main");
    for (producers, drawing) in [(Producers::One, Duration::ZERO), (Producers::One, SLOW), (Producers::Hundred, SLOW)] {
        coalescing::run(runtime, journal, &main, producers, drawing)?;
    }
    Ok(())
}
