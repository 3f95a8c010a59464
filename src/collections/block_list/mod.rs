//! A list of jobs in recycled blocks: any thread pushes, the one *holder* consumes.
//!
//! A push is one read-modify-write on the tail word, which claims a slot and takes the edge of an idle list, and a job
//! written into its slot; if the word moved meanwhile, the edge is a second one, after the job. Nothing is
//! allocated as long as blocks come back as fast as they are used up: a consumed block goes to a [`BlockCache`], which
//! all lists of a runtime share.
//!
//! # The races, and why they are harmless
//!
//! * *A pusher has claimed a slot and not written it.* The slot's shape is null. The consumer sees that the tail is
//!   further than its own position, and waits; it neither leaves the block nor declares the list idle.
//! * *The consumer goes idle while a pusher claims.* Both are read-modify-writes of the tail word. If the claim is
//!   first, the index has moved and going idle fails. If going idle is first, the claim reads `IDLE` and its pusher
//!   takes the edge.
//! * *Two pushers read `IDLE`.* One of them may claim its slot and take the edge at once; the other then finds the word
//!   moved, claims, and owes nothing. Or both claim and write their slots, then both take the edge with one `fetch_and`; one
//!   wins. The holder may find a slot unwritten, its own included if another thread consumes for it, and waits for it.
//! * *A thread takes the idle list in place while a pusher stands between its claim and its edge.* The pusher's edge test
//!   finds `IDLE` clear and owes nothing. The holder is responsible for that job: it can go idle only where its own front is,
//!   and the tail is ahead of that. The push has not returned, so what the holder does before it comes to the job is in order.
//! * *A pusher takes the edge of a later idle period.* It becomes the holder of an empty list, which a drain accepts.
//! * *A block is full.* Exactly one thread reads the index at `CAPACITY`: it installs the next block. Threads that read
//!   more claim again once the index is small, and never touch the old block. The consumer leaves a block only through
//!   the pointer that the installer stored, after all its slots were consumed; so nobody is inside when it is recycled.
//! * *A block comes back at the same address (ABA).* Only the holder recycles, so its own comparisons cannot be fooled.
//!   Whoever takes an idle list has taken what is there now, whichever block that is.
//!
//! The word's orderings stand in its `state`; the slots' are E3: a shape is stored with Release after the words, and
//! loaded with Acquire before they are read.
#![allow(unsafe_code, reason = "slots are written by the pusher that claimed them and read by the one holder")]

mod cache;
mod state;

use crate::job::Job;
use crate::job::Kind;
use crate::job::Shape;
use crate::job::Words;
use crate::sync::AtomicPtr;
use crate::sync::Ordering;
use crate::sync::UnsafeCell;
use crate::sync::planted;
use crate::sync::spin_loop;
use crate::sync::yield_now;
use crate::sync::yield_point;
pub(crate) use cache::BlockCache;
use state::CAPACITY;
pub(crate) use state::Position;
use state::Snapshot;
use state::State;
use std::ptr;

/// How a slot is published. The planted fault proves that the models would see it.
const PUBLISH: Ordering = if planted!("list_relaxed_publish") { Ordering::Relaxed } else { Ordering::Release };

/// How many slots before its turn a slot's cache line is asked for: two lines.
const AHEAD: usize = 4;

/// A slot: empty while its shape is null.
#[repr(C)]
struct Slot {
    shape: AtomicPtr<Shape>,
    words: UnsafeCell<Words>,
}

/// Slots and the way to the next ones.
#[repr(C, align(64))]
struct Block {
    slots: [Slot; CAPACITY],
    next: AtomicPtr<Block>,
}

/// What a push makes of its thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Pushed {
    /// Somebody else is responsible for the list.
    Queued,
    /// The list was idle: the caller is its holder now.
    Edge,
}

/// The shared end of a list.
#[derive(Debug)]
pub(crate) struct BlockList {
    tail: State,
    /// The first block after the list had none; the consumer takes it from here.
    first: AtomicPtr<Block>,
}

// SAFETY: jobs are `Send`; blocks are shared by the protocol that the module describes.
unsafe impl Send for BlockList {}
// SAFETY: as above.
unsafe impl Sync for BlockList {}

