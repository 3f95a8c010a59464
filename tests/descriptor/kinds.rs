//! Every kind of descriptor, and what can be known of it.
#![allow(unsafe_code, reason = "a descriptor that is not open can be had by force only")]

use crate::Calls;
use crate::finish;
use crate::runtime;
use crate::wait_until;
use concourse::Source;
use concourse::WatchError;
use parking_lot::Mutex;
use rustix::event::EventfdFlags;
use rustix::event::eventfd;
use rustix::pty;
use std::fs::File;
use std::fs::OpenOptions;
use std::io::PipeWriter;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::io::pipe;
use std::net::Shutdown::Write as Writing;
use std::net::TcpListener;
use std::net::TcpStream;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

#[test]
fn a_pipe_tells_how_many_bytes_are_in_it_and_again_what_is_left() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(&[7; 512]).unwrap();
    let read = |_: &_, mut reader: &std::io::PipeReader, _| reader.read_exact(&mut [0; 200]).unwrap();
    let (builder, calls) = Calls::of(Source::readable(&queue, reader), read);
    let source = builder.activate().unwrap();
    // The third call finds 112 bytes, and has to wait for more.
    calls.wait_for(3);
    writer.write_all(&[7; 88]).unwrap();
    queue.exec_sync(|| ());
    writer.write_all(&[7; 200]).unwrap();
    let bytes: Vec<_> = calls.wait_for(4).iter().map(|call| (call.bytes, call.ended, call.failed)).collect();
    assert_eq!(bytes, [512, 312, 112, 200].map(|bytes| (Some(bytes), false, false)));
    source.cancel();
    finish(&runtime);
}

#[test]
fn a_listening_socket_tells_of_connections_and_a_connection_of_bytes() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = Arc::new(Mutex::new(Vec::new()));
    let streams = Arc::clone(&accepted);
    // One connection a call: those that are left bring the next call.
    let accept = move |_: &_, listener: &TcpListener, _| streams.lock().push(listener.accept().unwrap().0);
    let (builder, calls) = Calls::of(Source::readable(&queue, listener), accept);
    let listening = builder.activate().unwrap();
    let clients: Vec<_> = (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
    assert!(calls.wait_for(20).iter().all(|call| call.bytes.is_none() && !call.ended && !call.failed));
    wait_until(|| accepted.lock().len() == 20);
    listening.cancel();

    let streams = std::mem::take(&mut *accepted.lock());
    for (stream, mut client) in streams.into_iter().zip(clients) {
        let echo = |source: &Source<_>, mut stream: &TcpStream, _| {
            let mut bytes = [0; 100];
            match stream.read(&mut bytes).unwrap() {
                0 => source.cancel(),
                count => stream.write_all(&bytes[..count]).unwrap(),
            }
        };
        let (builder, calls) = Calls::of(Source::readable(&queue, stream), echo);
        let source = builder.activate().unwrap();
        client.write_all(&[5; 250]).unwrap();
        client.read_exact(&mut [0; 250]).unwrap();
        client.shutdown(Writing).unwrap();
        assert_eq!(client.read(&mut [0]).unwrap(), 0, "the source closes it");
        assert!(source.is_cancelled());
        assert!(calls.wait_for(4).iter().all(|call| call.is_end() || call.bytes > Some(0)));
    }
    finish(&runtime);
}

#[test]
fn a_datagram_socket_tells_of_the_next_datagram_also_of_an_empty_one() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let (socket, other) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    other.connect(socket.local_addr().unwrap()).unwrap();
    let lengths = [3, 0, 1000, 0];
    lengths.iter().for_each(|&length| assert_eq!(other.send(&[1; 1000][..length]).unwrap(), length));
    let receive = |_: &_, socket: &UdpSocket, input: concourse::source::Input| {
        assert_eq!(socket.recv(&mut [0; 2000]).unwrap() as u64, input.bytes.unwrap());
    };
    let (builder, calls) = Calls::of(Source::readable(&queue, socket), receive);
    let source = builder.activate().unwrap();
    let told = calls.wait_for(4);
    assert_eq!(told.iter().map(|call| call.bytes).collect::<Vec<_>>(), lengths.map(|length| Some(length as u64)));
    assert!(!told.iter().any(|call| call.ended));
    source.cancel();

    let (near, far) = UnixDatagram::pair().unwrap();
    let (builder, calls) = Calls::of(Source::readable(&queue, near), |_, near: &UnixDatagram, _| {
        near.recv(&mut [0; 100]).unwrap();
    });
    let source = builder.activate().unwrap();
    far.send(b"12345").unwrap();
    assert_eq!(calls.wait_for(1)[0].bytes, Some(5));
    source.cancel();
    finish(&runtime);
}

