//! The example `progress_bar`, run as a user runs it: on a terminal, and without one.
//!
//! The tests stand in the package of the example, as only there `cargo test` builds it beside them.

mod cost;
mod failures;
mod limits;
mod live;
mod options;
mod output;
mod pauses;
#[path = "../../examples/progress_bar/profile.rs"]
mod profile;
mod program;
mod pty;
mod scratch;
mod sums;
mod terminal;
