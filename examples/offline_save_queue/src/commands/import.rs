//! `import`.

use super::draft;
use super::save::acknowledge;
use crate::args::RuleArgs;
use crate::crash;
use crate::failure::Context as _;
use crate::failure::Failure;
use crate::home::Home;
use crate::op::Change;
use crate::op::Draft;
use crate::store::Rules;
use crate::store::Sqlite;
use crate::store::Store as _;
use crate::store::StoreError;
use crate::text::wall_ms;
use crate::wire::given;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::fs::File;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::path::Path;

/// So many saves at most share one sync of the disk.
const BATCH: usize = 500;

/// A line of the input.
#[derive(Deserialize)]
struct Line {
    key: String,
    #[serde(default, deserialize_with = "given")]
    body: Option<Box<RawValue>>,
    #[serde(default)]
    delete: bool,
}

/// Stores a save for each line, and prints its receipt when it is on the disk. What is behind a line that cannot be
/// taken is not looked at.
pub(super) fn import(home: &Home, file: &Path, rules: RuleArgs, json: bool) -> Result<(), Failure> {
    let rules = super::rules(home, rules)?;
    let mut store = home.store()?;
    let input: Box<dyn Read> = match file.to_str() {
        Some("-") => Box::new(io::stdin()),
        _ => Box::new(File::open(file).context(file.display())?),
    };
    let mut input = BufReader::with_capacity(1 << 20, input);
    let mut number = 0;
    loop {
        let mut batch = Vec::new();
        let end = gather(&mut input, &mut batch, &mut number);
        store_all(&mut store, &batch, &rules, json)?;
        if end? {
            return Ok(());
        }
    }
}

/// Takes lines up to a full batch, or as far as there are any without waiting. True at the end of the input.
fn gather(input: &mut BufReader<Box<dyn Read>>, batch: &mut Vec<Draft>, number: &mut usize) -> Result<bool, Failure> {
    let mut line = String::new();
    while batch.len() < BATCH {
        if !batch.is_empty() && !input.buffer().contains(&b'\n') {
            return Ok(false);
        }
        line.clear();
        *number += 1;
        if input.read_line(&mut line).context(format!("line {number}"))? == 0 {
            return Ok(true);
        }
        if !line.trim().is_empty() {
            batch.push(parse(&line).map_err(|why| Failure::Usage(format!("line {number}: {why}")))?);
        }
    }
    Ok(false)
}

fn parse(line: &str) -> Result<Draft, String> {
    let Line { key, body, delete } = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let change = match (body, delete) {
        (Some(body), false) => Change::Put(body.get().to_owned()),
        (None, true) => Change::Delete,
        _ => return Err("a line has either a body or \"delete\": true".to_owned()),
    };
    draft(key, change).map_err(|failure| failure.to_string())
}

fn store_all(store: &mut Sqlite, batch: &[Draft], rules: &Rules, json: bool) -> Result<(), Failure> {
    if batch.is_empty() {
        return Ok(());
    }
    let receipts = match store.save(batch, rules, wall_ms()) {
        // Some of them may have room.
        Err(StoreError::Full(_)) if batch.len() > 1 => {
            return batch.iter().try_for_each(|draft| store_all(store, std::slice::from_ref(draft), rules, json));
        }
        receipts => receipts?,
    };
    receipts.iter().try_for_each(|receipt| acknowledge(receipt, json))?;
    crash::point("save.after_receipt");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_body_or_a_deletion() {
        let put = Draft { key: "a".to_owned(), change: Change::Put("{\"x\": 1}".to_owned()) };
        assert_eq!(parse(r#"{"key": "a", "body": {"x": 1}}"#), Ok(put));
        assert_eq!(parse(r#"{"key": "a", "delete": true}"#), Ok(Draft { key: "a".to_owned(), change: Change::Delete }));
        assert_eq!(
            parse(r#"{"key": "a", "body": null, "seq": 7}"#),
            Ok(Draft { key: "a".to_owned(), change: Change::Put("null".to_owned()) })
        );
        for line in
            ["{}", "[]", "x", r#"{"key":"a"}"#, r#"{"key":"a","body":1,"delete":true}"#, r#"{"key":"","delete":true}"#]
        {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
