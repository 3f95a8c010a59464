//! Ports on a runtime: nothing is lost or doubled, whoever sends, waits or ends the port meanwhile.

mod blocked;

use blocked::GENEROUS;
use blocked::spawn_blocked;
use concourse::Dispatch;
use concourse::Event;
use concourse::Group;
use concourse::Qos;
use concourse::Runtime;
use concourse::SendError;
use concourse::Shutdown;
use concourse::Source;
use concourse::source::Messages;
use concourse::source::Port;
use concourse::source::Sender;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

fn runtime() -> Runtime {
    Runtime::builder().threads(2).max_threads(4).build().unwrap()
}

/// Ends the runtime, and with it a test whose handlers have assertions: a panic in a handler is contained and counted.
#[track_caller]
fn finish(runtime: &Runtime) {
    let report = runtime.shutdown(Shutdown::Drain.within(GENEROUS));
    assert!(report.complete && report.panics == 0, "{report:?}");
}

/// A port of either kind whose handler does nothing but receive.
fn ports(queue: &impl Dispatch) -> [concourse::source::SourceBuilder<Port<(usize, usize)>>; 2] {
    [Source::port(queue), Source::bounded_port(queue, 3)]
}

#[test]
fn each_message_of_eight_senders_arrives_once_and_in_its_senders_order() {
    const SENDERS: usize = 8;
    const EACH: usize = 5_000;
    let runtime = runtime();
    let (serial, global) = (runtime.serial("serial"), runtime.global(Qos::Default));
    for port in ports(&serial).into_iter().chain(ports(&global)) {
        let (done, inside, mut next) = (Event::new(), AtomicBool::new(false), [0; SENDERS]);
        let tell = done.clone();
        let port = port.on_event(move |messages| {
            assert!(!inside.swap(true, Relaxed), "two handlers at once");
            let is_last = messages.is_last();
            // It breaks off now and then, and goes on in another call.
            for (sender, number) in messages.take(100) {
                assert_eq!(number, next[sender]);
                next[sender] += 1;
            }
            assert!(inside.swap(false, Relaxed));
            if is_last && next == [EACH; SENDERS] {
                tell.set();
            }
        });
        let sender = port.sender();
        let port = port.activate().unwrap();
        thread::scope(|scope| {
            for number in 0..SENDERS {
                let sender = sender.clone();
                scope.spawn(move || (0..EACH).for_each(|n| sender.send((number, n)).unwrap()));
            }
        });
        drop(sender);
        done.wait_timeout(GENEROUS).unwrap();
        drop(port);
    }
    finish(&runtime);
}

#[test]
fn a_full_port_blocks_its_senders_and_lets_them_in_as_they_came() {
    let runtime = runtime();
    let (queue, log) = (runtime.serial("port"), Arc::new(Mutex::new(Vec::new())));
    let handler = Arc::clone(&log);
    let port = Source::bounded_port(&queue, 1).on_event(move |messages| handler.lock().extend(messages));
    let sender = port.sender();
    let port = port.activate().unwrap();
    port.suspend().unwrap();
    sender.send(0).unwrap();
    let blocked = [1, 2, 3].map(|n| {
        let sender = sender.clone();
        spawn_blocked(move || sender.send(n))
    });
    assert_eq!(sender.try_send(4), Err(SendError::Full(4)));
    port.resume().unwrap();
    for sender in blocked {
        assert_eq!(sender.join().unwrap(), Ok(()));
    }
    drop(sender);
    finish(&runtime);
    assert_eq!(*log.lock(), [0, 1, 2, 3]);
}

#[test]
fn senders_that_wait_get_their_messages_back_when_the_port_goes() {
    for cancel in [false, true] {
        let runtime = runtime();
        let port = Source::bounded_port(&runtime.serial("port"), 1).on_event(|_| unreachable!());
        let sender = port.sender();
        let port = port.activate().unwrap();
        port.suspend().unwrap();
        sender.send(0).unwrap();
        let blocked = [1, 2, 3].map(|n| {
            let sender = sender.clone();
            let timeout = Duration::from_secs(3600);
            spawn_blocked(move || if n == 2 { sender.send_timeout(n, timeout) } else { sender.send(n) })
        });
        if cancel {
            port.cancel_now();
        }
        drop(port);
        for (n, sender) in (1..).zip(blocked) {
            assert_eq!(sender.join().unwrap(), Err(SendError::Dead(n)));
        }
        assert_eq!(sender.send_timeout(4, Duration::ZERO), Err(SendError::Dead(4)));
        finish(&runtime);
    }
}

