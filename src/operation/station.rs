//! What an operation queue's handles share: its line, who runs, and when the next one may.
//!
//! A *turn* is a job of the dispatch queue below, on its way or running. There are never more turns than operations may run
//! at the same time, nor more on their way than operations in the line. A turn takes the first of the line when it runs, and
//! not when it is sent, so that whatever becomes more urgent meanwhile goes first, and a suspension holds at once.

use super::line::Line;
use super::line::Order;
use super::line::Priority;
use super::observers::Observers;
use super::observers::OperationState;
use super::record::Body;
use super::record::Edge;
use super::record::Plan;
use super::record::Record;
use super::roll::Passed;
use super::roll::Roll;
use crate::engine::Engine;
use crate::engine::Phase;
use crate::engine::Suspended;
use crate::error::OperationError;
use crate::error::SuspendError;
use crate::event_loop::Sink;
use crate::job::Job;
use crate::job::end_in_turn;
use crate::queue::Accept;
use crate::queue::QueueLine;
use crate::sync::Arc;
use crate::sync::Desk;
use crate::sync::Mutex;
use crate::sync::Parker;
use crate::sync::Ticket;
use crate::sync::Tickets;
use crate::sync::Weak;
use crate::sync::is_child;
use crate::sync::parker;
use crate::sync::yield_point;
use crate::time::Nanos;
use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::time::Duration;

/// An operation that runs, and the thread on which it does.
struct Runner {
    number: u64,
    thread: Arc<Parker>,
}

/// What lies under a queue's lock.
struct Board {
    max_concurrent: usize,
    suspensions: u32,
    line: Line,
    /// Turns on their way.
    sent: usize,
    /// By the how-manieth run it is.
    runners: BTreeMap<u64, Runner>,
    runs: u64,
    /// Everything that has been added and is not over.
    roll: Roll,
    /// No handle is left.
    is_abandoned: bool,
    waiting: Tickets,
}

impl Board {
    fn leave_place(&mut self, number: u64) {
        self.runners.retain(|_, runner| runner.number != number);
    }

    fn is_held(&self) -> bool {
        self.suspensions > 0 || self.max_concurrent == 0
    }

    /// How many turns are to be sent now; they count as sent.
    fn due(&mut self) -> usize {
        if self.suspensions > 0 {
            return 0;
        }
        let free = self.max_concurrent.saturating_sub(self.runners.len() + self.sent);
        let due = self.line.len().saturating_sub(self.sent).min(free);
        self.sent += due;
        due
    }
}

/// An operation queue, as its operations know it.
pub(crate) struct Station {
    pub(super) label: Arc<str>,
    pub(super) engine: Arc<Engine>,
    pub(super) observers: Observers,
    /// What the jitter of retries follows from.
    pub(super) seed: u64,
    /// No handle: operations that wait do not keep the queue from being closed, which may be what lets them go.
    below: Arc<dyn Sink>,
    below_line: Option<QueueLine>,
    board: Mutex<Board>,
}

impl Station {
    pub(super) fn new(
        label: Arc<str>,
        below: &dyn Accept,
        max_concurrent: usize,
        order: Order,
        seed: u64,
    ) -> Arc<Self> {
        let board = Board {
            max_concurrent,
            suspensions: 0,
            line: Line::new(order),
            sent: 0,
            runners: BTreeMap::new(),
            runs: 0,
            roll: Roll::default(),
            is_abandoned: false,
            waiting: Tickets::default(),
        };
        let station = Arc::new(Self {
            label,
            engine: Arc::clone(below.engine()),
            observers: Observers::default(),
            seed,
            below: below.sink(),
            below_line: below.line(),
            board: Mutex::new(board),
        });
        // For good: its operations may wait for what a shutdown does not see.
        let weak: Weak<dyn Suspended> = Arc::<Self>::downgrade(&station);
        station.engine.note_suspended(station.id(), weak);
        station
    }

