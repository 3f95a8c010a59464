//! What is counted, who is told of it, and who is said to have sent it.

use crate::Scenario;
use crate::process::RUNS;
use crate::process::WELL;
use crate::process::block;
use crate::process::counting_handler;
use crate::process::finish;
use crate::process::kill_self;
use crate::process::raise;
use crate::process::runtime;
use crate::process::sender;
use crate::process::set_disposition;
use crate::process::unblock;
use crate::process::wait_until;
use concourse::Dispatch;
use concourse::Event;
use concourse::Signal;
use concourse::Source;
use concourse::source::Arrivals;
use concourse::source::Signals;
use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("every_signal_of_a_sender_that_waits_for_each_is_counted", every_signal_of_a_sender_that_waits_is_counted, WELL),
    ("every_observer_counts_every_run_of_the_handler_in_a_storm", every_observer_counts_every_run, WELL),
    ("real_time_signals_arrive_as_often_as_they_were_sent", real_time_signals_arrive_as_often_as_they_were_sent, WELL),
    ("signals_of_several_kinds_are_not_mixed_up", signals_of_several_kinds_are_not_mixed_up, WELL),
    ("the_last_sender_is_told_if_it_was_a_process", the_last_sender_is_told_if_it_was_a_process, WELL),
    ("a_suspended_source_wakes_nobody_and_merges_a_storm", a_suspended_source_merges_a_storm, WELL),
    ("arrivals_for_a_busy_handler_wake_nobody", arrivals_for_a_busy_handler_wake_nobody, WELL),
    ("the_registration_handler_comes_before_the_first_arrivals", the_registration_handler_comes_first, WELL),
    ("an_ignored_signal_arrives_as_in_libdispatchs_manual", an_ignored_signal_arrives, WELL),
];

/// How often a source's signal has arrived, by what its handler was told.
#[derive(Clone, Default)]
struct Record {
    count: Arc<AtomicU64>,
    calls: Arc<AtomicU64>,
}

impl Record {
    fn source(&self, queue: &impl Dispatch, signal: Signal) -> Source<Signals> {
        let record = self.clone();
        let builder = Source::signal(queue, signal).on_event(move |arrivals: Arrivals| {
            assert!(arrivals.signal == signal && arrivals.count > 0);
            record.count.fetch_add(arrivals.count, SeqCst);
            record.calls.fetch_add(1, SeqCst);
        });
        builder.activate().unwrap()
    }

    fn count(&self) -> u64 {
        self.count.load(SeqCst)
    }
}

fn every_signal_of_a_sender_that_waits_is_counted() {
    const SIGNALS: u64 = 100_000;
    let (runtime, seen) = (runtime(), Arc::new(AtomicU64::new(0)));
    let mut child = sender("asked", Signal::USR1, SIGNALS);
    let (pid, uid) = (child.id(), rustix::process::getuid().as_raw());
    let mut ask = child.0.stdin.take().unwrap();
    let (mut again, count) = (ask.as_fd().try_clone_to_owned().map(File::from).unwrap(), Arc::clone(&seen));
    let source = Source::signal(&runtime.serial("counter"), Signal::USR1).on_event(move |arrivals| {
        let sender = arrivals.sender.expect("a process has sent it");
        assert_eq!(
            (arrivals.count, sender.pid, sender.uid),
            (1, pid, uid),
            "the next one is sent when this one has come"
        );
        if count.fetch_add(1, SeqCst) + 1 < SIGNALS {
            again.write_all(&[0]).unwrap();
        }
    });
    let source = source.activate().unwrap();
    ask.write_all(&[0]).unwrap();
    assert_eq!(child.ended(), WELL);
    wait_until(|| seen.load(SeqCst) == SIGNALS);
    finish(&runtime);
    assert_eq!(seen.load(SeqCst), SIGNALS);
    drop(source);
}

