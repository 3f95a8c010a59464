//! Demo 5.

use crate::GENEROUS;
use crate::demos::semaphore;
use concourse::Semaphore;
use concourse::WaitError;
use std::time::Duration;

#[test]
fn a_wait_without_a_permit_times_out_after_its_time_and_one_with_a_permit_takes_it_at_once() {
    const SECOND: Duration = Duration::from_secs(1);
    let empty = Semaphore::new(0);
    let (result, waited) = semaphore::wait(&empty, SECOND);
    assert_eq!(result, Err(WaitError::TimedOut { after: SECOND }));
    assert!(waited >= SECOND && waited < SECOND + GENEROUS, "{waited:?}");
    let one = Semaphore::new(1);
    // However busy the machine is, it is not the timeout that ends this wait.
    let (result, waited) = semaphore::wait(&one, 10 * GENEROUS);
    assert_eq!((result, one.available()), (Ok(()), 0));
    assert!(waited < GENEROUS, "{waited:?}");
    assert!(!one.signal(), "nobody waits");
    assert_eq!(one.available(), 1);
    one.wait();
    drop(one);
}
