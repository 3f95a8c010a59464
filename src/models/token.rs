//! A cancelled token is heard of once by everybody who registers, however late; a wait under it ends with a grant or an
//! interruption, and what was granted is not lost. Planted faults: `token_registers_blindly`,
//! `token_takes_its_listeners_first`, `ticket_is_interrupted_in_two_steps`.

use super::Plain;
use super::explore;
use super::spawn;
use crate::CancelToken;
use crate::Event;
use crate::Semaphore;
use crate::engine::Engine;
use crate::qos::Qos;
use crate::queue::GlobalQueue;
use crate::sync::Arc;

#[test]
fn a_permit_goes_to_the_wait_or_stays_when_the_token_is_cancelled() {
    explore(3, || {
        let (slots, token, data) = (Semaphore::new(0), CancelToken::new(), Arc::new(Plain::new()));
        let waiter = spawn({
            let (slots, token, data) = (slots.clone(), token.clone(), Arc::clone(&data));
            move || {
                let taken = slots.wait_or(&token).is_ok();
                if !taken {
                    assert_eq!(data.get(), 1, "whoever is interrupted sees what the canceller did");
                }
                taken
            }
        });
        let signaller = spawn({
            let slots = slots.clone();
            move || slots.signal()
        });
        data.add();
        token.cancel();
        signaller.join().unwrap();
        let taken = waiter.join().unwrap();
        assert_eq!(slots.balance(), (i64::from(!taken), 0, 0));
        assert_eq!(token.registered(), 0);
    });
}

#[test]
fn a_set_ends_the_wait_or_stays_when_the_token_is_cancelled() {
    explore(3, || {
        let (turn, token) = (Event::auto_reset(), CancelToken::new());
        let waiter = spawn({
            let (turn, token) = (turn.clone(), token.clone());
            move || turn.wait_or(&token).is_ok()
        });
        let canceller = spawn({
            let token = token.clone();
            move || token.cancel()
        });
        turn.set();
        canceller.join().unwrap();
        assert_ne!(waiter.join().unwrap(), turn.is_set());
        assert_eq!(token.registered(), 0);
    });
}

#[test]
fn a_callback_comes_once_however_late_it_is_registered() {
    explore(3, || {
        let (token, called) = (CancelToken::new(), Arc::new(Plain::new()));
        let canceller = spawn({
            let token = token.clone();
            move || token.cancel()
        });
        let call = Arc::clone(&called);
        let queue = GlobalQueue::on(Engine::in_place(), Qos::Default);
        let callback = token.child().on_cancel(&queue, move || call.add());
        canceller.join().unwrap();
        drop(callback);
        assert_eq!((called.get(), token.registered()), (1, 0));
    });
}

#[test]
fn of_two_cancellations_one_calls_and_a_callback_that_is_taken_back_is_called_or_not() {
    explore(3, || {
        let (token, called) = (CancelToken::new(), Arc::new(Plain::new()));
        let (kept, taken_back) = (Arc::clone(&called), Arc::new(Plain::new()));
        let queue = GlobalQueue::on(Engine::in_place(), Qos::Default);
        let _kept = token.on_cancel(&queue, move || kept.add());
        let call = Arc::clone(&taken_back);
        let callback = token.on_cancel(&queue, move || call.add());
        let cancellers = [token.clone(), token.clone()].map(|token| spawn(move || token.cancel()));
        drop(callback);
        cancellers.into_iter().for_each(|canceller| canceller.join().unwrap());
        assert!(token.is_cancelled());
        assert_eq!((called.get(), token.registered()), (1, 0));
        assert!(taken_back.get() <= 1);
    });
}

#[test]
fn covered_work_runs_or_is_dropped_and_a_wait_for_the_token_ends() {
    explore(3, || {
        let (token, ran) = (CancelToken::new(), Arc::new(Plain::new()));
        let count = Arc::clone(&ran);
        let runner = spawn(token.child().job(move || count.add()));
        let waiter = spawn({
            let token = token.clone();
            move || token.wait()
        });
        token.cancel();
        waiter.join().unwrap();
        runner.join().unwrap();
        assert!(ran.get() <= 1);
        assert_eq!((Arc::strong_count(&ran), token.registered()), (1, 0), "what it captured is gone");
    });
}
