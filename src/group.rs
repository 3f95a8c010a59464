//! Groups: a count of members, and those who wait for it to reach zero.
//!
//! # The word
//!
//! ```text
//! 63              32 31             1   0
//! [ guards : 32     ][ raw : 31     ][ W ]
//! ```
//!
//! `guards` counts [`Membership`]s, `raw` the plain enters. They are kept apart so that a plain leave too many is told
//! from a balanced one even while guards are out, and a guard can never miss its place. W, for *waited*, says that
//! somebody is registered for the next time the group is empty. It is set and cleared under the lock only, never
//! without members: the legal words are 0, members, and members with W.
//!
//! # Protocol and races
//!
//! An enter adds. A leave exchanges the word for one less, except for the last member of a group with W, which takes the
//! lock first, exchanges the word for 0, and takes everything that is registered with it. A registration locks, and
//! either finds the word 0, so that there is nothing to wait for, or exchanges it for one with W and puts itself into the
//! line.
//!
//! - **The last member leaves while somebody registers.** One of two exchanges of the same word comes first. If it is
//!   the registration's, the leave fails, sees W, and goes through the lock, where the registration is complete. If it is
//!   the leave's, the registration finds 0.
//! - **The group is entered again while the last member waits for the lock.** It has not left yet: under the lock it
//!   looks again, and leaves as one of several.
//! - **The group is entered, and registered for, right after it has become empty.** What was registered for the earlier
//!   emptiness was taken together with the change to 0, under the lock. The later registration is not among it.
//! - **A wait's timeout comes with the last leave.** The ticket is granted or abandoned, never both. W may then stand
//!   with nobody registered, and costs one turn through the lock.
//!
//! *Nothing registered is lost*: with anything registered, W is set, and only the exchange to 0 clears it, by a thread
//! that then takes all of it. *Nothing comes early*: what is taken was registered before the exchange to 0 that takes it.
//! *Data*: every leave is a Release read-modify-write, and whoever sees 0 has acquired from all of them.

use crate::error::GroupError;
use crate::error::WaitError;
use crate::job::Job;
use crate::queue::Accept;
use crate::queue::Dispatch;
use crate::sync::Arc;
use crate::sync::AtomicU64;
use crate::sync::Desk;
use crate::sync::Limit;
use crate::sync::Mutex;
use crate::sync::MutexGuard;
use crate::sync::Ordering;
use crate::sync::Reason;
use crate::sync::Ticket;
use crate::sync::Tickets;
use crate::sync::Waiting;
use crate::sync::deadline_after;
use crate::sync::wait_at;
use crate::sync::yield_point;
use std::fmt;
use std::time::Duration;

const WAITED: u64 = 1;
const RAW: u64 = 1 << 1;
const GUARD: u64 = 1 << 32;
/// The top bit of each count. A group is full long before a count could run into its neighbour.
const FULL: u64 = 1 << 31 | 1 << 63;

/// All bits of the count that `unit` belongs to.
const fn field(unit: u64) -> u64 {
    if unit == GUARD { !(GUARD - 1) } else { (GUARD - 1) & !WAITED }
}

const _: () = assert!(field(GUARD) | field(RAW) | WAITED == u64::MAX);
const _: () = assert!(FULL & field(GUARD) != 0 && FULL & field(RAW) != 0);

/// Those who wait for the group to become empty.
#[derive(Default)]
struct Registered {
    line: Tickets,
    notifications: Vec<Notification>,
}

/// A job that waits for the moment at which it is submitted.
pub(crate) struct Notification {
    queue: Box<dyn Accept>,
    job: Job,
}

impl Notification {
    pub(crate) fn new<F: FnOnce() + Send + 'static>(queue: &impl Dispatch, f: F) -> Self {
        Self { job: Job::registered::<F, _>(queue.engine().promise(), f), queue: Box::new(queue.clone()) }
    }

    pub(crate) fn submit(self) {
        self.queue.accept(self.job);
    }
}

impl Registered {
    /// Tells everybody that the group was empty. To be called without its lock.
    fn release(self) {
        self.line.grant_all();
        self.notifications.into_iter().for_each(Notification::submit);
    }
}

struct State {
    word: AtomicU64,
    registered: Mutex<Registered>,
}

impl State {
    #[inline]
    fn enter(&self, unit: u64) {
        // Relaxed: a member that has done nothing yet has nothing to publish.
        let before = self.word.fetch_add(unit, Ordering::Relaxed);
        if before & FULL != 0 {
            self.word.fetch_sub(unit, Ordering::Relaxed);
            panic!("a group has room for 2^30 plain enters and 2^31 memberships");
        }
        yield_point();
    }

