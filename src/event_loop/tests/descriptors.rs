//! What is told to the watchers of real descriptors, and how often the loop thread wakes up for it.

use super::*;
use crate::event_loop::EventLoop;
use crate::sync::AtomicU64;
use crate::sync::Ordering;
use crate::sync::yield_now;
use std::fs::File;
use std::io::PipeReader;
use std::io::PipeWriter;
use std::io::Read;
use std::io::Write;
use std::io::pipe;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;
use std::time::Instant;

const GENEROUS: Duration = Duration::from_secs(60);

/// Counts how often it is told.
#[derive(Default)]
struct Listener(AtomicU64);

impl Listener {
    fn new() -> Arc<Self> {
        Arc::default()
    }

    fn told(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    #[track_caller]
    fn wait_for(&self, count: u64) {
        let deadline = Instant::now() + GENEROUS;
        while self.told() < count {
            assert!(Instant::now() < deadline, "told {} times of {count}", self.told());
            yield_now();
        }
        assert_eq!(self.told(), count);
    }
}

impl Watcher for Listener {
    fn ready(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn label(&self) -> &str {
        "listener"
    }
}

/// A loop that is stopped at the end of its test.
struct Running(Arc<EventLoop>);

impl Running {
    fn new() -> Self {
        Self(EventLoop::start("descriptors of a test").expect("a loop"))
    }

    #[track_caller]
    fn watch<W: Watcher>(&self, fd: impl AsFd, interest: Interest, watcher: &Arc<W>) -> Watch {
        self.0.watch(fd.as_fd(), interest, watcher).expect("the descriptor can be watched").expect("the loop runs")
    }

