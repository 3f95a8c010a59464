//! The one thread that waits on the kernel.
//!
//! # What happens to a timer
//!
//! ```text
//! any thread                        the loop thread                       the kernel
//! ----------                        ---------------                       ----------
//! arm ── lock(clock) ── wheel
//!            └─ earlier than the alarm? ── timerfd_settime ───────────────▶ timerfd
//!                                   sleeps in epoll_wait ◀── readable ─────────┘
//!                                   lock(clock): take what is due
//!                                   unlock, Sink::fire for each
//!                                   lock(clock): set the next alarm, sleep
//! cancel ── lock(clock) ── wheel    (no system call, the alarm stays)
//! ```
//!
//! Each [`Clock`] has a `Timers`: a [wheel](crate::collections::Wheel) and an alarm under one lock, and one timerfd.
//! The alarm is what the timerfd is set to. Whoever arms a timer compares it with the alarm and sets the timerfd only
//! if the alarm would come too late for it, or if a timer with leeway could wait for it. Cancelling never sets it: an
//! alarm for nobody costs one wake-up at most, and mostly it serves whoever was armed since.
//!
//! While the loop thread delivers, the alarm reads "awake", which is earlier than everything, so that nobody sets a
//! timerfd that the loop thread sets anyway before it sleeps again.
//!
//! # What the loop thread does not do
//!
//! It runs no user code and waits for nobody: a [`Sink`] hands the job to a queue or marks a source pending, and
//! returns; a [`Watcher`] likewise. It holds no lock while it calls one. A panic there is contained and the loop goes on.
//!
//! It sleeps without a timeout, since epoll counts in milliseconds and a timerfd in nanoseconds. With nothing due,
//! nothing wakes it: [`EventLoop::wakeups`] stands still.
//!
//! # Exactly once
//!
//! A timer is in the wheel, or it has been taken out under the lock: by the loop thread, which then fires it; by a
//! [`cancel`](EventLoop::cancel), which gives it to its caller; or by [`stop`](EventLoop::stop), likewise. Nobody else
//! touches it, so armed = fired + cancelled + stopped.
//!
//! # Why no wake-up is lost
//!
//! - *Armed between the loop thread's last look and its sleep*: both happen under the clock's lock. Before the look
//!   the wheel has it, after the look the alarm is set and the armer compares with it.
//! - *The timerfd is set again while an expiry is pending*: setting it withdraws the pending readiness. If it is set
//!   to something earlier, that is readable at once or soon; if it is set to something later, to let a timer with
//!   leeway wait, then not later than anybody's window allows.
//! - *A wake-up for an alarm that has been changed since*: every wake-up looks at the wheel and sets the alarm anew,
//!   whatever the reason it was woken for.
//! - *The wall clock is set*: the timerfd becomes readable (cancel on set), so this is a wake-up like any other, and the
//!   loop looks how far the clock was set ([`ClockSteps`]). A timerfd counts in absolute time, so the kernel itself moves
//!   an alarm when its clock is set.
//!
//! # In virtual time
//!
//! A loop of a simulation (feature `sim`) has no kernel to wait on: its thread is one of the simulation's, sleeps in
//! virtual time, and is woken by whoever sets an alarm. It refuses descriptors; everything else is the same.
//!
//! # Tokens
//!
//! Token 0 is the waker, the tokens after it are the clocks' timerfds. Descriptors take the tokens from there on, each
//! one once.

mod clock_steps;
mod descriptors;
mod eventfd;
#[cfg(feature = "fs")]
mod notices;
#[cfg(feature = "sim")]
mod sleeper;
mod state;
mod timers;

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests;

pub(crate) use clock_steps::StepKey;
pub(crate) use clock_steps::StepWatcher;
pub(crate) use descriptors::Interest;
pub(crate) use descriptors::Watch;
pub(crate) use descriptors::Watcher;
pub(crate) use eventfd::Eventfd;
#[cfg(feature = "fs")]
pub(crate) use notices::Hearing;
#[cfg(feature = "fs")]
pub(crate) use notices::Mark;
#[cfg(feature = "fs")]
pub(crate) use notices::Notices;
#[cfg(feature = "fs")]
pub(crate) use notices::Refusal;
#[cfg(feature = "fs")]
pub(crate) use notices::Scope;
#[cfg(feature = "fs")]
pub(crate) use notices::Told;
#[cfg(feature = "fs")]
pub(crate) use notices::Witness;
#[cfg(feature = "fs")]
pub(crate) use notices::path_of;

