//! The token: a lane's drain, on its way through its target's line or the pool.

use super::lane::Home;
use super::lane::Lane;
use crate::engine::Phase;
use crate::job::Job;
use crate::job::Route;
use crate::sync::Arc;

impl Lane {
    /// Sends a drain job to the target or the pool, or rings for the main thread.
    pub(super) fn submit_token(&self, route: Route) {
        match self.home() {
            Some(Home::Target(target)) if route == Route::Beside && target.is_concurrent() => {
                target.concurrent_async_by(self.token(), route);
            }
            Some(Home::Target(target)) => target.enqueue(self.token()),
            Some(Home::MainThread(thread)) => self.ring(thread),
            // After the end of the pool the job comes back, and its drop sees to the lane.
            None => drop(self.engine().executor().submit(self.token(), route, self.qos())),
        }
    }

    fn token(&self) -> Job {
        let token = Token(self.to_arc());
        Job::token(move || drop(token))
    }
}

/// A lane's drain, which is its drop: a pool that has ended drops the job unrun, and if what was accepted is to run, it runs
/// here then, on the thread that leaves the lane last.
struct Token(Arc<Lane>);

impl Drop for Token {
    fn drop(&mut self) {
        let lane = &self.0;
        match lane.engine().phase() {
            Phase::Forked => {}
            Phase::Cancelling => lane.abandon(),
            Phase::Open | Phase::Draining if lane.is_concurrent() => lane.run_concurrent(),
            Phase::Open | Phase::Draining => lane.run_serial(),
        }
    }
}
