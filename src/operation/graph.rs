//! What depends on what, across queues.
//!
//! An operation that is built depends on those that exist, so that no cycle is possible then: its dependencies are in place
//! before anybody knows of it. A dependency that is added later is put in place first, and then it is looked whether there
//! is a way back; if there is, it is taken out again. So of several threads that would close a cycle together the one that
//! comes last finds all of it, without a lock on the whole. Whom barriers hold back is no edge of anybody: a walk asks each
//! queue on its way.

use super::record::Edge;
use super::record::Need;
use super::record::Record;
use super::roll::Passed;
use crate::error::DependencyError;
use crate::sync::Arc;
use crate::sync::planted;
use crate::sync::yield_point;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// The way along dependencies from one of these operations to the first that is `wanted`, both included.
fn way(mut from: Vec<Arc<Record>>, wanted: impl Fn(&Arc<Record>) -> bool) -> Option<Vec<Arc<Record>>> {
    let mut seen = BTreeSet::new();
    let mut passed = BTreeMap::<_, Passed>::new();
    let mut way = Vec::new();
    let mut next = from.pop();
    loop {
        if let Some(record) = next.take().filter(|record| seen.insert(Arc::as_ptr(record).addr())) {
            yield_point();
            let is_wanted = wanted(&record);
            let passed = passed.entry(record.station.id()).or_default();
            let ahead = if planted!("operation_walks_from_barrier_to_barrier") {
                record.station.next_ahead(record.number)
            } else {
                record.station.ahead(record.number, passed)
            };
            let dependencies = record.dependencies().into_iter().map(|edge| edge.on).chain(ahead);
            way.push((record, dependencies));
            if is_wanted {
                return Some(way.into_iter().map(|(record, _)| record).collect());
            }
        }
        match way.last_mut() {
            Some((_, dependencies)) => match dependencies.next() {
                Some(on) => next = Some(on),
                None => _ = way.pop(),
            },
            None => next = Some(from.pop()?),
        }
    }
}

/// Makes `record` depend on `on`.
pub(super) fn depend(record: &Arc<Record>, on: &Arc<Record>) -> Result<(), DependencyError> {
    let way_back = || way(vec![Arc::clone(on)], |other| Arc::ptr_eq(other, record));
    #[cfg(concourse_planted = "operation_looks_for_a_cycle_first")]
    let found = way_back();
    let edge = Edge { on: Arc::clone(on), need: Need::Success };
    yield_point();
    if !record.await_also(&edge) {
        return Err(DependencyError::TooLate { label: Arc::clone(&record.label) });
    }
    yield_point();
    #[cfg(not(concourse_planted = "operation_looks_for_a_cycle_first"))]
    let found = way_back();
    if let Some(way) = found {
        record.await_no_more(&edge);
        let round = std::iter::once(record).chain(&way);
        return Err(DependencyError::Cycle { labels: round.map(|record| Arc::clone(&record.label)).collect() });
    }
    on.subscribe_one(record, Need::Success);
    Ok(())
}

/// True if the calling thread keeps any of these operations, or something that one depends on, from going on.
pub(super) fn is_held_up(records: Vec<Arc<Record>>) -> bool {
    let holds = |record: &Arc<Record>| record.is_ending_here() || record.station.is_held_up(record.number);
    way(records, |record| record.ended().is_none() && holds(record)).is_some()
}
