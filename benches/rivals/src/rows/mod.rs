//! The workloads, one file per concept.

use crate::row::Row;

pub(crate) mod hops;
pub(crate) mod serial;

/// Every row, in the order of the table.
pub(crate) fn all() -> Vec<&'static Row> {
    [serial::ROWS, hops::ROWS].into_iter().flatten().collect()
}
