//! Holds a server's journal against the promises: each save once, each key in order, nothing missing.

use crate::failure::Context as _;
use crate::failure::Failure;
use crate::op::Idem;
use crate::op::Receipt;
use crate::op::Seq;
use crate::server::Line;
use crate::server::lines;
use serde::Serialize;
use std::collections::HashMap;
use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Findings {
    pub(crate) applied: u64,
    pub(crate) applied_twice: u64,
    /// Saves applied after a later one of the same key and the same queue.
    pub(crate) inversions: u64,
    /// Receipts to look for, if there were any.
    pub(crate) acknowledged: u64,
    /// Of those, the ones that are not in the journal.
    pub(crate) lost: u64,
}

impl Findings {
    pub(crate) fn is_good(&self) -> bool {
        (self.applied_twice, self.inversions, self.lost) == (0, 0, 0)
    }
}

/// Reads the journal at `journal`, and the receipts in the files `receipts`: lines `SEQ IDEM`, as `save` and `import`
/// print them.
pub(crate) fn verify(journal: &Path, receipts: &[impl AsRef<Path>]) -> Result<Findings, Failure> {
    let mut findings = Findings::default();
    let mut applied: HashSet<String> = HashSet::new();
    let mut latest: HashMap<(String, String), Seq> = HashMap::new();
    for line in lines(journal).context(journal.display())? {
        let entry = match line.context(journal.display())? {
            Line::Entry(entry, _) => entry,
            Line::Torn => break,
            Line::Wrong(number) => {
                return Err(Failure::Internal(format!("{}:{number}: not a line of a journal", journal.display())));
            }
        };
        findings.applied += 1;
        if let Some((client, seq)) = Idem::from(entry.idem.clone()).parts() {
            let latest = latest.entry((client.to_owned(), entry.key)).or_insert(seq);
            findings.inversions += u64::from(*latest > seq);
            *latest = seq.max(*latest);
        }
        findings.applied_twice += u64::from(!applied.insert(entry.idem));
    }
    for path in receipts {
        let path = path.as_ref();
        let text = fs::read_to_string(path).context(path.display())?;
        // A process that was killed may have written half of its last line.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in whole.lines() {
            let receipt: Receipt =
                line.parse().map_err(|()| Failure::Usage(format!("{}: {line:?} is no receipt", path.display())))?;
            findings.acknowledged += 1;
            findings.lost += u64::from(!applied.contains(receipt.idem.as_str()));
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn journal(scratch: &Scratch, saves: &[(&str, &str)]) -> std::path::PathBuf {
        let path = scratch.path("journal");
        let lines = saves.iter().map(|(idem, key)| format!("{{\"idem\":\"{idem}\",\"key\":\"{key}\"}}\n"));
        fs::write(&path, lines.collect::<String>()).unwrap();
        path
    }

    #[test]
    fn what_is_wrong_is_counted() {
        let scratch = Scratch::new();
        let good = [("c-1", "a"), ("c-3", "b"), ("c-2", "a"), ("d-1", "a")];
        let journal_path = journal(&scratch, &good);
        let receipts = scratch.path("receipts");
        fs::write(&receipts, "1 c-1\n2 c-2\n3 c-3\n4 c-").unwrap();
        let findings = verify(&journal_path, &[&receipts]).unwrap();
        assert_eq!(findings, Findings { applied: 4, acknowledged: 3, ..Findings::default() });
        assert!(findings.is_good());

        journal(&scratch, &[("c-2", "a"), ("c-1", "a"), ("c-2", "a")]);
        let findings = verify(&journal_path, &[&receipts]).unwrap();
        let expected = Findings { applied: 3, applied_twice: 1, inversions: 1, acknowledged: 3, lost: 1 };
        assert_eq!(findings, expected);
        assert!(!findings.is_good());
    }
}
