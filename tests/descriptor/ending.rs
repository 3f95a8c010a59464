//! How sources of descriptors end, and where the descriptor is then.

use crate::Calls;
use crate::GENEROUS;
use crate::finish;
use crate::runtime;
use crate::wait_until;
use crate::wakeups_to_settle;
use concourse::Event;
use concourse::Runtime;
use concourse::Shutdown;
use concourse::Source;
use concourse::source::Readable;
use parking_lot::Mutex;
use std::io::PipeReader;
use std::io::PipeWriter;
use std::io::Read;
use std::io::Write;
use std::io::pipe;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;

/// True if the reader of this pipe is gone.
fn is_closed(mut writer: &PipeWriter) -> bool {
    writer.write(b"x").is_err()
}

#[test]
fn the_cancel_handler_gets_the_descriptor_once_last_and_open() {
    let runtime = runtime();
    for cancels_itself in [false, true] {
        let (queue, events) = (runtime.concurrent("main"), Arc::new(Mutex::new(Vec::new())));
        let (reader, mut writer) = pipe().unwrap();
        writer.write_all(b"left in it").unwrap();
        let [registered, event, cancelled] = ["registered", "event", "cancelled"].map(|name| {
            let events = Arc::clone(&events);
            move || events.lock().push(name)
        });
        let (done, kept) = (Event::new(), Arc::new(Mutex::new(None)));
        let (tell, keep) = (done.clone(), Arc::clone(&kept));
        let source = Source::readable(&queue, reader)
            .on_registered(registered)
            .on_ready_with(move |source, _, _| {
                event();
                if cancels_itself {
                    source.cancel();
                }
            })
            .on_cancel_with(move |reader| {
                cancelled();
                *keep.lock() = Some(reader);
                tell.set();
            })
            .activate()
            .unwrap();
        wait_until(|| events.lock().len() > 2);
        for _ in 0..5 {
            source.cancel();
        }
        done.wait_timeout(GENEROUS).unwrap();
        source.cancel_now();
        wakeups_to_settle(&runtime, &runtime.serial("other"));
        let events = events.lock().clone();
        assert_eq!(events[0], "registered");
        assert!(events[1..events.len() - 1].iter().all(|&event| event == "event"), "{events:?}");
        assert_eq!(*events.last().unwrap(), "cancelled");
        assert!(!cancels_itself || events.len() == 3, "{events:?}");
        let mut reader: PipeReader = kept.lock().take().unwrap();
        let mut bytes = [0; 10];
        reader.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"left in it");
        drop(reader);
        assert!(is_closed(&writer));
    }
    finish(&runtime);
}

#[test]
fn a_descriptor_that_nobody_takes_back_is_closed_with_the_source() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    // How the source ends, and whether it is suspended then.
    for round in 0..6 {
        let (reader, writer) = pipe().unwrap();
        let told = Event::new();
        let tell = told.clone();
        let builder = Source::readable(&queue, reader).on_ready(|_, _| ()).on_cancel(move || tell.set());
        let source = builder.activate().unwrap();
        if round % 2 == 0 {
            source.suspend().unwrap();
        }
        let handle = source.handle().clone();
        match round / 2 {
            0 => drop(source),
            1 => source.cancel_now(),
            _ => {
                source.cancel();
                if round % 2 == 0 {
                    queue.exec_sync(|| ());
                    assert!(!is_closed(&writer) && !told.is_set());
                    source.resume().unwrap();
                }
            }
        }
        wait_until(|| is_closed(&writer));
        if round / 2 > 0 {
            told.wait_timeout(GENEROUS).unwrap();
        } else {
            queue.exec_sync(|| ());
            assert!(!told.is_set());
        }
        assert!(handle.has_ended());
    }
    let (reader, writer) = pipe().unwrap();
    let builder = Source::readable(&queue, reader);
    assert!(!is_closed(&writer));
    drop(builder);
    wait_until(|| is_closed(&writer));
    finish(&runtime);
}

