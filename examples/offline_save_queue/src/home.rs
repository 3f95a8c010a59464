//! The directory in which a queue lives.

use crate::failure::Context as _;
use crate::failure::Failure;
use crate::store::Salvage;
use crate::store::Sqlite;
use crate::store::StoreError;
use crate::store::is_unfinished;
use crate::store::salvage;
use crate::text::wall_ms;
use std::fs;
use std::fs::File;
use std::fs::TryLockError;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// The store.
const STORE: &str = "queue.db";
/// What other processes write first, before it gets into the store.
const LOG: &str = "queue.db-wal";
/// Locked by whoever sends.
const LOCK: &str = "queue.lock";
/// Locked by everybody who has the store open, together, and by whoever recovers it, alone. Touched after each commit that is
/// news for whoever sends.
const BELL: &str = "queue.bell";
/// Says how to send.
const CONFIG: &str = "queue.toml";
/// While it exists, nothing is sent.
const OFFLINE: &str = "offline";
/// What the one who sends says of itself.
const LIVE: &str = "run.json";

/// A queue's directory.
#[derive(Clone, Debug)]
pub(crate) struct Home(PathBuf);

/// Nobody else sends while this exists. The system takes it back from a process that dies.
#[derive(Debug)]
pub(crate) struct Drainer {
    _lock: File,
}

