//! `flush`.

use super::wait;
use crate::failure::Failure;
use crate::home::Home;
use crate::store::Store as _;
use crate::text::brief;
use crate::text::grouped;
use std::time::Duration;

/// Lets everything that rests be due, and waits until nothing is left to send.
pub(super) fn flush(home: &Home, timeout: Duration) -> Result<(), Failure> {
    let mut store = home.store()?;
    store.hurry()?;
    let outcome = wait::until(home, timeout, move || match store.totals() {
        Ok(totals) if totals.pending > 0 => None,
        totals => Some(totals),
    })?;
    match outcome {
        Some(totals) => totals.map(drop).map_err(Failure::from),
        None => {
            let pending = grouped(home.store()?.totals()?.pending);
            let hint = if home.has_drainer() { "" } else { ", and nobody sends: `run` does" };
            Err(Failure::Pending(format!("{pending} saves are still pending after {}{hint}", brief(timeout))))
        }
    }
}
