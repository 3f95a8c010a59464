//! The end of a program that is asked to end: see [`graceful_shutdown`].

use super::First;
use super::Signals;
use crate::error::SignalError;
use crate::queue::Dispatch;
use crate::signal::Signal;
use crate::source::Source;
use crate::source::SourceBuilder;
use crate::sync::Arc;
use crate::sync::Mutex;
use std::fmt;

/// Runs `f` once on `target` when the program is asked to end, by [`INT`](Signal::INT) or [`TERM`](Signal::TERM),
/// whichever comes first; a second one of either ends the process at once.
///
/// The first is a request, which gives the program the time it needs. The second has its default action, inside the
/// operating system's handler and whatever the program's threads are doing: so Ctrl-C, pressed twice, ends a program that
/// hangs in its own shutdown, and whoever waits for the process sees that it died of the signal. The kernel shields the
/// first process of a container from default actions; it ends with the status 128 + number, which a shell would make of
/// it.
///
/// It lasts until the [`GracefulShutdown`] is dropped, after the first signal too. Then both signals have the effect
/// again that they had before, and `f` runs no more. A signal that the process was started to ignore is observed as well.
/// Two of these, or one and a [`Source::signal`], each observe every signal; the second signal ends the process
/// nevertheless.
///
/// # What `f` should do
///
/// Tell the thread in `main`, which ends the runtime and returns: [`Runtime::shutdown`](crate::Runtime::shutdown) waits for
/// nothing if it is called from a job of its own runtime, and whatever is dropped at the end of `main` is dropped in order.
///
/// ```
/// use concourse::{Event, Runtime, Shutdown, graceful_shutdown};
/// use std::time::Duration;
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let runtime = Runtime::builder().build()?;
///     let (control, asked) = (runtime.serial("com.example.control"), Event::new());
///     let tell = asked.clone();
///     let _graceful = graceful_shutdown(&control, move |signal| {
///         eprintln!("{signal}: finishing what has begun, once more to stop at once");
///         tell.set();
///     })?;
///
///     let work = runtime.concurrent("com.example.work");
///     work.exec_async(|| println!("serving"));
/// #   unsafe { libc::raise(libc::SIGTERM) };
///
///     asked.wait();
///     let report = runtime.shutdown(Shutdown::Drain.within(Duration::from_secs(5)));
///     println!("{} jobs were given up", report.dropped);
///     Ok(())
/// }
/// ```
///
/// A program that runs the [main queue](crate::MainQueue) takes it for the target, and has `f` call
/// [`stop`](crate::MainQueue::stop), so that [`run_main`](crate::run_main) returns.
///
/// # Errors
///
/// As [`SourceBuilder::activate`] of a signal source. Neither signal is observed then.
#[must_use = "dropping it ends it"]
pub fn graceful_shutdown(
    target: &impl Dispatch,
    f: impl FnOnce(Signal) + Send + 'static,
) -> Result<GracefulShutdown, SignalError> {
    let (first, f) = (Arc::new(First::new()), Arc::new(Mutex::new(Some(f))));
    let observe = |signal| {
        let f = Arc::clone(&f);
        let builder = SourceBuilder::new(Signals::new(signal, Some(Arc::clone(&first))), target);
        let builder = builder.on_event(move |arrivals| {
            let f = f.lock().take();
            f.into_iter().for_each(|f| f(arrivals.signal));
        });
        builder.activate()
    };
    Ok(GracefulShutdown { sources: [observe(Signal::INT)?, observe(Signal::TERM)?] })
}

/// Keeps a [`graceful_shutdown`] going until it is dropped.
#[must_use = "dropping it ends it"]
pub struct GracefulShutdown {
    sources: [Source<Signals>; 2],
}

impl fmt::Debug for GracefulShutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GracefulShutdown").field("sources", &self.sources).finish()
    }
}