use crate::error::ClockError;
use crate::error::EventLoopError;
use crate::error::WatchError;
use crate::job::Job;
use crate::sync::Arc;
use crate::sync::JoinHandle;
use crate::sync::Mutex;
use crate::sync::ThreadBuilder;
#[cfg(feature = "fs")]
use crate::sync::Weak;
use crate::sync::current_thread;
use crate::sync::is_child;
use crate::time::Clock;
use crate::time::Nanos;
use clock_steps::ClockSteps;
use descriptors::Descriptors;
use mio::Events;
use mio::Poll;
use mio::Token;
use mio::Waker;
use rustix::io::Errno;
#[cfg(feature = "sim")]
use sleeper::Sleeper;
use state::State;
use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;
use timers::Timers;

/// Where what happens in the loop is delivered: a queue, or a source.
pub trait Sink: Send + Sync + 'static {
    /// A timer's deadline `due` has passed. `job` is what was armed with it.
    ///
    /// Called on the loop thread, or in its place by a shutdown that drains, outside all locks. It must not block and must
    /// not run user code; dropping the job or the last reference to something of the user's runs user code.
    fn fire(self: Arc<Self>, job: Option<Job>, due: Nanos);

    /// The label of the queue behind the sink, for reporting a job that will never be delivered.
    fn label(&self) -> &str;
}

/// A timer that waits, or has waited.
pub(crate) struct Armed {
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) job: Option<Job>,
}

impl fmt::Debug for Armed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Armed").field("job", &self.job).finish_non_exhaustive()
    }
}

/// Names an armed timer. It names nothing once the timer has fired or was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerKey {
    clock: Clock,
    key: timers::Key,
}

const WAKER: Token = Token(0);
const FIRST_CLOCK: usize = 1;
const CLOCKS: [Clock; 3] = [Clock::Monotonic, Clock::Boottime, Clock::Wall];
const FIRST_DESCRIPTOR: usize = FIRST_CLOCK + CLOCKS.len();

/// A thread that waits on the kernel, and the timers and descriptors it serves. See the module's description.
pub(crate) struct EventLoop {
    timers: [Timers; CLOCKS.len()],
    steps: ClockSteps,
    descriptors: Arc<Descriptors>,
    /// What the kernel tells of files, as long as a source marks any.
    #[cfg(feature = "fs")]
    notices: Mutex<Option<Weak<Notices>>>,
    state: State,
    bed: Bed,
    /// `None` if it is a thread of a simulation.
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Where the loop thread sleeps.
enum Bed {
    /// In the kernel's poll, until a descriptor or the waker is ready. It is stopped by whoever takes the waker out.
    Poll(Mutex<Option<Waker>>),
    /// In virtual time.
    #[cfg(feature = "sim")]
    Simulation(Arc<Sleeper>),
}

impl EventLoop {
    /// Starts a loop on a thread called `name`, which must not contain a NUL byte.
    ///
    /// It runs until [`stop`](Self::stop), whatever becomes of the handle.
    ///
    /// # Errors
    ///
    /// If the process has no file descriptor or no thread left, or the kernel has no timerfd.
    pub(crate) fn start(name: &str) -> Result<Arc<Self>, EventLoopError> {
        let poll = Poll::new().map_err(unavailable)?;
        let waker = Waker::new(poll.registry(), WAKER).map_err(unavailable)?;
        let timers =
            |place: usize| Timers::new(CLOCKS[place], poll.registry(), Token(FIRST_CLOCK + place)).map_err(unavailable);
        let registry = poll.registry().try_clone().map_err(unavailable)?;
        let event_loop = Arc::new(Self {
            timers: [timers(0)?, timers(1)?, timers(2)?],
            steps: ClockSteps::new(),
            descriptors: Descriptors::new(Some(registry), FIRST_DESCRIPTOR),
            #[cfg(feature = "fs")]
            notices: Mutex::new(None),
            state: State::new(),
            bed: Bed::Poll(Mutex::new(Some(waker))),
            thread: Mutex::new(None),
        });
        let of_thread = Arc::clone(&event_loop);
        let thread = ThreadBuilder::new()
            .name(name.to_owned())
            .spawn(move || of_thread.run(poll))
            .map_err(|error| EventLoopError::NoThread { errno: errno(&error) })?;
        *event_loop.thread.lock() = Some(thread);
        Ok(event_loop)
    }

