use super::Armed;
use super::EventLoop;
use super::Sink;
use super::TimerKey;
use super::timers::TURN;
use super::unavailable;
use crate::error::EventLoopError;
use crate::job::Job;
use crate::sync::Arc;
use crate::sync::AtomicU32;
use crate::sync::Condvar;
use crate::sync::Mutex;
use crate::sync::OnceLock;
use crate::sync::Ordering;
use crate::sync::ThreadBuilder;
use crate::time::Clock;
use crate::time::Nanos;
use crate::time::now;
use std::io;
use std::time::Duration;
use std::time::Instant;

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3_600);
const GENEROUS: Duration = Duration::from_secs(60);

/// Notes what fired, and runs the jobs.
struct Recorder {
    clock: Clock,
    fired: Mutex<Vec<Firing>>,
    more: Condvar,
}

#[derive(Clone, Copy)]
struct Firing {
    due: Nanos,
    at: Nanos,
}

impl Recorder {
    fn new(clock: Clock) -> Arc<Self> {
        Arc::new(Self { clock, fired: Mutex::new(Vec::new()), more: Condvar::new() })
    }

    fn wait_for(&self, count: usize) -> Vec<Firing> {
        let deadline = Instant::now() + GENEROUS;
        let mut fired = self.fired.lock();
        while fired.len() < count {
            assert!(Instant::now() < deadline, "{} of {count} fired", fired.len());
            self.more.wait_until(&mut fired, deadline);
        }
        fired.clone()
    }
}

impl Sink for Recorder {
    fn fire(self: Arc<Self>, job: Option<Job>, due: Nanos) {
        let at = now(self.clock);
        if let Some(job) = job {
            job.run();
        }
        self.fired.lock().push(Firing { due, at });
        self.more.notify_all();
    }

    fn label(&self) -> &str {
        "test"
    }
}

fn start() -> Running {
    Running(EventLoop::start("timers of a test").expect("a loop"))
}

/// A loop that is stopped at the end of its test.
struct Running(Arc<EventLoop>);

impl std::ops::Deref for Running {
    type Target = EventLoop;

