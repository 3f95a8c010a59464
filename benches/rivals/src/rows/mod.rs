//! The workloads, one file per concept.

use crate::row::Row;

mod group;
mod hops;
mod semaphore;
mod serial;
mod timer;

/// Every row, in the order of the table.
pub(crate) fn all() -> Vec<&'static Row> {
    [serial::ROWS, hops::ROWS, group::ROWS, semaphore::ROWS, timer::ROWS].into_iter().flatten().collect()
}
