//! Where work that has begun waits while the job is paused, and learns that the job was cancelled.
//!
//! Suspending a queue holds back what has not begun, and nothing else. Somebody who reads a large file has begun, and
//! would go on for minutes: so readers pass a gate before every chunk.

use concourse::Event;
use std::io;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

/// A gate that is open unless the job is paused.
pub(crate) struct Gate {
    open: Event,
    cancelled: Event,
}

impl Gate {
    pub(crate) fn new() -> Self {
        let gate = Self { open: Event::new(), cancelled: Event::new() };
        gate.open.set();
        gate
    }

    /// Waits until the gate is open. False if there is no point in going on.
    #[must_use]
    pub(crate) fn pass(&self) -> bool {
        self.open.wait();
        !self.is_cancelled()
    }

    /// Waits for so long, or until there is no point in going on.
    pub(crate) fn rest(&self, time: Duration) {
        // Whichever of the two it was: who cares passes the gate next.
        let _ = self.cancelled.wait_timeout(time);
    }

    /// Whether everybody is to give up.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.is_set()
    }

    /// Tells everybody to give up, also those who wait.
    pub(crate) fn cancel(&self) {
        self.cancelled.set();
        self.open.set();
    }

    /// Closes the gate until the guard is dropped. There is one guard at a time, and none after a cancellation.
    pub(crate) fn close(self: &Arc<Self>) -> ClosedGate {
        self.open.reset();
        ClosedGate(Arc::clone(self))
    }

    /// A reader that passes the gate before each read, and fails once everybody is to give up.
    pub(crate) fn guard<R: Read>(&self, reader: R) -> impl Read {
        Guarded { gate: self, reader }
    }
}

/// Opens the gate when it is dropped.
#[must_use = "the gate opens when this is dropped"]
pub(crate) struct ClosedGate(Arc<Gate>);

impl Drop for ClosedGate {
    fn drop(&mut self) {
        self.0.open.set();
    }
}

struct Guarded<'a, R> {
    gate: &'a Gate,
    reader: R,
}

impl<R: Read> Read for Guarded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.gate.pass() {
            true => self.reader.read(buffer),
            false => Err(io::Error::other("cancelled")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::iter;
    use std::sync::mpsc;
    use std::thread;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn a_closed_gate_holds_a_reader_between_two_reads_until_it_opens() {
        let gate = Arc::new(Gate::new());
        let (send, arrived) = mpsc::sync_channel(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut reader = gate.guard(&b"abcd"[..]);
                let mut byte = [0];
                while reader.read(&mut byte).unwrap() == 1 {
                    send.send(byte[0]).unwrap();
                }
                drop(send);
            });
            assert_eq!(arrived.recv_timeout(PATIENCE), Ok(b'a'));
            let closed = gate.close();
            // The reader may have passed for one more byte before; then it waits, however long this looks.
            let next = || arrived.recv_timeout(Duration::from_millis(100)).ok();
            let before: Vec<u8> = iter::from_fn(next).collect();
            assert!(before.len() <= 1, "{before:?}");
            drop(closed);
            let rest: Vec<u8> = before.into_iter().chain(arrived.iter()).collect();
            assert_eq!(rest, b"bcd");
        });
    }

    #[test]
    fn a_cancellation_ends_reads_and_rests_also_behind_a_closed_gate() {
        let gate = Arc::new(Gate::new());
        let closed = gate.close();
        thread::scope(|scope| {
            let read = scope.spawn(|| gate.guard(&b"abc"[..]).read(&mut [0]).map_err(|error| error.to_string()));
            let rest = scope.spawn(|| gate.rest(Duration::from_secs(3600)));
            gate.cancel();
            assert_eq!(read.join().unwrap(), Err("cancelled".to_owned()));
            rest.join().unwrap();
        });
        drop(closed);
        assert!(!gate.pass());
    }
}
