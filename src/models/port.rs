//! A message that was sent is received or left, and nobody waits for room in a port that is gone.

use super::source::Line;
use super::{check, spawn};
use crate::engine::Engine;
use crate::event_loop::Sink;
use crate::job::Job;
use crate::queue::{Accept, Dispatch};
use crate::source::{Port, Source};
use crate::sync::{Arc, AtomicUsize, Ordering};

/// A line as a queue.
#[derive(Clone)]
struct Target(Arc<Line>);

impl Accept for Target {
    fn accept(&self, job: Job) {
        self.0.accept(job);
    }

    fn label(&self) -> &Arc<str> {
        self.0.label()
    }

    fn engine(&self) -> &Arc<Engine> {
        self.0.engine()
    }

    fn sink(&self) -> Arc<dyn Sink> {
        self.0.sink()
    }
}

impl Dispatch for Target {}

/// What has become of the messages. Nothing here orders the handlers.
#[derive(Default)]
struct Tally {
    received: AtomicUsize,
    left: AtomicUsize,
}

impl Tally {
    fn read(&self) -> (usize, usize) {
        (self.received.load(Ordering::Relaxed), self.left.load(Ordering::Relaxed))
    }
}

/// Two threads send a message each, waiting for room if need be, and run the handler's queue; meanwhile `end` ends the
/// port. How many were sent, received and left.
fn play(end: fn(Source<Port<()>>)) -> (usize, (usize, usize)) {
    let (target, tally) = (Target(Line::new(Engine::in_place())), Arc::new(Tally::default()));
    let (at_event, at_end) = (Arc::clone(&tally), Arc::clone(&tally));
    let builder = Source::bounded_port(&target, 1)
        .on_event(move |messages| {
            at_event.received.store(at_event.received.load(Ordering::Relaxed) + messages.count(), Ordering::Relaxed);
        })
        .on_cancel_with(move |rest| at_end.left.store(rest.len(), Ordering::Relaxed));
    let sender = builder.sender();
    let port = builder.activate().unwrap();
    let senders = [sender.clone(), sender].map(|sender| {
        let target = target.clone();
        spawn(move || {
            let sent = sender.send(());
            drop(sender);
            target.0.run();
            sent.is_ok()
        })
    });
    target.0.run();
    end(port);
    target.0.run();
    let sent = senders.map(|sender| sender.join().unwrap()).into_iter().filter(|sent| *sent).count();
    target.0.run();
    (sent, tally.read())
}

#[test]
fn every_message_of_a_cancelled_port_is_received_or_left() {
    check(|| {
        let (sent, (received, left)) = play(|port| port.cancel());
        assert_eq!(received + left, sent);
    });
}

#[test]
fn a_port_that_is_dropped_lets_its_senders_go() {
    check(|| {
        let (sent, (received, left)) = play(drop);
        assert!(received <= sent && left == 0);
    });
}
