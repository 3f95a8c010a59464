//! What holds file sources back, how they end, and what is left of them: nothing.

use crate::Alone;
use crate::Folder;
use crate::GENEROUS;
use crate::Record;
use crate::finish;
use crate::instances;
use crate::open_descriptors;
use crate::runtime;
use crate::wait_until;
use crate::watches;
use concourse::FileError;
use concourse::Shutdown;
use concourse::Source;
use concourse::source::FileEvents;
use std::fs;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[test]
fn cancelling_gives_every_watch_back_and_the_instance_with_the_last() {
    let (folder, runtime) = (Alone::new(), runtime());
    for name in ["a/b/c", "d/e"] {
        fs::create_dir_all(folder.path.join(name)).unwrap();
    }
    File::create(folder.path.join("file")).unwrap();
    let queue = runtime.serial("main");
    // The event loop's own descriptors stay.
    drop(Record::default().start(Source::file(&queue, &folder.path, FileEvents::ALL)));
    wait_until(|| instances() == 0);
    let descriptors = open_descriptors();
    for _ in 0..20 {
        let is_cancelled = Arc::new(AtomicBool::new(false));
        let cancelled = Arc::clone(&is_cancelled);
        let tree = Source::file(&queue, &folder.path, FileEvents::ALL).recursive();
        let tree = tree.on_cancel(move || assert!(!cancelled.swap(true, Ordering::SeqCst))).activate().unwrap();
        let one = Record::default().start(Source::file(&queue, folder.path.join("file"), FileEvents::ALL));
        let open = Source::vnode(&queue, File::open(&folder.path).unwrap(), FileEvents::ALL).activate().unwrap();
        let above = folder.path.ancestors().skip(1).count();
        assert_eq!(watches(), above + 1 + 5 + 1, "one for each inode, whoever asks");
        assert_eq!(open_descriptors(), descriptors + 2, "one instance for all, and what the user opened");
        tree.cancel();
        wait_until(|| is_cancelled.load(Ordering::SeqCst));
        assert_eq!(watches(), above + 2, "those of the others are left");
        one.cancel();
        drop(open);
        wait_until(|| instances() == 0 && open_descriptors() == descriptors);
    }
    finish(&runtime);
}

#[test]
fn nothing_wakes_up_for_a_source_that_is_suspended() {
    let (folder, runtime, record) = (Folder::new(), runtime(), Record::default());
    fs::create_dir(folder.join("below")).unwrap();
    let (path, queue) = (folder.join("below/file"), runtime.serial("main"));
    fs::write(&path, "").unwrap();
    let one = Record::default();
    let sources = [
        record.start(Source::file(&queue, &folder.path, FileEvents::ALL).recursive()),
        one.start(Source::file(&queue, &path, FileEvents::ALL)),
    ];
    fs::write(&path, "first").unwrap();
    record.wait(|all| all.get(&path).is_some_and(|events| events.contains(FileEvents::WRITE)));
    one.wait(|all| all.get(&path).is_some_and(|events| events.contains(FileEvents::WRITE)));
    sources.iter().for_each(|source| source.suspend().unwrap());
    // A turn that has begun is not held back, and may tell of the first write again.
    queue.exec_sync(|| ());
    for told in [&record, &one] {
        drop(told.so_far());
    }
    let before = runtime.statistics().event_loop_wakeups;
    for round in 0..500 {
        fs::write(&path, format!("{round}")).unwrap();
        fs::write(folder.join(format!("below/{round}")), "").unwrap();
        fs::remove_file(folder.join(format!("below/{}", round / 2))).ok();
    }
    let wakeups = runtime.statistics().event_loop_wakeups - before;
    assert!(wakeups <= 20, "{wakeups} wake-ups for seven inodes");
    assert!(record.so_far().is_empty() && one.so_far().is_empty());
    sources.iter().for_each(|source| source.resume().unwrap());
    let found = |round: &u32| folder.join(format!("below/{round}"));
    record.wait(|all| {
        let left = (0..500).filter(|round| found(round).exists());
        left.into_iter().all(|round| all.get(&found(&round)).is_some_and(|events| events.contains(FileEvents::CREATE)))
    });
    assert!(one.wait_for(&path, FileEvents::WRITE).contains(FileEvents::WRITE));
    drop(sources);
    finish(&runtime);
}

#[test]
fn dropping_the_last_handle_ends_a_source_silently() {
    let (folder, runtime) = (Folder::new(), runtime());
    let (path, queue) = (folder.join("file"), runtime.serial("main"));
    for suspended in [false, true] {
        let captured = Arc::new(());
        let (event, skip, cancel) = (Arc::clone(&captured), Arc::clone(&captured), Arc::clone(&captured));
        let builder = Source::file(&queue, &folder.path, FileEvents::ALL).recursive();
        let builder = builder.skip(move |_| Arc::strong_count(&skip) == 0).on_event(move |_| _ = &event);
        let source = builder.on_cancel(move || panic!("{cancel:?}: nobody cancelled it")).activate().unwrap();
        if suspended {
            source.suspend().unwrap();
        }
        fs::write(&path, "content").unwrap();
        let handle = source.handle().clone();
        drop(source);
        wait_until(|| Arc::strong_count(&captured) == 1);
        assert!(handle.has_ended());
    }
    finish(&runtime);
}

