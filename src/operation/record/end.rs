//! The end of an operation, and what follows from it.

use super::Advanced;
use super::Body;
use super::Dependents;
use super::Edge;
use super::Ended;
use super::Record;
use super::Stage;
use crate::error::OperationError;
use crate::job::contain;
use crate::operation::alarm::Alarm;
use crate::operation::observers::Bells;
use crate::operation::observers::OperationState;
use crate::operation::progress::Progress;
use crate::sync::Arc;
use crate::sync::Tickets;
use crate::sync::parker;
use crate::sync::yield_point;
use crate::token::Registration;
use std::mem;

/// What `cancel` came upon.
pub(in crate::operation) enum Withdrawal {
    NeverRan,
    Running,
    Done,
}

/// What everybody is told of an operation that has ended like this.
pub(super) fn state_of(ended: &Ended) -> OperationState {
    match ended {
        Ok(()) => OperationState::Finished,
        Err(OperationError::Cancelled) => OperationState::Cancelled,
        Err(_) => OperationState::Failed,
    }
}

impl Record {
    /// Ends the operation if it does not run. False if it does, or is over.
    pub(in crate::operation) fn end_unrun(self: &Arc<Self>, error: OperationError) -> bool {
        let body = {
            let mut place = self.place.lock();
            let is_unrun = matches!(place.stage, Stage::Pending | Stage::Ready);
            // With the look at the stage, so that an attempt that fails just now is the last.
            place.cancelled |=
                (is_unrun || place.stage == Stage::Running) && matches!(error, OperationError::Cancelled);
            if !is_unrun {
                return false;
            }
            place.stage = Stage::Ending;
            place.ender = Some(parker());
            place.body.take()
        };
        self.discard(body);
        self.end(Err(error));
        true
    }

    /// Says that the operation is not wanted any more.
    pub(in crate::operation) fn cancel(self: &Arc<Self>) -> Withdrawal {
        yield_point();
        self.end_unrun(OperationError::Cancelled);
        let (stage, has_run, token) = {
            let place = self.place.lock();
            (place.stage, place.attempts > 0, place.token.clone().filter(|_| place.cancelled))
        };
        // What the operation has covered with it may be the user's.
        token.into_iter().for_each(|token| self.contain(|| token.cancel()));
        match stage {
            Stage::Running => Withdrawal::Running,
            _ if has_run => Withdrawal::Done,
            _ => Withdrawal::NeverRan,
        }
    }

    /// Drops a body, and with it what the closure captured.
    pub(super) fn discard(&self, body: Option<Body>) {
        self.contain(|| drop(body));
    }

    /// Calls what may be somebody else's code, and reports its panic.
    fn contain(&self, call: impl FnOnce()) {
        if let Err(panic) = contain(call) {
            self.station.engine.report_panic(&self.station.label, panic, self.closure);
        }
    }

    /// It is over, perhaps before what it depends on, which keeps it no longer then.
    fn give_up(&self, edge: &Edge) {
        if edge.on.ended().is_none() {
            let over = edge.on.place.lock().dependents.leave();
            // Their progress may have handlers that go with them.
            self.contain(|| drop(over));
        }
    }

    /// Ends the operation, and those that cannot run for that reason, one after another: a chain may be longer than any
    /// stack. Whoever calls this has taken the operation out of the stages in which others would.
    pub(super) fn end(self: &Arc<Self>, ended: Ended) {
        let mut ending = vec![(Arc::clone(self), ended)];
        while let Some((record, ended)) = ending.pop() {
            let close = record.close(&ended);
            close.bells.ring();
            record.progress().into_iter().for_each(Progress::finish);
            close.alarm.into_iter().for_each(Alarm::cancel);
            close.completions.into_iter().for_each(|completion| completion());
            let mut spoiled = Vec::new();
            for (dependent, need) in close.dependents.into_list() {
                match dependent.advance(need, &ended) {
                    Advanced::Nothing => {}
                    Advanced::Ready(bells) => dependent.stand_in_line(bells),
                    Advanced::Spoiled(body) => spoiled.push((dependent, body)),
                }
            }
            let (released, waiting) = record.station.strike(&record);
            released.iter().for_each(Self::come_in);
            for waiting in [waiting, record.conclude()] {
                // It may run an executor's code.
                record.contain(|| waiting.grant_all());
            }
            close.dependencies.iter().for_each(|edge| record.give_up(edge));
            // After that: what these captured may wait for somebody who waits for this operation.
            for (dependent, body) in spoiled {
                dependent.discard(body);
                ending.push((dependent, skipped(&record.label, &ended)));
            }
        }
    }

    /// Settles what has become of the operation, and takes out all that is to be told.
    fn close(&self, ended: &Ended) -> Close {
        let mut place = self.place.lock();
        place.stage = Stage::Ended;
        place.ender = Some(parker());
        // The stages see to it that there is one end.
        let _ = self.ended.set(ended.clone());
        let bells = self.note(place.promise, state_of(ended));
        Close {
            bells,
            alarm: place.alarm.take(),
            _covered: place.covered.take(),
            completions: mem::take(&mut place.completions),
            dependents: mem::take(&mut place.dependents),
            dependencies: mem::take(&mut place.dependencies),
        }
    }

    /// Everybody else has been told: gives those who wait.
    fn conclude(&self) -> Tickets {
        let mut place = self.place.lock();
        place.stage = Stage::Over;
        place.ender = None;
        mem::take(&mut place.waiting)
    }
}

/// What follows an operation's end.
struct Close {
    bells: Bells,
    alarm: Option<Alarm>,
    completions: Vec<Box<dyn FnOnce() + Send>>,
    dependents: Dependents,
    dependencies: Vec<Edge>,
    /// Let go without the lock.
    _covered: Option<Registration>,
}

/// What becomes of an operation that depends on one that has ended like this. What was skipped itself passes on why: there
/// may be any number of them in a row.
pub(super) fn skipped(dependency: &Arc<str>, ended: &Ended) -> Ended {
    match ended {
        Ok(()) => Ok(()),
        Err(error @ OperationError::Skipped { .. }) => Err(error.clone()),
        Err(error) => {
            Err(OperationError::Skipped { dependency: Arc::clone(dependency), error: Arc::new(error.clone()) })
        }
    }
}
