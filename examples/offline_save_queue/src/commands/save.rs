//! `save` and `delete`.

use super::print;
use super::print_json;
use super::rules;
use super::wait;
use crate::args::Saving;
use crate::crash;
use crate::failure::Context as _;
use crate::failure::Failure;
use crate::home::Home;
use crate::op::Draft;
use crate::op::LARGEST_BODY;
use crate::op::Receipt;
use crate::op::Seq;
use crate::store::Store as _;
use crate::store::Whereabouts;
use crate::text::brief;
use crate::text::wall_ms;
use serde::Serialize;
use serde_json::value::RawValue;
use std::io;
use std::io::Read as _;
use std::time::Duration;

/// The new object: what the command line says, or the standard input.
pub(super) fn body(json: Option<&str>) -> Result<String, Failure> {
    let text = match json {
        Some(json) if json != "-" => json.to_owned(),
        _ => {
            let mut text = String::new();
            // One byte more than can be taken, to tell that it is too much.
            io::stdin().lock().take(LARGEST_BODY as u64 + 1).read_to_string(&mut text).context("the standard input")?;
            text
        }
    };
    match serde_json::from_str::<&RawValue>(&text) {
        Ok(body) => Ok(body.get().to_owned()),
        Err(_) if text.len() > LARGEST_BODY => Ok(text),
        Err(error) => Err(Failure::Usage(format!("the object is not JSON: {error}"))),
    }
}

/// Stores a save, and says so when it is on the disk.
pub(super) fn save(home: &Home, draft: Draft, saving: &Saving, json: bool) -> Result<(), Failure> {
    let rules = rules(home, saving.rules)?;
    let mut store = home.store()?;
    for receipt in store.save(&[draft], &rules, wall_ms())? {
        acknowledge(&receipt, json)?;
        crash::point("save.after_receipt");
        if let Some(timeout) = saving.wait {
            wait_until_sent(home, receipt.seq, timeout)?;
        }
    }
    Ok(())
}

/// The line that says that a save is on the disk.
pub(super) fn acknowledge(receipt: &Receipt, json: bool) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Json<'a> {
        seq: Seq,
        idem: &'a str,
    }
    if json { print_json(&Json { seq: receipt.seq, idem: receipt.idem.as_str() }) } else { print(&receipt.to_string()) }
}

/// Makes the sending, which another process does some time, a call that returns when it is done.
fn wait_until_sent(home: &Home, seq: Seq, timeout: Duration) -> Result<(), Failure> {
    let mut store = home.store()?;
    let outcome = wait::until(home, timeout, move || match store.whereabouts(seq) {
        Ok(Whereabouts::Waiting) => None,
        whereabouts => Some(whereabouts),
    })?;
    match outcome {
        None => Err(Failure::Pending(format!("{seq} is stored, and not sent after {}", brief(timeout)))),
        Some(Err(error)) => Err(error.into()),
        Some(Ok(Whereabouts::Dead)) => Err(Failure::Dead(format!("{seq} is a dead letter; see `dead show {seq}`"))),
        Some(Ok(_)) => Ok(()),
    }
}
