//! An item ends once, with everything it did or held, whoever comes upon it; nobody who waits is forgotten. Planted
//! faults: `work_item_claims_in_two_steps`, `work_item_ends_relaxed`, `work_item_joins_without_a_second_look`.

use super::Plain;
use super::explore;
use super::passed;
use super::spawn;
use crate::Cancellation;
use crate::Outcome;
use crate::WorkItem;
use crate::engine::Engine;
use crate::qos::Qos;
use crate::queue::GlobalQueue;
use crate::sync::Arc;

/// An item that counts its runs, and the count.
fn counted() -> (WorkItem, Arc<Plain>) {
    let ran = Arc::new(Plain::new());
    let count = Arc::clone(&ran);
    (WorkItem::new(move || count.add()), ran)
}

#[test]
fn a_wait_sees_what_the_closure_did() {
    explore(3, || {
        let (item, ran) = counted();
        let runner = spawn(item.job().unwrap());
        let waiter = spawn({
            let (item, ran) = (item.clone(), Arc::clone(&ran));
            move || {
                assert_eq!(item.wait(), Outcome::Finished);
                assert_eq!(ran.get(), 1);
            }
        });
        assert_eq!(item.wait(), Outcome::Finished);
        assert_eq!(ran.get(), 1);
        waiter.join().unwrap();
        runner.join().unwrap();
        assert_eq!(item.registered(), 0);
    });
}

#[test]
fn an_outcome_that_is_seen_brings_along_what_the_closure_did() {
    explore(3, || {
        let (item, ran) = counted();
        let runner = spawn(item.job().unwrap());
        match item.outcome() {
            Some(outcome) => assert_eq!((outcome, ran.get()), (Outcome::Finished, 1)),
            None => assert_eq!(item.wait(), Outcome::Finished),
        }
        runner.join().unwrap();
    });
}

#[test]
fn a_cancel_and_a_run_agree() {
    explore(3, || {
        let (item, ran) = counted();
        let runner = spawn(item.job().unwrap());
        let waiter = spawn({
            let (item, ran) = (item.clone(), Arc::clone(&ran));
            move || {
                let outcome = item.wait();
                (outcome, ran.get())
            }
        });
        let cancellation = item.cancel();
        let seen = waiter.join().unwrap();
        runner.join().unwrap();
        match cancellation {
            Cancellation::NeverRan => assert_eq!((seen, ran.get()), ((Outcome::Cancelled, 0), 0)),
            Cancellation::Running | Cancellation::Done => assert_eq!((seen, ran.get()), ((Outcome::Finished, 1), 1)),
        }
        assert_eq!(item.is_cancelled(), cancellation != Cancellation::Done);
    });
}

#[test]
fn of_two_cancels_and_a_drop_one_ends_the_item() {
    explore(3, || {
        let (item, ran) = counted();
        let job = item.job().unwrap();
        let dropper = spawn(move || drop(job));
        let canceller = spawn({
            let item = item.clone();
            move || item.cancel()
        });
        assert_eq!(item.cancel(), Cancellation::NeverRan);
        assert_eq!(canceller.join().unwrap(), Cancellation::NeverRan);
        dropper.join().unwrap();
        let expected = if item.is_cancelled() { Outcome::Cancelled } else { Outcome::Dropped };
        assert_eq!((item.wait(), ran.get()), (expected, 0));
    });
}

#[test]
fn a_notification_comes_once_however_late_it_is_registered() {
    explore(3, || {
        let (item, ran) = counted();
        let queue = GlobalQueue::on(Engine::in_place(), Qos::Default);
        let notified = Arc::new(Plain::new());
        let runner = spawn(item.job().unwrap());
        item.notify(&queue, {
            let (ran, notified) = (Arc::clone(&ran), Arc::clone(&notified));
            move |outcome| {
                assert_eq!((outcome, ran.get()), (Outcome::Finished, 1));
                notified.add();
            }
        });
        runner.join().unwrap();
        assert_eq!((notified.get(), item.registered()), (1, 0));
    });
}

#[test]
fn a_timeout_against_the_end_leaves_nothing_behind() {
    explore(3, || {
        let (item, ran) = counted();
        let runner = spawn(item.job().unwrap());
        let timed = spawn({
            let (item, ran) = (item.clone(), Arc::clone(&ran));
            move || {
                if item.wait_within(Some(Some(passed()))) == Ok(Some(Outcome::Finished)) {
                    assert_eq!(ran.get(), 1);
                }
            }
        });
        assert_eq!(item.wait(), Outcome::Finished);
        timed.join().unwrap();
        runner.join().unwrap();
        assert_eq!(item.registered(), 0);
    });
}