    fn deref(&self) -> &EventLoop {
        &self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl EventLoop {
    fn arm_in(&self, delay: Duration, leeway: Duration, sink: &Arc<Recorder>) -> TimerKey {
        let due = now(sink.clock).after(delay);
        self.arm(sink.clock, due, leeway, Arc::clone(sink) as Arc<dyn Sink>, None).expect("the loop is not stopped")
    }
}

#[test]
fn timers_of_every_clock_fire_in_order_and_not_before_their_deadline() {
    let event_loop = start();
    for clock in [Clock::Monotonic, Clock::Boottime, Clock::Wall] {
        let sink = Recorder::new(clock);
        for n in 0..500_u32 {
            event_loop.arm_in(Duration::from_micros(u64::from(n * 7_919 % 30_000)), Duration::ZERO, &sink);
        }
        let fired = sink.wait_for(500);
        assert!(fired.iter().all(|firing| firing.at >= firing.due), "early on {clock:?}");
        assert_eq!(fired.len(), 500);
        // What is armed while earlier ones fire may already be due, so order is asked of one deadline only below.
        let late = fired.iter().map(|firing| firing.at.since(firing.due)).max();
        assert!(late < Some(GENEROUS));
    }
}

#[test]
fn timers_of_one_deadline_fire_in_the_order_of_arming() {
    let event_loop = start();
    let sink = Recorder::new(Clock::Monotonic);
    let order = Arc::new(Mutex::new(Vec::new()));
    let due = now(Clock::Monotonic).after(50 * MS);
    for n in 0..1_000 {
        let order = Arc::clone(&order);
        let job = Job::new(move || order.lock().push(n));
        event_loop.arm(Clock::Monotonic, due, Duration::ZERO, sink.clone(), Some(job)).expect("armed");
    }
    sink.wait_for(1_000);
    assert_eq!(*order.lock(), (0..1_000).collect::<Vec<_>>());
}

#[test]
fn an_earlier_timer_overtakes_and_a_waiting_one_costs_no_wakeup() {
    let event_loop = start();
    let sink = Recorder::new(Clock::Monotonic);
    event_loop.arm_in(HOUR, Duration::ZERO, &sink);
    event_loop.arm_in(HOUR, HOUR, &sink);
    for count in 1..=3 {
        event_loop.arm_in(20 * MS, Duration::ZERO, &sink);
        sink.wait_for(count);
        assert_eq!(event_loop.wakeups(), count as u64, "one wake-up per timer that fired, none for those that wait");
    }
}

#[test]
fn leeway_makes_many_wakeups_one() {
    let event_loop = start();
    let sink = Recorder::new(Clock::Monotonic);
    let first = now(Clock::Monotonic).after(400 * MS);
    for n in 0..100 {
        let due = first.after(MS * n);
        event_loop.arm(Clock::Monotonic, due, 300 * MS, sink.clone(), None).expect("armed");
    }
    let fired = sink.wait_for(100);
    assert_eq!((event_loop.wakeups(), event_loop.wakeups_saved()), (1, 99));
    assert!(fired.iter().all(|firing| firing.at >= first.after(99 * MS)));
}

#[test]
fn leeway_does_not_delay_a_timer_that_is_alone() {
    let event_loop = start();
    let sink = Recorder::new(Clock::Monotonic);
    for (count, leeway) in [(1, HOUR), (2, Duration::MAX)] {
        event_loop.arm_in(10 * MS, leeway, &sink);
        sink.wait_for(count);
    }
    assert_eq!((event_loop.wakeups(), event_loop.wakeups_saved()), (2, 0));
}

#[test]
fn thousands_of_timers_microseconds_apart_share_wakeups() {
    let event_loop = start();
    let sink = Recorder::new(Clock::Monotonic);
    let first = now(Clock::Monotonic).after(100 * MS);
    for n in 0..10_000 {
        let due = first.after(Duration::from_micros(5) * n);
        event_loop.arm(Clock::Monotonic, due, Duration::ZERO, sink.clone(), None).expect("armed");
    }
    let fired = sink.wait_for(10_000);
    assert!(fired.is_sorted_by_key(|firing| firing.due));
    assert!(event_loop.wakeups() < 7_500, "{} wake-ups", event_loop.wakeups());
}

#[test]
fn a_delay_that_overflows_never_fires() {
    let event_loop = start();
    let sink = Recorder::new(Clock::Monotonic);
    event_loop.arm_in(Duration::MAX, Duration::ZERO, &sink);
    event_loop.arm_in(Duration::MAX, Duration::MAX, &sink);
    event_loop.arm_in(Duration::from_nanos(u64::MAX / 2), Duration::MAX, &sink);
    event_loop.arm_in(MS, Duration::ZERO, &sink);
    let fired = sink.wait_for(1);
    assert!(fired[0].due < Nanos::FOREVER);
    assert_eq!(event_loop.stop().len(), 3);
    assert_eq!(sink.wait_for(1).len(), 1);
}

#[test]
fn what_is_already_due_fires_at_once() {
    let event_loop = start();
    for clock in [Clock::Monotonic, Clock::Wall] {
        let sink = Recorder::new(clock);
        for due in [Nanos::ZERO, Nanos(1), now(clock)] {
            event_loop.arm(clock, due, Duration::ZERO, sink.clone(), None).expect("armed");
        }
        sink.wait_for(3);
    }
}

#[test]
fn every_timer_fires_or_is_cancelled_exactly_once() {
    const THREADS: usize = 4;
    const TIMERS: usize = 4_000;
    let event_loop = start();
    let sink = Recorder::new(Clock::Monotonic);
    let ran: Arc<Vec<AtomicU32>> = Arc::new((0..THREADS * TIMERS).map(|_| AtomicU32::new(0)).collect());
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let (event_loop, sink, ran) = (Arc::clone(&event_loop.0), Arc::clone(&sink), Arc::clone(&ran));
            let work = move || {
                let mut cancelled = 0;
                let mut keys = Vec::new();
                for n in 0..TIMERS {
                    let (ran, name) = (Arc::clone(&ran), thread * TIMERS + n);
                    let job = Job::new(move || {
                        ran[name].fetch_add(1, Ordering::Relaxed);
                    });
                    let due = now(Clock::Monotonic).after(Duration::from_micros((n * 7_919 % 300) as u64));
                    let leeway = Duration::from_micros((n % 3 * 50) as u64);
                    keys.push(event_loop.arm(Clock::Monotonic, due, leeway, sink.clone(), Some(job)).expect("armed"));
                    if n % 2 == 0 {
                        let key = keys[n * 31 % keys.len()];
                        cancelled += usize::from(event_loop.cancel(key).is_some());
                        assert!(event_loop.cancel(key).is_none(), "a timer is cancelled once");
                    }
                }
                cancelled
            };
            ThreadBuilder::new().spawn(work).expect("a thread")
        })
        .collect();
    let cancelled: usize = threads.into_iter().map(|thread| thread.join().expect("no panic")).sum();
    assert!(cancelled > 0);
    let fired = sink.wait_for(THREADS * TIMERS - cancelled);
    assert!(fired.iter().all(|firing| firing.at >= firing.due));
    event_loop.stop();
    assert_eq!(sink.fired.lock().len() + cancelled, THREADS * TIMERS);
    let ran: Vec<u32> = ran.iter().map(|ran| ran.load(Ordering::Relaxed)).collect();
    assert!(ran.iter().all(|&ran| ran <= 1));
    assert_eq!(ran.iter().sum::<u32>() as usize + cancelled, THREADS * TIMERS);
}

