//! Tables of what was measured.

use crate::measure::Measured;
use crate::row::{Goal, Row, Sample};
use crate::statistics::{Summary, summary};
use std::fmt::Write;

/// The machine, as a line of Markdown.
pub(crate) fn machine() -> String {
    let processor = std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| Some(text.lines().find(|line| line.starts_with("model name"))?.split_once(": ")?.1.to_owned()))
        .unwrap_or_else(|| "an unknown processor".to_owned());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "{processor}, {threads} hardware threads, load {} at the start.\n",
        load.split(' ').next().unwrap_or("unknown")
    )
}

/// A row's name, definition and contenders, as a line of text.
pub(crate) fn definition(row: &Row) -> String {
    let contenders: Vec<_> = row.contenders.iter().map(|one| one.name).collect();
    format!("{}: {} [{}; {}]", row.name, row.what, row.metrics.join(", "), contenders.join(", "))
}

/// A row as a Markdown table, with Concourse against the goal and the best of the others.
pub(crate) fn table(measured: &Measured) -> String {
    let row = measured.row;
    let mut text = format!("### {}\n\n{}\n\n| |", row.name, row.what);
    row.metrics.iter().for_each(|metric| _ = write!(text, " {metric} |"));
    text.push_str("\n|---|");
    row.metrics.iter().for_each(|_| text.push_str("---|"));
    for (name, samples) in &measured.samples {
        let _ = write!(text, "\n| {name} |");
        for metric in 0..row.metrics.len() {
            let Summary { least, median, most } = of_metric(samples, metric);
            let _ = write!(text, " **{}** ({}-{}) |", figure(median), figure(least), figure(most));
        }
    }
    let _ = writeln!(text, "\n\n{}", verdict(measured));
    text
}

/// Whether the goal was reached, and how Concourse stands to the best of the others.
fn verdict(measured: &Measured) -> String {
    let mut others = measured.samples.iter();
    let Some((_, ours)) = others.next().filter(|first| first.0 == "concourse") else {
        return "Concourse did not take part.".to_owned();
    };
    let mine = of_metric(ours, 0).median;
    let goal = match measured.row.goal {
        Goal::AtMost(goal) => {
            format!("Goal: at most {} where the goals were set; here {}.", figure(goal), figure(mine))
        }
        Goal::Times(factor, of) => match measured.samples.iter().find(|other| other.0 == of) {
            Some((_, samples)) => {
                let ratios = summary(ours.iter().zip(samples).map(|(mine, theirs)| mine[0] / theirs[0]));
                let Summary { least, median, most } = ratios;
                let verdict = if median <= factor { "reached" } else { "missed" };
                format!("Goal: at most {factor} x {of}: {verdict}, {median:.2} x ({least:.2}-{most:.2}).")
            }
            None => format!("Goal: at most {factor} x {of}, which did not take part."),
        },
    };
    let best = others
        .filter(|other| !other.0.starts_with("concourse"))
        .map(|(name, samples)| (of_metric(samples, 0).median, name))
        .min_by(|one, other| one.0.total_cmp(&other.0))
        // Nothing is so many times nothing.
        .filter(|best| best.0 > 0.0);
    match best {
        Some((best, name)) => format!("{goal} Against the best of the others, {name}: {:.2} x.", mine / best),
        None => goal,
    }
}

fn of_metric(samples: &[Sample], metric: usize) -> Summary {
    summary(samples.iter().map(|sample| sample[metric]))
}

/// Three digits that count.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
