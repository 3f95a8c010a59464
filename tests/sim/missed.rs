//! What becomes of missed times, and of leeway, to the nanosecond.

use concourse::source::Missed;
use concourse::{Clock, Deadline, Event, Runtime, Semaphore, Sim, Source};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// Runs the program with one seed.
fn run<T: Send + 'static>(program: impl FnOnce(&Runtime) -> T + Send + 'static) -> T {
    Sim::seeded(42).run(program).unwrap_or_else(|failure| panic!("{failure}"))
}

/// The calls of a timer of 10 ms, whose second call takes from 10 to 47: when each begins, and what it is given.
fn calls(missed: Missed) -> Vec<(u32, u64)> {
    run(move |runtime| {
        let (start, ended, calls) = (Deadline::now(Clock::Boottime), Event::new(), Arc::new(Mutex::new(Vec::new())));
        let (noted, tell, stall) = (Arc::clone(&calls), ended.clone(), Semaphore::new(0));
        let timer = Source::timer(&runtime.serial("clockwork")).at(start).every(10 * MS).missed(missed);
        let timer = timer.on_event_with(move |timer, fires| {
            let now = (0..).find(|ms: &u32| start + *ms * MS >= Deadline::now(Clock::Boottime)).unwrap();
            noted.lock().unwrap().push((now, fires));
            match now {
                10 => assert!(stall.wait_timeout(37 * MS).is_err()),
                70.. => {
                    timer.cancel();
                    tell.set();
                }
                _ => {}
            }
        });
        let timer = timer.activate().unwrap();
        ended.wait();
        drop(timer);
        calls.lock().unwrap().clone()
    })
}

#[test]
fn each_policy_does_with_missed_times_what_its_picture_shows() {
    assert_eq!(calls(Missed::Count), [(0, 1), (10, 1), (47, 3), (50, 1), (60, 1), (70, 1)]);
    assert_eq!(calls(Missed::Skip), [(0, 1), (10, 1), (47, 1), (50, 1), (60, 1), (70, 1)]);
    assert_eq!(calls(Missed::Burst), [(0, 1), (10, 1), (47, 1), (47, 1), (47, 1), (50, 1), (60, 1), (70, 1)]);
    assert_eq!(calls(Missed::Delay), [(0, 1), (10, 1), (47, 1), (57, 1), (67, 1), (77, 1)]);
}

/// A hundred timers, one every millisecond, with this leeway: how many wake-ups they cost, and how many leeway saved.
fn wakeups(leeway: Duration) -> (u64, u64) {
    run(move |runtime| {
        let (queue, fired) = (runtime.serial("clockwork"), Semaphore::new(0));
        let timers = (1..=100_u32).map(|ms| {
            let fired = fired.clone();
            let timer = Source::timer(&queue).after(ms * MS).leeway(leeway);
            timer.on_event(move |fires| (0..fires).for_each(|_| _ = fired.signal())).activate().unwrap()
        });
        let timers: Vec<_> = timers.collect();
        (0..100).for_each(|_| fired.wait());
        assert_eq!(fired.available(), 0);
        drop(timers);
        let statistics = runtime.statistics();
        (statistics.event_loop_wakeups, statistics.timer_wakeups_saved)
    })
}

#[test]
fn leeway_saves_the_wake_ups_that_it_says() {
    assert_eq!(wakeups(Duration::ZERO), (100, 0));
    let (patient, saved) = wakeups(10 * MS);
    assert!(patient <= 12, "{patient}");
    assert_eq!(patient + saved, 100);
}
