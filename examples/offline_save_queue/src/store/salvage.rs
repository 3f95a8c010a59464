//! What can still be read of a damaged store.

use super::Letter;
use super::Sqlite;
use super::StoreError;
use crate::crash;
use crate::op::Seq;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::fs::File;
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

/// Whether a salvage of the store at `path` has begun and not ended. What is at `path` then is not the store.
pub(crate) fn is_unfinished(path: &Path) -> bool {
    mark(path).exists()
}

/// Moves the damaged store at `path` aside and makes a new one of what can be read of it; or goes on with that, if a salvage
/// is unfinished. Nobody else may have the store open.
///
/// What was saved after the last place that can be read is not known here, so the new store is another client: a name
/// that the damaged store may have given away is not given again.
pub(crate) fn salvage(path: &Path, now_ms: i64) -> Result<Salvage, StoreError> {
    let failed = |error: io::Error| StoreError::Failed(format!("{}: {error}", path.display()));
    let mark = mark(path);
    let kept_as = match fs::read_to_string(&mark) {
        Ok(ending) => beside(path, &ending),
        Err(_) => {
            // From here on nobody takes what is at `path` for the store, until all of it is done.
            let ending = format!(".corrupt-{now_ms}");
            write_at_once(&mark, &ending).map_err(failed)?;
            beside(path, &ending)
        }
    };
    crash::point("salvage.after_mark");
    for ending in ["-wal", "-shm", ""] {
        let (from, to) = (beside(path, ending), beside(&kept_as, ending));
        if from.exists() && !to.exists() {
            fs::rename(from, to).map_err(failed)?;
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
    fs::rename(&unfinished, path).and_then(|()| sync_directory(path)).map_err(failed)?;
    crash::point("salvage.before_end");
    fs::remove_file(mark).and_then(|()| sync_directory(path)).map_err(failed)?;
    Ok(Salvage { kept_as, rescued: letters.len() })
}

/// Says that a salvage has begun, and where the damaged store goes.
fn mark(path: &Path) -> PathBuf {
    beside(path, ".recovering")
}

/// Writes a file that is there as a whole or not at all.
fn write_at_once(path: &Path, text: &str) -> io::Result<()> {
    let unfinished = beside(path, ".new");
    fs::write(&unfinished, text)?;
    File::open(&unfinished)?.sync_all()?;
    fs::rename(unfinished, path)?;
    sync_directory(path)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
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
