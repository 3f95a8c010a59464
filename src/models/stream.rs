//! Whoever polls a stream only when it is woken misses no value and no end. Planted fault:
//! `stream_looks_only_before_it_leaves_its_waker`.

use super::source::{Line, Sum};
use super::{check, spawn};
use crate::engine::Engine;
use crate::source::delivery::{Delivery, Handlers};
use crate::source::stream::Server;
use crate::source::stream::tray::Tray;
use crate::sync::{Arc, AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Counts wake-ups, which carry no ordering of their own.
struct Woken(AtomicU32);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A stream on a line, and who polls it.
struct Model {
    line: Arc<Line>,
    delivery: Arc<Delivery<Sum>>,
    tray: Arc<Tray<u64>>,
    woken: Arc<Woken>,
}

impl Model {
    fn new() -> Arc<Self> {
        let line = Line::new(Engine::in_place());
        let (delivery, tray) = (Delivery::inactive(Sum::new(), line.clone()), Tray::new());
        let server = Server::new(Arc::clone(&tray), &delivery);
        let event = Box::new(move |sum| server.serve(sum));
        delivery.activate(None, Handlers { registered: None, event: Some(event), cancelled: None }, None);
        Arc::new(Self { line, delivery, tray, woken: Arc::new(Woken(AtomicU32::new(0))) })
    }

    fn merge(&self, ordinal: u32, n: u64) {
        self.delivery.pending().add_as(ordinal, n);
        assert!(self.delivery.knock());
    }

    fn poll(&self) -> Poll<Option<u64>> {
        let waker = Waker::from(Arc::clone(&self.woken));
        self.tray.poll(&Context::from_waker(&waker), || self.delivery.ask())
    }

    /// Polls for as long as there is something, and says whether that was the end.
    fn poll_all(&self, sum: &mut u64) -> bool {
        loop {
            match self.poll() {
                Poll::Ready(Some(value)) => *sum += value,
                Poll::Ready(None) => return true,
                Poll::Pending => return false,
            }
        }
    }

    /// Runs what is left when all threads have been joined, and polls again if somebody has woken the one who polled `sum`
    /// when there had been `woken` wake-ups. The sum then, and whether the stream has ended.
    fn finish(&self, mut sum: u64, mut has_ended: bool, mut woken: u32) -> (u64, bool) {
        loop {
            self.line.run();
            let now = self.woken.0.load(Ordering::Relaxed);
            if has_ended || now == woken {
                return (sum, has_ended);
            }
            woken = now;
            has_ended = self.poll_all(&mut sum);
        }
    }
}

/// Runs `parts` while this thread polls, and then whatever a wake-up calls for.
fn polled_beside<const N: usize>(parts: [fn(&Model); N]) -> (u64, bool) {
    let model = Model::new();
    let threads = parts.map(|part| {
        let model = Arc::clone(&model);
        spawn(move || part(&model))
    });
    // A wake-up from here on is one that no poll has answered.
    let woken = model.woken.0.load(Ordering::Relaxed);
    let mut sum = 0;
    let has_ended = model.poll_all(&mut sum);
    for thread in threads {
        thread.join().unwrap();
    }
    model.finish(sum, has_ended, woken)
}

#[test]
fn a_merge_against_a_poll_that_leaves_its_waker_is_polled() {
    check(|| {
        let merge_and_run: fn(&Model) = |m| {
            m.merge(0, 1);
            m.line.run();
        };
        assert_eq!(polled_beside([merge_and_run]), (1, false));
    });
}

#[test]
fn two_merges_against_polls_are_polled_once_each() {
    check(|| {
        let merge_and_run: fn(&Model) = |m| {
            m.merge(1, 2);
            m.line.run();
        };
        assert_eq!(polled_beside([|m| m.merge(0, 1), merge_and_run]), (3, false));
    });
}

#[test]
fn a_cancellation_against_a_poll_ends_the_stream_after_what_was_merged() {
    check(|| {
        let merge_and_cancel: fn(&Model) = |m| {
            m.merge(0, 1);
            m.delivery.cancel();
            m.line.run();
        };
        assert_eq!(polled_beside([merge_and_cancel]), (1, true));
    });
}

#[test]
fn a_suspension_against_a_poll_keeps_nothing_back_after_its_end() {
    check(|| {
        let suspend: fn(&Model) = |m| {
            m.delivery.suspend().unwrap();
            m.merge(0, 1);
            m.delivery.resume().unwrap();
            m.line.run();
        };
        let merge: fn(&Model) = |m| {
            m.merge(1, 2);
            m.line.run();
        };
        assert_eq!(polled_beside([suspend, merge]), (3, false));
    });
}
