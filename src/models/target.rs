//! Lanes that target lanes: sync calls through a chain, suspension from above, barriers on a target, cancellation.
//!
//! The root is the queue of a [`Fixture`]; a model without a worker is a full pool.

use super::explore;
use super::lane::Fixture;
use crate::queue::Queue;
use crate::queue::QueueBuilder;
use crate::sync::Arc;
use std::sync::atomic::Ordering;

/// A queue below `target`, which is serial unless `shape` says otherwise.
fn below(fixture: &Fixture, target: &Queue, shape: impl FnOnce(QueueBuilder) -> QueueBuilder) -> Queue {
    let builder = QueueBuilder::new(Arc::clone(&fixture.engine), "child").target(target);
    shape(builder).build().expect("the target is on the same engine")
}

fn serial(builder: QueueBuilder) -> QueueBuilder {
    builder
}

fn concurrent(builder: QueueBuilder) -> QueueBuilder {
    builder.concurrent()
}

#[test]
fn a_sync_through_a_chain_excludes_pushes_and_needs_no_worker() {
    explore(2, || {
        let fixture = Fixture::serial();
        let child = below(&fixture, &fixture.queue(), serial);
        let pusher = fixture.thread({
            let child = child.clone();
            move |fixture| child.exec_async(fixture.writer(10))
        });
        child.exec_sync(|| fixture.write(20));
        pusher.join().unwrap();
        fixture.finish(2);
    });
}

#[test]
fn a_sync_through_a_chain_follows_its_own_thread_s_push() {
    explore(2, || {
        let fixture = Fixture::serial();
        let child = below(&fixture, &fixture.queue(), serial);
        let worker = fixture.thread(|fixture| _ = fixture.tokens.run_one());
        child.exec_async(fixture.writer(20));
        child.exec_sync(|| {
            fixture.write(21);
            assert_eq!(fixture.ran(), 2, "the job before it has not run");
        });
        worker.join().unwrap();
        fixture.finish(2);
    });
}

#[test]
fn syncs_onto_a_target_and_its_child_exclude_each_other() {
    explore(2, || {
        let fixture = Fixture::serial();
        let child = below(&fixture, &fixture.queue(), serial);
        let other = fixture.thread(|fixture| {
            fixture.queue().exec_async(fixture.writer(10));
            fixture.queue().exec_sync(|| fixture.write(11));
        });
        child.exec_sync(|| fixture.write(20));
        other.join().unwrap();
        fixture.finish(3);
    });
}

#[test]
fn syncs_onto_two_children_exclude_each_other() {
    explore(2, || {
        let fixture = Fixture::serial();
        let (left, right) = (below(&fixture, &fixture.queue(), serial), below(&fixture, &fixture.queue(), concurrent));
        let other = fixture.thread(move |fixture| {
            left.exec_async(fixture.writer(10));
            left.exec_sync(|| fixture.write(11));
        });
        right.exec_sync(|| fixture.write(20));
        other.join().unwrap();
        fixture.finish(3);
    });
}

#[test]
fn two_syncs_onto_a_child_take_turns() {
    for build in [Fixture::serial, Fixture::concurrent] {
        explore(2, move || {
            let fixture = build();
            let child = below(&fixture, &fixture.queue(), serial);
            child.exec_async(fixture.writer(10));
            let other = fixture.thread({
                let child = child.clone();
                move |fixture| child.exec_sync(|| fixture.write(20))
            });
            child.exec_sync(|| fixture.write(30));
            other.join().unwrap();
            fixture.finish(3);
        });
    }
}

#[test]
fn a_sync_through_a_chain_of_three_needs_no_worker() {
    explore(2, || {
        let fixture = Fixture::serial();
        let child = below(&fixture, &fixture.queue(), concurrent);
        let grandchild = below(&fixture, &child, serial);
        let pusher = fixture.thread({
            let grandchild = grandchild.clone();
            move |fixture| grandchild.exec_async(fixture.writer(10))
        });
        grandchild.exec_sync(|| fixture.write(20));
        pusher.join().unwrap();
        fixture.finish(2);
    });
}

#[test]
fn a_child_goes_on_when_its_suspended_target_is_resumed() {
    for build in [Fixture::serial, Fixture::concurrent] {
        explore(2, move || {
            let fixture = build();
            let child = below(&fixture, &fixture.queue(), serial);
            fixture.queue().suspend().unwrap();
            child.exec_async(fixture.writer(10));
            let resumer = fixture.thread(|fixture| fixture.queue().resume().unwrap());
            child.exec_sync(|| fixture.write(20));
            resumer.join().unwrap();
            fixture.finish(2);
        });
    }
}

#[test]
fn a_suspended_child_goes_on_when_it_is_resumed_and_leaves_its_target_free() {
    for shape in [serial, concurrent] {
        explore(2, move || {
            let fixture = Fixture::serial();
            let child = below(&fixture, &fixture.queue(), shape);
            child.suspend().unwrap();
            let resumer = fixture.thread({
                let child = child.clone();
                move |fixture| {
                    // It needs the target, and so must not find it held by the thread that waits for the child.
                    fixture.queue().exec_sync(|| fixture.write(10));
                    child.resume().unwrap();
                }
            });
            child.exec_sync(|| fixture.write(20));
            resumer.join().unwrap();
            fixture.finish(2);
        });
    }
}

