//! The tail word of a job list: where the next job goes, and whether anybody is responsible for the jobs.
//!
//! Position and responsibility share one word, so every decision is one read-modify-write and no push needs a fence: a
//! push moves the index, and whoever wants to declare the list idle fails on the moved index. Whoever finds `IDLE` set
//! and clears it is the *holder*; there is exactly one while it is clear.
//!
//! ```text
//! 63                                   22 21            4 3   1    0
//! [ block address / 64                   ][ index        ][ 0 ][IDLE]
//! ```
//!
//! * `BLOCK`: the block that the index counts in. Blocks are 64-byte aligned and lie below 2^48. Null until the first
//!   push, and again when an idle list has given its last block back.
//! * `INDEX`: the next free slot. `CAPACITY` means that the block is full and the next thread to claim installs another
//!   one; larger values are threads that claimed while it does so, one each, and claim again.
//! * `IDLE`: nobody is responsible. Between a claim and its edge the list may be idle and not empty.
//!
//! | block | index | IDLE | meaning |
//! |---|---|---|---|
//! | null | CAPACITY | yes | unused, or gave its block back |
//! | null | CAPACITY | no | a holder has a list without a block, or the first one is being installed |
//! | null | > CAPACITY | any | the first block is being installed |
//! | some | <= CAPACITY | yes | empty, or a pusher is about to take the edge |
//! | some | <= CAPACITY | no | a holder is responsible |
//! | some | > CAPACITY | any | the next block is being installed |

use crate::bits::Field;
use crate::sync::AtomicU64;
use crate::sync::Ordering;

/// Jobs in one block. Two under a model checker, so that a model of three pushes changes blocks.
pub(super) const CAPACITY: usize = if cfg!(any(concourse_loom, concourse_shuttle)) { 2 } else { 31 };

/// log2 of the blocks' alignment.
const ALIGNMENT_BITS: u32 = 6;

const IDLE: Field = Field::lowest(1);
const SPARE: Field = IDLE.above(3);
const INDEX: Field = SPARE.above(18);
const BLOCK: Field = INDEX.above(48 - ALIGNMENT_BITS);
const _: () = assert!(BLOCK.end() == 64);
const _: () =
    assert!((CAPACITY as u64) < INDEX.max() / 2, "no room for the threads that claim while a block is installed");
const _: () = assert!(usize::BITS == 64, "block addresses are packed for 64-bit machines");

/// A place in a list: a block and an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position(u64);

impl Position {
    /// No list ends here: one without a block has no slot to claim.
    pub(super) const NOWHERE: Self = Self(0);

    /// `address` is a block's, or 0.
    pub(super) fn new(address: usize, index: usize) -> Self {
        Self(BLOCK.put(address as u64 >> ALIGNMENT_BITS) | INDEX.put(index as u64))
    }
}

/// A reading of the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Snapshot(u64);

impl Snapshot {
    const UNUSED: Self = Self(INDEX.put(CAPACITY as u64) | IDLE.one());

    pub(super) const fn index(self) -> usize {
        INDEX.get(self.0) as usize
    }

    /// The block's address, 0 if there is none.
    pub(super) const fn block(self) -> usize {
        (BLOCK.get(self.0) as usize) << ALIGNMENT_BITS
    }

    pub(super) const fn is_idle(self) -> bool {
        self.0 & IDLE.one() != 0
    }

    pub(super) const fn position(self) -> Position {
        Position(self.0 & !IDLE.mask())
    }

    const fn claimed(self) -> Self {
        Self(self.0 + INDEX.one())
    }

    const fn installed(self, block: usize) -> Self {
        Self(BLOCK.put(block as u64 >> ALIGNMENT_BITS) | INDEX.one() | (self.0 & IDLE.mask()))
    }

    const fn idle(self) -> Self {
        Self(self.0 | IDLE.one())
    }

    const fn held(self) -> Self {
        Self(self.0 & !IDLE.mask())
    }
}

/// The word.
#[derive(Debug)]
pub(super) struct State(AtomicU64);

