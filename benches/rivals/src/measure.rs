//! Taking turns: one process per measurement, round by round.

use crate::journal::Journal;
use crate::report;
use crate::row::{Row, Sample};
use serde_json::json;
use std::error::Error;
use std::path::PathBuf;
use std::process::{Command, Stdio};

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

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
    /// What an uncontended `fetch_add` took in the same rounds, in nanoseconds.
    pub(crate) fetch_add: Vec<f64>,
}

/// Measures every one of the `known` rows that is planned and prints its table as soon as it is there.
pub(crate) fn table(known: Vec<&'static Row>, plan: &Plan) -> Outcome {
    if let Some(unknown) = plan.rows.iter().find(|name| !known.iter().any(|row| row.name == name.as_str())) {
        return Err(format!("there is no row {unknown}; `list` names them").into());
    }
    let takes_part = |name: &str| known.iter().any(|row| row.contenders.iter().any(|one| one.name == name));
    if let Some(unknown) = plan.contenders.iter().find(|name| !takes_part(name)) {
        return Err(format!("there is no contender {unknown}; `list` names them").into());
    }
    let mut journal = Journal::create(plan.json.as_deref())?;
    println!("{}", report::machine());
    let mut summaries = Vec::new();
    for row in known.into_iter().filter(|row| is_wanted(&plan.rows, row.name)) {
        let measured = measure(row, plan, &mut journal)?;
        println!("{}", report::table(&measured));
        summaries.push(report::summary_line(&measured));
    }
    println!("{}\n{}", report::SUMMARY_HEAD, summaries.join("\n"));
    Ok(())
}

/// True if a name was asked for: nothing asked for is everything.
pub(crate) fn is_wanted(names: &[String], name: &str) -> bool {
    names.is_empty() || names.iter().any(|wanted| wanted == name)
}

fn measure(row: &'static Row, plan: &Plan, journal: &mut Journal) -> Outcome<Measured> {
    let wanted = |name| is_wanted(&plan.contenders, name);
    let mut samples: Vec<_> =
        row.contenders.iter().filter(|one| wanted(one.name)).map(|one| (one.name, Vec::new())).collect();
    let mut fetch_add = Vec::new();
    for round in 0..plan.rounds {
        fetch_add.extend(in_a_process(&["one", "merge_add", "raw fetch_add", "2000000"], 1)?);
        for (contender, samples) in &mut samples {
            let size = if plan.quick { row.quick } else { row.size };
            let sample = in_a_process(&["one", row.name, contender, &size.to_string()], row.metrics.len())?;
            let measured = json!({"row": row.name, "contender": contender, "round": round});
            journal.write(measured, row.metrics, &sample)?;
            samples.push(sample);
        }
    }
    Ok(Measured { row, samples, fetch_add })
}

/// Measures once in a process of its own, which is this program with other arguments and ends in [`print()`] with so many
/// figures.
pub(crate) fn in_a_process(arguments: &[&str], figures: usize) -> Outcome<Sample> {
    let output = Command::new(std::env::current_exe()?).args(arguments).stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8(output.stdout)?;
    let sample = text.split_whitespace().map(str::parse).collect::<Result<Sample, _>>()?;
    if !output.status.success() || sample.len() != figures {
        return Err(format!("{}: {} with {text:?}", arguments.join(" "), output.status).into());
    }
    Ok(sample)
}

/// The other side of [`in_a_process`].
pub(crate) fn print(sample: &Sample) {
    let figures: Vec<_> = sample.iter().map(f64::to_string).collect();
    println!("{}", figures.join(" "));
}

/// Measures one contender of the `known` rows once, in this process.
pub(crate) fn here(known: Vec<&'static Row>, row: &str, contender: &str, size: u64) -> Outcome {
    let row = known.into_iter().find(|known| known.name == row).ok_or("no such row")?;
    let one = row.contenders.iter().find(|known| known.name == contender).ok_or("no such contender")?;
    print(&(one.run)(size));
    Ok(())
}