/// The two ends of a terminal.
pub(crate) fn terminal() -> (File, File) {
    let near = pty::openpt(pty::OpenptFlags::RDWR | pty::OpenptFlags::NOCTTY).unwrap();
    pty::grantpt(&near).unwrap();
    pty::unlockpt(&near).unwrap();
    let name = pty::ptsname(&near, Vec::new()).unwrap().into_string().unwrap();
    let far = OpenOptions::new().read(true).write(true).open(name).unwrap();
    (File::from(near), far)
}

#[test]
fn a_terminal_is_read_and_written_line_by_line() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let (mut near, far) = terminal();
    let far = Arc::new(far);
    let read = |_: &_, far: &Arc<File>, _| assert_eq!((&**far).read(&mut [0; 100]).unwrap(), 6);
    let (builder, lines) = Calls::of(Source::readable(&queue, Arc::clone(&far)), read);
    let reads = builder.activate().unwrap();
    near.write_all(b"half a").unwrap();
    let (builder, room) = Calls::of(Source::writable(&queue, far), |source: &Source<_>, far: &Arc<File>, _| {
        (&**far).write_all(b"!").unwrap();
        source.cancel();
    });
    let writes = builder.activate().unwrap();
    assert_eq!(room.wait_for(1)[0].bytes, None);
    let mut echoed = [0; 7];
    near.read_exact(&mut echoed).unwrap();
    assert_eq!(lines.count(), 0, "half a line is none");
    near.write_all(b"\x15lines\n").unwrap();
    assert_eq!(lines.wait_for(1)[0].bytes, Some(6));
    reads.cancel();
    drop(writes);
    finish(&runtime);
}

#[test]
fn devices_and_counters_do_not_say_how_much_there_is() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let counter: OwnedFd = eventfd(3, EventfdFlags::NONBLOCK).unwrap();
    let open = |path| OwnedFd::from(OpenOptions::new().read(true).write(true).open(path).unwrap());
    // The last one never has room.
    for (fd, has_room) in
        [(counter, true), (open("/dev/null"), true), (open("/dev/zero"), true), (open("/dev/random"), false)]
    {
        let fd = Arc::new(fd);
        let read = |source: &Source<_>, fd: &Arc<OwnedFd>, _| {
            rustix::io::read(fd, &mut [0; 8]).unwrap();
            source.cancel();
        };
        let (builder, inputs) = Calls::of(Source::readable(&queue, Arc::clone(&fd)), read);
        let reads = builder.activate().unwrap();
        let input = inputs.wait_for(1)[0];
        assert_eq!((input.bytes, input.ended, input.failed), (None, false, false));
        let (builder, outputs) = Calls::of(Source::writable(&queue, fd), |source: &Source<_>, _, _| source.cancel());
        let writes = builder.activate().unwrap();
        if has_room {
            let output = outputs.wait_for(1)[0];
            assert_eq!((output.bytes, output.closed, output.failed), (None, false, false));
        }
        drop((reads, writes));
    }
    finish(&runtime);
}

