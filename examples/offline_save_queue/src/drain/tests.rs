//! The drain against a store in memory and a server that does as it is told.

use super::*;
use crate::op::Change;
use crate::op::Draft;
use crate::report::Event;
use crate::report::Level;
use crate::store::Memory;
use crate::store::Rules;
use concourse::source::SuspendedSource;
use std::collections::HashMap;
use std::time::Duration;
use std::time::Instant;

const PATIENCE: Duration = Duration::from_secs(60);

/// A server that answers as it is told, and otherwise applies.
#[derive(Default)]
struct Script {
    /// The next answers for each key.
    answers: Mutex<HashMap<String, Vec<Reply>>>,
    applied: Mutex<Vec<Op>>,
    /// Keys whose requests wait until they are let go.
    gates: Mutex<HashMap<String, Semaphore>>,
    on_its_way: Mutex<Vec<String>>,
    most_at_a_time: Mutex<usize>,
    sends: Mutex<usize>,
    is_away: Mutex<bool>,
}

impl Post for Script {
    fn send(&self, op: &Op) -> Reply {
        {
            let mut on_its_way = self.on_its_way.lock();
            assert!(!on_its_way.contains(&op.key), "two saves of {:?} at a time", op.key);
            on_its_way.push(op.key.clone());
            *self.sends.lock() += 1;
            let mut most = self.most_at_a_time.lock();
            *most = on_its_way.len().max(*most);
        }
        let gate = self.gates.lock().get(&op.key).cloned();
        if let Some(gate) = gate {
            gate.wait();
        }
        let told = self.answers.lock().get_mut(&op.key).and_then(Vec::pop);
        let reply = match told {
            Some(reply) => reply,
            None if *self.is_away.lock() => Reply::Nothing("away".to_owned()),
            None => {
                self.applied.lock().push(op.clone());
                Reply::Answer { status: 200, retry_after_s: None, body: format!("{{\"idem\":\"{}\"}}", op.idem) }
            }
        };
        self.on_its_way.lock().retain(|key| *key != op.key);
        reply
    }

    fn is_there(&self) -> bool {
        !*self.is_away.lock()
    }
}

/// What lies around the store of a test.
#[derive(Clone)]
struct Bench {
    setup: Arc<Mutex<Result<Setup, String>>>,
    offline: Arc<Mutex<bool>>,
    changed: Arc<Mutex<bool>>,
}

impl Surroundings for Bench {
    fn is_offline(&self) -> bool {
        *self.offline.lock()
    }

    fn setup(&mut self, anyway: bool) -> Option<Result<Setup, String>> {
        let changed = std::mem::take(&mut *self.changed.lock());
        (changed || anyway).then(|| self.setup.lock().clone())
    }
}

/// Remembers everything.
#[derive(Default)]
struct Memoirs {
    events: Mutex<Vec<Event>>,
    level: Mutex<Level>,
}

impl Witness for Memoirs {
    fn see(&self, event: Event) {
        self.events.lock().push(event);
    }

    fn level(&self, level: Level) {
        *self.level.lock() = level;
    }
}

struct Scene {
    runtime: Runtime,
    store: Memory,
    script: Arc<Script>,
    bench: Bench,
    memoirs: Arc<Memoirs>,
}

impl Scene {
    fn new(policy: Policy) -> Self {
        let script = Arc::new(Script::default());
        let setup = Setup { policy, post: Arc::clone(&script) as Arc<dyn Post> };
        let bench = Bench { setup: Arc::new(Mutex::new(Ok(setup))), offline: Arc::default(), changed: Arc::default() };
        let runtime = Runtime::builder().threads(policy.lanes + 2).build().unwrap();
        Self { runtime, store: Memory::default(), script, bench, memoirs: Arc::default() }
    }

    fn save(&self, keys: &[&str]) {
        let drafts: Vec<_> = keys.iter().map(|key| Draft { key: (*key).to_owned(), change: Change::Delete }).collect();
        self.store.clone().save(&drafts, &Rules::default(), 0).unwrap();
    }

    fn start(&self, once: bool) -> Drain {
        let (store, witness) = (Box::new(self.store.clone()), Arc::clone(&self.memoirs) as Arc<dyn Witness>);
        let drain = Drain::start(&self.runtime, store, Box::new(self.bench.clone()), witness, once).unwrap();
        drain.wake().merge(wake::STORE | wake::NETWORK);
        drain
    }

    /// Lets the server give these answers to saves of `key`, and then apply them.
    fn answer(&self, key: &str, replies: &[Reply]) {
        self.script.answers.lock().insert(key.to_owned(), replies.iter().rev().cloned().collect());
    }

