//! The unit tests that stand in the modules of the example `progress_bar`: `cargo test` builds an example as a program
//! only, so its modules are compiled once more here.
#![allow(dead_code, reason = "some items are used by the example's main alone")]

#[path = "../examples/progress_bar/args.rs"]
mod args;
#[path = "../examples/progress_bar/control.rs"]
mod control;
#[path = "../examples/progress_bar/demos/mod.rs"]
mod demos;
#[path = "../examples/progress_bar/digest.rs"]
mod digest;
#[path = "../examples/progress_bar/flow.rs"]
mod flow;
#[path = "../examples/progress_bar/frames.rs"]
mod frames;
#[path = "../examples/progress_bar/gate.rs"]
mod gate;
#[path = "../examples/progress_bar/hash.rs"]
mod hash;
#[path = "../examples/progress_bar/listing.rs"]
mod listing;
#[path = "../examples/progress_bar/meter.rs"]
mod meter;
#[path = "../examples/progress_bar/output.rs"]
mod output;
#[path = "../examples/progress_bar/own_process.rs"]
mod own_process;
#[path = "../examples/progress_bar/pause.rs"]
mod pause;
#[path = "../examples/progress_bar/printer.rs"]
mod printer;
#[path = "../examples/progress_bar/profile.rs"]
mod profile;
#[path = "../examples/progress_bar/progress.rs"]
mod progress;
#[path = "../examples/progress_bar/render/mod.rs"]
mod render;
#[path = "../examples/progress_bar/report.rs"]
mod report;
#[path = "../examples/progress_bar/scratch.rs"]
mod scratch;
#[path = "../examples/progress_bar/shelf.rs"]
mod shelf;
#[path = "../examples/progress_bar/signals.rs"]
mod signals;
#[path = "../examples/progress_bar/sums.rs"]
mod sums;
#[path = "../examples/progress_bar/terminal.rs"]
mod terminal;
#[path = "../examples/progress_bar/text.rs"]
mod text;
#[path = "../examples/progress_bar/threads.rs"]
mod threads;
#[path = "../examples/progress_bar/throttle.rs"]
mod throttle;
#[path = "../examples/progress_bar/walk.rs"]
mod walk;
#[path = "../examples/progress_bar/way_out.rs"]
mod way_out;
#[path = "../examples/progress_bar/worker.rs"]
mod worker;
