//! At most so often, and always once more after the last change.

use concourse::Dispatch as _;
use concourse::Queue;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// Does one thing on a queue, at most once in a period: at once when it is asked for after a rest, otherwise at the end of
/// the period. While nobody asks, nothing wakes up.
pub(super) struct Paced {
    queue: Queue,
    period: Duration,
    action: Box<dyn Fn() + Send + Sync>,
    state: Mutex<State>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The last time is over.
    Rested,
    /// It was done in this period.
    Done,
    /// It was done in this period, and is asked for again.
    Asked,
}

impl Paced {
    pub(super) fn new(queue: &Queue, period: Duration, action: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { queue: queue.clone(), period, action: Box::new(action), state: Mutex::new(State::Rested) })
    }

    /// Has it done, now or at the end of the period. To be called on the queue.
    pub(super) fn ask(self: &Arc<Self>) {
        let mut state = self.state.lock();
        if *state != State::Rested {
            *state = State::Asked;
            return;
        }
        *state = State::Done;
        drop(state);
        (self.action)();
        let paced = Arc::clone(self);
        if self.queue.after(self.period, move || paced.end()).is_err() {
            // The system has no timer for us. Better too often than never again.
            *self.state.lock() = State::Rested;
        }
    }

    fn end(self: &Arc<Self>) {
        let before = std::mem::replace(&mut *self.state.lock(), State::Rested);
        if before == State::Asked {
            self.ask();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use concourse::Runtime;
    use concourse::Semaphore;
    use std::time::Instant;

    #[test]
    fn many_requests_in_a_period_are_done_once_now_and_once_at_its_end() {
        let runtime = Runtime::builder().threads(1).build().unwrap();
        let (queue, done) = (runtime.serial("paced"), Semaphore::new(0));
        let tell = done.clone();
        let period = Duration::from_millis(50);
        let paced = Paced::new(&queue, period, move || {
            tell.signal();
        });
        let started = Instant::now();
        queue.exec_sync(|| (0..1_000).for_each(|_| paced.ask()));
        done.wait();
        done.wait();
        assert!(started.elapsed() >= period);
        // The queue passes the end of the second period, and nothing more is done.
        let rested = Semaphore::new(0);
        let tell = rested.clone();
        let _ = queue
            .after(period * 2, move || {
                tell.signal();
            })
            .unwrap();
        rested.wait();
        assert!(!done.try_wait());
        queue.exec_sync(|| paced.ask());
        done.wait();
    }
}
