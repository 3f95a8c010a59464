//! The cost of an operation as the work grows.
//!
//! A [`Curve`] is measured like a row of the table, each point in a process of its own and in turns, and comes out as a
//! table, a verdict for each line in it, and a plot with two logarithmic axes. What is asked of Concourse is that nothing
//! grows faster than the work: twice the queues, timers, closures or threads may cost twice as much, and not more, except
//! where a cache ends.

mod backlog;
mod caches;
mod chains;
mod curve;
mod queues;
mod report;
mod sources;
mod threads;
mod timers;

use crate::journal::Journal;
use crate::measure::{self, Outcome};
use crate::plot::{self, Plot};
use crate::report::machine;
use crate::row::Sample;
use crate::statistics::{Summary, summary};
use clap::Args;
use curve::{Contender, Curve, Load};
use serde_json::json;
use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Only these curves, separated by commas.
    #[arg(long, value_delimiter = ',')]
    curves: Vec<String>,
    /// How often each point is measured.
    #[arg(long, default_value = "3")]
    rounds: NonZeroUsize,
    /// The first points only, once and with little work, for a check that everything runs.
    #[arg(long)]
    quick: bool,
    /// Where the JSON lines go, one per measurement.
    #[arg(long)]
    json: Option<PathBuf>,
    /// A directory for the plots, one SVG per curve.
    #[arg(long)]
    plots: Option<PathBuf>,
}

/// One point of one contender, for a process of its own.
#[derive(Args)]
pub(crate) struct Point {
    curve: String,
    contender: String,
    amount: u64,
    operations: u64,
}

/// What one contender needs for one thing as the work grows.
struct Line {
    contender: &'static str,
    unit: &'static str,
    points: Vec<(u64, Summary)>,
}

fn all() -> impl Iterator<Item = &'static Curve> {
    [queues::CURVES, backlog::CURVES, timers::CURVES, chains::CURVES, sources::CURVES, threads::CURVES]
        .into_iter()
        .flatten()
}

/// Measures every curve that is asked for, and prints and plots it as soon as it is there.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    if let Some(unknown) = arguments.curves.iter().find(|name| !all().any(|curve| curve.name == name.as_str())) {
        let names: Vec<_> = all().map(|curve| curve.name).collect();
        return Err(format!("there is no curve {unknown}, only {}", names.join(", ")).into());
    }
    let mut journal = Journal::create(arguments.json.as_deref())?;
    arguments.plots.as_deref().map(fs::create_dir_all).transpose()?;
    println!("{}", machine());
    for curve in all().filter(|curve| measure::is_wanted(&arguments.curves, curve.name)) {
        let lines = measure(curve, arguments, &mut journal)?;
        println!("{}", report::section(curve, &lines));
        if let Some(directory) = &arguments.plots {
            let path = directory.join(curve.name).with_extension("svg");
            plot::log_log(&path, &plotted(curve, &lines))?;
        }
    }
    Ok(())
}

fn plotted(curve: &Curve, lines: &[Line]) -> Plot {
    Plot {
        title: curve.name,
        axis: curve.axis,
        lines: lines.iter().map(|line| (line.label(), line.medians())).collect(),
        marks: caches::ends(curve.footprint).into_iter().map(|end| (end.cache, end.amount)).collect(),
    }
}

/// Measures every point of a curve, round by round.
fn measure(curve: &Curve, arguments: &Arguments, journal: &mut Journal) -> Outcome<Vec<Line>> {
    let points = curve.points(arguments.quick);
    let operations = curve.operations(arguments.quick).to_string();
    let rounds = if arguments.quick { 1 } else { arguments.rounds.get() };
    let mut samples = vec![vec![Vec::new(); points.len()]; curve.contenders.len()];
    for round in 0..rounds {
        for (point, &amount) in points.iter().enumerate() {
            for (contender, samples) in curve.contenders.iter().zip(&mut samples) {
                let process = ["point", curve.name, contender.name, &amount.to_string(), &operations];
                let sample = measure::in_a_process(&process, curve.metrics.len())?;
                let measured =
                    json!({"curve": curve.name, "contender": contender.name, "amount": amount, "round": round});
                journal.write(measured, curve.metrics, &sample)?;
                samples[point].push(sample);
            }
        }
    }
    let of_contenders = curve.contenders.iter().zip(&samples);
    Ok(of_contenders.flat_map(|(contender, samples)| lines(curve, contender, points, samples)).collect())
}

/// One line for each thing that was measured, from the samples of each point.
fn lines(curve: &Curve, contender: &Contender, points: &[u64], samples: &[Vec<Sample>]) -> Vec<Line> {
    let line = |(metric, &unit): (usize, &&'static str)| {
        let of_metric = samples.iter().map(|samples| summary(samples.iter().map(|sample| sample[metric])));
        Line { contender: contender.name, unit, points: points.iter().copied().zip(of_metric).collect() }
    };
    curve.metrics.iter().enumerate().map(line).collect()
}

/// The other side of `measure`: one point, in this process.
pub(crate) fn here(point: &Point) -> Outcome {
    let curve = all().find(|known| known.name == point.curve).ok_or("no such curve")?;
    let contender = curve.contenders.iter().find(|known| known.name == point.contender).ok_or("no such contender")?;
    measure::print(&(contender.run)(Load { amount: point.amount, operations: point.operations }));
    Ok(())
}

impl Line {
    fn label(&self) -> String {
        format!("{}, {}", self.contender, self.unit)
    }

    fn medians(&self) -> Vec<(u64, f64)> {
        self.points.iter().map(|&(amount, of)| (amount, of.median)).collect()
    }
}
