//! Hashes directory trees with a progress bar: bounded parallelism and coalescing sources at work on a real job.
//!
//! ```sh
//! cargo run --release --example progress_bar -- ~/Downloads
//! ```
//!
//! ```text
//!                 places        jobs
//!                (semaphore)  (semaphore)
//! walk ──────────▶ hand_over ──▶ hash ×N ──────────▶ shelf ──▶ print ──▶ standard output
//! (serial)          (serial)  (concurrent)   │                (serial)
//!                                            └─ bytes, files, flags ──▶ ui ──▶ bar
//! count ──────────── total ────────────────────────── (sources) ────▶ (serial)
//! (serial, only if the tree is larger than the places)
//! ```
//!
//! Every box is a queue, and each owns its state: no thread is started here, and no lock is ever waited for long. The
//! walk runs ahead of the hashing by at most `--queue-depth` files. `hand_over` takes the wait for a free worker off the
//! walk. Each file keeps its place from the walk until its line is written, which bounds everything in between.

mod args;
mod digest;
mod hash;
mod listing;
mod meter;
mod output;
mod printer;
mod progress;
mod render;
mod report;
#[cfg(test)]
mod scratch;
mod shelf;
mod sums;
mod text;
mod throttle;
mod walk;
mod worker;

use args::Args;
use clap::Parser as _;
use concourse::Dispatch as _;
use concourse::Group;
use concourse::Membership;
use concourse::Permit;
use concourse::Queue;
use concourse::Runtime;
use concourse::Semaphore;
use listing::Entry;
use listing::Failure;
use listing::Found;
use listing::Listing;
use listing::Total;
use meter::Meter;
use output::Output;
use printer::Outcome;
use printer::Printer;
use progress::flag;
use render::Style;
use report::Results;
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use sums::Sums;
use walk::Rules;
use walk::Tree;
use worker::Worker;

/// Threads beside the workers: one for each serial queue that can be busy, or wait, at the same time.
const SERIAL_QUEUES: usize = 4;

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(results) => ExitCode::from(results.exit_code()),
        Err(error) => {
            render::last_words(error);
            ExitCode::FAILURE
        }
    }
}

/// Builds the queues, sends everything through them, and waits for the end.
fn run(args: Args) -> Result<Results, Box<dyn Error>> {
    let threads = args.jobs + SERIAL_QUEUES;
    let runtime = Runtime::builder().threads(threads).max_threads(threads).name("progress-bar").build()?;

    let output = Output::open(args.output.as_deref())?;
    let listing = list(&args, &output)?;
    let style = args.progress.settle();
    let render = style.renderer(args.plain_every);
    let curtain = render.curtain();
    let meter = Meter::new(&runtime.serial("ui"), args.fps, render);

    let flow = Arc::new(Flow {
        hand_over: runtime.serial("hand-over"),
        hash: runtime.concurrent("hash"),
        count: (style != Style::None).then(|| runtime.serial("count")),
        queue_depth: args.queue_depth,
        places: Semaphore::new(args.queue_depth),
        jobs: Semaphore::new(args.jobs),
        everything: Group::new(),
        listing,
        worker: Worker::new(args.algo, args.throttle, meter.clone()),
        printer: Printer::new(&runtime.serial("print"), output, meter.clone(), curtain),
        meter,
    });
    let walk = {
        let flow = Arc::clone(&flow);
        move || flow.walk()
    };
    flow.everything.exec_async(&runtime.serial("walk"), walk);
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

/// The way of a file through the queues.
struct Flow {
    hand_over: Queue,
    hash: Queue,
    /// Where a large tree is counted, if anybody wants to know.
    count: Option<Queue>,
    queue_depth: usize,
    /// Files between the walk and the output.
    places: Semaphore,
    /// Files that are being hashed.
    jobs: Semaphore,
    everything: Group,
    listing: Listing,
    worker: Worker,
    printer: Printer<Place>,
    meter: Meter,
}

/// What a file holds from the walk until its line is written.
struct Place {
    _permit: Permit,
    _membership: Membership,
}

impl Flow {
    /// Finds the files and sends them on, never more than `queue_depth` ahead of the output.
    fn walk(self: &Arc<Self>) {
        let mut total = Total::default();
        for (number, found) in (0..).zip(self.listing.entries()) {
            if number == self.queue_depth as u64 {
                self.count();
            }
            let place = Place { _permit: self.places.acquire(), _membership: self.everything.enter() };
            if self.printer.is_broken() {
                return;
            }
            match found {
                Found::File(entry) => {
                    total.add(&entry);
                    let flow = Arc::clone(self);
                    self.hand_over.exec_async(move || flow.start(number, entry, place));
                }
                Found::Skipped => {
                    self.meter.flag(flag::SKIPPED);
                    self.printer.put(number, Outcome::Skipped, place);
                }
                Found::Failed(failure) => {
                    self.meter.flag(flag::FAILED);
                    self.printer.put(number, Outcome::Failed(failure), place);
                }
            }
        }
        self.meter.total(total);
    }

    /// Goes through a listing that is longer than the walk may run ahead, only to say how much there is.
    fn count(self: &Arc<Self>) {
        let Some(queue) = &self.count else { return };
        let flow = Arc::clone(self);
        queue.exec_async(move || {
            let mut total = Total::default();
            for found in flow.listing.entries() {
                if let Found::File(entry) = found {
                    total.add(&entry);
                }
            }
            flow.meter.estimate(total);
        });
    }

    /// Waits until a worker is free, and gives it the file.
    fn start(self: Arc<Self>, number: u64, entry: Entry, place: Place) {
        let permit = self.jobs.acquire();
        let flow = Arc::clone(&self);
        self.hash.exec_async(move || {
            let finished = match flow.printer.is_broken() {
                false => flow.worker.hash(entry),
                true => Outcome::Skipped.into(),
            };
            drop(permit);
            flow.printer.put(number, finished, place);
        });
    }
}
