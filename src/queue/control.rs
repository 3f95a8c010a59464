//! Everything about a lane that is not a push, a drain step or a sync in place: a plain state machine under one lock.

use super::lane::Kind;
use super::lane::Lane;
use super::state::Occupancy;
use super::waiter::WaiterPointer;
use crate::engine::Loss;
use crate::sync::MutexGuard;
use crate::sync::planted;
use std::collections::VecDeque;
use std::mem;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::ops::DerefMut;

/// Who is responsible for a serial lane that is not idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeper {
    /// A thread with a [`Holder`](super::lane::Holder); also while the lane is idle.
    Thread,
    /// The token in the pool or in the target's line, or whoever claims the lane first.
    Scheduled,
    /// This waiter, which is awake and on its way.
    Due(WaiterPointer),
    /// Nobody until the lane is resumed.
    Parked,
}

/// The threads that wait at a lane.
#[derive(Debug, Default)]
struct Waiting {
    in_line: VecDeque<WaiterPointer>,
    /// Those that wait for a running drain to drop what is pending. Each stands in line too.
    cancellers: Vec<WaiterPointer>,
}

/// The state machine.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) suspends: u32,
    /// One of the suspensions ends with the activation.
    pub(super) inactive: bool,
    /// The lane is plain: what its summary says is not said here.
    is_plain: bool,
    /// It never will be: whoever takes it over has more to do than to say so.
    pub(super) never_plain: bool,
    pub(super) keeper: Keeper,
    /// Drain jobs that are on their way; a stale one ends when it runs. At most one for a serial lane.
    pub(super) tokens: u32,
    /// In a box, as most lanes have never anybody here.
    waiting: Option<Box<Waiting>>,
    // The rest is the monitor of a concurrent lane.
    /// One of the tokens has not come yet. It calls for the next when it has: however many threads may run jobs of the lane,
    /// it stands in the pool's line once.
    pub(super) is_calling: bool,
    pub(super) width: usize,
    /// Sync calls count against the width too.
    pub(super) bounded: bool,
    pub(super) running: usize,
    pub(super) exclusive: bool,
    /// A thread looks through the list without the lock: nothing starts meanwhile.
    pub(super) walking: bool,
    /// It must go on to the end of the list, for another thread that was to drop everything.
    pub(super) sweep: Option<Loss>,
}

impl Control {
    /// For an idle lane. Without a width it is as wide as the runtime, and sync calls do not count.
    pub(super) fn new(kind: Kind, max_threads: usize) -> Self {
        let width = match kind {
            Kind::Serial => Some(NonZeroUsize::MIN),
            Kind::Concurrent { width } => width,
        };
        Self {
            suspends: 0,
            inactive: false,
            is_plain: !matches!(kind, Kind::Concurrent { width: Some(_) }),
            never_plain: false,
            keeper: Keeper::Thread,
            tokens: 0,
            waiting: None,
            is_calling: false,
            width: width.map_or(max_threads, NonZeroUsize::get),
            bounded: width.is_some(),
            running: 0,
            exclusive: false,
            walking: false,
            sweep: None,
        }
    }

    /// True if the lane's summary is to say what it says.
    pub(super) fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Puts a waiter in line, once.
    pub(super) fn link(&mut self, waiter: WaiterPointer) {
        let line = &mut self.waiting.get_or_insert_default().in_line;
        if !line.contains(&waiter) {
            line.push_back(waiter);
        }
    }

    /// Puts a waiter before all others, once.
    pub(super) fn link_first(&mut self, waiter: WaiterPointer) {
        let line = &mut self.waiting.get_or_insert_default().in_line;
        if !line.contains(&waiter) {
            line.push_front(waiter);
        }
    }

    /// True if the waiter was in line.
    pub(super) fn unlink(&mut self, waiter: WaiterPointer) -> bool {
        let Some(Waiting { in_line, .. }) = self.waiting.as_deref_mut() else { return false };
        let place = in_line.iter().position(|other| *other == waiter);
        place.is_some_and(|place| in_line.remove(place).is_some())
    }

