//! At most four calls in any quarter of a second, though a dozen and a half are made at once.
//!
//! Each call takes a permit and hands it to a timer, which gives it back when the quarter is over. Calls wait on a serial
//! queue, in order, so that whoever makes them waits for nothing.

use concourse::Dispatch as _;
use concourse::Group;
use concourse::Queue;
use concourse::Semaphore;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

/// Runs closures, no more than so many in any span of `period`.
struct RateLimit {
    permits: Semaphore,
    period: Duration,
    /// Where calls wait. While one waits for a permit, the runtime has another thread in the place of its own.
    calls: Queue,
    /// Where permits come back. It is another queue, as `calls` stands still just then.
    refill: Queue,
}

impl RateLimit {
    fn new(calls: usize, period: Duration) -> Self {
        let (permits, refill) = (Semaphore::new(calls), Queue::serial("refill"));
        Self { permits, period, calls: Queue::serial("calls"), refill }
    }

    fn call(&self, group: &Group, f: impl FnOnce() + Send + 'static) {
        let (permits, period, refill) = (self.permits.clone(), self.period, self.refill.clone());
        group.exec_async(&self.calls, move || {
            let permit = permits.acquire();
            f();
            // Without a timer the closure is dropped, and the permit with it: then there is no limit, but no standstill.
            if let Err(error) = refill.after(period, move || drop(permit)) {
                eprintln!("no limit: {error}");
            }
        });
    }
}

fn main() {
    const CALLS: usize = 4;
    let period = Duration::from_millis(250);
    let limit = RateLimit::new(CALLS, period);
    let (group, start) = (Group::new(), Instant::now());
    let (told, times) = mpsc::channel();
    for number in 1..=18 {
        let told = told.clone();
        limit.call(&group, move || {
            let at = start.elapsed();
            println!("call {number:2} at {:3} ms", at.as_millis());
            // The receiver lives as long as main.
            let _ = told.send(at);
        });
    }
    println!("18 calls are made after {:.1} ms", start.elapsed().as_secs_f64() * 1000.0);
    group.wait();

    drop(told);
    let times: Vec<Duration> = times.iter().collect();
    let shortest = times.windows(CALLS + 1).map(|window| window[CALLS] - window[0]).min().unwrap_or(period);
    println!("{} calls never came within less than {} ms", CALLS + 1, shortest.as_millis());
    assert!(shortest >= period);
}