    #[inline]
    fn leave(&self, unit: u64) -> Result<(), GroupError> {
        yield_point();
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            if word & field(unit) == 0 {
                return Err(GroupError::UnbalancedLeave);
            }
            if word == unit | WAITED {
                return self.leave_waited(unit);
            }
            // Release: what the member did is seen by whoever sees the group empty.
            match self.word.compare_exchange_weak(word, word - unit, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => word = now,
            }
        }
    }

    /// Leaves as the last member that others wait for, unless somebody has entered again.
    #[cold]
    fn leave_waited(&self, unit: u64) -> Result<(), GroupError> {
        yield_point();
        let released = {
            let mut registered = self.registered.lock();
            let left = |word: u64| {
                if word == unit | WAITED { Some(0) } else { (word & field(unit) != 0).then(|| word - unit) }
            };
            // Acquire as well: the last member hands on what all members did. On failure nothing is handed on.
            match self.word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, left) {
                Ok(before) if before == unit | WAITED => {
                    #[cfg(concourse_planted = "group_takes_the_line_later")]
                    {
                        drop(registered);
                        registered = self.registered.lock();
                    }
                    std::mem::take(&mut *registered)
                }
                Ok(_) => return Ok(()),
                Err(_) => return Err(GroupError::UnbalancedLeave),
            }
        };
        released.release();
        Ok(())
    }

    /// A place among those who wait for the next time the group is empty; none if it is empty now.
    fn register(&self) -> Option<MutexGuard<'_, Registered>> {
        yield_point();
        let registered = self.registered.lock();
        let waited =
            |word: u64| (word != 0 || cfg!(concourse_planted = "group_registers_blindly")).then_some(word | WAITED);
        // Acquire: pairs with the Release of every leave, for the caller that finds the group empty. W itself publishes
        // nothing: whoever sees it takes the lock.
        self.word.fetch_update(Ordering::Relaxed, Ordering::Acquire, waited).ok().map(|_| registered)
    }

    fn is_empty(&self) -> bool {
        // Acquire: as in `register`.
        self.word.load(Ordering::Acquire) == 0
    }

    /// False if the limit came first.
    fn wait(&self, limit: impl Limit) -> bool {
        self.is_empty() || wait_at(self, &Reason::Group, limit)
    }
}

impl Desk for State {
    fn ask(&self, ticket: &Arc<Ticket>) -> bool {
        self.register().map(|mut registered| registered.line.join(ticket)).is_none()
    }

    fn withdraw(&self, ticket: &Arc<Ticket>) -> bool {
        self.registered.lock().line.leave(ticket);
        false
    }
}

/// Counts what is under way, and tells when nothing is: libdispatch's group.
///
/// A group is entered and left. When its last member has left, everybody who waits goes on and everything registered
/// with [`notify`](Self::notify) is submitted; the group is empty then, and may be used again. A member may add members. A
/// handle is cheap to clone; all clones are the same group.
///
/// A group that is dropped while it has members goes on to count the [`Membership`]s, which keep it alive, and its
/// notifications are submitted when the last one leaves. An [`enter_raw`](Self::enter_raw) keeps nothing alive: when
/// the last handle and the last membership are gone nobody can leave any more, and what is registered is dropped.
///
/// A thread that waits on a worker of a [`Runtime`](crate::Runtime) does not keep a core from other work. A group
/// cannot see that a member waits for its own group: such a wait never ends.
///
/// # Examples
///
/// ```
/// use concourse::Group;
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use std::sync::Arc;
///
/// let group = Group::new();
/// let sum = Arc::new(AtomicU32::new(0));
/// for part in 1..=4 {
///     let (member, sum) = (group.enter(), Arc::clone(&sum));
///     std::thread::spawn(move || {
///         sum.fetch_add(part, Ordering::Relaxed);
///         drop(member);
///     });
/// }
/// group.wait();
/// assert_eq!(sum.load(Ordering::Relaxed), 10);
/// assert!(group.is_empty());
/// ```
#[derive(Clone)]
pub struct Group {
    state: Arc<State>,
}

impl Group {
    /// An empty group.
    pub fn new() -> Self {
        Self { state: Arc::new(State { word: AtomicU64::new(0), registered: Mutex::new(Registered::default()) }) }
    }

    /// Enters the group until the guard is dropped.
    ///
    /// # Panics
    ///
    /// If the group already has 2<sup>31</sup> memberships, or 2<sup>30</sup> plain enters.
    pub fn enter(&self) -> Membership {
        self.state.enter(GUARD);
        Membership { state: Arc::clone(&self.state) }
    }

    /// Enters the group until [`leave_raw`](Self::leave_raw) is called: libdispatch's `dispatch_group_enter`. Costs less
    /// than [`enter`](Self::enter), and whoever forgets to leave keeps everybody waiting.
    ///
    /// # Panics
    ///
    /// As [`enter`](Self::enter).
    #[inline]
    pub fn enter_raw(&self) {
        self.state.enter(RAW);
    }

