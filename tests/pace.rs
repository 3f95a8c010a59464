//! Paced sources on real clocks. Nothing here says how late a call may be: none is early, and none is missing in the end.

use concourse::Clock;
use concourse::Deadline;
use concourse::Event;
use concourse::Qos;
use concourse::Runtime;
use concourse::Shutdown;
use concourse::Source;
use concourse::source::Add;
use concourse::source::Edge;
use concourse::source::Max;
use concourse::source::Paced;
use concourse::source::SourceBuilder;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// No test waits for so long unless it fails.
const GENEROUS: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

type Describe = fn(SourceBuilder) -> SourceBuilder<Add, Paced>;

fn runtime() -> Runtime {
    Runtime::builder().threads(2).name("paced").build().unwrap()
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn now() -> Deadline {
    Deadline::now(Clock::Monotonic)
}

/// Waits for something that another thread does.
#[track_caller]
fn wait_until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + GENEROUS;
    while !condition() {
        assert!(Instant::now() < deadline, "waited for a minute");
        thread::yield_now();
    }
}

/// Ends the runtime, and with it a test whose handlers have assertions: a panic in a handler is contained and counted.
#[track_caller]
fn finish(runtime: &Runtime) {
    assert_eq!(runtime.shutdown(Shutdown::Drain.within(GENEROUS)).panics, 0);
}

/// A number that a handler adds to.
#[derive(Clone, Default)]
struct Total(Arc<AtomicU64>);

impl Total {
    fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn adder(&self) -> impl FnMut(u64) + Send + 'static {
        let total = self.clone();
        move |value| _ = total.0.fetch_add(value, Ordering::SeqCst)
    }
}

