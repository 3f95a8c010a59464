//! Every kind of source that listens to the kernel or to the clock.

use super::next;
use super::runtime;
use concourse::Source;
use concourse::block_on;
use concourse::source::FileEvents;
use concourse::source::PressureLevels;
use concourse::source::ProcessEvents;
use futures_lite::StreamExt;
use futures_lite::future::poll_once;
use std::env::temp_dir;
use std::fs;
use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::io::pipe;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::process::id;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

#[test]
fn times_come_when_they_are_due_and_those_that_nobody_polls_become_a_number() {
    const INTERVAL: Duration = Duration::from_millis(2);
    let runtime = runtime();
    let begun = Instant::now();
    let mut ticks = Source::timer(&runtime.serial("clock")).after(INTERVAL).every(INTERVAL).stream().unwrap();
    let first = next(&mut ticks).unwrap();
    let elapsed = |ticks: u64| begun.elapsed() >= INTERVAL * u32::try_from(ticks).unwrap();
    assert!(elapsed(first));
    let polled = Instant::now();
    assert!(super::eventually(|| polled.elapsed() >= 11 * INTERVAL));
    let meanwhile = next(&mut ticks).unwrap();
    assert!(meanwhile >= 10, "eleven intervals have passed before anybody asked again, and {meanwhile} came");
    assert!(elapsed(first + meanwhile));
    ticks.source().cancel();
    block_on(ticks.for_each(drop));
}

#[test]
fn a_descriptor_is_looked_at_again_when_somebody_asks() {
    let runtime = runtime();
    let (reader, mut writer) = pipe().unwrap();
    let reader = Arc::new(reader);
    let queue = runtime.serial("bytes");
    let mut readable = Source::readable(&queue, Arc::clone(&reader)).stream().unwrap();
    let sent: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
    let writing = thread::spawn({
        let sent = sent.clone();
        move || sent.chunks(777).for_each(|chunk| writer.write_all(chunk).unwrap())
    });
    let mut received = Vec::new();
    loop {
        let input = next(&mut readable).unwrap();
        if input.is_end() {
            break;
        }
        // What a value tells of is there: were it told before the bytes of the last one were read, this would block.
        let mut bytes = vec![0; usize::try_from(input.bytes.unwrap()).unwrap()];
        (&*reader).read_exact(&mut bytes).unwrap();
        received.extend(bytes);
    }
    assert_eq!(received, sent);
    writing.join().unwrap();
    assert_eq!(block_on(poll_once(readable.next())), None);
    // The turn that this has asked for.
    queue.exec_sync(|| ());
    assert_eq!(block_on(poll_once(readable.next())), None, "the end is told once");
    drop(readable);
    assert!(super::eventually(|| Arc::strong_count(&reader) == 1), "the source has let go of the descriptor");
}

#[test]
fn room_in_a_pipe_is_a_stream() {
    let runtime = runtime();
    let (mut reader, writer) = pipe().unwrap();
    let writer = Arc::new(writer);
    let mut writable = Source::writable(&runtime.serial("room"), Arc::clone(&writer)).stream().unwrap();
    let reading = thread::spawn(move || {
        let mut bytes = vec![0; 500_000];
        reader.read_exact(&mut bytes).map(|()| bytes)
    });
    let mut left = 500_000_u64;
    while left > 0 {
        let room = next(&mut writable).unwrap().bytes.unwrap().min(left).min(4_096);
        let bytes = vec![7; usize::try_from(room).unwrap()];
        (&*writer).write_all(&bytes).unwrap();
        left -= room;
    }
    assert!(reading.join().unwrap().unwrap().iter().all(|byte| *byte == 7));
    // It looks when it is asked. The child of another test has a reader too, from its fork to its exec.
    let deadline = Instant::now() + Duration::from_secs(60);
    while !next(&mut writable).unwrap().closed {
        assert!(Instant::now() < deadline, "nobody reads any more");
    }
}

#[test]
fn every_arrival_of_a_signal_is_counted() {
    let runtime = runtime();
    let mut arrivals = Source::signal(&runtime.serial("signals"), concourse::Signal::WINCH).stream().unwrap();
    let send = || rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::WINCH).unwrap();
    for _ in 0..3 {
        send();
        let arrived = next(&mut arrivals).unwrap();
        assert_eq!((arrived.count, arrived.sender.unwrap().pid), (1, id()));
    }
}

