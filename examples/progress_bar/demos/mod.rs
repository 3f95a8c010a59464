//! Seven small programs by which dispatch sources, suspension and semaphores are often taught, on this crate. They
//! retell the demos of the article series `ParseSourceCodeStudy`, where a progress bar comes from too.
//!
//! The tests run them as well, with smaller numbers where the original takes long.

pub(crate) mod bar;
pub(crate) mod coalescing;
mod journal;
pub(crate) mod limit;
pub(crate) mod lock;
pub(crate) mod pause;
pub(crate) mod semaphore;
pub(crate) mod source_on_global;
pub(crate) mod source_on_main;
pub(crate) mod suspended_queue;

pub(crate) use journal::Journal;

use concourse::Runtime;
use concourse::RuntimeError;
use std::error::Error;
use std::fmt::Write as _;
use std::time::Duration;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// No demo waits for so long, unless something is lost.
const PATIENCE: Duration = Duration::from_secs(60);

/// One of the demos.
#[derive(Debug)]
pub(crate) struct Demo {
    title: &'static str,
    play: fn(&Runtime, &Journal) -> Outcome<()>,
}

static DEMOS: [Demo; 7] = [
    Demo { title: "many merges, few calls: a source on a serial queue", play: source_on_main::play },
    Demo { title: "a source on the global queue, beside its producers", play: source_on_global::play },
    Demo { title: "queues that suspend themselves", play: suspended_queue::play },
    Demo { title: "three ways to pause, and the bar that jumps after one of them", play: pause::play },
    Demo { title: "waiting for a semaphore, with a timeout", play: semaphore::play },
    Demo { title: "a semaphore as a lock, and a barrier that counts", play: lock::play },
    Demo { title: "three ways to limit how many jobs run at a time", play: limit::play },
];

/// What the demos are, a line each.
pub(crate) fn list() -> String {
    let mut list = "Demos:".to_owned();
    for (number, demo) in (1..).zip(&DEMOS) {
        // Writing into a string does not fail.
        let _ = write!(list, "\n  {number}  {}", demo.title);
    }
    list
}

/// The demo of this number, the first of which is 1.
pub(crate) fn numbered(number: &str) -> Result<&'static Demo, String> {
    let place = number.parse().ok().and_then(|number: usize| number.checked_sub(1));
    place.and_then(|place| DEMOS.get(place)).ok_or_else(|| format!("there are demos 1 to {}", DEMOS.len()))
}

impl Demo {
    /// Plays the demo, and prints what happens.
    pub(crate) fn play(&self) -> Outcome<()> {
        let journal = Journal::printed();
        journal.note(self.title);
        (self.play)(&runtime()?, &journal)
    }
}

/// The threads of the demos: few enough that a hundred jobs which sleep are not over at once.
pub(crate) fn runtime() -> Result<Runtime, RuntimeError> {
    Runtime::builder().threads(2).max_threads(8).name("pool").build()
}
