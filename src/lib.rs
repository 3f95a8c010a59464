//! Grand Central Dispatch for Rust: dispatch queues, coalescing sources, timers, groups and semaphores.
//!
//! State that several threads need is given to a [`Queue`], and what uses it is submitted there: one job at a time, in
//! order, without a lock in sight. Many small events become few handler calls through a [`Source`].
//!
//! ```
//! use concourse::{Group, Queue, Source};
//!
//! let screen = Queue::serial("com.example.screen");
//! let work = Queue::concurrent("com.example.work");
//!
//! let progress = Source::add(&screen).on_event(|bytes: u64| println!("{bytes} more bytes")).activate();
//! let group = Group::new();
//! for _ in 0..1_000 {
//!     let progress = progress.clone();
//!     group.exec_async(&work, move || progress.merge(4_096));
//! }
//! group.wait();
//! ```
//!
//! | what | type | in libdispatch |
//! |---|---|---|
//! | one job at a time, or many with barriers | [`Queue`] | `dispatch_queue_t` |
//! | the threads themselves | [`GlobalQueue`] | `dispatch_get_global_queue` |
//! | one thread that you provide | [`MainQueue`] | `dispatch_get_main_queue` |
//! | a job later | [`Dispatch::after`] | `dispatch_after` |
//! | a job that can be cancelled, waited for, watched | [`WorkItem`] | `dispatch_block_create` |
//! | a job with a value, or a future that a queue polls | [`Task`], from [`Queue::submit`] and [`Queue::spawn`] | |
//! | state that only its queue can touch; a line for each key | [`Isolated`], [`Keyed`] | |
//! | a queue that takes only so much, and what becomes of the rest | [`Bounded`] | |
//! | work that depends on other work, and its progress | [`OperationQueue`], [`Progress`] | Foundation's `OperationQueue` |
//! | a parallel loop | [`Queue::apply`] | `dispatch_apply` |
//! | many events, few calls | [`Source`] | `dispatch_source_t` |
//! | every source, for `async` code | [`SourceStream`](source::SourceStream) | |
//! | what can be read or written, signals | `Source::readable`, `Source::writable`, `Source::signal` | `DISPATCH_SOURCE_TYPE_READ`, `_WRITE`, `_SIGNAL` |
//! | files that change | `Source::file`, `Source::vnode` | `DISPATCH_SOURCE_TYPE_VNODE` |
//! | the end of a process, memory running short | `Source::process`, `Source::memory_pressure` | `DISPATCH_SOURCE_TYPE_PROC`, `_MEMORYPRESSURE` |
//! | messages in order, from many to one | [`Source::port`] | Mach port sources |
//! | wait for many jobs, or be told | [`Group`] | `dispatch_group_t` |
//! | a limit, a lock, a signal | [`Semaphore`], [`Event`] | `dispatch_semaphore_t` |
//! | calling things off: a tree of tokens | [`CancelToken`] | |
//! | an asynchronous call, awaited | [`wait_for()`] | |
//! | threads, limits, hooks, an orderly end | [`Runtime`] | |
//! | a whole program from a seed, in virtual time | `Sim`, with the feature `sim` | |
//!
//! Whoever comes from elsewhere, from Grand Central Dispatch in C or Swift, `NSOperationQueue`, Python, tokio or rayon, finds
//! what stands for each facility there in the [guide](guide/index.html).
//!
//! # What is promised
//!
//! - Every closure that is accepted runs once, or is reported as dropped; every merge is delivered once.
//! - A sync call onto a queue that the thread already holds is an error that names the queues, never a hang. When all
//!   threads are blocked while jobs are queued, that is reported.
//! - Resuming too often, dropping something suspended or in use are typed errors or defined outcomes, never a trap.
//! - There are never more threads than [`RuntimeBuilder::max_threads`], and blocking in a job does not starve queues.
//! - A panic in a closure stays there. No thread, permit, queue or count is lost with it.
//! - With nothing to do, nothing wakes up. The steady state of [`Queue::exec_async`] allocates nothing.

// 0 machine
mod sync;

// 1 vocabulary
mod bits;
mod collections;
mod error;
mod job;
mod qos;
#[cfg(feature = "signal")]
mod signal;
mod time;

// 2 engines
mod engine;
mod event_loop;
mod pool;
mod runtime;
#[cfg(feature = "sim")]
pub mod sim;

// 3 queues
mod queue;

// 4 built on queues
mod apply;
mod bounded;
mod event;
mod group;
mod isolated;
mod keyed;
pub mod operation;
mod semaphore;
pub mod source;
mod task;
mod token;
mod wait_for;
mod work_item;

pub use bounded::{Bounded, WhenFull};
pub use engine::{LossReport, PanicReport};
#[cfg(feature = "fs")]
pub use error::FileError;
#[cfg(feature = "io")]
pub use error::MemoryPressureError;
#[cfg(feature = "signal")]
pub use error::SignalError;
pub use error::{
    BuildError, Cancelled, ClockError, DependencyError, EventLoopError, GroupError, HeldQueue, MainQueueError,
    OperationError, PaceError, PortError, RuntimeError, SendError, SubmitError, SuspendError, SyncError, TaskError,
    TimerError, WaitError, WatchError, WorkItemError,
};
#[cfg(feature = "process")]
pub use error::{ProcessError, RefusedChild};
pub use event::Event;
pub use group::{Group, Membership};
pub use isolated::Isolated;
pub use keyed::Keyed;
pub use operation::{
    Operation, OperationBuilder, OperationChange, OperationContext, OperationQueue, OperationQueueBuilder,
    OperationState, Order, Priority, Progress, Retry, SuspendedOperations,
};
pub use pool::StallPolicy;
pub use qos::Qos;
pub use queue::{
    After, Dispatch, GlobalQueue, InactiveQueue, MainQueue, Queue, QueueBuilder, SpecificKey, SuspendGuard, Target,
    main_queue, run_main,
};
pub use runtime::{
    Report, Runtime, RuntimeBuilder, Shutdown, SpawnFailure, StallReport, Statistics, TimedShutdown, WaitingThread,
    blocking,
};
pub use semaphore::{Permit, Semaphore};
#[cfg(feature = "signal")]
pub use signal::Signal;
#[cfg(feature = "sim")]
pub use sim::Sim;
pub use source::Source;
#[cfg(feature = "signal")]
pub use source::graceful_shutdown;
pub use task::{Map, Task, TaskStream, Tasks, Unordered, block_on};
pub use time::{Clock, Deadline};
pub use token::{CancelToken, OnCancel};
pub use wait_for::{Done, wait_for};
pub use work_item::{Cancellation, Outcome, WorkItem};

#[cfg(doc)]
#[doc = include_str!("ARCHITECTURE.md")]
mod architecture {}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

// Pages and nothing else, about what the default features bring.
#[cfg(all(any(doc, doctest), feature = "fs", feature = "io", feature = "process", feature = "signal"))]
pub mod guide;

#[cfg(all(test, any(concourse_loom, concourse_shuttle)))]
mod models;
