//! Waiting for what another process does to the store.

use crate::failure::Context as _;
use crate::failure::Failure;
use crate::home::Home;
use concourse::Group;
use concourse::Runtime;
use concourse::Semaphore;
use concourse::Source;
use concourse::source::FileEvents;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked at whatever the watch says: the log is written before what is in it counts.
const SAFETY_NET: Duration = Duration::from_millis(50);

/// Looks, now and whenever the store has changed, until there is an answer, for at most `timeout`.
///
/// The looks are reasons to wake like those of the drain, and a semaphore turns the answer, which comes some time on some
/// thread, into the return of this call.
pub(super) fn until<T: Send + 'static>(
    home: &Home,
    timeout: Duration,
    mut look: impl FnMut() -> Option<T> + Send + 'static,
) -> Result<Option<T>, Failure> {
    let runtime = Runtime::builder().threads(1).build().context("no threads")?;
    let queue = runtime.serial("wait");
    let (answered, answer, looks) = (Semaphore::new(0), Arc::new(Mutex::new(None)), Group::new());
    let (tell, place, looking) = (answered.clone(), Arc::clone(&answer), looks.enter());
    let wake = Source::or(&queue).on_event_with(move |wake, _| {
        if let Some(found) = look() {
            *place.lock() = Some(found);
            wake.cancel();
            tell.signal();
        }
    });
    let wake = wake.on_cancel(move || drop(looking)).activate();
    let (on_change, on_time) = (wake.handle().clone(), wake.handle().clone());
    let log = Source::file(&queue, home.log(), FileEvents::ALL).on_event(move |_| {
        on_change.merge(1);
    });
    let log = log.activate().context("the store cannot be watched")?;
    let time = Source::timer(&queue).every(SAFETY_NET).on_event(move |_| {
        on_time.merge(1);
    });
    let time = time.activate().context("no timer")?;
    // Too late is the same as nothing: whoever asks has waited long enough.
    let _ = answered.wait_timeout(timeout);
    wake.cancel();
    looks.wait();
    drop((log, time));
    let answer = answer.lock().take();
    Ok(answer)
}
