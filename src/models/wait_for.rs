//! A value that is sent is received or comes back. The ticket's planted fault makes this fail as well.

use super::explore;
use super::passed;
use super::spawn;
use crate::wait_for::wait_by;

#[test]
fn a_value_against_the_timeout_is_in_one_place() {
    explore(3, || {
        let mut sender = None;
        let received = wait_by(Some(passed()), |done| sender = Some(spawn(move || done.send(7))));
        let sent = sender.map(|sender| sender.join().unwrap());
        match received {
            Some(received) => assert_eq!((received, sent), (Ok(7), Some(Ok(())))),
            None => assert_eq!(sent, Some(Err(7))),
        }
    });
}

#[test]
fn a_value_ends_the_wait() {
    explore(3, || {
        let mut sender = None;
        let received = wait_by(None, |done| sender = Some(spawn(move || done.send(7))));
        assert_eq!(received, Some(Ok(7)));
        assert_eq!(sender.map(|sender| sender.join().unwrap()), Some(Ok(())));
    });
}
