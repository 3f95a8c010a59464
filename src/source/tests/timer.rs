//! What a schedule comes to, and what a timer leaves in the event loop.

use super::*;
use crate::engine::Engine;
use crate::engine::Hooks;
use crate::event_loop::Sink;
use crate::job::Executor;
use crate::job::Job;
use crate::job::Route;
use crate::qos::Qos;
use crate::queue::Accept;
use crate::queue::GlobalQueue;
use std::collections::VecDeque;

/// A queue whose jobs run when the test says so, as do those of its pool.
#[derive(Clone)]
struct Stepped(Arc<Handle>);

/// Dropping it is what a user would notice.
struct Handle {
    jobs: Arc<Jobs>,
    label: Arc<str>,
    engine: Arc<Engine>,
    _captured: Arc<()>,
}

#[derive(Default)]
struct Jobs {
    of_queue: Mutex<VecDeque<Job>>,
    of_pool: Mutex<VecDeque<Job>>,
}

impl Jobs {
    /// Runs the jobs there are; how many there were.
    fn run(jobs: &Mutex<VecDeque<Job>>) -> usize {
        let jobs = mem::take(&mut *jobs.lock());
        let count = jobs.len();
        jobs.into_iter().for_each(Job::run);
        count
    }
}

struct Pool(Arc<Jobs>);

impl Executor for Pool {
    fn submit(&self, job: Job, _: Route, _: Qos) -> Result<(), Job> {
        self.0.of_pool.lock().push_back(job);
        Ok(())
    }

    fn max_threads(&self) -> usize {
        1
    }

    fn is_over(&self) -> bool {
        false
    }

    fn is_quiet(&self) -> bool {
        true
    }
}

impl Stepped {
    fn new() -> (Self, Arc<Jobs>, Arc<()>) {
        let (jobs, captured) = (Arc::<Jobs>::default(), Arc::new(()));
        let engine = Engine::new("stepped".into(), Arc::new(Pool(Arc::clone(&jobs))), Hooks::default());
        let handle =
            Handle { jobs: Arc::clone(&jobs), label: "stepped".into(), engine, _captured: Arc::clone(&captured) };
        (Self(Arc::new(handle)), jobs, captured)
    }

    /// Ends the event loop; how many timers it still had.
    fn end(&self) -> usize {
        self.0.engine.end_event_loop().map_or(0, |event_loop| event_loop.stop().len())
    }
}

impl Accept for Stepped {
    fn accept(&self, job: Job) {
        self.0.jobs.of_queue.lock().push_back(job);
    }

    fn label(&self) -> &Arc<str> {
        &self.0.label
    }

    fn engine(&self) -> &Arc<Engine> {
        &self.0.engine
    }

    fn sink(&self) -> Arc<dyn Sink> {
        GlobalQueue::on(Arc::clone(&self.0.engine), Qos::Default).sink()
    }
}

impl Dispatch for Stepped {}

const HOUR: Duration = Duration::from_secs(3600);

/// Times from `next` on, on a clock that the test makes up.
fn times(next: u64, interval: u64) -> Times {
    Times { clock: Clock::Monotonic, next: Nanos(next), interval, leeway: Duration::ZERO, missed: Missed::Count }
}

/// What `schedule` comes to at an instant 1000.
fn at_1000(schedule: Schedule) -> Times {
    schedule.times(|_| Nanos(1000))
}

