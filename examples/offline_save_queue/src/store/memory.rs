//! The store's twin for tests, which keeps nothing beyond its process.

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
use crate::op::Change;
use crate::op::Draft;
use crate::op::Idem;
use crate::op::Op;
use crate::op::Receipt;
use crate::op::Seq;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A [`Store`] in memory. Clones are connections to the same store.
#[derive(Clone, Default)]
pub(crate) struct Memory {
    shelf: Arc<Mutex<Shelf>>,
    /// What this connection has written itself.
    own_writes: i64,
}

#[derive(Clone, Default)]
struct Shelf {
    letters: BTreeMap<Seq, Letter>,
    bytes: i64,
    last: Seq,
    totals: Totals,
    paused: bool,
    writes: i64,
    broken: bool,
}

impl Shelf {
    fn remove(&mut self, seq: Seq) {
        if let Some(letter) = self.letters.remove(&seq) {
            self.bytes -= size(&letter.op.key, &letter.op.change);
        }
    }

    fn drop_where(&mut self, which: impl Fn(&Letter) -> bool) -> Vec<Seq> {
        let dropped: Vec<Seq> =
            self.letters.values().filter(|letter| which(letter)).map(|letter| letter.op.seq).collect();
        for seq in &dropped {
            self.remove(*seq);
            self.totals.dropped += 1;
            self.totals.revision += 1;
        }
        dropped
    }
}

fn size(key: &str, change: &Change) -> i64 {
    (key.len() + change.body().map_or(0, str::len)) as i64
}

impl Memory {
    /// Lets every write fail from now on, as on a full disk, or no more.
    pub(crate) fn set_broken(&self, broken: bool) {
        self.shelf.lock().broken = broken;
    }

    fn write<R>(&mut self, change: impl FnOnce(&mut Shelf) -> Result<R, StoreError>) -> Result<R, StoreError> {
        let mut shelf = self.shelf.lock();
        if shelf.broken {
            return Err(StoreError::Failed("database or disk is full".to_owned()));
        }
        let result = change(&mut shelf)?;
        shelf.writes += 1;
        self.own_writes += 1;
        Ok(result)
    }
}

impl Store for Memory {
    fn save(&mut self, drafts: &[Draft], rules: &Rules, now_ms: i64) -> Result<Vec<Receipt>, StoreError> {
        self.write(|kept| {
            let mut shelf = kept.clone();
            let mut receipts = Vec::new();
            for draft in drafts {
                if rules.coalesce == Coalesce::Last {
                    shelf.drop_where(|letter| !letter.is_dead && letter.op.key == draft.key);
                }
                let size = size(&draft.key, &draft.change);
                while shelf.letters.len() as i64 >= rules.max_ops || shelf.bytes + size > rules.max_bytes {
                    let oldest = shelf.letters.values().find(|letter| !letter.is_dead).map(|letter| letter.op.seq);
                    match oldest.filter(|_| rules.full == Full::DropOldest) {
                        Some(oldest) => drop(shelf.drop_where(|letter| letter.op.seq == oldest)),
                        None => return Err(StoreError::Full("the queue is full".to_owned())),
                    }
                }
                shelf.bytes += size;
                shelf.last += 1;
                shelf.totals.saved += 1;
                let (seq, idem) = (shelf.last, Idem::new("memory", shelf.last));
                let op = Op { seq, key: draft.key.clone(), change: draft.change.clone(), idem: idem.clone() };
                let letter = Letter {
                    op,
                    is_dead: false,
                    attempts: 0,
                    next_at_ms: 0,
                    status: None,
                    why: None,
                    created_ms: now_ms,
                };
                shelf.letters.insert(seq, letter);
                receipts.push(Receipt { seq, idem });
            }
            *kept = shelf;
            Ok(receipts)
        })
    }

    fn waiting_after(&mut self, after: Seq) -> Result<Vec<Waiting>, StoreError> {
        let shelf = self.shelf.lock();
        let waiting = shelf.letters.range(after + 1..).filter(|(_, letter)| !letter.is_dead);
        let waiting = waiting.map(|(seq, letter)| Waiting {
            seq: *seq,
            key: letter.op.key.clone(),
            attempts: letter.attempts,
            next_at_ms: letter.next_at_ms,
        });
        Ok(waiting.collect())
    }

