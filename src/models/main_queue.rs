//! The main queue: bodies that are lent, the bell, stops, and a cancellation that comes in between.
//!
//! The model's own thread is the main thread. There is no pool.

use super::explore;
use super::lane::Fixture;
use crate::engine::Phase;
use crate::engine::Suspended as _;
use crate::queue::MainQueue;
use crate::queue::Queue;
use crate::queue::QueueBuilder;
use crate::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

/// The main queue of the fixture's engine, owned by the calling thread.
fn owned(fixture: &Fixture) -> MainQueue {
    let main = MainQueue::on(Arc::clone(&fixture.engine));
    main.turn(0).expect("nobody else has come before");
    main
}

fn builder(fixture: &Fixture, main: &MainQueue) -> QueueBuilder {
    QueueBuilder::new(Arc::clone(&fixture.engine), "child").target(main)
}

fn below(fixture: &Fixture, main: &MainQueue) -> Queue {
    builder(fixture, main).build().expect("the target is on the same engine")
}

#[test]
fn a_lent_body_excludes_jobs_and_comes_back_before_the_stop() {
    explore(2, || {
        let fixture = Fixture::serial();
        let main = owned(&fixture);
        main.exec_async(fixture.writer(10));
        let lender = fixture.thread({
            let main = main.clone();
            move |fixture| {
                main.exec_sync(|| fixture.write(20));
                main.stop();
            }
        });
        main.run().expect("it is owned");
        lender.join().unwrap();
        fixture.finish(2);
    });
}

#[test]
fn two_lenders_who_push_too_are_both_served() {
    explore(2, || {
        let fixture = Fixture::serial();
        let main = owned(&fixture);
        let left = Arc::new(AtomicU32::new(2));
        let threads = [10, 20].map(|name| {
            let (main, left) = (main.clone(), Arc::clone(&left));
            fixture.thread(move |fixture| {
                main.exec_async(fixture.writer(name));
                main.exec_sync(|| fixture.write(name + 1));
                if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                    main.stop();
                }
            })
        });
        main.run().expect("it is owned");
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        fixture.finish(4);
    });
}

#[test]
fn a_sleeping_run_hears_a_push() {
    explore(2, || {
        let fixture = Fixture::serial();
        let main = owned(&fixture);
        let pusher = fixture.thread({
            let main = main.clone();
            move |fixture| {
                main.exec_async(fixture.writer(10));
                let last = main.clone();
                main.exec_async(move || last.stop());
            }
        });
        main.run().expect("it is owned");
        pusher.join().unwrap();
        fixture.finish(1);
    });
}

#[test]
fn a_sync_through_a_chain_runs_on_the_main_thread() {
    explore(2, || {
        let fixture = Fixture::serial();
        let main = owned(&fixture);
        let child = below(&fixture, &main);
        child.exec_async(fixture.writer(20));
        let lender = fixture.thread({
            let (main, child) = (main.clone(), child);
            move |fixture| {
                child.exec_sync(|| fixture.write(10));
                main.stop();
            }
        });
        main.exec_sync(|| fixture.write(30));
        main.run().expect("it is owned");
        lender.join().unwrap();
        fixture.finish(3);
    });
}

#[test]
fn a_cancelled_loan_is_run_by_its_lender() {
    explore(2, || {
        let fixture = Fixture::serial();
        let main = owned(&fixture);
        let lender = fixture.thread({
            let main = main.clone();
            move |fixture| main.exec_sync(|| fixture.write(10))
        });
        fixture.engine.advance_to(Phase::Cancelling);
        main.lane().drop_pending();
        lender.join().unwrap();
        fixture.finish(1);
    });
}

#[test]
fn a_caller_after_the_end_runs_its_own_body_only() {
    for shape in [|builder: QueueBuilder| builder, |builder: QueueBuilder| builder.concurrent().width(1)] {
        explore(2, move || {
            let fixture = Fixture::serial();
            let main = owned(&fixture);
            let child = shape(builder(&fixture, &main)).build().expect("the target is on the same engine");
            main.exec_async(fixture.writer(10));
            // Its job may be in the child's line, and the child not yet in the line of the main queue.
            let pusher = fixture.thread({
                let child = child.clone();
                move |fixture| child.exec_async(fixture.writer(20))
            });
            fixture.engine.advance_to(Phase::Cancelling);
            let caller = fixture.thread(move |fixture| child.exec_sync(|| fixture.write(30)));
            main.lane().drop_pending();
            pusher.join().unwrap();
            caller.join().unwrap();
            fixture.finish(1);
        });
    }
}

#[test]
fn a_cancellation_during_a_turn_leaves_no_lender_behind() {
    explore(2, || {
        let fixture = Fixture::serial();
        let main = owned(&fixture);
        let child = below(&fixture, &main);
        let lender = fixture.thread(move |fixture| child.exec_sync(|| fixture.write(10)));
        let canceller = fixture.thread({
            let main = main.clone();
            move |fixture| {
                fixture.engine.advance_to(Phase::Cancelling);
                main.lane().drop_pending();
            }
        });
        main.turn(2).expect("it is owned");
        lender.join().unwrap();
        canceller.join().unwrap();
        fixture.finish(1);
    });
}
