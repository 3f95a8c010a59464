//! Many small events that a handler receives summed up, while it runs.

use crate::peers::{Smol, Tokio, runtime};
use crate::row::{Contender, Goal, Row, Sample, on_threads, per_operation};
use concourse::{Queue, Source};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

macro_rules! contenders {
    ($threads:literal, $handler:ident) => {
        [
            Contender { name: "concourse", run: |size| merging::<Add>($threads, size, $handler) },
            Contender {
                name: "raw fetch_add",
                run: |size| floor($threads, size, |sum| sum.fetch_add(1, Ordering::SeqCst)),
            },
            Contender { name: "tokio Notify by hand", run: |size| merging::<TokioNotify>($threads, size, $handler) },
            Contender {
                name: "tokio Notify, each time",
                run: |size| merging::<TokioNotifyAlways>($threads, size, $handler),
            },
            Contender { name: "smol listener by hand", run: |size| merging::<SmolListener>($threads, size, $handler) },
            Contender { name: "thread unpark by hand", run: |size| merging::<Unpark>($threads, size, $handler) },
            Contender {
                name: "crossbeam, one message each",
                run: |size| merging::<Messages>($threads, size, $handler),
            },
        ]
    };
}

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "merge_add",
        what: "One thread merges ones into a source whose handler works for a microsecond on each delivery.",
        metrics: &["ns per merge"],
        size: 10_000_000,
        quick: 10_000,
        contenders: &contenders!(1, work),
        goal: Goal::Times(1.25, "raw fetch_add"),
    },
    Row {
        name: "merge_add_empty",
        what: "As `merge_add`, with a handler that only adds up: the worst case, since the handler comes back at once.",
        metrics: &["ns per merge"],
        size: 10_000_000,
        quick: 10_000,
        contenders: &contenders!(1, nothing),
        goal: Goal::Times(2.5, "raw fetch_add"),
    },
    Row {
        name: "merge_add_4t",
        what: "As `merge_add`, from four threads; the floor is one shared counter.",
        metrics: &["ns per merge"],
        size: 20_000_000,
        quick: 20_000,
        contenders: &contenders!(4, work),
        goal: Goal::Times(0.5, "raw fetch_add"),
    },
    Row {
        name: "merge_or_4t",
        what: "Four threads merge bits, with OR, into a source whose handler works for a microsecond.",
        metrics: &["ns per merge"],
        size: 20_000_000,
        quick: 20_000,
        contenders: &[
            Contender { name: "concourse", run: |size| merging_bits::<Or>(size) },
            Contender {
                name: "raw fetch_or",
                run: |size| floor(4, size, |sum| sum.fetch_or(black_box(3), Ordering::SeqCst)),
            },
            Contender { name: "tokio Notify by hand", run: |size| merging_bits::<TokioNotifyBits>(size) },
            Contender { name: "thread unpark by hand", run: |size| merging_bits::<UnparkBits>(size) },
        ],
        goal: Goal::Times(0.5, "raw fetch_or"),
    },
];

/// What a handler does with a delivery besides adding it up.
type Work = fn();

fn nothing() {}

/// A microsecond, as a small redraw would take.
fn work() {
    let start = Instant::now();
    while start.elapsed() < Duration::from_micros(1) {
        std::hint::spin_loop();
    }
}

