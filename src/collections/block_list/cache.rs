//! Spare blocks, shared by all lists of a runtime.
#![allow(unsafe_code, reason = "blocks are handed around as raw pointers, one owner at a time")]

use super::Block;
use super::CAPACITY;
use super::Slot;
use crate::sync::AtomicPtr;
use crate::sync::Mutex;
use crate::sync::Ordering;
use crate::sync::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr;

/// The most blocks that are kept: 128 KiB. A producer runs some twenty blocks ahead of its consumer.
const KEPT: usize = 128;

/// A bounded stack of empty blocks.
///
/// One lock for each block that a list uses up or a consumer leaves, every 31 jobs each, costs less than a nanosecond a
/// job; a lock-free stack would save little and need a defence against ABA.
#[derive(Debug, Default)]
pub(crate) struct BlockCache {
    spare: Mutex<Vec<*mut Block>>,
}

// SAFETY: a block in the cache has no other owner.
unsafe impl Send for BlockCache {}
// SAFETY: as above, and the stack is behind a lock.
unsafe impl Sync for BlockCache {}

impl BlockCache {
    pub(crate) fn new() -> Self {
        Self { spare: Mutex::new(Vec::new()) }
    }

    /// An empty block that is the caller's.
    pub(super) fn take(&self) -> *mut Block {
        let spare = self.spare.lock().pop();
        spare.unwrap_or_else(|| {
            let block = Box::into_raw(Block::empty());
            assert!(block.addr() >> 48 == 0, "a block beyond the 48-bit addresses that the tail word holds");
            block
        })
    }

    /// Takes a block whose jobs have been consumed.
    ///
    /// # Safety
    ///
    /// The block came from `take`, and nobody else will touch it.
    pub(super) unsafe fn give(&self, block: *mut Block) {
        // SAFETY: the caller was its owner.
        let used = unsafe { &*block };
        for slot in &used.slots {
            // Relaxed, here and below: the next owner gets the block through the lock.
            slot.shape.store(ptr::null_mut(), Ordering::Relaxed);
        }
        used.next.store(ptr::null_mut(), Ordering::Relaxed);
        let mut spare = self.spare.lock();
        if spare.len() < KEPT {
            spare.push(block);
            return;
        }
        drop(spare);
        // SAFETY: `take` made it with `Box`, and it is the caller's.
        drop(unsafe { Box::from_raw(block) });
    }
}

impl Drop for BlockCache {
    fn drop(&mut self) {
        for block in std::mem::take(&mut *self.spare.lock()) {
            // SAFETY: as in `give`; what is in the cache is the cache's.
            drop(unsafe { Box::from_raw(block) });
        }
    }
}

impl Block {
    fn empty() -> Box<Self> {
        Box::new(Self {
            slots: std::array::from_fn::<_, CAPACITY, _>(|_| Slot {
                shape: AtomicPtr::new(ptr::null_mut()),
                words: UnsafeCell::new([MaybeUninit::uninit(); 3]),
            }),
            next: AtomicPtr::new(ptr::null_mut()),
        })
    }
}
