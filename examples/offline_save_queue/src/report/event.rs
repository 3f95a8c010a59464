//! What happens to saves, as it is told to people, programs and tests.

use crate::op::Op;
use crate::op::Seq;
use serde::Deserialize;
use serde::Serialize;

/// Something has happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    /// So many saves were found in the store that were not known.
    Enqueued { count: u64 },
    /// The server has applied a save.
    Sent(Name),
    /// The server had applied a save before.
    Duplicate(Name),
    /// The server could not take a save; it will be sent again.
    Failed {
        #[serde(flatten)]
        name: Name,
        attempts: u32,
        retry_in_ms: u64,
        status: u16,
        why: String,
    },
    /// A save was given up, and is kept as a dead letter.
    Dead {
        #[serde(flatten)]
        name: Name,
        attempts: u32,
        status: Option<u16>,
        why: String,
    },
    /// The server cannot be reached.
    NetworkDown { why: String },
    /// The server can be reached again.
    NetworkUp,
    /// Somebody says that there is no network.
    Offline,
    /// Nobody says so any more.
    Online,
    /// The server does not accept us.
    NotAuthorized { why: String },
    /// Somebody says to wait.
    Paused,
    /// Nobody says so any more.
    Resumed,
    /// The configuration was read.
    Configured,
    /// The configuration cannot be used; the one before stays.
    BadConfig { why: String },
    /// The store cannot be written; it is tried again.
    StoreFailed { why: String },
    /// The store can be written again.
    StoreWorks,
    /// Nothing waits any more.
    Drained,
    /// Nothing more is sent; what is on its way may arrive.
    Stopping,
}

/// Which save.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Name {
    pub(crate) seq: Seq,
    pub(crate) key: String,
    pub(crate) idem: String,
}

impl From<&Op> for Name {
    fn from(op: &Op) -> Self {
        Self { seq: op.seq, key: op.key.clone(), idem: op.idem.to_string() }
    }
}

/// How things stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Level {
    pub(crate) pending: usize,
    pub(crate) dead: i64,
    pub(crate) in_flight: usize,
    pub(crate) link: LinkState,
    /// When the next save that rests is due, or the next look at the server.
    pub(crate) next_in_ms: Option<u64>,
    /// How often the drain was woken.
    pub(crate) turns: u64,
}

impl Level {
    /// Whether there is anything to tell beside that time passes.
    pub(super) fn differs(&self, other: &Self) -> bool {
        (self.pending, self.dead, self.link) != (other.pending, other.dead, other.link)
    }
}

/// What is known of the way to the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LinkState {
    #[default]
    Online,
    /// It cannot be reached, or somebody says so.
    Offline,
    NotAuthorized,
    Paused,
}

/// Whoever wants to know.
pub(crate) trait Witness: Send + Sync {
    /// Something has happened. Called on the drain's queue: it must not wait.
    fn see(&self, event: Event);

    /// How things stand, after each turn of the drain.
    fn level(&self, level: Level);
}