    /// A loop in virtual time. A thread of the simulation has to [live](Self::live) for it.
    #[cfg(feature = "sim")]
    pub(crate) fn in_virtual_time() -> Arc<Self> {
        let sleeper = Arc::new(Sleeper::new());
        let timers = CLOCKS.map(|clock| Timers::in_virtual_time(clock, Arc::clone(&sleeper)));
        Arc::new(Self {
            timers,
            steps: ClockSteps::new(),
            descriptors: Descriptors::new(None, FIRST_DESCRIPTOR),
            #[cfg(feature = "fs")]
            notices: Mutex::new(None),
            state: State::new(),
            bed: Bed::Simulation(sleeper),
            thread: Mutex::new(None),
        })
    }

    /// Arms a timer: `sink` is told, with `job`, once the clock has reached `due`.
    ///
    /// It may be told up to `leeway` later if that saves a wake-up, and only then. A timer that is already due fires
    /// at once, from the loop thread. [`Nanos::FOREVER`] never fires. Timers of one clock fire in the order of their
    /// deadlines, those of one deadline in the order in which they were armed.
    ///
    /// # Errors
    ///
    /// After [`stop`](Self::stop), and in a forked child, the timer comes back.
    #[inline]
    pub(crate) fn arm(
        &self,
        clock: Clock,
        due: Nanos,
        leeway: Duration,
        sink: Arc<dyn Sink>,
        job: Option<Job>,
    ) -> Result<TimerKey, Armed> {
        if is_child() {
            // The child shares the parent's timerfds: what it sets would ring there.
            return Err(Armed { sink, job });
        }
        self.timers(clock).arm(due, leeway, Armed { sink, job }).map(|key| TimerKey { clock, key })
    }

    /// Takes a timer back, for the caller to drop; `None` if it has fired, is about to, or was cancelled.
    #[inline]
    pub(crate) fn cancel(&self, key: TimerKey) -> Option<Armed> {
        self.timers(key.clock).cancel(key.key)
    }

    /// Tells `watcher`, of the source with this label, whenever somebody sets the wall clock. `None` if the loop has ended.
    ///
    /// # Errors
    ///
    /// In a forked child, and in virtual time.
    pub(crate) fn watch_steps(
        &self,
        watcher: Arc<dyn StepWatcher>,
        label: Arc<str>,
    ) -> Result<Option<StepKey>, ClockError> {
        if is_child() {
            // As in `arm`.
            return Err(ClockError::Forked { label });
        }
        match &self.bed {
            Bed::Poll(_) => {
                // First: what is set in between is told by the kernel and not seen as a step.
                self.timers(Clock::Wall).ring_when_set();
                Ok(self.steps.watch(watcher))
            }
            #[cfg(feature = "sim")]
            Bed::Simulation(_) => Err(ClockError::Unsupported { label }),
        }
    }

    /// Takes a watcher back, for the caller to drop; `None` if it is not there any more.
    pub(crate) fn unwatch_steps(&self, key: StepKey) -> Option<Arc<dyn StepWatcher>> {
        self.steps.unwatch(key)
    }

    /// Waits until `fd` is ready for `interest`, and tells `watcher` so, once; [`Watch::rearm`] waits again. `None` if the
    /// loop has ended.
    ///
    /// A descriptor that is ready already is told of at once, from the loop thread. The descriptor has to stay open as
    /// long as the watch exists. The watch does not keep the watcher alive, so a watcher may have its own watch.
    ///
    /// # Errors
    ///
    /// In a forked child, in virtual time, and if the kernel refuses the descriptor.
    pub(crate) fn watch<W: Watcher>(
        &self,
        fd: BorrowedFd<'_>,
        interest: Interest,
        watcher: &Arc<W>,
    ) -> Result<Option<Watch>, WatchError> {
        match &self.bed {
            Bed::Poll(_) => Descriptors::watch(&self.descriptors, fd, interest, watcher),
            #[cfg(feature = "sim")]
            Bed::Simulation(_) => Err(WatchError::Unsupported { label: watcher.label().into() }),
        }
    }

    /// Whether this is a loop in virtual time, which the kernel tells nothing.
    #[cfg(feature = "fs")]
    pub(crate) fn is_simulated(&self) -> bool {
        !matches!(self.bed, Bed::Poll(_))
    }

    /// What the kernel tells of files: one for all sources of the runtime, as long as any of them needs it. `None` if the
    /// loop has ended.
    ///
    /// # Errors
    ///
    /// As [`watch`](Self::watch), and if the user has no inotify instance left.
    #[cfg(feature = "fs")]
    pub(crate) fn notices(&self) -> Result<Option<Arc<Notices>>, Refusal> {
        let mut notices = self.notices.lock();
        if let Some(open) = notices.as_ref().and_then(Weak::upgrade) {
            return Ok(Some(open));
        }
        let opened = Notices::open(self)?;
        *notices = opened.as_ref().map(Arc::downgrade);
        Ok(opened)
    }

