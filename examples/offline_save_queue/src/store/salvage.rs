//! What can still be read of a damaged store.

use super::Letter;
use super::Sqlite;
use super::StoreError;
use crate::crash;
use crate::op::Seq;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

/// What a salvage has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Salvage {
    /// Where the damaged store is now.
    pub(crate) kept_as: PathBuf,
    /// Saves that are in the new store, dead letters included.
    pub(crate) rescued: usize,
}

/// Moves the damaged store at `path` aside and makes a new one of what can be read of it.
///
/// What was saved after the last place that can be read is not known here, so the new store is another client: a name
/// that the damaged store may have given away is not given again.
pub(crate) fn salvage(path: &Path, now_ms: i64) -> Result<Salvage, StoreError> {
    let kept_as = beside(path, &format!(".corrupt-{now_ms}"));
    let failed = |error: io::Error| StoreError::Failed(format!("{}: {error}", path.display()));
    // The log goes first: a store without its log can be opened, a new store with an old log is none.
    for ending in ["-wal", "-shm", ""] {
        match fs::rename(beside(path, ending), beside(&kept_as, ending)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    crash::point("salvage.after_move");
    let letters = readable(&kept_as);
    let unfinished = beside(path, ".new");
    for ending in ["-wal", "-shm", ""] {
        let _ = fs::remove_file(beside(&unfinished, ending));
    }
    let mut store = Sqlite::open(&unfinished)?;
    store.all_or_nothing(|store| letters.values().try_for_each(|letter| store.adopt(letter)))?;
    // The last connection that closes brings everything from the log into the file.
    drop(store);
    fs::rename(&unfinished, path).map_err(failed)?;
    Ok(Salvage { kept_as, rescued: letters.len() })
}

/// All rows that can be read, from either end.
fn readable(path: &Path) -> BTreeMap<Seq, Letter> {
    let Ok(store) = Sqlite::open(path) else { return BTreeMap::new() };
    let both = store.readable(false).into_iter().chain(store.readable(true));
    both.map(|letter| (letter.op.seq, letter)).collect()
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}
