//! While a source cannot call its handler, the descriptor wakes nobody; and when it can again, nothing is lost.

use crate::Calls;
use crate::GENEROUS;
use crate::finish;
use crate::runtime;
use crate::wait_until;
use crate::wakeups_to_settle;
use concourse::Event;
use concourse::Shutdown;
use concourse::Source;
use std::fs::File;
use std::io::PipeReader;
use std::io::PipeWriter;
use std::io::Read;
use std::io::Write;
use std::io::pipe;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;

/// Reads what there is.
fn read_all(_: &impl Sized, mut reader: &PipeReader, input: concourse::source::Input) {
    reader.read_exact(&mut vec![0; input.bytes.unwrap() as usize]).unwrap();
}

#[test]
fn what_comes_while_a_source_is_suspended_wakes_nobody_and_comes_in_one_call() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let (reader, mut writer) = pipe().unwrap();
    let (builder, calls) = Calls::of(Source::readable(&queue, reader), read_all);
    let source = builder.activate().unwrap();
    writer.write_all(&[1; 7]).unwrap();
    calls.wait_for(1);
    for round in 2..=10 {
        wakeups_to_settle(&runtime, &queue);
        source.suspend().unwrap();
        source.suspend().unwrap();
        for _ in 0..100 {
            writer.write_all(&[1; 3]).unwrap();
        }
        source.resume().unwrap();
        assert_eq!((wakeups_to_settle(&runtime, &queue), calls.count()), (0, round - 1));
        source.resume().unwrap();
        assert_eq!(calls.wait_for(round)[round - 1].bytes, Some(300));
    }
    // Nothing has come: nothing is told, and what comes then is.
    drop(source.suspend_guard().unwrap());
    wakeups_to_settle(&runtime, &queue);
    assert_eq!(calls.count(), 10);
    writer.write_all(&[1; 5]).unwrap();
    assert_eq!(calls.wait_for(11)[10].bytes, Some(5));
    source.cancel();
    finish(&runtime);
}

#[test]
fn a_writer_that_has_nothing_to_write_costs_nothing() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let (mut reader, writer) = pipe().unwrap();
    let write_once = |source: &Source<_>, mut writer: &PipeWriter, _| {
        source.suspend().unwrap();
        writer.write_all(b"x").unwrap();
    };
    let (builder, calls) = Calls::of(Source::writable(&queue, writer), write_once);
    let source = builder.activate().unwrap();
    for round in 1..=20 {
        reader.read_exact(&mut [0]).unwrap();
        wakeups_to_settle(&runtime, &queue);
        assert_eq!((wakeups_to_settle(&runtime, &queue), calls.count()), (0, round));
        source.resume().unwrap();
    }
    source.cancel_now();
    finish(&runtime);
}

#[test]
fn what_comes_while_the_handler_runs_wakes_nobody() {
    let runtime = runtime();
    let (queue, other) = (runtime.serial("main"), runtime.serial("other"));
    let (reader, mut writer) = pipe().unwrap();
    let (begun, go) = (Event::new(), Event::new());
    let (tell, wait) = (begun.clone(), go.clone());
    let (builder, calls) = Calls::of(Source::readable(&queue, reader), move |source, reader, input| {
        tell.set();
        wait.wait();
        read_all(source, reader, input);
    });
    let source = builder.activate().unwrap();
    writer.write_all(b"1").unwrap();
    begun.wait_timeout(GENEROUS).unwrap();
    for _ in 0..100 {
        writer.write_all(b"2").unwrap();
    }
    assert_eq!(wakeups_to_settle(&runtime, &other), 0);
    go.set();
    assert_eq!(calls.wait_for(2).iter().map(|call| call.bytes.unwrap()).collect::<Vec<_>>(), [1, 100]);
    source.cancel();
    finish(&runtime);
}

#[test]
fn every_byte_arrives_however_the_source_is_suspended_and_resumed() {
    const BYTES: usize = 300_000;
    let runtime = runtime();
    let queue = runtime.concurrent("main");
    let (reader, mut writer) = pipe().unwrap();
    let (received, inside) = (Arc::new(AtomicUsize::new(0)), AtomicBool::new(false));
    let total = Arc::clone(&received);
    let source = Source::readable(&queue, reader)
        .on_ready(move |mut reader, input| {
            assert!(!inside.swap(true, Ordering::SeqCst), "two calls at a time");
            let mut bytes = vec![0; input.bytes.unwrap().min(1_000) as usize];
            reader.read_exact(&mut bytes).unwrap();
            let before = total.fetch_add(bytes.len(), Ordering::SeqCst);
            assert!(bytes.iter().enumerate().all(|(at, byte)| *byte == ((before + at) % 251) as u8));
            inside.store(false, Ordering::SeqCst);
        })
        .activate()
        .unwrap();
    let writing = thread::spawn(move || {
        let bytes: Vec<u8> = (0..BYTES).map(|at| (at % 251) as u8).collect();
        bytes.chunks(777).for_each(|chunk| writer.write_all(chunk).unwrap());
        writer
    });
    let suspending: Vec<_> = (0..2)
        .map(|_| {
            let (source, received) = (source.clone(), Arc::clone(&received));
            thread::spawn(move || {
                let mut times = 0;
                while received.load(Ordering::SeqCst) < BYTES {
                    drop(source.suspend_guard().unwrap());
                    times += 1;
                    if times % 16 == 0 {
                        thread::yield_now();
                    }
                }
            })
        })
        .collect();
    wait_until(|| received.load(Ordering::SeqCst) == BYTES);
    suspending.into_iter().for_each(|thread| thread.join().unwrap());
    source.cancel();
    drop(writing.join().unwrap());
    finish(&runtime);
}

#[test]
fn a_file_stops_to_be_ready_while_its_source_is_suspended() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let file = File::open("/dev/zero").unwrap();
    let (builder, calls) = Calls::of(Source::readable(&queue, file), |_, _, _| ());
    let source = builder.activate().unwrap();
    for _ in 0..20 {
        calls.wait_for(calls.count() + 3);
        let guard = source.suspend_guard().unwrap();
        queue.exec_sync(|| ());
        let count = calls.count();
        wakeups_to_settle(&runtime, &queue);
        assert_eq!(calls.count(), count);
        drop(guard);
    }
    // An endless source does not keep a runtime from its end.
    let report = runtime.shutdown(Shutdown::Drain.within(GENEROUS));
    assert!(report.complete && report.panics == 0, "{report:?}");
}

#[test]
fn a_handler_that_panics_is_called_again_for_what_it_has_left() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let (reader, mut writer) = pipe().unwrap();
    let mut attempts = 0;
    let (builder, calls) = Calls::of(Source::readable(&queue, reader), move |source, reader, input| {
        attempts += 1;
        assert!(attempts > 3, "attempt {attempts}");
        read_all(source, reader, input);
    });
    let source = builder.activate().unwrap();
    writer.write_all(b"x").unwrap();
    assert!(calls.wait_for(4).iter().all(|call| call.bytes == Some(1)));
    source.cancel();
    assert_eq!(runtime.shutdown(Shutdown::Drain.within(GENEROUS)).panics, 3);
}

#[test]
fn a_source_without_a_handler_does_nothing() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(b"x").unwrap();
    let source = Source::readable(&queue, reader).activate().unwrap();
    wakeups_to_settle(&runtime, &queue);
    writer.write_all(b"x").unwrap();
    assert_eq!(wakeups_to_settle(&runtime, &queue), 0);
    source.cancel();
    finish(&runtime);
}
