//! One path, and everything that can become of it.

use crate::Folder;
use crate::Record;
use crate::finish;
use crate::runtime;
use concourse::Source;
use concourse::source::FileEvents;
use std::fs;
use std::fs::File;
use std::fs::FileTimes;
use std::fs::OpenOptions;
use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::time::Duration;
use std::time::SystemTime;

const REPLACED: FileEvents = FileEvents::DELETE.union(FileEvents::CREATE).union(FileEvents::WRITE);
const CREATED: FileEvents = FileEvents::CREATE.union(FileEvents::WRITE);

#[test]
fn each_kind_of_change_is_told_by_its_name() {
    let (folder, runtime, record) = (Folder::new(), runtime(), Record::default());
    let path = folder.join("file");
    fs::write(&path, "first").unwrap();
    let source = record.start(Source::file(&runtime.serial("main"), &path, FileEvents::ALL));
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();

    file.write_all(b" and more").unwrap();
    assert_eq!(record.wait_for(&path, FileEvents::EXTEND), FileEvents::WRITE | FileEvents::EXTEND);
    file.set_len(3).unwrap();
    assert_eq!(record.wait_for(&path, FileEvents::WRITE), FileEvents::WRITE);
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(record.wait_for(&path, FileEvents::ATTRIB), FileEvents::ATTRIB);
    let earlier = SystemTime::now() - Duration::from_secs(1000);
    file.set_times(FileTimes::new().set_accessed(earlier).set_modified(earlier)).unwrap();
    assert_eq!(record.wait_for(&path, FileEvents::ATTRIB), FileEvents::ATTRIB, "setting the times writes nothing");
    fs::hard_link(&path, folder.join("second name")).unwrap();
    assert_eq!(record.wait_for(&path, FileEvents::LINK), FileEvents::LINK);
    fs::remove_file(folder.join("second name")).unwrap();
    assert_eq!(record.wait_for(&path, FileEvents::LINK), FileEvents::LINK);
    fs::rename(&path, folder.join("elsewhere")).unwrap();
    assert_eq!(record.wait_for(&path, FileEvents::RENAME), FileEvents::RENAME | FileEvents::DELETE);
    fs::rename(folder.join("elsewhere"), &path).unwrap();
    assert_eq!(record.wait_for(&path, FileEvents::RENAME), FileEvents::RENAME | CREATED);
    fs::remove_file(&path).unwrap();
    assert_eq!(record.wait_for(&path, FileEvents::DELETE), FileEvents::DELETE);
    File::create(&path).unwrap();
    assert_eq!(record.wait_for(&path, FileEvents::CREATE), CREATED);
    drop(source);
    finish(&runtime);
}

#[test]
fn a_path_may_not_exist_yet_nor_anything_above_it() {
    let (folder, runtime, record) = (Folder::new(), runtime(), Record::default());
    let path = folder.join("a/b/c/file");
    let source = record.start(Source::file(&runtime.serial("main"), &path, FileEvents::ALL));
    for _ in 0..20 {
        fs::create_dir_all(folder.join("a/b/c")).unwrap();
        fs::write(&path, "content").unwrap();
        let events = record.wait_for(&path, CREATED);
        assert!(!events.intersects(FileEvents::RENAME | FileEvents::LINK), "{events:?}");
        fs::remove_dir_all(folder.join("a")).unwrap();
        record.wait_for(&path, FileEvents::DELETE);
    }
    drop(source);
    finish(&runtime);
}

#[test]
fn a_file_that_is_renamed_over_the_path_is_a_write() {
    let (folder, runtime, record) = (Folder::new(), runtime(), Record::default());
    let (path, new) = (folder.join("file"), folder.join("file.new"));
    fs::write(&path, "0").unwrap();
    let source = record.start(Source::file(&runtime.serial("main"), &path, FileEvents::ALL));
    for round in 0..100 {
        fs::write(&new, round.to_string()).unwrap();
        fs::rename(&new, &path).unwrap();
        // Of the file before it may be told, too, that its last link went.
        let events = record.wait_for(&path, REPLACED | FileEvents::RENAME);
        assert_eq!(events - FileEvents::LINK, REPLACED | FileEvents::RENAME);
        // The file that is there now is the one that is watched.
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"more").unwrap();
        record.wait_for(&path, FileEvents::EXTEND);
    }
    drop(source);
    finish(&runtime);
}