impl BlockList {
    pub(crate) fn new() -> Self {
        Self { tail: State::new(), first: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Appends a job. Allocates only if the cache has no block. Asks for the cache only if the list has no room, so that
    /// what stands between the two need not be read for every job.
    ///
    /// Inlined into the caller, so that a closure's captures go from registers to their slot: copies in between are read
    /// back in other widths than they were written in, and each such read waits for the stores to leave the core.
    #[inline(always)]
    pub(crate) fn push<'a>(&self, job: Job, cache: impl FnOnce() -> &'a BlockCache) -> Pushed {
        let (shape, words) = job.into_parts();
        yield_point();
        let idle = self.tail.glance();
        let holds = idle.is_idle() && idle.index() < CAPACITY && self.tail.try_claim_and_hold(idle);
        let claimed = if holds { idle } else { self.tail.claim() };
        let (slot, was_idle) = if claimed.index() < CAPACITY {
            // SAFETY: the claim makes the slot this thread's, and keeps the consumer from leaving the block.
            (unsafe { slot_at(claimed) }, claimed.is_idle())
        } else {
            self.claim_beyond(claimed, cache())
        };
        slot.words.with_mut(|place| {
            // SAFETY: the slot is this thread's until its shape is published.
            unsafe { place.write(words) }
        });
        let ahead = ptr::from_ref(slot).wrapping_add(AHEAD);
        // Release, E3: the words, for the consumer.
        slot.shape.store(ptr::from_ref(shape).cast_mut(), PUBLISH);
        // From here on the block may be gone.
        prefetch(ahead);
        yield_point();
        if holds || was_idle && self.tail.hold() { Pushed::Edge } else { Pushed::Queued }
    }

    /// Claims a slot when the block was full, and tells whether the list was idle. Whoever saw the index at `CAPACITY`
    /// installs the next block.
    #[cold]
    #[inline(never)]
    fn claim_beyond(&self, mut claimed: Snapshot, cache: &BlockCache) -> (&Slot, bool) {
        loop {
            if claimed.index() < CAPACITY {
                // SAFETY: as in `push`.
                return (unsafe { slot_at(claimed) }, claimed.is_idle());
            }
            if claimed.index() == CAPACITY {
                let block = cache.take();
                let link = if claimed.block() == 0 {
                    &self.first
                } else {
                    let full = ptr::with_exposed_provenance::<Block>(claimed.block());
                    // SAFETY: the consumer leaves the full block only through the link that is stored here.
                    unsafe { &(*full).next }
                };
                // Release, E1: the block's empty slots, for the consumer.
                link.store(block, Ordering::Release);
                claimed = self.tail.install(block.expose_provenance());
                // SAFETY: as above; the installer's claim is the first slot.
                return (unsafe { &(*block).slots[0] }, claimed.is_idle());
            }
            let mut tries = 0;
            while self.tail.read().index() > CAPACITY {
                back_off(&mut tries);
            }
            claimed = self.tail.claim();
        }
    }

    /// True if nobody is responsible for the list. A hint, unless pushes are excluded.
    pub(crate) fn is_idle(&self) -> bool {
        self.tail.read().is_idle()
    }

    /// Where the list ends. A hint: it may have moved on.
    pub(crate) fn end(&self) -> Position {
        self.tail.read().position()
    }

    /// Takes the idle list in place: true if the caller is its holder now. If something is in the list, its push has not
    /// returned.
    #[inline]
    #[must_use]
    pub(crate) fn try_hold(&self) -> bool {
        self.tail.hold()
    }

    /// The consuming side of the list.
    ///
    /// # Safety
    ///
    /// The caller is the list's holder, or is in another way alone among those who consume, and `front` is this list's.
    pub(crate) unsafe fn consumer<'a>(&'a self, front: &'a Front, cache: &'a BlockCache) -> Consumer<'a> {
        Consumer { list: self, front, cache }
    }
}

/// The slot that a claim below `CAPACITY` is for.
///
/// # Safety
///
/// The claim is the caller's, and its slot has not been published.
unsafe fn slot_at<'a>(claimed: Snapshot) -> &'a Slot {
    let block = ptr::with_exposed_provenance::<Block>(claimed.block());
    // SAFETY: the consumer does not leave a block with a claimed slot before that is published (the caller's promise).
    unsafe { &(*block).slots[claimed.index()] }
}

/// Has a slot's cache line brought here, for a push that may soon come. The consumer was the last to write it, when the block
/// was used before, and bringing it takes as long as several pushes. Past the end of the block it is of no use.
#[inline(always)]
fn prefetch(slot: *const Slot) {
    #[cfg(all(target_arch = "x86_64", not(any(concourse_loom, concourse_shuttle))))]
    // SAFETY: it is a hint. It neither reads nor writes anything, and does not fault, whatever the address is.
    unsafe {
        use std::arch::x86_64::_MM_HINT_T0;
        use std::arch::x86_64::_mm_prefetch;
        _mm_prefetch::<_MM_HINT_T0>(slot.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(any(concourse_loom, concourse_shuttle)))))]
    let _ = slot;
}

