//! How long the tests are: with the environment variable `CONCOURSE_FULL` they have the numbers and the times that the
//! program is specified with, on a machine that has nothing else to do. Without it they have smaller numbers, and nothing
//! has to come sooner than on a machine that is busy with other things.

use std::env;
use std::time::Duration;

pub(crate) fn is_full() -> bool {
    env::var_os("CONCOURSE_FULL").is_some()
}

/// How many: as specified, or fewer.
pub(crate) fn count(quick: u64, full: u64) -> u64 {
    if is_full() { full } else { quick }
}

/// How late something may be: as specified, or as late as on a busy machine.
pub(crate) fn tolerance(full: Duration) -> Duration {
    if is_full() { full } else { Duration::from_secs(60) }
}
