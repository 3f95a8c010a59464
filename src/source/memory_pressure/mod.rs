//! Sources of memory pressure: see [`Source::memory_pressure`].
//!
//! The kernel counts for how long threads wait for memory, and a trigger tells when that is too long: one for stalls of some
//! of the threads, which lead to [`WARN`](PressureLevels::WARN), and one for stalls of all, which lead to
//! [`CRITICAL`](PressureLevels::CRITICAL). It tells nothing of their end. So a level that no stall renews for a while falls.
//!
//! ```text
//! trigger ── event loop ── ready: note, knock ──┐
//!                                               ├── turn: take ── handler, on a change ── listen: watch, set the alarm
//! alarm ──── event loop ── fire: knock ─────────┘
//! ```
//!
//! Triggers and alarm are out of the event loop while a handler runs and while the source is suspended. The kernel keeps what
//! a trigger has to tell until somebody looks, so a turn looks first and watches afterwards.
//!
//! # The races it fears
//!
//! - *A trigger fires while nobody watches it.* The next turn looks. A trigger that fires between a look and the registration
//!   that follows is taken for told by the kernel: pressure that goes on is told a window later, and a moment's is over.
//! - *A trigger fires before the source has noted that it watches it.* The event loop waits for the lock.
//! - *The control group goes, and its trigger is always ready.* A turn finds out, and watches it no more.
//! - *It fires while the last turn runs.* Whoever is told looks under the lock whether it has ended.
//! - *The event loop is left with the last reference.* Dropping it may drop the target queue, which is for the pool to do.

mod gauge;
mod trigger;

pub use gauge::PressureLevels;

use super::Source;
use super::SourceBuilder;
use super::delivery::Delivery;
use super::delivery::Pending;
use super::delivery::Sealed;
use crate::error::MemoryPressureError;
use crate::event_loop::EventLoop;
use crate::event_loop::Interest;
use crate::event_loop::TimerKey;
use crate::event_loop::Watch;
use crate::event_loop::Watcher;
use crate::queue::Dispatch;
use crate::sync::Arc;
use crate::sync::Mutex;
use crate::sync::Weak;
use crate::time::Clock;
use crate::time::Nanos;
use crate::time::now;
use gauge::Gauge;
use std::fmt;
use std::mem;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;
use trigger::Look;
use trigger::Trigger;

/// Levels of memory pressure: see [`Source::memory_pressure`].
pub struct MemoryPressure(Mutex<Life>);

/// How far a source has come.
enum Life {
    /// It is not active yet.
    Described(Description),
    Watching(Station),
    /// The source has ended.
    Ended,
}

/// What to watch for.
struct Description {
    levels: PressureLevels,
    file: PathBuf,
    warn_at: Duration,
    critical_at: Duration,
    window: Duration,
    calm: Duration,
}

impl Description {
    fn new(levels: PressureLevels) -> Self {
        Self {
            levels,
            file: PathBuf::from("/proc/pressure/memory"),
            warn_at: Duration::from_millis(200),
            critical_at: Duration::from_millis(500),
            window: Duration::from_secs(2),
            calm: Duration::from_secs(10),
        }
    }

    /// The levels to watch for, with their stalls. Who only wants to know when all is well has to be told when it is not.
    fn triggers(&self) -> impl Iterator<Item = (PressureLevels, Duration)> {
        let Self { levels, warn_at, critical_at, .. } = *self;
        let all = [(PressureLevels::WARN, warn_at), (PressureLevels::CRITICAL, critical_at)];
        all.into_iter().filter(move |(level, _)| levels == PressureLevels::NORMAL || levels.contains(*level))
    }
}

/// What watches.
struct Station {
    levels: PressureLevels,
    gauge: Gauge,
    posts: Vec<Post>,
    /// The alarm at which the level falls, which may have rung since.
    armed: Option<TimerKey>,
    event_loop: Weak<EventLoop>,
    delivery: Weak<Delivery<MemoryPressure>>,
}

/// A trigger, with who is told of it. In this order, as a descriptor outlives its watch.
struct Post {
    watch: Watch,
    trigger: Trigger,
    messenger: Arc<Messenger>,
    is_watched: bool,
    /// No turn has taken it yet.
    has_fired: bool,
    is_gone: bool,
}

impl Post {
    /// Looks whether the trigger has fired while nobody was told.
    fn look(&mut self) {
        match self.trigger.look() {
            Look::Quiet => {}
            Look::Fired => self.has_fired = true,
            Look::Gone => (self.is_gone, self.has_fired) = (true, false),
        }
    }
}

/// Tells a source that the trigger of a level has fired.
struct Messenger {
    level: PressureLevels,
    delivery: Weak<Delivery<MemoryPressure>>,
    label: Arc<str>,
}

impl Station {
    /// Takes notice of what has fired.
    fn take(&mut self) -> Option<PressureLevels> {
        let now = now(Clock::Monotonic);
        for post in &mut self.posts {
            post.look();
            if mem::take(&mut post.has_fired) {
                self.gauge.stall(post.messenger.level, now);
            }
        }
        self.gauge.change(now).filter(|level| self.levels.contains(*level))
    }