    /// Ends the thread and gives back what was armed, ordered by deadline clock by clock; dropping it is user code.
    ///
    /// When it returns no sink and no watcher is being told anything and none will be, unless one of them itself calls
    /// it: then the thread ends after what it has already taken. The loop has no descriptor any more, whoever still knows it.
    /// A second call returns at once, with nothing.
    pub(crate) fn stop(&self) -> Vec<Armed> {
        let armed = self.close_timers();
        drop(self.steps.close());
        self.descriptors.close();
        self.state.stop();
        match &self.bed {
            Bed::Poll(waker) => {
                let waker = waker.lock().take();
                // Whoever has the waker wakes the thread and waits for it.
                if let Some(waker) = waker {
                    // An eventfd takes a wake-up unless its count is at the limit, and then the thread is awake.
                    let _ = waker.wake();
                    let thread = self.thread.lock().take();
                    if let Some(thread) = thread.filter(|thread| thread.thread().id() != current_thread().id()) {
                        // The thread contains what its sinks do, so it has no panic of its own to report.
                        let _ = thread.join();
                    }
                }
            }
            #[cfg(feature = "sim")]
            Bed::Simulation(sleeper) => sleeper.see_off(),
        }
        armed
    }

    /// Accepts no more timers, and gives back those that wait.
    pub(crate) fn close_timers(&self) -> Vec<Armed> {
        self.timers.iter().flat_map(Timers::close).collect()
    }

    /// True once it has been [stopped](Self::stop): it refuses everything.
    #[inline]
    pub(crate) fn has_ended(&self) -> bool {
        self.state.is_stopping()
    }

    /// How often the loop thread has been woken.
    pub(crate) fn wakeups(&self) -> u64 {
        self.state.wakeups()
    }

    /// How many wake-ups leeway has saved: distinct deadlines that were served by a later one's wake-up.
    pub(crate) fn wakeups_saved(&self) -> u64 {
        self.timers.iter().map(Timers::wakeups_saved).sum()
    }

    fn timers(&self, clock: Clock) -> &Timers {
        match clock {
            Clock::Monotonic => &self.timers[0],
            Clock::Boottime => &self.timers[1],
            Clock::Wall => &self.timers[2],
        }
    }

    /// The thread of a loop in virtual time.
    #[cfg(feature = "sim")]
    pub(crate) fn live(&self) {
        let Bed::Simulation(sleeper) = &self.bed else { return };
        sleeper.begin();
        let mut batch = Vec::new();
        while !self.state.is_stopping() {
            let pause = self.timers.iter().filter_map(Timers::pause).min();
            if pause == Some(Duration::ZERO) {
                self.state.wake_up();
                let due = self.timers.iter().filter(|timers| timers.pause() == Some(Duration::ZERO));
                due.for_each(|timers| timers.deliver(&mut batch));
            } else {
                sleeper.sleep(pause);
            }
        }
        self.timers.iter().for_each(Timers::refuse);
        sleeper.end();
    }

    /// The thread of a loop on the kernel.
    fn run(&self, mut poll: Poll) {
        let mut events = Events::with_capacity(64);
        let (mut due, mut ready) = (Vec::new(), Vec::new());
        while !self.state.is_stopping() {
            match poll.poll(&mut events, None) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Somebody closed a descriptor that is not theirs: nothing can be waited for any more.
                Err(_) => break,
            }
            self.state.wake_up();
            for event in &events {
                match event.token() {
                    // It has woken the thread, to look whether it shall end.
                    WAKER => {}
                    Token(place @ FIRST_CLOCK..FIRST_DESCRIPTOR) => {
                        let timers = &self.timers[place - FIRST_CLOCK];
                        if timers.clock() == Clock::Wall {
                            self.steps.look();
                        }
                        timers.deliver(&mut due);
                    }
                    Token(_) => self.descriptors.deliver(event, &mut ready),
                }
            }
        }
        // Whatever ended the loop: from here on nobody waits for what cannot come.
        self.timers.iter().for_each(Timers::refuse);
        self.descriptors.close();
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop").field("wakeups", &self.wakeups()).finish_non_exhaustive()
    }
}

fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or_default()
}

fn unavailable(error: io::Error) -> EventLoopError {
    let errno = errno(&error);
    if [Errno::MFILE, Errno::NFILE].iter().any(|none_left| none_left.raw_os_error() == errno) {
        EventLoopError::NoDescriptor { errno }
    } else {
        EventLoopError::Unavailable { errno }
    }
}