    /// Puts a canceller on the list, once, and in line.
    pub(super) fn add_canceller(&mut self, canceller: WaiterPointer) {
        let cancellers = &mut self.waiting.get_or_insert_default().cancellers;
        if !cancellers.contains(&canceller) {
            cancellers.push(canceller);
        }
        self.link(canceller);
    }

    /// Takes a canceller off the list, if it was there.
    pub(super) fn remove_canceller(&mut self, canceller: WaiterPointer) {
        if let Some(waiting) = &mut self.waiting {
            waiting.cancellers.retain(|other| *other != canceller);
        }
    }

    pub(super) fn has_cancellers(&self) -> bool {
        self.first_canceller().is_some()
    }

    pub(super) fn first_canceller(&self) -> Option<WaiterPointer> {
        self.waiting.as_ref().and_then(|waiting| waiting.cancellers.first().copied())
    }

    pub(super) fn first_waiter(&self) -> Option<WaiterPointer> {
        self.waiting.as_ref().and_then(|waiting| waiting.in_line.front().copied())
    }

    /// True if nothing is held back and nobody waits.
    fn is_quiet(&self) -> bool {
        !self.never_plain && self.suspends == 0 && self.first_waiter().is_none() && !self.has_cancellers()
    }

    /// Whether a serial lane is scheduled, if it is plain: with a token on its way, or without either.
    fn keeping(&self) -> Option<bool> {
        match (self.keeper, self.tokens) {
            (Keeper::Thread, 0) => self.is_quiet().then_some(false),
            (Keeper::Scheduled, 1) => self.is_quiet().then_some(true),
            _ => None,
        }
    }

    /// The summary of a concurrent lane whose list is idle, if it is plain.
    fn occupancy(&self) -> Option<Occupancy> {
        let is_plain = self.is_quiet() && !self.walking && !self.bounded && self.running <= Occupancy::MOST;
        is_plain.then_some(Occupancy { running: self.running, exclusive: self.exclusive })
    }
}

/// The control, locked. The [`Summary`](super::state::Summary) is part of it meanwhile.
#[derive(Debug)]
pub(super) struct Locked<'a> {
    control: MutexGuard<'a, Control>,
    lane: &'a Lane,
}

impl<'a> Locked<'a> {
    pub(super) fn new(mut control: MutexGuard<'a, Control>, lane: &'a Lane) -> Self {
        if mem::replace(&mut control.is_plain, false) {
            if lane.is_concurrent() {
                let Occupancy { running, exclusive } = lane.summary().guard_occupancy();
                control.running = running;
                control.exclusive = exclusive;
            } else {
                let is_scheduled = lane.summary().guard_keeping();
                control.keeper = if is_scheduled { Keeper::Scheduled } else { Keeper::Thread };
                control.tokens = u32::from(is_scheduled);
            }
        }
        Self { control, lane }
    }
}

impl Deref for Locked<'_> {
    type Target = Control;

    fn deref(&self) -> &Control {
        &self.control
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Control {
        &mut self.control
    }
}

impl Locked<'_> {
    /// Unlocks, and declares the lane plain if it is. What changes lanes that might be plain ends like this; whatever else
    /// has locked the control leaves the next of these changes to the lock too.
    pub(super) fn unlock_plain(mut self) {
        let summary = self.lane.summary();
        if !self.lane.is_concurrent() {
            if let Some(is_scheduled) = self.keeping() {
                self.is_plain = true;
                summary.unguard_keeping(is_scheduled);
            }
        // What stands in line may wait for a reader to leave. Whoever pushes after this look takes the lock.
        } else if let Some(occupancy) = self.occupancy()
            && (self.lane.is_idle() || planted!("plain_beside_a_line"))
        {
            self.is_plain = true;
            summary.unguard_occupancy(occupancy);
        }
    }
}