    pub(super) fn id(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Adds an operation, which is over at once if the runtime has refused it.
    pub(super) fn add(
        self: &Arc<Self>,
        plan: Plan,
        delay: Duration,
        body: Body,
        closure: &'static str,
        is_admitted: bool,
    ) -> Arc<Record> {
        let token = plan.token.clone();
        let (record, edges) = self.enrol(plan, body, closure);
        if is_admitted {
            if let Some(token) = token {
                record.stand_under(&token);
            }
            record.subscribe(edges);
            record.pause(delay);
            if !self.goes_on() {
                // The runtime has ended just now, and dropped what it knew of.
                self.lose(&record, OperationError::Dropped);
            }
        } else {
            record.end_unrun(OperationError::Dropped);
        }
        record
    }

    /// Enters an operation with all that it depends on, in one step for everybody else.
    fn enrol(self: &Arc<Self>, plan: Plan, body: Body, closure: &'static str) -> (Arc<Record>, Vec<Edge>) {
        let edges = plan.dependencies.clone();
        edges.iter().for_each(|edge| edge.on.expect_dependents());
        let (record, bells) = {
            let mut board = self.board.lock();
            let record = board.roll.enter(plan.is_barrier, |number, is_held| {
                Record::new(Arc::clone(self), number, plan, is_held, body, closure)
            });
            let bells = record.note(self.engine.promise(), OperationState::Pending);
            (record, bells)
        };
        bells.ring();
        (record, edges)
    }

    /// An operation is over. Gives those that it alone held back, and those who wait for the queue, if that was the last.
    pub(super) fn strike(&self, record: &Arc<Record>) -> (Vec<Arc<Record>>, Tickets) {
        let mut board = self.board.lock();
        let released = board.roll.strike(record.number);
        // Whoever waits finds its place free.
        board.leave_place(record.number);
        let left = board.line.leave(record.number);
        let waiting = if board.roll.is_empty() { mem::take(&mut board.waiting) } else { Tickets::default() };
        drop(board);
        drop(left);
        (released, waiting)
    }

    /// True if barriers have others wait for an operation.
    pub(super) fn holds_back(&self, number: u64) -> bool {
        self.board.lock().roll.holds_back(number)
    }

    /// Those that barriers have an operation wait for: see [`Roll::ahead`].
    pub(super) fn ahead(&self, number: u64, passed: &mut Passed) -> Vec<Arc<Record>> {
        self.board.lock().roll.ahead(number, passed)
    }

    /// The last of those: see [`Roll::next_ahead`].
    pub(super) fn next_ahead(&self, number: u64) -> Vec<Arc<Record>> {
        self.board.lock().roll.next_ahead(number)
    }

    pub(super) fn put_in_line(self: &Arc<Self>, record: &Arc<Record>, priority: Priority) {
        yield_point();
        let is_over = !self.goes_on() && !is_child();
        let (due, is_stuck) = {
            let mut board = self.board.lock();
            // One that is over by now would stay as long as the queue is held, and keep it.
            if !is_over && board.roll.contains(record.number) {
                board.line.join(Arc::clone(record), priority);
            }
            (board.due(), is_over || board.is_abandoned && board.is_held())
        };
        self.send(due);
        if is_stuck {
            let record = Arc::clone(record);
            end_in_turn(move || record.station.lose(&record, OperationError::Dropped));
        }
    }

    /// The last handle has gone: if the queue is held, nobody will let it go on, now or later.
    pub(super) fn abandon(&self) {
        let is_held = {
            let mut board = self.board.lock();
            board.is_abandoned = true;
            board.is_held()
        };
        if is_held {
            self.drop_pending();
        }
    }

    /// A run of the operation is over. The turn that it took sends the next.
    pub(super) fn leave_place(&self, number: u64) {
        self.board.lock().leave_place(number);
    }

    pub(super) fn leave_line(&self, number: u64) {
        let left = self.board.lock().line.leave(number);
        drop(left);
    }

    pub(super) fn move_in_line(&self, number: u64, priority: Priority) {
        self.board.lock().line.move_to(number, priority);
    }

    /// Sends turns. They are tokens, so that cancelling the pending jobs of the queue below leaves them in their place.
    fn send(self: &Arc<Self>, turns: usize) {
        for _ in 0..turns {
            let turn = Turn(Some(Arc::clone(self)));
            Arc::clone(&self.below).fire(Some(Job::token(move || turn.run())), Nanos::ZERO);
        }
    }

    /// Sends what may go.
    fn pump(self: &Arc<Self>) {
        let due = self.board.lock().due();
        self.send(due);
    }

    /// True if turns may still run. After the end of a drain they would on whatever thread sends them.
    fn goes_on(&self) -> bool {
        match self.engine.phase() {
            Phase::Open => true,
            Phase::Draining => !self.engine.executor().is_over(),
            Phase::Cancelling | Phase::Forked => false,
        }
    }

    /// What a turn does.
    fn run_next(self: &Arc<Self>) {
        self.board.lock().sent -= 1;
        loop {
            let departure = {
                let mut board = self.board.lock();
                if board.suspensions > 0 || board.runners.len() >= board.max_concurrent {
                    return;
                }
                let Some(record) = board.line.pop() else { return };
                board.runs += 1;
                let run = board.runs;
                board.runners.insert(run, Runner { number: record.number, thread: parker() });
                Departure { station: self, record, run }
            };
            if let Some((body, attempt)) = departure.record.begin() {
                return departure.record.attempt(body, attempt);
            }
        }
    }

    /// True if the calling thread keeps an operation that is not over from going on: it runs it, or it has all places in
    /// which it could run.
    pub(super) fn is_held_up(&self, number: u64) -> bool {
        let thread = parker();
        let (is_here, is_elsewhere, has_all) = {
            let board = self.board.lock();
            let here = |runner: &&Runner| Arc::ptr_eq(&runner.thread, &thread);
            let mine = board.runners.values().filter(here).count();
            let mut runners = board.runners.values().filter(|runner| runner.number == number);
            let runner = runners.next();
            (
                runner.as_ref().is_some_and(here),
                runner.is_some(),
                board.max_concurrent > 0 && mine >= board.max_concurrent,
            )
        };
        is_here
            || (!is_elsewhere && (has_all || self.below_line.as_ref().is_some_and(|line| line.is_held_up().is_some())))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.board.lock().roll.is_empty()
    }

    /// Everything that is not over, in the order in which it was added.
    pub(super) fn unfinished(&self) -> Vec<Arc<Record>> {
        self.board.lock().roll.records()
    }

    pub(super) fn len(&self) -> usize {
        self.board.lock().roll.len()
    }

    pub(super) fn running(&self) -> usize {
        self.board.lock().runners.len()
    }

    pub(super) fn max_concurrent(&self) -> usize {
        self.board.lock().max_concurrent
    }

    pub(super) fn set_max_concurrent(self: &Arc<Self>, max_concurrent: usize) {
        self.board.lock().max_concurrent = max_concurrent;
        self.pump();
    }

    pub(super) fn suspend(&self) -> Result<(), SuspendError> {
        let mut board = self.board.lock();
        let more = board.suspensions.checked_add(1);
        board.suspensions = more.ok_or_else(|| SuspendError::TooManySuspensions { label: Arc::clone(&self.label) })?;
        Ok(())
    }

    pub(super) fn resume(self: &Arc<Self>) -> Result<(), SuspendError> {
        {
            let mut board = self.board.lock();
            let less = board.suspensions.checked_sub(1);
            board.suspensions = less.ok_or_else(|| SuspendError::OverResume { label: Arc::clone(&self.label) })?;
        }
        self.pump();
        Ok(())
    }

    /// Ends an operation that has not begun, and reports its closure as lost.
    pub(super) fn lose(&self, record: &Arc<Record>, error: OperationError) {
        if record.end_unrun(error) {
            self.engine.note_lost(&self.label, record.closure());
        }
    }
}

impl Suspended for Station {
    fn holds_back(&self) -> Option<Arc<str>> {
        (!self.is_empty()).then(|| Arc::clone(&self.label))
    }