    /// Watches for more. True if something has fired already.
    fn listen(&mut self) -> bool {
        let mut is_refused = false;
        for post in self.posts.iter_mut().filter(|post| !post.is_watched && !post.is_gone) {
            post.look();
            if !post.has_fired && !post.is_gone {
                post.is_watched = post.watch.rearm(&post.messenger.label).is_ok();
                is_refused |= !post.is_watched;
            }
        }
        // What the kernel has no room to watch is looked at again after a while.
        let look_again = if is_refused { self.gauge.until(now(Clock::Monotonic)) } else { Nanos::FOREVER };
        self.arm(self.gauge.falls().min(look_again));
        self.posts.iter().any(|post| post.has_fired)
    }

    /// Watches no more until it listens again.
    fn pause(&mut self) {
        for post in &mut self.posts {
            post.watch.disarm();
            post.is_watched = false;
        }
        self.disarm();
    }

    /// Has the event loop ring at that time.
    ///
    /// Every caller has a reference to the delivery, so that the ones that are dropped here are not the last.
    fn arm(&mut self, at: Nanos) {
        self.disarm();
        let Some((event_loop, delivery)) = self.event_loop.upgrade().zip(self.delivery.upgrade()) else { return };
        if at != Nanos::FOREVER {
            // An event loop that refuses has ended with its runtime: no time will come any more.
            self.armed = event_loop.arm(Clock::Monotonic, at, Duration::ZERO, delivery, None).ok();
        }
    }

    fn disarm(&mut self) {
        if let Some((event_loop, key)) = self.event_loop.upgrade().zip(self.armed.take()) {
            drop(event_loop.cancel(key));
        }
    }
}

impl MemoryPressure {
    fn describe(&self, change: impl FnOnce(&mut Description)) {
        if let Life::Described(description) = &mut *self.0.lock() {
            change(description);
        }
    }

    /// Sets the triggers and has the event loop watch them. False if there is no event loop any more.
    fn start(&self, delivery: &Arc<Delivery<Self>>) -> Result<bool, MemoryPressureError> {
        // Held throughout: a trigger that fires at once finds its post.
        let mut life = self.0.lock();
        let Life::Described(description) = mem::replace(&mut *life, Life::Ended) else { return Ok(false) };
        let engine = delivery.engine();
        let mut posts = Vec::new();
        for (level, stall) in description.triggers() {
            let trigger = Trigger::set(&description.file, level, stall, description.window)?;
            let (label, delivery) = (Arc::clone(delivery.label()), Arc::downgrade(delivery));
            let messenger = Arc::new(Messenger { level, delivery, label });
            let Some(watch) = engine.watch(trigger.as_fd(), Interest::Priority, &messenger)? else { return Ok(false) };
            posts.push(Post { watch, trigger, messenger, is_watched: true, has_fired: false, is_gone: false });
        }
        let Some(event_loop) = engine.running_event_loop() else { return Ok(false) };
        *life = Life::Watching(Station {
            levels: description.levels,
            gauge: Gauge::new(description.calm),
            posts,
            armed: None,
            event_loop: Arc::downgrade(event_loop),
            delivery: Arc::downgrade(delivery),
        });
        Ok(true)
    }

    /// Notes that the trigger of `level` has fired.
    fn note(&self, level: PressureLevels) {
        self.with(|station| {
            let posts = station.posts.iter_mut().filter(|post| post.messenger.level == level);
            posts.for_each(|post| (post.is_watched, post.has_fired) = (false, true));
        });
    }

    /// Does something with what watches, if anything does.
    fn with<R>(&self, f: impl FnOnce(&mut Station) -> R) -> Option<R> {
        match &mut *self.0.lock() {
            Life::Watching(station) => Some(f(station)),
            Life::Described(_) | Life::Ended => None,
        }
    }
}

impl Sealed for MemoryPressure {}

impl Pending for MemoryPressure {
    type Value = PressureLevels;

    const LISTENS: bool = true;

    const TOLD_ONCE: bool = true;

    fn take(&self) -> Option<PressureLevels> {
        self.with(Station::take).flatten()
    }

    fn listen(&self) -> bool {
        self.with(Station::listen).unwrap_or(false)
    }

    fn pause(&self) {
        self.with(Station::pause);
    }

    fn close(&self) {
        if let Life::Watching(mut station) = mem::replace(&mut *self.0.lock(), Life::Ended) {
            station.disarm();
        }
    }
}

impl Watcher for Messenger {
    fn ready(self: Arc<Self>) {
        if let Some(delivery) = self.delivery.upgrade() {
            delivery.pending().note(self.level);
            delivery.knock();
            delivery.leave();
        }
    }

    fn label(&self) -> &str {
        &self.label
    }
}

impl fmt::Debug for MemoryPressure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryPressure").finish_non_exhaustive()
    }
}

