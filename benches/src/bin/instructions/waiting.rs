//! Operations of what threads wait for. Nobody does: there is one thread.

use crate::{Counted, Operation, counted, in_batches};
use concourse::{Event, Group, Semaphore};
use std::hint::black_box;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "semaphore pair",
        counted: Counted::Inside,
        what: "`wait` and `signal` with a permit free. There is no other thread.",
        run: semaphore_pair,
    },
    Operation {
        name: "group pair",
        counted: Counted::Inside,
        what: "`enter` and the drop of the membership, in a group that does not run empty. There is no other thread.",
        run: group_pair,
    },
    Operation {
        name: "event set",
        counted: Counted::Inside,
        what: "`Event::set` of one that is not set, with nobody waiting. There is no other thread.",
        run: event_set,
    },
];

fn semaphore_pair(times: u64) {
    let permits = Semaphore::new(1);
    counted(times, || {
        black_box(&permits).wait();
        black_box(&permits).signal();
    });
    assert_eq!(permits.available(), 1);
}

fn group_pair(times: u64) {
    let group = Group::new();
    let other = group.enter();
    counted(times, || drop(black_box(group.enter())));
    drop(other);
    assert!(group.is_empty());
}

fn event_set(times: u64) {
    in_batches(times, 1_000, |batch| {
        let events: Vec<_> = (0..batch).map(|_| Event::new()).collect();
        let mut next = events.iter();
        counted(batch, || next.by_ref().take(1).for_each(Event::set));
        assert!(events.iter().all(Event::is_set));
    });
}