#[test]
fn a_path_that_is_deleted_and_made_anew_is_followed() {
    let (folder, runtime, record) = (Folder::new(), runtime(), Record::default());
    let path = folder.join("file");
    let source = record.start(Source::file(&runtime.serial("main"), &path, FileEvents::ALL));
    for round in 0..100 {
        fs::write(&path, "content").unwrap();
        record.wait_for(&path, CREATED);
        if round % 2 == 0 {
            fs::remove_file(&path).unwrap();
            record.wait_for(&path, FileEvents::DELETE);
        } else {
            // It may be given the number of the one before, and is another file nevertheless.
            fs::remove_file(&path).unwrap();
            fs::write(&path, "content").unwrap();
            record.wait_for(&path, REPLACED);
            fs::remove_file(&path).unwrap();
            record.wait_for(&path, FileEvents::DELETE);
        }
    }
    drop(source);
    finish(&runtime);
}

#[test]
fn a_thousand_renames_are_a_thousand_calls() {
    let (folder, runtime, record) = (Folder::new(), runtime(), Record::default());
    let (path, elsewhere) = (folder.join("file"), folder.join("elsewhere"));
    fs::write(&path, "content").unwrap();
    let source = record.start(Source::file(&runtime.serial("main"), &path, FileEvents::RENAME));
    for round in 0..1000 {
        let (from, to) = if round % 2 == 0 { (&path, &elsewhere) } else { (&elsewhere, &path) };
        fs::rename(from, to).unwrap();
        record.wait(|all| !all.is_empty());
        assert!(record.so_far().is_empty(), "each is told once");
    }
    drop(source);
    finish(&runtime);
}

#[test]
fn each_of_a_thousand_sources_hears_the_rename_after_its_registration() {
    let (folder, runtime) = (Folder::new(), runtime());
    let queue = runtime.serial("main");
    for round in 0..1000 {
        let (path, record, (registered, is_registered)) =
            (folder.join(format!("{round}")), Record::default(), std::sync::mpsc::channel());
        File::create(&path).unwrap();
        let builder = record.builder(Source::file(&queue, &path, FileEvents::RENAME));
        let source = builder.on_registered(move || registered.send(()).unwrap()).activate().unwrap();
        is_registered.recv_timeout(crate::GENEROUS).unwrap();
        fs::rename(&path, folder.join("elsewhere")).unwrap();
        assert_eq!(record.wait_for(&path, FileEvents::RENAME), FileEvents::RENAME);
        source.cancel();
    }
    finish(&runtime);
}

#[test]
fn a_file_that_is_moved_away_and_back_is_still_watched() {
    let (folder, runtime, record) = (Folder::new(), runtime(), Record::default());
    let (path, elsewhere) = (folder.join("file"), folder.join("elsewhere"));
    fs::write(&path, "content").unwrap();
    let queue = runtime.serial("main");
    let source = record.start(Source::file(&queue, &path, FileEvents::ALL));
    for _ in 0..100 {
        // Nobody looks in between.
        let guard = source.suspend_guard().unwrap();
        fs::rename(&path, &elsewhere).unwrap();
        fs::rename(&elsewhere, &path).unwrap();
        drop(guard);
        record.wait_for(&path, FileEvents::RENAME);
        fs::write(&path, "longer content").unwrap();
        record.wait_for(&path, FileEvents::WRITE);
        fs::write(&path, "content").unwrap();
        record.wait_for(&path, FileEvents::WRITE);
    }
    drop(source);
    finish(&runtime);
}

#[test]
fn a_directory_above_may_be_renamed_and_replaced() {
    let (folder, runtime, record) = (Folder::new(), runtime(), Record::default());
    let path = folder.join("a/b/file");
    fs::create_dir_all(folder.join("a/b")).unwrap();
    fs::create_dir_all(folder.join("other/b")).unwrap();
    fs::write(&path, "first").unwrap();
    fs::write(folder.join("other/b/file"), "second").unwrap();
    let source = record.start(Source::file(&runtime.serial("main"), &path, FileEvents::ALL));
    for _ in 0..50 {
        fs::rename(folder.join("a"), folder.join("z")).unwrap();
        assert_eq!(record.wait_for(&path, FileEvents::DELETE), FileEvents::DELETE);
        fs::write(folder.join("z/b/file"), "unseen").unwrap();
        fs::rename(folder.join("other"), folder.join("a")).unwrap();
        assert_eq!(record.wait_for(&path, FileEvents::CREATE), CREATED);
        fs::write(&path, "seen").unwrap();
        record.wait_for(&path, FileEvents::WRITE);
        fs::rename(folder.join("a"), folder.join("other")).unwrap();
        record.wait_for(&path, FileEvents::DELETE);
        fs::rename(folder.join("z"), folder.join("a")).unwrap();
        record.wait_for(&path, FileEvents::CREATE);
        assert!(record.so_far().is_empty());
    }
    drop(source);
    finish(&runtime);
}

