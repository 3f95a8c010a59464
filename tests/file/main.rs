//! File sources, on real files. Nothing here says how soon an event comes: a test waits until what it did has been told,
//! and then holds everything that was told against what it did.

mod editors;
mod ending;
mod limits;
mod paths;
mod timing;
mod torture;
mod trees;
mod vnode;

use concourse::Runtime;
use concourse::Shutdown;
use concourse::Source;
use concourse::source::File;
use concourse::source::FileChanges;
use concourse::source::FileEvents;
use concourse::source::SourceBuilder;
use parking_lot::Condvar;
use parking_lot::Mutex;
use parking_lot::RwLock;
use parking_lot::RwLockReadGuard;
use parking_lot::RwLockWriteGuard;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// No test waits for so long unless it fails.
const GENEROUS: Duration = Duration::from_secs(60);

/// Held by every test that uses watches, and held alone by those that count them.
static WATCHING: RwLock<()> = RwLock::new(());

/// A folder of a test's own, which goes with everything in it.
struct Folder {
    path: PathBuf,
    _others: RwLockReadGuard<'static, ()>,
}

impl Folder {
    fn new() -> Self {
        let others = WATCHING.read();
        Self { path: fresh_folder(), _others: others }
    }

    fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What a failed test leaves is not worth another failure.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// No other test has watches meanwhile.
struct Alone {
    path: PathBuf,
    _others: RwLockWriteGuard<'static, ()>,
}

impl Alone {
    fn new() -> Self {
        let others = WATCHING.write();
        Self { path: fresh_folder(), _others: others }
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// An empty folder, whose path has no symbolic links in it.
fn fresh_folder() -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let parent = fs::canonicalize(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = parent.join(format!("file-{}-{number}", std::process::id()));
    fs::create_dir(&path).unwrap();
    path
}

fn runtime() -> Runtime {
    Runtime::builder().threads(2).name("files").build().unwrap()
}

/// Ends the runtime, and with it a test whose handlers have assertions: a panic in a handler is contained and counted.
#[track_caller]
fn finish(runtime: &Runtime) {
    assert_eq!(runtime.shutdown(Shutdown::Drain.within(GENEROUS)).panics, 0);
}

/// Waits for something that another thread does.
#[track_caller]
fn wait_until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + GENEROUS;
    while !condition() {
        assert!(Instant::now() < deadline, "waited for a minute");
        thread::sleep(Duration::from_millis(1));
    }
}

/// How many inotify watches the process has.
fn watches() -> usize {
    let open =
        fs::read_dir("/proc/self/fdinfo").unwrap().filter_map(|entry| fs::read_to_string(entry.unwrap().path()).ok());
    open.map(|info| info.lines().filter(|line| line.starts_with("inotify wd:")).count()).sum()
}

/// How many inotify instances the process has.
fn instances() -> usize {
    let links = fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    links.filter(|link| link.to_string_lossy().contains("inotify")).count()
}

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Everything that a source has told.
#[derive(Clone, Default)]
struct Record(Arc<(Mutex<Vec<FileChanges>>, Condvar)>);

impl Record {
    /// Starts a source that is recorded, and calls whatever was set as its handler no more.
    #[track_caller]
    fn start(&self, source: SourceBuilder<File>) -> Source<File> {
        self.builder(source).activate().unwrap()
    }

    fn builder(&self, source: SourceBuilder<File>) -> SourceBuilder<File> {
        let record = self.clone();
        source.on_event(move |changes| record.add(changes))
    }

    fn add(&self, changes: FileChanges) {
        assert!(!changes.events().is_empty() && changes.count() >= changes.paths().len() as u64, "{changes:?}");
        let together = changes.paths().fold(FileEvents::NONE, |all, (_, events)| all | events);
        assert_eq!(changes.events(), together);
        let never = changes.paths().find(|(path, events)| *events == FileEvents::DELETE && changes.is_there(path));
        assert_eq!(never, None, "what was only deleted is not there");
        self.keep(changes);
    }

    fn keep(&self, changes: FileChanges) {
        self.0.0.lock().push(changes);
        self.0.1.notify_all();
    }

    /// What was told since the last call, path by path, as soon as it is enough.
    #[track_caller]
    fn wait(&self, is_enough: impl Fn(&BTreeMap<PathBuf, FileEvents>) -> bool) -> BTreeMap<PathBuf, FileEvents> {
        let deadline = Instant::now() + GENEROUS;
        let mut told = self.0.0.lock();
        loop {
            let mut all = BTreeMap::new();
            for (path, events) in told.iter().flat_map(FileChanges::paths) {
                *all.entry(path.to_owned()).or_default() |= events;
            }
            if is_enough(&all) {
                told.clear();
                return all;
            }
            assert!(
                !self.0.1.wait_until(&mut told, deadline).timed_out(),
                "waited for a minute, and was told {all:#?}"
            );
        }
    }

    /// Waits until these events of one path have been told; nothing of another one must have been. Returns all of them.
    #[track_caller]
    fn wait_for(&self, path: &Path, events: FileEvents) -> FileEvents {
        let all = self.wait(|all| all.get(path).is_some_and(|told| told.contains(events)));
        assert_eq!(all.len(), 1, "{all:#?}");
        all[path]
    }

    /// Everything that was told since the last call.
    fn so_far(&self) -> Vec<FileChanges> {
        std::mem::take(&mut *self.0.0.lock())
    }
}
