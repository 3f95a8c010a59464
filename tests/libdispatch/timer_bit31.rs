//! `timer_bit31`: a start and an interval of 0x8000_0000 ns, which 32 bits would cut. The first event comes after 2
//! whole seconds and before the fourth; its handler cancels the timer, and the cancel handler runs once.

use crate::let_pass;
use crate::profile::tolerance;
use crate::timed::GENEROUS;
use crate::timed::finish;
use crate::timed::millis;
use crate::timed::runtime;
use concourse::Event;
use concourse::Source;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

const DELAY: Duration = Duration::from_nanos(0x8000_0000);

#[derive(Debug, PartialEq, Eq)]
enum Handled {
    Event(u64),
    Cancel,
}

#[test]
fn a_time_of_32_bits_is_not_cut_and_its_timer_ends_with_one_cancel_handler() {
    let runtime = runtime();
    let (main, handled, ended) = (runtime.serial("main"), Arc::new(Mutex::new(Vec::new())), Event::new());
    let (event, cancel, tell, asked) = (Arc::clone(&handled), Arc::clone(&handled), ended.clone(), Instant::now());
    let builder = Source::timer(&main).after(DELAY).every(DELAY).on_event_with(move |timer, fires| {
        let waited = asked.elapsed();
        assert!(waited >= DELAY && waited < DELAY + tolerance(millis(1_850)), "{waited:?}");
        event.lock().push(Handled::Event(fires));
        timer.cancel();
    });
    let builder = builder.on_cancel(move || {
        cancel.lock().push(Handled::Cancel);
        tell.set();
    });
    let timer = builder.activate().unwrap();
    ended.wait_timeout(GENEROUS).unwrap();
    let_pass(&main, millis(10));
    assert_eq!(*handled.lock(), [Handled::Event(1), Handled::Cancel]);
    drop(timer);
    finish(&runtime);
}
