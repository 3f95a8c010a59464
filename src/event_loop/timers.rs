//! One clock's timers: a wheel, the alarm, and the timerfd that rings it.

use super::Armed;
#[cfg(feature = "sim")]
use super::sleeper::Sleeper;
use crate::collections::Expired;
pub(super) use crate::collections::Key;
use crate::collections::Wakeup;
use crate::collections::Wheel;
use crate::job::contain;
#[cfg(feature = "sim")]
use crate::sync::Arc;
use crate::sync::Mutex;
use crate::time::Clock;
use crate::time::Nanos;
use crate::time::length;
use crate::time::now;
use mio::Interest;
use mio::Registry;
use mio::Token;
use mio::unix::SourceFd;
use rustix::time::Itimerspec;
use rustix::time::TimerfdClockId;
use rustix::time::TimerfdFlags;
use rustix::time::TimerfdTimerFlags;
use rustix::time::timerfd_create;
use rustix::time::timerfd_settime;
use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// After how many timers the loop looks at its other descriptors again.
pub(super) const TURN: usize = 1024;

/// How much memory for a batch the loop keeps, in timers.
const KEPT: usize = 1024;

/// Two wake-ups closer than this are not worth a system call to make them one: the first is as late as that anyway.
const CLOSE: u64 = crate::collections::GRAIN;

/// The loop thread is awake and looks at the wheel before it sleeps: earlier than every alarm.
const AWAKE: Wakeup = Wakeup { at: 0, limit: 0 };

/// Nothing will ring.
const OFF: Wakeup = Wakeup { at: u64::MAX, limit: u64::MAX };

pub(super) struct Timers {
    clock: Clock,
    schedule: Mutex<Schedule>,
}

/// What wakes the loop thread at the time of the alarm.
enum Ringer {
    Timerfd(OwnedFd),
    /// The thread itself, which is woken to look at an alarm that somebody else has set.
    #[cfg(feature = "sim")]
    Sleeper(Arc<Sleeper>),
}

struct Schedule {
    /// `None` once it is closed for good: the loop may be known for longer than it should have a descriptor.
    ringer: Option<Ringer>,
    wheel: Wheel<Armed>,
    /// What the timerfd is set to, or will be before the loop thread sleeps.
    ///
    /// Everybody in the wheel who is due before `alarm.at` may wait until `alarm.limit`.
    alarm: Wakeup,
    closed: bool,
    wakeups_saved: u64,
}

