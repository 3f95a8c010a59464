//! Bounded queues in every order.

use super::{deadlock, hold};
use concourse::{Bounded, Runtime, WhenFull};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One producer, two queues, and two places for both.
fn producer(runtime: &Runtime) {
    let (left, right) = (runtime.serial("left"), runtime.concurrent("right"));
    let of_left = Bounded::new(&left, NonZeroUsize::new(2).expect("two")).when_full(WhenFull::Block);
    let of_right = of_left.beside(&right);
    let ran = Arc::new(AtomicUsize::new(0));
    for bounded in [&of_left, &of_right, &of_right, &of_left].into_iter().cycle().take(12) {
        let ran = Arc::clone(&ran);
        assert!(bounded.try_exec_async(move || _ = ran.fetch_add(1, Ordering::SeqCst)).is_ok());
        assert!(bounded.waiting() <= bounded.capacity());
    }
    left.exec_sync(|| ());
    right.barrier_sync(|| ());
    assert_eq!((ran.load(Ordering::SeqCst), of_left.waiting()), (12, 0));
}

#[test]
fn a_producer_that_waits_for_places_comes_to_its_end() {
    hold(producer);
}

#[test]
fn a_producer_that_waits_for_a_queue_that_nobody_resumes_is_named() {
    let (_, found) = deadlock(|runtime| {
        let queue = runtime.serial("stuck");
        queue.suspend().expect("its first suspension");
        let bounded = Bounded::new(&queue, NonZeroUsize::MIN).when_full(WhenFull::Block);
        (0..2).for_each(|_| bounded.exec_async(|| ()));
    });
    assert_eq!(&*found.waiting[0].reason, "a place in queue \"stuck\", which is full");
}
