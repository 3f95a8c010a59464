//! One operation: how far it has come, what it waits for, and who waits for it. See the module for the protocol.

use super::alarm::Alarm;
use super::context::OperationContext;
use super::line::Priority;
use super::observers::Bells;
use super::observers::OperationState;
use super::retry::Retry;
use super::retry::mix;
use super::station::Station;
use crate::error::OperationError;
use crate::error::TimerError;
use crate::event::Event;
use crate::event_loop::Sink;
use crate::job::Job;
use crate::job::contain;
use crate::sync::Arc;
use crate::sync::Desk;
use crate::sync::Mutex;
use crate::sync::OnceLock;
use crate::sync::Ticket;
use crate::sync::Tickets;
use crate::sync::yield_point;
use crate::time::Nanos;
use std::fmt;
use std::mem;
use std::time::Duration;

/// What has become of an operation. Its value is elsewhere.
pub(super) type Ended = Result<(), OperationError>;

/// One attempt at an operation. It keeps the value, if there is one.
pub(super) type Body = Box<dyn FnMut(&OperationContext<'_>) -> Ended + Send>;

/// What an operation asks of one that it depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// That it finishes.
    Success,
    /// That it ends.
    End,
}

/// A dependency, as the operation that has it sees it.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    pub(super) on: Arc<Record>,
    pub(super) need: Need,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It waits for dependencies, for its delay, or for its next attempt.
    Pending,
    /// It is in its queue's line, or on its way there.
    Ready,
    Running,
    /// It will not run, and its captures are being dropped.
    Ending,
    Ended,
}

/// What lies under an operation's lock.
struct Place {
    stage: Stage,
    /// `None` while it runs, and when it is over.
    body: Option<Body>,
    /// How many dependencies and pauses have not come to their end.
    awaited: usize,
    attempts: u32,
    cancelled: bool,
    priority: Priority,
    alarm: Option<Alarm>,
    /// What it depends on, until it ends.
    dependencies: Vec<Edge>,
    /// Who depends on it, until it ends.
    dependents: Vec<(Arc<Record>, Need)>,
    waiting: Tickets,
    /// What is called at the end. It submits a job to the queue that was named.
    completions: Vec<Box<dyn FnOnce() + Send>>,
    /// Where a running attempt sleeps, once it does.
    bed: Option<Event>,
}

/// How an operation is built.
pub(super) struct Plan {
    pub(super) label: Arc<str>,
    pub(super) priority: Priority,
    pub(super) dependencies: Vec<Edge>,
    pub(super) limit: Option<Duration>,
    pub(super) retry: Option<Retry>,
    pub(super) is_barrier: bool,
}

/// One operation, without its type.
pub(crate) struct Record {
    pub(super) label: Arc<str>,
    /// The how-manieth of its queue it is.
    pub(super) number: u64,
    pub(super) station: Arc<Station>,
    /// The name of the closure's type.
    closure: &'static str,
    limit: Option<Duration>,
    retry: Option<Retry>,
    ended: OnceLock<Ended>,
    place: Mutex<Place>,
}

/// What `cancel` came upon.
pub(super) enum Withdrawal {
    NeverRan,
    Running,
    Done,
}

/// What the end of a dependency has brought about.
enum Progressed {
    Nothing,
    /// The operation goes into its queue's line, which the caller sees to.
    Ready(Bells),
    /// The operation will not run, and the caller ends it.
    Spoiled(Option<Body>),
}

impl Record {
    /// A new operation, which waits for its dependencies, and for [`come_in`](Self::come_in) once beyond them.
    pub(super) fn new(station: Arc<Station>, number: u64, plan: Plan, body: Body, closure: &'static str) -> Arc<Self> {
        let place = Place {
            stage: Stage::Pending,
            body: Some(body),
            awaited: plan.dependencies.len() + 1,
            attempts: 0,
            cancelled: false,
            priority: plan.priority,
            alarm: None,
            dependencies: plan.dependencies,
            dependents: Vec::new(),
            waiting: Tickets::default(),
            completions: Vec::new(),
            bed: None,
        };
        let Plan { label, limit, retry, .. } = plan;
        Arc::new(Self {
            label,
            number,
            station,
            closure,
            limit,
            retry,
            ended: OnceLock::new(),
            place: Mutex::new(place),
        })
    }

    pub(super) fn ended(&self) -> Option<&Ended> {
        self.ended.get()
    }

