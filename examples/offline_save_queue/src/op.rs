//! What is saved: one change of the object under a key.

use std::fmt;
use std::str::FromStr;

/// The place of a save in the queue. Order is this number and never a clock.
pub(crate) type Seq = i64;

/// The largest body that is taken.
pub(crate) const LARGEST_BODY: usize = 1 << 20;

/// What happens to the object under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It becomes this JSON text.
    Put(String),
    /// It goes away.
    Delete,
}

impl Change {
    /// The text of the new object.
    pub(crate) fn body(&self) -> Option<&str> {
        match self {
            Self::Put(body) => Some(body),
            Self::Delete => None,
        }
    }

    /// The change of the object under `key`, as one number: tells whether a row, or a repeated request, is the same.
    pub(crate) fn checksum(&self, key: &str) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(key.as_bytes());
        match self {
            Self::Put(body) => {
                hasher.update(b"\0put\0");
                hasher.update(body.as_bytes());
            }
            Self::Delete => hasher.update(b"\0delete\0"),
        }
        hasher.finalize()
    }
}

/// A save that has no place yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) key: String,
    pub(crate) change: Change,
}

/// A save that has its place, as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Op {
    pub(crate) seq: Seq,
    pub(crate) key: String,
    pub(crate) change: Change,
    pub(crate) idem: Idem,
}

impl Op {
    /// What a row of the store must match to be what was saved.
    pub(crate) fn checksum(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.seq.to_le_bytes());
        hasher.update(self.idem.as_str().as_bytes());
        hasher.update(&self.change.checksum(&self.key).to_le_bytes());
        hasher.finalize()
    }
}

/// What a save is called for good, wherever it gets: who saved it, and as which of theirs.
///
/// It is chosen when the save is stored and sent along each time, so that a server recognises what it has already applied.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Idem(String);

impl Idem {
    pub(crate) fn new(client: &str, seq: Seq) -> Self {
        Self(format!("{client}-{seq}"))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Who saved it, and in which place of theirs.
    pub(crate) fn parts(&self) -> Option<(&str, Seq)> {
        let (client, seq) = self.0.rsplit_once('-')?;
        Some((client, seq.parse().ok()?))
    }
}

impl From<String> for Idem {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Idem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a save is acknowledged with once it is on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) seq: Seq,
    pub(crate) idem: Idem,
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.seq, self.idem)
    }
}

impl FromStr for Receipt {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let (seq, idem) = line.split_once(' ').ok_or(())?;
        Ok(Self { seq: seq.parse().map_err(drop)?, idem: Idem(idem.to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_read_as_it_is_written() {
        let receipt = Receipt { seq: 7, idem: Idem::new("c0ffee", 7) };
        assert_eq!(receipt.to_string(), "7 c0ffee-7");
        assert_eq!("7 c0ffee-7".parse(), Ok(receipt));
        assert!("7".parse::<Receipt>().is_err());
        assert!("x c0ffee-7".parse::<Receipt>().is_err());
    }

    #[test]
    fn an_idem_knows_its_client_and_place() {
        assert_eq!(Idem::new("a-b", 12).parts(), Some(("a-b", 12)));
        assert_eq!(Idem("nothing".to_owned()).parts(), None);
    }

    #[test]
    fn the_checksum_tells_changes_apart() {
        let put = |body: &str| Change::Put(body.to_owned());
        let all = [
            put("{}").checksum("a"),
            put("{}").checksum("b"),
            put("[]").checksum("a"),
            Change::Delete.checksum("a"),
            Change::Delete.checksum("b"),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[at + 1..].contains(one));
        }
    }
}
