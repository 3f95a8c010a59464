//! What a turn has put down and nobody has polled yet.

use crate::sync::Arc;
use crate::sync::Mutex;
use crate::sync::planted;
use std::collections::VecDeque;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

/// Where turns put values down, and a stream takes them.
pub(crate) struct Tray<V>(Mutex<Contents<V>>);

struct Contents<V> {
    /// One at a time; behind it, what was pending at the end.
    values: VecDeque<V>,
    /// The source has been asked for a value that is not here yet.
    asked: bool,
    /// Whom the next value is for.
    waker: Option<Waker>,
    /// Nothing more comes.
    ended: bool,
    /// Nobody polls any more.
    left: bool,
}

impl<V> Tray<V> {
    /// A tray that the first value has been asked for.
    pub(crate) fn new() -> Arc<Self> {
        let contents = Contents { values: VecDeque::new(), asked: true, waker: None, ended: false, left: false };
        Arc::new(Self(Mutex::new(contents)))
    }

    /// Puts a value down, or gives it back if nobody would poll it.
    pub(super) fn put(&self, value: V) -> Option<V> {
        let mut contents = self.0.lock();
        if contents.left {
            return Some(value);
        }
        contents.values.push_back(value);
        contents.asked = false;
        let waker = contents.waker.take();
        drop(contents);
        waker.into_iter().for_each(Waker::wake);
        None
    }

    /// Says that nothing more comes.
    pub(super) fn end(&self) {
        let mut contents = self.0.lock();
        contents.ended = true;
        let waker = contents.waker.take();
        drop(contents);
        waker.into_iter().for_each(Waker::wake);
    }

    /// True if nobody polls any more.
    pub(super) fn is_left(&self) -> bool {
        self.0.lock().left
    }

    /// Polls no more: what lies here is the caller's to drop.
    pub(super) fn leave(&self) -> VecDeque<V> {
        let mut contents = self.0.lock();
        contents.left = true;
        let (values, waker) = (std::mem::take(&mut contents.values), contents.waker.take());
        drop(contents);
        drop(waker);
        values
    }

    /// The next value, or the end. If there is neither yet, the future that is being polled will be woken, and `ask` is
    /// called if nobody has asked for the next value.
    pub(crate) fn poll(&self, context: &Context<'_>, ask: impl FnOnce()) -> Poll<Option<V>> {
        let there = self.take();
        if there.is_ready() {
            return there;
        }
        // Cloned and dropped outside of the lock, as it is an executor's code.
        let waker = context.waker().clone();
        let mut contents = self.0.lock();
        let has_come = !contents.values.is_empty() || contents.ended;
        if has_come && !planted!("stream_looks_only_before_it_leaves_its_waker") {
            // It has come meanwhile, and nobody asks past it.
            drop(contents);
            drop(waker);
            return self.take();
        }
        let (before, asked) = (contents.waker.replace(waker), std::mem::replace(&mut contents.asked, true));
        drop(contents);
        drop(before);
        if !asked {
            ask();
        }
        Poll::Pending
    }

    fn take(&self) -> Poll<Option<V>> {
        let mut contents = self.0.lock();
        match contents.values.pop_front() {
            Some(value) => Poll::Ready(Some(value)),
            None if contents.ended => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}