    /// Nothing will begin any more. The last come first, so that nobody is skipped for what another one lacks.
    fn drop_pending(&self) {
        self.unfinished().iter().rev().for_each(|record| self.lose(record, OperationError::Dropped));
    }
}

impl Desk for Station {
    fn ask(&self, ticket: &Arc<Ticket>) -> bool {
        let mut board = self.board.lock();
        if board.roll.is_empty() {
            return true;
        }
        board.waiting.join(ticket);
        false
    }

    fn withdraw(&self, ticket: &Arc<Ticket>) -> bool {
        self.board.lock().waiting.leave(ticket);
        false
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        self.engine.forget_suspended(self.id());
    }
}

impl fmt::Debug for Station {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Station").field("label", &self.label).field("unfinished", &self.len()).finish_non_exhaustive()
    }
}

/// A turn on its way.
struct Turn(Option<Arc<Station>>);

impl Turn {
    fn run(mut self) {
        if let Some(station) = self.0.take_if(|station| station.goes_on()) {
            station.run_next();
        }
    }
}

impl Drop for Turn {
    /// It will not run, nor will any other.
    fn drop(&mut self) {
        // A child's operations are its parent's.
        if let Some(station) = self.0.take_if(|_| !is_child()) {
            station.board.lock().sent -= 1;
            // In turn: what depends on these may send a turn of another queue, which is refused as well, and so on.
            end_in_turn(move || station.drop_pending());
        }
    }
}

/// The place of an operation that runs, given up when it has run.
struct Departure<'a> {
    station: &'a Arc<Station>,
    record: Arc<Record>,
    run: u64,
}

impl Drop for Departure<'_> {
    fn drop(&mut self) {
        let due = {
            let mut board = self.station.board.lock();
            board.runners.remove(&self.run);
            board.due()
        };
        self.station.send(due);
    }
}
