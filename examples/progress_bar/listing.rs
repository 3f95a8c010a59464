//! What there is to hash: a walk over trees, or the lines of a file of sums.

use crate::digest::Digest;
use crate::sums::Sums;
use crate::text;
use crate::walk::Tree;
use std::error::Error;
use std::fmt;
use std::path::Path;
use std::path::PathBuf;

/// A file to hash.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    /// Its size when it was found. It may be another when it is read.
    pub(crate) size: u64,
    /// What its digest ought to be, when sums are checked.
    pub(crate) expected: Option<Digest>,
}

/// What went wrong with which file, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) what: String,
    pub(crate) why: String,
}

impl Failure {
    pub(crate) fn new(path: &Path, why: impl fmt::Display) -> Self {
        Self { what: text::path(path), why: why.to_string() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

impl Error for Failure {}

/// One step of a listing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    File(Entry),
    /// A link that is not followed, or something that holds no bytes of its own.
    Skipped,
    Failed(Failure),
}

/// Where the files come from. It can be gone through more than once.
pub(crate) enum Listing {
    Trees(Vec<Tree>),
    Sums(Sums),
}

impl Listing {
    /// Everything there is, in the order in which it will be printed.
    pub(crate) fn entries(&self) -> Box<dyn Iterator<Item = Found> + '_> {
        match self {
            Self::Trees(trees) => Box::new(trees.iter().flat_map(Tree::entries)),
            Self::Sums(sums) => Box::new(sums.entries()),
        }
    }

    /// A way through the listing that only counts.
    pub(crate) fn census(&self) -> Census<'_> {
        Census { entries: self.entries(), total: Total::default() }
    }
}

/// How much a listing holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Total {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

impl Total {
    pub(crate) fn add(&mut self, entry: &Entry) {
        self.files += 1;
        self.bytes += entry.size;
    }
}

/// Counts a listing, one step at a time.
pub(crate) struct Census<'a> {
    entries: Box<dyn Iterator<Item = Found> + 'a>,
    total: Total,
}

impl Census<'_> {
    /// Looks at one more entry; false if there is none.
    pub(crate) fn step(&mut self) -> bool {
        let found = self.entries.next();
        if let Some(Found::File(entry)) = &found {
            self.total.add(entry);
        }
        found.is_some()
    }

    /// What has been counted so far.
    pub(crate) fn total(&self) -> Total {
        self.total
    }
}
