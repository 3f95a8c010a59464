//! What needs a loop thread that is held up: the kernel drops notices then.

use super::*;
use crate::queue::Accept;
use crate::runtime::Runtime;
use crate::source::Source;
use std::fs;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

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
    let event_loop = queue.engine().event_loop().unwrap().unwrap();
    let ((reached, is_reached), (go_on, may_go_on)) = (channel(), channel());
    let brake = Arc::new(Brake { reached: Mutex::new(reached), go_on: Mutex::new(may_go_on) });
    event_loop.arm(Clock::Monotonic, Nanos::ZERO, Duration::ZERO, brake, None).unwrap();
    is_reached.recv_timeout(GENEROUS).unwrap();

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
        changes.paths().for_each(|(path, events)| all.add(path.to_owned(), events, 0));
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
