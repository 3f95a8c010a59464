//! Every reason to wake up, folded into one source.
//!
//! Whoever has news merges a bit, from any thread and as often as it likes; the drain is woken once and told all of them. So
//! no wake-up waits for another one, and none can be lost between two.

use crate::home::Home;
use concourse::Queue;
use concourse::Signal;
use concourse::Source;
use concourse::source::File;
use concourse::source::FileEvents;
use concourse::source::Handle;
use concourse::source::Or;
use concourse::source::Signals;
use concourse::source::Timer;
use std::error::Error;
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Another process may have written to the store.
pub(crate) const STORE: u64 = 1;
/// The file that says that there is no network may have come or gone.
pub(crate) const NETWORK: u64 = 2;
/// A save, or a look at the server, is due.
pub(crate) const TIME: u64 = 4;
/// The configuration may have changed.
pub(crate) const CONFIG: u64 = 8;
/// The configuration is to be read again, changed or not.
pub(crate) const RELOAD: u64 = 16;
/// Nothing more is to be sent.
pub(crate) const STOP: u64 = 32;

/// How often everything is looked at, whatever the watches say: no file system tells of all that other machines do.
const SAFETY_NET: Duration = Duration::from_secs(1);

/// Any change of what is at a path.
const ANY: FileEvents = FileEvents::WRITE
    .union(FileEvents::EXTEND)
    .union(FileEvents::ATTRIB)
    .union(FileEvents::CREATE)
    .union(FileEvents::DELETE)
    .union(FileEvents::RENAME);

/// What wakes a drain from outside: signals, what others write, and a look now and then. Dropping it lets go of them.
pub(crate) struct Reasons {
    _signals: [Source<Signals>; 3],
    _files: [Source<File>; 3],
    _safety_net: Source<Timer>,
}

impl Reasons {
    /// Merges into `wake` whatever happens outside, and first of all a look at everything. The handlers run on `queue`, which
    /// must not be busy for long.
    ///
    /// The first `SIGINT` or `SIGTERM` stops the drain, the second one the process: everything is in the store.
    pub(crate) fn watch(home: &Home, wake: &Handle<Or>, queue: &Queue) -> Result<Self, Box<dyn Error>> {
        let merge = |why: u64| {
            let wake = wake.clone();
            move || {
                wake.merge(why);
            }
        };
        let asked = Arc::new(AtomicU64::new(0));
        let stop = |signal: Signal| {
            let (stop, asked) = (merge(STOP), Arc::clone(&asked));
            let source = Source::signal(queue, signal).on_event(move |arrivals| {
                // Relaxed: a count that orders nothing.
                if asked.fetch_add(arrivals.count, Ordering::Relaxed) + arrivals.count > 1 {
                    process::exit(128 + arrivals.signal.number());
                }
                stop();
            });
            source.activate()
        };
        let file = |path: PathBuf, why: u64| {
            let tell = merge(why);
            let source = Source::file(queue, path, ANY).on_event(move |_| tell());
            source.activate()
        };
        let (reload, look) = (merge(RELOAD), merge(STORE | NETWORK | CONFIG));
        Ok(Self {
            _signals: [
                stop(Signal::INT)?,
                stop(Signal::TERM)?,
                Source::signal(queue, Signal::HUP).on_event(move |_| reload()).activate()?,
            ],
            _files: [file(home.bell(), STORE)?, file(home.offline(), NETWORK)?, file(home.config(), CONFIG)?],
            _safety_net: Source::timer(queue)
                .every(SAFETY_NET)
                .leeway(SAFETY_NET / 2)
                .on_event(move |_| look())
                .activate()?,
        })
    }
}
