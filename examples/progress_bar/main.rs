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
//!                    ▲                (sources)        (serial)
//! keys, signals ──▶ control
//!   (sources)      (serial)
//! ```
//!
//! Every box but the walk is a queue, and each owns its state: no thread is started here, and no lock is ever waited for
//! long. The walk is ahead of the output by at most `--queue-depth` files, each of which keeps its place until its line
//! is written: that bounds everything in between. How many of them are hashed at the same time is the width of a queue,
//! which keys change. A pause suspends that queue, and closes a gate to those of its jobs that have begun.
//!
//! The drawing is left to indicatif, which would limit its redraws by itself. What the sources add is that a pause costs no
//! progress, that the sums are exact, that one queue owns what is shown, and that it can be shown in any way: as a bar, as
//! lines, as JSON, or to a test.
//!
//! With `--demo` it hashes nothing and plays one of seven small programs instead, which show on a hundred steps what a
//! progress bar stands on.

mod args;
mod control;
mod demos;
mod digest;
mod flow;
mod frames;
mod gate;
mod hash;
mod keys;
mod listing;
mod meter;
mod output;
#[cfg(test)]
mod own_process;
mod pause;
mod printer;
#[cfg(test)]
mod profile;
mod progress;
mod render;
mod report;
#[cfg(test)]
mod scratch;
mod shelf;
mod signals;
mod sums;
mod terminal;
mod text;
mod threads;
mod throttle;
mod walk;
mod way_out;
mod worker;

use args::Args;
use clap::Parser as _;
use concourse::Group;
use concourse::Semaphore;
use control::Control;
use flow::Flow;
use gate::Gate;
use keys::Keys;
use listing::Failure;
use listing::Listing;
use meter::Meter;
use output::Output;
use printer::Printer;
use render::Style;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use sums::Sums;
use terminal::Terminal;
use walk::Rules;
use walk::Tree;
use way_out::WayOut;
use worker::Worker;

fn main() -> ExitCode {
    let args = Args::parse();
    let exit_code = match args.demo {
        Some(demo) => demo.play().map(|()| 0),
        None => run(args),
    };
    match exit_code {
        Ok(exit_code) => exit_code.into(),
        Err(error) => {
            render::last_words(error);
            ExitCode::FAILURE
        }
    }
}

/// Builds the queues, sends everything through them, and waits for the end.
fn run(args: Args) -> Result<u8, Box<dyn Error>> {
    // Before there is anything to leave behind: sums that are typed may take long, and may be given up.
    let sums = args.check.as_deref().map(read_sums).transpose()?;
    let output = Output::open(args.output.as_deref())?;
    let listing = sums.map_or_else(|| trees(&args, &output), Listing::Sums);
    let terminal = Terminal::open().map(Arc::new);
    let way_out = Arc::new(WayOut::new(terminal.clone(), output.temporary()));
    let runtime = threads::runtime(args.jobs, &way_out)?;

    let style = args.progress.settle();
    let render = style.renderer(args.plain_every);
    let curtain = render.curtain();
    let meter = Meter::new(&runtime.serial("ui"), args.fps, render);
    let gate = Arc::new(Gate::new());
    let flow = Arc::new(Flow {
        hash: runtime.queue("hash").concurrent().width(args.jobs).build()?,
        counts_ahead: style != Style::None,
        places: Semaphore::new(args.queue_depth),
        everything: Group::new(),
        listing,
        worker: Worker::new(args.algo, args.throttle, &gate, &meter),
        printer: Printer::new(&runtime.serial("print"), output, meter.clone(), curtain),
        gate,
        meter,
    });
    let control = Arc::new(Control::new(&runtime.serial("control"), &flow, &way_out, args.pause_mode, args.jobs));
    // If the system has no descriptors left for them, the job is done all the same, only it cannot be steered.
    let signals = signals::listen(&control).ok();
    // A terminal that is not as it was must be put in order on Ctrl-C.
    let _keys = terminal.filter(|_| signals.is_some()).and_then(|terminal| Keys::listen(&control, &terminal).ok());

    flow.walk();
    flow.everything.wait();

    let cancelled = control.end();
    let (results, written) = flow.printer.finish(cancelled.is_none());
    flow.meter.finish(results, cancelled.is_some());
    written?;
    Ok(cancelled.unwrap_or(results.exit_code()))
}

fn read_sums(file: &Path) -> Result<Sums, Failure> {
    Sums::read(file).map_err(|error| Failure::new(file, error))
}

/// The trees that the arguments name, without the program's own output.
fn trees(args: &Args, output: &Output) -> Listing {
    let rules = Arc::new(Rules { exclude: args.exclude.clone(), follow: args.follow, own: output.own_files() });
    Listing::Trees(args.paths.iter().map(|root| Tree::new(root.clone(), &rules)).collect())
}
