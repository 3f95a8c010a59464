//! No test sets the clock of the machine. What is real here is the timerfd that waits for that, the loop thread, and the
//! clocks that it reads; only what a watcher knows of them is made up.

use super::super::EventLoop;
use super::super::Sink;
use super::*;
use crate::job::Job;
use crate::sync::Condvar;
use crate::time::Nanos;
use std::time::Duration;
use std::time::Instant;

const GENEROUS: Duration = Duration::from_secs(60);
const HOUR: i64 = 3_600_000_000_000;

/// What a watcher was told, and how often a timer has fired.
#[derive(Default)]
struct Notes {
    steps: Mutex<Vec<i64>>,
    fires: Mutex<usize>,
    fired: Condvar,
}

impl StepWatcher for Notes {
    fn stepped(self: Arc<Self>, by: i64) {
        self.steps.lock().push(by);
    }
}

impl Sink for Notes {
    fn fire(self: Arc<Self>, _: Option<Job>, _: Nanos) {
        *self.fires.lock() += 1;
        self.fired.notify_all();
    }

    fn label(&self) -> &str {
        "notes"
    }
}

impl Notes {
    /// Has the loop thread fire a timer of the wall clock, and waits until it has.
    fn wake(self: &Arc<Self>, event_loop: &EventLoop) {
        let (mut fires, deadline) = (self.fires.lock(), Instant::now() + GENEROUS);
        let expected = *fires + 1;
        event_loop.arm(Clock::Wall, Nanos::ZERO, Duration::ZERO, Arc::<Self>::clone(self), None).unwrap();
        while *fires < expected {
            assert!(Instant::now() < deadline, "the loop does not wake up");
            self.fired.wait_until(&mut fires, deadline);
        }
    }

    /// Wakes the loop until it has told as much: a timer that comes while it is awake fires without another look.
    #[track_caller]
    fn expect(self: &Arc<Self>, event_loop: &EventLoop, steps: &[i64]) {
        self.wake(event_loop);
        let deadline = Instant::now() + GENEROUS;
        while self.steps.lock().len() < steps.len() {
            assert!(Instant::now() < deadline, "the loop does not look");
            self.wake(event_loop);
        }
        let told = std::mem::take(&mut *self.steps.lock());
        let is_near = |(told, step): (&i64, &i64)| told.abs_diff(*step) < 1_000_000;
        assert!(told.len() == steps.len() && told.iter().zip(steps).all(is_near), "{told:?}");
    }
}

impl ClockSteps {
    /// Makes it look to everybody as if the clock had been set by `step` since.
    fn pretend(&self, step: i64) {
        self.0.lock().list.iter_mut().for_each(|watching| watching.lead.nanos -= step);
    }
}

#[test]
fn a_step_is_what_exceeds_the_error_of_both_measurements() {
    let lead = |nanos, error| Lead { nanos, error };
    let early = lead(1_000_000, 40);
    for (later, step) in [
        (lead(1_000_000, 40), None),
        (lead(1_000_080, 40), None),
        (lead(1_000_081, 40), Some(81)),
        (lead(999_919, 40), Some(-81)),
        (lead(999_920, 40), None),
        (lead(1_000_081, 41), None),
        (lead(-1_000_000, 0), Some(-2_000_000)),
        (lead(i64::MIN, 0), Some(i64::MIN)),
        (lead(i64::MAX, u64::MAX), None),
    ] {
        assert_eq!(later.step_since(early), step, "{later:?}");
    }
}

#[test]
fn a_clock_that_nobody_sets_makes_no_steps() {
    let first = Lead::measure();
    for _ in 0..1_000 {
        assert_eq!(Lead::measure().step_since(first), None);
    }
}

#[test]
fn a_step_is_told_once_to_each_who_watched_before_it() {
    let event_loop = EventLoop::start("steps").unwrap();
    let (notes, second, late) = <(Arc<Notes>, Arc<Notes>, Arc<Notes>)>::default();
    let watch =
        |notes: &Arc<Notes>| event_loop.watch_steps(Arc::<Notes>::clone(notes), "notes".into()).unwrap().unwrap();
    let (key, _) = (watch(&notes), watch(&second));
    notes.expect(&event_loop, &[]);
    event_loop.steps.pretend(HOUR);
    watch(&late);
    notes.expect(&event_loop, &[HOUR]);
    notes.expect(&event_loop, &[]);
    event_loop.steps.pretend(-HOUR / 2);
    assert!(event_loop.unwatch_steps(key).is_some() && event_loop.unwatch_steps(key).is_none());
    late.expect(&event_loop, &[-HOUR / 2]);
    second.expect(&event_loop, &[HOUR, -HOUR / 2]);
    notes.expect(&event_loop, &[]);
    event_loop.stop();
    assert_eq!(Arc::strong_count(&second), 1, "an ended loop has let everybody go");
    assert!(event_loop.watch_steps(second, "second".into()).unwrap().is_none());
}

#[test]
fn the_kernel_is_asked_to_tell_although_no_timer_waits() {
    let event_loop = EventLoop::start("steps").unwrap();
    let wall = event_loop.timers(Clock::Wall);
    let asked = || std::fs::read_to_string(format!("/proc/self/fdinfo/{}", wall.fd())).unwrap();
    let (absolute_and_cancelled_on_set, nothing) = ("settime flags: 03", "settime flags: 00");
    assert!(asked().contains(nothing), "{}", asked());
    event_loop.watch_steps(Arc::<Notes>::default(), "nobody".into()).unwrap();
    assert!(asked().contains(absolute_and_cancelled_on_set), "{}", asked());
    let notes = Arc::<Notes>::default();
    notes.wake(&event_loop);
    event_loop.watch_steps(notes, "notes".into()).unwrap();
    assert!(asked().contains(absolute_and_cancelled_on_set), "{}", asked());
    event_loop.stop();
}
