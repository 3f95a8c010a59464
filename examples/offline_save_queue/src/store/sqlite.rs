//! The store on the disk: SQLite with a write-ahead log that is synced before a save is acknowledged.
//!
//! Any number of processes may have it open and write. Order is the rowid, which `AUTOINCREMENT` never uses twice.

use super::Coalesce;
use super::Full;
use super::Letter;
use super::Loaded;
use super::Outcome;
use super::Rules;
use super::Store;
use super::StoreError;
use super::Totals;
use super::Waiting;
use super::Whereabouts;
use crate::crash;
use crate::op::Change;
use crate::op::Draft;
use crate::op::Idem;
use crate::op::Op;
use crate::op::Receipt;
use crate::op::Seq;
use rusqlite::Connection;
use rusqlite::ErrorCode;
use rusqlite::OpenFlags;
use rusqlite::OptionalExtension as _;
use rusqlite::Row;
use rusqlite::Transaction;
use rusqlite::TransactionBehavior;
use rusqlite::params;
use rusqlite::types::ValueRef;
use std::fs::File;
use std::path::Path;
use std::time::Duration;
use std::time::SystemTime;

/// How long a write waits for those of other processes, each of which takes a moment.
const PATIENCE: Duration = Duration::from_secs(60);

/// What [`letter`] reads.
const LETTER: &str = "seq, key, body, crc, idem, state, attempts, next_at_ms, last_status, last_error, created_ms";

/// A [`Store`] in a file.
pub(crate) struct Sqlite {
    connection: Connection,
    /// Held as long as the store is open, and touched when there is news for whoever sends.
    bell: Option<File>,
}

impl Sqlite {
    /// Opens the store at `path`, and makes it if there is none.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(PATIENCE)?;
        connection.set_prepared_statement_cache_capacity(64);
        if version(&connection)? == 0 {
            create(&mut connection, path)?;
        }
        match version(&connection)? {
            1 => {}
            newer => {
                return Err(StoreError::Failed(format!(
                    "the store is of version {newer}, which this program does not know"
                )));
            }
        }
        // Full: a commit returns when its log is on the disk.
        connection.pragma_update(None, "synchronous", "FULL")?;
        Ok(Self { connection, bell: None })
    }

    /// The same store, which holds `bell` as long as it is open, and touches it when there is news.
    pub(crate) fn with_bell(self, bell: File) -> Self {
        Self { bell: Some(bell), ..self }
    }

    /// Tells whoever watches the bell that a commit is done. The log would tell too early: it is written before it is synced,
    /// and what is in it counts after that.
    fn ring(&self) {
        if let Some(bell) = &self.bell {
            // Whoever does not hear it looks now and then.
            let _ = bell.set_modified(SystemTime::now());
        }
    }

    /// Reads the whole file and tells whether it is sound: its pages, its indexes, its columns, and its sums.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let verdict: String = self.connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        if verdict != "ok" {
            return Err(StoreError::Corrupt(verdict));
        }
        if schema(&self.connection)? != as_created()? {
            return Err(StoreError::Corrupt("its tables are not those of this program".to_owned()));
        }
        let mut rows = self.connection.prepare(&format!("SELECT {LETTER} FROM ops"))?;
        rows.query_map([], letter)?.try_for_each(|row| row.map(drop))?;
        let adds_up: bool = self.connection.query_row(
            "SELECT client <> '' AND paused IN (0, 1)
                AND (pending, dead) = (SELECT count(*) FILTER (WHERE state = 0), count(*) FILTER (WHERE state = 1) FROM ops)
                AND bytes = (SELECT ifnull(sum(octet_length(key) + ifnull(octet_length(body), 0)), 0) FROM ops)
                AND ifnull((SELECT max(seq) FROM ops), 0) <= ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'ops'), 0)
             FROM meta",
            [],
            |row| row.get(0),
        )?;
        if adds_up { Ok(()) } else { Err(StoreError::Corrupt("its sums do not add up".to_owned())) }
    }

    /// Puts a row of another store into this one, in its old place and under its old name.
    pub(super) fn adopt(&mut self, letter: &Letter) -> Result<(), StoreError> {
        let Letter { op, is_dead, attempts, next_at_ms, status, why, created_ms } = letter;
        self.connection
            .prepare_cached(
                "INSERT INTO ops (seq, key, body, crc, idem, state, attempts, next_at_ms, last_status, last_error, created_ms)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                op.seq,
                op.key,
                op.change.body(),
                op.checksum(),
                op.idem.as_str(),
                is_dead,
                attempts,
                next_at_ms,
                status,
                why,
                created_ms
            ])?;
        Ok(())
    }

    /// The rows from one end to the other, as far as they can be read. Rows that are not what was saved are left out.
    pub(super) fn readable(&self, backwards: bool) -> Vec<Letter> {
        let order = if backwards { "DESC" } else { "ASC" };
        let Ok(mut statement) =
            self.connection.prepare(&format!("SELECT {LETTER} FROM ops NOT INDEXED ORDER BY seq {order}"))
        else {
            return Vec::new();
        };
        let Ok(rows) = statement.query_map([], letter) else { return Vec::new() };
        // A row that makes no sense is left out. What SQLite itself cannot read ends it.
        let legible = rows.take_while(|row| !matches!(row, Err(rusqlite::Error::SqliteFailure(..)))).flatten();
        legible.filter_map(|(letter, intact)| intact.then_some(letter)).collect()
    }

    /// The connection, for salvage to write all or nothing.
    pub(super) fn all_or_nothing(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        match write(self) {
            Ok(()) => Ok(self.connection.execute_batch("COMMIT")?),
            Err(error) => {
                // The first error is the one to tell.
                let _ = self.connection.execute_batch("ROLLBACK");
                Err(error)
            }
        }
    }

    fn transaction(&mut self) -> Result<Transaction<'_>, StoreError> {
        // Immediate: a transaction that begins by reading could not become a writing one behind another writer.
        Ok(self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?)
    }
}

