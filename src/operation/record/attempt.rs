//! The attempts at an operation, and the pauses between them.

use super::Body;
use super::Record;
use super::Stage;
use crate::error::OperationError;
use crate::error::TimerError;
use crate::event_loop::Sink;
use crate::job::Job;
use crate::job::contain;
use crate::operation::alarm::Alarm;
use crate::operation::context::OperationContext;
use crate::operation::observers::OperationState;
use crate::operation::retry::mix;
use crate::sync::Arc;
use crate::sync::yield_point;
use crate::time::Nanos;
use crate::token::CancelToken;
use std::time::Duration;

impl Record {
    /// Begins an attempt, unless the operation has been cancelled: gives what is to be called, and the how-manieth it is.
    pub(in crate::operation) fn begin(self: &Arc<Self>) -> Option<(Body, u32)> {
        yield_point();
        let (begun, bells) = {
            let mut place = self.place.lock();
            if place.stage != Stage::Ready {
                return None;
            }
            if place.is_cancelled() {
                // Whoever cancels the token may not have come here yet.
                drop(place);
                self.end_unrun(OperationError::Cancelled);
                return None;
            }
            place.stage = Stage::Running;
            place.attempts += 1;
            (place.body.take().map(|body| (body, place.attempts)), self.note(place.promise, OperationState::Running))
        };
        bells.ring();
        begun
    }

    /// Runs an attempt, and sees to what follows.
    pub(in crate::operation) fn attempt(self: &Arc<Self>, mut body: Body, attempt: u32) {
        let context = OperationContext::new(self, attempt, self.limit);
        let ended = match contain(|| body(&context)) {
            Ok(ended) => ended,
            Err(panic) => {
                let message = Arc::from(panic.message());
                self.station.engine.report_panic(&self.station.label, panic, self.closure);
                Err(OperationError::Panicked { message })
            }
        };
        let is_worth_another = matches!(ended, Err(OperationError::Failed { .. } | OperationError::Expired { .. }));
        let seed = mix(self.station.seed.wrapping_add(self.number));
        let pause = self.retry.filter(|_| is_worth_another).and_then(|retry| retry.pause_after(attempt, seed));
        match pause {
            Some(pause) => self.try_again(body, pause),
            None => {
                self.discard(Some(body));
                self.end(match ended {
                    Err(OperationError::Failed { .. } | OperationError::Expired { .. }) if self.is_cancelled() => {
                        Err(OperationError::Cancelled)
                    }
                    ended => ended,
                });
            }
        }
    }

    /// Goes back to waiting, with an alarm for the end of the pause.
    fn try_again(self: &Arc<Self>, body: Body, pause: Duration) {
        let bells = {
            let mut place = self.place.lock();
            if place.is_cancelled() {
                drop(place);
                self.discard(Some(body));
                return self.end(Err(OperationError::Cancelled));
            }
            place.stage = Stage::Pending;
            place.awaited = 1;
            place.body = Some(body);
            self.note(place.promise, OperationState::Pending)
        };
        // Before it can begin again: its place is that of the next run by then.
        self.station.leave_place(self.number);
        bells.ring();
        self.pause(pause);
    }

    /// Comes in when the time has passed.
    pub(in crate::operation) fn pause(self: &Arc<Self>, pause: Duration) {
        if pause.is_zero() {
            return self.come_in();
        }
        let attempts = self.place.lock().attempts;
        match Alarm::set(self, pause) {
            Ok(Some(alarm)) => {
                let mut place = self.place.lock();
                // It may have rung, and an attempt may have set another, by now.
                if place.stage == Stage::Pending && place.attempts == attempts {
                    place.alarm = Some(alarm);
                } else {
                    drop(place);
                    alarm.cancel();
                }
            }
            // The alarm was refused, and has said so.
            Ok(None) => {}
            Err(error) => {
                self.end_unrun(OperationError::NoTimer { error: TimerError::from(error) });
            }
        }
    }

    /// Has the token cancel the operation, until that is over.
    pub(in crate::operation) fn stand_under(self: &Arc<Self>, token: &CancelToken) {
        let record = Arc::clone(self);
        let covered = token.call(move || _ = record.cancel());
        let mut place = self.place.lock();
        if !matches!(place.stage, Stage::Ended | Stage::Over) {
            place.covered = covered;
        }
    }

    /// The token that is cancelled with the operation.
    pub(in crate::operation) fn token(&self) -> CancelToken {
        let mut place = self.place.lock();
        let is_cancelled = place.cancelled;
        let token = place.token.get_or_insert_with(|| CancelToken::on(&self.station.engine)).clone();
        drop(place);
        if is_cancelled {
            token.cancel();
        }
        token
    }
}

/// The alarm's end: nothing here runs a closure of the user's.
impl Sink for Record {
    fn fire(self: Arc<Self>, job: Option<Job>, due: Nanos) {
        // A drain hands out what waits for its time, and an operation does not begin before its own.
        if due != Nanos::FOREVER {
            job.into_iter().for_each(Job::run);
        }
    }

    fn label(&self) -> &str {
        &self.station.label
    }
}
