//! The lane, with several edges at once: cancellers, waiters, suspensions and a shutdown that meet.

use super::explore;
use super::lane::Fixture;
use crate::engine::Phase;
use crate::sync::Arc;
use std::sync::atomic::Ordering;

/// Cancels, and counts what was dropped as if it had run.
fn cancel(fixture: &Arc<Fixture>) {
    let dropped = fixture.queue().cancel_pending();
    fixture.ran.fetch_add(dropped as u32, Ordering::Relaxed);
}

fn work(fixture: &Arc<Fixture>) {
    fixture.tokens.run_one();
}

fn suspend_and_resume(fixture: &Arc<Fixture>) {
    fixture.queue().suspend().unwrap();
    fixture.queue().resume().unwrap();
}

fn resume(fixture: &Arc<Fixture>) {
    fixture.queue().resume().unwrap();
}

/// Ends the runtime beside a sync call that runs `sync`, and checks that the two jobs of others are accounted for.
fn end_beside(fixture: &Arc<Fixture>, push: fn(&Arc<Fixture>, u32), sync: impl FnOnce()) {
    push(fixture, 10);
    let worker = fixture.thread(work);
    let pusher = fixture.thread(move |fixture| push(fixture, 20));
    fixture.engine.advance_to(Phase::Cancelling);
    sync();
    worker.join().unwrap();
    pusher.join().unwrap();
    while fixture.tokens.run_one() {}
    let (panics, dropped, rejected) = fixture.engine.losses();
    assert_eq!((panics, u64::from(fixture.ran()) + dropped + rejected), (0, 3));
}

#[test]
fn two_cancellers_a_worker_and_a_resumption_agree_on_one_job() {
    explore(2, || {
        let fixture = Fixture::serial();
        fixture.queue().exec_async(fixture.writer(10));
        fixture.queue().suspend().unwrap();
        let others = [work, cancel, resume].map(|other| fixture.thread(other));
        cancel(&fixture);
        others.into_iter().for_each(|other| other.join().unwrap());
        fixture.finish(1);
    });
}

#[test]
fn a_sync_call_gets_its_turn_between_a_canceller_and_a_suspension() {
    explore(2, || {
        let fixture = Fixture::serial();
        fixture.queue().exec_async(fixture.writer(10));
        let others = [cancel, suspend_and_resume].map(|other| fixture.thread(other));
        fixture.queue().exec_sync(|| fixture.write(20));
        others.into_iter().for_each(|other| other.join().unwrap());
        fixture.finish(2);
    });
}

#[test]
fn a_reader_gets_its_turn_between_a_canceller_and_a_suspension() {
    explore(1, || {
        let fixture = Fixture::concurrent();
        fixture.queue().barrier_async(fixture.writer(10));
        let others = [cancel, suspend_and_resume].map(|other| fixture.thread(other));
        fixture.queue().exec_sync(|| fixture.read());
        others.into_iter().for_each(|other| other.join().unwrap());
        fixture.finish(2);
    });
}

#[test]
fn a_reader_gets_its_turn_between_two_cancellers() {
    explore(1, || {
        let fixture = Fixture::concurrent();
        fixture.queue().barrier_async(fixture.writer(10));
        let others = [cancel, cancel].map(|other| fixture.thread(other));
        fixture.queue().exec_sync(|| fixture.read());
        others.into_iter().for_each(|other| other.join().unwrap());
        fixture.finish(2);
    });
}

#[test]
fn the_last_handle_sees_what_was_pushed_through_the_one_before() {
    for build in [Fixture::serial, Fixture::concurrent] {
        explore(2, move || {
            let fixture = build();
            let queue = fixture.queue();
            fixture.drop_queue();
            queue.suspend().unwrap();
            queue.exec_async(fixture.reader());
            let (other, reader) = (queue.clone(), fixture.reader());
            let pusher = fixture.thread(move |_| {
                other.exec_async(reader);
                drop(other);
            });
            drop(queue);
            while fixture.tokens.run_one() {}
            pusher.join().unwrap();
            while fixture.tokens.run_one() {}
            let (panics, dropped, _) = fixture.engine.losses();
            assert_eq!((panics, fixture.ran(), dropped), (0, 0, 2));
        });
    }
}

#[test]
fn a_sync_call_runs_while_the_runtime_ends() {
    explore(2, || {
        let fixture = Fixture::serial();
        let push = |fixture: &Arc<Fixture>, name| fixture.queue().exec_async(fixture.writer(name));
        end_beside(&fixture, push, || fixture.queue().exec_sync(|| fixture.write(30)));
    });
}

#[test]
fn a_reader_runs_while_the_runtime_ends() {
    explore(1, || {
        let fixture = Fixture::concurrent();
        let push = |fixture: &Arc<Fixture>, name| fixture.queue().barrier_async(fixture.writer(name));
        end_beside(&fixture, push, || fixture.queue().exec_sync(|| fixture.read()));
    });
}
