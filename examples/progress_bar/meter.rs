//! What carries progress from the workers to the screen: three coalescing sources.
//!
//! ```text
//! workers ── merge ──▶ bytes (ADD)  ─┐
//!         ── merge ──▶ files (ADD)  ─┼─▶ ui (serial) ──▶ screen
//!         ── merge ──▶ flags (OR)   ─┘
//! ```
//!
//! A merge costs a worker a few nanoseconds and never waits. A handler adds what has come together since its last call,
//! which is in each [frame](crate::frames) at most one.

use crate::frames::Frames;
use crate::frames::Screen;
use crate::listing::Failure;
use crate::listing::Total;
use crate::render::Render;
use crate::report::Results;
use crate::report::Summary;
use concourse::Queue;
use concourse::Source;
use concourse::SuspendError;
use concourse::source::Add;
use concourse::source::Or;
use concourse::source::SuspendedSource;
use std::sync::Arc;

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

    /// Leaves the screen to others until [`show`](Self::show), and calls `left` once nothing is drawn any more. What comes
    /// meanwhile is added up.
    pub(crate) fn hide(&self, left: impl FnOnce() + Send + 'static) {
        self.change(move |screen| {
            screen.hidden = true;
            screen.render.step_aside();
            left();
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

/// Holds what a meter would show until it is dropped.
#[must_use = "the meter goes on when this is dropped"]
pub(crate) struct StillMeter {
    _bytes: SuspendedSource<Add>,
    _files: SuspendedSource<Add>,
    _flags: SuspendedSource<Or>,
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(not(concourse_tsan))]
    use crate::own_process::play;
    use crate::profile;
    use crate::render::tests::Recording;
    use crate::threads;
    use crate::way_out::WayOut;
    use concourse::Dispatch as _;
    use concourse::Group;
    use concourse::Runtime;
    #[cfg(not(concourse_tsan))]
    use std::fs::File;
    use std::hint;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;
    use std::time::Instant;

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

    /// The longest time in which nothing was drawn.
    fn longest_gap(drawn: &Recording) -> Duration {
        let views = drawn.views.lock();
        views.windows(2).map(|pair| pair[1].elapsed - pair[0].elapsed).max().unwrap_or_default()
    }

    #[test]
    fn the_screen_keeps_up_with_producers_that_never_rest() {
        let (_runtime, meter, drawn) = meter(10);
        let until = Instant::now() + Duration::from_millis(profile::count(500, 10_000));
        let produce = || (0..).take_while(|_| Instant::now() < until).map(|_| meter.bytes(1)).count();
        let merged = thread::scope(|scope| {
            let producers = [(); 8].map(|()| scope.spawn(produce));
            producers.map(|producer| producer.join().unwrap()).iter().sum::<usize>()
        });
        let summary = meter.finish(Results::default(), false);
        assert_eq!(summary.deliveries.sum, merged as u64);
        assert!(summary.deliveries.calls <= 10 * (summary.elapsed.as_secs_f64().ceil() as u64) + 2, "{summary:?}");
        assert!(longest_gap(&drawn) <= profile::tolerance(Duration::from_millis(250)));
    }

    #[test]
    fn the_screen_does_not_wait_until_a_file_is_through() {
        let cores = thread::available_parallelism().map_or(2, usize::from);
        let runtime = threads::runtime(cores, &Arc::new(WayOut::new(None, None))).unwrap();
        let drawn = Recording::default();
        let meter = Meter::new(&runtime.serial("ui"), 60, Box::new(drawn.clone()));
        let queue = runtime.queue("hash").concurrent().width(cores).build().unwrap();
        let (group, jobs) = (Group::new(), profile::count(400, 10_000));
        for _ in 0..jobs {
            let meter = meter.clone();
            group.exec_async(&queue, move || {
                meter.bytes(1);
                let busy_until = Instant::now() + Duration::from_millis(5);
                while Instant::now() < busy_until {
                    hint::spin_loop();
                }
            });
        }
        group.wait();
        let summary = meter.finish(Results::default(), false);
        assert_eq!(summary.deliveries.sum, jobs);
        let on_the_way = drawn.views.lock().iter().filter(|view| view.bytes < jobs).count();
        assert!(on_the_way >= 5, "{summary:?}");
        assert!(longest_gap(&drawn) <= profile::tolerance(Duration::from_millis(100)));
    }

    #[test]
    fn nothing_is_delivered_or_drawn_after_the_summary() {
        let (_runtime, meter, drawn) = meter(60);
        meter.bytes(3);
        let summary = meter.finish(Results::default(), true);
        assert_eq!((summary.deliveries.sum, summary.cancelled), (3, true));
        let frames = drawn.views.lock().len();
        meter.bytes(4);
        meter.file();
        meter.redraw();
        meter.frames.ui.exec_sync(|| ());
        let Screen { progress, .. } = &*meter.frames.screen.lock();
        assert_eq!((progress.bytes, progress.files, drawn.views.lock().len()), (3, 0, frames));
    }

    #[test]
    fn a_meter_that_is_held_still_shows_in_one_jump_what_came_meanwhile() {
        let (_runtime, meter, drawn) = meter(60);
        meter.bytes(1);
        drawn.wait_for(|views| views.len() == 1);
        let still = meter.hold_still().unwrap();
        meter.pause();
        drawn.wait_for(|views| views.last().is_some_and(|view| view.paused));
        (0..1000).for_each(|_| meter.bytes(1));
        meter.redraw();
        drawn.wait_for(|_| meter.frames.are_at_rest());
        assert_eq!(drawn.views.lock().last().map(|view| view.bytes), Some(1));
        drop(still);
        meter.resume();
        drawn.wait_for(|views| views.last().is_some_and(|view| (view.bytes, view.paused) == (1001, false)));
        let summary = meter.finish(Results::default(), false);
        assert_eq!((summary.deliveries.calls, summary.deliveries.largest, summary.pauses.times), (2, 1000, 1));
    }

    #[test]
    fn a_hidden_screen_draws_nothing_and_has_lost_nothing_when_it_is_shown_again() {
        let (_runtime, meter, drawn) = meter(60);
        let (tell, hidden) = mpsc::channel();
        meter.hide(move || tell.send(()).unwrap());
        hidden.recv().unwrap();
        meter.bytes(5);
        meter.frames.ui.exec_sync(|| ());
        assert_eq!(drawn.views.lock().len(), 0);
        meter.show();
        drawn.wait_for(|views| views.last().is_some_and(|view| view.bytes == 5));
        meter.bytes(6);
        drawn.wait_for(|views| views.last().is_some_and(|view| view.bytes == 11));
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
        drawn.wait_for(|_| meter.frames.are_at_rest());
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
