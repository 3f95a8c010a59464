//! A hierarchical timer wheel in a slab: arming and cancelling take constant time, deadlines stay exact.
//!
//! Six rings of 256 slots cover all of 64 bits of nanoseconds. A slot of ring 0 is 2^16 ns (66 us) wide, a slot of
//! each further ring as wide as the whole ring before it (17 ms, 4.3 s, 18 min, 3 days, 2 years). An entry lies in the
//! finest ring that reaches its deadline from the wheel's present time:
//!
//! ```text
//!            present
//!               v
//! ring 0   ....[#][ ][#][ ][ ][ ]...        256 x 66 us, from the present slot on
//! ring 1       [ ][        #        ][  ...  256 x 17 ms, from the next slot on
//! ring 2       [ ][                    ...   and so on
//! ```
//!
//! When time enters a slot of a coarse ring, its entries move to finer rings. An entry moves at most five times in its
//! life, and not at all if it is cancelled before; most timers are.
//!
//! **Exact deadlines.** A slot is only where to look. It keeps a lower bound of its entries' deadlines, which is exact
//! until an entry is cancelled, so the earliest deadline of the wheel is the least of six slots' bounds, and an entry
//! is delivered when its own deadline has passed, not when its slot's has. A bound that a cancelled entry left behind
//! costs at most one look too early: the look recomputes it.
//!
//! **Leeway.** An entry may be delivered in the window from its deadline to `leeway` later. [`Wheel::next_wakeup`]
//! takes the earliest end of all windows as the limit, and the last deadline that is not after the limit as the time to
//! wake up. That serves everybody whom the limit itself would serve, and a timer that is alone is not late at all.
//!
//! **Order.** Entries are delivered in the order of their deadlines, those of one deadline in the order in which they
//! were armed.
//!
//! **Time may jump.** Forwards is as if the wheel had slept. Backwards, as a wall clock may, every entry is placed anew.

use std::iter;

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests;

/// A deadline that never comes.
const NEVER: u64 = u64::MAX;

const RINGS: usize = 6;
const SLOTS: usize = 256;
const SLOT_BITS: u32 = SLOTS.trailing_zeros();
/// A slot of ring 0 is two to this power nanoseconds wide.
const GRAIN_BITS: u32 = 16;
const _: () = assert!(GRAIN_BITS + RINGS as u32 * SLOT_BITS == u64::BITS, "the rings reach every deadline");

/// The width of the finest slot, in nanoseconds.
pub(crate) const GRAIN: u64 = 1 << GRAIN_BITS;

/// How many entries of one slot a search for a shared wake-up looks at. What it overlooks is a merge, not a deadline.
const SEARCHED: usize = 64;

/// How many entries' memory an empty wheel keeps.
const KEPT: usize = 1024;

const NIL: u32 = u32::MAX;

/// Names an armed entry. It names nothing once the entry has expired or was cancelled, also when its place is reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    number: u64,
    index: u32,
}

/// An entry whose deadline has passed.
#[derive(Debug)]
pub(crate) struct Expired<T> {
    pub(crate) due: u64,
    /// The end of its window.
    pub(crate) late: u64,
    pub(crate) payload: T,
}

/// When to look at the wheel next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wakeup {
    /// The time to look.
    pub(crate) at: u64,
    /// How far `at` could be moved without making anybody later than its leeway allows.
    pub(crate) limit: u64,
}

struct Entry<T> {
    due: u64,
    /// The end of the window: the deadline plus its leeway.
    late: u64,
    /// The how-manieth entry this is, from 1; 0 while the place is free.
    number: u64,
    /// The neighbours in the slot; a free place uses `next` for the free list.
    next: u32,
    prev: u32,
    slot: u32,
    payload: Option<T>,
}

#[derive(Clone, Copy)]
struct Slot {
    head: u32,
    /// No entry of the slot is due earlier.
    due: u64,
    /// No window of the slot's entries ends earlier.
    late: u64,
}

const EMPTY: Slot = Slot { head: NIL, due: NEVER, late: NEVER };

/// Which slots of a ring have entries.
#[derive(Clone, Copy, Default)]
struct Occupied([u64; SLOTS / 64]);

