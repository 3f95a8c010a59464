//! Keeps one directory a mirror of another, whatever happens there.
//!
//! `sync_dir FROM TO` goes on until it is interrupted. Without arguments it mirrors a directory in which four threads
//! rage, and checks that the mirror is right when they are done.
//!
//! The handler does what it is told: removes what was deleted, and copies what is there. What has changed again by then,
//! it will be told again.

use concourse::Event;
use concourse::Queue;
use concourse::Source;
use concourse::source::File;
use concourse::source::FileChanges;
use concourse::source::FileEvents;
use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// Makes `to` what `from` is, a file or a directory without what is in it, after `from` was made anew or was written.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    match fs::symlink_metadata(from) {
        Ok(status) if status.is_dir() => fs::create_dir_all(to),
        Ok(status) if status.is_file() => {
            // Whoever reads the mirror meanwhile finds the old file or the new one.
            let part = to.with_extension("part");
            fs::copy(from, &part)?;
            fs::rename(part, to)
        }
        Ok(_) => Ok(()),
        Err(_) => remove(to),
    }
}

/// Removes what is at `path`, with everything in it.
fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(status) if status.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

fn mirror(queue: &Queue, from: &Path, to: &Path) -> Result<Source<File>, Box<dyn Error>> {
    let (base, target) = (from.to_owned(), to.to_owned());
    let update = move |changes: &FileChanges| {
        // Directories come before what is in them.
        for (path, events) in changes.paths() {
            let copied = target.join(path.strip_prefix(&base).unwrap_or(path));
            let gone = if events.contains(FileEvents::DELETE) { remove(&copied) } else { Ok(()) };
            let renewed = || if changes.is_there(path) { copy(path, &copied) } else { Ok(()) };
            // A file that has gone meanwhile, or its directory, is reported once more.
            if let Err(error) = gone.and_then(|()| renewed())
                && error.kind() != io::ErrorKind::NotFound
            {
                eprintln!("{}: {error}", path.display());
            }
        }
    };
    let source = Source::file(queue, from, FileEvents::ALL).recursive().on_event(move |changes| update(&changes));
    Ok(source.activate()?)
}

/// Everything below `folder`: files with their contents, directories with none.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let below = walkdir::WalkDir::new(folder).min_depth(1).into_iter().filter_map(Result::ok);
    let relative = |path: &Path| path.strip_prefix(folder).map(Path::to_owned).unwrap_or_default();
    below.map(|entry| (relative(entry.path()), fs::read(entry.path()).ok())).collect()
}

/// Does whatever `seed` says to the files and directories in `folder`.
fn rage(folder: &Path, mut seed: u64) {
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for round in 0..3_000 {
        let mut directory = || folder.join(format!("{}/{}", random(3), random(3)));
        let (here, there) = (directory(), directory());
        let (from, to) = (here.join(format!("file-{}", random(9))), there.join(format!("file-{}", random(9))));
        // What fails was in the way of another thread.
        let _ = match random(10) {
            0..=3 => fs::create_dir_all(&here).and_then(|()| fs::write(from, round.to_string())),
            4 | 5 => fs::rename(from, to),
            6 | 7 => fs::remove_file(from),
            8 => fs::rename(here, there),
            _ => fs::remove_dir_all(here),
        };
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let queue = Queue::serial("mirror");
    if let (Some(from), Some(to)) = (env::args_os().nth(1), env::args_os().nth(2)) {
        let (from, to) = (PathBuf::from(from), PathBuf::from(to));
        let _source = mirror(&queue, &from, &to)?;
        for entry in walkdir::WalkDir::new(&from) {
            let path = entry?.into_path();
            copy(&path, &to.join(path.strip_prefix(&from)?))?;
        }
        Event::new().wait();
    }
    let folder = env::temp_dir().join(format!("sync-dir-{}", std::process::id()));
    let (from, to) = (folder.join("from"), folder.join("to"));
    fs::create_dir_all(&folder)?;
    let source = mirror(&queue, &from, &to)?;
    thread::scope(|scope| {
        for seed in 0..4 {
            let from = &from;
            scope.spawn(move || rage(from, seed));
        }
    });
    let (start, deadline) = (Instant::now(), Instant::now() + Duration::from_secs(60));
    while contents(&from) != contents(&to) {
        assert!(Instant::now() < deadline, "the mirror is wrong");
        thread::sleep(Duration::from_millis(1));
    }
    let count = contents(&to).len();
    println!("{count} files and directories are the same {} ms after the storm", start.elapsed().as_millis());
    drop(source);
    fs::remove_dir_all(folder)?;
    Ok(())
}
