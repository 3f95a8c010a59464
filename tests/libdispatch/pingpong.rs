//! `pingpong`: two serial queues, and a ball that goes from one to the other 1,000,000 times. Each hop is a member of
//! one group and submits the next, so that the group is not empty in between; waiting for it ends with the last hop.

use crate::add_in_two_steps;
use crate::profile::count;
use crate::timed::GENEROUS;
use crate::timed::finish;
use crate::timed::runtime;
use concourse::Group;
use concourse::Queue;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

struct Table {
    queues: [Queue; 2],
    group: Group,
    /// Only touched by one job at a time.
    hops: AtomicUsize,
}

/// Sends the ball to the other queue until no hop is left.
fn hop(table: &Arc<Table>, left: usize) {
    let own = Arc::clone(table);
    table.group.exec_async(&table.queues[left % 2], move || {
        add_in_two_steps(&own.hops);
        if left > 1 {
            hop(&own, left - 1);
        }
    });
}

#[test]
fn two_queues_pass_a_ball_and_the_group_is_never_empty_in_between() {
    let runtime = runtime();
    let hops = count(50_000, 1_000_000);
    let queues = [runtime.serial("ping"), runtime.serial("pong")];
    let table = Arc::new(Table { queues, group: Group::new(), hops: AtomicUsize::new(0) });
    hop(&table, hops);
    table.group.wait_timeout(GENEROUS).unwrap();
    assert_eq!(table.hops.load(Ordering::Relaxed), hops);
    finish(&runtime);
}