fn version(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// Every definition in a store.
fn schema(connection: &Connection) -> Result<Vec<(String, String)>, StoreError> {
    let mut definitions =
        connection.prepare("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")?;
    let definitions = definitions.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(definitions.collect::<Result<_, _>>()?)
}

/// What [`schema`] says of a store that nothing has happened to.
fn as_created() -> Result<Vec<(String, String)>, StoreError> {
    let connection = Connection::open_in_memory()?;
    connection.execute_batch(include_str!("schema.sql"))?;
    schema(&connection)
}

/// Makes the tables, unless another process has done it meanwhile.
fn create(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    // SQLite lets nobody wait who changes the journal's mode while somebody else does. The directory is locked instead.
    let directory = path.parent().unwrap_or(Path::new("."));
    let lock = File::open(directory).and_then(|directory| directory.lock().map(|()| directory));
    let _lock = lock.map_err(|error| StoreError::Failed(format!("{}: {error}", directory.display())))?;
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::Failed(format!("the file system has no shared memory: journal mode {mode}")));
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if version(&transaction)? == 0 {
        transaction.execute_batch(include_str!("schema.sql"))?;
    }
    transaction.commit()?;
    Ok(())
}

impl Store for Sqlite {
    fn save(&mut self, drafts: &[Draft], rules: &Rules, now_ms: i64) -> Result<Vec<Receipt>, StoreError> {
        let transaction = self.transaction()?;
        let client: String = transaction.prepare_cached("SELECT client FROM meta")?.query_row([], |row| row.get(0))?;
        let last: Option<Seq> = transaction
            .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'ops'")?
            .query_row([], |row| row.get(0))
            .optional()?;
        let mut receipts = Vec::with_capacity(drafts.len());
        for (draft, seq) in drafts.iter().zip(last.unwrap_or(0) + 1..) {
            if rules.coalesce == Coalesce::Last {
                let replaced =
                    transaction.prepare_cached("DELETE FROM ops WHERE key = ? AND state = 0")?.execute([&draft.key])?;
                note_dropped(&transaction, replaced)?;
            }
            make_room(&transaction, draft, rules)?;
            let idem = Idem::new(&client, seq);
            let op = Op { seq, key: draft.key.clone(), change: draft.change.clone(), idem };
            transaction
                .prepare_cached("INSERT INTO ops (seq, key, body, crc, idem, created_ms) VALUES (?, ?, ?, ?, ?, ?)")?
                .execute(params![seq, op.key, op.change.body(), op.checksum(), op.idem.as_str(), now_ms])?;
            receipts.push(Receipt { seq, idem: op.idem });
        }
        crash::point("save.before_commit");
        transaction.commit()?;
        crash::point("save.after_commit");
        self.ring();
        Ok(receipts)
    }