#[test]
fn a_throttle_calls_no_more_often_than_its_periods_allow_and_loses_nothing() {
    let runtime = runtime();
    let period = millis(4);
    let paces: [Describe; 2] = [
        |builder| builder.throttle(Duration::from_millis(4)),
        |builder| builder.throttle(Duration::from_millis(4)).edge(Edge::Trailing),
    ];
    for pace in paces {
        let (start, calls, total) = (Instant::now(), Total::default(), Total::default());
        let (mut count, mut add) = (calls.adder(), total.adder());
        let builder = pace(Source::add(&runtime.concurrent("bar"))).on_event(move |value| {
            add(value);
            count(1);
        });
        let source = builder.activate().unwrap();
        let merged: u64 = thread::scope(|scope| {
            let merge = || {
                let mut merged = 0;
                while calls.get() < 5 {
                    source.merge(1);
                    merged += 1;
                }
                merged
            };
            [(); 2].map(|()| scope.spawn(merge)).into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        wait_until(|| total.get() == merged);
        let calls = calls.get();
        assert!(period * u32::try_from(calls - 1).unwrap() <= start.elapsed(), "{calls} calls");
    }
    finish(&runtime);
}

#[test]
fn a_debounce_waits_until_nothing_has_come_for_its_time() {
    let runtime = runtime();
    let quiet = millis(3);
    let merges = Arc::new(Mutex::new(Vec::new()));
    let (total, times) = (Total::default(), Arc::clone(&merges));
    let (mut add, seen) = (total.adder(), total.clone());
    let builder = Source::add(&runtime.serial("document")).debounce(quiet).on_event(move |value| {
        add(value);
        // The last merge may not have returned: the turn of those before it takes it along.
        let delivered = usize::try_from(seen.get()).unwrap();
        let latest: Option<Deadline> = delivered.checked_sub(2).map(|before| times.lock()[before]);
        assert!(latest.is_none_or(|latest| latest + quiet <= now()), "a call was early");
    });
    let source = builder.activate().unwrap();
    for round in 0..200 {
        merges.lock().push(now());
        source.merge(1);
        if round % 20 == 19 {
            wait_until(|| total.get() == round + 1);
        } else if round % 7 == 0 {
            thread::sleep(quiet / 2);
        }
    }
    finish(&runtime);
    assert_eq!(total.get(), 200);
}

#[test]
fn a_maximum_delay_ends_the_wait_of_a_debounce_that_is_never_quiet() {
    let runtime = runtime();
    let (calls, total, start) = (Total::default(), Total::default(), Instant::now());
    let (mut count, mut add) = (calls.adder(), total.adder());
    let builder = Source::add(&runtime.serial("document")).debounce(HOUR).max_delay(millis(3));
    let builder = builder.on_event(move |value| {
        add(value);
        count(1);
    });
    let source = builder.activate().unwrap();
    let mut merged = 0;
    while calls.get() < 4 {
        assert!(start.elapsed() < GENEROUS);
        source.merge(1);
        merged += 1;
    }
    wait_until(|| total.get() == merged);
    assert!(millis(3) * u32::try_from(calls.get()).unwrap() <= start.elapsed(), "a call was early");
    finish(&runtime);
}

#[test]
fn an_event_at_a_leading_edge_is_delivered_at_once_and_what_follows_when_the_source_is_drained() {
    let paces: [Describe; 4] = [
        |builder| builder.throttle(HOUR),
        |builder| builder.throttle(HOUR).edge(Edge::Leading),
        |builder| builder.debounce(HOUR).edge(Edge::Leading),
        |builder| builder.debounce(HOUR).edge(Edge::Both),
    ];
    for pace in paces {
        let (runtime, total) = (runtime(), Total::default());
        let builder = pace(Source::add(&runtime.serial("main"))).on_event(total.adder());
        let source = builder.activate().unwrap();
        source.merge(1);
        wait_until(|| total.get() == 1);
        source.merge(2);
        source.merge(4);
        assert_eq!(total.get(), 1, "an hour has not passed");
        let report = runtime.shutdown(Shutdown::Drain.within(GENEROUS));
        assert_eq!((report.complete, report.dropped, report.panics), (true, 0, 0));
        assert_eq!(total.get(), 7);
    }
}

#[test]
fn a_cancelling_shutdown_drops_what_is_being_held_back() {
    let (runtime, captured) = (runtime(), Arc::new(()));
    let handler = Arc::clone(&captured);
    let builder = Source::add(&runtime.serial("main")).debounce(HOUR);
    let builder = builder.on_event(move |_| panic!("{handler:?}: an hour has not passed"));
    let source = builder.on_cancel(|| panic!("nobody has cancelled it")).activate().unwrap();
    source.merge(1);
    let report = runtime.shutdown(Shutdown::CancelPending.within(GENEROUS));
    assert_eq!((report.complete, report.dropped, report.panics), (true, 0, 0));
    assert_eq!(Arc::strong_count(&captured), 1);
    assert!(source.handle().has_ended() && !source.handle().merge(1));
}

#[test]
fn a_source_of_a_runtime_that_has_ended_has_ended_too() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    finish(&runtime);
    let source = Source::add(&queue).throttle(HOUR).on_event(|_| panic!("it has ended")).activate().unwrap();
    assert!(!source.handle().merge(1));
}

#[test]
fn every_kind_of_source_has_a_pace() {
    let runtime = runtime();
    let queue = runtime.serial("main");
    let (bits, latest, largest, fires) = (Total::default(), Total::default(), Total::default(), Total::default());
    let or = Source::or(&queue).debounce(millis(2)).on_event(bits.adder()).activate().unwrap();
    let replace = Source::replace(&queue).debounce(millis(2)).on_event(latest.adder()).activate().unwrap();
    let mut add = largest.adder();
    let builder = Source::merging(&queue).debounce(millis(2)).on_event(move |Max(value): Max<u64>| add(value));
    let merging = builder.activate().unwrap();
    let timer = Source::timer(&queue).throttle(millis(5)).every(millis(1)).on_event(fires.adder()).activate().unwrap();
    for value in [1, 8, 2] {
        or.merge(value);
        replace.merge(value);
        merging.merge(Max(value));
    }
    wait_until(|| bits.get() >= 11 && latest.get() >= 2 && largest.get() >= 8 && fires.get() >= 20);
    drop(timer);
    finish(&runtime);
    assert_eq!(bits.get(), 11);
    assert!([2, 3, 10, 11].contains(&latest.get()), "{}: the last one came last", latest.get());
    assert!([8, 9, 10, 11].contains(&largest.get()), "{}: the largest since the last call", largest.get());
}

#[test]
fn a_value_that_is_withdrawn_while_it_is_held_back_is_not_delivered() {
    let runtime = runtime();
    let total = Total::default();
    let builder = Source::replace(&runtime.serial("main")).debounce(HOUR).on_event(total.adder());
    let source = builder.activate().unwrap();
    source.merge(1);
    source.merge(2);
    assert_eq!((source.clear(), source.clear()), (Some(2), None));
    finish(&runtime);
    assert_eq!(total.get(), 0);
}

#[test]
fn a_suspended_source_costs_no_wake_ups() {
    let runtime = runtime();
    let builder = Source::add(&runtime.serial("main")).debounce(millis(1)).max_delay(millis(2));
    let total = Total::default();
    let source = builder.on_event(total.adder()).activate().unwrap();
    source.merge(1);
    wait_until(|| total.get() == 1);
    let suspended = source.suspend_guard().unwrap();
    let (wakeups, start) = (runtime.statistics().event_loop_wakeups, Instant::now());
    while start.elapsed() < millis(20) {
        source.merge(1);
    }
    assert_eq!((runtime.statistics().event_loop_wakeups, total.get()), (wakeups, 1));
    drop(suspended);
    wait_until(|| total.get() > 1);
    finish(&runtime);
}

#[test]
fn cancelling_runs_the_cancel_handler_at_once_and_once_whatever_the_source_waits_for() {
    let runtime = runtime();
    let paces: [Describe; 2] = [|builder| builder.debounce(HOUR), |builder| builder.throttle(HOUR)];
    for pace in paces {
        for suspended in [false, true] {
            let (ends, ended) = (Total::default(), Event::new());
            let (mut end, tell) = (ends.adder(), ended.clone());
            let builder = pace(Source::add(&runtime.serial("main"))).on_event(|_| ()).on_cancel(move || {
                end(1);
                tell.set();
            });
            let source = builder.activate().unwrap();
            (0..3).for_each(|_| source.merge(1));
            if suspended {
                source.suspend().unwrap();
            }
            source.cancel_now();
            ended.wait_timeout(GENEROUS).unwrap();
            source.cancel();
            source.merge(1);
            assert_eq!(ends.get(), 1);
        }
    }
    finish(&runtime);
}

#[test]
fn mergers_suspensions_and_periods_of_every_length_lose_nothing_and_never_overlap() {
    let paces: [Describe; 5] = [
        |builder| builder.throttle(Duration::from_micros(50)),
        |builder| builder.throttle(Duration::from_micros(20)).edge(Edge::Trailing),
        |builder| builder.throttle(Duration::ZERO).edge(Edge::Leading),
        |builder| builder.debounce(Duration::from_micros(30)),
        |builder| builder.debounce(Duration::from_micros(10)).edge(Edge::Both).max_delay(Duration::from_micros(100)),
    ];
    for pace in paces {
        let (runtime, total, inside) = (runtime(), Total::default(), AtomicBool::new(false));
        let mut add = total.adder();
        let builder = pace(Source::add(&runtime.global(Qos::Default))).on_event(move |value| {
            assert!(!inside.swap(true, Ordering::SeqCst), "two at once");
            add(value);
            inside.store(false, Ordering::SeqCst);
        });
        let source = builder.activate().unwrap();
        thread::scope(|scope| {
            for merger in 0..3 {
                let source = &source;
                scope.spawn(move || {
                    for round in 0..2_000 {
                        let _suspended = (merger == 0 && round % 5 == 0).then(|| source.suspend_guard().unwrap());
                        source.merge(1);
                        if round % 100 == merger {
                            thread::yield_now();
                        }
                    }
                });
            }
        });
        finish(&runtime);
        assert_eq!(total.get(), 6_000);
    }
}

/// Counts how often it is dropped on the event loop's thread.
struct NotOnTheLoop(Total);

impl Drop for NotOnTheLoop {
    fn drop(&mut self) {
        if thread::current().name().is_some_and(|name| name.ends_with("-events")) {
            self.0.adder()(1);
        }
    }
}

#[test]
fn sources_that_end_in_any_way_while_their_timers_fire_leave_nothing_and_nothing_ends_on_the_event_loop() {
    let (runtime, breaches) = (runtime(), Total::default());
    for round in 0..400 {
        let (queue, captured) = (runtime.serial("own"), NotOnTheLoop(breaches.clone()));
        let pace = Duration::from_micros(round % 40);
        let builder = Source::add(&queue).debounce(pace).on_event(move |_| _ = &captured);
        let source = builder.activate().unwrap();
        drop(queue);
        source.merge(1);
        match round % 5 {
            0 => thread::sleep(pace),
            1 => source.cancel(),
            2 => source.cancel_now(),
            3 => source.suspend().unwrap(),
            _ => {}
        }
        drop(source);
    }
    let held: Vec<_> = (0..100)
        .map(|micros| {
            let captured = NotOnTheLoop(breaches.clone());
            let builder = Source::add(&runtime.serial("own")).throttle(Duration::from_micros(micros));
            let source = builder.on_event(move |_| _ = &captured).activate().unwrap();
            (0..3).for_each(|_| source.merge(1));
            source
        })
        .collect();
    assert_eq!(runtime.shutdown(Shutdown::CancelPending.within(GENEROUS)).panics, 0);
    drop((held, runtime));
    assert_eq!(breaches.get(), 0);
    assert_eq!(Arc::strong_count(&breaches.0), 1, "nothing is left");
}

#[test]
fn ports_and_sources_of_the_kernel_have_a_pace_too() {
    let runtime = runtime();
    let queue = runtime.serial("kinds");
    let calls = Total::default();
    let count = || {
        let calls = calls.clone();
        move || _ = calls.0.fetch_add(1, Ordering::SeqCst)
    };

    let said = count();
    let port = Source::port(&queue).debounce(millis(1)).on_event(move |messages| {
        assert_eq!(messages.collect::<Vec<_>>(), [1, 2]);
        said();
    });
    let sender = port.sender();
    let port = port.activate().unwrap();
    let held = queue.suspend_guard().unwrap();
    sender.send(1).unwrap();
    sender.send(2).unwrap();
    drop(held);
    wait_until(|| calls.get() == 1);
    drop(port);

    #[cfg(feature = "io")]
    {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let ready = count();
        let readable = Source::readable(&queue, reader).throttle(millis(1)).on_ready(move |mut reader, input| {
            std::io::Read::read_exact(&mut reader, &mut vec![0; input.bytes.unwrap_or(1) as usize]).unwrap();
            ready();
        });
        let readable = readable.activate().unwrap();
        for round in 2..5 {
            std::io::Write::write_all(&mut writer, b"x").unwrap();
            wait_until(|| calls.get() == round);
        }
        drop(readable);
    }
    #[cfg(feature = "process")]
    {
        let (ended, before) = (count(), calls.get());
        let child = std::process::Command::new("true").spawn().unwrap();
        let child = Source::child(&queue, child).debounce(millis(1)).on_event(move |_| ended()).activate().unwrap();
        wait_until(|| calls.get() == before + 1);
        drop(child);
    }
    finish(&runtime);
}

/// What is told once cannot wait for the next event: it would never come.
#[cfg(all(feature = "io", feature = "signal"))]
#[test]
fn what_is_told_once_is_not_left_to_an_event_that_never_comes() {
    use concourse::Signal;
    use std::io::{Read, Write};
    let runtime = runtime();
    let queue = runtime.serial("once");
    let (period, edge) = (Duration::from_millis(2), Edge::Leading);

    let (reader, mut writer) = std::io::pipe().unwrap();
    let bytes = Total::default();
    let read = bytes.clone();
    let readable = Source::readable(&queue, reader).throttle(period).edge(edge).on_ready(move |mut reader, _| {
        read.0.fetch_add(reader.read(&mut [0; 1]).unwrap() as u64, Ordering::SeqCst);
    });
    let readable = readable.activate().unwrap();
    writer.write_all(b"abc").unwrap();
    wait_until(|| bytes.get() == 3);
    readable.suspend().unwrap();
    readable.resume().unwrap();
    writer.write_all(b"d").unwrap();
    wait_until(|| bytes.get() == 4);

    let fires = Total::default();
    let timer = Source::timer(&queue).every(millis(1)).throttle(period).edge(edge).on_event(fires.adder());
    let timer = timer.activate().unwrap();
    wait_until(|| fires.get() > 9);

    let received = Total::default();
    let receive = received.clone();
    let port = Source::bounded_port::<u64>(&queue, 1).throttle(period).edge(edge).on_event(move |messages| {
        receive.0.fetch_add(messages.count() as u64, Ordering::SeqCst);
    });
    let sender = port.sender();
    let port = port.activate().unwrap();
    (0..5).for_each(|n| sender.send_timeout(n, GENEROUS).unwrap());
    wait_until(|| received.get() == 5);

    let arrivals = Total::default();
    let arrived = arrivals.clone();
    let signal = Source::signal(&queue, Signal::WINCH).throttle(period).edge(edge).on_event(move |come| {
        arrived.0.fetch_add(come.count, Ordering::SeqCst);
    });
    let signal = signal.activate().unwrap();
    for round in 1..5 {
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::WINCH).unwrap();
        wait_until(|| arrivals.get() == round);
    }
    drop((readable, timer, port, signal));
    finish(&runtime);
}
