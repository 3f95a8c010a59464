//! `status`.

use super::print;
use super::print_json;
use crate::failure::Failure;
use crate::home::Home;
use crate::report::Figures;
use crate::report::LinkState;
use crate::store::Store as _;
use crate::text::brief;
use crate::text::grouped;
use serde::Serialize;
use std::fs;
use std::time::Duration;

/// How a queue stands.
#[derive(Serialize)]
struct Status {
    pending: i64,
    dead: i64,
    bytes: i64,
    saved: i64,
    sent: i64,
    dropped: i64,
    paused: bool,
    offline: bool,
    /// What the process says that sends, if one does.
    drainer: Option<Figures>,
}

/// Shows how much is stored and who sends.
pub(super) fn status(home: &Home, json: bool) -> Result<(), Failure> {
    let mut store = home.store()?;
    let totals = store.totals()?;
    let live = || fs::read_to_string(home.live()).ok().and_then(|text| serde_json::from_str(&text).ok());
    let status = Status {
        pending: totals.pending,
        dead: totals.dead,
        bytes: totals.bytes,
        saved: totals.saved,
        sent: totals.sent,
        dropped: totals.dropped,
        paused: store.is_paused()?,
        offline: home.is_offline(),
        drainer: home.has_drainer().then(live).flatten(),
    };
    if json { print_json(&status) } else { print(&in_words(&status)) }
}

fn in_words(status: &Status) -> String {
    let Status { pending, dead, bytes, saved, sent, dropped, paused, offline, drainer } = status;
    let (pending, dead, bytes) = (grouped(*pending), grouped(*dead), grouped(*bytes));
    let mut text = format!("pending  {pending}\ndead     {dead}\nbytes    {bytes}\n");
    text += &format!("ever     {} saved, {} sent", grouped(*saved), grouped(*sent));
    if *dropped > 0 {
        text += &format!(", {} dropped or replaced as told", grouped(*dropped));
    }
    if *paused {
        text += "\npaused   until `resume`";
    }
    if *offline {
        text += "\noffline  until the file `offline` is gone";
    }
    let Some(figures) = drainer else { return text + "\nsender   none; `run` sends" };
    let state = match figures.level.link {
        LinkState::Online => "online",
        LinkState::Offline => "offline",
        LinkState::NotAuthorized => "not authorized",
        LinkState::Paused => "paused",
    };
    text += &format!("\nsender   process {}, {state}, {} sent", figures.pid, grouped(figures.sent as i64));
    if let Some(next) = figures.level.next_in_ms {
        text += &format!(", next try within {}", brief(Duration::from_millis(next)));
    }
    text += &format!(
        "\nfound    {} in {} looks, at most {} at once; woken {} times",
        grouped(figures.enqueued as i64),
        grouped(figures.enqueued_in as i64),
        grouped(figures.enqueued_at_most as i64),
        grouped(figures.level.turns as i64)
    );
    text
}