    pub(super) fn closure(&self) -> &'static str {
        self.closure
    }

    pub(super) fn state(&self) -> OperationState {
        match (self.ended(), self.place.lock().stage) {
            (Some(Ok(())), _) => OperationState::Finished,
            (Some(Err(OperationError::Cancelled)), _) => OperationState::Cancelled,
            (Some(Err(_)), _) => OperationState::Failed,
            (None, Stage::Pending) => OperationState::Pending,
            (None, Stage::Ready) => OperationState::Ready,
            (None, _) => OperationState::Running,
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.place.lock().cancelled
    }

    pub(super) fn dependencies(&self) -> Vec<Edge> {
        self.place.lock().dependencies.clone()
    }

    /// Notes a change for the observers. Under the lock, so that what they are told has the order of the changes.
    pub(super) fn note(&self, state: OperationState) -> Bells {
        self.station.observers.note(&self.label, self.number, state)
    }

    /// Enters itself with what it depends on. Once, when it is part of its queue.
    pub(super) fn subscribe(self: &Arc<Self>, edges: Vec<Edge>) {
        for Edge { on, need } in edges {
            on.subscribe_one(self, need);
        }
    }

    pub(super) fn subscribe_one(self: &Arc<Self>, dependent: &Arc<Self>, need: Need) {
        let mut place = self.place.lock();
        match self.ended() {
            None => place.dependents.push((Arc::clone(dependent), need)),
            Some(ended) => {
                drop(place);
                dependent.proceed(&self.label, need, ended);
            }
        }
    }

    /// Waits for one thing more, unless the operation has begun. False then.
    pub(super) fn await_also(&self, edge: &Edge) -> bool {
        let (bells, was_ready) = {
            let mut place = self.place.lock();
            let was_ready = place.stage == Stage::Ready;
            let bells = match place.stage {
                Stage::Pending => None,
                Stage::Ready => {
                    place.stage = Stage::Pending;
                    Some(self.note(OperationState::Pending))
                }
                Stage::Running | Stage::Ending | Stage::Ended => return false,
            };
            place.awaited += 1;
            place.dependencies.push(edge.clone());
            (bells, was_ready)
        };
        if was_ready {
            self.station.leave_line(self.number);
        }
        bells.into_iter().for_each(Bells::ring);
        true
    }

    /// Takes back what [`await_also`](Self::await_also) has added, before anybody was told.
    pub(super) fn await_no_more(self: &Arc<Self>, edge: &Edge) {
        {
            let mut place = self.place.lock();
            if let Some(last) = place.dependencies.iter().rposition(|other| Arc::ptr_eq(&other.on, &edge.on)) {
                place.dependencies.remove(last);
            }
        }
        self.come_in();
    }

    /// One thing less to wait for.
    pub(super) fn come_in(self: &Arc<Self>) {
        self.proceed(&self.label, Need::End, &Ok(()));
    }

    /// A dependency has ended.
    fn proceed(self: &Arc<Self>, dependency: &Arc<str>, need: Need, ended: &Ended) {
        match self.progress(need, ended) {
            Progressed::Nothing => {}
            Progressed::Ready(bells) => self.stand_in_line(bells),
            Progressed::Spoiled(body) => {
                self.discard(body);
                self.end(skipped(dependency, ended));
            }
        }
    }

    fn progress(&self, need: Need, ended: &Ended) -> Progressed {
        let mut place = self.place.lock();
        if place.stage != Stage::Pending {
            return Progressed::Nothing;
        }
        if need == Need::Success && ended.is_err() {
            place.stage = Stage::Ending;
            return Progressed::Spoiled(place.body.take());
        }
        place.awaited -= 1;
        if place.awaited > 0 {
            return Progressed::Nothing;
        }
        place.stage = Stage::Ready;
        Progressed::Ready(self.note(OperationState::Ready))
    }

    fn stand_in_line(self: &Arc<Self>, bells: Bells) {
        bells.ring();
        let priority = self.place.lock().priority;
        self.station.put_in_line(self, priority);
    }

    /// Begins an attempt, unless the operation has been cancelled: gives what is to be called, and the how-manieth it is.
    pub(super) fn begin(&self) -> Option<(Body, u32)> {
        yield_point();
        let (begun, bells) = {
            let mut place = self.place.lock();
            if place.stage != Stage::Ready {
                return None;
            }
            place.stage = Stage::Running;
            place.attempts += 1;
            place.bed = None;
            (place.body.take().map(|body| (body, place.attempts)), self.note(OperationState::Running))
        };
        bells.ring();
        begun
    }

    /// Runs an attempt, and sees to what follows.
    pub(super) fn attempt(self: &Arc<Self>, mut body: Body, attempt: u32) {
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
            if place.cancelled {
                drop(place);
                self.discard(Some(body));
                return self.end(Err(OperationError::Cancelled));
            }
            place.stage = Stage::Pending;
            place.awaited = 1;
            place.body = Some(body);
            self.note(OperationState::Pending)
        };
        bells.ring();
        self.pause(pause);
    }

    /// Comes in when the time has passed.
    pub(super) fn pause(self: &Arc<Self>, pause: Duration) {
        if pause.is_zero() {
            return self.come_in();
        }
        match Alarm::set(self, pause) {
            Ok(Some(alarm)) => {
                let mut place = self.place.lock();
                if place.stage == Stage::Pending {
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

    /// Ends the operation if it does not run. False if it does, or is over.
    pub(super) fn end_unrun(self: &Arc<Self>, error: OperationError) -> bool {
        let body = {
            let mut place = self.place.lock();
            if !matches!(place.stage, Stage::Pending | Stage::Ready) {
                return false;
            }
            place.stage = Stage::Ending;
            place.cancelled |= matches!(error, OperationError::Cancelled);
            place.body.take()
        };
        self.discard(body);
        self.end(Err(error));
        true
    }

    /// Says that the operation is not wanted any more.
    pub(super) fn cancel(self: &Arc<Self>) -> Withdrawal {
        yield_point();
        let is_over = self.end_unrun(OperationError::Cancelled);
        let (stage, has_run, bed) = {
            let mut place = self.place.lock();
            place.cancelled |= place.stage == Stage::Running;
            (place.stage, place.attempts > 0, place.bed.clone())
        };
        if !is_over && let Some(bed) = bed {
            bed.set();
        }
        match stage {
            Stage::Running => Withdrawal::Running,
            _ if has_run => Withdrawal::Done,
            _ => Withdrawal::NeverRan,
        }
    }

    /// Changes how urgent the operation is.
    pub(super) fn set_priority(&self, priority: Priority) {
        self.place.lock().priority = priority;
        self.station.move_in_line(self.number, priority);
    }

    /// Where a running attempt sleeps until it is over or cancelled.
    pub(super) fn bed(&self) -> Event {
        let mut place = self.place.lock();
        let is_cancelled = place.cancelled;
        let bed = place.bed.get_or_insert_with(Event::new).clone();
        drop(place);
        if is_cancelled {
            bed.set();
        }
        bed
    }

    /// Calls `completion` when the operation has ended, or now.
    pub(super) fn notify(&self, completion: Box<dyn FnOnce() + Send>) {
        let mut place = self.place.lock();
        if self.ended().is_some() {
            drop(place);
            completion();
        } else {
            place.completions.push(completion);
        }
    }

    /// Drops a body, and with it what the closure captured.
    fn discard(&self, body: Option<Body>) {
        if let Err(panic) = contain(|| drop(body)) {
            self.station.engine.report_panic(&self.station.label, panic, self.closure);
        }
    }

    /// Ends the operation, and those that cannot run for that reason, one after another: a chain may be longer than any
    /// stack. Whoever calls this has taken the operation out of the stages in which others would.
    fn end(self: &Arc<Self>, ended: Ended) {
        let mut ending = vec![(Arc::clone(self), ended)];
        let mut waiting = Vec::new();
        while let Some((record, ended)) = ending.pop() {
            let close = record.close(&ended);
            waiting.extend([close.waiting, record.station.strike(&record)]);
            close.bells.ring();
            close.alarm.into_iter().for_each(Alarm::cancel);
            close.completions.into_iter().for_each(|completion| completion());
            for (dependent, need) in close.dependents {
                match dependent.progress(need, &ended) {
                    Progressed::Nothing => {}
                    Progressed::Ready(bells) => dependent.stand_in_line(bells),
                    Progressed::Spoiled(body) => {
                        dependent.discard(body);
                        ending.push((dependent, skipped(&record.label, &ended)));
                    }
                }
            }
        }
        // Last: it may run an executor's code.
        waiting.into_iter().for_each(Tickets::grant_all);
    }

    /// Settles what has become of the operation, and takes out all that is to be told.
    fn close(&self, ended: &Ended) -> Close {
        let mut place = self.place.lock();
        place.stage = Stage::Ended;
        // The stages see to it that there is one end.
        let _ = self.ended.set(ended.clone());
        let bells = self.note(match ended {
            Ok(()) => OperationState::Finished,
            Err(OperationError::Cancelled) => OperationState::Cancelled,
            Err(_) => OperationState::Failed,
        });
        Close {
            bells,
            alarm: place.alarm.take(),
            waiting: mem::take(&mut place.waiting),
            completions: mem::take(&mut place.completions),
            dependents: mem::take(&mut place.dependents),
            _dependencies: mem::take(&mut place.dependencies),
        }
    }
}

/// What follows an operation's end.
struct Close {
    bells: Bells,
    alarm: Option<Alarm>,
    waiting: Tickets,
    completions: Vec<Box<dyn FnOnce() + Send>>,
    dependents: Vec<(Arc<Record>, Need)>,
    /// Let go without the lock.
    _dependencies: Vec<Edge>,
}

/// What becomes of an operation that depends on one that has ended like this. What was skipped itself passes on why: there
/// may be any number of them in a row.
fn skipped(dependency: &Arc<str>, ended: &Ended) -> Ended {
    match ended {
        Ok(()) => Ok(()),
        Err(error @ OperationError::Skipped { .. }) => Err(error.clone()),
        Err(error) => {
            Err(OperationError::Skipped { dependency: Arc::clone(dependency), error: Arc::new(error.clone()) })
        }
    }
}

impl Desk for Record {
    fn ask(&self, ticket: &Arc<Ticket>) -> bool {
        let mut place = self.place.lock();
        if self.ended().is_some() {
            return true;
        }
        place.waiting.join(ticket);
        false
    }

    fn withdraw(&self, ticket: &Arc<Ticket>) -> bool {
        self.place.lock().waiting.leave(ticket);
        false
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

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("label", &self.label).field("ended", &self.ended()).finish_non_exhaustive()
    }
}
