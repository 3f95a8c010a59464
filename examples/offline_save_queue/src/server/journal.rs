//! What the server has applied: a file with a line of JSON for each save, synced before the save is acknowledged.

use crate::crash;
use crate::failure::Context as _;
use crate::failure::Failure;
use crate::op::Change;
use crate::wire::given;
use serde::Deserialize;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Write as _;
use std::path::Path;

/// One line of the journal.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) idem: String,
    pub(crate) key: String,
    /// The new object; none if it goes away.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<Box<RawValue>>,
}

impl Entry {
    fn change(&self) -> Change {
        self.body.as_ref().map_or(Change::Delete, |body| Change::Put(body.get().to_owned()))
    }
}

/// What became of a save.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Applied {
    Now,
    Before,
    /// Another save has this name.
    Mistaken,
}

/// The journal, and what follows from it.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    /// The name of every save that was applied, with a sum over what it said.
    seen: HashMap<String, u32>,
    objects: HashMap<String, String>,
    /// After a failed write the file may end in half a line: nothing is written behind it.
    failed: bool,
}

impl Journal {
    /// Opens the journal at `path` and applies what stands in it. Half a line at its end was never acknowledged, and is
    /// cut off.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let file = File::options().create(true).read(true).append(true).open(path).context(path.display())?;
        let mut journal = Self { file, seen: HashMap::new(), objects: HashMap::new(), failed: false };
        let mut whole = 0;
        for line in lines(path).context(path.display())? {
            match line.context(path.display())? {
                Line::Entry(entry, end) => {
                    journal.note(&entry);
                    whole = end;
                }
                Line::Torn => break,
                Line::Wrong(number) => {
                    return Err(Failure::Internal(format!("{}:{number}: not a line of a journal", path.display())));
                }
            }
        }
        journal.file.set_len(whole).and_then(|()| journal.file.sync_all()).context(path.display())?;
        Ok(journal)
    }

    /// Applies a save unless it has been applied before; it is durable when this returns.
    pub(super) fn apply(&mut self, entry: &Entry) -> io::Result<Applied> {
        if let Some(sum) = self.seen.get(&entry.idem) {
            let same = *sum == entry.change().checksum(&entry.key);
            return Ok(if same { Applied::Before } else { Applied::Mistaken });
        }
        if self.failed {
            return Err(io::Error::other("the journal could not be written"));
        }
        self.failed = true;
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        if cfg!(feature = "crash_points") {
            // A process that dies in the middle of a write leaves half a line.
            let (half, rest) = line.split_at(line.len() / 2);
            self.file.write_all(half)?;
            crash::point("apply.half_written");
            self.file.write_all(rest)?;
        } else {
            self.file.write_all(&line)?;
        }
        crash::point("apply.before_sync");
        self.file.sync_data()?;
        crash::point("apply.after_sync");
        self.failed = false;
        self.note(entry);
        Ok(Applied::Now)
    }

    /// The object under `key`.
    pub(super) fn object(&self, key: &str) -> Option<&str> {
        self.objects.get(key).map(String::as_str)
    }

    fn note(&mut self, entry: &Entry) {
        let change = entry.change();
        self.seen.insert(entry.idem.clone(), change.checksum(&entry.key));
        match change {
            Change::Put(body) => self.objects.insert(entry.key.clone(), body),
            Change::Delete => self.objects.remove(&entry.key),
        };
    }
}

/// A line of a journal.
pub(crate) enum Line {
    /// With the place where it ends.
    Entry(Entry, u64),
    /// The last, without its end.
    Torn,
    /// One that no server has written.
    Wrong(usize),
}

/// The lines of the journal at `path`.
pub(crate) fn lines(path: &Path) -> io::Result<impl Iterator<Item = io::Result<Line>>> {
    let mut reader = BufReader::new(File::open(path)?);
    let (mut end, mut number, mut line) = (0, 0, Vec::new());
    Ok(std::iter::from_fn(move || {
        line.clear();
        match reader.read_until(b'\n', &mut line) {
            Err(error) => return Some(Err(error)),
            Ok(0) => return None,
            Ok(read) => end += read as u64,
        }
        number += 1;
        Some(Ok(match serde_json::from_slice(&line) {
            _ if line.last() != Some(&b'\n') => Line::Torn,
            Ok(entry) => Line::Entry(entry, end),
            Err(_) => Line::Wrong(number),
        }))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::fs;

    fn entry(idem: &str, key: &str, body: Option<&str>) -> Entry {
        let body = body.map(|body| RawValue::from_string(body.to_owned()).unwrap());
        Entry { idem: idem.to_owned(), key: key.to_owned(), body }
    }

    #[test]
    fn a_save_is_applied_once_also_across_a_restart() {
        let scratch = Scratch::new();
        let path = scratch.path("journal");
        let mut journal = Journal::open(&path).unwrap();
        assert_eq!(journal.apply(&entry("c-1", "a", Some("[1]"))).unwrap(), Applied::Now);
        assert_eq!(journal.apply(&entry("c-1", "a", Some("[1]"))).unwrap(), Applied::Before);
        let mut journal = Journal::open(&path).unwrap();
        assert_eq!(journal.apply(&entry("c-1", "a", Some("[1]"))).unwrap(), Applied::Before);
        assert_eq!(journal.apply(&entry("c-1", "a", Some("[2]"))).unwrap(), Applied::Mistaken);
        assert_eq!(journal.apply(&entry("c-1", "a", None)).unwrap(), Applied::Mistaken);
        assert_eq!(journal.object("a"), Some("[1]"));
        assert_eq!(journal.apply(&entry("c-2", "a", None)).unwrap(), Applied::Now);
        assert_eq!(Journal::open(&path).unwrap().object("a"), None);
        assert_eq!(journal.apply(&entry("c-3", "a", Some("null"))).unwrap(), Applied::Now);
        assert_eq!(Journal::open(&path).unwrap().object("a"), Some("null"));
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3);
    }

    #[test]
    fn half_a_line_at_the_end_was_never_applied() {
        let scratch = Scratch::new();
        let path = scratch.path("journal");
        Journal::open(&path).unwrap().apply(&entry("c-1", "a", Some("1"))).unwrap();
        let whole = fs::read(&path).unwrap();
        for torn in [&b"{\"idem\":\"c-2\""[..], b"{\"idem\":\"c-2\",\"key\":\"a\"}"] {
            fs::write(&path, [&whole[..], torn].concat()).unwrap();
            let mut journal = Journal::open(&path).unwrap();
            assert_eq!(fs::read(&path).unwrap(), whole);
            assert_eq!(journal.apply(&entry("c-1", "a", Some("1"))).unwrap(), Applied::Before);
        }
        assert_eq!(Journal::open(&path).unwrap().apply(&entry("c-2", "a", None)).unwrap(), Applied::Now);
    }

    #[test]
    fn a_file_that_is_no_journal_is_left_alone() {
        let scratch = Scratch::new();
        let path = scratch.path("journal");
        fs::write(&path, "dear diary\nmore\n").unwrap();
        assert!(Journal::open(&path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "dear diary\nmore\n");
    }
}