    fn load(&mut self, seq: Seq) -> Result<Option<Loaded>, StoreError> {
        let shelf = self.shelf.lock();
        let letter = shelf.letters.get(&seq).filter(|letter| !letter.is_dead);
        Ok(letter.map(|letter| Loaded::Intact(letter.op.clone())))
    }

    fn settle(&mut self, outcomes: &[Outcome]) -> Result<(), StoreError> {
        self.write(|shelf| {
            for outcome in outcomes {
                match outcome.clone() {
                    Outcome::Sent { seq } => {
                        shelf.remove(seq);
                        shelf.totals.sent += 1;
                    }
                    Outcome::Again { seq, attempts, next_at_ms, status, why } => {
                        if let Some(letter) = shelf.letters.get_mut(&seq) {
                            *letter = Letter { attempts, next_at_ms, status, why: Some(why), ..letter.clone() };
                        }
                    }
                    Outcome::Dead { seq, attempts, status, why } => {
                        if let Some(letter) = shelf.letters.get_mut(&seq) {
                            *letter = Letter { is_dead: true, attempts, status, why: Some(why), ..letter.clone() };
                        }
                    }
                }
            }
            Ok(())
        })
    }

    fn dead(&mut self, seqs: Option<&[Seq]>) -> Result<Vec<Letter>, StoreError> {
        let wanted = |letter: &Letter| letter.is_dead && seqs.is_none_or(|seqs| seqs.contains(&letter.op.seq));
        Ok(self.list()?.into_iter().filter(wanted).collect())
    }

    fn list(&mut self) -> Result<Vec<Letter>, StoreError> {
        Ok(self.shelf.lock().letters.values().cloned().collect())
    }

    fn revive(&mut self, seqs: &[Seq]) -> Result<Vec<Seq>, StoreError> {
        self.write(|shelf| {
            shelf.totals.revision += 1;
            let mut revived = Vec::new();
            for letter in shelf.letters.values_mut().filter(|letter| letter.is_dead && seqs.contains(&letter.op.seq)) {
                *letter = Letter { is_dead: false, attempts: 0, next_at_ms: 0, ..letter.clone() };
                revived.push(letter.op.seq);
            }
            Ok(revived)
        })
    }

    fn drop_dead(&mut self, seqs: &[Seq]) -> Result<Vec<Seq>, StoreError> {
        self.write(|shelf| Ok(shelf.drop_where(|letter| letter.is_dead && seqs.contains(&letter.op.seq))))
    }

    fn hurry(&mut self) -> Result<(), StoreError> {
        self.write(|shelf| {
            shelf.totals.revision += 1;
            shelf.letters.values_mut().for_each(|letter| letter.next_at_ms = 0);
            Ok(())
        })
    }

    fn is_paused(&mut self) -> Result<bool, StoreError> {
        Ok(self.shelf.lock().paused)
    }

    fn set_paused(&mut self, paused: bool) -> Result<(), StoreError> {
        self.write(|shelf| {
            shelf.paused = paused;
            Ok(())
        })
    }

    fn totals(&mut self) -> Result<Totals, StoreError> {
        let shelf = self.shelf.lock();
        let dead = shelf.letters.values().filter(|letter| letter.is_dead).count() as i64;
        let pending = shelf.letters.len() as i64 - dead;
        Ok(Totals { pending, dead, bytes: shelf.bytes, ..shelf.totals })
    }

    fn stamp(&mut self) -> Result<i64, StoreError> {
        Ok(self.shelf.lock().writes - self.own_writes)
    }

    fn whereabouts(&mut self, seq: Seq) -> Result<Whereabouts, StoreError> {
        let shelf = self.shelf.lock();
        Ok(shelf
            .letters
            .get(&seq)
            .map_or(Whereabouts::Gone, |letter| if letter.is_dead { Whereabouts::Dead } else { Whereabouts::Waiting }))
    }
}