#[test]
fn sources_are_quiet_after_their_runtime_and_leave_nothing() {
    let folder = Alone::new();
    let descriptors = open_descriptors();
    for how in [Shutdown::Drain, Shutdown::CancelPending] {
        let (runtime, record) = (runtime(), Record::default());
        let queue = runtime.serial("main");
        let tree = Source::file(&queue, &folder.path, FileEvents::ALL).recursive();
        let tree = record.start(tree.settle(Duration::from_millis(1)));
        let polled = Source::file(&queue, &folder.path, FileEvents::ALL).poll_every(Duration::from_millis(1));
        let polled = record.start(polled);
        File::create(folder.path.join("before")).unwrap();
        record.wait(|all| all.contains_key(&folder.path.join("before")) && all.contains_key(&folder.path));
        let report = runtime.shutdown(how.within(GENEROUS));
        assert!(report.complete && report.panics == 0, "{report:?}");
        record.so_far();
        File::create(folder.path.join("after")).unwrap();
        drop((tree, polled, queue, runtime));
        assert_eq!((watches(), open_descriptors()), (0, descriptors));
        assert!(record.so_far().is_empty());
        fs::remove_file(folder.path.join("before")).unwrap();
        fs::remove_file(folder.path.join("after")).unwrap();
    }
}

#[test]
fn a_source_that_comes_after_the_runtimes_end_has_ended() {
    let (folder, runtime) = (Folder::new(), runtime());
    let queue = runtime.serial("main");
    drop(runtime);
    let source = Source::file(&queue, &folder.path, FileEvents::ALL).activate().unwrap();
    assert!(source.handle().has_ended());
    let source = Source::vnode(&queue, File::open(&folder.path).unwrap(), FileEvents::ALL).activate().unwrap();
    assert!(source.handle().has_ended());
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let (folder, runtime) = (Folder::new(), runtime());
    let queue = runtime.serial("main");
    let asked = FileEvents::WRITE | FileEvents::REVOKE;
    let error = Source::file(&queue, &folder.path, asked).label("revoke").activate().unwrap_err();
    assert!(matches!(&error, FileError::Unsupported { label, .. } if &**label == "revoke"), "{error:?}");
    let error = Source::vnode(&queue, File::open(&folder.path).unwrap(), asked).activate().unwrap_err();
    assert!(matches!(&error, FileError::Unsupported { .. }), "{error:?}");
    let error = Source::file(&queue, "", FileEvents::ALL).activate().unwrap_err();
    assert!(matches!(&error, FileError::BadPath { .. }), "{error:?}");
    assert!(error.to_string().contains("main"), "{error}");
    let error = Source::file(&queue, folder.path.join("a\0b"), FileEvents::ALL).activate().unwrap_err();
    assert!(matches!(&error, FileError::BadPath { .. }), "{error:?}");
    for nothing in [FileEvents::NONE, FileEvents::RESYNCED] {
        let error = Source::file(&queue, &folder.path, nothing).activate().unwrap_err();
        assert_eq!(error, FileError::NoEvents { label: "main".into() });
    }
    for nothing in [FileEvents::NONE, FileEvents::CREATE] {
        let error = Source::vnode(&queue, File::open(&folder.path).unwrap(), nothing).activate().unwrap_err();
        assert_eq!(error, FileError::NoEvents { label: "main".into() });
    }
    finish(&runtime);
}

#[test]
fn a_predicate_that_panics_loses_nothing() {
    let (folder, runtime, record) = (Folder::new(), runtime(), Record::default());
    let (angry, is_angry) = (folder.join("angry"), AtomicBool::new(true));
    let builder = Source::file(&runtime.serial("main"), &folder.path, FileEvents::ALL).recursive();
    let bad = angry.clone();
    let source = record.start(builder.skip(move |path| {
        assert!(path != bad || !is_angry.swap(false, Ordering::SeqCst), "a predicate may panic");
        false
    }));
    File::create(&angry).unwrap();
    File::create(folder.join("second")).unwrap();
    record.wait(|all| all.contains_key(&angry) && all.contains_key(&folder.join("second")));
    drop(source);
    assert_eq!(runtime.shutdown(Shutdown::Drain.within(GENEROUS)).panics, 1);
}

#[cfg(feature = "sim")]
#[test]
fn a_simulation_has_no_files() {
    let run = concourse::Sim::seeded(1).run(|runtime| {
        let queue = runtime.serial("main");
        let error = Source::file(&queue, "/", FileEvents::ALL).activate().unwrap_err();
        assert!(matches!(&error, FileError::Unsupported { .. }), "{error:?}");
        let polled = Source::file(&queue, "/", FileEvents::ALL).poll_every(Duration::from_secs(1));
        assert!(matches!(polled.activate().unwrap_err(), FileError::Unsupported { .. }));
    });
    run.unwrap();
}