#[test]
fn a_file_is_ready_until_it_is_read_to_its_end_and_again_when_it_has_grown() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let path = std::env::temp_dir().join(format!("concourse-descriptor-{}", std::process::id()));
    std::fs::write(&path, [9; 1000]).unwrap();
    let mut file = File::open(&path).unwrap();
    let mut appended = OpenOptions::new().append(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file.seek(SeekFrom::Start(100)).unwrap();
    let read = |_: &_, mut file: &File, _| _ = file.read(&mut [0; 400]).unwrap();
    let (builder, calls) = Calls::of(Source::readable(&queue, file), read);
    let source = builder.activate().unwrap();
    let told = calls.wait_for(4);
    let told: Vec<_> = told.iter().map(|call| (call.bytes.unwrap(), call.ended)).collect();
    assert_eq!(told, [(900, false), (500, false), (100, false), (0, true)]);
    appended.write_all(&[9; 50]).unwrap();
    for _ in 0..10 {
        queue.exec_sync(|| ());
    }
    assert_eq!(calls.count(), 4, "it is quiet at its end");
    drop(source.suspend_guard().unwrap());
    let told: Vec<_> = calls.wait_for(6)[4..].iter().map(|call| (call.bytes.unwrap(), call.ended)).collect();
    assert_eq!(told, [(50, false), (0, true)]);
    source.cancel();

    let (builder, calls) = Calls::of(Source::writable(&queue, appended), |source: &Source<_>, mut file: &File, _| {
        file.write_all(b"more").unwrap();
        if file.metadata().unwrap().len() > 1_100 {
            source.cancel();
        }
    });
    let source = builder.activate().unwrap();
    wait_until(|| source.is_cancelled());
    assert_eq!(calls.count(), 13, "a file has room for ever");
    finish(&runtime);
}

#[test]
fn room_in_a_pipe_is_what_was_read_and_room_in_a_socket_about_what_its_buffer_leaves() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let (mut reader, writer) = pipe().unwrap();
    let fill = |_: &_, mut writer: &PipeWriter, output: concourse::source::Output| {
        writer.write_all(&vec![1; output.bytes.unwrap() as usize]).unwrap();
    };
    let (builder, calls) = Calls::of(Source::writable(&queue, writer), fill);
    let source = builder.activate().unwrap();
    let size = calls.wait_for(1)[0].bytes.unwrap();
    assert!(size >= 4096, "a pipe of {size} bytes");
    reader.read_exact(&mut vec![0; size as usize]).unwrap();
    // Whenever the handler looks while the pipe is read, it fills what it finds.
    reader.read_exact(&mut vec![0; size as usize]).unwrap();
    wait_until(|| calls.0.lock().iter().map(|call| call.bytes.unwrap()).sum::<u64>() == 3 * size);
    source.cancel();

    let (near, mut far) = UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    let written = Arc::new(Mutex::new(0));
    let total = Arc::clone(&written);
    let fill = move |_: &_, mut near: &UnixStream, _| {
        while let Ok(count) = near.write(&[1; 4096]) {
            *total.lock() += count;
        }
    };
    let (builder, calls) = Calls::of(Source::writable(&queue, near), fill);
    let source = builder.activate().unwrap();
    let first = calls.wait_for(1)[0];
    assert!(first.bytes > Some(4096) && !first.closed && !first.failed, "{first:?}");
    queue.exec_sync(|| ());
    far.read_exact(&mut vec![0; *written.lock()]).unwrap();
    assert!(calls.wait_for(2)[1].bytes > Some(0));
    source.cancel();
    finish(&runtime);
}

/// A descriptor that is a number only.
struct Number(i32);

impl AsFd for Number {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: it is not open, and nobody opens so many that it would be.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }
}

#[test]
fn what_cannot_be_waited_for_is_refused_by_name_and_let_go_of() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let captured = Arc::new(());
    let event = Arc::clone(&captured);
    let directory = File::open(env!("CARGO_MANIFEST_DIR")).unwrap();
    let refused = Source::readable(&queue, directory).label("src").on_event(move |_| _ = &event).activate();
    let error = refused.unwrap_err();
    assert_eq!(error, WatchError::NotPollable { label: "src".into() });
    assert!(error.to_string().starts_with("\"src\": the kernel cannot wait for"), "{error}");
    let error = Source::writable(&queue, Number(1_000_000)).activate().unwrap_err();
    assert_eq!(error, WatchError::Closed { label: "main".into() });
    wait_until(|| Arc::strong_count(&captured) == 1);
    finish(&runtime);
}

#[test]
fn a_descriptor_that_is_open_for_the_other_direction_only_is_refused() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let (reader, writer) = pipe().unwrap();
    let error = Source::readable(&queue, writer).activate().unwrap_err();
    assert_eq!(error, WatchError::NotReadable { label: "main".into() });
    let error = Source::writable(&queue, reader).label("src").activate().unwrap_err();
    assert_eq!(error, WatchError::NotWritable { label: "src".into() });
    let file = File::open(file!()).unwrap();
    assert!(matches!(Source::writable(&queue, file).activate(), Err(WatchError::NotWritable { .. })));
    finish(&runtime);
}