    fn waiting_after(&mut self, after: Seq) -> Result<Vec<Waiting>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT seq, key, attempts, next_at_ms FROM ops NOT INDEXED WHERE state = 0 AND seq > ? ORDER BY seq",
        )?;
        let rows = statement.query_map([after], |row| {
            let key = text(row, 1)?.0;
            Ok(Waiting { seq: row.get(0)?, key, attempts: row.get(2)?, next_at_ms: row.get(3)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn load(&mut self, seq: Seq) -> Result<Option<Loaded>, StoreError> {
        let mut statement =
            self.connection.prepare_cached(&format!("SELECT {LETTER} FROM ops WHERE seq = ? AND state = 0"))?;
        let row = statement.query_row([seq], letter).optional()?;
        Ok(row.map(|(letter, intact)| if intact { Loaded::Intact(letter.op) } else { Loaded::Damaged }))
    }

    fn settle(&mut self, outcomes: &[Outcome]) -> Result<(), StoreError> {
        let transaction = self.transaction()?;
        for outcome in outcomes {
            match outcome {
                Outcome::Sent { seq } => {
                    let sent =
                        transaction.prepare_cached("DELETE FROM ops WHERE seq = ? AND state = 0")?.execute([seq])?;
                    transaction.prepare_cached("UPDATE meta SET sent = sent + ?")?.execute([sent as i64])?;
                }
                Outcome::Again { seq, attempts, next_at_ms, status, why } => {
                    transaction
                        .prepare_cached(
                            "UPDATE ops SET attempts = ?, next_at_ms = ?, last_status = ?, last_error = ?
                             WHERE seq = ? AND state = 0",
                        )?
                        .execute(params![attempts, next_at_ms, status, why, seq])?;
                }
                Outcome::Dead { seq, attempts, status, why } => {
                    crash::point("dead.before_commit");
                    transaction
                        .prepare_cached(
                            "UPDATE ops SET state = 1, attempts = ?, last_status = ?, last_error = ?
                             WHERE seq = ? AND state = 0",
                        )?
                        .execute(params![attempts, status, why, seq])?;
                }
            }
        }
        crash::point("settle.before_commit");
        transaction.commit()?;
        crash::point("settle.after_commit");
        Ok(())
    }

    fn dead(&mut self, seqs: Option<&[Seq]>) -> Result<Vec<Letter>, StoreError> {
        let all = self.letters("WHERE state = 1 ORDER BY seq")?;
        Ok(match seqs {
            None => all,
            Some(seqs) => all.into_iter().filter(|letter| seqs.contains(&letter.op.seq)).collect(),
        })
    }

    fn list(&mut self) -> Result<Vec<Letter>, StoreError> {
        self.letters("ORDER BY seq")
    }

    fn revive(&mut self, seqs: &[Seq]) -> Result<Vec<Seq>, StoreError> {
        self.change_each(seqs, |transaction, seq| {
            let sql = "UPDATE ops SET state = 0, attempts = 0, next_at_ms = 0 WHERE seq = ? AND state = 1";
            Ok(transaction.prepare_cached(sql)?.execute([seq])?)
        })
    }

    fn drop_dead(&mut self, seqs: &[Seq]) -> Result<Vec<Seq>, StoreError> {
        self.change_each(seqs, |transaction, seq| {
            let dropped = transaction.prepare_cached("DELETE FROM ops WHERE seq = ? AND state = 1")?.execute([seq])?;
            note_dropped(transaction, dropped)?;
            Ok(dropped)
        })
    }

    fn hurry(&mut self) -> Result<(), StoreError> {
        let transaction = self.transaction()?;
        transaction.execute("UPDATE ops SET next_at_ms = 0 WHERE state = 0 AND next_at_ms > 0", [])?;
        transaction.execute("UPDATE meta SET revision = revision + 1", [])?;
        transaction.commit()?;
        self.ring();
        Ok(())
    }

    fn is_paused(&mut self) -> Result<bool, StoreError> {
        Ok(self.connection.prepare_cached("SELECT paused FROM meta")?.query_row([], |row| row.get(0))?)
    }

    fn set_paused(&mut self, paused: bool) -> Result<(), StoreError> {
        self.connection.execute("UPDATE meta SET paused = ?", [paused])?;
        self.ring();
        Ok(())
    }

    fn totals(&mut self) -> Result<Totals, StoreError> {
        let sql = "SELECT pending, dead, bytes, saved, sent, dropped, revision FROM meta";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| {
            Ok(Totals {
                pending: row.get(0)?,
                dead: row.get(1)?,
                bytes: row.get(2)?,
                saved: row.get(3)?,
                sent: row.get(4)?,
                dropped: row.get(5)?,
                revision: row.get(6)?,
            })
        })?)
    }

    fn stamp(&mut self) -> Result<i64, StoreError> {
        Ok(self.connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?)
    }

    fn whereabouts(&mut self, seq: Seq) -> Result<Whereabouts, StoreError> {
        let state: Option<bool> = self
            .connection
            .prepare_cached("SELECT state FROM ops WHERE seq = ?")?
            .query_row([seq], |row| row.get(0))
            .optional()?;
        Ok(state.map_or(Whereabouts::Gone, |dead| if dead { Whereabouts::Dead } else { Whereabouts::Waiting }))
    }
}

impl Sqlite {
    fn letters(&self, which: &str) -> Result<Vec<Letter>, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!("SELECT {LETTER} FROM ops {which}"))?;
        let rows = statement.query_map([], |row| Ok(letter(row)?.0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Changes some of `seqs`, and says which.
    fn change_each(
        &mut self,
        seqs: &[Seq],
        change: impl Fn(&Transaction<'_>, Seq) -> Result<usize, StoreError>,
    ) -> Result<Vec<Seq>, StoreError> {
        let transaction = self.transaction()?;
        let mut changed = Vec::new();
        for seq in seqs {
            if change(&transaction, *seq)? > 0 {
                changed.push(*seq);
            }
        }
        transaction.execute("UPDATE meta SET revision = revision + 1", [])?;
        transaction.commit()?;
        self.ring();
        Ok(changed)
    }
}

/// Sees to it that `draft` fits, or says why it does not.
fn make_room(transaction: &Transaction<'_>, draft: &Draft, rules: &Rules) -> Result<(), StoreError> {
    let size = (draft.key.len() + draft.change.body().map_or(0, str::len)) as i64;
    loop {
        let (ops, bytes): (i64, i64) = transaction
            .prepare_cached("SELECT pending + dead, bytes FROM meta")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let full = if ops >= rules.max_ops {
            format!("the queue is full: it holds {ops} saves, and max_ops is {}", rules.max_ops)
        } else if bytes + size > rules.max_bytes {
            format!("the queue is full: it holds {bytes} bytes, and max_bytes is {}", rules.max_bytes)
        } else {
            return Ok(());
        };
        let oldest = "DELETE FROM ops WHERE seq = (SELECT min(seq) FROM ops NOT INDEXED WHERE state = 0)";
        let dropped = match rules.full {
            Full::Refuse => 0,
            Full::DropOldest => transaction.prepare_cached(oldest)?.execute([])?,
        };
        if dropped == 0 {
            return Err(StoreError::Full(full));
        }
        note_dropped(transaction, dropped)?;
    }
}

fn note_dropped(transaction: &Transaction<'_>, dropped: usize) -> Result<(), StoreError> {
    if dropped > 0 {
        transaction
            .prepare_cached("UPDATE meta SET dropped = dropped + ?, revision = revision + 1")?
            .execute([dropped as i64])?;
    }
    Ok(())
}

/// A row of [`LETTER`], and whether it is what was saved.
fn letter(row: &Row<'_>) -> rusqlite::Result<(Letter, bool)> {
    let (key, key_intact) = text(row, 1)?;
    let (change, body_intact) = match row.get_ref(2)? {
        ValueRef::Null => (Change::Delete, true),
        _ => {
            let (body, intact) = text(row, 2)?;
            (Change::Put(body), intact)
        }
    };
    let (idem, idem_intact) = text(row, 4)?;
    let op = Op { seq: row.get(0)?, key, change, idem: Idem::from(idem) };
    let intact = key_intact && body_intact && idem_intact && row.get::<_, i64>(3)? == i64::from(op.checksum());
    let letter = Letter {
        op,
        is_dead: row.get(5)?,
        attempts: row.get(6)?,
        next_at_ms: row.get(7)?,
        status: row.get(8)?,
        why: row.get(9)?,
        created_ms: row.get(10)?,
    };
    Ok((letter, intact))
}

/// A column's text, and whether it is one: what the disk gives back may not be what was written.
fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<(String, bool)> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => (text.to_owned(), true),
            Err(_) => (String::from_utf8_lossy(bytes).into_owned(), false),
        },
        _ => (String::new(), false),
    })
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(error.to_string()),
            Some(_) => Self::Failed(error.to_string()),
            // A column is not what this program writes, or a row is missing that always is there.
            None => Self::Corrupt(error.to_string()),
        }
    }
}

#[cfg(test)]
impl Sqlite {
    pub(super) fn execute(&self, sql: &str) {
        assert_eq!(self.connection.execute(sql, []).unwrap(), 1);
    }

    pub(super) fn pragma(&self, name: &str) -> String {
        let value: rusqlite::types::Value = self.connection.pragma_query_value(None, name, |row| row.get(0)).unwrap();
        match value {
            rusqlite::types::Value::Integer(value) => value.to_string(),
            rusqlite::types::Value::Text(value) => value,
            other => panic!("{other:?}"),
        }
    }
}
