//! Runs the same workloads on `concourse` and on its peers, and prints who needs how long.
//!
//! A workload is a [`Row`](row::Row): a definition, and one function per contender that does the work, checks its own
//! answer and returns what it measured. Every measurement is a process of its own, and the contenders take turns: round by round,
//! one process each, so that a busy minute of the machine hits all of them, and no pool of one runs beside another's.
//!
//! ```text
//! cargo run --release -p concourse-rivals -- table                 every row, five rounds, as Markdown and JSON lines
//! cargo run --release -p concourse-rivals -- table --rows pingpong,starfish --rounds 9
//! cargo run --release -p concourse-rivals -- table --quick         only whether everything runs and answers right
//! cargo run --release -p concourse-rivals -- scale --plots DIR     the cost of an operation as the work grows
//! cargo run --release -p concourse-rivals -- tail                  how long a closure waits beside other work
//! ```

mod journal;
mod measure;
mod peers;
mod plot;
mod report;
mod row;
mod rows;
mod scale;
mod statistics;
mod tail;
mod tally;

use clap::{Args, Parser, Subcommand};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(about = "Runs the same workloads on concourse and on its peers")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure rows, print a Markdown table and write JSON lines.
    Table(TableArguments),
    /// List the rows and who takes part in each.
    List,
    /// Measure the cost of an operation as the work grows, print a table for each curve, and plot it.
    Scale(scale::Arguments),
    /// Measure how long a closure waits for its start while background work keeps every thread busy.
    Tail(tail::Arguments),
    /// Measure one contender once, in this process, and print its figures.
    #[command(hide = true)]
    One { row: String, contender: String, size: u64 },
    /// Measure one point of a curve once, in this process, and print its figures.
    #[command(hide = true)]
    Point(scale::Point),
}

#[derive(Args)]
struct TableArguments {
    /// Only these rows, separated by commas.
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// Only these contenders, separated by commas.
    #[arg(long, value_delimiter = ',')]
    contenders: Vec<String>,
    /// How often each contender is measured.
    #[arg(long, default_value = "5")]
    rounds: NonZeroUsize,
    /// One small round, for a check that everything runs.
    #[arg(long)]
    quick: bool,
    /// Where the JSON lines go, one per measurement.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Command::List => {
            rows::all().iter().for_each(|row| println!("{}", report::definition(row)));
            Ok(())
        }
        Command::One { row, contender, size } => {
            measure::here(rows::all().into_iter().chain(tail::rows()).collect(), &row, &contender, size)
        }
        Command::Point(point) => scale::here(&point),
        Command::Scale(arguments) => scale::run(&arguments),
        Command::Tail(arguments) => tail::run(arguments),
        Command::Table(table) => {
            let plan = measure::Plan {
                rows: table.rows,
                contenders: table.contenders,
                rounds: if table.quick { 1 } else { table.rounds.get() },
                quick: table.quick,
                json: table.json,
            };
            measure::table(rows::all(), &plan)
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rivals: {error}");
            ExitCode::FAILURE
        }
    }
}
