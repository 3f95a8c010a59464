//! Plots with two logarithmic axes.

use plotters::coord::Shift;
use plotters::prelude::*;
use std::error::Error;
use std::path::Path;

/// What grows, and what an operation costs.
pub(crate) struct Plot {
    pub(crate) title: &'static str,
    pub(crate) axis: &'static str,
    /// Each with its label; cost over amount.
    pub(crate) lines: Vec<(String, Vec<(u64, f64)>)>,
    /// Amounts that are worth a vertical line, with what they are.
    pub(crate) marks: Vec<(String, u64)>,
}

/// How much of the height stays free above and below the lines, as a factor.
const AIR: f64 = 1.6;

const SIZE: (u32, u32) = (960, 520);

/// Where the legend begins.
const LEGEND: u32 = 680;

const COLOURS: [RGBColor; 6] = [
    RGBColor(31, 91, 181),
    RGBColor(201, 76, 33),
    RGBColor(46, 134, 76),
    RGBColor(134, 72, 160),
    RGBColor(110, 110, 110),
    RGBColor(160, 120, 20),
];

type Outcome = Result<(), Box<dyn Error>>;

/// Draws the plot as an SVG file.
pub(crate) fn log_log(path: &Path, plot: &Plot) -> Outcome {
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let (chart, legend) = area.split_horizontally(LEGEND);
    draw_chart(&chart, plot)?;
    for (number, (label, _)) in plot.lines.iter().enumerate() {
        let y = 72 + 24 * number as i32;
        legend.draw(&PathElement::new([(8, y), (30, y)], colour(number).stroke_width(2)))?;
        legend.draw(&Text::new(label.as_str(), (38, y - 7), ("sans-serif", 14)))?;
    }
    area.present()?;
    Ok(())
}

fn draw_chart(area: &DrawingArea<SVGBackend<'_>, Shift>, plot: &Plot) -> Outcome {
    let points = || plot.lines.iter().flat_map(|line| &line.1);
    let [left, right] = ends(points().map(|point| point.0 as f64));
    let [bottom, top] = ends(points().map(|point| point.1));
    let (bottom, top) = (bottom / AIR, top * AIR);
    let mut chart = ChartBuilder::on(area)
        .caption(plot.title, ("sans-serif", 22))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d((left..right).log_scale(), (bottom..top).log_scale())?;
    chart
        .configure_mesh()
        .x_desc(plot.axis)
        .y_desc("ns per operation")
        .x_label_formatter(&f64::to_string)
        .y_label_formatter(&f64::to_string)
        .light_line_style(WHITE)
        .draw()?;
    for (mark, amount) in &plot.marks {
        let amount = *amount as f64;
        if (left..right).contains(&amount) {
            chart.draw_series([PathElement::new([(amount, bottom), (amount, top)], BLACK.mix(0.5))])?;
            chart.draw_series([Text::new(format!(" {mark} full"), (amount, top), ("sans-serif", 13))])?;
        }
    }
    for (number, (_, points)) in plot.lines.iter().enumerate() {
        let points = points.iter().map(|&(amount, cost)| (amount as f64, cost));
        chart.draw_series(LineSeries::new(points.clone(), colour(number).stroke_width(2)))?;
        chart.draw_series(points.map(|point| Circle::new(point, 3, colour(number).filled())))?;
    }
    Ok(())
}

fn colour(number: usize) -> RGBColor {
    COLOURS[number % COLOURS.len()]
}

fn ends(values: impl Iterator<Item = f64> + Clone) -> [f64; 2] {
    [values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max)]
}
