//! One clock's timers: a wheel, the alarm, and the timerfd that rings it.

use super::Armed;
use crate::collections::Expired;
pub(super) use crate::collections::Key;
use crate::collections::Wakeup;
use crate::collections::Wheel;
use crate::job::contain;
use crate::sync::AtomicU64;
use crate::sync::Mutex;
use crate::sync::Ordering;
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
const TURN: usize = 1024;

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
    fd: OwnedFd,
    state: Mutex<State>,
    wakeups_saved: AtomicU64,
}

struct State {
    wheel: Wheel<Armed>,
    /// What the timerfd is set to, or will be before the loop thread sleeps.
    ///
    /// Everybody in the wheel who is due before `alarm.at` may wait until `alarm.limit`.
    alarm: Wakeup,
    closed: bool,
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
        let state = Mutex::new(State { wheel: Wheel::new(), alarm: OFF, closed: false });
        Ok(Self { clock, fd, state, wakeups_saved: AtomicU64::new(0) })
    }

    pub(super) fn arm(&self, due: Nanos, leeway: Duration, armed: Armed) -> Result<Key, Armed> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(armed);
        }
        let Nanos(due) = due;
        let late = due.saturating_add(length(leeway));
        let State { wheel, alarm, .. } = &mut *state;
        let too_late = late < alarm.at || (*alarm == OFF && due != OFF.at);
        // Whoever the alarm is for can wait for this one.
        let company = due <= alarm.limit && due.saturating_sub(alarm.at) > CLOSE;
        if !(too_late || company) {
            alarm.limit = alarm.limit.min(late);
            return Ok(wheel.arm(due, length(leeway), armed));
        }
        wheel.advance(now(self.clock).0);
        let key = wheel.arm(due, length(leeway), armed);
        self.set_alarm(&mut state);
        Ok(key)
    }

    pub(super) fn cancel(&self, key: Key) -> Option<Armed> {
        self.state.lock().wheel.cancel(key)
    }

    /// Fires what is due and sets the alarm. Only the loop thread calls it.
    pub(super) fn deliver(&self, batch: &mut Vec<Expired<Armed>>) {
        let mut state = self.state.lock();
        let alarm = std::mem::replace(&mut state.alarm, AWAKE);
        let mut waited = None;
        let mut delivered = 0;
        while delivered < TURN {
            state.wheel.expire(now(self.clock).0, batch);
            if batch.is_empty() {
                break;
            }
            drop(state);
            delivered += batch.len();
            for Expired { due, late, payload: Armed { sink, job } } in batch.drain(..) {
                let was_postponed = due < alarm.at && alarm.at <= late;
                if was_postponed && waited.replace(due) != Some(due) {
                    // Relaxed: a statistic.
                    self.wakeups_saved.fetch_add(1, Ordering::Relaxed);
                }
                if let Err(panic) = contain(|| sink.fire(job, Nanos(due))) {
                    panic.bury();
                }
            }
            batch.shrink_to(KEPT);
            state = self.state.lock();
        }
        // What is left after a long turn rings at once.
        self.set_alarm(&mut state);
    }

    /// Accepts no more timers.
    pub(super) fn refuse(&self) {
        self.state.lock().closed = true;
    }

    /// Accepts no more timers and takes out those that wait.
    pub(super) fn close(&self) -> Vec<Armed> {
        let mut state = self.state.lock();
        state.closed = true;
        let waiting = state.wheel.drain();
        drop(state);
        waiting.into_iter().map(|expired| expired.payload).collect()
    }

    pub(super) fn wakeups_saved(&self) -> u64 {
        // Relaxed: a statistic.
        self.wakeups_saved.load(Ordering::Relaxed)
    }

    /// Sets the alarm to the wheel's next wake-up. The lock is held across the system call: two alarms must reach the
    /// kernel in the order in which they were decided.
    fn set_alarm(&self, state: &mut State) {
        let before = std::mem::replace(&mut state.alarm, state.wheel.next_wakeup().unwrap_or(OFF));
        let alarm = state.alarm;
        // With nothing to wait for, what the kernel still has may ring once, for nobody. An alarm that has not changed
        // is set, or rings already; that of a loop that was awake has rung.
        if alarm == OFF || (alarm.at == before.at && before != AWAKE) {
            return;
        }
        let mut flags = TimerfdTimerFlags::ABSTIME;
        if self.clock == Clock::Wall {
            flags |= TimerfdTimerFlags::CANCEL_ON_SET;
        }
        // Zero would switch the timerfd off.
        let it_value = Nanos(alarm.at.max(1)).to_timespec();
        let it_interval = Nanos::ZERO.to_timespec();
        // The one error of a valid request says that the wall clock was set meanwhile. The timerfd is set all the same,
        // and the loop thread is woken for the clock.
        let _ = timerfd_settime(&self.fd, flags, &Itimerspec { it_interval, it_value });
    }
}
