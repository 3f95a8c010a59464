//! What depends on what, across queues.
//!
//! An operation that is built depends on those that exist, so that no cycle is possible then: its dependencies are in place
//! before anybody knows of it, and so is what barriers have it wait for, which is no edge of anybody: a walk asks each queue on
//! its way. A dependency that is added later may close a cycle, and so may several that as many threads add at once. There
//! is no lock on the whole, and what is found to close a cycle is taken out again.
//!
//! Whoever makes `record` depend on `on`
//!
//! 1. tells `on` that somebody will depend on it, which it remembers for good. Who builds an operation does so as well;
//! 2. puts the edge in place, and looks in the same step whether `record` has been told so;
//! 3. is done if it has not, and stands before no barrier and is none. Otherwise there may be a way back to `record`: walks
//!    from `on` along all that it depends on, and takes the edge out again if it comes to `record`.
//!
//! So a graph that grows at its ends, the common case, costs no walks: neither when what nobody depends on is made to depend on
//! something, nor when something is made to depend on what depends on nothing.
//!
//! **No cycle is left.** Suppose that one is. Its edges stay for good, and one of them, from `record` to `on`, was put in
//! place last. That was by a thread that went through these steps: an operation that is built has its edges, and its place
//! between barriers, before anything can depend on it. The edge that leads to `record` was put in place before, and `record`
//! was told before that, under its lock, under which step 2 looks; or a barrier is at one of its two ends, and then it is the
//! queue that knows of it in step 3. So the thread walked, along edges all of which were in place, under the locks under which
//! they had been put there, and came to `record`: a contradiction.
//!
//! **Perhaps none of several edges is left.** Of the threads that close a cycle together more than one may find it, and each
//! takes out its own edge. Which of these edges may stay is known when it is settled what becomes of the others, and so one
//! thread would have to wait for another; instead of that, whoever is refused may try again.

use super::record::Edge;
use super::record::Expectation;
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

/// Makes `record` depend on `on`. See the module for the steps.
pub(super) fn depend(record: &Arc<Record>, on: &Arc<Record>) -> Result<(), DependencyError> {
    let is_late = planted!("operation_expects_a_dependent_late");
    if !is_late {
        on.expect_dependents();
    }
    let way_back = || way(vec![Arc::clone(on)], |other| Arc::ptr_eq(other, record));
    #[cfg(concourse_planted = "operation_looks_for_a_cycle_first")]
    let found = way_back();
    let edge = Edge { on: Arc::clone(on), need: Need::Success };
    yield_point();
    let Some((expectation, was_ready)) = record.await_also(&edge) else {
        return Err(DependencyError::TooLate { label: Arc::clone(&record.label) });
    };
    yield_point();
    let may_close_a_cycle = expectation == Expectation::Dependents || record.station.holds_back(record.number);
    #[cfg(not(concourse_planted = "operation_looks_for_a_cycle_first"))]
    let found = may_close_a_cycle.then(way_back).flatten();
    if is_late {
        on.expect_dependents();
    }
    if let Some(way) = found {
        record.await_no_more(&edge);
        let round = std::iter::once(record).chain(&way);
        return Err(DependencyError::Cycle { labels: round.map(|record| Arc::clone(&record.label)).collect() });
    }
    if was_ready {
        // Not before: what is refused leaves it in its place.
        record.station.leave_line(record.number);
    }
    on.subscribe_one(record, Need::Success);
    Ok(())
}

/// True if the calling thread keeps any of these operations, or something that one depends on, from going on.
pub(super) fn is_held_up(records: Vec<Arc<Record>>) -> bool {
    // What ends here may be settled, with those who depend on it not told.
    let holds = |record: &Arc<Record>| {
        record.is_ending_here() || record.ended().is_none() && record.station.is_held_up(record.number)
    };
    way(records, holds).is_some()
}