impl Occupied {
    fn set(&mut self, slot: usize) {
        self.0[slot / 64] |= 1 << (slot % 64);
    }

    fn clear(&mut self, slot: usize) {
        self.0[slot / 64] &= !(1 << (slot % 64));
    }

    /// The distances from slot `from` to each occupied slot, round the ring, nearest first.
    #[inline]
    fn distances(self, from: usize) -> impl Iterator<Item = usize> {
        let words = self.0.len();
        let (word, bit) = (from / 64, from % 64);
        // One word more than the ring has: the bits below `from` in its own word are the farthest.
        (0..=words).flat_map(move |step| {
            let mut bits = self.0[(word + step) % words];
            if step == 0 {
                bits &= u64::MAX << bit;
            } else if step == words {
                bits &= !(u64::MAX << bit);
            }
            iter::from_fn(move || {
                let lowest = bits.trailing_zeros() as usize;
                bits &= bits.wrapping_sub(1);
                (lowest < 64).then(|| step * 64 + lowest - bit)
            })
        })
    }
}

/// Timers that wait, each with a `T` to give back. See the module's description.
pub(crate) struct Wheel<T> {
    entries: Vec<Entry<T>>,
    free: u32,
    len: usize,
    /// The rings' slots, one ring after the other. Empty until the first entry is armed.
    slots: Vec<Slot>,
    occupied: [Occupied; RINGS],
    /// The present: no slot before it has entries.
    present: u64,
    armed: u64,
    /// What `expire` sorts; kept for its memory.
    due: Vec<(u64, u64, u32)>,
}

impl<T> Wheel<T> {
    pub(crate) const fn new() -> Self {
        Self {
            entries: Vec::new(),
            free: NIL,
            len: 0,
            slots: Vec::new(),
            occupied: [Occupied([0; SLOTS / 64]); RINGS],
            present: 0,
            armed: 0,
            due: Vec::new(),
        }
    }

    /// How many entries are armed.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Arms an entry that is due at `due` and may be up to `leeway` nanoseconds late. `u64::MAX` is never.
    ///
    /// # Panics
    ///
    /// With four thousand million entries armed at once.
    #[inline]
    pub(crate) fn arm(&mut self, due: u64, leeway: u64, payload: T) -> Key {
        if self.free == NIL {
            self.grow();
        }
        let index = self.free;
        self.armed += 1;
        // Field by field: a whole entry would be made elsewhere first, and copied.
        let entry = &mut self.entries[index as usize];
        self.free = entry.next;
        entry.due = due;
        // However long the leeway is, what is due at all must be delivered some time.
        entry.late = if due == NEVER { NEVER } else { due.saturating_add(leeway).min(NEVER - 1) };
        entry.number = self.armed;
        entry.payload = Some(payload);
        self.len += 1;
        self.place(index);
        Key { number: self.armed, index }
    }

    /// Makes a free place.
    #[cold]
    fn grow(&mut self) {
        if self.slots.is_empty() {
            self.slots = vec![EMPTY; RINGS * SLOTS];
        }
        assert!(self.entries.len() < NIL as usize, "a timer wheel is full");
        self.entries.push(Entry { due: 0, late: 0, number: 0, next: NIL, prev: NIL, slot: 0, payload: None });
        self.free = self.entries.len() as u32 - 1;
    }

    /// Gives an entry's payload back, unless the entry has expired or was cancelled.
    #[inline]
    pub(crate) fn cancel(&mut self, key: Key) -> Option<T> {
        let entry = self.entries.get(key.index as usize).filter(|entry| entry.number == key.number)?;
        let (next, prev, slot) = (entry.next, entry.prev, entry.slot as usize);
        if next != NIL {
            self.entries[next as usize].prev = prev;
        }
        if prev != NIL {
            self.entries[prev as usize].next = next;
        } else if next != NIL {
            self.slots[slot].head = next;
        } else {
            self.take_slot(slot);
        }
        self.vacate(key.index)
    }