fn nanos(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

#[test]
fn no_time_is_taken_early_late_or_twice_whenever_it_is_looked() {
    for interval in [1, 2, 3, 7, 10] {
        for start in [0, 1, 5, 10] {
            for step in 1..25 {
                let (mut times, mut taken) = (times(start, interval), 0);
                for now in (0..200).step_by(step) {
                    taken += times.take(Nanos(now));
                    let due = (0..).map(|k| start + k * interval).take_while(|due| *due <= now).count() as u64;
                    assert_eq!(taken, due, "by {now}, from {start}, every {interval}, looked every {step}");
                    assert_eq!(times.next, Nanos(start + due * interval), "the phase is kept");
                    assert_eq!(times.take(Nanos(now)), 0);
                }
            }
        }
    }
}

#[test]
fn the_ends_of_the_range_saturate() {
    let top = 1 << 63;
    let cases = [
        // From, every, looked at, taken, next.
        (5, u64::MAX, 5, 1, u64::MAX),
        (5, u64::MAX, u64::MAX - 1, 1, u64::MAX),
        (5, top, 5, 1, top + 5),
        (5, top, top + 4, 1, top + 5),
        (5, top, top + 5, 2, u64::MAX),
        (5, top, u64::MAX - 1, 2, u64::MAX),
        (0, 1, u64::MAX - 1, u64::MAX, u64::MAX),
        (0, u64::MAX - 1, u64::MAX - 1, 2, u64::MAX),
        (u64::MAX - 1, 1, u64::MAX - 1, 1, u64::MAX),
        (u64::MAX - 1, 1, u64::MAX - 2, 0, u64::MAX - 1),
        (u64::MAX, 1, u64::MAX - 1, 0, u64::MAX),
        // A clock cannot show it, but what it would show is forever.
        (u64::MAX, 1, u64::MAX, 0, u64::MAX),
        (0, 1, u64::MAX, u64::MAX, u64::MAX),
    ];
    for (from, every, now, taken, next) in cases {
        let mut times = times(from, every);
        assert_eq!((times.take(Nanos(now)), times.next), (taken, Nanos(next)), "{from}, {every}, {now}");
        assert_eq!(times.take(Nanos(now)), 0);
    }
}

#[test]
fn an_interval_above_31_bits_is_not_cut() {
    let interval = 0x8000_0000;
    let mut times = at_1000(Schedule::after(nanos(interval)).every(nanos(interval)));
    assert_eq!((times.next, times.interval), (Nanos(1000 + interval), interval));
    assert_eq!(times.take(Nanos(1000 + interval - 1)), 0);
    assert_eq!(times.take(Nanos(1000 + 3 * interval)), 3);
    assert_eq!(times.next, Nanos(1000 + 4 * interval));
}

#[test]
fn what_is_beyond_the_range_never_comes() {
    for never in [Schedule::never(), Schedule::after(Duration::MAX), Schedule::after(nanos(u64::MAX - 1000))] {
        assert_eq!(at_1000(never.every(nanos(1))).next, Nanos::FOREVER);
    }
    for once in [Schedule::after(nanos(7)), Schedule::after(nanos(7)).every(Duration::MAX)] {
        let mut times = at_1000(once);
        assert_eq!((times.take(Nanos(1006)), times.take(Nanos(1007)), times.next), (0, 1, Nanos::FOREVER));
    }
}

#[test]
fn an_interval_of_zero_is_refused_and_changes_nothing() {
    let (queue, jobs, _) = Stepped::new();
    let zero = Schedule::after(Duration::ZERO).every(Duration::ZERO);
    let refused = Source::timer(&queue).every(Duration::ZERO).on_event(|_| panic!("it is not active")).activate();
    assert_eq!(refused.unwrap_err(), TimerError::ZeroInterval);
    assert!(queue.engine().running_event_loop().is_none(), "nothing was started for it");
    let timer = Source::timer(&queue).after(HOUR).activate().unwrap();
    assert_eq!(timer.set(zero), Err(TimerError::ZeroInterval));
    assert_eq!(timer.set(zero.every(nanos(1)).every(Duration::ZERO)), Err(TimerError::ZeroInterval));
    assert_eq!(queue.end(), 1, "it is armed for the first hour");
    drop(timer);
    while Jobs::run(&jobs.of_queue) > 0 {}
}

/// What the handler is given of times that are looked at at these instants, and when the next is due.
fn given(missed: Missed, looks: &[u64]) -> (Vec<u64>, u64) {
    let mut times = Times { missed, ..times(0, 10) };
    let given = looks.iter().map(|now| times.take(Nanos(*now))).collect();
    (given, times.next.0)
}

#[test]
fn missed_times_are_counted_skipped_caught_up_with_or_delayed() {
    let looks = [0, 11, 47, 47, 47, 47, 50];
    assert_eq!(given(Missed::Count, &looks), (vec![1, 1, 3, 0, 0, 0, 1], 60));
    assert_eq!(given(Missed::Skip, &looks), (vec![1, 1, 1, 0, 0, 0, 1], 60));
    assert_eq!(given(Missed::Burst, &looks), (vec![1, 1, 1, 1, 1, 0, 1], 60));
    assert_eq!(given(Missed::Delay, &looks), (vec![1, 1, 1, 0, 0, 0, 0], 57));
    assert_eq!(given(Missed::Delay, &[0, 11, 20, 21, 30, 31]), (vec![1, 1, 0, 1, 0, 1], 41));
}

#[test]
fn a_single_time_is_the_same_to_every_policy() {
    for missed in [Missed::Count, Missed::Skip, Missed::Burst, Missed::Delay] {
        let mut once = at_1000(Schedule::after(nanos(7)).missed(missed));
        assert_eq!((once.take(Nanos(1006)), once.take(Nanos(5000)), once.take(Nanos(5000))), (0, 1, 0));
        assert_eq!((once.next, once.are_due(Nanos(u64::MAX - 1))), (Nanos::FOREVER, false));
    }
}

#[test]
fn a_timer_that_catches_up_needs_one_wake_up() {
    let (queue, jobs, _) = Stepped::new();
    let (given, start) = (Arc::new(Mutex::new(Vec::new())), Deadline::now(Clock::Monotonic) - HOUR * 4);
    let handler = Arc::clone(&given);
    let timer = Source::timer(&queue).at(start).every(HOUR).missed(Missed::Burst);
    let timer = timer.on_event(move |fires| handler.lock().push(fires)).activate().unwrap();
    while jobs.of_queue.lock().is_empty() {
        crate::sync::yield_now();
    }
    let turns: usize = (0..5).map(|_| Jobs::run(&jobs.of_queue)).sum();
    assert_eq!((turns, Jobs::run(&jobs.of_queue)), (5, 0), "one turn after the other");
    assert_eq!(*given.lock(), [1; 5]);
    assert_eq!(queue.engine().running_event_loop().unwrap().wakeups(), 1);
    assert_eq!(queue.end(), 1, "armed for the next hour");
    drop(timer);
    while Jobs::run(&jobs.of_queue) > 0 {}
}

#[test]
fn half_of_the_interval_is_the_most_leeway() {
    let leeway = |schedule: Schedule| at_1000(schedule).leeway;
    let often = Schedule::after(HOUR).every(nanos(100));
    assert_eq!(leeway(often.leeway(nanos(49))), nanos(49));
    assert_eq!(leeway(often.leeway(nanos(50))), nanos(50));
    assert_eq!(leeway(often.leeway(Duration::MAX)), nanos(50));
    assert_eq!(leeway(often.every(nanos(1)).leeway(HOUR)), Duration::ZERO);
    assert_eq!(leeway(Schedule::after(HOUR).leeway(HOUR)), HOUR, "nothing bounds that of a single time");
}

#[test]
fn a_delay_is_counted_on_its_clock_and_a_deadline_has_its_own() {
    let now = |clock| Nanos(if clock == Clock::Wall { 5_000 } else { 10 });
    let delay = Schedule::after(nanos(1)).clock(Clock::Wall).times(now);
    assert_eq!((delay.clock, delay.next), (Clock::Wall, Nanos(5_001)));
    let deadline = Deadline::now(Clock::Boottime);
    let times = Schedule::at(deadline).clock(Clock::Wall).times(now);
    assert_eq!((times.clock, times.next), (Clock::Boottime, deadline.at()));
}

#[test]
fn a_time_that_a_clock_has_gone_back_from_is_waited_for_again() {
    let mut times = times(100, 10);
    assert_eq!(times.take(Nanos(125)), 3);
    assert_eq!((times.take(Nanos(50)), times.next), (0, Nanos(130)));
    assert_eq!((times.take(Nanos(129)), times.take(Nanos(130))), (0, 1));
}

#[test]
fn a_turn_that_finds_no_time_leaves_the_timer_armed_once() {
    let (queue, jobs, _) = Stepped::new();
    let timer = Source::timer(&queue).after(HOUR).on_event(|_| panic!("it is not due")).activate().unwrap();
    for _ in 0..3 {
        assert!(timer.handle.delivery().knock());
        assert_eq!(Jobs::run(&jobs.of_queue), 1);
    }
    timer.set(Schedule::after(HOUR * 2)).unwrap();
    assert_eq!(queue.end(), 1);
    drop(timer);
    assert_eq!(Jobs::run(&jobs.of_queue), 1, "the last turn, which refers to its queue");
}

#[test]
fn a_timer_that_ends_or_never_fires_is_not_in_the_event_loop() {
    let (queue, jobs, _) = Stepped::new();
    let timer = || Source::timer(&queue).after(HOUR).activate().unwrap();
    let (cancelled, dropped, quiet) = (timer(), timer(), timer());
    cancelled.cancel();
    drop(dropped);
    quiet.set(Schedule::never()).unwrap();
    assert_eq!(Jobs::run(&jobs.of_queue), 2);
    cancelled.set(Schedule::after(HOUR)).unwrap();
    assert_eq!(queue.end(), 0);
    drop(quiet);
    assert_eq!(Jobs::run(&jobs.of_queue), 1, "the last turn, which refers to its queue");
}

#[test]
fn a_timer_whose_handler_has_to_wait_is_not_in_the_event_loop() {
    let (queue, jobs, _) = Stepped::new();
    let timer = Source::timer(&queue).every(nanos(100)).activate().unwrap();
    while jobs.of_queue.lock().is_empty() {
        crate::sync::yield_now();
    }
    let wakeups = queue.engine().running_event_loop().unwrap().wakeups();
    assert_eq!((wakeups, jobs.of_queue.lock().len(), queue.end()), (1, 1, 0));
    drop(timer);
    while Jobs::run(&jobs.of_queue) > 0 {}
}

#[test]
fn the_last_reference_is_dropped_by_the_pool() {
    let (queue, jobs, captured) = Stepped::new();
    let delivery = Delivery::inactive(Timer::new(), Arc::new(queue));
    let other = Arc::clone(&delivery);
    Sink::fire(delivery, None, Nanos::ZERO);
    assert_eq!(jobs.of_pool.lock().len(), 0, "it was not the last");
    Sink::fire(other, None, Nanos::ZERO);
    assert_eq!(Arc::strong_count(&captured), 2);
    assert_eq!(Jobs::run(&jobs.of_pool), 1);
    assert_eq!(Arc::strong_count(&captured), 1);
}