    /// Leaves the group, once for each [`enter_raw`](Self::enter_raw): libdispatch's `dispatch_group_leave`.
    ///
    /// # Errors
    ///
    /// [`GroupError::UnbalancedLeave`] if every plain enter has been left; the group is as before. A plain leave never
    /// takes the place of a [`Membership`].
    #[inline]
    pub fn leave_raw(&self) -> Result<(), GroupError> {
        self.state.leave(RAW)
    }

    /// Submits `f` to `queue` as a member of the group: libdispatch's `dispatch_group_async`.
    ///
    /// The group is entered now and left when `f` has run, has panicked, or has been dropped without having run; what `f`
    /// captured is gone by then. Nothing is merged or lost beyond what [`Dispatch::exec_async`] says of `queue`.
    ///
    /// # Panics
    ///
    /// As [`enter`](Self::enter).
    pub fn exec_async<F: FnOnce() + Send + 'static>(&self, queue: &impl Dispatch, f: F) {
        let work = Work { f, membership: self.enter() };
        queue.accept(Job::wrapping::<F, _>(move || work.run()));
    }

    /// Waits until the group is empty. Returns at once if it is.
    ///
    /// Waits that began before the group was empty go on even if it is entered again at that very moment.
    pub fn wait(&self) {
        // Without a deadline there is no way out but an empty group.
        let _ = self.state.wait(None);
    }

    /// Waits until the group is empty, for at most `timeout`. A timeout too long for the clock is none.
    ///
    /// # Errors
    ///
    /// [`WaitError::TimedOut`]. The group goes on as if nobody had waited, and may be waited for again.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), WaitError> {
        let emptied = self.is_empty() || (!timeout.is_zero() && self.state.wait(deadline_after(timeout)));
        if emptied { Ok(()) } else { Err(WaitError::TimedOut { after: timeout }) }
    }

    /// Waits until the group is empty; false if the limit came first.
    pub(crate) fn wait_within(&self, limit: impl Limit) -> bool {
        self.state.wait(limit)
    }

    /// Waits until the group is empty, as a future of any executor. As [`wait`](Self::wait), from the first poll on.
    ///
    /// ```
    /// use concourse::{Group, Queue};
    ///
    /// let group = Group::new();
    /// group.exec_async(&Queue::serial("letters"), || println!("sent"));
    /// concourse::block_on(group.wait_async());
    /// assert!(group.is_empty());
    /// ```
    pub fn wait_async(&self) -> impl Future<Output = ()> + Send + Unpin + use<> {
        Waiting::new(Arc::clone(&self.state))
    }

    /// Submits `f` to `queue` once, as soon as the group is empty: libdispatch's `dispatch_group_notify`.
    ///
    /// If the group is empty, that is now. Otherwise any number may be registered, and when the group becomes empty all of
    /// them are submitted in the order of their registration.
    /// Nothing is merged or lost beyond what [`Dispatch::exec_async`] says of `queue`, unless the group is dropped
    /// with plain enters outstanding (see [`Group`]).
    pub fn notify(&self, queue: &impl Dispatch, f: impl FnOnce() + Send + 'static) {
        let notification = Notification::new(queue, f);
        match self.state.register() {
            Some(mut registered) => registered.notifications.push(notification),
            None => notification.submit(),
        }
    }

    /// The number of members at this moment. Others may enter and leave before the caller has read it.
    pub fn count(&self) -> usize {
        // Relaxed: a number to look at.
        let word = self.state.word.load(Ordering::Relaxed);
        let [guards, raw] = [(word & field(GUARD)) / GUARD, (word & field(RAW)) / RAW];
        usize::try_from(guards + raw).unwrap_or(usize::MAX)
    }

    /// True if the group has no members at this moment. What former members did is visible then.
    pub fn is_empty(&self) -> bool {
        self.state.is_empty()
    }
}

impl Default for Group {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("count", &self.count()).finish_non_exhaustive()
    }
}

/// A place in a [`Group`], left when it is dropped, also by a panic.
///
/// It may be dropped on any thread.
#[must_use = "a dropped membership leaves the group at once"]
pub struct Membership {
    state: Arc<State>,
}

impl Drop for Membership {
    fn drop(&mut self) {
        // Guards are balanced by construction.
        let _ = self.state.leave(GUARD);
    }
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Membership")
    }
}

/// A closure with its membership, which is dropped last.
struct Work<F> {
    f: F,
    membership: Membership,
}

impl<F: FnOnce()> Work<F> {
    fn run(self) {
        // A panic in `f` drops the membership as well, after what `f` captured.
        let Self { f, membership } = self;
        f();
        drop(membership);
    }
}

#[cfg(all(test, any(concourse_loom, concourse_shuttle)))]
impl Group {
    /// How many are registered.
    pub(crate) fn registered(&self) -> usize {
        let registered = self.state.registered.lock();
        registered.line.len() + registered.notifications.len()
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests;
