//! `io_muxed`: a source of each direction on the same descriptor at once; a regular file, and a connection whose other
//! side writes 512 bytes half a second later. Both fire, each is cancelled from its own handler, and both cancel handlers
//! run, within 25 s.

use crate::profile::is_full;
use crate::profile::time;
use crate::read;
use crate::timed::GENEROUS;
use crate::timed::finish;
use crate::timed::millis;
use crate::timed::runtime;
use concourse::Dispatch;
use concourse::Group;
use concourse::Runtime;
use concourse::Source;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

fn both_directions<F: AsFd + Send + Sync + 'static>(runtime: &Runtime, fd: F, bytes: u64) {
    let (queue, fd, group) = (runtime.serial("main"), Arc::new(fd), Group::new());
    let (reading, writing) = (group.enter(), group.enter());
    let reads = Source::readable(&queue, Arc::clone(&fd))
        .on_event_with(move |source, input| {
            assert_eq!(input.bytes, Some(bytes));
            source.cancel();
        })
        .on_cancel(move || drop(reading))
        .activate()
        .unwrap();
    let writes = Source::writable(&queue, fd)
        .on_event_with(|source, output| {
            assert!(output.bytes != Some(0) && !output.closed);
            source.cancel();
        })
        .on_cancel(move || drop(writing))
        .activate()
        .unwrap();
    group.wait_timeout(GENEROUS).unwrap();
    drop((reads, writes));
}

#[test]
fn both_directions_of_a_file_fire_and_are_cancelled() {
    let runtime = runtime();
    both_directions(&runtime, read::file("io_muxed"), 2 << 20);
    finish(&runtime);
}

#[test]
fn both_directions_of_a_connection_fire_and_are_cancelled() {
    let (runtime, start) = (runtime(), Instant::now());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (near, _) = listener.accept().unwrap();
    let write = move || far.write_all(&[1; 512]).unwrap();
    let _ = runtime.serial("peer").after(time(millis(500)), write).unwrap();
    both_directions(&runtime, near, 512);
    assert!(!is_full() || start.elapsed() < Duration::from_secs(25));
    finish(&runtime);
}