#[test]
fn sources_of_both_directions_of_a_descriptor_end_one_by_one() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    for reader_goes_first in [false, true] {
        let (near, mut far) = UnixStream::pair().unwrap();
        let near = Arc::new(near);
        let read = |_: &_, near: &Arc<UnixStream>, _| (&**near).read_exact(&mut [0]).unwrap();
        let (builder, inputs) = Calls::of(Source::readable(&queue, Arc::clone(&near)), read);
        let reads = builder.activate().unwrap();
        let write = |source: &Source<_>, near: &Arc<UnixStream>, _| {
            source.suspend().unwrap();
            (&**near).write_all(b"x").unwrap();
        };
        let (builder, outputs) = Calls::of(Source::writable(&queue, near), write);
        let writes = builder.activate().unwrap();
        for round in 1..=10 {
            far.read_exact(&mut [0]).unwrap();
            far.write_all(b"y").unwrap();
            inputs.wait_for(round);
            writes.resume().unwrap();
        }
        far.read_exact(&mut [0]).unwrap();
        if reader_goes_first {
            reads.cancel();
            writes.resume().unwrap();
            far.read_exact(&mut [0]).unwrap();
            assert_eq!((inputs.count(), outputs.count()), (10, 12));
            writes.cancel_now();
        } else {
            writes.cancel_now();
            far.write_all(b"y").unwrap();
            inputs.wait_for(11);
            assert_eq!(outputs.count(), 11);
            reads.cancel();
        }
        assert_eq!(far.read(&mut [0]).unwrap(), 0, "the last source closes it");
    }
    finish(&runtime);
}

