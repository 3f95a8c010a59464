//! The one door to threads, atomics, cells, locks and waiting.
//!
//! Nothing else in the crate names `std::sync`, `std::thread` or `parking_lot`. The door has four faces behind the same
//! names: the machine itself (`native`), the model checkers loom and shuttle, and ThreadSanitizer, which is `native`
//! with fences that it can see. Above the faces stand two things that are the same everywhere: [`parking`], how a
//! thread waits, and [`Host`], who is told about it.
//!
//! `Arc` is always the standard one. Models keep an owner alive until their threads have been joined, so that the
//! reference count never carries an ordering that a model would have to see.
#![allow(unsafe_code, reason = "cells that a model checker can watch need a safe-to-audit wrapper")]

#[cfg(concourse_loom)]
#[path = "loom.rs"]
mod face;
#[cfg(concourse_shuttle)]
#[path = "shuttle.rs"]
mod face;
#[cfg(not(any(concourse_loom, concourse_shuttle)))]
#[path = "native.rs"]
mod face;

mod fork;
mod host;
#[cfg(concourse_jitter)]
mod jitter;
mod line;
mod parking;
mod ticket;
mod tickets;

pub(crate) use face::{
    AtomicBool, AtomicI64, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Condvar, Deque, Injector, Mutex,
    MutexGuard, Steal, Stealer, UnsafeCell, fence, handshake, is_first_thread, ordinal, spin_loop, thread_local,
    yield_now,
};
pub(crate) use fork::{is_child, watch_forks};
#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
pub(crate) use host::OnPark;
#[cfg(feature = "sim")]
pub(crate) use host::park;
pub(crate) use host::{
    Host, blocking, deadline_after, enter_host, host, now, offer_host, runs_beside_others, virtual_time, yield_point,
};
pub(crate) use line::Line;
pub(crate) use parking::{Parker, Reason, park_while, parker};
pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::Ordering;
pub(crate) use std::sync::{OnceLock, Weak};
#[cfg(feature = "sim")]
pub(crate) use std::thread::ThreadId;
pub(crate) use std::thread::{Builder as ThreadBuilder, JoinHandle, current as current_thread, panicking};
pub(crate) use ticket::{Desk, Ticket, Waiting, wait_at};
pub(crate) use tickets::Tickets;

/// How many threads the process may use at once: its affinity and cgroup quota included.
pub(crate) fn available_parallelism() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}

/// True in a build that has planted the named fault, which is how a check proves that it would see it.
macro_rules! planted {
    ($name:literal) => {
        cfg!(concourse_planted = $name)
    };
}
pub(crate) use planted;