impl Home {
    /// The directory at `path`, which is made if it is not there.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(path).context(path.display())?;
        Ok(Self(path.to_owned()))
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.0.join(CONFIG)
    }

    pub(crate) fn offline(&self) -> PathBuf {
        self.0.join(OFFLINE)
    }

    /// Where somebody has been who has changed the store.
    pub(crate) fn bell(&self) -> PathBuf {
        self.0.join(BELL)
    }

    /// Where what is written to the store can be seen first.
    pub(crate) fn log(&self) -> PathBuf {
        self.0.join(LOG)
    }

    pub(crate) fn live(&self) -> PathBuf {
        self.0.join(LIVE)
    }

    /// Whether somebody has said that there is no network.
    pub(crate) fn is_offline(&self) -> bool {
        self.offline().exists()
    }

    /// Opens the store. As long as it is open, nobody recovers it.
    pub(crate) fn store(&self) -> Result<Sqlite, StoreError> {
        let claim = self.claim(File::lock_shared)?;
        let path = self.0.join(STORE);
        if is_unfinished(&path) {
            return Err(StoreError::Corrupt("its recovery was interrupted".to_owned()));
        }
        Ok(Sqlite::open(&path)?.with_bell(claim))
    }

    /// Opens the store and reads it through. A damaged one is an error, or is [salvaged](salvage) if `recover` says so, as soon
    /// as nobody has it open.
    pub(crate) fn sound_store(&self, recover: bool) -> Result<(Sqlite, Option<Salvage>), StoreError> {
        let opened = self.store().and_then(|store| store.check().map(|()| store));
        match opened {
            Err(StoreError::Corrupt(_)) if recover => {
                let claim = self.claim(File::lock)?;
                let salvage = salvage(&self.0.join(STORE), wall_ms())?;
                drop(claim);
                Ok((self.store()?, Some(salvage)))
            }
            opened => opened.map(|store| (store, None)),
        }
    }

    /// Waits for the store, to open it with others or to have it alone.
    fn claim(&self, lock: impl FnOnce(&File) -> io::Result<()>) -> Result<File, StoreError> {
        let path = self.bell();
        let file = File::options().create(true).append(true).open(&path);
        file.and_then(|file| lock(&file).map(|()| file))
            .map_err(|error| StoreError::Failed(format!("{}: {error}", path.display())))
    }

    /// Becomes the one who sends.
    pub(crate) fn lock(&self) -> Result<Drainer, Failure> {
        let path = self.0.join(LOCK);
        let lock = File::options().create(true).append(true).open(&path).context(path.display())?;
        // Those who only ask whether it is locked hold it for an instant themselves.
        let mut tries = 20;
        loop {
            tries -= 1;
            match lock.try_lock() {
                Ok(()) => return Ok(Drainer { _lock: lock }),
                Err(TryLockError::WouldBlock) if tries > 0 => thread::sleep(Duration::from_millis(5)),
                Err(TryLockError::WouldBlock) => {
                    return Err(Failure::AnotherDrainer(format!(
                        "another process is sending the saves in {}; `offline_save_queue status` shows what it does",
                        self.0.display()
                    )));
                }
                Err(TryLockError::Error(error)) => {
                    return Err(Failure::Internal(format!("{}: {error}", path.display())));
                }
            }
        }
    }

    /// Whether somebody sends. Asking takes the lock for a moment only if nobody does, and shares it with others who ask.
    pub(crate) fn has_drainer(&self) -> bool {
        let lock = File::open(self.0.join(LOCK));
        lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Change;
    use crate::op::Draft;
    use crate::scratch::Scratch;
    use crate::store::Outcome;
    use crate::store::Rules;
    use crate::store::Store as _;
    use std::time::SystemTime;

    #[test]
    fn one_sends_at_a_time() {
        let scratch = Scratch::new();
        let home = Home::open(&scratch.path("home")).unwrap();
        assert!(!home.has_drainer());
        let drainer = home.lock().unwrap();
        assert!(home.has_drainer());
        assert!(matches!(home.lock(), Err(Failure::AnotherDrainer(_))));
        drop(drainer);
        assert!(!home.has_drainer());
        home.lock().unwrap();
    }

    #[test]
    fn whatever_is_news_for_the_one_who_sends_rings_and_what_he_does_himself_does_not() {
        let scratch = Scratch::new();
        let home = Home::open(&scratch.path("home")).unwrap();
        let mut store = home.store().unwrap();
        let mut rings = |what: &str, change: &mut dyn FnMut(&mut Sqlite)| {
            let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
            File::options().append(true).open(home.bell()).unwrap().set_modified(long_ago).unwrap();
            change(&mut store);
            let rang = fs::metadata(home.bell()).unwrap().modified().unwrap() != long_ago;
            assert_eq!(rang, what != "settle", "{what}");
        };
        let draft = Draft { key: "a".to_owned(), change: Change::Delete };
        rings("save", &mut |store| drop(store.save(std::slice::from_ref(&draft), &Rules::default(), 0).unwrap()));
        let dead = Outcome::Dead { seq: 1, attempts: 1, status: None, why: String::new() };
        rings("settle", &mut |store| store.settle(std::slice::from_ref(&dead)).unwrap());
        rings("revive", &mut |store| drop(store.revive(&[1]).unwrap()));
        rings("settle", &mut |store| store.settle(std::slice::from_ref(&dead)).unwrap());
        rings("drop", &mut |store| drop(store.drop_dead(&[1]).unwrap()));
        rings("hurry", &mut |store| store.hurry().unwrap());
        rings("pause", &mut |store| store.set_paused(true).unwrap());
    }

    #[test]
    fn a_damaged_store_is_left_alone_until_it_is_to_be_recovered() {
        let scratch = Scratch::new();
        let home = Home::open(&scratch.path("home")).unwrap();
        let draft = Draft { key: "a".to_owned(), change: Change::Delete };
        home.store().unwrap().save(&[draft], &Rules::default(), 0).unwrap();
        let path = home.0.join(STORE);
        let damaged = vec![b'?'; 5_000];
        fs::write(&path, &damaged).unwrap();

        assert!(matches!(home.sound_store(false), Err(StoreError::Corrupt(_))));
        assert_eq!(fs::read(&path).unwrap(), damaged);
        let (mut store, salvage) = home.sound_store(true).unwrap();
        assert_eq!(fs::read(salvage.unwrap().kept_as).unwrap(), damaged);
        assert_eq!(store.totals().unwrap().pending, 0);
    }
}
