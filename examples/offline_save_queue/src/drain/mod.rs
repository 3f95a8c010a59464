//! The drain: what takes saves out of the store and brings them to the server.
//!
//! ```text
//!  store, files, signals, timers ── merge a bit ──▶ wake (OR) ─┐
//!                                                              ├─▶ drain (serial) ── a save ──▶ lanes (concurrent, width N)
//!  lanes ── merge what came back ──────────▶ news (MERGING) ───┘                                  │ one request each
//!    ▲                                                                                            ▼
//!    └──────────────────────────────────────────────────────────────────────────────────────── server
//! ```
//!
//! All state belongs to the drain's queue, and nothing ever waits there: requests wait in the lanes, and time passes in an
//! alarm. However many lanes come back at once, one turn takes all their news and gives them their next saves. What became of
//! the old ones is written into the store while the new ones are on their way, at most a moment later and with one commit for
//! many. If the process dies before that, the server sees some of them twice, and knows them by their names.

mod desk;
#[cfg(test)]
mod tests;

use crate::client::Client;
use crate::failure::Context as _;
use crate::failure::Failure;
use crate::op::Op;
use crate::op::Seq;
use crate::plan::Plan;
use crate::plan::Policy;
use crate::report::Witness;
use crate::store::Store;
use crate::wake;
use crate::wire::Reply;
use crate::wire::Verdict;
use concourse::Deadline;
use concourse::Group;
use concourse::Queue;
use concourse::Runtime;
use concourse::Semaphore;
use concourse::Source;
use concourse::source::Handle;
use concourse::source::Merging;
use concourse::source::Or;
use desk::Desk;
use desk::Reach;
use parking_lot::Mutex;
use std::sync::Arc;

/// The way to a server.
pub(crate) trait Post: Send + Sync {
    /// Sends a save and waits for what comes back.
    fn send(&self, op: &Op) -> Reply;

    /// Whether the server is there.
    fn is_there(&self) -> bool;
}

impl Post for Client {
    fn send(&self, op: &Op) -> Reply {
        self.send(op)
    }

    fn is_there(&self) -> bool {
        self.is_there()
    }
}

/// What stands beside the store, for people to change while the drain runs.
pub(crate) trait Surroundings: Send {
    /// Whether somebody says that there is no network.
    fn is_offline(&self) -> bool;

    /// How to send. `None` if that has not changed since it was last asked, and is not asked for `anyway`.
    fn setup(&mut self, anyway: bool) -> Option<Result<Setup, String>>;
}

/// How to send.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) policy: Policy,
    pub(crate) post: Arc<dyn Post>,
}

/// How a drain has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) pending: usize,
    pub(crate) dead: i64,
    /// The store could not be used any more.
    pub(crate) failure: Option<Failure>,
}

/// What comes back from a lane.
enum News {
    /// Of a save that was sent by the setup of this number.
    Verdict(Seq, Verdict, u64),
    /// Whether the server is there.
    Probe(bool),
}

/// A drain that runs. Dropping it ends it where it is; [`end`](Self::end) sees it out.
pub(crate) struct Drain {
    queue: Queue,
    desk: Arc<Mutex<Desk>>,
    wake: Source<Or>,
    news: Source<Merging<Vec<News>>>,
    ended: Semaphore,
    handlers: Group,
}

impl Drain {
    /// Gets ready to send what is in `store`, as soon as it is woken. With `once` it ends when nothing can be done for the
    /// moment.
    pub(crate) fn start(
        runtime: &Runtime,
        store: Box<dyn Store>,
        mut surroundings: Box<dyn Surroundings>,
        witness: Arc<dyn Witness>,
        once: bool,
    ) -> Result<Self, Failure> {
        let Setup { policy, post } = match surroundings.setup(true) {
            Some(setup) => setup.map_err(Failure::Usage)?,
            None => return Err(Failure::Usage("there is no configuration".to_owned())),
        };
        let queue = runtime.serial("drain");
        let lanes = runtime.queue("lanes").concurrent().width(policy.lanes).build().context("no lanes")?;
        let (ended, handlers) = (Semaphore::new(0), Group::new());

        let (wake, news) = (Source::or(&queue).label("wake"), Source::merging(&queue).label("news"));
        let alarm = {
            let wake = wake.handle();
            let alarm = Source::timer(&queue).label("alarm").at(Deadline::FOREVER);
            let alarm = alarm.on_event(move |_| {
                wake.merge(wake::TIME);
            });
            alarm.activate().context("no timer")?
        };
        let plan = Plan::new(policy, fastrand::Rng::new());
        let desk =
            Desk::new(store, plan, post, witness, surroundings, Reach { lanes, alarm, news: news.handle() }, once);
        let desk = Arc::new(Mutex::new(desk));
        // Nobody ever waits for the lock, since both handlers run on one serial queue: it shows the compiler what the queue
        // promises.
        let (on_wake, on_news) = ((Arc::clone(&desk), ended.clone()), (Arc::clone(&desk), ended.clone()));
        let (wake_is_over, news_are_over) = (handlers.enter(), handlers.enter());
        Ok(Self {
            wake: wake
                .on_event(move |why| turn(&on_wake.0, &on_wake.1, why, Vec::new()))
                .on_cancel(move || drop(wake_is_over))
                .activate(),
            news: news
                .on_event(move |news| turn(&on_news.0, &on_news.1, 0, news))
                .on_cancel(move || drop(news_are_over))
                .activate(),
            queue,
            desk,
            ended,
            handlers,
        })
    }

    /// Where reasons to wake up go.
    pub(crate) fn wake(&self) -> &Handle<Or> {
        self.wake.handle()
    }

    /// Waits until the drain has ended: by [`wake::STOP`], by having nothing to do if it was to run once, or by a failure.
    pub(crate) fn wait(&self) {
        self.ended.wait();
    }

    /// Ends the drain and closes the store. A request that is on its way is left to itself.
    pub(crate) fn end(self) -> Ending {
        self.wake.cancel_now();
        self.news.cancel_now();
        self.handlers.wait();
        self.queue.exec_sync(|| self.desk.lock().close())
    }
}

fn turn(desk: &Mutex<Desk>, ended: &Semaphore, why: u64, news: Vec<News>) {
    let mut desk = desk.lock();
    if !desk.has_ended() && desk.turn(why, news) {
        ended.signal();
    }
}