impl Timers {
    pub(super) fn new(clock: Clock, registry: &Registry, token: Token) -> io::Result<Self> {
        let id = match clock {
            Clock::Monotonic => TimerfdClockId::Monotonic,
            Clock::Boottime => TimerfdClockId::Boottime,
            Clock::Wall => TimerfdClockId::Realtime,
        };
        let fd = timerfd_create(id, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        registry.register(&mut SourceFd(&fd.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self::rung_by(Ringer::Timerfd(fd), clock))
    }

    #[cfg(feature = "sim")]
    pub(super) fn in_virtual_time(clock: Clock, sleeper: Arc<Sleeper>) -> Self {
        Self::rung_by(Ringer::Sleeper(sleeper), clock)
    }

    fn rung_by(ringer: Ringer, clock: Clock) -> Self {
        let (ringer, wheel) = (Some(ringer), Wheel::new());
        let schedule = Schedule { ringer, wheel, alarm: OFF, closed: false, wakeups_saved: 0 };
        Self { clock, schedule: Mutex::new(schedule) }
    }

    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    /// Has the kernel ring when the wall clock is set, also while no alarm is.
    pub(super) fn ring_when_set(&self) {
        let schedule = self.schedule.lock();
        // Any alarm before has seen to that, also one that has rung.
        if schedule.alarm == OFF
            && let Some(Ringer::Timerfd(fd)) = &schedule.ringer
        {
            self.set_timerfd(fd, OFF);
        }
    }

    #[inline]
    pub(super) fn arm(&self, due: Nanos, leeway: Duration, armed: Armed) -> Result<Key, Armed> {
        let mut schedule = self.schedule.lock();
        if schedule.closed {
            return Err(armed);
        }
        let Nanos(due) = due;
        let leeway = length(leeway);
        let late = due.saturating_add(leeway);
        let Schedule { wheel, alarm, .. } = &mut *schedule;
        let too_late = late < alarm.at || (*alarm == OFF && due != OFF.at);
        // Whoever the alarm is for can wait for this one.
        let company = due <= alarm.limit && due.saturating_sub(alarm.at) > CLOSE;
        // There is one call into the wheel, so that it is compiled into this function.
        let is_served = !(too_late || company);
        if is_served {
            alarm.limit = alarm.limit.min(late);
        } else {
            wheel.advance(now(self.clock).0);
        }
        let key = wheel.arm(due, leeway, armed);
        if !is_served {
            self.set_alarm(&mut schedule);
        }
        Ok(key)
    }

    #[inline]
    pub(super) fn cancel(&self, key: Key) -> Option<Armed> {
        self.schedule.lock().wheel.cancel(key)
    }

    /// Fires what is due and sets the alarm. Only the loop thread calls it.
    pub(super) fn deliver(&self, batch: &mut Vec<Expired<Armed>>) {
        let mut schedule = self.schedule.lock();
        let alarm = std::mem::replace(&mut schedule.alarm, AWAKE);
        let mut waited = None;
        let mut delivered = 0;
        while delivered < TURN {
            schedule.wheel.expire(now(self.clock).0, batch);
            if batch.is_empty() {
                break;
            }
            let was_postponed = |timer: &&Expired<_>| timer.due < alarm.at && alarm.at <= timer.late;
            let postponed = batch.iter().filter(was_postponed);
            let saved = postponed.filter(|timer| waited.replace(timer.due) != Some(timer.due)).count();
            schedule.wakeups_saved += saved as u64;
            drop(schedule);
            delivered += batch.len();
            for Expired { due, payload: Armed { sink, job }, .. } in batch.drain(..) {
                if let Err(panic) = contain(|| sink.fire(job, Nanos(due))) {
                    panic.bury();
                }
            }
            batch.shrink_to(KEPT);
            schedule = self.schedule.lock();
        }
        // What is left after a long turn rings at once.
        self.set_alarm(&mut schedule);
    }

    /// How long it is to the alarm; `None` if nothing will ring.
    #[cfg(feature = "sim")]
    pub(super) fn pause(&self) -> Option<Duration> {
        let alarm = self.schedule.lock().alarm;
        (alarm != OFF).then(|| Duration::from_nanos(alarm.at.saturating_sub(now(self.clock).0)))
    }

    /// Accepts no more timers.
    pub(super) fn refuse(&self) {
        self.schedule.lock().closed = true;
    }

    /// Accepts no more timers and takes out those that wait.
    pub(super) fn close(&self) -> Vec<Armed> {
        let mut schedule = self.schedule.lock();
        schedule.closed = true;
        let (waiting, _ringer) = (schedule.wheel.drain(), schedule.ringer.take());
        drop(schedule);
        waiting.into_iter().map(|expired| expired.payload).collect()
    }

    pub(super) fn wakeups_saved(&self) -> u64 {
        self.schedule.lock().wakeups_saved
    }

    /// Sets the alarm to the wheel's next wake-up. The lock is held across the system call: two alarms must reach the
    /// kernel in the order in which they were decided.
    fn set_alarm(&self, schedule: &mut Schedule) {
        let before = std::mem::replace(&mut schedule.alarm, schedule.wheel.next_wakeup().unwrap_or(OFF));
        let alarm = schedule.alarm;
        // With nothing to wait for, what the kernel still has may ring once, for nobody. An alarm that has not changed
        // is set, or rings already; that of a loop that was awake has rung.
        if alarm == OFF || (alarm.at == before.at && before != AWAKE) {
            return;
        }
        match &schedule.ringer {
            Some(Ringer::Timerfd(fd)) => self.set_timerfd(fd, alarm),
            #[cfg(feature = "sim")]
            Some(Ringer::Sleeper(sleeper)) => sleeper.wake(),
            None => {}
        }
    }

    fn set_timerfd(&self, fd: &OwnedFd, alarm: Wakeup) {
        let mut flags = TimerfdTimerFlags::ABSTIME;
        if self.clock == Clock::Wall {
            flags |= TimerfdTimerFlags::CANCEL_ON_SET;
        }
        // Zero would switch the timerfd off.
        let it_value = Nanos(alarm.at.max(1)).to_timespec();
        let it_interval = Nanos::ZERO.to_timespec();
        // The one error of a valid request says that the wall clock was set meanwhile. The timerfd is set all the same,
        // and the loop thread is woken for the clock.
        let _ = timerfd_settime(fd, flags, &Itimerspec { it_interval, it_value });
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
impl Timers {
    /// The descriptor that rings.
    pub(super) fn fd(&self) -> std::os::fd::RawFd {
        match &self.schedule.lock().ringer {
            Some(Ringer::Timerfd(fd)) => fd.as_raw_fd(),
            _ => panic!("nothing rings in virtual time, or any more"),
        }
    }
}
