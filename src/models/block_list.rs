//! The job list: pushes that change blocks, the edge, going idle, taking in place, recycling.
#![allow(
    unsafe_code,
    clippy::undocumented_unsafe_blocks,
    reason = "a model plays the holder; that there is one is what it checks"
)]

use super::explore;
use crate::collections::BlockCache;
use crate::collections::BlockList;
use crate::collections::Front;
use crate::collections::Peek;
use crate::collections::Pushed;
use crate::collections::dismantle;
use crate::job::Job;
use crate::sync::Arc;
use crate::sync::UnsafeCell;
use crate::sync::yield_now;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

/// A list whose holder drains it at once, in the thread that took the edge.
struct Fixture {
    list: BlockList,
    cache: BlockCache,
    front: Front,
    /// What the jobs protect with the list alone: a race here is a second holder.
    ran: UnsafeCell<Vec<u32>>,
    total: AtomicU32,
}

// SAFETY: the cells are touched by the list's holder only; that there is one is what the models check.
unsafe impl Sync for Fixture {}

impl Fixture {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            list: BlockList::new(),
            cache: BlockCache::new(),
            front: Front::new(),
            ran: UnsafeCell::new(Vec::new()),
            total: AtomicU32::new(0),
        })
    }

    fn push(self: &Arc<Self>, name: u32) {
        let fixture = Arc::clone(self);
        let job = Job::new(move || {
            fixture.ran.with_mut(|ran| unsafe { (*ran).push(name) });
            fixture.total.fetch_add(1, Ordering::Relaxed);
        });
        if self.list.push(job, || &self.cache) == Pushed::Edge {
            self.drain();
        }
    }

    /// Precondition: the caller is the holder.
    fn drain(&self) {
        loop {
            let mut consumer = unsafe { self.list.consumer(&self.front, &self.cache) };
            let job = loop {
                match consumer.peek() {
                    Peek::Ready(_) => break Some(consumer.take()),
                    Peek::Unwritten => yield_now(),
                    Peek::Empty => {
                        if consumer.try_idle() {
                            break None;
                        }
                    }
                }
            };
            match job {
                Some(job) => job.run(),
                None => return,
            }
        }
    }

    /// Runs `f` in place if the list is idle.
    fn sync(&self, name: u32) {
        if !self.list.try_hold() {
            return;
        }
        let mut consumer = unsafe { self.list.consumer(&self.front, &self.cache) };
        let end = consumer.end();
        self.ran.with_mut(|ran| unsafe { (*ran).push(name) });
        if !consumer.try_idle_at(end) {
            self.drain();
        }
    }

    /// All `expected` jobs have run, those of one thread in order.
    fn check(self: &Arc<Self>, expected: u32) {
        assert_eq!(self.total.load(Ordering::Relaxed), expected, "a job was lost");
        assert!(self.list.is_idle());
        self.ran.with(|ran| {
            let ran = unsafe { &*ran };
            for tens in 0..4 {
                let own: Vec<_> = ran.iter().filter(|name| **name / 10 == tens).collect();
                assert!(own.is_sorted(), "out of order: {ran:?}");
            }
        });
    }
}

fn spawn(fixture: &Arc<Fixture>, body: impl FnOnce(Arc<Fixture>) + Send + 'static) -> super::JoinHandle<()> {
    let fixture = Arc::clone(fixture);
    super::spawn(move || body(fixture))
}

#[test]
fn pushes_from_two_threads_cross_a_block_and_none_is_lost() {
    explore(3, || {
        let fixture = Fixture::new();
        let other = spawn(&fixture, |fixture| {
            fixture.push(10);
            fixture.push(11);
        });
        fixture.push(20);
        other.join().unwrap();
        fixture.check(3);
    });
}

/// Two of the three may spin for the third, which loom's scheduler does not survive; shuttle's does.
#[cfg(concourse_shuttle)]
#[test]
fn three_threads_install_one_block() {
    explore(2, || {
        let fixture = Fixture::new();
        let a = spawn(&fixture, |fixture| fixture.push(10));
        let b = spawn(&fixture, |fixture| fixture.push(20));
        fixture.push(30);
        a.join().unwrap();
        b.join().unwrap();
        fixture.check(3);
    });
}

#[test]
fn an_idle_list_gives_its_full_block_back_and_takes_another() {
    explore(3, || {
        let fixture = Fixture::new();
        fixture.push(10);
        let other = spawn(&fixture, |fixture| fixture.push(20));
        fixture.push(11);
        fixture.push(12);
        other.join().unwrap();
        fixture.check(4);
    });
}

#[test]
fn taking_in_place_strands_no_job() {
    explore(3, || {
        let fixture = Fixture::new();
        let other = spawn(&fixture, |fixture| {
            fixture.push(10);
            fixture.push(11);
        });
        fixture.sync(20);
        other.join().unwrap();
        fixture.check(2);
    });
}

#[test]
fn what_is_left_is_dismantled_and_dropped() {
    explore(2, || {
        let cache = BlockCache::new();
        let list = Arc::new(BlockList::new());
        let dropped = Arc::new(AtomicU32::new(0));
        let cache = Arc::new(cache);
        struct Count(Arc<AtomicU32>);
        impl Drop for Count {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let push = |list: &BlockList, cache: &BlockCache, dropped: &Arc<AtomicU32>| {
            let count = Count(Arc::clone(dropped));
            let _ = list.push(Job::new(move || drop(count)), || cache);
        };
        let other = {
            let (list, cache, dropped) = (Arc::clone(&list), Arc::clone(&cache), Arc::clone(&dropped));
            super::spawn(move || push(&list, &cache, &dropped))
        };
        push(&list, &cache, &dropped);
        push(&list, &cache, &dropped);
        other.join().unwrap();
        let mut list = Arc::try_unwrap(list).expect("both threads are done");
        let left = dismantle(&mut list, &mut Front::new(), &cache);
        assert_eq!(left.len(), 3);
        drop(left);
        assert_eq!(dropped.load(Ordering::Relaxed), 3);
    });
}
