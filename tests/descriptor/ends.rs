//! The other side ends: that is told once, after everything that came before it, and then there is quiet.

use crate::Calls;
use crate::finish;
use crate::kinds::terminal;
use crate::runtime;
use crate::wakeups_for;
use concourse::Source;
use concourse::source::Input;
use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::mknodat;
use std::fs::File;
use std::fs::OpenOptions;
use std::io::Read;
use std::io::Write;
use std::io::pipe;
use std::net::Shutdown;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0, far)
}

/// Reads a few bytes, or the end.
fn read_some(_: &impl Sized, mut reader: impl Read, _: Input) {
    _ = reader.read(&mut [0; 60]);
}

#[test]
fn the_end_comes_once_when_everything_is_read_and_costs_nothing_afterwards() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let (reader, mut writer) = pipe().unwrap();
    let (builder, calls) = Calls::of(Source::readable(&queue, reader), |s, fd, input| read_some(s, fd, input));
    let source = builder.activate().unwrap();
    queue.exec_sync(|| {
        writer.write_all(&[1; 100]).unwrap();
        drop(writer);
    });
    let told: Vec<_> = calls.wait_for(3).iter().map(|call| (call.bytes.unwrap(), call.ended)).collect();
    assert_eq!(told, [(100, true), (40, true), (0, true)]);
    assert!(calls.wait_for(3)[2].is_end() && !calls.wait_for(3)[1].is_end());
    assert_eq!(wakeups_for(&runtime, &queue, || ()), 0);
    let look_again = || drop(source.suspend_guard().unwrap());
    // The kernel tells again that nobody writes, and that goes no further.
    assert!(wakeups_for(&runtime, &queue, look_again) <= 1);
    assert_eq!(calls.count(), 3);
    assert_eq!(wakeups_for(&runtime, &queue, || ()), 0);
    source.cancel();
    finish(&runtime);
}

#[test]
fn a_half_closed_connection_has_ended_for_readers_and_not_for_writers() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let (near, mut far) = connection();
    let near = Arc::new(near);
    let reads = Source::readable(&queue, Arc::clone(&near));
    let (builder, inputs) = Calls::of(reads, |s, fd: &Arc<TcpStream>, input| read_some(s, &**fd, input));
    let reads = builder.activate().unwrap();
    let write = |source: &Source<_>, near: &Arc<TcpStream>, _| {
        source.suspend().unwrap();
        (&**near).write_all(b"after the end").unwrap();
    };
    let (builder, outputs) = Calls::of(Source::writable(&queue, near), write);
    let writes = builder.activate().unwrap();
    far.read_exact(&mut [0; 13]).unwrap();
    far.shutdown(Shutdown::Write).unwrap();
    let end = inputs.wait_for(1)[0];
    assert_eq!((end.bytes, end.ended, end.failed), (Some(0), true, false));
    for round in 2..=20 {
        writes.resume().unwrap();
        far.read_exact(&mut [0; 13]).unwrap();
        let last = outputs.wait_for(round)[round - 1];
        assert!(last.bytes > Some(0) && !last.closed && !last.failed, "{last:?}");
    }
    assert_eq!(inputs.count(), 1);
    reads.cancel();
    writes.cancel_now();
    finish(&runtime);
}

#[test]
fn a_connection_that_is_reset_is_told_to_both_directions_once() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let (near, mut far) = connection();
    near.set_nonblocking(true).unwrap();
    let near = Arc::new(near);
    let (builder, inputs) = Calls::of(Source::readable(&queue, Arc::clone(&near)), |_, _, _| ());
    let reads = builder.activate().unwrap();
    let fill = |_: &_, near: &Arc<TcpStream>, _| while (&**near).write(&[0; 65536]).is_ok() {};
    let (builder, outputs) = Calls::of(Source::writable(&queue, near), fill);
    let writes = builder.activate().unwrap();
    // What is closed with bytes unread is reset.
    far.read_exact(&mut [0]).unwrap();
    drop(far);
    let input = inputs.wait_for(1)[0];
    // The one who writes may have met the error first.
    assert!(input.is_end(), "{input:?}");
    let output = loop {
        let told = outputs.wait_for(1);
        if let Some(output) = told.iter().find(|call| call.closed) {
            break *output;
        }
    };
    assert_eq!(output.bytes, Some(0));
    assert_eq!(wakeups_for(&runtime, &queue, || ()), 0);
    assert_eq!(inputs.count(), 1);
    assert_eq!(outputs.wait_for(1).iter().filter(|call| call.closed).count(), 1);
    reads.cancel();
    writes.cancel();
    finish(&runtime);
}

#[test]
fn writers_without_readers_are_told_so_once() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let (reader, writer) = pipe().unwrap();
    let (near, far) = UnixStream::pair().unwrap();
    drop((reader, far));
    let (builder, of_pipe) = Calls::of(Source::writable(&queue, writer), |_, _, _| ());
    let pipe = builder.activate().unwrap();
    let (builder, of_socket) = Calls::of(Source::writable(&queue, near), |_, _, _| ());
    let socket = builder.activate().unwrap();
    for calls in [&of_pipe, &of_socket] {
        let told = calls.wait_for(1)[0];
        assert!(told.closed && told.bytes == Some(0), "{told:?}");
    }
    assert_eq!((wakeups_for(&runtime, &queue, || ()), of_pipe.count(), of_socket.count()), (0, 1, 1));
    pipe.cancel();
    socket.cancel();
    finish(&runtime);
}

#[test]
fn a_fifo_goes_on_with_its_next_writer() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let path = std::env::temp_dir().join(format!("concourse-fifo-{}", std::process::id()));
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let reader = OpenOptions::new().read(true).custom_flags(nonblocking).open(&path).unwrap();
    let (builder, calls) = Calls::of(Source::readable(&queue, reader), |s, fd: &File, input| read_some(s, fd, input));
    let source = builder.activate().unwrap();
    let mut count = 0;
    for round in 0..20 {
        let mut writer = OpenOptions::new().write(true).open(&path).unwrap();
        if round % 2 == 0 {
            // The loop learns that there is a writer again, and that there is none, without a byte in between.
            wakeups_for(&runtime, &queue, || ());
        }
        writer.write_all(&[1; 10]).unwrap();
        if round % 3 == 0 {
            calls.wait_for(count + 1);
        }
        drop(writer);
        // The bytes, with or without the end in sight, and the end.
        count += 2;
        let told = calls.wait_for(count);
        assert_eq!(told[count - 2].bytes, Some(10), "{told:?}");
        assert!(told[count - 1].is_end(), "{told:?}");
        if round % 5 == 4 {
            drop(source.suspend_guard().unwrap());
        }
    }
    assert_eq!((wakeups_for(&runtime, &queue, || ()), calls.count()), (0, count));
    std::fs::remove_file(&path).unwrap();
    source.cancel();
    finish(&runtime);
}

#[test]
fn a_terminal_that_hangs_up_has_ended() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let (near, far) = terminal();
    let (builder, calls) = Calls::of(Source::readable(&queue, far), |s, fd: &File, input| read_some(s, fd, input));
    let source = builder.activate().unwrap();
    drop(near);
    assert!(calls.wait_for(1)[0].ended);
    assert_eq!((wakeups_for(&runtime, &queue, || ()), calls.count()), (0, 1));
    source.cancel();
    finish(&runtime);
}
