//! `suspend_timer`: a timer fires each second. A second one on the same queue, after 3.5 s and then each 3 s, suspends
//! it, resumes it, and looks what it has done: 3 calls and 3 firings when it is resumed, 7 and 9 three seconds later.
//! What it missed has come in one call. The second timer then cancels itself, and the first one in its 10th call.
//!
//! The finalizers are left out. The counts are a matter of time; that nothing comes while the timer is suspended, and
//! that the first call afterwards has everything that was due before, is not, and is asserted always.

use crate::profile::is_full;
use crate::profile::time;
use crate::timed::GENEROUS;
use crate::timed::Record;
use crate::timed::finish;
use crate::timed::millis;
use crate::timed::now;
use crate::timed::runtime;
use concourse::Event;
use concourse::Source;
use parking_lot::Mutex;
use std::sync::Arc;

#[test]
fn what_a_suspended_timer_misses_comes_in_one_call_and_the_phase_goes_on() {
    let runtime = runtime();
    let main = runtime.serial("main");
    let (second, start) = (time(millis(1_000)), now());
    let (record, ended) = (Record::new(start + second, second), [Event::new(), Event::new()]);
    // The sum of all firings, after each call.
    let sums = Arc::new(Mutex::new(Vec::new()));
    let (fired, noted, tell) = (record.clone(), Arc::clone(&sums), ended[0].clone());
    let suspended = record.timer(&main, move |timer| {
        noted.lock().push(fired.fires());
        if fired.calls() == 10 {
            timer.cancel();
            tell.set();
        }
    });
    let (timer, tell, mut step, mut before, mut resumed) = (suspended.clone(), ended[1].clone(), 0, Vec::new(), start);
    let controller = Source::timer(&main).after(second * 7 / 2).every(second * 3).on_event_with(move |own, _| {
        let sums = sums.lock().clone();
        step += 1;
        match step {
            1 => {
                timer.suspend().unwrap();
                before = sums;
            }
            2 => {
                assert_eq!(sums, before, "nothing comes while it is suspended");
                assert!(!is_full() || sums == [1, 2, 3], "{sums:?}");
                resumed = now();
                timer.resume().unwrap();
            }
            _ => {
                let sum = u32::try_from(sums[before.len()]).unwrap();
                assert!(start + second * (sum + 1) > resumed, "a fire is missing");
                assert!(!is_full() || sums == [1, 2, 3, 6, 7, 8, 9], "{sums:?}");
                own.cancel();
            }
        }
    });
    let controller = controller.on_cancel(move || tell.set()).activate().unwrap();
    ended.iter().for_each(|ended| ended.wait_timeout(GENEROUS).unwrap());
    drop((suspended, controller));
    assert_eq!(record.calls(), 10);
    finish(&runtime);
}
