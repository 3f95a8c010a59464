//! Taking turns: one process per measurement, round by round.

use crate::report;
use crate::row::{Row, Sample};
use crate::rows;
use serde_json::json;
use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// What to measure, and how often.
pub(crate) struct Plan {
    /// All if empty.
    pub(crate) rows: Vec<String>,
    /// All if empty.
    pub(crate) contenders: Vec<String>,
    pub(crate) rounds: usize,
    pub(crate) quick: bool,
    pub(crate) json: Option<PathBuf>,
}

/// What the contenders of one row needed, each with a sample per round.
pub(crate) struct Measured {
    pub(crate) row: &'static Row,
    pub(crate) samples: Vec<(&'static str, Vec<Sample>)>,
}

/// Measures every row of the plan and prints its table as soon as it is there.
pub(crate) fn table(plan: &Plan) -> Outcome {
    let known = rows::all();
    if let Some(unknown) = plan.rows.iter().find(|name| !known.iter().any(|row| row.name == name.as_str())) {
        return Err(format!("there is no row {unknown}; `list` names them").into());
    }
    let mut json = plan.json.as_ref().map(File::create).transpose()?;
    println!("{}", report::machine());
    for row in known.into_iter().filter(|row| is_wanted(&plan.rows, row.name)) {
        let measured = measure(row, plan, &mut json)?;
        println!("{}", report::table(&measured));
    }
    Ok(())
}

fn is_wanted(names: &[String], name: &str) -> bool {
    names.is_empty() || names.iter().any(|wanted| wanted == name)
}

fn measure(row: &'static Row, plan: &Plan, json: &mut Option<File>) -> Outcome<Measured> {
    let wanted = |name| is_wanted(&plan.contenders, name);
    let mut samples: Vec<_> =
        row.contenders.iter().filter(|one| wanted(one.name)).map(|one| (one.name, Vec::new())).collect();
    for round in 0..plan.rounds {
        for (contender, samples) in &mut samples {
            let sample = in_a_process(row, contender, if plan.quick { row.quick } else { row.size })?;
            if let Some(file) = json {
                let figures: serde_json::Map<_, _> = row
                    .metrics
                    .iter()
                    .zip(&sample)
                    .map(|(metric, figure)| (metric.to_string(), json!(figure)))
                    .collect();
                writeln!(
                    file,
                    "{}",
                    json!({"row": row.name, "contender": contender, "round": round, "figures": figures})
                )?;
            }
            samples.push(sample);
        }
    }
    Ok(Measured { row, samples })
}

fn in_a_process(row: &Row, contender: &str, size: u64) -> Outcome<Sample> {
    let output = Command::new(std::env::current_exe()?)
        .args(["one", row.name, contender, &size.to_string()])
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let sample = text.split_whitespace().map(str::parse).collect::<Result<Sample, _>>()?;
    if !output.status.success() || sample.len() != row.metrics.len() {
        return Err(format!("{} on {contender}: {} with {text:?}", row.name, output.status).into());
    }
    Ok(sample)
}

/// The other side of `in_a_process`.
pub(crate) fn here(row: &str, contender: &str, size: u64) -> Outcome {
    let row = rows::all().into_iter().find(|known| known.name == row).ok_or("no such row")?;
    let one = row.contenders.iter().find(|known| known.name == contender).ok_or("no such contender")?;
    let figures: Vec<_> = (one.run)(size).iter().map(f64::to_string).collect();
    println!("{}", figures.join(" "));
    Ok(())
}