    /// Moves the next entries whose deadlines are not after `now` to `expired`, in order; nothing if there are none.
    ///
    /// One call delivers at most one slot's width of time, besides what was overdue when it was armed, so whoever calls
    /// under a lock gives others a turn between two calls.
    pub(crate) fn expire(&mut self, now: u64, expired: &mut Vec<Expired<T>>) {
        // Never is never, even at the end of time.
        let now = now.min(NEVER - 1);
        self.advance_back(now);
        while let Some(due) = self.earliest().filter(|&due| due <= now) {
            let end_of_slot = due.max(self.present) | (GRAIN - 1);
            self.advance(end_of_slot.min(now));
            self.collect(now, expired);
            if !self.due.is_empty() {
                self.due.clear();
                return;
            }
        }
        self.advance(now);
        if self.len == 0 {
            self.shrink();
        }
    }

    /// When to call `expire` next; `None` if nothing will ever be due.
    ///
    /// The time to wake up serves everybody who is due by then; see the module's description. A cancelled entry may
    /// have left an earlier time behind.
    pub(crate) fn next_wakeup(&self) -> Option<Wakeup> {
        let mut earliest = NEVER;
        let mut limit = NEVER;
        for ring in 0..RINGS {
            for slot in self.occupied_slots(ring) {
                let Slot { due, late, .. } = self.slots[slot];
                earliest = earliest.min(due);
                // The slots that follow are due later, and nobody's window ends before it begins.
                if due >= limit {
                    break;
                }
                limit = limit.min(late);
            }
        }
        if earliest == NEVER {
            return None;
        }
        let mut at = earliest;
        // Without slack there is nothing to choose. This is the ordinary case.
        if limit > earliest {
            for ring in 0..RINGS {
                let begun = self.occupied_slots(ring).take_while(|&slot| self.slots[slot].due <= limit);
                if let Some(last) = begun.last() {
                    at = self.chain(last).take(SEARCHED).filter(|&due| due <= limit).fold(at, u64::max);
                }
            }
        }
        Some(Wakeup { at, limit })
    }

    /// Moves the present to `now`, so that what is armed from here on is placed by its true distance.
    ///
    /// What is due by then is still delivered by the next `expire`.
    pub(crate) fn advance(&mut self, now: u64) {
        self.advance_back(now);
        let before = std::mem::replace(&mut self.present, now);
        if before >> GRAIN_BITS == now >> GRAIN_BITS {
            return;
        }
        // From the finest ring up: what comes down from a coarse ring is not looked at again.
        for ring in 0..RINGS {
            let (old, new) = (before >> shift(ring), now >> shift(ring));
            if old == new {
                break;
            }
            for distance in self.occupied[ring].distances(old as usize % SLOTS) {
                // The present slot of ring 0 stays, that of a coarse ring is entered.
                let passed = if ring == 0 { (distance as u64) < new - old } else { distance as u64 <= new - old };
                if !passed {
                    break;
                }
                let slot = ring * SLOTS + (old as usize + distance) % SLOTS;
                let mut next = self.take_slot(slot);
                while next != NIL {
                    let index = next;
                    next = self.entries[index as usize].next;
                    self.place(index);
                }
            }
        }
    }

    /// Takes every entry out, in the order of the deadlines.
    pub(crate) fn drain(&mut self) -> Vec<Expired<T>> {
        // The numbers go on, so that keys from before name nothing.
        let empty = Self { present: self.present, armed: self.armed, ..Self::new() };
        let mut all = std::mem::replace(self, empty).entries;
        all.sort_unstable_by_key(|entry| (entry.due, entry.number));
        all.into_iter()
            .filter_map(|entry| Some(Expired { due: entry.due, late: entry.late, payload: entry.payload? }))
            .collect()
    }

    /// If time went back past the present slot, begins again from `now`.
    fn advance_back(&mut self, now: u64) {
        if now >> GRAIN_BITS >= self.present >> GRAIN_BITS {
            return;
        }
        self.present = now;
        self.slots.fill(EMPTY);
        self.occupied = [Occupied::default(); RINGS];
        for index in 0..self.entries.len() {
            if self.entries[index].payload.is_some() {
                self.place(index as u32);
            }
        }
    }

