//! Writes the results in the order of the listing, though workers finish in any order.
//!
//! A worker puts its result on the shelf and merges 1 into a source. The source's handler takes everything that is now in
//! order and writes it at once: when writing is slow, results come together, and the next write is the larger.

use crate::digest::Digest;
use crate::listing::Failure;
use crate::meter::Meter;
use crate::output::Output;
use crate::render::Curtain;
use crate::report::Results;
use crate::shelf::Shelf;
use crate::sums;
use concourse::Queue;
use concourse::Source;
use concourse::source::Add;
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

/// What became of one step of the listing.
pub(crate) enum Outcome {
    Hashed(PathBuf, Digest),
    /// The digest was compared with the one that was expected: were they the same?
    Compared(PathBuf, bool),
    Failed(Failure),
    /// Not looked at: a link, a device, or anything after the output had failed.
    Skipped,
}

/// An outcome, and what it took.
pub(crate) struct Finished {
    pub(crate) outcome: Outcome,
    pub(crate) bytes: u64,
    pub(crate) merges: u64,
}

impl From<Outcome> for Finished {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, bytes: 0, merges: 0 }
    }
}

/// Where results go. `Place` is what a result holds on to until its line is written.
pub(crate) struct Printer<Place> {
    shelf: Arc<Mutex<Shelf<(Finished, Place)>>>,
    page: Arc<Mutex<Page>>,
    broken: Arc<AtomicBool>,
    ready: Source<Add>,
    queue: Queue,
}

/// What the queue protects: only its jobs and the source's handler lock it.
struct Page {
    output: Option<Output>,
    error: Option<Failure>,
    results: Results,
    meter: Meter,
    curtain: Curtain,
}

impl<Place: Send + 'static> Printer<Place> {
    /// A printer that writes on `queue`, behind the curtain of whatever else is on the terminal.
    pub(crate) fn new(queue: &Queue, output: Output, meter: Meter, curtain: Curtain) -> Self {
        let shelf = Arc::new(Mutex::new(Shelf::new()));
        let page = Page { output: Some(output), error: None, results: Results::default(), meter, curtain };
        let page = Arc::new(Mutex::new(page));
        let broken = Arc::new(AtomicBool::new(false));
        let ready = {
            let (shelf, page, broken) = (Arc::clone(&shelf), Arc::clone(&page), Arc::clone(&broken));
            let print = move |_| {
                let ready: Vec<(Finished, Place)> = shelf.lock().take_ready();
                let mut page = page.lock();
                page.print(ready.iter().map(|(finished, _)| finished));
                // Relaxed: whoever sees it late hashes one file more, in vain.
                broken.store(page.error.is_some(), Ordering::Relaxed);
                // Only here, where their lines are out, do the files give up their places.
            };
            Source::add(queue).label("results").on_event(print).activate()
        };
        Self { shelf, page, broken, ready, queue: queue.clone() }
    }

    /// Takes the result of step `number` of the listing.
    pub(crate) fn put(&self, number: u64, finished: impl Into<Finished>, place: Place) {
        self.shelf.lock().put(number, (finished.into(), place));
        self.ready.merge(1);
    }

    /// Whether there is no point in going on, as nothing more can be written.
    pub(crate) fn is_broken(&self) -> bool {
        // Relaxed: see where it is stored.
        self.broken.load(Ordering::Relaxed)
    }

    /// Completes the output, after the last place was given up; or drops it if it is not `wanted`, after a cancellation.
    ///
    /// # Errors
    ///
    /// The first error of the output, which then has not been completed.
    pub(crate) fn finish(&self, wanted: bool) -> (Results, Result<(), Failure>) {
        self.queue.exec_sync(|| {
            let mut page = self.page.lock();
            let output = page.output.take().filter(|_| wanted);
            let committed = match page.error.take() {
                Some(error) => Err(error),
                None => output.map_or(Ok(()), Output::commit),
            };
            (page.results, committed)
        })
    }
}

impl Page {
    fn print<'a>(&mut self, ready: impl Iterator<Item = &'a Finished>) {
        let mut lines = Vec::new();
        for finished in ready {
            self.results.bytes += finished.bytes;
            self.results.merges += finished.merges;
            match &finished.outcome {
                Outcome::Hashed(path, digest) => {
                    self.results.files += 1;
                    sums::write_sum(&mut lines, digest, path);
                }
                Outcome::Compared(path, true) => {
                    self.results.files += 1;
                    sums::write_verdict(&mut lines, path, "OK");
                }
                Outcome::Compared(path, false) => {
                    self.results.files += 1;
                    self.results.mismatched += 1;
                    sums::write_verdict(&mut lines, path, "FAILED");
                }
                Outcome::Failed(failure) => {
                    self.results.failed += 1;
                    self.meter.complain(failure.clone());
                }
                Outcome::Skipped => {}
            }
        }
        if lines.is_empty() || self.error.is_some() {
            return;
        }
        if let Some(output) = &mut self.output {
            let written = match output.is_terminal() {
                true => self.curtain.lift(|| output.write(&lines)),
                false => output.write(&lines),
            };
            self.error = written.err();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Algorithm;
    use crate::render::Render as _;
    use crate::render::tests::Recording;
    use crate::scratch::Scratch;
    use concourse::Group;
    use concourse::Runtime;

    #[test]
    fn lines_come_in_the_order_of_the_listing_and_places_are_given_up_behind_them() {
        let scratch = Scratch::new();
        let target = scratch.path().join("sums");
        let runtime = Runtime::builder().threads(2).build().unwrap();
        let shown = Recording::default();
        let meter = Meter::new(&runtime.serial("ui"), 10, Box::new(shown.clone()));
        let output = Output::open(Some(&target)).unwrap();
        let printer = Printer::new(&runtime.serial("print"), output, meter.clone(), shown.curtain());
        let places = Group::new();
        let digest = Algorithm::Sha256.hasher().finish();
        // 3 comes first, 0 last: 7 is coprime to 100.
        for number in (0..100).map(|i| (i * 7 + 3) % 100).rev() {
            let outcome = match number % 10 {
                8 => Outcome::Skipped,
                9 => Outcome::Failed(Failure::new(format!("{number:02}").as_ref(), "gone")),
                _ => Outcome::Hashed(PathBuf::from(format!("{number:02}")), digest),
            };
            printer.put(number, Finished { outcome, bytes: 5, merges: 1 }, places.enter());
        }
        places.wait();
        let (results, written) = printer.finish(true);
        assert_eq!(written, Ok(()));
        assert_eq!(results, Results { files: 80, bytes: 500, merges: 100, failed: 10, mismatched: 0 });
        let text = std::fs::read_to_string(target).unwrap();
        let names: Vec<_> = text.lines().map(|line| line.split_once("  ").unwrap().1).collect();
        assert_eq!(names.len(), 80);
        assert!(names.is_sorted());
        meter.finish(results, false);
        let failures: Vec<_> = shown.failures.lock().iter().map(|failure| failure.what.clone()).collect();
        assert_eq!(failures, ["09", "19", "29", "39", "49", "59", "69", "79", "89", "99"]);
    }
}