#[test]
fn a_sender_that_waits_in_a_job_keeps_no_thread_from_the_handler() {
    let runtime = Runtime::builder().threads(1).max_threads(2).build().unwrap();
    let (done, mut sum) = (Event::new(), 0);
    let tell = done.clone();
    let port = Source::bounded_port(&runtime.serial("port"), 1).on_event(move |messages| {
        let is_last = messages.is_last();
        sum += messages.sum::<u64>();
        if is_last {
            assert_eq!(sum, 5050);
            tell.set();
        }
    });
    let sender = port.sender();
    let port = port.activate().unwrap();
    runtime.serial("sender").exec_async(move || (1..=100).for_each(|n| sender.send(n).unwrap()));
    done.wait_timeout(GENEROUS).unwrap();
    drop(port);
    finish(&runtime);
}

/// A port that is full and suspended.
fn full(queue: &impl Dispatch) -> (Source<Port<u32>>, Sender<u32>) {
    let port = Source::bounded_port(queue, 1).on_event(|messages| messages.for_each(drop));
    let sender = port.sender();
    let port = port.activate().unwrap();
    port.suspend().unwrap();
    sender.send(0).unwrap();
    (port, sender)
}

#[test]
fn a_send_that_holds_the_queue_of_the_handler_does_not_wait_for_room() {
    let runtime = runtime();
    let (serial, concurrent) = (runtime.serial("serial"), runtime.concurrent("concurrent"));
    let child = runtime.queue("child").target(&serial).build().unwrap();
    let ((_serial_port, to_serial), (_child_port, to_child)) = (full(&serial), full(&child));
    let (concurrent_port, to_concurrent) = full(&concurrent);
    let refused = Err(SendError::WouldDeadlock(1));
    assert_eq!(serial.exec_sync(|| to_serial.send(1)), refused);
    assert_eq!(serial.exec_sync(|| to_serial.send_timeout(1, GENEROUS)), refused);
    assert_eq!(serial.exec_sync(|| to_child.send(1)), refused, "what it targets is held");
    assert_eq!(child.exec_sync(|| to_serial.send(1)), refused, "it runs on its target");
    assert_eq!(concurrent.barrier_sync(|| to_concurrent.send(1)), refused);
    assert_eq!(serial.exec_sync(|| to_serial.try_send(1)), Err(SendError::Full(1)));
    let own = Event::new();
    let (tell, job) = (own.clone(), to_serial.clone());
    serial.exec_async(move || {
        assert_eq!(job.send(1), refused);
        tell.set();
    });
    own.wait_timeout(GENEROUS).unwrap();
    // Another thread can run the handler meanwhile.
    let brief = Duration::from_millis(1);
    assert_eq!(concurrent.exec_sync(|| to_concurrent.send_timeout(1, brief)), Err(SendError::TimedOut(1)));
    assert_eq!(serial.exec_sync(|| to_concurrent.send_timeout(1, brief)), Err(SendError::TimedOut(1)));
    concurrent_port.resume().unwrap();
    assert_eq!(concurrent.exec_sync(|| to_concurrent.send(1)), Ok(()));
    finish(&runtime);
}

#[test]
fn a_handler_on_any_queue_does_not_wait_for_the_room_that_it_has_to_make() {
    let runtime = runtime();
    let global = runtime.global(Qos::Default);
    let (told, done) = (Arc::new(Mutex::new(Vec::new())), Event::new());
    let (handler, tell) = (Arc::clone(&told), done.clone());
    let port = Source::bounded_port(&global, 1);
    let (sender, own) = (port.sender(), port.sender());
    let port = port.on_event(move |mut messages| {
        handler.lock().push(own.send(2));
        let first = messages.next() == Some(1);
        if first {
            handler.lock().push(own.send(3));
        } else {
            tell.set();
        }
    });
    let port = port.activate().unwrap();
    sender.send(1).unwrap();
    done.wait_timeout(GENEROUS).unwrap();
    drop(port);
    finish(&runtime);
    assert_eq!(*told.lock(), [Err(SendError::WouldDeadlock(2)), Ok(()), Err(SendError::WouldDeadlock(2))]);
}

