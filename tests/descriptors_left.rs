//! Sources of descriptors leave none behind, and one that is closed too early breaks nothing. A process of its own: it
//! counts all its descriptors, and knows which number is free.
#![allow(unsafe_code, reason = "a descriptor is closed behind the back of its source")]

use concourse::Dispatch;
use concourse::Event;
use concourse::Runtime;
use concourse::Shutdown;
use concourse::Source;
use std::fs;
use std::io::Write;
use std::io::pipe;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::IntoRawFd;
use std::os::fd::RawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

const GENEROUS: Duration = Duration::from_secs(60);

/// Held by the one test that opens and closes descriptors.
static ALONE: Mutex<()> = Mutex::new(());

/// What each descriptor of this process stands for.
fn descriptors() -> Vec<String> {
    let open = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
    // The folder that is being read has a descriptor too, which is gone by now.
    let mut open: Vec<_> = open.filter_map(|path| fs::read_link(path).ok()).collect();
    open.sort();
    open.into_iter().map(|path| path.display().to_string()).collect()
}

#[test]
fn runtimes_and_sources_close_what_they_open() {
    let _alone = ALONE.lock();
    let before = descriptors();
    for round in 0..20 {
        let runtime = Runtime::builder().threads(2).build().unwrap();
        let queue = runtime.serial("main");
        let (mut ends, mut sources) = (Vec::new(), Vec::new());
        for number in 0..30 {
            let (reader, mut writer) = pipe().unwrap();
            let (told, tell) = (Event::new(), Event::new());
            let (heard, ended) = (told.clone(), tell.clone());
            let source = Source::readable(&queue, reader)
                .on_ready(move |_, _| heard.set())
                .on_cancel_with(move |reader| {
                    drop(reader);
                    ended.set();
                })
                .activate()
                .unwrap();
            writer.write_all(b"x").unwrap();
            told.wait_timeout(GENEROUS).unwrap();
            ends.push(writer);
            match number % 3 {
                0 => {
                    source.cancel();
                    tell.wait_timeout(GENEROUS).unwrap();
                }
                1 => drop(source),
                _ => sources.push(source),
            }
        }
        let (near, far) = UnixStream::pair().unwrap();
        let near = Arc::new(near);
        let reads = Source::readable(&queue, Arc::clone(&near)).on_event(|_| ()).activate().unwrap();
        let writes = Source::writable(&queue, near).on_event_with(|source, _| source.suspend().unwrap());
        let writes = writes.activate().unwrap();
        if round % 2 == 0 {
            drop((sources, reads, writes));
            assert!(runtime.shutdown(Shutdown::Drain.within(GENEROUS)).complete);
        } else {
            assert!(runtime.shutdown(Shutdown::CancelPending.within(GENEROUS)).complete);
            drop((sources, reads, writes));
        }
        drop((ends, far, queue, runtime));
        assert_eq!(descriptors(), before);
    }
}

/// A descriptor that is a number only.
struct Number(RawFd);

impl AsFd for Number {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: it is not: whether it is open is what the test is about. Nobody else opens or closes anything here.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }
}

#[test]
fn a_descriptor_that_is_closed_before_its_source_has_ended_is_told_of_once() {
    let _alone = ALONE.lock();
    let runtime = Runtime::builder().threads(1).build().unwrap();
    let queue = runtime.serial("main");
    let (reader, mut writer) = pipe().unwrap();
    let (told, failed) = (Event::auto_reset(), Event::new());
    let (heard, lost) = (told.clone(), failed.clone());
    let source = Source::readable(&queue, Number(reader.into_raw_fd()))
        .on_ready(move |number, input| {
            if input.failed {
                assert!(input.is_end() && !lost.is_set(), "{input:?}");
                lost.set();
            } else {
                assert_eq!(input.bytes, Some(1));
                // SAFETY: it is open, and nobody has taken over to close it.
                unsafe { rustix::io::close(number.0) };
                heard.set();
            }
        })
        .activate()
        .unwrap();
    writer.write_all(b"x").unwrap();
    told.wait_timeout(GENEROUS).unwrap();
    failed.wait_timeout(GENEROUS).unwrap();
    // Other descriptors are watched as before, also one that has the number now.
    let (reader, mut writer) = pipe().unwrap();
    let bell = told.clone();
    let other = Source::readable(&queue, reader).on_event_with(|source, _| source.cancel());
    let other = other.on_cancel(move || bell.set()).activate().unwrap();
    writer.write_all(b"x").unwrap();
    told.wait_timeout(GENEROUS).unwrap();
    drop(other);
    source.cancel();
    assert_eq!(runtime.shutdown(Shutdown::Drain.within(GENEROUS)).panics, 0);
}

#[test]
fn a_queue_that_outlives_its_runtime_keeps_no_descriptor() {
    let _alone = ALONE.lock();
    let before = descriptors();
    for how in [Shutdown::Drain, Shutdown::CancelPending] {
        let runtime = Runtime::builder().threads(1).build().unwrap();
        let queue = runtime.serial("old");
        let late = queue.after(GENEROUS, || unreachable!("the runtime ends before")).unwrap();
        assert!(runtime.shutdown(how.within(GENEROUS)).complete);
        drop(runtime);
        assert_eq!(descriptors(), before);
        assert!(!late.cancel(), "it was dropped with the runtime");
    }
}