#[test]
fn a_symbolic_link_on_the_way_is_swapped() {
    let (folder, runtime, record) = (Folder::new(), runtime(), Record::default());
    // As Kubernetes mounts a ConfigMap: the file is a link through another link, which is replaced as a whole.
    let path = folder.join("config.toml");
    let publish = |version: u32| {
        let versioned = folder.join(format!("..version-{version}"));
        fs::create_dir(&versioned).unwrap();
        fs::write(versioned.join("config.toml"), format!("version = {version}")).unwrap();
        symlink(versioned.file_name().unwrap(), folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    };
    publish(0);
    symlink("..data/config.toml", &path).unwrap();
    let source = record.start(Source::file(&runtime.serial("main"), &path, FileEvents::ALL));
    for version in 1..50 {
        publish(version);
        record.wait_for(&path, REPLACED);
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("version = {version}"));
        fs::remove_dir_all(folder.join(format!("..version-{}", version - 1))).unwrap();
        fs::write(&path, "version = 1000000").unwrap();
        record.wait_for(&path, FileEvents::WRITE);
    }
    drop(source);
    finish(&runtime);
}

#[test]
fn links_that_lead_nowhere_or_in_circles_are_missing_files() {
    let (folder, runtime, record) = (Folder::new(), runtime(), Record::default());
    let path = folder.join("link");
    symlink("link", &path).unwrap();
    let source = record.start(Source::file(&runtime.serial("main"), &path, FileEvents::ALL));
    fs::remove_file(&path).unwrap();
    symlink(folder.join("not/here/yet"), &path).unwrap();
    fs::create_dir_all(folder.join("not/here")).unwrap();
    fs::write(folder.join("not/here/yet"), "content").unwrap();
    assert!(record.wait_for(&path, CREATED).contains(CREATED));
    fs::remove_file(&path).unwrap();
    record.wait_for(&path, FileEvents::DELETE);
    drop(source);
    finish(&runtime);
}

#[test]
fn a_directory_is_written_when_an_entry_comes_or_goes() {
    let (folder, runtime, record) = (Folder::new(), runtime(), Record::default());
    let path = folder.join("directory");
    fs::create_dir(&path).unwrap();
    let source = record.start(Source::file(&runtime.serial("main"), &path, FileEvents::ALL));
    fs::write(path.join("entry"), "content").unwrap();
    record.wait_for(&path, FileEvents::WRITE);
    fs::rename(path.join("entry"), path.join("other")).unwrap();
    record.wait_for(&path, FileEvents::WRITE);
    fs::create_dir(path.join("below")).unwrap();
    assert!(record.wait_for(&path, FileEvents::WRITE | FileEvents::LINK).contains(FileEvents::LINK));
    fs::remove_dir_all(&path).unwrap();
    assert!(!record.wait_for(&path, FileEvents::DELETE).contains(FileEvents::CREATE));
    fs::create_dir(&path).unwrap();
    assert_eq!(record.wait_for(&path, FileEvents::CREATE), FileEvents::CREATE);
    drop(source);
    finish(&runtime);
}

#[test]
fn only_what_was_asked_for_is_told() {
    let (folder, runtime, record) = (Folder::new(), runtime(), Record::default());
    let path = folder.join("file");
    fs::write(&path, "content").unwrap();
    let builder = Source::file(&runtime.serial("main"), &path, FileEvents::DELETE);
    let kept = record.clone();
    // A deletion that was seen before its notice came may be told again by then, of a file that is there again.
    let source = builder.on_event(move |changes| kept.keep(changes)).activate().unwrap();
    for _ in 0..50 {
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"more").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(record.wait_for(&path, FileEvents::DELETE), FileEvents::DELETE);
        fs::write(&path, "content").unwrap();
    }
    drop(source);
    finish(&runtime);
}

#[test]
fn paths_are_told_as_they_were_given() {
    let (folder, runtime, record) = (Folder::new(), runtime(), Record::default());
    fs::create_dir_all(folder.join("a/b")).unwrap();
    let path = folder.join("a/./b/../b/file");
    let source = record.start(Source::file(&runtime.serial("main"), &path, FileEvents::CREATE));
    fs::write(folder.join("a/b/file"), "content").unwrap();
    assert_eq!(record.wait_for(&path, FileEvents::CREATE), FileEvents::CREATE);
    let here = std::env::current_dir().unwrap();
    let relative = folder.path.strip_prefix(&here).unwrap().join("relative");
    let source = [source, record.start(Source::file(&runtime.serial("main"), &relative, FileEvents::CREATE))];
    fs::write(folder.join("relative"), "content").unwrap();
    assert_eq!(record.wait_for(&relative, FileEvents::CREATE), FileEvents::CREATE);
    drop(source);
    finish(&runtime);
}