#[test]
fn every_message_is_received_left_or_given_back_whenever_the_port_is_cancelled() {
    const SENDERS: usize = 4;
    let runtime = runtime();
    let (serial, global) = (runtime.serial("serial"), runtime.global(Qos::Default));
    for round in 0..60 {
        let [unbounded, bounded] = if round % 2 == 0 { ports(&serial) } else { ports(&global) };
        let port = if round % 4 < 2 { unbounded } else { bounded };
        let (received, left, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Event::new());
        let (handler, rest, tell) = (Arc::clone(&received), Arc::clone(&left), done.clone());
        let port = port
            .on_event_with(move |port: &Source<Port<_>>, messages: Messages<_>| {
                for _ in messages.take(10) {
                    if handler.fetch_add(1, Relaxed) == 10 * round {
                        port.cancel();
                    }
                }
            })
            .on_cancel_with(move |messages| {
                rest.fetch_add(messages.len(), Relaxed);
                tell.set();
            });
        let sender = port.sender();
        let port = port.activate().unwrap();
        let sent: usize = thread::scope(|scope| {
            let senders: Vec<_> = (0..SENDERS)
                .map(|number| {
                    let sender = sender.clone();
                    scope.spawn(move || (0..).take_while(|n| sender.send((number, *n)).is_ok()).count())
                })
                .collect();
            for _ in 0..round {
                drop(port.suspend_guard().unwrap());
            }
            senders.into_iter().map(|sender| sender.join().unwrap()).sum()
        });
        done.wait_timeout(GENEROUS).unwrap();
        assert_eq!(received.load(Relaxed) + left.load(Relaxed), sent);
    }
    finish(&runtime);
}

#[test]
fn the_death_of_a_port_is_told_once_however_it_races_with_who_asks() {
    let runtime = runtime();
    let (queue, clients) = (runtime.serial("port"), runtime.serial("clients"));
    let (group, told) = (Group::new(), Arc::new(AtomicUsize::new(0)));
    for _ in 0..200 {
        let port = Source::port::<u32>(&queue).activate().unwrap();
        let senders = [port.sender(), port.sender()];
        thread::scope(|scope| {
            for sender in senders {
                let (clients, group, told) = (&clients, &group, &told);
                scope.spawn(move || {
                    let (member, told) = (group.enter(), Arc::clone(told));
                    sender.on_dead(clients, move || {
                        told.fetch_add(1, Relaxed);
                        drop(member);
                    });
                });
            }
            drop(port);
        });
    }
    group.wait_timeout(GENEROUS).unwrap();
    finish(&runtime);
    assert_eq!(told.load(Relaxed), 400);
}

#[test]
fn a_port_is_quiet_after_its_runtime_and_leaves_nothing() {
    for how in [Shutdown::Drain, Shutdown::CancelPending] {
        let runtime = runtime();
        let (queue, captured) = (runtime.serial("port"), Arc::new(()));
        let port = Source::port(&queue).on_event({
            let captured = Arc::clone(&captured);
            move |messages| {
                let _captured = &captured;
                messages.for_each(drop);
            }
        });
        let sender = port.sender();
        let port = port.activate().unwrap();
        (0..100).for_each(|_| sender.send(Arc::clone(&captured)).unwrap());
        let report = runtime.shutdown(how.within(GENEROUS));
        assert!(report.complete && report.panics == 0, "{report:?}");
        assert!(sender.is_dead());
        assert!(matches!(sender.send(Arc::clone(&captured)), Err(SendError::Dead(_))));
        let late = Source::port::<u32>(&queue).on_event(|_| unreachable!()).activate().unwrap();
        assert!(late.handle().has_ended() && late.sender().is_dead());
        drop((port, late));
        assert_eq!(Arc::strong_count(&captured), 1);
        drop(sender);
    }
}
