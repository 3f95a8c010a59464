//! How long the scenarios are.
//!
//! With the environment variable `CONCOURSE_FULL` they have the numbers of their originals, and keep the times that
//! their originals demand. Without it they have smaller numbers, and nothing has to come sooner than on a machine that
//! is busy with other things. What is asserted is the same.

use crate::timed::GENEROUS;
use std::env;
use std::time::Duration;

pub(crate) fn is_full() -> bool {
    env::var_os("CONCOURSE_FULL").is_some()
}

/// How many: the original's number, or a smaller one.
pub(crate) fn count(quick: usize, original: usize) -> usize {
    if is_full() { original } else { quick }
}

/// How long something takes: the original's time, or a tenth of it.
pub(crate) fn time(original: Duration) -> Duration {
    if is_full() { original } else { original / 10 }
}

/// How late something may be: as late as in the original, or as late as on a busy machine.
pub(crate) fn tolerance(original: Duration) -> Duration {
    if is_full() { original } else { GENEROUS }
}