impl State {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(Snapshot::UNUSED.0))
    }

    /// A reading that is only a hint, or that the caller's own read-modify-write will confirm.
    pub(super) fn read(&self) -> Snapshot {
        Snapshot(self.0.load(Ordering::Relaxed))
    }

    /// A reading that only chooses between two ways to the same end.
    pub(super) fn glance(&self) -> Snapshot {
        if cfg!(concourse_loom) {
            // Of all that loom could read here the newest suffices: what an older one leads to, other schedules do as well.
            // An exchange that fails reads that, and writes nothing.
            let newest = self.0.compare_exchange(u64::MAX, u64::MAX, Ordering::Relaxed, Ordering::Relaxed);
            return Snapshot(newest.unwrap_or_else(|now| now));
        }
        self.read()
    }

    /// Claims the next slot; the reading says which one it is, or that there is none.
    pub(super) fn claim(&self) -> Snapshot {
        // Acquire, E1: the block as its installer prepared it. Relaxed as a store: the slot is published by its shape.
        let before = Snapshot(self.0.fetch_add(INDEX.one(), Ordering::Acquire));
        debug_assert!(before.claimed().index() > before.index(), "the index overflowed into the address");
        before
    }

    /// Claims the next slot of an idle list and takes the edge, if the word is still `idle`, which has room in its block.
    #[must_use]
    pub(super) fn try_claim_and_hold(&self, idle: Snapshot) -> bool {
        // AcqRel: as in `claim` and `hold`.
        let held = idle.claimed().held();
        self.0.compare_exchange(idle.0, held.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Makes `block` the current one, with its first slot claimed by the caller, who alone saw the index at `CAPACITY`.
    /// Returns the reading that was replaced.
    pub(super) fn install(&self, block: usize) -> Snapshot {
        let mut now = self.read();
        loop {
            // Release, E1: the block's empty slots, for those who claim in it.
            match self.0.compare_exchange_weak(now.0, now.installed(block).0, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return now,
                Err(moved) => now = Snapshot(moved),
            }
        }
    }

    /// Takes the edge, or the idle list where it stands: true if it was idle and the caller is its holder now.
    #[inline]
    #[must_use]
    pub(super) fn hold(&self) -> bool {
        // Acquire, E2: what the last holder left, its position above all. Pushes in between are read-modify-writes and
        // carry its release on. Release: a chain of holders passes through this word.
        Snapshot(self.0.fetch_and(!IDLE.mask(), Ordering::AcqRel)).is_idle()
    }

    /// Declares the list idle if it still ends at `end`: then the caller is the holder no more.
    #[must_use]
    pub(super) fn try_idle(&self, end: Position) -> bool {
        // Release, E2: the holder's position and everything its jobs did, for the next holder.
        self.0.compare_exchange(end.0, Snapshot(end.0).idle().0, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// As `try_idle`, and forgets the block, which must be full: it is the caller's then.
    #[must_use]
    pub(super) fn try_idle_unused(&self, end: Position) -> bool {
        // Release, E2: as in `try_idle`.
        self.0.compare_exchange(end.0, Snapshot::UNUSED.0, Ordering::Release, Ordering::Relaxed).is_ok()
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use super::*;

    /// Every legal shape of the word, for two block addresses.
    fn legal() -> Vec<Snapshot> {
        let mut all = Vec::new();
        for address in [0_usize, 0x7fff_ffff_ffc0] {
            let indices = if address == 0 { CAPACITY..CAPACITY + 3 } else { 0..CAPACITY + 3 };
            for index in indices {
                let held = Snapshot(Position::new(address, index).0);
                all.extend([held, held.idle()]);
            }
        }
        all
    }

    #[test]
    fn every_transition_from_every_legal_word_does_what_it_says() {
        for before in legal() {
            let fresh = || State(AtomicU64::new(before.0));

            let state = fresh();
            assert_eq!(state.claim(), before);
            assert_eq!(state.read().index(), before.index() + 1);
            assert_eq!((state.read().block(), state.read().is_idle()), (before.block(), before.is_idle()));

            let state = fresh();
            assert!(state.try_claim_and_hold(before) && !state.try_claim_and_hold(before));
            assert_eq!((state.read().index(), state.read().block()), (before.index() + 1, before.block()));
            assert!(!state.read().is_idle());

            let state = fresh();
            assert_eq!(state.install(0x1240), before);
            assert_eq!((state.read().block(), state.read().index()), (0x1240, 1));
            assert_eq!(state.read().is_idle(), before.is_idle());

            let state = fresh();
            assert_eq!(state.hold(), before.is_idle());
            assert_eq!(state.read(), before.held());

            let state = fresh();
            assert_eq!(state.try_idle(before.position()), !before.is_idle());
            assert_eq!(state.read(), before.idle());

            let state = fresh();
            for elsewhere in [Position::new(0x1240, 1), Position::NOWHERE] {
                assert!(!state.try_idle(elsewhere) && !state.try_idle_unused(elsewhere));
            }
            assert_eq!(state.read(), before);

            let state = fresh();
            assert_eq!(state.try_idle_unused(before.position()), !before.is_idle());
            assert_eq!(state.read() == Snapshot::UNUSED, !before.is_idle() || before == Snapshot::UNUSED);
        }
    }
}
