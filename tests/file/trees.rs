//! Directories with everything below them.

use crate::Alone;
use crate::Folder;
use crate::Record;
use crate::finish;
use crate::runtime;
use crate::watches;
use concourse::Source;
use concourse::source::FileEvents;
use std::fs;
use std::fs::File;
use std::process::Command;

const CREATED: FileEvents = FileEvents::CREATE.union(FileEvents::WRITE);

#[test]
fn what_is_made_and_filled_at_once_is_found() {
    let (folder, runtime, record) = (Folder::new(), runtime(), Record::default());
    let source = record.start(Source::file(&runtime.serial("main"), &folder.path, FileEvents::ALL).recursive());
    for round in 0..50 {
        let top = folder.join(format!("{round}"));
        let script = "mkdir -p $0/a/b/c && touch $0/a/b/c/file && echo content > $0/a/b/other";
        assert!(Command::new("sh").args(["-c", script]).arg(&top).status().unwrap().success());
        let everything = ["", "a", "a/b", "a/b/c", "a/b/c/file", "a/b/other"].map(|name| match name {
            "" => top.clone(),
            name => top.join(name),
        });
        record.wait(|all| {
            everything.iter().all(|path| all.get(path).is_some_and(|events| events.contains(FileEvents::CREATE)))
        });
        // Each directory is watched by now.
        fs::write(top.join("a/b/c/file"), "content").unwrap();
        record.wait(|all| all.get(&top.join("a/b/c/file")).is_some_and(|events| events.contains(FileEvents::EXTEND)));
    }
    drop(source);
    finish(&runtime);
}

#[test]
fn a_directory_that_is_moved_is_deleted_here_and_created_there_with_all_that_is_in_it() {
    let (folder, runtime, record) = (Folder::new(), runtime(), Record::default());
    fs::create_dir_all(folder.join("tree/a/b")).unwrap();
    fs::write(folder.join("tree/a/b/file"), "content").unwrap();
    let queue = runtime.serial("main");
    let source = record.start(Source::file(&queue, folder.join("tree"), FileEvents::ALL).recursive());
    let tree = |name: &str| folder.join("tree").join(name);
    for _ in 0..50 {
        fs::rename(tree("a"), tree("z")).unwrap();
        let all = record.wait(|all| all.contains_key(&tree("a/b/file")) && all.contains_key(&tree("z/b/file")));
        assert_eq!(all[&tree("a")], FileEvents::DELETE | FileEvents::RENAME);
        assert_eq!(all[&tree("z")], FileEvents::CREATE | FileEvents::RENAME);
        assert_eq!((all[&tree("a/b/file")], all[&tree("z/b/file")]), (FileEvents::DELETE, CREATED));
        // It is watched in its new place.
        fs::write(tree("z/b/file"), "longer content").unwrap();
        record.wait_for(&tree("z/b/file"), FileEvents::EXTEND);
        // Out of the tree and in again, while it changes outside.
        fs::rename(tree("z"), folder.join("outside")).unwrap();
        record.wait(|all| all.len() == 3 && all.values().all(|events| events.contains(FileEvents::DELETE)));
        fs::write(folder.join("outside/b/file"), "content").unwrap();
        fs::write(folder.join("outside/b/second"), "content").unwrap();
        fs::rename(folder.join("outside"), tree("a")).unwrap();
        record.wait(|all| all.len() == 4 && all.values().all(|events| events.contains(FileEvents::CREATE)));
        fs::remove_file(tree("a/b/second")).unwrap();
        record.wait_for(&tree("a/b/second"), FileEvents::DELETE);
        assert!(record.so_far().is_empty());
    }
    drop(source);
    finish(&runtime);
}