    /// A lower bound of all deadlines, exact unless a cancelled entry left it behind.
    fn earliest(&self) -> Option<u64> {
        let first = |ring| self.occupied_slots(ring).next().map(|slot| self.slots[slot].due);
        (0..RINGS).filter_map(first).min()
    }

    /// Takes the entries of the present slot that are due at `now` out, in order.
    fn collect(&mut self, now: u64, expired: &mut Vec<Expired<T>>) {
        let slot = (self.present >> GRAIN_BITS) as usize % SLOTS;
        let mut next = self.take_slot(slot);
        while next != NIL {
            let index = next;
            let entry = &self.entries[index as usize];
            next = entry.next;
            if entry.due <= now {
                self.due.push((entry.due, entry.number, index));
            } else {
                self.link(index, slot);
            }
        }
        self.due.sort_unstable();
        for place in 0..self.due.len() {
            let (due, _, index) = self.due[place];
            let late = self.entries[index as usize].late;
            expired.extend(self.vacate(index).map(|payload| Expired { due, late, payload }));
        }
    }

    /// The occupied slots of a ring in the order of their times, the present slot first.
    #[inline]
    fn occupied_slots(&self, ring: usize) -> impl Iterator<Item = usize> {
        let from = (self.present >> shift(ring)) as usize % SLOTS;
        self.occupied[ring].distances(from).map(move |distance| ring * SLOTS + (from + distance) % SLOTS)
    }

    /// The deadlines in a slot.
    fn chain(&self, slot: usize) -> impl Iterator<Item = u64> {
        let mut next = self.slots[slot].head;
        iter::from_fn(move || {
            let entry = self.entries.get(next as usize)?;
            next = entry.next;
            Some(entry.due)
        })
    }

    /// Links an entry into the slot where its deadline belongs. What is overdue belongs to the present slot.
    #[inline]
    fn place(&mut self, index: u32) {
        let due = self.entries[index as usize].due;
        self.link(index, slot(self.present, due.max(self.present)));
    }

    #[inline]
    fn link(&mut self, index: u32, slot: usize) {
        let place = &mut self.slots[slot];
        let entry = &mut self.entries[index as usize];
        entry.slot = slot as u32;
        entry.prev = NIL;
        entry.next = place.head;
        let next = place.head;
        place.head = index;
        place.due = place.due.min(entry.due);
        place.late = place.late.min(entry.late);
        if next != NIL {
            self.entries[next as usize].prev = index;
        } else {
            self.occupied[slot / SLOTS].set(slot % SLOTS);
        }
    }

    /// Empties a slot; returns the head of what was in it.
    fn take_slot(&mut self, slot: usize) -> u32 {
        self.occupied[slot / SLOTS].clear(slot % SLOTS);
        std::mem::replace(&mut self.slots[slot], EMPTY).head
    }

    /// Frees the place of an entry that is in no slot.
    fn vacate(&mut self, index: u32) -> Option<T> {
        let entry = &mut self.entries[index as usize];
        entry.number = 0;
        entry.next = self.free;
        self.free = index;
        self.len -= 1;
        entry.payload.take()
    }

    /// Gives the memory of a past burst back. Numbers are never reused, so old keys still name nothing.
    fn shrink(&mut self) {
        if self.entries.capacity() > KEPT {
            self.entries = Vec::new();
            self.free = NIL;
            self.due = Vec::new();
        }
    }
}

const fn shift(ring: usize) -> u32 {
    GRAIN_BITS + ring as u32 * SLOT_BITS
}

/// The slot for a deadline that is not before the present: in the finest ring that reaches it.
#[inline]
fn slot(present: u64, due: u64) -> usize {
    let grains = (due >> GRAIN_BITS) - (present >> GRAIN_BITS);
    let mut ring = ((grains | 1).ilog2() / SLOT_BITS) as usize;
    // As many whole slots as the ring has may touch one slot more.
    if (due >> shift(ring)) - (present >> shift(ring)) >= SLOTS as u64 {
        ring += 1;
    }
    ring * SLOTS + (due >> shift(ring)) as usize % SLOTS
}
