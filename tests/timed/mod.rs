//! Timers that are held against the clock: however late a handler is called, no fire is early, and none that was due
//! when the call began is missing.

use concourse::Clock;
use concourse::Deadline;
use concourse::Dispatch;
use concourse::Runtime;
use concourse::Shutdown;
use concourse::Source;
use concourse::source::Timer;
use parking_lot::Mutex;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// No test waits for so long unless it fails.
pub(crate) const GENEROUS: Duration = Duration::from_secs(60);

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn runtime() -> Runtime {
    Runtime::builder().threads(2).name("timed").build().unwrap()
}

/// Waits for something that another thread does.
#[track_caller]
pub(crate) fn wait_until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + GENEROUS;
    while !condition() {
        assert!(Instant::now() < deadline, "waited for a minute");
        thread::yield_now();
    }
}

pub(crate) fn now() -> Deadline {
    Deadline::now(Clock::Monotonic)
}

/// Ends the runtime, and with it a test whose handlers have assertions: a panic in a handler is contained and counted.
#[track_caller]
pub(crate) fn finish(runtime: &Runtime) {
    assert_eq!(runtime.shutdown(Shutdown::Drain.within(GENEROUS)).panics, 0);
}

/// What the handler of a repeating timer was given, call by call.
#[derive(Clone)]
pub(crate) struct Record(Arc<Mutex<Calls>>);

struct Calls {
    start: Deadline,
    interval: Duration,
    calls: u64,
    fires: u64,
    /// An instant before the next call.
    before: Deadline,
}

impl Calls {
    fn due(&self, fire: u64) -> Deadline {
        self.start + Duration::from_nanos(u64::try_from(self.interval.as_nanos()).unwrap() * fire)
    }
}

impl Record {
    /// Of a timer that fires at `start` and every `interval` from then on.
    pub(crate) fn new(start: Deadline, interval: Duration) -> Self {
        Self(Arc::new(Mutex::new(Calls { start, interval, calls: 0, fires: 0, before: start - HOUR })))
    }

    /// The timer, whose handler calls `then` after its call is recorded.
    pub(crate) fn timer(
        &self,
        queue: &impl Dispatch,
        mut then: impl FnMut(&Source<Timer>) + Send + 'static,
    ) -> Source<Timer> {
        let (Calls { start, interval, .. }, record) = (&*self.0.lock(), self.clone());
        let builder = Source::timer(queue).at(*start).every(*interval);
        let builder = builder.on_event_with(move |timer, fires| {
            record.call(fires);
            then(timer);
        });
        builder.activate().unwrap()
    }

    /// Takes a call of the handler.
    ///
    /// # Panics
    ///
    /// If a fire was early, or one is missing that was due before the call began.
    #[track_caller]
    fn call(&self, fires: u64) {
        let mut record = self.0.lock();
        assert_ne!(fires, 0, "a call for nothing");
        record.calls += 1;
        record.fires += fires;
        assert!(record.due(record.fires - 1) <= now(), "a fire was early");
        assert!(record.due(record.fires) > record.before, "a fire is missing");
        record.before = now();
    }

    pub(crate) fn calls(&self) -> u64 {
        self.0.lock().calls
    }

    pub(crate) fn fires(&self) -> u64 {
        self.0.lock().fires
    }
}
