//! The way of a file from the walk to the output.

use crate::listing::Entry;
use crate::listing::Found;
use crate::listing::Listing;
use crate::listing::Total;
use crate::meter::Meter;
use crate::printer::Outcome;
use crate::printer::Printer;
use crate::progress::flag;
use crate::worker::Worker;
use concourse::Group;
use concourse::Membership;
use concourse::Permit;
use concourse::Queue;
use concourse::Semaphore;
use std::sync::Arc;

/// The way of a file through the queues.
pub(crate) struct Flow {
    /// Where files are hashed; its width says how many at the same time.
    pub(crate) hash: Queue,
    /// Where a large tree is counted, if anybody wants to know.
    pub(crate) count: Option<Queue>,
    pub(crate) queue_depth: usize,
    /// Files between the walk and the output.
    pub(crate) places: Semaphore,
    pub(crate) everything: Group,
    pub(crate) listing: Listing,
    pub(crate) worker: Worker,
    pub(crate) printer: Printer<Place>,
    pub(crate) meter: Meter,
}

/// What a file holds from the walk until its line is written.
pub(crate) struct Place {
    _permit: Permit,
    _membership: Membership,
}

impl Flow {
    /// Finds the files and sends them on, never more than `queue_depth` ahead of the output.
    pub(crate) fn walk(self: &Arc<Self>) {
        let _walking = self.everything.enter();
        let mut total = Total::default();
        for (number, found) in (0..).zip(self.listing.entries()) {
            if number == self.queue_depth as u64 {
                self.count();
            }
            let place = Place { _permit: self.places.acquire(), _membership: self.everything.enter() };
            if self.printer.is_broken() {
                return;
            }
            match found {
                Found::File(entry) => {
                    total.add(&entry);
                    let flow = Arc::clone(self);
                    self.hash.exec_async(move || flow.hash(number, entry, place));
                }
                Found::Skipped => {
                    self.meter.flag(flag::SKIPPED);
                    self.printer.put(number, Outcome::Skipped, place);
                }
                Found::Failed(failure) => {
                    self.meter.flag(flag::FAILED);
                    self.printer.put(number, Outcome::Failed(failure), place);
                }
            }
        }
        self.meter.total(total);
    }

    /// Goes through a listing that is longer than the walk may run ahead, only to say how much there is.
    fn count(self: &Arc<Self>) {
        let Some(queue) = &self.count else { return };
        let flow = Arc::clone(self);
        queue.exec_async(move || {
            let mut total = Total::default();
            for found in flow.listing.entries() {
                if flow.everything.is_empty() {
                    return; // Nobody wants to know any more.
                }
                if let Found::File(entry) = found {
                    total.add(&entry);
                }
            }
            flow.meter.estimate(total);
        });
    }

    /// Hashes a file, unless there is no point in it any more.
    fn hash(&self, number: u64, entry: Entry, place: Place) {
        let finished = match self.printer.is_broken() {
            false => self.worker.hash(entry),
            true => Outcome::Skipped.into(),
        };
        self.printer.put(number, finished, place);
    }
}
