//! `timer_bit63`: a timer that starts now, with an interval of 0x8000_0000_0000_0001 ns, fires at once, and never again
//! within a second.

use crate::let_pass;
use crate::profile::time;
use crate::timed::finish;
use crate::timed::millis;
use crate::timed::runtime;
use concourse::Source;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn an_interval_with_its_top_bit_set_fires_at_once_and_never_again() {
    let runtime = runtime();
    let main = runtime.serial("main");
    let timers = [Duration::from_nanos(0x8000_0000_0000_0001), Duration::MAX].map(|interval| {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let called = Arc::clone(&calls);
        let builder = Source::timer(&main).every(interval).on_event(move |fires| called.lock().push(fires));
        (builder.activate().unwrap(), calls)
    });
    let_pass(&main, time(millis(1_000)));
    for (timer, calls) in timers {
        assert_eq!(*calls.lock(), [1]);
        drop(timer);
    }
    finish(&runtime);
}
