//! Tells people and programs what the drain does.
//!
//! The drain must not wait for a terminal, so it merges: how many saves it has found and sent into ADD sources, and how
//! things stand into a REPLACE source, all on a queue of their own. However fast it sends, the line on the screen is drawn ten
//! times a second at most, ends at the exact numbers, and is not touched when nothing happens.

mod event;
mod paced;
mod voice;

pub(crate) use event::Event;
pub(crate) use event::Level;
pub(crate) use event::LinkState;
pub(crate) use event::Name;
pub(crate) use event::Witness;
pub(crate) use voice::Style;

use concourse::Queue;
use concourse::Source;
use concourse::source::Add;
use concourse::source::Replace;
use paced::Paced;
use parking_lot::Mutex;
use serde::Deserialize;
use serde::Serialize;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use voice::Voice;

/// How often the file that `status` reads is written, at most.
const LIVE_PERIOD: Duration = Duration::from_secs(1);

/// Everything that is said of a running drain.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) pid: u32,
    #[serde(flatten)]
    pub(crate) level: Level,
    /// Since the drain began.
    pub(crate) sent: u64,
    /// In the last second or so.
    pub(crate) sent_per_second: u64,
    /// Found in the store since the drain began, those that were there included.
    pub(crate) enqueued: u64,
    /// In so many turns of the drain, of which the largest found so many.
    pub(crate) enqueued_in: u64,
    pub(crate) enqueued_at_most: u64,
}

/// The usual witness: tells a person or a program, and the file that `status` reads.
pub(crate) struct Reporter {
    ui: Queue,
    enqueued: Source<Add>,
    sent: Source<Add>,
    level: Source<Replace<Level>>,
    desk: Arc<Desk>,
    /// Each save is told of by itself, and not only how many they are.
    each: bool,
}

/// Touched only on the `ui` queue, so nobody ever waits for these locks.
struct Desk {
    figures: Mutex<Figures>,
    voice: Mutex<Voice>,
    /// The file that `status` reads, until the end.
    live: Mutex<Option<PathBuf>>,
    meter: Mutex<Meter>,
}

/// How fast saves are sent.
struct Meter {
    since: Instant,
    sent: u64,
}

impl Reporter {
    /// Tells in `style` what happens, and writes it to the file at `live` now and then.
    pub(crate) fn new(ui: &Queue, style: Style, live: PathBuf) -> Self {
        let figures = Figures { pid: std::process::id(), ..Figures::default() };
        let desk = Arc::new(Desk {
            figures: Mutex::new(figures),
            voice: Mutex::new(Voice::new(style)),
            live: Mutex::new(Some(live)),
            meter: Mutex::new(Meter { since: Instant::now(), sent: 0 }),
        });
        let beat = {
            let (speaking, writing) = (Arc::clone(&desk), Arc::clone(&desk));
            let line = Paced::new(ui, style.period(), move || speaking.say_how_it_stands());
            let file = Paced::new(ui, LIVE_PERIOD, move || writing.write_live());
            move || {
                line.ask();
                file.ask();
            }
        };
        let count = |change: fn(&mut Figures, u64)| {
            let desk = Arc::clone(&desk);
            move |n| change(&mut desk.figures.lock(), n)
        };
        let enqueued = Source::add(ui).label("enqueued").on_event(count(|figures, n| {
            figures.enqueued += n;
            figures.enqueued_in += 1;
            figures.enqueued_at_most = figures.enqueued_at_most.max(n);
        }));
        let sent = Source::add(ui).label("sent").on_event(count(|figures, n| figures.sent += n));
        let level = Source::replace(ui).label("level").on_event({
            let desk = Arc::clone(&desk);
            move |level| {
                let before = std::mem::replace(&mut desk.figures.lock().level, level);
                // The first tells at least that somebody is there.
                if before.turns == 0 || desk.figures.lock().level.differs(&before) {
                    beat();
                }
            }
        });
        let (enqueued, sent, level) = (enqueued.activate(), sent.activate(), level.activate());
        Self { ui: ui.clone(), enqueued, sent, level, desk, each: style.tells_each() }
    }

    /// Waits until everything is told, says how it ended, and takes the file away. Nothing is told after this.
    pub(crate) fn finish(&self, last_words: &str) {
        // What was merged before is delivered by what is in the queue now.
        self.ui.exec_sync(|| ());
        self.ui.exec_sync(|| {
            self.desk.say_how_it_stands();
            self.desk.voice.lock().finish(last_words);
            if let Some(live) = self.desk.live.lock().take() {
                // It tells of a drain that is not there any more.
                let _ = fs::remove_file(live);
            }
        });
    }
}

impl Witness for Reporter {
    fn see(&self, event: Event) {
        match &event {
            Event::Enqueued { count } => self.enqueued.merge(*count),
            Event::Sent(_) | Event::Duplicate(_) => self.sent.merge(1),
            _ => {}
        }
        let is_of_many = matches!(event, Event::Enqueued { .. } | Event::Sent(_) | Event::Duplicate(_));
        if !is_of_many || self.each {
            let desk = Arc::clone(&self.desk);
            self.ui.exec_async(move || desk.voice.lock().tell(&event));
        }
    }

    fn level(&self, level: Level) {
        self.level.merge(level);
    }
}

impl Desk {
    fn say_how_it_stands(&self) {
        self.measure();
        self.voice.lock().say(&self.figures.lock());
    }

    fn write_live(&self) {
        let live = self.live.lock();
        let Some(live) = &*live else { return };
        self.measure();
        let text = serde_json::to_string(&*self.figures.lock()).unwrap_or_default();
        let unfinished = live.with_extension("json.new");
        // It is a courtesy to `status`; a full disk must not end the drain.
        let _ = fs::write(&unfinished, text).and_then(|()| fs::rename(&unfinished, live));
    }

    fn measure(&self) {
        let (mut meter, mut figures) = (self.meter.lock(), self.figures.lock());
        let elapsed = meter.since.elapsed();
        if elapsed >= Duration::from_millis(500) {
            figures.sent_per_second = ((figures.sent - meter.sent) as f64 / elapsed.as_secs_f64()).round() as u64;
            *meter = Meter { since: Instant::now(), sent: figures.sent };
        }
    }
}
