//! Tables of curves, and what is to be said of them.

use super::Line;
use super::caches;
use super::curve::{Curve, Growth};
use crate::report::figure;
use crate::statistics::Summary;
use std::fmt::Write;

/// The power of growth above which a total is called more than linear.
const LINEAR: f64 = 1.15;

/// How many points at the end tell of the growth.
const TAIL: usize = 3;

/// A curve as a section of Markdown: the table, and a verdict for each line.
pub(super) fn section(curve: &Curve, lines: &[Line]) -> String {
    let mut text = format!("### {}\n\n{}\n\n| {} |", curve.name, curve.what, curve.axis);
    lines.iter().for_each(|line| _ = write!(text, " {} |", line.label()));
    text.push_str("\n|---|");
    lines.iter().for_each(|_| text.push_str("---|"));
    for row in 0..lines[0].points.len() {
        let _ = write!(text, "\n| {} |", grouped(lines[0].points[row].0));
        for line in lines {
            let Summary { least, median, most } = line.points[row].1;
            let _ = write!(text, " **{}** ({}-{}) |", figure(median), figure(least), figure(most));
        }
    }
    text.push_str("\n\n");
    lines.iter().for_each(|line| _ = writeln!(text, "- {}: {}", line.label(), verdict(curve.growth, line)));
    for (ours, theirs) in pairs(lines) {
        let _ = writeln!(text, "- {} against {}: {}", ours.label(), theirs.contender, comparison(ours, theirs));
    }
    let ends = caches::ends(curve.footprint);
    let ends: Vec<_> = ends.iter().map(|end| format!("{} with {}", end.cache, grouped(end.amount))).collect();
    if !ends.is_empty() {
        let _ = writeln!(text, "- At {} bytes each the caches are full: {}.", curve.footprint, ends.join(", "));
    }
    text
}

/// How far apart the points are, and how the total grows at the end.
fn verdict(growth: Growth, line: &Line) -> String {
    let points = line.medians();
    let (least, most) = extremes(&points);
    let power = power(growth, &points[points.len().saturating_sub(TAIL)..]);
    format!(
        "least {} at {}, most {} at {}, {} times as much. At the end the total grows with the power {power:.2}, {}.",
        figure(least.1),
        grouped(least.0),
        figure(most.1),
        grouped(most.0),
        figure(most.1 / least.1),
        if power > LINEAR { "MORE than linearly" } else { "no more than linearly" },
    )
}

/// What the others need for the same thing, beside what Concourse needs.
fn pairs(lines: &[Line]) -> impl Iterator<Item = (&Line, &Line)> {
    let (ours, theirs): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.contender == "concourse");
    ours.into_iter().flat_map(move |our| {
        let same: Vec<_> = theirs.iter().filter(|their| their.unit == our.unit).map(|&their| (our, their)).collect();
        same
    })
}

fn comparison(ours: &Line, theirs: &Line) -> String {
    let ratios: Vec<_> =
        ours.medians().iter().zip(theirs.medians()).map(|(ours, theirs)| (ours.0, ours.1 / theirs.1)).collect();
    let (least, most) = extremes(&ratios);
    format!("from {:.2} x at {} to {:.2} x at {}.", least.1, grouped(least.0), most.1, grouped(most.0))
}

/// The points with the least and the largest value.
fn extremes(points: &[(u64, f64)]) -> ((u64, f64), (u64, f64)) {
    let by_value = |one: &(u64, f64), other: &(u64, f64)| one.1.total_cmp(&other.1);
    let least = points.iter().copied().min_by(by_value).expect("a curve has points");
    let most = points.iter().copied().max_by(by_value).expect("a curve has points");
    (least, most)
}

/// The power of the amount with which the total grows: the slope of the line that fits their logarithms best.
fn power(growth: Growth, points: &[(u64, f64)]) -> f64 {
    let logarithms = points.iter().map(|&(amount, each)| {
        let total = if growth == Growth::Operations { each * amount as f64 } else { each };
        ((amount as f64).ln(), total.ln())
    });
    let count = points.len() as f64;
    let (sum_x, sum_y) = logarithms.clone().fold((0.0, 0.0), |sum, (x, y)| (sum.0 + x, sum.1 + y));
    let (mean_x, mean_y) = (sum_x / count, sum_y / count);
    let (together, alone) = logarithms
        .fold((0.0, 0.0), |sum, (x, y)| (sum.0 + (x - mean_x) * (y - mean_y), sum.1 + (x - mean_x) * (x - mean_x)));
    together / alone
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = (digits.len() - 1) % 3 + 1;
    let (first, rest) = digits.split_at(first);
    rest.as_bytes().chunks(3).fold(first.to_owned(), |text, three| format!("{text},{}", String::from_utf8_lossy(three)))
}

#[cfg(test)]
mod tests {
    use super::{Growth, grouped, power};

    #[test]
    fn the_power_of_what_grows_is_found() {
        let near = |power: f64, expected: f64| assert!((power - expected).abs() < 1e-9, "{power}");
        near(power(Growth::Operations, &[(10, 7.0), (100, 7.0), (1_000, 7.0)]), 1.0);
        near(power(Growth::Operations, &[(10, 7.0), (100, 70.0), (1_000, 700.0)]), 2.0);
        near(power(Growth::Depth, &[(20, 4.0), (50, 10.0), (100, 20.0)]), 1.0);
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([1, 999, 1_000, 10_000_000].map(grouped), ["1", "999", "1,000", "10,000,000"]);
    }
}
