//! One operation: how far it has come, what it waits for, and who waits for it. See the module for the protocol.

mod attempt;
mod dependents;
mod end;

pub(super) use end::Withdrawal;

use super::alarm::Alarm;
use super::context::OperationContext;
use super::line::Priority;
use super::observers::Bells;
use super::observers::OperationState;
use super::progress::Progress;
use super::retry::Retry;
use super::station::Station;
use crate::error::OperationError;
use crate::job::Promise;
use crate::sync::Arc;
use crate::sync::Desk;
use crate::sync::Mutex;
use crate::sync::OnceLock;
use crate::sync::Parker;
use crate::sync::Ticket;
use crate::sync::Tickets;
use crate::sync::parker;
use crate::token::CancelToken;
use crate::token::Registration;
use dependents::Dependents;
use end::skipped;
use end::state_of;
use std::fmt;
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

/// Who may depend on an operation, for a later dependency of that to close a cycle. Barriers aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expectation {
    Nobody,
    Dependents,
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
    /// It is settled what has become of it, and others are being told.
    Ended,
    /// All has been done that follows from its end, so that nobody waits for it any more.
    Over,
}

/// What lies under an operation's lock.
struct Place {
    stage: Stage,
    /// `None` while it runs, and when it is over.
    body: Option<Body>,
    /// How many dependencies and pauses have not come to their end, and one more if barriers hold it back.
    awaited: usize,
    attempts: u32,
    cancelled: bool,
    priority: Priority,
    alarm: Option<Alarm>,
    /// What it depends on, until it ends.
    dependencies: Vec<Edge>,
    /// Whether somebody depends on it, or has done, or is about to.
    expectation: Expectation,
    /// Who depends on it, until it ends.
    dependents: Dependents,
    waiting: Tickets,
    /// What is called at the end. It submits a job to the queue that was named.
    completions: Vec<Box<dyn FnOnce() + Send>>,
    /// Cancelled with the operation. There is none until somebody asks for it.
    token: Option<CancelToken>,
    /// What the token calls, if somebody else's may cancel it, until the operation ends.
    covered: Option<Registration>,
    /// The thread that ends it, while it does: its captures' destructors may look at it.
    ender: Option<Arc<Parker>>,
    /// Whether a drain tells the observers of it, too: not if it was put back in the drain, or that might never end.
    promise: Promise,
}

impl Place {
    /// True if it is not wanted any more. A token that is cancelled wakes those that wait before it comes to the operation.
    fn is_cancelled(&self) -> bool {
        self.cancelled || self.token.as_ref().is_some_and(CancelToken::is_cancelled)
    }
}

/// How an operation is built.
pub(super) struct Plan {
    pub(super) label: Arc<str>,
    pub(super) priority: Priority,
    pub(super) dependencies: Vec<Edge>,
    pub(super) limit: Option<Duration>,
    pub(super) retry: Option<Retry>,
    pub(super) is_barrier: bool,
    pub(super) progress: Option<Progress>,
    /// Below the one that covers the operation.
    pub(super) token: Option<CancelToken>,
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
    progress: Option<Progress>,
    ended: OnceLock<Ended>,
    place: Mutex<Place>,
}

/// What the end of a dependency has brought about.
enum Advanced {
    Nothing,
    /// The operation goes into its queue's line, which the caller sees to.
    Ready(Bells),
    /// The operation will not run, and the caller ends it.
    Spoiled(Option<Body>),
}

impl Record {
    /// A new operation, which waits for its dependencies, and for [`come_in`](Self::come_in) once beyond them.
    /// If barriers hold it back, it waits for another one once they do not.
    pub(super) fn new(
        station: Arc<Station>,
        number: u64,
        plan: Plan,
        is_held: bool,
        body: Body,
        closure: &'static str,
    ) -> Arc<Self> {
        let place = Place {
            stage: Stage::Pending,
            body: Some(body),
            awaited: plan.dependencies.len() + 1 + usize::from(is_held),
            attempts: 0,
            cancelled: false,
            priority: plan.priority,
            alarm: None,
            dependencies: plan.dependencies,
            expectation: Expectation::Nobody,
            dependents: Dependents::default(),
            waiting: Tickets::default(),
            completions: Vec::new(),
            token: plan.token,
            covered: None,
            ender: None,
            promise: station.engine.promise(),
        };
        let Plan { label, limit, retry, progress, .. } = plan;
        Arc::new(Self {
            label,
            number,
            station,
            closure,
            limit,
            retry,
            progress,
            ended: OnceLock::new(),
            place: Mutex::new(place),
        })
    }

