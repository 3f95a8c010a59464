//! Where saves are kept until a server has them.
//!
//! [`Sqlite`] keeps them on the disk. `Memory` is its twin for tests, and `tests.rs` holds both to the same promises:
//!
//! - A save that [`Store::save`] has returned for survives whatever happens to the process, and to the machine.
//! - Saves get ascending places, which are never used again.
//! - Nothing goes away but by [`Store::settle`] with an outcome that says so, by [`Store::drop_dead`], or by a rule that whoever saves has chosen
//!   ([`Full::DropOldest`], [`Coalesce::Last`]).

#[cfg(test)]
mod memory;
mod salvage;
mod sqlite;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use memory::Memory;
pub(crate) use salvage::Salvage;
pub(crate) use salvage::is_unfinished;
pub(crate) use salvage::salvage;
pub(crate) use sqlite::Sqlite;

use crate::op::Draft;
use crate::op::Op;
use crate::op::Receipt;
use crate::op::Seq;
use clap::ValueEnum;
use serde::Deserialize;
use std::fmt;

/// A durable queue of saves. Times are milliseconds since 1970.
pub(crate) trait Store: Send {
    /// Stores all of `drafts`, or none of them; they are durable when this returns.
    fn save(&mut self, drafts: &[Draft], rules: &Rules, now_ms: i64) -> Result<Vec<Receipt>, StoreError>;

    /// The saves that wait to be sent and have a place after `after`, in order.
    fn waiting_after(&mut self, after: Seq) -> Result<Vec<Waiting>, StoreError>;

    /// What is to be sent for a save that waits; `None` if it waits no more.
    fn load(&mut self, seq: Seq) -> Result<Option<Loaded>, StoreError>;

    /// Writes down what became of saves that were sent, all or none.
    fn settle(&mut self, outcomes: &[Outcome]) -> Result<(), StoreError>;

    /// Dead letters in order, or only `seqs` of them.
    fn dead(&mut self, seqs: Option<&[Seq]>) -> Result<Vec<Letter>, StoreError>;

    /// Everything that waits or is dead, in order.
    fn list(&mut self) -> Result<Vec<Letter>, StoreError>;

    /// Lets dead letters wait to be sent again, in their old places; returns which of `seqs` were dead.
    fn revive(&mut self, seqs: &[Seq]) -> Result<Vec<Seq>, StoreError>;

    /// Deletes dead letters; returns which of `seqs` were dead.
    fn drop_dead(&mut self, seqs: &[Seq]) -> Result<Vec<Seq>, StoreError>;

    /// Lets everything that rests after a failure be due at once.
    fn hurry(&mut self) -> Result<(), StoreError>;

    /// Whether nothing is to be sent until further notice.
    fn is_paused(&mut self) -> Result<bool, StoreError>;

    /// Says whether nothing is to be sent until further notice.
    fn set_paused(&mut self, paused: bool) -> Result<(), StoreError>;

    /// How much there is, and was.
    fn totals(&mut self) -> Result<Totals, StoreError>;

    /// A number that changes when another connection has written.
    fn stamp(&mut self) -> Result<i64, StoreError>;

    /// Where `seq` is by now.
    fn whereabouts(&mut self, seq: Seq) -> Result<Whereabouts, StoreError>;
}

/// A save that waits to be sent, without what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) seq: Seq,
    pub(crate) key: String,
    pub(crate) attempts: u32,
    /// Not before this time.
    pub(crate) next_at_ms: i64,
}

/// A save that was read back to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Loaded {
    Intact(Op),
    /// What is stored is not what was saved.
    Damaged,
}

/// What became of a save that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The server has it: it is deleted.
    Sent { seq: Seq },
    /// It is to be sent again.
    Again { seq: Seq, attempts: u32, next_at_ms: i64, status: Option<u16>, why: String },
    /// It is not sent any more, and kept.
    Dead { seq: Seq, attempts: u32, status: Option<u16>, why: String },
}

/// A save with everything that is known of it, for people to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) op: Op,
    pub(crate) is_dead: bool,
    pub(crate) attempts: u32,
    pub(crate) next_at_ms: i64,
    pub(crate) status: Option<u16>,
    pub(crate) why: Option<String>,
    pub(crate) created_ms: i64,
}

/// How much there is in the store, and what has been through it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) pending: i64,
    pub(crate) dead: i64,
    /// Bytes of keys and bodies, dead letters included.
    pub(crate) bytes: i64,
    /// Saves that were ever stored.
    pub(crate) saved: i64,
    /// Saves that a server has taken.
    pub(crate) sent: i64,
    /// Saves that gave way to later ones, by the saver's choice, or were dropped as dead letters.
    pub(crate) dropped: i64,
    /// Changes of the queue other than a save at its end, and other than what became of a save that was sent.
    pub(crate) revision: i64,
}

/// Where a save is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whereabouts {
    Waiting,
    Dead,
    /// Sent, or dropped by somebody's choice.
    Gone,
}

/// What to do with a save for which there is no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Full {
    /// Refuse it
    #[default]
    Refuse,
    /// Drop the oldest saves that wait; dead letters stay
    DropOldest,
}

/// What a save does to those of its key that wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Coalesce {
    /// Nothing: every save is sent
    #[default]
    Off,
    /// It takes their place: only the last is sent
    Last,
}

/// The rules by which saves are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) max_ops: i64,
    pub(crate) max_bytes: i64,
    pub(crate) full: Full,
    pub(crate) coalesce: Coalesce,
}

impl Default for Rules {
    fn default() -> Self {
        Self { max_ops: 100_000, max_bytes: 64 << 20, full: Full::default(), coalesce: Coalesce::default() }
    }
}

/// What went wrong in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreError {
    /// There is no room for the save.
    Full(String),
    /// The file is not what this program wrote.
    Corrupt(String),
    /// Anything else, mostly the disk.
    Failed(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(text) | Self::Corrupt(text) | Self::Failed(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for StoreError {}