#[test]
fn a_directory_that_was_away_while_it_was_looked_at_is_looked_at_again() {
    let (folder, runtime, record) = (Folder::new(), runtime(), Record::default());
    let (a, aside) = (folder.join("a"), folder.join("aside"));
    fs::create_dir_all(a.join("b")).unwrap();
    let queue = runtime.serial("main");
    let source = record.start(Source::file(&queue, &folder.path, FileEvents::ALL).recursive());
    for round in 0..100 {
        // Both the change below and the moves are told together.
        let guard = source.suspend_guard().unwrap();
        fs::rename(&a, &aside).unwrap();
        fs::create_dir(&a).unwrap();
        fs::write(aside.join("b/file"), round.to_string()).unwrap();
        fs::remove_dir(&a).unwrap();
        fs::rename(&aside, &a).unwrap();
        drop(guard);
        record.wait(|all| all.get(&a.join("b/file")).is_some_and(|events| events.contains(FileEvents::WRITE)));
        fs::remove_file(a.join("b/file")).unwrap();
        record.wait(|all| all.get(&a.join("b/file")).is_some_and(|events| events.contains(FileEvents::DELETE)));
    }
    drop(source);
    finish(&runtime);
}

#[test]
fn what_is_skipped_is_neither_told_nor_watched() {
    let (folder, runtime, record) = (Alone::new(), runtime(), Record::default());
    for name in ["src/deep", "target/debug/deps", ".git/objects/00"] {
        fs::create_dir_all(folder.path.join(name)).unwrap();
    }
    let builder = Source::file(&runtime.serial("main"), &folder.path, FileEvents::ALL).recursive();
    let builder = builder.skip(|path| path.ends_with("target") || path.ends_with(".git"));
    let source = record.start(builder);
    let above = folder.path.ancestors().skip(1).count();
    assert_eq!(watches(), above + 3, "the directories above, the folder, and two below");
    fs::create_dir(folder.path.join("src/target")).unwrap();
    fs::write(folder.path.join("src/target/unseen"), "").unwrap();
    fs::write(folder.path.join("target/debug/deps/unseen"), "").unwrap();
    fs::write(folder.path.join(".git/objects/00/unseen"), "").unwrap();
    fs::write(folder.path.join("src/deep/seen"), "").unwrap();
    record.wait_for(&folder.path.join("src/deep/seen"), FileEvents::CREATE);
    assert!(record.so_far().is_empty());
    assert_eq!(watches(), above + 3);
    drop(source);
    finish(&runtime);
}

#[test]
fn a_tree_may_come_later_go_and_be_another_one() {
    let (folder, runtime, record) = (Folder::new(), runtime(), Record::default());
    let tree = folder.join("tree");
    let source = record.start(Source::file(&runtime.serial("main"), &tree, FileEvents::ALL).recursive());
    for _ in 0..20 {
        fs::create_dir_all(tree.join("a/b")).unwrap();
        record.wait(|all| all.len() == 3 && all.values().all(|events| events.contains(FileEvents::CREATE)));
        File::create(tree.join("a/b/file")).unwrap();
        let created = |events: &FileEvents| events.contains(FileEvents::CREATE);
        record.wait(|all| all.get(&tree.join("a/b/file")).is_some_and(created));
        fs::rename(&tree, folder.join("gone")).unwrap();
        record.wait(|all| all.len() == 4 && all.values().all(|events| events.contains(FileEvents::DELETE)));
        // A file in its place.
        File::create(&tree).unwrap();
        record.wait_for(&tree, CREATED);
        fs::remove_file(&tree).unwrap();
        record.wait_for(&tree, FileEvents::DELETE);
        fs::remove_dir_all(folder.join("gone")).unwrap();
    }
    drop(source);
    finish(&runtime);
}

/// The promise is fifty thousand directories within seconds; a quick run makes a tenth of them.
#[test]
fn many_directories_are_watched_within_seconds() {
    let (folder, runtime, record) = (Alone::new(), runtime(), Record::default());
    let wide = if std::env::var_os("CONCOURSE_FULL").is_some() { 500 } else { 50 };
    for above in 0..wide {
        for below in 0..99 {
            fs::create_dir_all(folder.path.join(format!("{above}/{below}"))).unwrap();
        }
    }
    let before = watches();
    let start = std::time::Instant::now();
    let source = record.start(Source::file(&runtime.serial("main"), &folder.path, FileEvents::ALL).recursive());
    let took = start.elapsed();
    assert!(took < std::time::Duration::from_secs(30), "{took:?}");
    assert!(watches() - before >= wide * 100);
    let deep = folder.path.join(format!("{}/98/file", wide - 1));
    File::create(&deep).unwrap();
    record.wait_for(&deep, FileEvents::CREATE);
    println!("{} directories in {took:?}", wide * 100);
    drop(source);
    finish(&runtime);
}
