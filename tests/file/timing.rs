//! When changes are told, and whether they are changes: settling, comparing contents, polling.

use crate::Alone;
use crate::Folder;
use crate::GENEROUS;
use crate::Record;
use crate::finish;
use crate::runtime;
use crate::watches;
use concourse::FileError;
use concourse::Source;
use concourse::source::FileEvents;
use std::fs;
use std::fs::File;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;
use std::time::Instant;

#[test]
fn a_copy_is_one_change_once_it_has_settled() {
    let (folder, runtime, record) = (Folder::new(), runtime(), Record::default());
    let settle = Duration::from_millis(300);
    let builder = Source::file(&runtime.serial("main"), &folder.path, FileEvents::ALL).recursive().settle(settle);
    let source = record.start(builder);
    let mut longest = Duration::ZERO;
    for round in 0..100 {
        let start = Instant::now();
        fs::write(folder.join(format!("{round}")), "content").unwrap();
        fs::write(folder.join("same"), format!("{round}")).unwrap();
        thread::sleep(Duration::from_millis(2));
        longest = longest.max(start.elapsed());
    }
    record.wait(|all| all.len() == 101);
    // On a machine that has stopped for so long in between, it was quiet.
    if longest < settle {
        assert!(record.so_far().is_empty(), "everything was told at once");
    }
    drop(source);
    finish(&runtime);
}

#[test]
fn a_save_that_changes_nothing_is_no_change() {
    let (folder, runtime, record) = (Folder::new(), runtime(), Record::default());
    let (path, new) = (folder.join("file"), folder.join("file.new"));
    fs::write(&path, "same").unwrap();
    let builder = Source::file(&runtime.serial("main"), &path, FileEvents::ALL);
    let source = record.start(builder.compare_contents().settle(Duration::from_millis(1)));
    for round in 0..20 {
        fs::write(&new, "same").unwrap();
        fs::rename(&new, &path).unwrap();
        fs::write(&new, "same").unwrap();
        fs::rename(&new, &path).unwrap();
        // A change of something else comes through, and with it no other event.
        fs::set_permissions(&path, Permissions::from_mode(0o600 + round)).unwrap();
        assert_eq!(record.wait_for(&path, FileEvents::ATTRIB), FileEvents::ATTRIB);
    }
    fs::write(&path, "other").unwrap();
    assert!(record.wait_for(&path, FileEvents::WRITE).contains(FileEvents::WRITE));
    drop(source);
    finish(&runtime);
}

#[test]
fn polling_needs_no_watches_and_finds_the_same() {
    let (folder, runtime, record) = (Alone::new(), runtime(), Record::default());
    let (path, deep) = (folder.path.join("file"), folder.path.join("a/b/file"));
    fs::write(&path, "content").unwrap();
    let builder = Source::file(&runtime.serial("main"), &folder.path, FileEvents::ALL).recursive();
    let source = record.start(builder.poll_every(Duration::from_millis(2)));
    assert_eq!(watches(), 0);
    fs::write(&path, "longer content").unwrap();
    assert_eq!(record.wait_for(&path, FileEvents::EXTEND), FileEvents::WRITE | FileEvents::EXTEND);
    fs::create_dir_all(deep.parent().unwrap()).unwrap();
    fs::write(&deep, "content").unwrap();
    record.wait(|all| all.get(&deep).is_some_and(|events| events.contains(FileEvents::CREATE)));
    fs::rename(folder.path.join("a"), folder.path.join("z")).unwrap();
    let moved = folder.path.join("z/b/file");
    record.wait(|all| {
        all.get(&deep).is_some_and(|events| events.contains(FileEvents::DELETE))
            && all.get(&moved).is_some_and(|events| events.contains(FileEvents::CREATE))
    });
    fs::set_permissions(&moved, Permissions::from_mode(0o600)).unwrap();
    record.wait(|all| all.get(&moved).is_some_and(|events| events.contains(FileEvents::ATTRIB)));
    fs::remove_dir_all(folder.path.join("z")).unwrap();
    record.wait(|all| all.len() == 3 && all.values().all(|events| *events == FileEvents::DELETE));
    assert_eq!((source.polls_because(), watches()), (None, 0));
    drop(source);
    finish(&runtime);
}

#[test]
fn a_file_system_that_does_not_tell_is_polled() {
    let (_others, runtime, record) = (Folder::new(), runtime(), Record::default());
    let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
    let path = PathBuf::from(format!("/proc/{}", child.id()));
    let source = record.start(Source::file(&runtime.serial("main"), &path, FileEvents::DELETE));
    assert!(matches!(source.polls_because(), Some(FileError::Silent { .. })));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(record.wait_for(&path, FileEvents::DELETE), FileEvents::DELETE);
    drop(source);
    finish(&runtime);
}

#[test]
fn a_suspended_source_that_waits_for_quiet_costs_nothing_and_tells_when_it_is_resumed() {
    let (folder, runtime, record) = (Folder::new(), runtime(), Record::default());
    let (path, queue) = (folder.join("file"), runtime.serial("main"));
    let source = record.start(Source::file(&queue, &path, FileEvents::ALL).settle(Duration::from_millis(1)));
    fs::write(&path, "first").unwrap();
    record.wait_for(&path, FileEvents::CREATE);
    source.suspend().unwrap();
    queue.exec_sync(|| ());
    drop(record.so_far());
    let before = runtime.statistics().event_loop_wakeups;
    for round in 0..500 {
        fs::write(&path, format!("{round}")).unwrap();
    }
    // Its marks die of the first notice; an alarm that was armed may ring once more.
    let wakeups = runtime.statistics().event_loop_wakeups - before;
    assert!(wakeups <= 10, "{wakeups} wake-ups for one file");
    assert!(record.so_far().is_empty());
    source.resume().unwrap();
    assert!(record.wait_for(&path, FileEvents::WRITE).contains(FileEvents::WRITE));
    drop(source);
    finish(&runtime);
}

#[test]
fn a_polled_source_can_be_suspended_and_costs_nothing_then() {
    let (folder, runtime, record) = (Folder::new(), runtime(), Record::default());
    let (path, queue) = (folder.join("file"), runtime.serial("main"));
    let builder = Source::file(&queue, &path, FileEvents::ALL).poll_every(Duration::from_millis(1));
    let source = record.start(builder);
    File::create(&path).unwrap();
    record.wait_for(&path, FileEvents::CREATE);
    source.suspend().unwrap();
    // An alarm that was armed may ring once more.
    let quiet = || {
        let before = runtime.statistics().event_loop_wakeups;
        thread::sleep(Duration::from_millis(50));
        runtime.statistics().event_loop_wakeups - before
    };
    let (deadline, mut wakeups) = (Instant::now() + GENEROUS, quiet());
    while wakeups > 0 && Instant::now() < deadline {
        wakeups = quiet();
    }
    assert_eq!(wakeups, 0);
    fs::remove_file(&path).unwrap();
    source.resume().unwrap();
    record.wait_for(&path, FileEvents::DELETE);
    drop(source);
    finish(&runtime);
}