/// Holds the loop thread in `fire` until the test lets it go.
#[derive(Default)]
struct Gate {
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Gate {
    fn wait_until(&self, reached: impl Fn(&(bool, bool)) -> bool) {
        let deadline = Instant::now() + GENEROUS;
        let mut state = self.state.lock();
        while !reached(&state) {
            assert!(Instant::now() < deadline);
            self.changed.wait_until(&mut state, deadline);
        }
    }

    fn change(&self, change: impl Fn(&mut (bool, bool))) {
        change(&mut self.state.lock());
        self.changed.notify_all();
    }
}

impl Sink for Gate {
    fn fire(self: Arc<Self>, _: Option<Job>, _: Nanos) {
        self.change(|state| state.0 = true);
        self.wait_until(|state| state.1);
    }

    fn label(&self) -> &str {
        "test"
    }
}

#[test]
fn cancelling_a_timer_that_is_firing_is_too_late_and_does_not_wait() {
    let event_loop = start();
    let gate = Arc::new(Gate::default());
    let key = event_loop.arm(Clock::Monotonic, Nanos::ZERO, Duration::ZERO, gate.clone(), None).expect("armed");
    gate.wait_until(|state| state.0);
    assert!(event_loop.cancel(key).is_none());
    gate.change(|state| state.1 = true);
}

#[test]
fn what_is_armed_while_the_loop_delivers_costs_no_wakeup() {
    let event_loop = start();
    let gate = Arc::new(Gate::default());
    let due = now(Clock::Monotonic);
    event_loop.arm(Clock::Monotonic, due, Duration::ZERO, gate.clone(), None).expect("armed");
    gate.wait_until(|state| state.0);
    // No lock is held while the sink is told: others arm and cancel.
    let sink = Recorder::new(Clock::Monotonic);
    let overdue = || event_loop.arm(Clock::Monotonic, Nanos::ZERO, Duration::ZERO, sink.clone(), None).expect("armed");
    let (cancelled, _) = (overdue(), overdue());
    assert!(event_loop.cancel(cancelled).is_some());
    gate.change(|state| state.1 = true);
    sink.wait_for(1);
    event_loop.arm_in(20 * MS, Duration::ZERO, &sink);
    sink.wait_for(2);
    assert_eq!(event_loop.wakeups(), 2);
}

#[test]
fn a_flood_of_overdue_timers_takes_turns_with_the_other_clocks() {
    let event_loop = start();
    let gate = Arc::new(Gate::default());
    event_loop.arm(Clock::Monotonic, Nanos::ZERO, Duration::ZERO, gate.clone(), None).expect("armed");
    gate.wait_until(|state| state.0);
    let (flood, other) = (Recorder::new(Clock::Monotonic), Recorder::new(Clock::Wall));
    let seen = Arc::new(Mutex::new(0));
    let job = {
        let (flood, seen) = (Arc::clone(&flood), Arc::clone(&seen));
        Job::new(move || *seen.lock() = flood.fired.lock().len())
    };
    event_loop.arm(Clock::Wall, Nanos::ZERO, Duration::ZERO, other.clone(), Some(job)).expect("armed");
    let first = now(Clock::Monotonic);
    let due = |n| first.after(Duration::from_micros(10) * n);
    for n in 0..10 * TURN as u32 {
        event_loop.arm(Clock::Monotonic, due(n), Duration::ZERO, flood.clone(), None).expect("armed");
    }
    while now(Clock::Monotonic) < due(10 * TURN as u32) {
        crate::sync::yield_now();
    }
    gate.change(|state| state.1 = true);
    flood.wait_for(10 * TURN);
    other.wait_for(1);
    assert!(*seen.lock() <= 2 * TURN, "the other clock waited for {} timers", seen.lock());
}

#[test]
fn a_sink_that_keeps_arming_what_is_due_is_not_forgotten_after_its_turn() {
    struct Chain {
        event_loop: Arc<EventLoop>,
        end: Arc<Recorder>,
        links: AtomicU32,
    }
    impl Sink for Chain {
        fn fire(self: Arc<Self>, _: Option<Job>, due: Nanos) {
            let is_last = self.links.fetch_sub(1, Ordering::Relaxed) == 1;
            let event_loop = Arc::clone(&self.event_loop);
            let next: Arc<dyn Sink> = if is_last { self.end.clone() } else { self };
            event_loop.arm(Clock::Monotonic, due, Duration::ZERO, next, None).expect("armed");
        }

        fn label(&self) -> &str {
            "test"
        }
    }
    let event_loop = start();
    let end = Recorder::new(Clock::Monotonic);
    let links = AtomicU32::new(3 * TURN as u32);
    let chain = Chain { event_loop: Arc::clone(&event_loop.0), end: Arc::clone(&end), links };
    event_loop.arm(Clock::Monotonic, Nanos::ZERO, Duration::ZERO, Arc::new(chain), None).expect("armed");
    end.wait_for(1);
}

#[test]
fn stopping_gives_back_what_waits_and_refuses_what_comes() {
    let event_loop = start();
    let sink = Recorder::new(Clock::Wall);
    let held = Arc::new(());
    for _ in 0..10 {
        let held = Arc::clone(&held);
        let job = Job::new(move || drop(held));
        event_loop.arm(Clock::Wall, Nanos::FOREVER, Duration::ZERO, sink.clone(), Some(job)).expect("armed");
    }
    let key = event_loop.arm_in(HOUR, Duration::ZERO, &sink);
    let waiting = event_loop.stop();
    assert_eq!((waiting.len(), Arc::strong_count(&held)), (11, 11));
    drop(waiting);
    assert_eq!(Arc::strong_count(&held), 1);
    assert!(event_loop.cancel(key).is_none());
    assert!(event_loop.stop().is_empty());
    let refused = event_loop.arm(Clock::Wall, Nanos::ZERO, Duration::ZERO, sink.clone(), Some(Job::new(|| ())));
    assert!(matches!(refused, Err(Armed { job: Some(_), .. })));
    assert!(sink.fired.lock().is_empty());
    assert_eq!(Arc::strong_count(&event_loop.0), 1, "the thread has ended");
}

#[test]
fn a_sink_may_stop_its_own_loop() {
    struct Stopper(OnceLock<Arc<EventLoop>>);
    impl Sink for Stopper {
        fn fire(self: Arc<Self>, _: Option<Job>, _: Nanos) {
            self.0.get().expect("set before it is armed").stop();
        }

        fn label(&self) -> &str {
            "test"
        }
    }
    let event_loop = start();
    let stopper = Arc::new(Stopper(OnceLock::new()));
    assert!(stopper.0.set(Arc::clone(&event_loop.0)).is_ok());
    event_loop.arm(Clock::Monotonic, Nanos::ZERO, Duration::ZERO, stopper.clone(), None).expect("armed");
    let deadline = Instant::now() + GENEROUS;
    // The test, the stopper, and the thread as long as it runs.
    while Arc::strong_count(&event_loop.0) > 2 {
        assert!(Instant::now() < deadline, "the thread goes on");
        crate::sync::yield_now();
    }
}

#[test]
fn a_panicking_sink_or_job_does_not_end_the_loop() {
    struct Bomb;
    impl Sink for Bomb {
        fn fire(self: Arc<Self>, job: Option<Job>, _: Nanos) {
            drop(job);
            panic!("a sink panics");
        }

        fn label(&self) -> &str {
            "test"
        }
    }
    struct Charge;
    impl Drop for Charge {
        fn drop(&mut self) {
            panic!("the drop of a capture panics");
        }
    }
    let event_loop = start();
    let sink = Recorder::new(Clock::Monotonic);
    let due = now(Clock::Monotonic).after(MS);
    event_loop.arm(Clock::Monotonic, due, Duration::ZERO, Arc::new(Bomb), None).expect("armed");
    let charge = Charge;
    let job = Job::new(move || drop(charge));
    event_loop.arm(Clock::Monotonic, due, Duration::ZERO, Arc::new(Bomb), Some(job)).expect("armed");
    event_loop.arm(Clock::Monotonic, due, Duration::ZERO, sink.clone(), None).expect("armed");
    sink.wait_for(1);
    event_loop.arm_in(MS, Duration::ZERO, &sink);
    sink.wait_for(2);
}

#[test]
fn a_lack_of_descriptors_is_told_from_other_refusals() {
    let error = |errno| unavailable(io::Error::from_raw_os_error(errno));
    assert_eq!(error(24), EventLoopError::NoDescriptor { errno: 24 });
    assert_eq!(error(23), EventLoopError::NoDescriptor { errno: 23 });
    assert_eq!(error(12), EventLoopError::Unavailable { errno: 12 });
}
