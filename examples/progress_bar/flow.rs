//! The way of a file from the walk to the output.

use crate::gate::Gate;
use crate::listing::Census;
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
    /// Whether anybody wants to know how much there is before it has been found.
    pub(crate) counts_ahead: bool,
    /// Files between the walk and the output.
    pub(crate) places: Semaphore,
    pub(crate) everything: Group,
    pub(crate) gate: Arc<Gate>,
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
        let mut census = self.counts_ahead.then(|| self.listing.census());
        for (number, found) in (0..).zip(self.listing.entries()) {
            // The walk reads no file, but in a pause it has nothing to run ahead for.
            if !self.gate.pass() {
                return;
            }
            let place = Place { _permit: self.place(&mut census), _membership: self.everything.enter() };
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

    /// Waits for a place. As long as there is none, the walk runs ahead of itself, only to say how much there is.
    fn place(&self, census: &mut Option<Census<'_>>) -> Permit {
        while let Some(ahead) = census {
            if let Some(permit) = self.places.try_acquire() {
                return permit;
            }
            if !ahead.step() {
                self.meter.estimate(ahead.total());
                *census = None;
            }
        }
        self.places.acquire()
    }

    /// Hashes a file, unless there is no point in it any more.
    fn hash(&self, number: u64, entry: Entry, place: Place) {
        let finished = match self.printer.is_broken() || self.gate.is_cancelled() {
            false => self.worker.hash(entry),
            true => Outcome::Skipped.into(),
        };
        self.printer.put(number, finished, place);
    }
}