/// Waits for another thread that is between two instructions, or was preempted there.
pub(crate) fn back_off(tries: &mut u32) {
    *tries += 1;
    // A model checker must let the other thread run at once: it cannot be preempted into.
    if cfg!(any(concourse_loom, concourse_shuttle)) || *tries > 64 {
        yield_now();
    } else {
        spin_loop();
    }
}

/// A block and an index in it: the front, or a place ahead of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor {
    block: *mut Block,
    index: usize,
}

impl Cursor {
    const UNUSED: Self = Self { block: ptr::null_mut(), index: CAPACITY };

    fn position(self) -> Position {
        Position::new(self.block.addr(), self.index)
    }
}

/// Where the consumer stands. Belongs to the holder, and changes hands when the list goes idle.
#[derive(Debug)]
pub(crate) struct Front(UnsafeCell<Cursor>);

// SAFETY: only a list's consumer looks inside.
unsafe impl Send for Front {}
// SAFETY: as above.
unsafe impl Sync for Front {}

impl Front {
    /// The front of an unused list.
    pub(crate) fn new() -> Self {
        Self(UnsafeCell::new(Cursor::UNUSED))
    }

    #[inline]
    fn get(&self) -> Cursor {
        // SAFETY: the caller is the list's consumer.
        self.0.with(|cursor| unsafe { *cursor })
    }

    #[inline]
    fn set(&self, cursor: Cursor) {
        // SAFETY: the caller is the list's consumer.
        self.0.with_mut(|place| unsafe { *place = cursor });
    }
}

/// What stands at the front.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Peek {
    /// Nothing, at the time of looking.
    Empty,
    /// A pusher has claimed the slot and not written it yet.
    Unwritten,
    /// A job of this shape.
    Ready(&'static Shape),
}

/// The consuming side of a list, in the hands of its holder.
#[derive(Debug)]
pub(crate) struct Consumer<'a> {
    list: &'a BlockList,
    front: &'a Front,
    cache: &'a BlockCache,
}

