//! Demo 5: what waiting for a semaphore gives. Without a permit it times out, with one it returns at once; and a
//! semaphore may be dropped while its permits are out, which ends the process elsewhere.

use super::Journal;
use super::Outcome;
use concourse::Runtime;
use concourse::Semaphore;
use concourse::WaitError;
use std::time::Duration;
use std::time::Instant;

pub(crate) fn play(_: &Runtime, journal: &Journal) -> Outcome<()> {
    let timeout = Duration::from_secs(1);
    for permits in [0, 1] {
        let semaphore = Semaphore::new(permits);
        let (result, waited) = wait(&semaphore, timeout);
        let milliseconds = waited.as_secs_f64() * 1000.0;
        match result {
            Ok(()) => journal.note(format_args!("permits {permits}: taken after {milliseconds:.3} ms")),
            Err(error) => journal.note(format_args!("permits {permits}: {error}, after {milliseconds:.3} ms")),
        }
        drop(semaphore);
        journal.note("the semaphore is gone, without its permit");
    }
    Ok(())
}

/// What a wait came to, and how long it took.
pub(crate) fn wait(semaphore: &Semaphore, timeout: Duration) -> (Result<(), WaitError>, Duration) {
    let started = Instant::now();
    (semaphore.wait_timeout(timeout), started.elapsed())
}
