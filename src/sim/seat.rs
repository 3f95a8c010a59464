//! What a simulated thread asks its simulation for.

use super::stage::Stage;
use super::stage::Stance;
use super::trace::Moment;
use crate::sync::Arc;
use crate::sync::Host;
use crate::sync::Parker;
use crate::sync::Reason;
use std::time::Duration;
use std::time::Instant;

/// The host of one simulated thread.
pub(super) struct Seat {
    stage: Arc<Stage>,
    number: usize,
}

impl Seat {
    pub(super) fn new(stage: Arc<Stage>, number: usize) -> Self {
        Self { stage, number }
    }
}

impl Host for Seat {
    fn before_park(&self, reason: &Reason) {
        let mut schedule = self.stage.schedule();
        schedule.actors[self.number].waits.push(reason.clone());
        // Another worker may be needed in the place of this one.
        if let Some(crew) = schedule.jobs.crew.upgrade() {
            crew.reinforce(&mut schedule);
        }
    }

    fn after_park(&self) {
        self.stage.schedule().actors[self.number].waits.pop();
    }

    fn park(&self, parker: &Parker, deadline: Option<Instant>) {
        let until = deadline.map(|deadline| self.stage.time_of(deadline));
        self.stage.step(self.number, Moment::Wait, Stance::Parked { until });
        parker.take_token();
    }

    fn now(&self) -> Instant {
        self.stage.instant(self.stage.schedule().time)
    }

    fn virtual_time(&self) -> Option<Duration> {
        Some(self.stage.schedule().time)
    }

    fn yield_point(&self) {
        self.stage.step(self.number, Moment::Transition, Stance::Ready);
    }
}