    /// Comes back when the loop has told everything of which the kernel has told it, after exactly one wake-up more.
    #[track_caller]
    fn let_it_tell(&self) {
        let before = self.0.wakeups();
        let (reader, _writer) = written(b"x");
        let listener = Listener::new();
        let _watch = self.watch(&reader, Interest::Readable, &listener);
        listener.wait_for(1);
        assert_eq!(self.0.wakeups(), before + 1, "nobody else has woken the loop");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// A pipe with something in it.
fn written(bytes: &[u8]) -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(bytes).unwrap();
    (reader, writer)
}

#[test]
fn an_arming_is_told_once_and_wakes_the_loop_once_whatever_follows() {
    let (running, listener) = (Running::new(), Listener::new());
    let (reader, mut writer) = pipe().unwrap();
    let watch = running.watch(&reader, Interest::Readable, &listener);
    for round in 1..=3 {
        writer.write_all(b"1").unwrap();
        listener.wait_for(round);
        for _ in 0..100 {
            writer.write_all(b"2").unwrap();
        }
        running.let_it_tell();
        assert_eq!(listener.told(), round);
        (&reader).read_exact(&mut [0; 101]).unwrap();
        watch.rearm("test").unwrap();
    }
    running.let_it_tell();
    assert_eq!(listener.told(), 3, "there was nothing to tell");
    drop(writer);
    listener.wait_for(4);
}

#[test]
fn what_is_there_already_is_told_when_a_watch_is_armed() {
    let (running, listener) = (Running::new(), Listener::new());
    let (mut reader, _writer) = written(b"12");
    let watch = running.watch(&reader, Interest::Readable, &listener);
    listener.wait_for(1);
    reader.read_exact(&mut [0]).unwrap();
    watch.rearm("test").unwrap();
    listener.wait_for(2);
    reader.read_exact(&mut [0]).unwrap();
    watch.rearm("test").unwrap();
    running.let_it_tell();
    assert_eq!(listener.told(), 2);
}

#[test]
fn both_directions_and_several_watchers_share_a_descriptor() {
    let (running, reader, second, writer) = (Running::new(), Listener::new(), Listener::new(), Listener::new());
    let (mut near, mut far) = UnixStream::pair().unwrap();
    let reads = running.watch(&near, Interest::Readable, &reader);
    let writes = running.watch(&near, Interest::Writable, &writer);
    let reads_too = running.watch(&near, Interest::Readable, &second);
    writer.wait_for(1);
    for round in 2..=20 {
        writes.rearm("test").unwrap();
        writer.wait_for(round);
    }
    assert_eq!((reader.told(), second.told()), (0, 0));
    drop(writes);
    far.write_all(b"x").unwrap();
    reader.wait_for(1);
    second.wait_for(1);
    near.read_exact(&mut [0]).unwrap();
    reads.rearm("test").unwrap();
    drop(reads_too);
    far.write_all(b"x").unwrap();
    reader.wait_for(2);
    assert_eq!((second.told(), writer.told()), (1, 20));
}

#[test]
fn a_hang_up_is_told_to_both_directions() {
    let (running, reader, writer) = (Running::new(), Listener::new(), Listener::new());
    let (near, far) = UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    while (&near).write(&[0; 4096]).is_ok() {}
    let _reads = running.watch(&near, Interest::Readable, &reader);
    let _writes = running.watch(&near, Interest::Writable, &writer);
    running.let_it_tell();
    assert_eq!((reader.told(), writer.told()), (0, 0));
    drop(far);
    reader.wait_for(1);
    writer.wait_for(1);
}

#[test]
fn a_number_that_stands_for_another_descriptor_brings_nothing_of_the_one_before() {
    let running = Running::new();
    let (mut others, mut same) = (Vec::new(), 0);
    for round in 0..3_000 {
        // The event of the one is under way while its watch goes and the other one takes the number.
        let (reader, writer) = written(b"x");
        let listener = Listener::new();
        let watch = running.watch(&reader, Interest::Readable, &listener);
        if round % 2 == 0 {
            listener.wait_for(1);
        }
        drop(watch);
        let number = reader.as_raw_fd();
        drop((reader, writer));
        let (reader, writer) = pipe().unwrap();
        same += u64::from(reader.as_raw_fd() == number);
        let listener = Listener::new();
        let watch = running.watch(&reader, Interest::Readable, &listener);
        if round % 100 == 0 {
            others.push((listener, watch, reader, writer));
        } else {
            drop(watch);
            assert_eq!(listener.told(), 0);
        }
    }
    assert!(same > 0, "no number came back");
    let (reader, _writer) = written(b"x");
    let last = Listener::new();
    let _watch = running.watch(&reader, Interest::Readable, &last);
    last.wait_for(1);
    assert!(others.iter().all(|(listener, ..)| listener.told() == 0));
    drop(others);
    let table = running.0.descriptors.0.lock();
    assert_eq!((table.tokens.len(), table.descriptors.len()), (1, 1));
}

#[test]
fn what_is_always_ready_is_refused_and_devices_are_not() {
    let (running, listener) = (Running::new(), Listener::new());
    let refused = |fd: File| running.0.watch(fd.as_fd(), Interest::Readable, &listener).unwrap_err();
    let not_pollable = WatchError::NotPollable { label: "listener".into() };
    assert_eq!(refused(File::open(env!("CARGO_MANIFEST_DIR")).unwrap()), not_pollable);
    assert_eq!(refused(File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap()), not_pollable);
    assert!(running.0.descriptors.0.lock().descriptors.is_empty());
    let device = File::open("/dev/random").unwrap();
    let _watch = running.watch(&device, Interest::Readable, &listener);
    listener.wait_for(1);
}

#[test]
fn a_watcher_that_is_gone_is_told_nothing_and_one_that_panics_ends_nothing() {
    struct Bomb;
    impl Watcher for Bomb {
        fn ready(self: Arc<Self>) {
            panic!("a watcher panics");
        }

        fn label(&self) -> &str {
            "bomb"
        }
    }
    let (running, bomb, gone) = (Running::new(), Arc::new(Bomb), Listener::new());
    let (reader, _writer) = written(b"x");
    let (_first, _second) =
        (running.watch(&reader, Interest::Readable, &bomb), running.watch(&reader, Interest::Readable, &gone));
    drop(gone);
    let listener = Listener::new();
    let _third = running.watch(&reader, Interest::Readable, &listener);
    listener.wait_for(1);
    assert_eq!(Arc::strong_count(&bomb), 1);
}

#[test]
fn a_loop_that_has_ended_watches_nothing() {
    let (running, listener) = (Running::new(), Listener::new());
    let (reader, mut writer) = pipe().unwrap();
    let watch = running.watch(&reader, Interest::Readable, &listener);
    running.0.stop();
    assert!(running.0.watch(writer.as_fd(), Interest::Writable, &listener).unwrap().is_none());
    writer.write_all(b"x").unwrap();
    watch.rearm("test").unwrap();
    drop(watch);
    assert_eq!(listener.told(), 0);
    assert!(running.0.descriptors.0.lock().registry.is_none(), "its descriptor is closed");
}

#[cfg(feature = "sim")]
#[test]
fn virtual_time_has_no_descriptors() {
    let listener = Listener::new();
    let (reader, _writer) = pipe().unwrap();
    let refused = EventLoop::in_virtual_time().watch(reader.as_fd(), Interest::Readable, &listener).unwrap_err();
    assert_eq!(refused, WatchError::Unsupported { label: "listener".into() });
}

#[test]
fn refusals_say_what_is_wrong() {
    let error = |errno| refused(&io::Error::from_raw_os_error(errno), "s");
    let label: Arc<str> = "s".into();
    assert_eq!(error(9), WatchError::Closed { label: Arc::clone(&label) });
    assert_eq!(error(1), WatchError::NotPollable { label: Arc::clone(&label) });
    assert_eq!(error(28), WatchError::TooManyWatches { label: Arc::clone(&label), errno: 28 });
    assert_eq!(error(22), WatchError::Refused { label, errno: 22 });
}
