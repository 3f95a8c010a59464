//! Open files, whatever they are called.

use crate::Folder;
use crate::GENEROUS;
use crate::finish;
use crate::runtime;
use concourse::Queue;
use concourse::Source;
use concourse::source::FileEvents;
use concourse::source::Vnode;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::Permissions;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::channel;

/// A source of all that happens to a file, and what it tells.
fn start(queue: &Queue, fd: impl AsFd + Send + Sync + 'static) -> (Source<Vnode>, Receiver<FileEvents>) {
    let (tell, told) = channel();
    let builder = Source::vnode(queue, fd, FileEvents::ALL).on_event(move |events| tell.send(events).unwrap());
    (builder.activate().unwrap(), told)
}

/// All that is told until it contains `events`.
#[track_caller]
fn wait_for(told: &Receiver<FileEvents>, events: FileEvents) -> FileEvents {
    let mut all = FileEvents::NONE;
    while !all.contains(events) {
        all |= told.recv_timeout(GENEROUS).unwrap_or_else(|_| panic!("waited for {events:?}, and was told {all:?}"));
    }
    all
}

/// libdispatch's own test of this kind of source.
#[test]
fn each_of_a_thousand_sources_hears_the_rename_after_its_registration_and_gives_its_file_back() {
    let (folder, runtime) = (Folder::new(), runtime());
    let queue = runtime.serial("vnode");
    for round in 0..1000 {
        let (path, (tell, told), (registered, is_registered)) = (folder.join(format!("{round}")), channel(), channel());
        let (file, (cancelled, is_cancelled)) = (Arc::new(File::create(&path).unwrap()), channel());
        let source = Source::vnode(&queue, Arc::clone(&file), FileEvents::RENAME)
            .on_registered(move || registered.send(()).unwrap())
            .on_event(move |events| tell.send(events).unwrap())
            .on_cancel(move || cancelled.send(()).unwrap())
            .activate()
            .unwrap();
        is_registered.recv_timeout(GENEROUS).unwrap();
        fs::rename(&path, folder.join("renamed")).unwrap();
        assert_eq!(told.recv_timeout(GENEROUS), Ok(FileEvents::RENAME));
        source.cancel();
        is_cancelled.recv_timeout(GENEROUS).unwrap();
        assert!(told.try_recv().is_err(), "one rename, one event");
        assert_eq!(Arc::strong_count(&file), 1, "the descriptor is free when the cancel handler runs");
    }
    finish(&runtime);
}

#[test]
fn a_thousand_renames_of_one_file_are_a_thousand_calls() {
    let (folder, runtime) = (Folder::new(), runtime());
    File::create(folder.join("0")).unwrap();
    let (source, told) = start(&runtime.serial("vnode"), File::open(folder.join("0")).unwrap());
    for round in 0..1000 {
        fs::rename(folder.join(format!("{round}")), folder.join(format!("{}", round + 1))).unwrap();
        assert_eq!(told.recv_timeout(GENEROUS), Ok(FileEvents::RENAME));
    }
    drop(source);
    assert!(told.recv_timeout(GENEROUS).is_err(), "the handler is dropped, and there was no other event");
    finish(&runtime);
}

#[test]
fn the_file_is_followed_and_not_its_name() {
    let (folder, runtime) = (Folder::new(), runtime());
    let (path, renamed) = (folder.join("file"), folder.join("renamed"));
    let mut file = OpenOptions::new().append(true).create(true).open(&path).unwrap();
    let (source, told) = start(&runtime.serial("vnode"), file.try_clone().unwrap());
    file.write_all(b"content").unwrap();
    assert_eq!(wait_for(&told, FileEvents::EXTEND), FileEvents::WRITE | FileEvents::EXTEND);
    fs::hard_link(&path, folder.join("link")).unwrap();
    assert_eq!(wait_for(&told, FileEvents::LINK), FileEvents::LINK);
    fs::remove_file(folder.join("link")).unwrap();
    assert_eq!(wait_for(&told, FileEvents::LINK), FileEvents::LINK);
    fs::rename(&path, &renamed).unwrap();
    assert_eq!(wait_for(&told, FileEvents::RENAME), FileEvents::RENAME);
    // Another file where it was is not of interest.
    fs::write(&path, "another").unwrap();
    fs::set_permissions(&renamed, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(wait_for(&told, FileEvents::ATTRIB), FileEvents::ATTRIB);
    file.set_len(1).unwrap();
    assert_eq!(wait_for(&told, FileEvents::WRITE), FileEvents::WRITE);
    // The descriptor keeps the file: it is deleted when the last name goes, and can be written still.
    fs::rename(&path, &renamed).unwrap();
    let deleted = wait_for(&told, FileEvents::DELETE);
    assert!(deleted.contains(FileEvents::LINK) && !deleted.intersects(FileEvents::RENAME | FileEvents::WRITE));
    file.write_all(b"more").unwrap();
    assert_eq!(wait_for(&told, FileEvents::EXTEND), FileEvents::WRITE | FileEvents::EXTEND);
    drop(source);
    finish(&runtime);
}

#[test]
fn a_directory_is_written_when_an_entry_comes_or_goes() {
    let (folder, runtime) = (Folder::new(), runtime());
    let (source, told) = start(&runtime.serial("vnode"), File::open(&folder.path).unwrap());
    for round in 0..100 {
        File::create(folder.join(format!("{round}"))).unwrap();
        wait_for(&told, FileEvents::WRITE);
    }
    fs::create_dir(folder.join("below")).unwrap();
    wait_for(&told, FileEvents::WRITE | FileEvents::LINK);
    drop(source);
    finish(&runtime);
}

#[test]
fn what_happens_during_a_suspension_is_told_after_it() {
    let (folder, runtime) = (Folder::new(), runtime());
    let path = folder.join("file");
    let mut file = File::create(&path).unwrap();
    let (source, told) = start(&runtime.serial("vnode"), file.try_clone().unwrap());
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    wait_for(&told, FileEvents::ATTRIB);
    source.suspend().unwrap();
    for _ in 0..1000 {
        file.write_all(b"content").unwrap();
    }
    fs::rename(&path, folder.join("renamed")).unwrap();
    assert!(told.try_recv().is_err());
    source.resume().unwrap();
    let all = wait_for(&told, FileEvents::RENAME);
    assert_eq!(all, FileEvents::WRITE | FileEvents::EXTEND | FileEvents::RENAME);
    drop(source);
    finish(&runtime);
}
