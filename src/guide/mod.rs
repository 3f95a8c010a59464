//! For those who come from elsewhere: what there is there, and what stands for it here.
//!
//! Each page begins with what is the same, what differs, and which traps of the other side are gone. Then each facility has
//! its row, and each table is followed by a program that uses what is in it; all of them run as tests. Where a well-kept
//! crate already does something, its row names that crate, and the program uses it together with a queue.
//!
//! | from | page |
//! |---|---|
//! | Grand Central Dispatch, in C or Swift | [`gcd`] |
//! | `NSOperationQueue`, `OperationQueue` | [`operation`] |
//! | Python: locks, events, conditions, timers | [`python::threading`] |
//! | Python: `Queue`, `LifoQueue`, `PriorityQueue` | [`python::queue`] |
//! | Python: executors, futures, pools made by hand | [`python::futures`] |
//! | Python: pools of processes, pipes, shared values | [`python::multiprocessing`] |
//! | Python: `asyncio`, gevent, greenlets | [`python::asyncio`] |
//! | tokio | [`tokio`] |
//! | rayon | [`rayon`] |
//!
//! When a first program does not compile, does nothing, or waits for ever, [`trouble`] says what others have met.

#[doc = include_str!("gcd.md")]
pub mod gcd {}

#[doc = include_str!("operation.md")]
pub mod operation {}

/// From Python: a page for each of its modules.
pub mod python {
    #[doc = include_str!("python/asyncio.md")]
    pub mod asyncio {}

    #[doc = include_str!("python/futures.md")]
    pub mod futures {}

    #[doc = include_str!("python/multiprocessing.md")]
    pub mod multiprocessing {}

    #[doc = include_str!("python/queue.md")]
    pub mod queue {}

    #[doc = include_str!("python/threading.md")]
    pub mod threading {}
}

#[doc = include_str!("rayon.md")]
pub mod rayon {}

#[doc = include_str!("tokio.md")]
pub mod tokio {}

#[doc = include_str!("trouble.md")]
pub mod trouble {}
