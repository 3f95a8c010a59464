//! The walk: dropping pending jobs in place, from the front of a lane's list, without moving the front.
//!
//! What is dropped runs user code, captures' destructors and hooks, so no lock is held; on a serial lane the walker holds
//! the lane, on a concurrent one `walking` keeps everything from starting.

use super::control::Control;
use super::lane::Consume;
use super::lane::Lane;
use super::state::Flag;
use super::waiter::Frame;
use super::waiter::Mode;
use super::waiter::Turn;
use super::waiter::WaiterPointer;
use crate::collections::Peek;
use crate::collections::back_off;
use crate::engine::Loss;
use crate::job::Kind;
use crate::sync::Arc;
use crate::sync::Parker;

/// How far a walk goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// To the last job that is there.
    End,
    /// As `End`, but the markers stay for the drain or the walk that the thread has further up its stack.
    EndBetweenMarkers,
    /// To this canceller's marker.
    Marker(WaiterPointer),
    /// Until every registered canceller has been told.
    NobodyWaits,
}

impl Lane {
    /// Makes the running drain drop what is pending, for `canceller`, which stands in line meanwhile.
    pub(super) fn register_canceller(&self, control: &mut Control, canceller: WaiterPointer) {
        control.add_canceller(canceller);
        self.gate().set(Flag::Cancel, true);
    }

    /// Undoes `register_canceller`, if it has been done.
    pub(super) fn deregister_canceller(&self, control: &mut Control, canceller: WaiterPointer) {
        control.remove_canceller(canceller);
        if !control.has_cancellers() {
            self.gate().set(Flag::Cancel, false);
        }
    }

    /// Tells a canceller how many jobs were dropped for it. Unpark the result after unlocking.
    #[must_use]
    pub(super) fn complete(&self, canceller: WaiterPointer, count: usize, control: &mut Control) -> Arc<Parker> {
        self.deregister_canceller(control, canceller);
        canceller.tell(Turn::Done, count, control)
    }

    /// Drops pending jobs; waiters and the lanes that target this one keep their slots. Returns how many were dropped
    /// since the last marker.
    ///
    /// User code that calls the lane again meanwhile is told that the thread holds it, or cancels in place.
    pub(super) fn walk(&self, list: &mut impl Consume, until: Until, loss: Loss) -> usize {
        let mode = if self.is_concurrent() { Mode::Walking } else { Mode::Exclusive };
        Frame::run(self, mode, || self.walk_in_frame(list, until, loss))
    }

    fn walk_in_frame(&self, list: &mut impl Consume, until: Until, loss: Loss) -> usize {
        let mut count = 0;
        let mut tries = 0;
        let mut cursor = list.consumer().cursor();
        loop {
            if until == Until::NobodyWaits && !self.control().has_cancellers() {
                return count;
            }
            let mut consumer = list.consumer();
            match consumer.peek_at(&mut cursor) {
                Peek::Empty => return count,
                Peek::Unwritten => {
                    back_off(&mut tries);
                    continue;
                }
                Peek::Ready(shape) => match shape.kind {
                    Kind::Job | Kind::Promised | Kind::Barrier => {
                        let job = consumer.remove_at(cursor);
                        if self.is_concurrent() && shape.kind == Kind::Barrier {
                            self.barriers().remove();
                        }
                        count += 1;
                        self.lose(job, loss);
                    }
                    Kind::Cancel if until != Until::EndBetweenMarkers => {
                        let waiter = WaiterPointer::from_word(consumer.pointer_at(cursor));
                        drop(consumer.remove_at(cursor));
                        if let Some(waiter) = waiter {
                            self.complete_now(waiter, std::mem::take(&mut count));
                            if until == Until::Marker(waiter) {
                                return count;
                            }
                        }
                    }
                    Kind::Token if loss == Loss::Ended => {
                        let token = consumer.remove_at(cursor);
                        self.engine().give_up(self.label(), token);
                    }
                    Kind::Cancel | Kind::Sync | Kind::CountedSync | Kind::SyncBarrier | Kind::Token | Kind::Noop => {}
                },
            }
            list.consumer().advance(&mut cursor);
        }
    }

    /// Tells a canceller how many jobs were dropped for it.
    pub(super) fn complete_now(&self, canceller: WaiterPointer, count: usize) {
        let mut control = self.control();
        let parker = self.complete(canceller, count, &mut control);
        drop(control);
        parker.unpark();
    }
}