    pub(super) fn ended(&self) -> Option<&Ended> {
        self.ended.get()
    }

    /// The part of a progress that the operation is.
    pub(super) fn progress(&self) -> Option<&Progress> {
        self.progress.as_ref()
    }

    pub(super) fn closure(&self) -> &'static str {
        self.closure
    }

    pub(super) fn state(&self) -> OperationState {
        let stage = self.place.lock().stage;
        match (self.ended(), stage) {
            (Some(ended), _) => state_of(ended),
            (None, Stage::Ready) => OperationState::Ready,
            (None, Stage::Running) => OperationState::Running,
            (None, _) => OperationState::Pending,
        }
    }

    /// True if the calling thread is about to end it: nobody else will.
    pub(super) fn is_ending_here(&self) -> bool {
        let thread = parker();
        self.place.lock().ender.as_ref().is_some_and(|ender| Arc::ptr_eq(ender, &thread))
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.place.lock().is_cancelled()
    }

    pub(super) fn dependencies(&self) -> Vec<Edge> {
        self.place.lock().dependencies.clone()
    }

    /// Notes a change for the observers. Under the lock, so that what they are told has the order of the changes.
    pub(super) fn note(&self, promise: Promise, state: OperationState) -> Bells {
        self.station.observers.note(promise, &self.label, self.number, state)
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
            None => place.dependents.join(dependent, need),
            Some(ended) => {
                drop(place);
                dependent.proceed(&self.label, need, ended);
            }
        }
    }

    /// Says that somebody is about to depend on it.
    pub(super) fn expect_dependents(&self) {
        self.place.lock().expectation = Expectation::Dependents;
    }

    /// Waits for one thing more, and says whether somebody may depend on the operation by then, and whether it was ready, so
    /// that it may stand in the line. `None` if it has begun.
    pub(super) fn await_also(&self, edge: &Edge) -> Option<(Expectation, bool)> {
        let (bells, was_ready, expectation) = {
            let mut place = self.place.lock();
            let was_ready = place.stage == Stage::Ready;
            let bells = match place.stage {
                // Between two attempts: it has begun.
                Stage::Pending if place.attempts > 0 => return None,
                Stage::Pending => None,
                Stage::Ready => {
                    place.stage = Stage::Pending;
                    place.promise.0 &= self.station.engine.promise().0;
                    Some(self.note(place.promise, OperationState::Pending))
                }
                Stage::Running | Stage::Ending | Stage::Ended | Stage::Over => return None,
            };
            place.awaited += 1;
            place.dependencies.push(edge.clone());
            (bells, was_ready, place.expectation)
        };
        bells.into_iter().for_each(Bells::ring);
        Some((expectation, was_ready))
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
        match self.advance(need, ended) {
            Advanced::Nothing => {}
            Advanced::Ready(bells) => self.stand_in_line(bells),
            Advanced::Spoiled(body) => {
                self.discard(body);
                self.end(skipped(dependency, ended));
            }
        }
    }

    /// Counts a dependency that has ended, or a pause.
    fn advance(&self, need: Need, ended: &Ended) -> Advanced {
        let mut place = self.place.lock();
        if place.stage != Stage::Pending {
            return Advanced::Nothing;
        }
        if need == Need::Success && ended.is_err() {
            place.stage = Stage::Ending;
            place.ender = Some(parker());
            return Advanced::Spoiled(place.body.take());
        }
        place.awaited -= 1;
        if place.awaited > 0 {
            return Advanced::Nothing;
        }
        place.stage = Stage::Ready;
        Advanced::Ready(self.note(place.promise, OperationState::Ready))
    }

    fn stand_in_line(self: &Arc<Self>, bells: Bells) {
        bells.ring();
        let priority = self.place.lock().priority;
        self.station.put_in_line(self, priority);
        // It may have been changed just now, by somebody who has not found the operation in the line.
        let changed = Some(self.place.lock().priority).filter(|changed| *changed != priority);
        changed.into_iter().for_each(|priority| self.station.move_in_line(self.number, priority));
    }

    /// Changes how urgent the operation is.
    pub(super) fn set_priority(&self, priority: Priority) {
        self.place.lock().priority = priority;
        self.station.move_in_line(self.number, priority);
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
}

impl Desk for Record {
    fn ask(&self, ticket: &Arc<Ticket>) -> bool {
        let mut place = self.place.lock();
        if place.stage == Stage::Over {
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

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("label", &self.label).field("ended", &self.ended()).finish_non_exhaustive()
    }
}