/// Something that events are merged into. There is one per process: the value is a name for it.
trait Merges: Copy + Send + Sync {
    /// `handler` receives what was merged.
    fn start(handler: impl FnMut(u64) + Send + 'static) -> Self;

    fn merge(self, n: u64);
}

fn floor(threads: u64, size: u64, change: fn(&AtomicU64) -> u64) -> Sample {
    let sum = AtomicU64::new(0);
    let time = on_threads(threads, |_| {
        for _ in 0..size / threads {
            black_box(change(black_box(&sum)));
        }
    });
    assert_ne!(sum.into_inner(), 0);
    per_operation(time, size)
}

/// Merges ones on so many threads, and waits until all of them have been delivered.
fn merging<M: Merges>(threads: u64, size: u64, work: Work) -> Sample {
    let delivered: &'static AtomicU64 = Box::leak(Box::default());
    let source = M::start(move |n| {
        delivered.fetch_add(n, Ordering::Relaxed);
        work();
    });
    let round = |size: u64| {
        let before = delivered.load(Ordering::Relaxed);
        let time = on_threads(threads, |_| (0..size / threads).for_each(|_| source.merge(black_box(1))));
        until(|| delivered.load(Ordering::Relaxed) - before == size / threads * threads);
        time
    };
    round(size / 10);
    per_operation(round(size), size)
}

/// Merges bits on four threads, each its own, and waits until all of them have been delivered.
fn merging_bits<M: Merges>(size: u64) -> Sample {
    let delivered: &'static AtomicU64 = Box::leak(Box::default());
    let source = M::start(move |bits| {
        delivered.fetch_or(bits, Ordering::Relaxed);
        work();
    });
    let round = |size: u64| {
        delivered.store(0, Ordering::Relaxed);
        let time = on_threads(4, |number| (0..size / 4).for_each(|_| source.merge(black_box(0b11 << (number * 2)))));
        until(|| delivered.load(Ordering::Relaxed) == 0b1111_1111);
        time
    };
    round(size / 10);
    per_operation(round(size), size)
}

fn until(is_done: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_done() {
        assert!(start.elapsed() < Duration::from_secs(30), "an event was lost, or delivered twice");
        thread::sleep(Duration::from_micros(50));
    }
}

#[derive(Clone, Copy)]
struct Add(&'static Source);

impl Merges for Add {
    fn start(handler: impl FnMut(u64) + Send + 'static) -> Self {
        Self(Box::leak(Box::new(Source::add(&queue()).on_event(handler).activate())))
    }

    fn merge(self, n: u64) {
        self.0.merge(n);
    }
}

#[derive(Clone, Copy)]
struct Or(&'static Source<concourse::source::Or>);

impl Merges for Or {
    fn start(handler: impl FnMut(u64) + Send + 'static) -> Self {
        Self(Box::leak(Box::new(Source::or(&queue()).on_event(handler).activate())))
    }

    fn merge(self, n: u64) {
        self.0.merge(n);
    }
}

fn queue() -> Queue {
    runtime().serial("bench")
}

/// A word that is zero while nothing is pending, and whoever finds it zero wakes the handler.
struct Word<W> {
    pending: AtomicU64,
    waker: W,
}

impl<W> Word<W> {
    fn with(waker: W) -> &'static Self {
        Box::leak(Box::new(Self { pending: AtomicU64::new(0), waker }))
    }

    fn take(&self) -> u64 {
        self.pending.swap(0, Ordering::SeqCst)
    }
}

macro_rules! by_hand {
    ($name:ident, $waker:ty, $change:ident, $wakes:expr, $start:expr, $wake:expr) => {
        #[derive(Clone, Copy)]
        struct $name(&'static Word<$waker>);

        impl Merges for $name {
            fn start(handler: impl FnMut(u64) + Send + 'static) -> Self {
                let start: fn(_) -> _ = $start;
                Self(start(Box::new(handler)))
            }

            fn merge(self, n: u64) {
                let wakes: fn(u64) -> bool = $wakes;
                if wakes(self.0.pending.$change(n, Ordering::SeqCst)) {
                    let wake: fn(&$waker) = $wake;
                    wake(&self.0.waker);
                }
            }
        }
    };
}

type Handler = Box<dyn FnMut(u64) + Send>;

fn is_first(before: u64) -> bool {
    before == 0
}

by_hand!(TokioNotify, tokio::sync::Notify, fetch_add, is_first, notified_task, |waker| waker.notify_one());
by_hand!(TokioNotifyBits, tokio::sync::Notify, fetch_or, is_first, notified_task, |waker| waker.notify_one());
by_hand!(TokioNotifyAlways, tokio::sync::Notify, fetch_add, |_| true, notified_task, |waker| waker.notify_one());

fn notified_task(mut handler: Handler) -> &'static Word<tokio::sync::Notify> {
    let word = Word::with(tokio::sync::Notify::new());
    Tokio::runtime().spawn(async move {
        loop {
            word.waker.notified().await;
            handle(word.take(), &mut handler);
        }
    });
    word
}

by_hand!(SmolListener, event_listener::Event, fetch_add, is_first, listening_task, |waker| _ = waker.notify(1));

fn listening_task(mut handler: Handler) -> &'static Word<event_listener::Event> {
    let word = Word::with(event_listener::Event::new());
    Smol::detach(async move {
        loop {
            let woken = word.waker.listen();
            match word.take() {
                0 => woken.await,
                pending => handler(pending),
            }
        }
    });
    word
}

by_hand!(Unpark, thread::Thread, fetch_add, is_first, parked_thread, thread::Thread::unpark);
by_hand!(UnparkBits, thread::Thread, fetch_or, is_first, parked_thread, thread::Thread::unpark);

fn parked_thread(mut handler: Handler) -> &'static Word<thread::Thread> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let word = Word::with(thread::current());
        tell.send(word).expect("the caller waits");
        loop {
            match word.take() {
                0 => thread::park(),
                pending => handler(pending),
            }
        }
    });
    told.recv().expect("the thread tells")
}

fn handle(pending: u64, handler: &mut Handler) {
    if pending > 0 {
        handler(pending);
    }
}

#[derive(Clone, Copy)]
struct Messages(&'static crossbeam_channel::Sender<u64>);

impl Merges for Messages {
    fn start(mut handler: impl FnMut(u64) + Send + 'static) -> Self {
        let (sender, receiver) = crossbeam_channel::unbounded::<u64>();
        thread::spawn(move || {
            while let Ok(first) = receiver.recv() {
                handler(first + receiver.try_iter().sum::<u64>());
            }
        });
        Self(Box::leak(Box::new(sender)))
    }

    fn merge(self, n: u64) {
        self.0.send(n).expect("the receiver lives as long as the process");
    }
}
