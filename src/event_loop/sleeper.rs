//! The thread of a loop in virtual time: it sleeps on its parker, and whoever sets an alarm or ends the loop wakes it.
//!
//! Nothing here yields: alarms are set under a clock's lock.

use crate::sync::Arc;
use crate::sync::Mutex;
use crate::sync::Parker;
use crate::sync::Reason;
use crate::sync::now;
use crate::sync::park;
use crate::sync::park_while;
use crate::sync::parker;
use std::time::Duration;

/// How far the thread has come.
enum Life {
    /// It looks at the alarms before it sleeps for the first time: nobody need wake it.
    Unborn,
    Living(Arc<Parker>),
    Ended,
}

pub(super) struct Sleeper {
    life: Mutex<Life>,
    /// Those who wait for its end.
    mourners: Mutex<Vec<Arc<Parker>>>,
}

impl Sleeper {
    pub(super) fn new() -> Self {
        Self { life: Mutex::new(Life::Unborn), mourners: Mutex::new(Vec::new()) }
    }

    /// The calling thread is the loop's from here on.
    pub(super) fn begin(&self) {
        *self.life.lock() = Life::Living(parker());
    }

    /// The calling thread looks at no alarm any more.
    pub(super) fn end(&self) {
        *self.life.lock() = Life::Ended;
        let mourners = std::mem::take(&mut *self.mourners.lock());
        mourners.iter().for_each(|mourner| mourner.unpark());
    }

    /// Sleeps until it is woken, or until the time has passed. May also return early.
    pub(super) fn sleep(&self, time: Option<Duration>) {
        park(&parker(), time.and_then(|time| now().checked_add(time)));
    }

    /// Makes the thread look at the alarms, unless it is the calling one, which does that before it sleeps.
    pub(super) fn wake(&self) {
        if let Life::Living(own) = &*self.life.lock()
            && !Arc::ptr_eq(own, &parker())
        {
            own.unpark();
        }
    }

    /// Wakes the thread, which has been told to end, and waits until it has, unless it is the calling one.
    pub(super) fn see_off(&self) {
        let own = parker();
        if matches!(&*self.life.lock(), Life::Living(living) if Arc::ptr_eq(living, &own)) {
            return;
        }
        self.mourners.lock().push(Arc::clone(&own));
        self.wake();
        park_while(&own, &Reason::Completion, None, || !matches!(*self.life.lock(), Life::Ended));
    }
}
