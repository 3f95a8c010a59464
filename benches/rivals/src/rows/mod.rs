//! The workloads, one file per concept, and two things that several of them measure with.

use crate::row::Row;

mod appointments;
mod process;

mod blocking;
mod group;
pub(crate) mod hops;
mod idle;
mod lateness;
mod memory;
mod merge;
mod pool;
mod semaphore;
pub(crate) mod serial;
mod sync;
mod timer;
mod wake;

/// Every row, in the order of the table.
pub(crate) fn all() -> Vec<&'static Row> {
    [
        merge::ROWS,
        serial::ROWS,
        sync::ROWS,
        hops::ROWS,
        pool::ROWS,
        group::ROWS,
        semaphore::ROWS,
        timer::ROWS,
        lateness::ROWS,
        wake::ROWS,
        blocking::ROWS,
        memory::ROWS,
        idle::ROWS,
    ]
    .into_iter()
    .flatten()
    .collect()
}
