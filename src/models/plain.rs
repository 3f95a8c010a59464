//! Lanes while they are plain: what changes them by one exchange on their summary, against what takes their lock.

use super::explore;
use super::lane::Fixture;

#[test]
fn a_reader_waits_for_its_own_thread_s_barrier_behind_a_push_that_has_not_knocked_yet() {
    explore(3, || {
        let fixture = Fixture::concurrent();
        let pusher = fixture.thread(|fixture| fixture.queue().exec_async(fixture.reader()));
        fixture.queue().barrier_async(fixture.writer(10));
        fixture.queue().exec_sync(|| {
            fixture.read();
            assert!(fixture.has_written(10), "a reader has overtaken its own thread's barrier");
        });
        pusher.join().unwrap();
        fixture.finish(3);
    });
}

#[test]
fn readers_and_a_barrier_that_come_in_place_exclude_each_other_around_a_suspension() {
    explore(2, || {
        let fixture = Fixture::concurrent();
        let suspender = fixture.thread(|fixture| {
            fixture.queue().suspend().unwrap();
            fixture.queue().resume().unwrap();
        });
        let writer = fixture.thread(|fixture| fixture.queue().barrier_sync(|| fixture.write(10)));
        fixture.queue().exec_sync(|| fixture.read());
        fixture.queue().barrier_sync(|| fixture.write(20));
        suspender.join().unwrap();
        writer.join().unwrap();
        fixture.finish(3);
    });
}

#[test]
fn a_reader_in_place_leaves_while_a_cancellation_walks_and_a_barrier_waits() {
    explore(2, || {
        let fixture = Fixture::concurrent();
        let reader = fixture.thread(|fixture| fixture.queue().exec_sync(|| fixture.read()));
        fixture.queue().barrier_async(fixture.writer(10));
        let cancelled = fixture.queue().cancel_pending();
        fixture.queue().barrier_sync(|| fixture.write(11));
        reader.join().unwrap();
        fixture.finish(3 - cancelled as u32);
    });
}

#[test]
fn readers_in_place_and_async_ones_let_a_barrier_in_when_the_last_of_them_leaves() {
    explore(2, || {
        let fixture = Fixture::concurrent();
        let worker = fixture.thread(|fixture| {
            fixture.queue().exec_async(fixture.reader());
            fixture.tokens.run_one();
        });
        let reader = fixture.thread(|fixture| fixture.queue().exec_sync(|| fixture.read()));
        fixture.queue().barrier_sync(|| fixture.write(10));
        worker.join().unwrap();
        reader.join().unwrap();
        fixture.finish(3);
    });
}

#[test]
fn a_width_that_is_set_between_two_readers_in_place_counts_both() {
    explore(2, || {
        let fixture = Fixture::concurrent();
        let setter = fixture.thread(|fixture| fixture.queue().set_width(1).unwrap());
        let reader = fixture.thread(|fixture| fixture.queue().exec_sync(|| fixture.read()));
        fixture.queue().exec_sync(|| fixture.read());
        setter.join().unwrap();
        fixture.queue().exec_sync(|| fixture.write(10));
        reader.join().unwrap();
        fixture.finish(3);
    });
}

#[test]
fn a_lane_that_is_given_away_again_and_again_is_claimed_suspended_and_resumed() {
    explore(2, || {
        let fixture = Fixture::serial();
        let worker = fixture.thread(|fixture| {
            fixture.tokens.run_one();
            fixture.tokens.run_one();
        });
        let suspender = fixture.thread(|fixture| {
            fixture.queue().suspend().unwrap();
            fixture.queue().resume().unwrap();
        });
        fixture.queue().exec_async(fixture.writer(10));
        fixture.queue().exec_sync(|| fixture.write(11));
        fixture.queue().exec_async(fixture.writer(12));
        worker.join().unwrap();
        suspender.join().unwrap();
        fixture.finish(3);
    });
}

#[test]
fn a_cancellation_and_a_sync_meet_a_lane_on_its_way_to_a_worker() {
    explore(2, || {
        let fixture = Fixture::serial();
        fixture.queue().exec_async(fixture.writer(10));
        let worker = fixture.thread(|fixture| {
            fixture.tokens.run_one();
            fixture.tokens.run_one();
        });
        let other = fixture.thread(|fixture| {
            fixture.queue().exec_sync(|| fixture.write(20));
            fixture.queue().exec_async(fixture.writer(21));
        });
        let cancelled = fixture.queue().cancel_pending();
        fixture.queue().exec_async(fixture.writer(30));
        worker.join().unwrap();
        other.join().unwrap();
        fixture.finish(4 - cancelled as u32);
    });
}

#[test]
fn a_barrier_behind_two_readers_in_place_is_left_to_the_last_of_them() {
    explore(3, || {
        let fixture = Fixture::concurrent();
        let other = fixture.thread(|fixture| fixture.queue().exec_sync(|| fixture.read()));
        fixture.queue().exec_sync(|| {
            fixture.queue().barrier_async(fixture.writer(10));
            fixture.read();
        });
        other.join().unwrap();
        fixture.finish(3);
    });
}

#[test]
fn a_sync_claims_what_a_worker_has_given_away_at_the_end_of_its_budget() {
    explore(3, || {
        let fixture = Fixture::serial();
        (10..13).for_each(|name| fixture.queue().exec_async(fixture.writer(name)));
        let worker = fixture.thread(|fixture| _ = fixture.tokens.run_one());
        fixture.queue().exec_sync(|| fixture.write(13));
        worker.join().unwrap();
        fixture.finish(4);
    });
}
