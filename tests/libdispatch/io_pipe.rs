//! `io_pipe`, as far as it is about sources: a source of a pipe into which 512 bytes are written, at once or after 500 ms,
//! is told of just 512 bytes in its first call. A source of a full pipe's other end is called only after somebody has read
//! and made room, and is told of some.

use crate::let_pass;
use crate::profile::time;
use crate::timed::GENEROUS;
use crate::timed::finish;
use crate::timed::millis;
use crate::timed::runtime;
use concourse::Dispatch;
use concourse::Event;
use concourse::Source;
use std::io::Read;
use std::io::Write;
use std::io::pipe;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[test]
fn a_reader_is_told_of_all_bytes_at_once() {
    let runtime = runtime();
    for delay in [Duration::ZERO, time(millis(500))] {
        let (main, done) = (runtime.serial("main"), Event::new());
        let (reader, writer) = pipe().unwrap();
        let tell = done.clone();
        let source = Source::readable(&main, reader)
            .on_event_with(|source, input| {
                assert_eq!((input.bytes, input.ended), (Some(512), false));
                source.cancel();
            })
            .on_cancel(move || tell.set())
            .activate()
            .unwrap();
        let mut written = writer.try_clone().unwrap();
        let _ = runtime.serial("peer").after(delay, move || written.write_all(&[1; 512]).unwrap()).unwrap();
        done.wait_timeout(GENEROUS).unwrap();
        // It was open until then: what the source was told of was not the end.
        drop((source, writer));
    }
    finish(&runtime);
}

#[test]
fn a_writer_of_a_full_pipe_waits_for_room() {
    let runtime = runtime();
    for delay in [Duration::ZERO, time(millis(500))] {
        let (main, done, has_read) = (runtime.serial("main"), Event::new(), Arc::new(AtomicBool::new(false)));
        let (mut reader, mut writer) = pipe().unwrap();
        let size = rustix::pipe::fcntl_getpipe_size(&writer).unwrap();
        writer.write_all(&vec![1; size]).unwrap();
        let (tell, made_room) = (done.clone(), Arc::clone(&has_read));
        let source = Source::writable(&main, writer)
            .on_event_with(move |source, output| {
                assert!(made_room.load(Ordering::SeqCst), "there was no room");
                assert!(output.bytes > Some(0) && !output.closed, "{output:?}");
                source.cancel();
            })
            .on_cancel(move || tell.set())
            .activate()
            .unwrap();
        let_pass(&main, delay);
        has_read.store(true, Ordering::SeqCst);
        reader.read_exact(&mut vec![0; size]).unwrap();
        done.wait_timeout(GENEROUS).unwrap();
        drop(source);
    }
    finish(&runtime);
}
