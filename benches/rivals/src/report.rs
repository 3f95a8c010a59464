//! Tables of what was measured.

use crate::measure::Measured;
use crate::row::{FETCH_ADD, Goal, Row, Sample};
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

/// What stands above the [`summary_line`]s.
pub(crate) const SUMMARY_HEAD: &str = "| workload | Concourse | goal | others, the best first |\n|---|---|---|---|";

/// A row in one line of a table: the medians of its first metric.
pub(crate) fn summary_line(measured: &Measured) -> String {
    let row = measured.row;
    let (ours, mut others): (Vec<_>, Vec<_>) = measured
        .samples
        .iter()
        .map(|(name, samples)| (*name, of_metric(samples, 0)))
        .partition(|contender| is_concourse(contender.0));
    others.sort_by(|one, other| one.1.median.total_cmp(&other.1.median));
    let one = |(name, of): &(&str, Summary)| format!("{name} {}", figure(of.median));
    let mine =
        ours.first().map(|(_, of)| format!("**{}** ({}-{})", figure(of.median), figure(of.least), figure(of.most)));
    let others: Vec<_> = others.iter().chain(ours.iter().skip(1)).map(one).collect();
    let goal = match row.goal {
        Goal::AtMost(_) => format!("{}: {}", goal_here(measured), judgement(measured)),
        Goal::Times(factor, of) => format!("{factor} x {of}: {}", judgement(measured)),
    };
    format!("| {}, {} | {} | {goal} | {} |", row.name, row.metrics[0], mine.unwrap_or_default(), others.join(", "))
}

fn is_concourse(name: &str) -> bool {
    name.starts_with("concourse")
}

/// What the row's goal amounts to in each round, in the row's first metric.
fn bounds(measured: &Measured) -> Vec<f64> {
    match measured.row.goal {
        Goal::AtMost(goal) if measured.row.is_per_operation() => {
            measured.fetch_add.iter().map(|here| goal * here / FETCH_ADD).collect()
        }
        Goal::AtMost(goal) => vec![goal; measured.fetch_add.len()],
        Goal::Times(factor, of) => {
            let floor = measured.samples.iter().find(|other| other.0 == of);
            floor.map_or(Vec::new(), |(_, samples)| samples.iter().map(|sample| factor * sample[0]).collect())
        }
    }
}

/// The middle one of the bounds.
fn goal_here(measured: &Measured) -> String {
    let bounds = bounds(measured);
    if bounds.is_empty() { "unknown".to_owned() } else { figure(summary(bounds).median) }
}

/// In how many rounds the goal was reached.
fn judgement(measured: &Measured) -> String {
    let ours = measured.samples.first().filter(|first| is_concourse(first.0));
    let ours = ours.map_or(&[][..], |(_, samples)| samples);
    let reached = ours.iter().zip(bounds(measured)).filter(|(sample, bound)| sample[0] <= *bound).count();
    format!("{reached} of {}", ours.len())
}

/// Whether the goal was reached, and how Concourse stands to the best of the others.
fn verdict(measured: &Measured) -> String {
    let here = goal_here(measured);
    let goal = match measured.row.goal {
        Goal::AtMost(goal) if measured.row.is_per_operation() => {
            format!("at most {} where a `fetch_add` takes {FETCH_ADD} ns, which makes {here} here", figure(goal))
        }
        Goal::AtMost(goal) => format!("at most {}", figure(goal)),
        Goal::Times(factor, of) => format!("at most {factor} x {of}, which makes {here} here"),
    };
    let mut text = format!("Goal: {goal}; reached in {} rounds.", judgement(measured));
    let mut medians = measured.samples.iter().map(|(name, samples)| (*name, of_metric(samples, 0).median));
    let Some((_, mine)) = medians.next().filter(|first| is_concourse(first.0)) else { return text };
    let best = medians.filter(|other| !is_concourse(other.0)).min_by(|one, other| one.1.total_cmp(&other.1));
    // Nothing is so many times nothing.
    if let Some((name, best)) = best.filter(|best| best.1 > 0.0) {
        let _ = write!(text, " Against the best of the others, {name}: {:.2} x.", mine / best);
    }
    text
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
