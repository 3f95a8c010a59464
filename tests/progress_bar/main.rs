//! The example `progress_bar`, run as a user runs it: on a terminal, and without one.
//!
//! The tests stand in the package of the example, as only there `cargo test` builds it beside them.
//!
//! ThreadSanitizer keeps signals back until their thread calls something that it knows, which a thread that sleeps on a
//! futex does not: what is sent signals is not tested under it.

mod cost;
mod failures;
#[cfg(not(concourse_tsan))]
mod job_control;
mod limits;
#[cfg(not(concourse_tsan))]
mod live;
mod options;
mod output;
#[cfg(not(concourse_tsan))]
mod pauses;
#[path = "../../examples/progress_bar/profile.rs"]
mod profile;
mod program;
mod pty;
mod scratch;
mod sums;
mod terminal;
