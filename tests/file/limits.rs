//! The kernel's limits. They count for a user, and a test must not take from the user what others need: it runs itself
//! again in a user namespace of its own, with limits of its own.

use crate::Folder;
use crate::Record;
use crate::finish;
use crate::runtime;
use concourse::FileError;
use concourse::Source;
use concourse::source::FileEvents;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

/// Runs the test of this name again, where `limit` is so low.
fn again(test: &str, limit: &str, value: u32) {
    let script = format!("echo {value} > /proc/sys/user/{limit} && exec \"$0\" --exact \"$1\" --nocapture");
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .arg(test)
        .env("CONCOURSE_LIMITED", "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn is_limited() -> bool {
    std::env::var_os("CONCOURSE_LIMITED").is_some()
}

#[test]
fn running_out_of_watches_is_an_error_that_names_the_setting() {
    if !is_limited() {
        // Besides those of the directories above.
        let above = u32::try_from(Path::new(env!("CARGO_TARGET_TMPDIR")).ancestors().count()).unwrap();
        let test = "limits::running_out_of_watches_is_an_error_that_names_the_setting";
        return again(test, "max_inotify_watches", above + 24);
    }
    let (folder, runtime, record) = (Folder::new(), runtime(), Record::default());
    for name in 0..40 {
        fs::create_dir(folder.join(format!("{name}"))).unwrap();
    }
    let queue = runtime.serial("main");
    let tree = || Source::file(&queue, &folder.path, FileEvents::ALL).recursive();
    let error = tree().label("tree").activate().unwrap_err();
    assert!(matches!(&error, FileError::NoWatch { label } if &**label == "tree"), "{error:?}");
    assert!(error.to_string().contains("fs.inotify.max_user_watches"), "{error}");
    // What was marked on the way to the error is free again, and enough for less.
    let builder = tree().skip(|path| path.file_name().is_some_and(|name| name.len() == 2));
    let source = record.start(builder);
    assert_eq!(source.polls_because(), None);
    // When they run out later, the source goes on by polling.
    let below = |name: u32| folder.join(format!("2/below-{name}"));
    (0..20).for_each(|name| fs::create_dir(below(name)).unwrap());
    record.wait(|all| (0..20).all(|name| all.contains_key(&below(name))));
    assert!(matches!(source.polls_because(), Some(FileError::NoWatch { .. })));
    (0..20).for_each(|name| fs::write(below(name).join("file"), "content").unwrap());
    record.wait(|all| (0..20).all(|name| all.contains_key(&below(name).join("file"))));
    // And is told again once there are enough of them.
    (0..20).for_each(|name| fs::remove_dir_all(below(name)).unwrap());
    crate::wait_until(|| source.polls_because().is_none());
    drop(source);
    finish(&runtime);
}

#[test]
fn an_open_file_that_loses_its_watch_to_somebody_else_is_looked_at_until_there_is_one_again() {
    if !is_limited() {
        let test = "limits::an_open_file_that_loses_its_watch_to_somebody_else_is_looked_at_until_there_is_one_again";
        return again(test, "max_inotify_watches", 1);
    }
    let (folder, runtime) = (Folder::new(), runtime());
    let queue = runtime.serial("main");
    let [mut file, other] = ["file", "other"].map(|name| fs::File::create(folder.join(name)).unwrap());
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let source = Source::vnode(&queue, file.try_clone().unwrap(), FileEvents::WRITE);
    let source = source.on_event(move |_| _ = count.fetch_add(1, Ordering::SeqCst)).activate().unwrap();
    source.suspend().unwrap();
    file.write_all(b"one").unwrap();
    // The first notice ends the watch of a suspended source, and then it is free for somebody else.
    let taken = std::cell::OnceCell::new();
    crate::wait_until(|| {
        let activated = Source::vnode(&queue, other.try_clone().unwrap(), FileEvents::WRITE).activate();
        activated.is_ok_and(|source| taken.set(source).is_ok())
    });
    source.resume().unwrap();
    crate::wait_until(|| calls.load(Ordering::SeqCst) == 1);
    file.write_all(b"two").unwrap();
    crate::wait_until(|| calls.load(Ordering::SeqCst) == 2);
    drop(taken);
    file.write_all(b"three").unwrap();
    crate::wait_until(|| calls.load(Ordering::SeqCst) >= 3);
    drop(source);
    finish(&runtime);
}

#[test]
fn running_out_of_instances_is_an_error_that_names_the_setting() {
    if !is_limited() {
        let test = "limits::running_out_of_instances_is_an_error_that_names_the_setting";
        return again(test, "max_inotify_instances", 1);
    }
    let folder = Folder::new();
    let runtimes = [runtime(), runtime()];
    let sources = [0, 1].map(|which| {
        let queue = runtimes[which].serial("main");
        // Any number of sources of a runtime share one.
        let more = (0..200).map(|_| Source::file(&queue, &folder.path, FileEvents::ALL).activate());
        more.collect::<Result<Vec<_>, _>>()
    });
    assert!(sources[0].is_ok());
    let error = sources[1].as_ref().unwrap_err();
    assert!(matches!(error, FileError::NoInstance { .. }), "{error:?}");
    assert!(error.to_string().contains("fs.inotify.max_user_instances"), "{error}");
    // Polling needs none.
    let queue = runtimes[1].serial("main");
    let polled = Source::file(&queue, &folder.path, FileEvents::ALL).poll_every(std::time::Duration::from_millis(1));
    drop((polled.activate().unwrap(), sources));
    runtimes.iter().for_each(finish);
}

/// A directory that cannot be opened has not been deleted.
#[test]
fn running_out_of_descriptors_delays_and_invents_nothing() {
    if std::env::var_os("CONCOURSE_LIMITED").is_none() {
        let output = Command::new("sh")
            .args(["-c", "ulimit -n 60 && exec \"$0\" --exact \"$1\" --nocapture"])
            .arg(std::env::current_exe().unwrap())
            .arg("limits::running_out_of_descriptors_delays_and_invents_nothing")
            .env("CONCOURSE_LIMITED", "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    let (folder, runtime, record) = (Folder::new(), runtime(), Record::default());
    let (path, new) = (folder.join("file"), folder.join("new"));
    let mut file = fs::File::create(&path).unwrap();
    let queue = runtime.serial("main");
    let sources = [
        record.start(Source::file(&queue, &path, FileEvents::ALL)),
        record.start(Source::file(&queue, &folder.path, FileEvents::ALL).recursive()),
    ];
    let mut taken = Vec::new();
    while let Ok(one) = fs::File::open("/dev/null") {
        taken.push(one);
    }
    file.write_all(b"content").unwrap();
    fs::rename(&path, &new).unwrap();
    fs::rename(&new, &path).unwrap();
    crate::wait_until(|| {
        sources.iter().any(|source| matches!(source.polls_because(), Some(FileError::NoDescriptor { .. })))
    });
    drop(taken);
    crate::wait_until(|| sources.iter().all(|source| source.polls_because().is_none()));
    fs::write(&new, "content").unwrap();
    let all = record.wait(|all| all.contains_key(&new) && all.contains_key(&path));
    assert!(all[&path].contains(FileEvents::WRITE | FileEvents::EXTEND), "{all:?}");
    drop(sources);
    finish(&runtime);
}

#[test]
fn polling_without_a_pause_is_refused() {
    let (folder, runtime) = (Folder::new(), runtime());
    let queue = runtime.serial("polls");
    let builder = Source::file(&queue, &folder.path, FileEvents::ALL).poll_every(std::time::Duration::ZERO);
    assert_eq!(builder.activate().unwrap_err(), FileError::ZeroInterval { label: "polls".into() });
    finish(&runtime);
}
