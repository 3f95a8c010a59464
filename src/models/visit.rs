//! Sync bodies in place: a lane that is taken for the length of one body, which may touch its own queue.

use super::explore;
use super::lane::Fixture;
use std::sync::atomic::Ordering;

/// Counts jobs that were dropped like those that ran.
fn count(fixture: &Fixture, dropped: usize) {
    fixture.ran.fetch_add(u32::try_from(dropped).expect("a model has few jobs"), Ordering::Relaxed);
}

#[test]
fn a_canceller_and_a_body_leave_nothing_behind() {
    explore(2, || {
        let fixture = Fixture::serial();
        let other = fixture.thread(|fixture| {
            fixture.queue().exec_async(fixture.writer(10));
            count(fixture, fixture.queue().cancel_pending());
        });
        fixture.queue().exec_sync(|| fixture.write(20));
        fixture.queue().exec_sync(|| fixture.write(21));
        other.join().unwrap();
        fixture.finish(3);
    });
}

#[test]
fn a_body_may_suspend_fill_and_resume_its_own_queue() {
    explore(2, || {
        let fixture = Fixture::serial();
        fixture.queue().suspend().unwrap();
        let other = fixture.thread(|fixture| {
            fixture.queue().resume().unwrap();
            fixture.queue().exec_async(fixture.writer(10));
            fixture.queue().exec_sync(|| fixture.write(11));
        });
        let queue = fixture.queue();
        queue.exec_sync(|| {
            fixture.write(20);
            queue.suspend().unwrap();
            queue.exec_async(fixture.writer(21));
            queue.resume().unwrap();
        });
        drop(queue);
        other.join().unwrap();
        fixture.finish(4);
    });
}

#[test]
fn a_body_may_cancel_what_is_pending_on_its_own_queue() {
    explore(2, || {
        let fixture = Fixture::serial();
        let other = fixture.thread(|fixture| {
            fixture.queue().exec_async(fixture.writer(10));
            fixture.queue().exec_sync(|| fixture.write(11));
        });
        let queue = fixture.queue();
        let dropped = queue.exec_sync(|| {
            queue.exec_async(fixture.writer(20));
            let dropped = queue.cancel_pending();
            fixture.write(21);
            dropped
        });
        count(&fixture, dropped);
        drop(queue);
        other.join().unwrap();
        fixture.finish(4);
    });
}

#[test]
fn a_body_may_fill_more_than_a_block_of_its_own_queue() {
    explore(2, || {
        let fixture = Fixture::serial();
        let other = fixture.thread(|fixture| {
            fixture.queue().exec_async(fixture.writer(10));
            fixture.queue().exec_sync(|| assert!(fixture.has_written(10), "a thread's own job comes first"));
        });
        let queue = fixture.queue();
        queue.exec_sync(|| (20..23).for_each(|name| queue.exec_async(fixture.writer(name))));
        queue.exec_sync(|| assert!(fixture.has_written(22)));
        drop(queue);
        other.join().unwrap();
        fixture.finish(4);
    });
}
