//! Who hears what, and what is left of the kernel's watches.

use super::*;
use std::fs::File;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use std::time::Instant;

const GENEROUS: Duration = Duration::from_secs(60);

/// What a witness was told: the mark, the notice and the name; `None` if notices were lost.
type Heard = Option<(u64, Told, Option<String>)>;

struct Recorder {
    told: Mutex<Sender<Heard>>,
    hearing: Hearing,
}

impl Recorder {
    fn new(hearing: Hearing) -> (Arc<Self>, Receiver<Heard>) {
        let (told, receiver) = channel();
        (Arc::new(Self { told: Mutex::new(told), hearing }), receiver)
    }
}

impl Witness for Recorder {
    fn hear(self: Arc<Self>, mark: u64, told: Told, name: Option<&OsStr>) -> Hearing {
        let name = name.map(|name| name.to_str().unwrap().to_owned());
        self.told.lock().send(Some((mark, told, name))).unwrap();
        self.hearing
    }

    fn overhear(self: Arc<Self>, _: u64) -> Hearing {
        self.hearing
    }

    fn miss(self: Arc<Self>, end: Option<&WatchError>) {
        assert_eq!(end, None);
        self.told.lock().send(None).unwrap();
    }
}

/// A folder of a test's own.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("concourse-notices-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn mark(notices: &Arc<Notices>, path: &Path, scope: Scope, of: &Arc<Recorder>, mark: u64, only: Option<&str>) -> Mark {
    let file = File::open(path).unwrap();
    notices.mark(file.as_fd(), scope, &Arc::downgrade(of), mark, only.map(OsStr::new)).unwrap()
}

#[test]
fn each_mark_hears_what_it_asks_for_and_nothing_after_its_end() {
    let (folder, event_loop) = (Folder::new("marks"), EventLoop::start("notices").unwrap());
    let notices = event_loop.notices().unwrap().unwrap();
    let (all, told_all) = Recorder::new(Hearing::More);
    let (one, told_one) = Recorder::new(Hearing::More);
    let mark_all = mark(&notices, &folder.0, Scope::Contents, &all, 7, None);
    let _mark_one = mark(&notices, &folder.0, Scope::Names, &one, 8, Some("b"));
    assert_eq!(notices.table.lock().inodes.len(), 1, "the kernel has one watch for an inode");
    fs::write(folder.0.join("a"), "content").unwrap();
    File::create(folder.0.join("b")).unwrap();
    let next = |told: &Receiver<Heard>| told.recv_timeout(GENEROUS).unwrap().unwrap();
    assert_eq!(next(&told_all), (7, Told::CREATE, Some("a".into())));
    assert_eq!(next(&told_all), (7, Told::MODIFY, Some("a".into())));
    assert_eq!(next(&told_all), (7, Told::CLOSE_WRITE, Some("a".into())));
    assert_eq!(next(&told_all), (7, Told::CREATE, Some("b".into())));
    assert_eq!(next(&told_one), (8, Told::CREATE, Some("b".into())), "nothing of another name, and nothing written");
    drop(mark_all);
    fs::remove_file(folder.0.join("b")).unwrap();
    assert_eq!(next(&told_one), (8, Told::DELETE, Some("b".into())));
    fs::remove_file(folder.0.join("a")).unwrap();
    fs::remove_dir(&folder.0).unwrap();
    assert_eq!(next(&told_one), (8, Told::DELETE_SELF, None));
    assert_eq!(next(&told_one), (8, Told::IGNORED, None));
    assert!(notices.table.lock().inodes.is_empty());
    assert!(told_all.try_iter().all(|told| told.is_some_and(|(_, told, _)| told == Told::CLOSE_WRITE)));
    event_loop.stop();
}

