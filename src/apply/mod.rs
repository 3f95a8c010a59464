//! A loop whose turns run side by side.
//!
//! The caller takes part, and calls other threads to help: a few by itself, and each of them a few more, as ordinary jobs
//! of the queue, so that its width and its barriers hold. Everybody claims indices from one counter. The caller ends its
//! part when there is none left, and takes the loop back: it waits for those who are inside, and not for helpers that
//! have not started. So a busy pool costs nothing but its help. A helper that comes too late finds the loop gone.
//!
//! A helper is a place in line, not a closure of the user's: cancelling a queue leaves it there, and nobody is told of it.

mod state;

use crate::collections::Borrowed;
use crate::collections::lend;
use crate::engine::Phase;
use crate::job;
use crate::job::Job;
use crate::job::Panic;
use crate::queue::Accept;
use crate::queue::GlobalQueue;
use crate::queue::Queue;
use crate::sync::Mutex;
use crate::sync::now;
use state::Helpers;
use state::Indices;
use std::time::Duration;

/// How many helpers each participant calls: with two, all are there after a few wake-ups.
const CALLS: usize = 2;

/// A claim is made larger until its indices take about so long: long enough that claiming costs nothing beside it, short
/// enough that nobody waits for the last one.
const GRAIN: Duration = Duration::from_micros(10);

/// The most indices to claim at a time, however short they are: those that come may take longer.
const MOST: usize = 4_096;

/// One loop, on its caller's stack.
struct Spread<'a, F> {
    queue: &'a dyn Accept,
    f: &'a F,
    indices: Indices,
    helpers: Helpers,
    first_panic: Mutex<Option<Panic>>,
}

impl<'a, F: Fn(usize) + Sync> Spread<'a, F> {
    fn new(queue: &'a dyn Accept, n: usize, f: &'a F) -> Self {
        let engine = queue.engine();
        // After shutdown nobody comes.
        let threads = if engine.phase() == Phase::Open { engine.executor().threads() } else { 1 };
        let participants = threads.min(n).max(1);
        Self {
            queue,
            f,
            indices: Indices::below(n, participants),
            helpers: Helpers::new(participants - 1),
            first_panic: Mutex::new(None),
        }
    }

    fn run(self) {
        lend(&|borrowed| self.take_part(borrowed), |borrowed| self.take_part(borrowed));
        let panic = self.first_panic.lock().take();
        if let Some(panic) = panic {
            panic.resume();
        }
    }

    fn take_part(&self, borrowed: &Borrowed) {
        let calls = if self.indices.are_left() { self.helpers.take(CALLS) } else { 0 };
        for _ in 0..calls {
            let borrowed = borrowed.clone();
            self.queue.accept(Job::token(move || borrowed.call()));
        }
        if let Err(panic) = job::contain(|| self.work()) {
            self.indices.stop();
            let later = {
                let mut first = self.first_panic.lock();
                if first.is_none() { first.replace(panic) } else { Some(panic) }
            };
            if let Some(later) = later {
                later.bury();
            }
        }
    }

    fn work(&self) {
        let mut chunk = 1;
        let mut begun = now();
        while let Some(claimed) = self.indices.claim(chunk) {
            claimed.for_each(self.f);
            let ended = now();
            let took = ended.saturating_duration_since(begun);
            if took < GRAIN {
                chunk = (2 * chunk).min(MOST);
            } else if took > 4 * GRAIN {
                chunk = (chunk / 2).max(1);
            }
            begun = ended;
        }
    }
}

impl Queue {
    /// Calls `f` with every number below `n`, on the calling thread and on threads of the queue, and returns when all calls
    /// have: a parallel loop.
    ///
    /// `f` may borrow from the caller's stack. On a serial queue the calls come one at a time, in order, on the calling
    /// thread. On a concurrent queue they overlap and come in any order, beside the queue's other jobs, within its width,
    /// and behind its barriers; the calling thread takes part as a sync call does, and does all the work itself if no
    /// other thread comes free. A call must not wait for one with a higher number: that may not have been given to
    /// anybody. Long calls are spread one by one, short ones are given out many at a time. Loops may be nested, also from
    /// jobs of the same concurrent queue. Nothing is merged or lost: each number is passed once. After shutdown the
    /// calling thread does it alone. This is libdispatch's `dispatch_apply`.
    ///
    /// # Panics
    ///
    /// If a call panics: no further calls begin, and once those that have begun are over the first panic goes on in the
    /// caller. As for [`exec_sync`](Self::exec_sync), if the thread already runs a job of this queue and the queue is
    /// serial, or the job a barrier.
    ///
    /// ```
    /// use concourse::Queue;
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    ///
    /// let words = ["grand", "central", "dispatch"];
    /// let letters = AtomicUsize::new(0);
    /// Queue::concurrent("count").apply(words.len(), |i| {
    ///     letters.fetch_add(words[i].len(), Ordering::Relaxed);
    /// });
    /// assert_eq!(letters.into_inner(), 20);
    /// ```
    #[track_caller]
    pub fn apply<F: Fn(usize) + Sync>(&self, n: usize, f: F) {
        if n == 0 {
            return;
        }
        self.exec_sync(|| if self.is_concurrent() { Spread::new(self, n, &f).run() } else { (0..n).for_each(&f) });
    }
}

impl GlobalQueue {
    /// Calls `f` with every number below `n`, on the calling thread and on the runtime's threads, and returns when all
    /// calls have: a parallel loop. As [`Queue::apply`] on a concurrent queue, with nothing to wait for.
    ///
    /// # Panics
    ///
    /// If a call panics: no further calls begin, and once those that have begun are over the first panic goes on in the
    /// caller.
    ///
    /// ```
    /// use concourse::{GlobalQueue, Qos};
    /// use std::sync::Mutex;
    ///
    /// let mut squares = vec![0; 100];
    /// let cells: Vec<_> = squares.iter_mut().map(Mutex::new).collect();
    /// GlobalQueue::get(Qos::UserInitiated).apply(100, |i| **cells[i].lock().unwrap() = i * i);
    /// drop(cells);
    /// assert_eq!(squares[99], 9_801);
    /// ```
    pub fn apply<F: Fn(usize) + Sync>(&self, n: usize, f: F) {
        if n > 0 {
            Spread::new(self, n, &f).run();
        }
    }
}
