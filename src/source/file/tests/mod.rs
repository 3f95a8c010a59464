//! What needs a loop thread that is held up: the kernel drops notices then, or they are late.

use super::hints::LAST;
use super::*;
use crate::event_loop::Sink;
use crate::job::Job;
use crate::queue::Accept;
use crate::queue::Queue;
use crate::runtime::Runtime;
use crate::source::Source;
use std::fs;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;
use std::time::UNIX_EPOCH;

const GENEROUS: Duration = Duration::from_secs(60);

/// Holds the loop thread up until the test lets it go on.
struct Brake {
    reached: Mutex<Sender<()>>,
    go_on: Mutex<Receiver<()>>,
}

impl Sink for Brake {
    fn fire(self: Arc<Self>, _: Option<Job>, _: Nanos) {
        self.reached.lock().send(()).unwrap();
        self.go_on.lock().recv_timeout(GENEROUS).unwrap();
    }

    fn label(&self) -> &str {
        "brake"
    }
}

/// Holds the loop thread of a queue's runtime up until something is sent, or everything is dropped.
fn hold_up(queue: &Queue) -> Sender<()> {
    let event_loop = queue.engine().event_loop().unwrap().unwrap();
    let ((reached, is_reached), (go_on, may_go_on)) = (channel(), channel());
    let brake = Arc::new(Brake { reached: Mutex::new(reached), go_on: Mutex::new(may_go_on) });
    event_loop.arm(Clock::Monotonic, Nanos::ZERO, Duration::ZERO, brake, None).unwrap();
    is_reached.recv_timeout(GENEROUS).unwrap();
    go_on
}

/// Everything below a folder, with its size.
fn disk(folder: &std::path::Path) -> Vec<(PathBuf, u64)> {
    let entries = walkdir::WalkDir::new(folder).min_depth(1).into_iter().map(Result::unwrap);
    let mut all: Vec<_> = entries.map(|entry| (entry.path().to_owned(), entry.metadata().unwrap().len())).collect();
    all.sort();
    all
}

#[test]
fn what_the_kernel_did_not_tell_is_found_and_marked() {
    let folder = std::env::temp_dir().join(format!("concourse-overflow-{}", std::process::id()));
    fs::create_dir_all(folder.join("kept/below")).unwrap();
    fs::create_dir_all(folder.join("gone/below")).unwrap();
    for name in ["same", "written", "deleted", "gone/below/file"] {
        fs::write(folder.join(name), "content").unwrap();
    }
    let runtime = Runtime::builder().threads(2).build().unwrap();
    let (queue, (tell, told)) = (runtime.serial("overflow"), channel());
    let builder = Source::file(&queue, &folder, FileEvents::ALL).recursive();
    let source = builder.on_event(move |changes| tell.send(changes).unwrap()).activate().unwrap();
    let go_on = hold_up(&queue);

    let most = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    for number in 0..most.trim().parse::<u64>().unwrap() {
        let path = folder.join(format!("noise-{}", number % 2));
        let _ = if number % 4 < 2 { fs::write(path, "") } else { fs::remove_file(path) };
    }
    // From here on nothing is told.
    fs::write(folder.join("written"), "longer content").unwrap();
    fs::remove_file(folder.join("deleted")).unwrap();
    fs::remove_dir_all(folder.join("gone")).unwrap();
    fs::create_dir_all(folder.join("new/below")).unwrap();
    fs::write(folder.join("new/below/file"), "content").unwrap();
    fs::write(folder.join("kept/below/file"), "content").unwrap();
    // Nobody looks before it is known that notices were lost.
    source.suspend().unwrap();
    go_on.send(()).unwrap();
    let deadline = Instant::now() + GENEROUS;
    while !source.handle().delivery().pending().pace.lock().hints.lost {
        assert!(Instant::now() < deadline, "the kernel has kept everything");
        thread::yield_now();
    }
    source.resume().unwrap();

    let expected = [
        ("written", FileEvents::WRITE | FileEvents::EXTEND),
        ("deleted", FileEvents::DELETE),
        ("gone", FileEvents::DELETE),
        ("gone/below", FileEvents::DELETE),
        ("gone/below/file", FileEvents::DELETE),
        ("new", FileEvents::CREATE),
        ("new/below", FileEvents::CREATE),
        ("new/below/file", FileEvents::CREATE | FileEvents::WRITE),
        ("kept/below/file", FileEvents::CREATE | FileEvents::WRITE),
    ];
    let mut all = FileChanges::default();
    while !expected.iter().all(|(name, events)| all.of(folder.join(name)).contains(*events | FileEvents::RESYNCED)) {
        let changes = told.recv_timeout(GENEROUS).unwrap_or_else(|_| panic!("was told {all:#?}"));
        changes.paths().for_each(|(path, events)| all.add(path.to_owned(), events, 0, changes.is_there(path)));
    }
    assert_eq!(all.of(folder.join("same")), FileEvents::NONE);
    // From now on it is told as ever.
    let later = folder.join("new/below/later");
    fs::write(&later, "content").unwrap();
    while !told.recv_timeout(GENEROUS).unwrap().of(&later).contains(FileEvents::CREATE) {}
    assert_eq!(disk(&folder).len(), 9);
    source.cancel();
    drop(runtime);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_change_that_is_seen_before_its_notice_is_told_by_the_notice() {
    let folder = std::env::temp_dir().join(format!("concourse-late-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("file");
    fs::write(&path, "content").unwrap();
    let runtime = Runtime::builder().threads(2).build().unwrap();
    let (queue, (tell, told)) = (runtime.serial("late"), channel());
    let builder = Source::file(&queue, &path, FileEvents::ALL).compare_contents();
    let source = builder.on_registered(move || tell.send(()).unwrap()).activate().unwrap();
    told.recv_timeout(GENEROUS).unwrap();
    // The test looks in place of the turns.
    queue.suspend().unwrap();
    let (delivery, earlier) = (source.handle().delivery(), UNIX_EPOCH + Duration::from_secs(1000));
    let times = fs::FileTimes::new().set_accessed(earlier).set_modified(earlier);
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let changes: [(&dyn Fn(), FileEvents); 2] = [
        (&|| file.set_times(times).unwrap(), FileEvents::ATTRIB),
        (&|| file.write_all_at(b"changed", 0).unwrap(), FileEvents::WRITE),
    ];
    for (change, events) in changes {
        let go_on = hold_up(&queue);
        change();
        // Of an attribute of the entry its directory tells too, and first.
        delivery.pending().pace.lock().hints.add(LAST, Told::ATTRIB, Some(OsStr::new("file")), u32::MAX);
        assert_eq!(delivery.pending().take(), None);
        go_on.send(()).unwrap();
        let deadline = Instant::now() + GENEROUS;
        while delivery.pending().pace.lock().hints.itself.is_empty() {
            assert!(Instant::now() < deadline, "the kernel has told nothing");
            thread::yield_now();
        }
        assert_eq!(delivery.pending().take().map(|changes| changes.of(&path)), Some(events));
    }
    queue.resume().unwrap();
    source.cancel();
    drop(runtime);
    fs::remove_dir_all(folder).unwrap();
}
