//! `dead`: what the server will never take, and nobody has decided about.

use super::list::Shown;
use super::list::show_all;
use super::print;
use super::print_json;
use crate::args::Dead;
use crate::args::Which;
use crate::failure::Context as _;
use crate::failure::Failure;
use crate::home::Home;
use crate::op::Seq;
use crate::store::Sqlite;
use crate::store::Store as _;
use crate::store::StoreError;

/// Sees to the dead letters.
pub(super) fn dead(home: &Home, command: &Dead, json: bool) -> Result<(), Failure> {
    let mut store = home.store()?;
    match command {
        Dead::List => show_all(store.dead(None)?.iter(), json),
        Dead::Show { seq } => match store.dead(Some(&[*seq]))?.first() {
            Some(letter) if json => print_json(&Shown::from(letter)),
            Some(letter) => print(&serde_json::to_string_pretty(&Shown::from(letter)).context("JSON")?),
            None => Err(unknown(&[*seq])),
        },
        Dead::Retry(which) => change(&mut store, which, Sqlite::revive),
        Dead::Drop(which) => change(&mut store, which, Sqlite::drop_dead),
        Dead::Export => store.dead(None)?.iter().try_for_each(|letter| print_json(&Shown::from(letter))),
    }
}

fn change(
    store: &mut Sqlite,
    which: &Which,
    change: impl Fn(&mut Sqlite, &[Seq]) -> Result<Vec<Seq>, StoreError>,
) -> Result<(), Failure> {
    let seqs = match which {
        Which { all: true, .. } => store.dead(None)?.iter().map(|letter| letter.op.seq).collect(),
        Which { seqs, .. } => seqs.clone(),
    };
    let changed = change(store, &seqs)?;
    let others: Vec<Seq> = seqs.into_iter().filter(|seq| !changed.contains(seq)).collect();
    if others.is_empty() { Ok(()) } else { Err(unknown(&others)) }
}

fn unknown(seqs: &[Seq]) -> Failure {
    let seqs: Vec<String> = seqs.iter().map(ToString::to_string).collect();
    Failure::Usage(format!("no dead letter: {}; `dead list` shows them", seqs.join(", ")))
}
