//! The workloads, one file per concept.

use crate::row::Row;

mod hops;
mod merge;
mod pool;
mod serial;
mod sync;

/// Every row, in the order of the table.
pub(crate) fn all() -> Vec<&'static Row> {
    [merge::ROWS, serial::ROWS, sync::ROWS, hops::ROWS, pool::ROWS].into_iter().flatten().collect()
}
