//! What carries progress from the workers to the screen: three coalescing sources, and at most so many frames a second.
//!
//! ```text
//! workers ── merge ──▶ bytes (ADD)  ─┐
//!         ── merge ──▶ files (ADD)  ─┼─▶ ui (serial) ──▶ screen
//!         ── merge ──▶ flags (OR)   ─┘
//! ```
//!
//! A merge costs a worker a few nanoseconds and never waits. A handler adds what has come together since its last call,
//! sees to it that a frame is drawn, and *suspends its own source* until the frame's time is over; meanwhile merges pile
//! up in the source. So the screen is drawn at most `fps` times a second, the sums stay exact, and nothing wakes up when
//! nothing happens: there is no ticker.

use crate::listing::Failure;
use crate::listing::Total;
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
use concourse::SuspendError;
use concourse::source::Add;
use concourse::source::Or;
use concourse::source::Pending;
use concourse::source::SuspendedSource;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

/// Holds what a meter would show until it is dropped.
#[must_use = "the meter goes on when this is dropped"]
pub(crate) struct StillMeter {
    _bytes: SuspendedSource<Add>,
    _files: SuspendedSource<Add>,
    _flags: SuspendedSource<Or>,
}

/// Where workers report. Clones report to the same screen.
#[derive(Clone)]
pub(crate) struct Meter {
    bytes: Source<Add>,
    files: Source<Add>,
    flags: Source<Or>,
    frames: Arc<Frames>,
}

impl Meter {
    /// A meter that draws with `render` on the queue `ui`, at most `fps` times a second.
    pub(crate) fn new(ui: &Queue, fps: u32, render: Box<dyn Render>) -> Self {
        let frames = Arc::new(Frames::new(ui, fps, render));
        Self {
            bytes: Source::add(ui)
                .label("bytes")
                .on_event_with(frames.paced(|screen, n| {
                    screen.progress.bytes += n;
                    screen.deliveries.note(n);
                }))
                .on_cancel(frames.leave())
                .activate(),
            files: Source::add(ui)
                .label("files")
                .on_event_with(frames.paced(|screen, n| screen.progress.files += n))
                .on_cancel(frames.leave())
                .activate(),
            flags: Source::or(ui)
                .label("flags")
                .on_event_with(frames.paced(|screen, flags| screen.progress.flags |= flags))
                .on_cancel(frames.leave())
                .activate(),
            frames,
        }
    }

    /// Reports bytes that were read.
    pub(crate) fn bytes(&self, n: u64) {
        self.bytes.merge(n);
    }

    /// Reports that one more file is through.
    pub(crate) fn file(&self) {
        self.files.merge(1);
    }

    /// Reports that something happened, see [`flag`](crate::progress::flag).
    pub(crate) fn flag(&self, flags: u64) {
        self.flags.merge(flags);
    }

    /// Reports how much there is.
    pub(crate) fn total(&self, total: Total) {
        self.change(move |screen| screen.progress.set_total(total));
    }

    /// Reports how much there seems to be.
    pub(crate) fn estimate(&self, total: Total) {
        self.change(move |screen| screen.progress.set_estimate(total));
    }

    /// Reports that a file held `actual` bytes instead of `expected`.
    pub(crate) fn correct(&self, expected: u64, actual: u64) {
        self.change(move |screen| screen.progress.correct(expected, actual));
    }

    /// Shows a failure at once.
    pub(crate) fn complain(&self, failure: Failure) {
        self.change(move |screen| screen.render.complain(&failure));
    }

    /// Says that the job stands still from now on.
    pub(crate) fn pause(&self) {
        self.change(|screen| screen.progress.pause(screen.started.elapsed()));
    }

    /// Says that the job goes on.
    pub(crate) fn resume(&self) {
        self.change(|screen| screen.progress.resume(screen.started.elapsed()));
    }

    /// Says that so many files are hashed at the same time, out of so many that might be.
    pub(crate) fn jobs(&self, jobs: usize, most: usize) {
        self.change(move |screen| screen.progress.jobs = (jobs < most).then_some(jobs));
    }