#[test]
fn whoever_has_heard_enough_is_told_no_more() {
    let (folder, event_loop) = (Folder::new("enough"), EventLoop::start("notices").unwrap());
    let notices = event_loop.notices().unwrap().unwrap();
    let (enough, told) = Recorder::new(Hearing::Enough);
    let dead = mark(&notices, &folder.0, Scope::Names, &enough, 1, None);
    for name in ["a", "b"] {
        File::create(folder.0.join(name)).unwrap();
    }
    let deadline = Instant::now() + GENEROUS;
    while !notices.table.lock().inodes.is_empty() {
        assert!(Instant::now() < deadline);
        thread::yield_now();
    }
    let told: Vec<_> = told.try_iter().collect();
    assert_eq!(told.first(), Some(&Some((1, Told::CREATE, Some("a".into())))));
    drop(dead);
    event_loop.stop();
}

#[test]
fn marks_that_come_and_go_beside_notices_leave_no_watch() {
    let (folder, event_loop) = (Folder::new("churn"), EventLoop::start("notices").unwrap());
    let (more, told) = Recorder::new(Hearing::More);
    let notices = event_loop.notices().unwrap().unwrap();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for number in 0..2000 {
                    drop(mark(&notices, &folder.0, Scope::Names, &more, number, None));
                }
            });
        }
        for number in 0..2000 {
            File::create(folder.0.join(format!("{}", number % 10))).unwrap();
            let _ = fs::remove_file(folder.0.join(format!("{}", (number + 5) % 10)));
        }
    });
    assert!(notices.table.lock().inodes.is_empty());
    let fd = notices.inotify.as_raw_fd();
    let watches = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap();
    assert!(!watches.contains("inotify wd:"), "{watches}");
    // It still hears.
    let _mark = mark(&notices, &folder.0, Scope::Names, &more, u64::MAX, None);
    File::create(folder.0.join("last")).unwrap();
    let is_last = |told: Heard| told == Some((u64::MAX, Told::CREATE, Some("last".into())));
    while !is_last(told.recv_timeout(GENEROUS).unwrap()) {}
    event_loop.stop();
}

#[test]
fn a_kernel_that_drops_notices_says_so_once_to_each() {
    let (folder, event_loop) = (Folder::new("overflow"), EventLoop::start("notices").unwrap());
    let notices = event_loop.notices().unwrap().unwrap();
    let (more, told) = Recorder::new(Hearing::More);
    let marks = [mark(&notices, &folder.0, Scope::Names, &more, 1, None), mark(&notices, &folder.0, Scope::Names, &more, 2, None)];
    // The loop thread waits for the table with its first notice, while the others come.
    let table = notices.table.lock();
    let most = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    for number in 0..most.trim().parse::<u64>().unwrap() + 1000 {
        let path = folder.0.join(format!("{}", number % 2));
        if number % 4 < 2 { drop(File::create(path)) } else { drop(fs::remove_file(path)) }
    }
    drop(table);
    while told.recv_timeout(GENEROUS).unwrap().is_some() {}
    File::create(folder.0.join("after")).unwrap();
    let of_mark = |mark| Some((mark, Told::CREATE, Some("after".to_owned())));
    let rest: Vec<_> = (0..2).map(|_| told.recv_timeout(GENEROUS).unwrap()).collect();
    assert_eq!(rest, [of_mark(1), of_mark(2)], "it was told once, and goes on");
    drop(marks);
    event_loop.stop();
}

fn notices_of(event_loop: &EventLoop) -> Option<Arc<Notices>> {
    event_loop.notices.lock().as_ref().and_then(Weak::upgrade)
}

#[test]
fn the_instance_goes_with_the_last_who_has_it() {
    let event_loop = EventLoop::start("notices").unwrap();
    let first = event_loop.notices().unwrap().unwrap();
    let fd = first.inotify.as_raw_fd();
    assert!(Arc::ptr_eq(&first, &event_loop.notices().unwrap().unwrap()), "there is one");
    let link = || fs::read_link(format!("/proc/self/fd/{fd}")).map_or(String::new(), |link| link.display().to_string());
    assert!(link().contains("inotify"));
    drop(first);
    assert!(notices_of(&event_loop).is_none(), "it is closed");
    drop(event_loop.notices().unwrap().unwrap());
    event_loop.stop();
    assert!(event_loop.notices().unwrap().is_none(), "a loop that has ended has none");
}