impl Source {
    /// A source of memory pressure: the handler receives the level whenever it has become one of `levels`.
    ///
    /// | level | the system, or a control group of it, is there when |
    /// |---|---|
    /// | [`WARN`](PressureLevels::WARN) | some threads have waited for memory for 200 ms within 2 s |
    /// | [`CRITICAL`](PressureLevels::CRITICAL) | all threads that had work have waited for memory for 500 ms within 2 s |
    /// | [`NORMAL`](PressureLevels::NORMAL) | neither has been so again for 10 s |
    ///
    /// The builder adjusts these: [`warn_at`](SourceBuilder::warn_at), [`critical_at`](SourceBuilder::critical_at),
    /// [`window`](SourceBuilder::window), [`calm`](SourceBuilder::calm) and [`file`](SourceBuilder::file), which chooses a control
    /// group. Only what leads to one of `levels` is watched for: a source of `WARN` alone does not tell more pressure from
    /// less. A source begins at `NORMAL`, and hears of that only after one of the others.
    ///
    /// The handler receives one level at a time, and only when it has changed. Changes while the handler runs, or while the
    /// source or its target is suspended, arrive in one call, with the highest level of them; time to become normal again
    /// counts from then. Once the control group is gone, or the target's runtime is shut down, the source is quiet.
    ///
    /// This is libdispatch's `DISPATCH_SOURCE_TYPE_MEMORYPRESSURE`, made of the pressure stall information of Linux.
    ///
    /// # Examples
    ///
    /// ```
    /// use concourse::source::PressureLevels;
    /// use concourse::{Queue, Source};
    ///
    /// # struct Cache;
    /// # impl Cache { fn shrink(&mut self) {} fn clear(&mut self) {} fn grow(&mut self) {} }
    /// # let mut cache = Cache;
    /// let queue = Queue::serial("com.example.cache");
    /// let all = PressureLevels::NORMAL | PressureLevels::WARN | PressureLevels::CRITICAL;
    /// let pressure = Source::memory_pressure(&queue, all)
    ///     .on_event(move |level| match level {
    ///         PressureLevels::CRITICAL => cache.clear(),
    ///         PressureLevels::WARN => cache.shrink(),
    ///         _ => cache.grow(),
    ///     })
    ///     .activate();
    /// if let Err(error) = &pressure {
    ///     println!("the cache stays as it is: {error}");
    /// }
    /// ```
    pub fn memory_pressure(target: &impl Dispatch, levels: PressureLevels) -> SourceBuilder<MemoryPressure> {
        let life = Life::Described(Description::new(levels));
        SourceBuilder::new(MemoryPressure(Mutex::new(life)), target)
    }
}

impl<P> SourceBuilder<MemoryPressure, P> {
    /// Is at [`WARN`](PressureLevels::WARN) once some of the threads have waited for memory for so long within a window;
    /// 200 ms if this is not called. At any moment in which one thread waits, some do.
    pub fn warn_at(self, stall: Duration) -> Self {
        self.describe(|description| description.warn_at = stall)
    }

    /// Is at [`CRITICAL`](PressureLevels::CRITICAL) once all threads that had work have waited for memory at once for so long
    /// within a window; 500 ms if this is not called.
    pub fn critical_at(self, stall: Duration) -> Self {
        self.describe(|description| description.critical_at = stall)
    }

    /// Counts stalls within windows of this length; 2 s if this is not called.
    ///
    /// It is also how often the kernel tells of stalls that go on. It may be 2, 4, 6, 8 or 10 s, and with `CAP_SYS_RESOURCE`
    /// anything from 500 ms to 10 s.
    pub fn window(self, window: Duration) -> Self {
        self.describe(|description| description.window = window)
    }

    /// Falls from a level when it has not been reached again for so long; 10 s if this is not called.
    ///
    /// Under pressure that goes on a level is reached again about once in a window, so what is shorter than two windows makes
    /// the level go up and down.
    pub fn calm(self, calm: Duration) -> Self {
        self.describe(|description| description.calm = calm)
    }

    /// Watches another pressure file than `/proc/pressure/memory`, which is the whole system's: the `memory.pressure` of a
    /// control group of version 2 is about the processes in there.
    pub fn file(self, path: impl Into<PathBuf>) -> Self {
        self.describe(|description| description.file = path.into())
    }

    fn describe(self, change: impl FnOnce(&mut Description)) -> Self {
        self.source.handle.delivery().pending().describe(change);
        self
    }

    /// Starts the source: a level is delivered after the registration handler.
    ///
    /// If the target's runtime has been shut down, the source has ended when this returns.
    ///
    /// # Errors
    ///
    /// [`MemoryPressureError::Unsupported`] where the system tells of no pressure, and others if the kernel refuses what it
    /// takes; in a forked child and in a simulation [`MemoryPressureError::NotWatched`] says so. The handlers are dropped then.
    pub fn activate(mut self) -> Result<Source<MemoryPressure>, MemoryPressureError> {
        let delivery = self.source.handle.delivery();
        delivery.name(self.label.take());
        let is_watched = delivery.pending().start(delivery)?;
        let source = self.start();
        if !is_watched {
            source.handle.delivery().end();
        }
        Ok(source)
    }
}