/// Threads that allocate, which a handler interrupts at any point.
struct Busy {
    stop: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Busy {
    fn new() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..2).map(|_| Arc::clone(&stop)).map(|stop| {
            thread::spawn(move || {
                while !stop.load(SeqCst) {
                    black_box((1..9).map(|size| vec![0_u8; size * 99]).collect::<Vec<_>>());
                }
            })
        });
        Self { threads: threads.collect(), stop }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

fn every_observer_counts_every_run() {
    const SIGNALS: u64 = 100_000;
    set_disposition(Signal::USR2, counting_handler());
    let runtimes = [runtime(), runtime()];
    let [first, second] = runtimes.each_ref().map(|runtime| runtime.serial("counter"));
    let third = runtimes[0].concurrent("another");
    let records = [(); 3].map(|()| Record::default());
    let sources = [
        records[0].source(&first, Signal::USR2),
        records[1].source(&third, Signal::USR2),
        records[2].source(&second, Signal::USR2),
    ];
    let busy = Busy::new();
    let (here, there) = (sender("blindly", Signal::USR2, SIGNALS), sender("blindly", Signal::USR2, SIGNALS));
    assert_eq!([here.ended(), there.ended()], [WELL; 2]);
    // Sent and handled here, and behind it whatever has been sent before.
    raise(Signal::USR2);
    drop(busy);
    wait_until(|| records.iter().all(|record| record.count() == RUNS.load(SeqCst)));
    let runs = RUNS.load(SeqCst);
    assert!((1..=2 * SIGNALS + 1).contains(&runs), "{runs} runs");
    runtimes.iter().for_each(finish);
    assert_eq!(records.each_ref().map(Record::count), [runs; 3]);
    drop(sources);
}

fn real_time_signals_arrive_as_often_as_they_were_sent() {
    const SIGNALS: u64 = 50_000;
    let (runtime, record) = (runtime(), Record::default());
    let source = record.source(&runtime.serial("counter"), Signal::realtime(3));
    let children = [SIGNALS, SIGNALS].map(|count| sender("queueing", Signal::realtime(3), count));
    children.into_iter().for_each(|child| assert_eq!(child.ended(), WELL));
    wait_until(|| record.count() >= 2 * SIGNALS);
    raise(Signal::realtime(3));
    wait_until(|| record.count() > 2 * SIGNALS);
    finish(&runtime);
    assert_eq!(record.count(), 2 * SIGNALS + 1);
    drop(source);
}

fn signals_of_several_kinds_are_not_mixed_up() {
    let runtime = runtime();
    let queue = runtime.concurrent("counters");
    let signals = [Signal::HUP, Signal::INT, Signal::TERM, Signal::WINCH, Signal::realtime(0), Signal::realtime(1)];
    let sources = signals.map(|signal| {
        let record = Record::default();
        (record.source(&queue, signal), record, signal)
    });
    for round in 0..200 {
        for (place, (_, _, signal)) in sources.iter().enumerate() {
            (0..=place).filter(|_| round % 2 == 0).for_each(|_| raise(*signal));
        }
    }
    for (place, (_, record, signal)) in sources.iter().enumerate() {
        let expected = 100 * (place as u64 + 1);
        wait_until(|| record.count() >= expected);
        assert_eq!(record.count(), expected, "{signal}");
    }
    finish(&runtime);
}

fn the_last_sender_is_told_if_it_was_a_process() {
    let runtime = runtime();
    let (queue, me) = (runtime.serial("log"), Some(std::process::id()));
    let uid = rustix::process::getuid().as_raw();
    // Who the handler says has sent one arrival of `signal` that `send` causes.
    let sender_of = |signal, send: &dyn Fn()| {
        let (told, tell) = (Event::new(), Arc::new(Mutex::new(None)));
        let (told_here, told_there) = (told.clone(), Arc::clone(&tell));
        let source = Source::signal(&queue, signal).on_event(move |arrivals| {
            *told_there.lock().unwrap() = Some(arrivals);
            told_here.set();
        });
        let source = source.activate().unwrap();
        send();
        told.wait();
        drop(source);
        let arrivals: Arrivals = tell.lock().unwrap().take().unwrap();
        assert_eq!(arrivals.count, 1);
        assert!(arrivals.sender.is_none_or(|sender| sender.uid == uid));
        arrivals.sender.map(|sender| sender.pid)
    };
    assert_eq!(sender_of(Signal::HUP, &|| kill_self(Signal::HUP)), me);
    assert_eq!(sender_of(Signal::HUP, &|| raise(Signal::HUP)), me);
    for how in ["blindly", "queueing"] {
        let child = Mutex::new(None);
        let told = sender_of(Signal::TERM, &|| *child.lock().unwrap() = Some(sender(how, Signal::TERM, 1)));
        let child = child.into_inner().unwrap().unwrap();
        assert_eq!(told, Some(child.id()));
        assert_eq!(child.ended(), WELL);
    }
    // SAFETY: nothing but a signal comes of it.
    let by_timer = || _ = unsafe { libc::alarm(1) };
    assert_eq!(sender_of(Signal::ALRM, &by_timer), None, "the kernel has sent it");
    let by_child = || assert!(Command::new("true").status().unwrap().success());
    assert_eq!(sender_of(Signal::CHLD, &by_child), None, "the kernel has sent it, about a child");
    finish(&runtime);
}

fn a_suspended_source_merges_a_storm() {
    set_disposition(Signal::USR1, counting_handler());
    // Threads of the runtime inherit this. One of them might be about to run the handler when the storm seems to be over.
    block(Signal::USR1);
    let (runtime, record) = (runtime(), Record::default());
    let source = record.source(&runtime.serial("counter"), Signal::USR1);
    for round in 1..=3 {
        source.suspend().unwrap();
        let before = runtime.statistics().event_loop_wakeups;
        unblock(Signal::USR1);
        assert_eq!(sender("blindly", Signal::USR1, 5_000).ended(), WELL);
        raise(Signal::USR1);
        block(Signal::USR1);
        assert_eq!(record.calls.load(SeqCst), round - 1);
        assert_eq!(runtime.statistics().event_loop_wakeups, before);
        source.resume().unwrap();
        wait_until(|| record.count() == RUNS.load(SeqCst));
        assert_eq!(record.calls.load(SeqCst), round, "one call for all that was held back");
        assert_eq!(runtime.statistics().event_loop_wakeups, before, "the resume itself sees what came");
    }
    finish(&runtime);
    assert_eq!(record.count(), RUNS.load(SeqCst));
}

fn arrivals_for_a_busy_handler_wake_nobody() {
    let runtime = runtime();
    let (begun, go, record) = (Event::new(), Event::new(), Record::default());
    let (tell, wait, note) = (begun.clone(), go.clone(), record.clone());
    let source = Source::signal(&runtime.serial("busy"), Signal::USR1).on_event(move |arrivals| {
        note.count.fetch_add(arrivals.count, SeqCst);
        note.calls.fetch_add(1, SeqCst);
        tell.set();
        wait.wait();
    });
    let source = source.activate().unwrap();
    raise(Signal::USR1);
    begun.wait();
    let before = runtime.statistics().event_loop_wakeups;
    (0..1_000).for_each(|_| raise(Signal::USR1));
    go.set();
    wait_until(|| record.count() == 1_001);
    assert_eq!(record.calls.load(SeqCst), 2);
    assert_eq!(runtime.statistics().event_loop_wakeups, before + 1);
    drop(source);
    finish(&runtime);
}

fn the_registration_handler_comes_first() {
    let runtime = runtime();
    let queue = runtime.concurrent("order");
    for _ in 0..100 {
        let (registered, record) = (Arc::new(AtomicBool::new(false)), Record::default());
        let (set, is_set, note) = (Arc::clone(&registered), Arc::clone(&registered), record.clone());
        let (held, go) = (queue.suspend_guard().unwrap(), Event::new());
        let wait = go.clone();
        let builder = Source::signal(&queue, Signal::USR1).on_registered(move || {
            wait.wait();
            set.store(true, SeqCst);
        });
        let builder = builder.on_event(move |arrivals| {
            assert!(is_set.load(SeqCst));
            note.count.fetch_add(arrivals.count, SeqCst);
        });
        let source = builder.activate().unwrap();
        raise(Signal::USR1);
        drop(held);
        raise(Signal::USR1);
        go.set();
        wait_until(|| record.count() == 2);
        drop(source);
    }
    finish(&runtime);
}

/// The manual of libdispatch's sources ignores SIGHUP first, since its sources only look on, and then prints each one.
fn an_ignored_signal_arrives() {
    set_disposition(Signal::HUP, libc::SIG_IGN);
    let (runtime, record) = (runtime(), Record::default());
    let source = record.source(&runtime.serial("counter"), Signal::HUP);
    for count in 1..=3 {
        kill_self(Signal::HUP);
        wait_until(|| record.count() == count);
    }
    drop(source);
    finish(&runtime);
}