    /// Says where the job is, on a line that stays.
    pub(crate) fn status(&self) {
        self.change(|screen| {
            let view = screen.view();
            screen.render.status(&view);
        });
    }

    /// Leaves the screen to others until [`show`](Self::show). What comes meanwhile is added up.
    ///
    /// Returns when nothing more is drawn.
    pub(crate) fn hide(&self) {
        let Frames { ui, screen, .. } = &*self.frames;
        ui.exec_sync(|| {
            let mut screen = screen.lock();
            screen.hidden = true;
            screen.render.step_aside();
        });
    }

    /// Has the screen back.
    pub(crate) fn show(&self) {
        self.change(|screen| screen.hidden = false);
    }

    /// Draws anew, as when the screen has another size.
    pub(crate) fn redraw(&self) {
        self.change(|_| ());
    }

    /// Holds the sources, and only them: what is reported meanwhile piles up in them.
    pub(crate) fn hold_still(&self) -> Result<StillMeter, SuspendError> {
        let Self { bytes, files, flags, .. } = self;
        Ok(StillMeter {
            _bytes: bytes.suspend_guard()?,
            _files: files.suspend_guard()?,
            _flags: flags.suspend_guard()?,
        })
    }

    /// Waits until everything that was reported is delivered and the sources have ended, and draws the last frame and the
    /// summary. Nothing is reported any more when this is called.
    pub(crate) fn finish(&self, results: Results, cancelled: bool) -> Summary {
        let Frames { ui, screen, .. } = &*self.frames;
        // First no source is held back any more; what they have to deliver is then in the queue, ahead of the second job.
        ui.exec_sync(|| screen.lock().let_go());
        ui.exec_sync(|| self.cancel());
        self.frames.sources.wait();
        ui.exec_sync(|| screen.lock().finish(results, cancelled))
    }

    fn cancel(&self) {
        let Self { bytes, files, flags, .. } = self;
        bytes.cancel();
        files.cancel();
        flags.cancel();
    }

    /// Rare news go to the queue as ordinary jobs: there is nothing to fold.
    fn change(&self, change: impl FnOnce(&mut Screen) + Send + 'static) {
        let frames = Arc::clone(&self.frames);
        self.frames.ui.exec_async(move || {
            let mut screen = frames.screen.lock();
            change(&mut screen);
            frames.request(&mut screen);
        });
    }
}

/// The limit on redraws.
struct Frames {
    ui: Queue,
    period: Duration,
    /// Has a member for each source that may still deliver.
    sources: Group,
    /// Touched only on the `ui` queue, so nobody ever waits for this lock: it shows the compiler what the queue promises.
    screen: Mutex<Screen>,
}

/// What is drawn, and when.
struct Screen {
    started: Instant,
    progress: Progress,
    render: Box<dyn Render>,
    deliveries: Deliveries,
    /// A frame has begun whose time is not over.
    in_frame: bool,
    /// Something has changed since the last drawing.
    stale: bool,
    /// The sources that are suspended until the frame is over. Dropping a guard resumes its source.
    held: Vec<Box<dyn Send>>,
    /// The screen is left to others, and no frame begins.
    hidden: bool,
    /// No frame begins any more: what is left is delivered as fast as it comes.
    ending: bool,
}