impl Consumer<'_> {
    /// Moves the cursor from the end of a block to the next block, if that is installed. True if it moved.
    fn cross(&self, cursor: &mut Cursor) -> bool {
        if cursor.index < CAPACITY {
            return false;
        }
        let link = if cursor.block.is_null() {
            &self.list.first
        } else {
            // SAFETY: the block is at or after the front: it is recycled by this consumer only.
            unsafe { &(*cursor.block).next }
        };
        // Acquire, E1: pairs with the installer's Release.
        let next = link.load(Ordering::Acquire);
        if next.is_null() {
            return false;
        }
        *cursor = Cursor { block: next, index: 0 };
        true
    }

    fn look(&self, cursor: Cursor) -> Peek {
        if cursor.index < CAPACITY {
            // SAFETY: as in `cross`. Acquire, E3: the words that belong to the shape.
            let shape = unsafe { (*cursor.block).slots[cursor.index].shape.load(Ordering::Acquire) };
            if !shape.is_null() {
                // SAFETY: only `push` and `remove_at` store shapes, and they are `&'static`.
                return Peek::Ready(unsafe { &*shape });
            }
        }
        if self.list.tail.read().position() == cursor.position() { Peek::Empty } else { Peek::Unwritten }
    }

    /// What stands at the front. Leaves a used-up block behind.
    #[inline]
    pub(crate) fn peek(&mut self) -> Peek {
        let mut front = self.front.get();
        let used = front.block;
        if self.cross(&mut front) {
            self.front.set(front);
            if used.is_null() {
                // Relaxed: the next installer that stores here does so after this holder went idle (E2).
                self.list.first.store(ptr::null_mut(), Ordering::Relaxed);
            } else {
                // SAFETY: every slot was consumed, and the installer has stored the link, its last access.
                unsafe { self.cache.give(used) };
            }
        }
        self.look(front)
    }

    /// True if a job stands at the front. Looks at its slot only, so that a pusher keeps the tail to itself; at the end
    /// of a block the next one must be looked for with `peek`.
    #[inline]
    pub(crate) fn is_ready(&self) -> bool {
        let front = self.front.get();
        // SAFETY: as in `cross`. Relaxed: `peek` acquires.
        front.index < CAPACITY && unsafe { !(*front.block).slots[front.index].shape.load(Ordering::Relaxed).is_null() }
    }

    /// Takes the job that `peek` found ready and moves on.
    #[inline]
    pub(crate) fn take(&mut self) -> Job {
        let front = self.front.get();
        self.front.set(Cursor { index: front.index + 1, ..front });
        // SAFETY: `peek` has left a full block behind and found this slot written, so nobody else touches it.
        let slot = unsafe { &(*front.block).slots[front.index] };
        let shape = slot.shape.load(Ordering::Relaxed); // `peek` has acquired it.
        debug_assert!(!shape.is_null(), "take without a ready peek");
        // SAFETY: as above.
        let words = slot.words.with(|place| unsafe { place.read() });
        // SAFETY: the parts are those of the push; the front has moved on, so they are used once.
        unsafe { Job::from_parts(&*shape, words) }
    }

    /// Where the list can be declared idle as it is, should it end there: at the front, but not if that is the end of a
    /// used-up block, which an idle list does not keep.
    #[inline]
    pub(crate) fn end(&self) -> Position {
        let front = self.front.get();
        if front.index < CAPACITY || front.block.is_null() { front.position() } else { Position::NOWHERE }
    }

    /// Declares the list idle if it ends at `end`, and nothing has been taken since that was asked for. False if something has
    /// been pushed. After true the caller is the holder no more.
    #[inline]
    #[must_use]
    pub(crate) fn try_idle_at(&mut self, end: Position) -> bool {
        self.list.tail.try_idle(end)
    }

    /// Declares the list idle. False if something has been pushed. After true the caller is the holder no more.
    #[must_use]
    pub(crate) fn try_idle(&mut self) -> bool {
        let end = self.end();
        if end != Position::NOWHERE {
            return self.try_idle_at(end);
        }
        let front = self.front.get();
        // A full block is of no use to an idle list. The front changes first: after the exchange it is another's.
        self.front.set(Cursor::UNUSED);
        let idle = self.list.tail.try_idle_unused(front.position());
        if idle {
            // SAFETY: the tail names the block no more, and no slot and no link is pending.
            unsafe { self.cache.give(front.block) };
        } else {
            self.front.set(front);
        }
        idle
    }

    /// A cursor that stands at the front.
    pub(crate) fn cursor(&self) -> Cursor {
        self.front.get()
    }

    /// What stands at the cursor.
    pub(crate) fn peek_at(&self, cursor: &mut Cursor) -> Peek {
        self.cross(cursor);
        self.look(*cursor)
    }

    /// The first word of the marker at the cursor, which `peek_at` found ready.
    pub(crate) fn pointer_at(&self, cursor: Cursor) -> *const () {
        // SAFETY: the slot is ready, and a marker's first word is a pointer.
        unsafe { (*cursor.block).slots[cursor.index].words.with(|place| place.cast::<*const ()>().read()) }
    }

    /// Takes the job at the cursor, which `peek_at` found ready, and leaves a `Noop`.
    pub(crate) fn remove_at(&mut self, cursor: Cursor) -> Job {
        let (noop, words) = Job::marker(Kind::Noop, ptr::null()).into_parts();
        // SAFETY: the slot is ready, so its pusher is done with it, and there is one consumer.
        let slot = unsafe { &(*cursor.block).slots[cursor.index] };
        let shape = slot.shape.load(Ordering::Relaxed); // `peek_at` has acquired it.
        // SAFETY: as above.
        let job = slot.words.with_mut(|place| unsafe { place.replace(words) });
        // Relaxed: only holders read it from here on, and they follow each other by E2 or a lock.
        slot.shape.store(ptr::from_ref(noop).cast_mut(), Ordering::Relaxed);
        // SAFETY: the parts are those of the push; the slot holds another job now.
        unsafe { Job::from_parts(&*shape, job) }
    }

    /// Moves the cursor past what it stands at.
    pub(crate) fn advance(&self, cursor: &mut Cursor) {
        cursor.index += 1;
    }
}

/// Gives a list's blocks back and returns the jobs that were left. Nobody pushes any more.
pub(crate) fn dismantle(list: &mut BlockList, front: &mut Front, cache: &BlockCache) -> Vec<Job> {
    // For its Acquire, B2: what the last holder did, whatever brought the caller its `&mut`. The blocks go on to others.
    let _ = list.tail.hold();
    // SAFETY: `&mut` excludes everybody else.
    let mut consumer = unsafe { list.consumer(front, cache) };
    let mut left = Vec::new();
    while let Peek::Ready(_) = consumer.peek() {
        left.push(consumer.take());
    }
    let block = front.get().block;
    *list = BlockList::new();
    front.set(Cursor::UNUSED);
    if !block.is_null() {
        // SAFETY: the list is empty and names the block no more.
        unsafe { cache.give(block) };
    }
    left
}
