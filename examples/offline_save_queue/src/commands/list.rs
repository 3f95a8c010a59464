//! `list`, and how a save is shown.

use super::print;
use super::print_json;
use crate::failure::Failure;
use crate::home::Home;
use crate::op::Seq;
use crate::store::Letter;
use crate::store::Store as _;
use crate::text::brief;
use crate::text::wall_ms;
use serde::Serialize;
use std::time::Duration;

/// Shows everything that waits or is dead.
pub(super) fn list(home: &Home, key: Option<&str>, json: bool) -> Result<(), Failure> {
    let letters = home.store()?.list()?;
    show_all(letters.iter().filter(|letter| key.is_none_or(|key| letter.op.key == key)), json)
}

/// Shows a line for each.
pub(super) fn show_all<'a>(letters: impl Iterator<Item = &'a Letter>, json: bool) -> Result<(), Failure> {
    for letter in letters {
        if json {
            print_json(&Shown::from(letter))?;
        } else {
            print(&line(letter))?;
        }
    }
    Ok(())
}

fn line(letter: &Letter) -> String {
    let what = letter.op.change.body().map_or_else(|| "delete".to_owned(), |body| format!("{} bytes", body.len()));
    let rests = Duration::from_millis(letter.next_at_ms.saturating_sub(wall_ms()).try_into().unwrap_or(0));
    let state = match letter {
        Letter { is_dead: true, .. } => "dead".to_owned(),
        Letter { attempts: 0, .. } => "waits".to_owned(),
        _ if rests.is_zero() => "due".to_owned(),
        _ => format!("next try in {}", brief(rests)),
    };
    let mut line =
        format!("{:>8}  {:<24}  {what:>12}  {state}", letter.op.seq, letter.op.key.escape_debug().to_string());
    if letter.attempts > 0 || letter.is_dead {
        let status = letter.status.map_or_else(String::new, |status| format!("{status} "));
        line += &format!("  ({} attempts: {status}{})", letter.attempts, letter.why.as_deref().unwrap_or_default());
    }
    line
}

/// Everything that is known of a save, as JSON.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    seq: Seq,
    idem: &'a str,
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    delete: bool,
    state: &'static str,
    attempts: u32,
    next_at_ms: i64,
    status: Option<u16>,
    why: Option<&'a str>,
    created_ms: i64,
}

impl<'a> From<&'a Letter> for Shown<'a> {
    fn from(letter: &'a Letter) -> Self {
        let body = letter.op.change.body();
        Self {
            seq: letter.op.seq,
            idem: letter.op.idem.as_str(),
            key: &letter.op.key,
            // What is damaged may be no JSON any more: it is shown as the text that it is.
            body: body.map(|body| serde_json::from_str(body).unwrap_or_else(|_| body.into())),
            delete: body.is_none(),
            state: if letter.is_dead { "dead" } else { "waiting" },
            attempts: letter.attempts,
            next_at_ms: letter.next_at_ms,
            status: letter.status,
            why: letter.why.as_deref(),
            created_ms: letter.created_ms,
        }
    }
}