#[test]
fn a_job_of_a_child_does_not_start_once_its_target_is_suspended() {
    for shape in [serial, concurrent] {
        explore(2, move || {
            let fixture = Fixture::serial();
            let child = below(&fixture, &fixture.queue(), shape);
            child.exec_async(fixture.writer(10));
            let worker = fixture.thread(|fixture| _ = fixture.tokens.run_one());
            let root = fixture.queue();
            root.suspend().unwrap();
            let other = Arc::clone(&fixture);
            child.exec_async(move || other.ran.store(99, Ordering::Relaxed));
            worker.join().unwrap();
            while fixture.tokens.run_one() {}
            assert!(fixture.ran() < 2, "a job below a suspended target has started");
            root.resume().unwrap();
            while fixture.tokens.run_one() {}
            assert!(fixture.ran() >= 99, "what the suspension held back is lost");
        });
    }
}

#[test]
fn the_last_handle_of_a_suspended_target_lets_its_children_go_on() {
    explore(2, || {
        let fixture = Fixture::serial();
        let child = below(&fixture, &fixture.queue(), serial);
        fixture.queue().suspend().unwrap();
        let pusher = fixture.thread(move |fixture| child.exec_async(fixture.writer(10)));
        fixture.drop_queue();
        pusher.join().unwrap();
        fixture.finish(1);
    });
}

#[test]
fn a_cancellation_on_a_child_counts_exactly_what_never_runs() {
    explore(2, || {
        let fixture = Fixture::serial();
        let child = below(&fixture, &fixture.queue(), serial);
        child.exec_async(fixture.writer(10));
        let worker = fixture.thread(|fixture| _ = fixture.tokens.run_one());
        let other = fixture.thread({
            let child = child.clone();
            move |fixture| child.exec_sync(|| fixture.write(20))
        });
        let cancelled = child.cancel_pending();
        worker.join().unwrap();
        other.join().unwrap();
        fixture.finish(2 - cancelled as u32);
    });
}

#[test]
fn a_barrier_on_a_target_excludes_a_child_s_sync_and_its_jobs() {
    for shape in [serial, concurrent] {
        explore(2, move || {
            let fixture = Fixture::concurrent();
            let child = below(&fixture, &fixture.queue(), shape);
            child.exec_async(fixture.reader());
            let writer = fixture.thread(|fixture| fixture.queue().barrier_sync(|| fixture.write(10)));
            child.exec_sync(|| fixture.read());
            writer.join().unwrap();
            fixture.finish(3);
        });
    }
}

#[test]
fn a_barrier_on_a_child_excludes_the_child_s_readers() {
    for build in [Fixture::serial, Fixture::concurrent] {
        explore(2, move || {
            let fixture = build();
            let child = below(&fixture, &fixture.queue(), concurrent);
            child.barrier_async(fixture.writer(10));
            let reader = fixture.thread({
                let child = child.clone();
                move |fixture| child.exec_sync(|| fixture.read())
            });
            child.barrier_sync(|| fixture.write(20));
            reader.join().unwrap();
            fixture.finish(3);
        });
    }
}

#[test]
fn an_inactive_queue_sends_no_token_past_its_target() {
    explore(2, || {
        let fixture = Fixture::serial();
        let root = fixture.queue();
        let builder = QueueBuilder::new(Arc::clone(&fixture.engine), "child").target(&root).concurrent();
        let inactive = Arc::new(builder.build_inactive().unwrap());
        let other = fixture.thread({
            let inactive = Arc::clone(&inactive);
            move |fixture| inactive.exec_async(fixture.reader())
        });
        inactive.exec_async(fixture.reader());
        other.join().unwrap();
        let child = Arc::try_unwrap(inactive).unwrap().activate();
        root.exec_sync(|| {
            let before = fixture.ran();
            while fixture.tokens.run_one() {}
            assert_eq!(fixture.ran(), before, "a job of the child ran beside a body of its serial target");
        });
        drop(child);
        fixture.finish(2);
    });
}

#[test]
fn a_thread_that_shares_a_target_never_waits_for_one_behind_the_target_s_barrier() {
    explore(2, || {
        let fixture = Fixture::concurrent();
        let child = below(&fixture, &fixture.queue(), serial);
        let other = fixture.thread({
            let child = child.clone();
            move |fixture| child.exec_sync(|| fixture.write(10))
        });
        let barrier = fixture.thread(|fixture| fixture.queue().barrier_sync(|| ()));
        fixture.queue().exec_sync(|| {
            child.exec_sync(|| fixture.write(20));
            child.exec_sync(|| fixture.write(21));
        });
        other.join().unwrap();
        barrier.join().unwrap();
        fixture.finish(3);
    });
}

#[test]
fn a_sync_onto_a_concurrent_child_whose_target_was_suspended_needs_no_worker() {
    explore(2, || {
        let fixture = Fixture::serial();
        let child = below(&fixture, &fixture.queue(), concurrent);
        let pusher = fixture.thread({
            let child = child.clone();
            move |fixture| child.barrier_async(fixture.writer(10))
        });
        let resumer = fixture.thread(|fixture| {
            fixture.queue().suspend().unwrap();
            fixture.queue().resume().unwrap();
        });
        child.exec_sync(|| fixture.write(20));
        pusher.join().unwrap();
        resumer.join().unwrap();
        fixture.finish(2);
    });
}
