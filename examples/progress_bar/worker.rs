//! What happens to one file on the concurrent queue.

use crate::digest::Algorithm;
use crate::gate::Gate;
use crate::hash;
use crate::listing::Entry;
use crate::listing::Failure;
use crate::meter::Meter;
use crate::printer::Finished;
use crate::printer::Outcome;
use crate::progress::flag;
use crate::throttle::Throttle;
use std::sync::Arc;

/// Hashes files, and reports to the meter while it does.
pub(crate) struct Worker {
    algorithm: Algorithm,
    throttle: Option<Throttle>,
    chunk: usize,
    gate: Arc<Gate>,
    meter: Meter,
}

impl Worker {
    /// A worker that reads at most so many bytes a second, on all threads together, and only while the gate is open.
    pub(crate) fn new(algorithm: Algorithm, bytes_per_second: Option<f64>, gate: &Arc<Gate>, meter: &Meter) -> Self {
        let throttle = bytes_per_second.map(Throttle::new);
        let chunk = throttle.as_ref().map_or(hash::CHUNK, |throttle| throttle.chunk(hash::CHUNK));
        Self { algorithm, throttle, chunk, gate: Arc::clone(gate), meter: meter.clone() }
    }

    pub(crate) fn hash(&self, entry: Entry) -> Finished {
        let (mut bytes, mut merges) = (0, 0);
        let digest = hash::hash_file(&entry.path, entry.size, self.chunk, self.algorithm, &self.gate, |n| {
            self.meter.bytes(n);
            bytes += n;
            merges += 1;
            if let Some(throttle) = &self.throttle {
                throttle.pay(n, &self.gate);
            }
        });
        if digest.is_err() && self.gate.is_cancelled() {
            return Finished { outcome: Outcome::Skipped, bytes, merges };
        }
        if bytes != entry.size {
            self.meter.correct(entry.size, bytes);
        }
        let outcome = match digest {
            Ok(digest) => {
                if bytes != entry.size {
                    self.meter.flag(flag::CHANGED);
                }
                match entry.expected {
                    None => Outcome::Hashed(entry.path, digest),
                    Some(expected) => Outcome::Compared(entry.path, digest == expected),
                }
            }
            Err(error) => {
                self.meter.flag(flag::FAILED);
                Outcome::Failed(Failure::new(&entry.path, error))
            }
        };
        self.meter.file();
        Finished { outcome, bytes, merges }
    }
}