impl Frames {
    fn new(ui: &Queue, fps: u32, render: Box<dyn Render>) -> Self {
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
    fn leave(&self) -> impl FnOnce() + Send + use<> {
        let membership = self.sources.enter();
        move || drop(membership)
    }

    /// A handler that adds its value and then rests, with its source, until the frame is over.
    fn paced<K: Pending>(
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
    fn request(self: &Arc<Self>, screen: &mut Screen) {
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

    fn view(&mut self) -> View {
        self.progress.view(self.started.elapsed())
    }

    fn let_go(&mut self) {
        self.ending = true;
        self.held.clear();
    }

    fn finish(&mut self, results: Results, cancelled: bool) -> Summary {
        self.deliveries.redraws += 1;
        let elapsed = self.started.elapsed();
        let pauses = self.progress.pauses();
        let summary = Summary { elapsed, results, deliveries: self.deliveries, pauses, cancelled };
        self.render.finish(&self.progress.view(elapsed), &summary);
        summary
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(not(concourse_tsan))]
    use crate::own_process::play;
    use crate::render::tests::Recording;
    use concourse::Runtime;
    #[cfg(not(concourse_tsan))]
    use std::fs::File;
    use std::thread;

    fn meter(fps: u32) -> (Runtime, Meter, Recording) {
        let runtime = Runtime::builder().threads(2).build().unwrap();
        let drawn = Recording::default();
        let meter = Meter::new(&runtime.serial("ui"), fps, Box::new(drawn.clone()));
        (runtime, meter, drawn)
    }

    #[test]
    fn a_million_merges_arrive_in_a_few_calls_and_none_is_lost() {
        let (_runtime, meter, drawn) = meter(10);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..125_000).for_each(|_| meter.bytes(1)));
            }
        });
        let summary = meter.finish(Results::default(), false);
        let most = 10 * (summary.elapsed.as_secs_f64().ceil() as u64) + 2;
        assert_eq!(summary.deliveries.sum, 1_000_000);
        assert!((1..=most).contains(&summary.deliveries.calls), "{summary:?}");
        assert!((1..=most).contains(&summary.deliveries.redraws), "{summary:?}");
        let drawn = drawn.views.lock();
        assert_eq!(drawn.last().map(|view| view.bytes), Some(1_000_000));
        assert_eq!(drawn.len() as u64, summary.deliveries.redraws);
    }

    #[test]
    fn what_comes_within_a_frame_is_drawn_in_the_next_without_another_event() {
        let (_runtime, meter, drawn) = meter(5);
        meter.bytes(1);
        drawn.wait_for(|views| views.len() == 1);
        meter.bytes(2);
        meter.file();
        meter.flag(4);
        meter.total(Total { files: 1, bytes: 3 });
        drawn.wait_for(|views| views.last().is_some_and(|last| (last.bytes, last.files, last.flags) == (3, 1, 4)));
    }

    #[test]
    fn no_frame_begins_when_nothing_has_changed() {
        let (_runtime, meter, drawn) = meter(60);
        meter.bytes(1);
        drawn.wait_for(|views| views.len() == 1);
        let at_rest = || {
            let screen = meter.frames.screen.lock();
            !screen.in_frame && !screen.stale && screen.held.is_empty()
        };
        drawn.wait_for(|_| at_rest());
        assert_eq!(drawn.views.lock().len(), 1);
        meter.bytes(1);
        drawn.wait_for(|views| views.len() == 2);
    }

    // ThreadSanitizer needs descriptors of its own, to name what it sees.
    #[cfg(not(concourse_tsan))]
    #[test]
    fn without_timers_each_delivery_is_drawn_at_once() {
        let Some(child) = play("meter::tests::without_timers_each_delivery_is_drawn_at_once", "ulimit -n 64") else {
            // However many are open already: none is left for the event loop.
            let _all: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
            let (runtime, meter, drawn) = meter(1);
            assert!(runtime.serial("timer").after(Duration::ZERO, || ()).is_err());
            for n in 1..=20 {
                meter.bytes(1);
                drawn.wait_for(|views| views.last().is_some_and(|view| view.bytes == n));
            }
            let summary = meter.finish(Results::default(), false);
            assert_eq!((summary.deliveries.calls, summary.deliveries.sum), (20, 20));
            return;
        };
        assert!(child.status.success(), "{child:?}");
    }

    #[test]
    fn the_end_delivers_what_is_still_held_back() {
        for round in 1..=50 {
            let (_runtime, meter, _) = meter(1);
            for _ in 0..round {
                meter.bytes(3);
                meter.file();
            }
            assert_eq!(meter.finish(Results::default(), false).deliveries.sum, 3 * round);
        }
    }
}