#[test]
fn a_number_that_is_taken_again_brings_nothing_of_the_descriptor_before() {
    let runtime = runtime();
    let threads: Vec<_> = (0..3_u8)
        .map(|thread| {
            let queue = runtime.serial("main");
            thread::spawn(move || {
                for round in 0..500_u16 {
                    let (tag, told) = ([thread, (round >> 8) as u8, round as u8], Event::new());
                    let (reader, mut writer) = pipe().unwrap();
                    let tell = told.clone();
                    let source = Source::readable(&queue, reader)
                        .on_ready(move |mut reader, input| {
                            let mut bytes = [0; 3];
                            assert_eq!(input.bytes, Some(3), "{input:?}");
                            reader.read_exact(&mut bytes).unwrap();
                            assert_eq!(bytes, tag);
                        })
                        .on_cancel(move || tell.set())
                        .activate()
                        .unwrap();
                    if round % 3 > 0 {
                        writer.write_all(&tag).unwrap();
                    }
                    if round % 2 > 0 {
                        thread::yield_now();
                    }
                    source.cancel();
                    // Its number is free from here on. The event of what was written may be on its way.
                    told.wait_timeout(GENEROUS).unwrap();
                    let (reader, _writer) = pipe().unwrap();
                    let quiet = Source::readable(&queue, reader).on_ready(|_, input| panic!("{input:?} for nothing"));
                    drop(quiet.activate().unwrap());
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    finish(&runtime);
}

#[test]
fn a_runtime_that_has_ended_leaves_sources_quiet_and_their_descriptors_open_until_they_go() {
    for how in [Shutdown::Drain, Shutdown::CancelPending] {
        let runtime = runtime();
        let queue = runtime.serial("main");
        let pipes: Vec<_> = (0..3).map(|_| pipe().unwrap()).collect();
        let (readers, mut writers): (Vec<_>, Vec<_>) = pipes.into_iter().unzip();
        let calls = Arc::new(AtomicUsize::new(0));
        let sources: Vec<_> = readers
            .into_iter()
            .map(|reader| {
                let calls = Arc::clone(&calls);
                let builder =
                    Source::readable(&queue, reader).on_ready(move |_, _| _ = calls.fetch_add(1, Ordering::SeqCst));
                builder.on_cancel_with(|_| panic!("nobody cancelled it")).activate().unwrap()
            })
            .collect();
        // One has nothing to read, one is read for ever, and one is suspended.
        writers[1].write_all(b"x").unwrap();
        writers[2].write_all(b"x").unwrap();
        sources[2].suspend().unwrap();
        wait_until(|| calls.load(Ordering::SeqCst) > 10);
        let report = runtime.shutdown(how.within(GENEROUS));
        assert!(report.complete && report.panics == 0, "{report:?}");
        let at_the_end = calls.load(Ordering::SeqCst);
        writers[0].write_all(b"x").unwrap();
        assert_eq!(calls.load(Ordering::SeqCst), at_the_end);
        drop(sources);
        assert!(writers.iter().all(is_closed));

        let (reader, writer) = pipe().unwrap();
        let late = Source::readable(&queue, reader).on_event(|_| panic!("there is no thread to run it"));
        assert!(late.activate().unwrap().handle().has_ended());
        assert!(is_closed(&writer));
    }
}

/// A pipe that notes whether it is asked for, or dropped, by the event loop.
struct NotOnTheLoop(PipeReader, Arc<AtomicUsize>);

impl NotOnTheLoop {
    fn check(&self) {
        if thread::current().name().is_some_and(|name| name.ends_with("-events")) {
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl AsFd for NotOnTheLoop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.check();
        self.0.as_fd()
    }
}

impl Drop for NotOnTheLoop {
    fn drop(&mut self) {
        self.check();
    }
}

#[test]
fn the_event_loops_thread_touches_nothing_of_the_users() {
    let breaches = Arc::new(AtomicUsize::new(0));
    let runtime = runtime();
    for round in 0..400 {
        let queue = runtime.serial("main");
        let (reader, mut writer) = pipe().unwrap();
        let source: Source<Readable<_>> = Source::readable(&queue, NotOnTheLoop(reader, Arc::clone(&breaches)))
            .on_ready(|pipe, _| _ = (&pipe.0).read(&mut [0; 8]))
            .activate()
            .unwrap();
        drop(queue);
        writer.write_all(b"x").unwrap();
        match round % 4 {
            0 => thread::yield_now(),
            1 => source.cancel(),
            2 => source.suspend().unwrap(),
            _ => {}
        }
        drop(source);
    }
    finish(&runtime);
    drop(runtime);
    assert_eq!(breaches.load(Ordering::Relaxed), 0);
    assert_eq!(Arc::strong_count(&breaches), 1, "nothing is left");
}

#[test]
fn a_capture_that_panics_when_it_is_dropped_keeps_nobody_from_the_descriptor() {
    struct Charge;
    impl Drop for Charge {
        fn drop(&mut self) {
            panic!("the drop of a capture panics");
        }
    }
    let runtime: Runtime = runtime();
    let queue = runtime.serial("main");
    let (reader, writer) = pipe().unwrap();
    let (charge, done) = (Charge, Event::new());
    let tell = done.clone();
    let builder = Source::readable(&queue, reader).on_ready(move |_, _| _ = &charge).on_cancel_with(move |reader| {
        drop(reader);
        tell.set();
    });
    builder.activate().unwrap().cancel();
    done.wait_timeout(GENEROUS).unwrap();
    assert!(is_closed(&writer));
    assert_eq!(runtime.shutdown(Shutdown::Drain.within(GENEROUS)).panics, 1);
}

#[cfg(feature = "sim")]
#[test]
fn a_simulation_refuses_descriptors() {
    use concourse::Sim;
    use concourse::WatchError;
    let run = Sim::seeded(1).run(|runtime| {
        let (reader, _writer) = pipe().unwrap();
        Source::readable(&runtime.serial("main"), reader).label("pipe").activate().unwrap_err()
    });
    assert_eq!(run.unwrap(), WatchError::Unsupported { label: "pipe".into() });
}