#[test]
fn the_end_of_a_process_and_of_a_child_are_streams() {
    let runtime = runtime();
    let queue = runtime.serial("ends");
    let shell = || Command::new("sh").args(["-c", "read line; exit 3"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut observed = shell();
    let mut process = Source::process(&queue, observed.id(), ProcessEvents::EXIT).stream().unwrap();
    let mut reaped = shell();
    let stdin = reaped.stdin.take();
    let mut child = Source::child(&queue, reaped).stream().unwrap();
    block_on(async {
        assert!(poll_once(process.next()).await.is_none() && poll_once(child.next()).await.is_none());
    });
    drop((observed.stdin.take(), stdin));
    for exit in [next(&mut process), next(&mut child)] {
        assert_eq!(exit.unwrap().status.unwrap().code(), Some(3));
    }
    assert_eq!(observed.wait().unwrap().code(), Some(3));
    child.source().cancel();
    assert_eq!(next(&mut child), None);
}

/// A folder that goes with everything in it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = temp_dir().join(format!("concourse-stream-{name}-{}", id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn changes_of_paths_and_of_open_files_are_streams() {
    let runtime = runtime();
    let queue = runtime.serial("files");
    let folder = Folder::new("files");
    let [path, open] = ["path", "open"].map(|name| folder.0.join(name));
    fs::write(&open, "").unwrap();
    let mut changes = Source::file(&queue, &path, FileEvents::ALL).stream().unwrap();
    let mut events = Source::vnode(&queue, File::open(&open).unwrap(), FileEvents::ALL).stream().unwrap();
    fs::write(&path, "new").unwrap();
    fs::write(&open, "longer").unwrap();
    fs::remove_file(&open).unwrap();
    let mut of_path = FileEvents::NONE;
    while !of_path.contains(FileEvents::CREATE) {
        of_path |= next(&mut changes).unwrap().events();
    }
    let mut of_open = FileEvents::NONE;
    while !of_open.contains(FileEvents::EXTEND | FileEvents::DELETE) {
        of_open |= next(&mut events).unwrap();
    }
    fs::remove_file(&path).unwrap();
    while !next(&mut changes).unwrap().events().contains(FileEvents::DELETE) {}
    changes.source().cancel();
    block_on(changes.for_each(drop));
    events.source().cancel();
    block_on(events.for_each(drop));
}

#[test]
fn memory_pressure_and_steps_of_the_clock_are_streams() {
    let runtime = runtime();
    let queue = runtime.serial("rare");
    let mut steps = Source::clock_steps(&queue).stream().unwrap();
    assert!(block_on(poll_once(steps.next())).is_none());
    steps.source().cancel();
    assert_eq!(next(&mut steps), None);
    // A machine without an account of pressure has no such source.
    if let Ok(mut levels) = Source::memory_pressure(&queue, PressureLevels::CRITICAL).stream() {
        levels.source().cancel();
        let rest = std::iter::repeat_with(|| next(&mut levels)).map_while(|level| level);
        assert!(rest.count() <= 1);
    }
}

#[test]
fn a_refused_stream_is_the_error_of_its_activation() {
    let runtime = runtime();
    let queue = runtime.serial("refused");
    assert!(Source::timer(&queue).every(Duration::ZERO).stream().is_err());
    assert!(Source::bounded_port::<u8>(&queue, 0).stream().is_err());
    assert!(Source::readable(&queue, File::open(temp_dir()).unwrap()).stream().is_err());
    assert!(Source::add(&queue).throttle(Duration::from_millis(1)).stream().is_ok());
}

#[test]
fn messages_that_were_not_polled_come_to_the_cancel_handler_in_order() {
    let runtime = runtime();
    for _ in 0..500 {
        let (told, legacy) = std::sync::mpsc::channel();
        let port = Source::port(&runtime.serial("orders")).on_cancel_with(move |rest| told.send(rest).unwrap());
        let sender = port.sender();
        let mut stream = port.stream().unwrap();
        (0..4).for_each(|n| sender.send(n).unwrap());
        assert_eq!(next(&mut stream), Some(0));
        (4..8).for_each(|n| sender.send(n).unwrap());
        drop(stream);
        assert_eq!(legacy.recv().unwrap(), [1, 2, 3, 4, 5, 6, 7]);
    }
}
