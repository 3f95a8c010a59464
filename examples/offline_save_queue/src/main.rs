//! An offline-save queue: what is saved is on the disk before it is acknowledged, and gets to the server some time, in order
//! for each key and once, whatever happens to the process, the network, the server or the disk.
//!
//! ```sh
//! cargo run --release -p offline_save_queue -- --help
//! ```
//!
//! `README.md` beside this says what it promises, how it is built and how that was tested.

mod args;
mod client;
mod commands;
mod config;
mod crash;
mod drain;
mod failure;
mod home;
mod op;
mod plan;
mod report;
#[cfg(test)]
mod scratch;
mod server;
mod store;
mod text;
mod verify;
mod wake;
mod wire;

use args::Args;
use clap::Parser as _;
use std::io;
use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    match commands::execute(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody may be there to read it; the exit code says it as well.
            let _ = writeln!(io::stderr(), "offline_save_queue: {failure}");
            failure.exit_code()
        }
    }
}
