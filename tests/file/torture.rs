//! Many threads do at random what can be done to a tree, and whoever looks at what it is told of knows what is there.

use crate::Folder;
use crate::GENEROUS;
use crate::finish;
use crate::runtime;
use concourse::Source;
use concourse::source::File;
use concourse::source::FileChanges;
use concourse::source::FileEvents;
use concourse::source::SourceBuilder;
use parking_lot::Condvar;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

const FILES: u64 = 200;
const DIRECTORIES: u64 = 20;
const THREADS: u64 = 8;

/// What is at a path.
#[derive(Debug, PartialEq, Eq)]
enum Thing {
    Directory,
    Link(PathBuf),
    File(Vec<u8>),
}

/// What is at `path` now.
fn thing(path: &Path) -> Option<Thing> {
    let kind = fs::symlink_metadata(path).ok()?.file_type();
    if kind.is_dir() {
        Some(Thing::Directory)
    } else if kind.is_symlink() {
        fs::read_link(path).ok().map(Thing::Link)
    } else {
        fs::read(path).ok().map(Thing::File)
    }
}

/// Everything below `folder`.
fn disk(folder: &Path) -> BTreeMap<PathBuf, Thing> {
    let entries = walkdir::WalkDir::new(folder).into_iter().map(|entry| entry.unwrap().into_path());
    entries.filter_map(|path| thing(&path).map(|thing| (path, thing))).collect()
}

/// What somebody believes who looks at every path of which he is told, and at no other.
#[derive(Default)]
struct Belief {
    things: Mutex<BTreeMap<PathBuf, Thing>>,
    changed: Condvar,
}

impl Belief {
    fn learn(&self, changes: &FileChanges) {
        let mut things = self.things.lock();
        for (path, events) in changes.paths() {
            if events.contains(FileEvents::DELETE) {
                things.retain(|known, _| !known.starts_with(path));
            }
            match thing(path) {
                Some(thing) => drop(things.insert(path.to_owned(), thing)),
                None => drop(things.remove(path)),
            }
        }
        self.changed.notify_all();
    }

    /// Waits until this is what is believed.
    fn wait_for(&self, found: &BTreeMap<PathBuf, Thing>) {
        let (deadline, mut things) = (Instant::now() + GENEROUS, self.things.lock());
        while *things != *found {
            if self.changed.wait_until(&mut things, deadline).timed_out() {
                let paths = things.keys().chain(found.keys());
                let wrong = paths.filter(|path| things.get(*path) != found.get(*path)).collect::<BTreeSet<_>>();
                panic!("not told of {wrong:#?}");
            }
        }
    }
}

/// A sequence of numbers that a seed determines.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    /// One of the directories, each of which is in the folder or in another one.
    fn directory(&mut self, folder: &Path) -> PathBuf {
        let directory = folder.join(format!("d{}", self.below(DIRECTORIES)));
        if self.below(2) == 0 { directory } else { directory.join(format!("d{}", self.below(DIRECTORIES))) }
    }

    fn file(&mut self, folder: &Path) -> PathBuf {
        self.directory(folder).join(format!("f{}", self.below(FILES)))
    }
}

/// Does something; whatever is in its way has won.
fn wreak(folder: &Path, random: &mut Random) {
    let (file, directory) = (random.file(folder), random.directory(folder));
    match random.below(20) {
        0..4 => _ = fs::write(file, random.below(1_000_000).to_string()),
        4..8 => {
            let opened = OpenOptions::new().append(true).open(file);
            _ = opened.and_then(|mut file| file.write_all(b"more"));
        }
        8..11 => _ = fs::remove_file(file),
        11..14 => _ = fs::rename(file, random.file(folder)),
        14..17 => _ = fs::create_dir_all(directory),
        17 => _ = fs::remove_dir_all(directory),
        18 => _ = fs::rename(directory, random.directory(folder)),
        _ => _ = symlink("nowhere", file),
    }
}

/// Lets all threads loose on a tree for `time`, and holds what is believed of it in the end against the disk.
fn torture(time: Duration, describe: impl Fn(SourceBuilder<File>) -> SourceBuilder<File>, pause: bool) {
    let (folder, runtime, belief) = (Folder::new(), runtime(), Arc::new(Belief::default()));
    let root = folder.join("root");
    let learner = Arc::clone(&belief);
    let builder = describe(Source::file(&runtime.serial("main"), &root, FileEvents::ALL).recursive());
    let source = builder.on_event(move |changes| learner.learn(&changes)).activate().unwrap();
    let (seed, deadline) = (u64::from(std::process::id()), Instant::now() + time);
    println!("seed {seed}");
    fs::create_dir(&root).unwrap();
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (root, mut random) = (&root, Random(seed * THREADS + number));
            scope.spawn(move || {
                while Instant::now() < deadline {
                    wreak(root, &mut random);
                }
            });
        }
        while pause && Instant::now() < deadline {
            let guard = source.suspend_guard().unwrap();
            thread::sleep(Duration::from_millis(50));
            drop(guard);
            thread::sleep(Duration::from_millis(50));
        }
    });
    belief.wait_for(&disk(&root));
    assert_eq!(source.polls_because(), None);
    drop(source);
    finish(&runtime);
}

fn quick_or_full() -> Duration {
    Duration::from_secs(if std::env::var_os("CONCOURSE_FULL").is_some() { 60 } else { 3 })
}

#[test]
fn whoever_looks_at_what_is_told_knows_what_is_there() {
    torture(quick_or_full(), |builder| builder, false);
}

#[test]
fn whoever_looks_at_what_is_told_between_suspensions_knows_what_is_there() {
    torture(quick_or_full(), |builder| builder, true);
}
