//! Hashes directory trees with a progress bar: bounded parallelism and coalescing sources at work on a real job.
//!
//! ```sh
//! cargo run --release --example progress_bar -- ~/Downloads
//! ```
//!
//! ```text
//!       places
//!     (semaphore)
//! walk ──────────▶ hash ×N ──────────▶ shelf ──▶ print ──▶ standard output
//! (main thread)  (concurrent,  │                (serial)
//!                  width N)    └─ bytes, files, flags ──▶ ui ──▶ bar
//!                                     (sources)        (serial)
//! ```
//!
//! Every box but the walk is a queue, and each owns its state: no thread is started here, and no lock is ever waited for
//! long. The walk is ahead of the output by at most `--queue-depth` files, each of which keeps its place until its line
//! is written: that bounds everything in between. How many of them are hashed at the same time is the width of a queue.
//!
//! With `--demo` it hashes nothing and plays one of seven small programs instead, which show on a hundred steps what a
//! progress bar stands on.

mod args;
mod demos;
mod digest;
mod flow;
mod hash;
mod listing;
mod meter;
mod output;
#[cfg(test)]
mod own_process;
mod printer;
mod progress;
mod render;
mod report;
#[cfg(test)]
mod scratch;
mod shelf;
mod sums;
mod text;
mod threads;
mod throttle;
mod walk;
mod worker;

use args::Args;
use clap::Parser as _;
use concourse::Group;
use concourse::Semaphore;
use flow::Flow;
use listing::Failure;
use listing::Listing;
use meter::Meter;
use output::Output;
use printer::Printer;
use render::Style;
use report::Results;
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use sums::Sums;
use walk::Rules;
use walk::Tree;
use worker::Worker;

fn main() -> ExitCode {
    let args = Args::parse();
    let exit_code = match args.demo {
        Some(demo) => demo.play().map(|()| ExitCode::SUCCESS),
        None => run(args).map(|results| ExitCode::from(results.exit_code())),
    };
    match exit_code {
        Ok(exit_code) => exit_code,
        Err(error) => {
            render::last_words(error);
            ExitCode::FAILURE
        }
    }
}

/// Builds the queues, sends everything through them, and waits for the end.
fn run(args: Args) -> Result<Results, Box<dyn Error>> {
    let output = Output::open(args.output.as_deref())?;
    let runtime = threads::runtime(args.jobs, output.temporary())?;

    let listing = list(&args, &output)?;
    let style = args.progress.settle();
    let render = style.renderer(args.plain_every);
    let curtain = render.curtain();
    let meter = Meter::new(&runtime.serial("ui"), args.fps, render);

    let flow = Arc::new(Flow {
        hash: runtime.queue("hash").concurrent().width(args.jobs).build()?,
        counts_ahead: style != Style::None,
        places: Semaphore::new(args.queue_depth),
        everything: Group::new(),
        listing,
        worker: Worker::new(args.algo, args.throttle, meter.clone()),
        printer: Printer::new(&runtime.serial("print"), output, meter.clone(), curtain),
        meter,
    });
    flow.walk();
    flow.everything.wait();

    let (results, written) = flow.printer.finish();
    flow.meter.finish(results);
    written?;
    Ok(results)
}

/// What the arguments name.
fn list(args: &Args, output: &Output) -> Result<Listing, Failure> {
    if let Some(file) = &args.check {
        return Sums::read(file).map(Listing::Sums).map_err(|error| Failure::new(file, error));
    }
    let rules = Arc::new(Rules { exclude: args.exclude.clone(), follow: args.follow, own: output.own_files() });
    Ok(Listing::Trees(args.paths.iter().map(|root| Tree::new(root.clone(), &rules)).collect()))
}
