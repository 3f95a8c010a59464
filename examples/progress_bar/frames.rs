//! The limit on redraws: a handler adds what it is given, sees to it that a frame is drawn, and *suspends its own source*
//! until the frame's time is over; meanwhile merges pile up in the source.
//!
//! So the screen is drawn at most `fps` times a second, the sums stay exact, and nothing wakes up when nothing happens:
//! there is no ticker.

use crate::progress::Progress;
use crate::progress::View;
use crate::render::Render;
use crate::report::Deliveries;
use crate::report::Results;
use crate::report::Summary;
use concourse::Dispatch as _;
use concourse::Group;
use concourse::Queue;
use concourse::Source;
use concourse::source::Pending;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

/// The limit on redraws.
pub(crate) struct Frames {
    pub(crate) ui: Queue,
    period: Duration,
    /// Has a member for each source that may still deliver.
    pub(crate) sources: Group,
    /// Touched only on the `ui` queue, so nobody ever waits for this lock: it shows the compiler what the queue promises.
    pub(crate) screen: Mutex<Screen>,
}

/// What is drawn, and when.
pub(crate) struct Screen {
    pub(crate) started: Instant,
    pub(crate) progress: Progress,
    pub(crate) render: Box<dyn Render>,
    pub(crate) deliveries: Deliveries,
    /// A frame has begun whose time is not over.
    in_frame: bool,
    /// Something has changed since the last drawing.
    stale: bool,
    /// The sources that are suspended until the frame is over. Dropping a guard resumes its source.
    held: Vec<Box<dyn Send>>,
    /// The screen is left to others, and no frame begins.
    pub(crate) hidden: bool,
    /// No frame begins any more: what is left is delivered as fast as it comes.
    ending: bool,
}

impl Frames {
    pub(crate) fn new(ui: &Queue, fps: u32, render: Box<dyn Render>) -> Self {
        let screen = Screen {
            started: Instant::now(),
            progress: Progress::default(),
            render,
            deliveries: Deliveries::default(),
            in_frame: false,
            stale: false,
            held: Vec::new(),
            hidden: false,
            ending: false,
        };
        Self { ui: ui.clone(), period: Duration::from_secs(1) / fps, sources: Group::new(), screen: Mutex::new(screen) }
    }

    /// A cancel handler: the last that is heard of a source.
    pub(crate) fn leave(&self) -> impl FnOnce() + Send + use<> {
        let membership = self.sources.enter();
        move || drop(membership)
    }

    /// A handler that adds its value and then rests, with its source, until the frame is over.
    pub(crate) fn paced<K: Pending>(
        self: &Arc<Self>,
        mut add: impl FnMut(&mut Screen, K::Value) + Send + 'static,
    ) -> impl FnMut(&Source<K>, K::Value) + Send + 'static {
        let frames = Arc::clone(self);
        move |source, value| {
            let mut screen = frames.screen.lock();
            add(&mut screen, value);
            if !screen.ending {
                screen.held.extend(source.suspend_guard().ok().map(|guard| Box::new(guard) as Box<dyn Send>));
            }
            frames.request(&mut screen);
        }
    }

    /// Has the screen drawn in this frame, or in the next if this one is already drawn.
    pub(crate) fn request(self: &Arc<Self>, screen: &mut Screen) {
        screen.stale = true;
        if screen.in_frame || screen.hidden || screen.ending {
            return;
        }
        screen.in_frame = true;
        // Behind the deliveries that are already in the queue, so that one drawing shows them all.
        let frames = Arc::clone(self);
        self.ui.exec_async(move || frames.screen.lock().draw());
        let frames = Arc::clone(self);
        if self.ui.after(self.period, move || frames.end()).is_err() {
            // The system has no timer for us. Better too many frames than a bar that stands still: this one is over.
            screen.in_frame = false;
            screen.held.clear();
        }
    }

    /// Whether no frame has begun, and there is nothing for another.
    #[cfg(test)]
    pub(crate) fn are_at_rest(&self) -> bool {
        let screen = self.screen.lock();
        !screen.in_frame && !screen.stale && screen.held.is_empty()
    }

    /// Ends a frame. Another begins only if there is something new to show.
    fn end(self: &Arc<Self>) {
        let mut screen = self.screen.lock();
        screen.in_frame = false;
        screen.held.clear();
        if screen.stale {
            self.request(&mut screen);
        }
    }
}

impl Screen {
    fn draw(&mut self) {
        if self.hidden {
            return;
        }
        self.stale = false;
        self.deliveries.redraws += 1;
        let view = self.view();
        self.render.draw(&view);
    }

    pub(crate) fn view(&mut self) -> View {
        self.progress.view(self.started.elapsed())
    }

    pub(crate) fn let_go(&mut self) {
        self.ending = true;
        self.held.clear();
    }

    pub(crate) fn finish(&mut self, results: Results, cancelled: bool) -> Summary {
        self.deliveries.redraws += 1;
        let elapsed = self.started.elapsed();
        let pauses = self.progress.pauses();
        let summary = Summary { elapsed, results, deliveries: self.deliveries, pauses, cancelled };
        self.render.finish(&self.progress.view(elapsed), &summary);
        summary
    }
}
