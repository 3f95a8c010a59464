//! A runtime's reports, written down.

use concourse::RuntimeBuilder;
use parking_lot::Mutex;
use std::sync::Arc;

/// What a runtime tells of a closure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Panicked,
    Dropped,
    Rejected,
}

/// Everything that a runtime's hooks were told.
#[derive(Clone, Default)]
pub(crate) struct Records(Arc<Mutex<Vec<(Fate, String)>>>);

impl Records {
    /// Lets the runtime of `builder` write into these records.
    pub(crate) fn of(&self, builder: RuntimeBuilder) -> RuntimeBuilder {
        let [panicked, dropped, rejected] = [Fate::Panicked, Fate::Dropped, Fate::Rejected].map(|fate| {
            let records = self.clone();
            move |label: &str| records.0.lock().push((fate, label.to_owned()))
        });
        builder
            .on_panic(move |report| panicked(report.label))
            .on_dropped(move |report| dropped(report.label))
            .on_rejected(move |report| rejected(report.label))
    }

    /// The labels of the queues whose closures met this fate, in the order of the reports.
    pub(crate) fn labels(&self, fate: Fate) -> Vec<String> {
        let records = self.0.lock();
        records.iter().filter(|record| record.0 == fate).map(|record| record.1.clone()).collect()
    }
}