    fn gate(&self, key: &str) -> Semaphore {
        let gate = Semaphore::new(0);
        self.script.gates.lock().insert(key.to_owned(), gate.clone());
        gate
    }

    #[track_caller]
    fn wait_until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let started = Instant::now();
        while !is_so(self) {
            assert!(
                started.elapsed() < PATIENCE,
                "{what}: {:?} {:?}",
                self.memoirs.events.lock(),
                self.memoirs.level.lock()
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn saw(&self, which: impl Fn(&Event) -> bool) -> usize {
        self.memoirs.events.lock().iter().filter(|event| which(event)).count()
    }

    fn applied(&self) -> Vec<Seq> {
        self.script.applied.lock().iter().map(|op| op.seq).collect()
    }
}

fn status(status: u16) -> Reply {
    Reply::Answer { status, retry_after_s: None, body: String::new() }
}

fn fast() -> Policy {
    Policy { first_delay: Duration::from_millis(1), ..Policy::default() }
}

fn suspend(drain: &Drain) -> SuspendedSource<Or> {
    drain.wake.suspend_guard().unwrap()
}

#[test]
fn everything_is_sent_in_order_and_the_store_is_empty_afterwards() {
    let scene = Scene::new(Policy { lanes: 1, ..fast() });
    scene.save(&["a", "b", "a", "c"]);
    let drain = scene.start(true);
    drain.wait();
    assert_eq!(drain.end(), Ending { pending: 0, dead: 0, failure: None });
    assert_eq!(scene.applied(), [1, 2, 3, 4]);
    assert_eq!(scene.store.clone().totals().unwrap().sent, 4);
    assert_eq!(scene.saw(|event| matches!(event, Event::Enqueued { count: 4 })), 1);
    assert_eq!(scene.saw(|event| matches!(event, Event::Sent(_))), 4);
    assert_eq!(scene.saw(|event| *event == Event::Drained), 1);
}

#[test]
fn ten_thousand_wakes_while_suspended_are_one_call_that_finds_everything() {
    let scene = Scene::new(fast());
    let drain = scene.start(false);
    scene.wait_until("a first turn", |scene| scene.memoirs.level.lock().turns > 0);
    let suspended = suspend(&drain);
    drain.queue.exec_sync(|| ());
    let turns = scene.memoirs.level.lock().turns;
    let gate = scene.gate("a");
    scene.save(&["a"; 10_000]);
    for _ in 0..10_000 {
        drain.wake().merge(wake::STORE);
    }
    drain.queue.exec_sync(|| ());
    assert_eq!(scene.memoirs.level.lock().turns, turns);
    drop(suspended);
    scene.wait_until("everything is found", |scene| scene.memoirs.level.lock().pending == 10_000);
    assert_eq!(scene.memoirs.level.lock().turns, turns + 1);
    assert_eq!(scene.saw(|event| matches!(event, Event::Enqueued { count: 10_000 })), 1);
    assert_eq!(scene.saw(|event| matches!(event, Event::Enqueued { .. })), 1);
    // While it runs, no turn is made without a reason: one for each reply at most, and one for each commit that is due by time.
    let started = Instant::now();
    for _ in 0..10_000 {
        gate.signal();
    }
    scene.wait_until("everything is sent", |scene| scene.memoirs.level.lock().pending == 0);
    let commits = started.elapsed().as_millis() as u64 / 20 + 1;
    assert!(scene.memoirs.level.lock().turns <= turns + 1 + 10_000 + commits);
    drain.end();
}

#[test]
fn a_key_that_rests_holds_no_other_back() {
    let scene = Scene::new(Policy { first_delay: PATIENCE * 10, longest_delay: PATIENCE * 10, ..Policy::default() });
    scene.answer("stuck", &[Reply::Answer { status: 503, retry_after_s: Some(600), body: String::new() }]);
    scene.save(&["stuck", "stuck"]);
    scene.save(&["live"; 1_000]);
    scene.save(&["more", "and", "others", "too"]);
    let drain = scene.start(false);
    scene.wait_until("all others are sent", |scene| scene.applied().len() == 1_004);
    assert!(scene.applied().iter().all(|seq| *seq > 2));
    assert!(*scene.script.most_at_a_time.lock() <= 4);
    let ending = drain.end();
    assert_eq!(ending.pending, 2);
    // What is known of the failure outlives the drain.
    assert_eq!(scene.store.clone().waiting_after(0).unwrap()[0].attempts, 1);
}

#[test]
fn being_told_again_that_the_network_is_there_delays_no_retry() {
    let scene = Scene::new(Policy { first_delay: Duration::from_millis(300), ..Policy::default() });
    scene.answer("a", &[status(503), status(503), status(503)]);
    scene.save(&["a"]);
    let drain = scene.start(false);
    scene.wait_until("it is sent although the network comes and comes", |scene| {
        drain.wake().merge(wake::NETWORK);
        scene.applied() == [1]
    });
    assert_eq!(scene.saw(|event| matches!(event, Event::Failed { .. })), 3);
    assert_eq!(scene.saw(|event| matches!(event, Event::Online | Event::Offline | Event::NetworkUp)), 0);
    drain.end();
}

#[test]
fn a_save_for_which_there_is_no_hope_becomes_a_dead_letter_and_the_others_go_on() {
    let scene = Scene::new(fast());
    scene.answer("bad", &[status(422)]);
    scene.save(&["good", "bad", "good"]);
    let drain = scene.start(true);
    drain.wait();
    assert_eq!(drain.end(), Ending { pending: 0, dead: 1, failure: None });
    let mut store = scene.store.clone();
    assert_eq!(store.dead(None).unwrap()[0].op.seq, 2);
    assert_eq!(store.revive(&[2]).unwrap(), [2]);
    let drain = scene.start(true);
    drain.wait();
    assert_eq!(drain.end(), Ending { pending: 0, dead: 0, failure: None });
    assert_eq!(scene.script.applied.lock().last().map(|op| op.seq), Some(2));
}

#[test]
fn a_save_that_is_given_up_is_noted_before_another_of_its_key_goes_out() {
    let scene = Scene::new(fast());
    scene.answer("a", &[status(422)]);
    let gate = scene.gate("a");
    scene.save(&["a", "a"]);
    let drain = scene.start(false);
    gate.signal();
    scene.wait_until("the second goes out", |scene| *scene.script.sends.lock() == 2);
    assert_eq!(scene.store.clone().dead(None).unwrap().len(), 1);
    gate.signal();
    scene.wait_until("it arrives", |scene| scene.applied() == [2]);
    drain.end();
}

#[test]
fn a_server_that_does_not_know_us_is_asked_again_when_the_configuration_changes() {
    let scene = Scene::new(fast());
    scene.answer("a", &[status(401)]);
    scene.save(&["a"]);
    let drain = scene.start(false);
    scene.wait_until("it waits", |scene| scene.saw(|event| matches!(event, Event::NotAuthorized { .. })) == 1);
    drain.wake().merge(wake::CONFIG);
    drain.wake().merge(wake::STORE | wake::NETWORK);
    drain.queue.exec_sync(|| ());
    assert!(scene.applied().is_empty(), "nothing has changed");
    *scene.bench.changed.lock() = true;
    drain.wake().merge(wake::CONFIG);
    scene.wait_until("it is sent", |scene| scene.applied() == [1]);
    assert_eq!(scene.saw(|event| *event == Event::Configured), 1);
    drain.end();
}

#[test]
fn a_refusal_of_the_configuration_before_holds_nothing_back() {
    let scene = Scene::new(fast());
    scene.answer("a", &[status(401)]);
    let gate = scene.gate("a");
    scene.save(&["a"]);
    let drain = scene.start(false);
    scene.wait_until("it is on its way", |scene| !scene.script.on_its_way.lock().is_empty());
    drain.wake().merge(wake::RELOAD);
    scene.wait_until("the configuration is read", |scene| scene.saw(|event| *event == Event::Configured) == 1);
    gate.signal();
    gate.signal();
    scene.wait_until("it is sent", |scene| scene.applied() == [1]);
    assert_eq!(scene.saw(|event| matches!(event, Event::NotAuthorized { .. })), 0);
    drain.end();
}

#[test]
fn a_bad_configuration_changes_nothing() {
    let scene = Scene::new(fast());
    let drain = scene.start(false);
    *scene.bench.setup.lock() = Err("no such thing".to_owned());
    drain.wake().merge(wake::RELOAD);
    scene.wait_until("it is told", |scene| scene.saw(|event| matches!(event, Event::BadConfig { .. })) == 1);
    scene.save(&["a"]);
    drain.wake().merge(wake::STORE);
    scene.wait_until("it is sent", |scene| scene.applied() == [1]);
    drain.end();
}

#[test]
fn without_a_server_nothing_is_lost_and_when_it_is_back_everything_is_sent() {
    let probes = crate::plan::Probes { first: Duration::from_millis(5), most: Duration::from_millis(20) };
    let scene = Scene::new(Policy { probes, ..fast() });
    *scene.script.is_away.lock() = true;
    scene.save(&["a", "b", "c", "d", "e", "a"]);
    let drain = scene.start(false);
    scene.wait_until("it is noticed", |scene| scene.saw(|event| matches!(event, Event::NetworkDown { .. })) == 1);
    assert_eq!(scene.memoirs.level.lock().pending, 6);
    *scene.script.is_away.lock() = false;
    scene.wait_until("everything is sent", |scene| scene.applied().len() == 6);
    assert_eq!(scene.saw(|event| *event == Event::NetworkUp), 1);
    assert_eq!(scene.saw(|event| matches!(event, Event::Failed { .. } | Event::Dead { .. })), 0);
    drain.end();
}

#[test]
fn offline_and_paused_hold_everything_until_they_are_over() {
    let scene = Scene::new(fast());
    *scene.bench.offline.lock() = true;
    scene.store.clone().set_paused(true).unwrap();
    scene.save(&["a"]);
    let drain = scene.start(false);
    scene.wait_until("it is paused", |scene| scene.saw(|event| *event == Event::Paused) == 1);
    assert_eq!(scene.saw(|event| *event == Event::Offline), 1);
    *scene.bench.offline.lock() = false;
    drain.wake().merge(wake::NETWORK);
    scene.wait_until("it is online", |scene| scene.saw(|event| *event == Event::Online) == 1);
    drain.queue.exec_sync(|| ());
    assert!(scene.applied().is_empty());
    scene.store.clone().set_paused(false).unwrap();
    drain.wake().merge(wake::STORE);
    scene.wait_until("it is sent", |scene| scene.applied() == [1]);
    assert_eq!(scene.saw(|event| *event == Event::Resumed), 1);
    drain.end();
}

#[test]
fn to_stop_is_to_take_no_more_and_to_wait_for_what_is_on_its_way() {
    let scene = Scene::new(Policy { lanes: 1, ..fast() });
    let gate = scene.gate("a");
    scene.save(&["a", "b"]);
    let drain = scene.start(false);
    scene.wait_until("it is on its way", |scene| !scene.script.on_its_way.lock().is_empty());
    drain.wake().merge(wake::STOP);
    scene.wait_until("it stops", |scene| scene.saw(|event| *event == Event::Stopping) == 1);
    gate.signal();
    drain.wait();
    assert_eq!(drain.end(), Ending { pending: 1, dead: 0, failure: None });
    assert_eq!(scene.applied(), [1]);
    assert_eq!(scene.store.clone().totals().unwrap().pending, 1);
}

#[test]
fn a_store_that_cannot_be_written_stops_the_sending_and_forgets_nothing() {
    let scene = Scene::new(Policy { lanes: 1, ..fast() });
    scene.save(&["a"]);
    scene.save(&["b"; 999]);
    let gate = scene.gate("a");
    let drain = scene.start(false);
    scene.wait_until("it is on its way", |scene| !scene.script.on_its_way.lock().is_empty());
    scene.store.set_broken(true);
    gate.signal();
    scene.wait_until("it is noticed", |scene| scene.saw(|event| matches!(event, Event::StoreFailed { .. })) == 1);
    let level = scene.memoirs.level.lock().clone();
    scene.wait_until("nothing is on its way", |scene| scene.script.on_its_way.lock().is_empty());
    assert!(scene.applied().len() <= 102, "it went on without the store: {level:?}");
    scene.store.set_broken(false);
    scene.wait_until("everything is sent", |scene| {
        scene.memoirs.level.lock().pending == 0 && scene.applied().len() == 1_000
    });
    assert_eq!(scene.saw(|event| *event == Event::StoreWorks), 1);
    drain.end();
    assert_eq!(scene.applied(), (1..=1_000).collect::<Vec<_>>());
    assert_eq!(scene.store.clone().totals().unwrap().sent, 1_000);
}

#[test]
fn what_somebody_takes_away_while_it_waits_is_not_sent() {
    let scene = Scene::new(Policy { lanes: 1, ..fast() });
    let gate = scene.gate("a");
    scene.save(&["a", "b", "c"]);
    let drain = scene.start(false);
    scene.wait_until("it is on its way", |scene| !scene.script.on_its_way.lock().is_empty());
    let rules = Rules { max_ops: 3, full: crate::store::Full::DropOldest, ..Rules::default() };
    let draft = Draft { key: "d".to_owned(), change: Change::Delete };
    scene.store.clone().save(&[draft.clone(), draft], &rules, 0).unwrap();
    drain.wake().merge(wake::STORE);
    gate.signal();
    scene.wait_until("the others are sent", |scene| scene.applied() == [1, 3, 4, 5]);
    drain.end();
}
