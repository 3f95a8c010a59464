//! The lines in which saves wait, one for each key, and who is first in each.

use super::Moment;
use crate::op::Seq;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;

/// A save in its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    attempts: u32,
    /// It rests until then.
    due: Moment,
}

#[derive(Debug, Default)]
struct Line {
    places: BTreeMap<Seq, Place>,
    /// One of it is on its way.
    is_occupied: bool,
    /// A dead letter: what comes after it waits.
    held_behind: Option<Seq>,
}

impl Line {
    /// The save that would be the next to go, if none is on its way and none holds it back.
    fn head(&self) -> Option<(Seq, Place)> {
        let (seq, place) = self.places.first_key_value()?;
        let held = self.held_behind.is_some_and(|dead| dead < *seq);
        (!self.is_occupied && !held).then_some((*seq, *place))
    }
}

/// All lines. The heads of those that can go on stand in `ready` or `resting`, and nowhere else.
#[derive(Debug, Default)]
pub(super) struct Lines {
    lines: HashMap<Arc<str>, Line>,
    ready: BTreeMap<Seq, Arc<str>>,
    resting: BTreeSet<(Moment, Seq, Arc<str>)>,
    len: usize,
}

impl Lines {
    /// How many saves wait, also those that cannot go on.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing that can go on, now or later.
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.resting.is_empty()
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// When the first head that rests is due.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.resting.first().map(|(due, ..)| *due)
    }

    /// Puts a save into its line, at its place. It is ready from `due` on.
    pub(super) fn add(&mut self, line: Arc<str>, seq: Seq, attempts: u32, due: Moment) {
        let mut is_new = false;
        self.change(line, |line| is_new = line.places.insert(seq, Place { attempts, due }).is_none());
        self.len += usize::from(is_new);
    }

    /// Notes a dead letter: what is behind it in its line waits.
    pub(super) fn hold_behind(&mut self, line: Arc<str>, dead: Seq) {
        self.change(line, |line| line.held_behind = Some(line.held_behind.map_or(dead, |held| held.min(dead))));
    }

    /// One of the line is on its way.
    pub(super) fn occupy(&mut self, line: Arc<str>) {
        self.change(line, |line| line.is_occupied = true);
    }

    /// None of the line is on its way any more.
    pub(super) fn vacate(&mut self, line: &Arc<str>) {
        self.change(Arc::clone(line), |line| line.is_occupied = false);
    }

    /// Makes ready what has rested until now.
    pub(super) fn wake(&mut self, now: Moment) {
        while self.resting.first().is_some_and(|(due, ..)| *due <= now) {
            if let Some((_, seq, line)) = self.resting.pop_first() {
                self.ready.insert(seq, line);
            }
        }
    }

    /// Takes the first save that is ready out of its line, which is occupied from now on.
    pub(super) fn pop(&mut self) -> Option<(Seq, u32, Arc<str>)> {
        let (seq, name) = self.ready.pop_first()?;
        let line = self.lines.get_mut(&name)?;
        line.is_occupied = true;
        let place = line.places.remove(&seq)?;
        self.len -= 1;
        Some((seq, place.attempts, name))
    }

    /// Changes a line and puts its new head where it belongs.
    fn change(&mut self, name: Arc<str>, change: impl FnOnce(&mut Line)) {
        let line = self.lines.entry(Arc::clone(&name)).or_default();
        let before = line.head();
        change(line);
        let after = line.head();
        let is_over = line.places.is_empty() && !line.is_occupied && line.held_behind.is_none();
        if is_over {
            self.lines.remove(&name);
        }
        if before == after {
            return;
        }
        if let Some((seq, place)) = before
            && self.ready.remove(&seq).is_none()
        {
            self.resting.remove(&(place.due, seq, Arc::clone(&name)));
        }
        if let Some((seq, place)) = after {
            if place.due > Moment::ZERO {
                self.resting.insert((place.due, seq, name));
            } else {
                self.ready.insert(seq, name);
            }
        }
    }
}
