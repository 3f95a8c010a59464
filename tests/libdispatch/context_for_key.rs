//! `context_for_key`: what queues carry under keys. A job finds the value of its own queue, or else of its target,
//! which is concurrent; any thread can ask a queue for what it carries itself. A new value under a key replaces the
//! old one, and nothing in its place removes it; either calls the old one's destructor. What a queue still carries when
//! it goes is destroyed too, and its finalizer is called: five such calls in all.
//!
//! The original's queue also has a context that belongs to no key. Here that is what its finalizer has captured.

use crate::timed::GENEROUS;
use crate::timed::finish;
use crate::timed::runtime;
use concourse::Group;
use concourse::Membership;
use concourse::Queue;
use concourse::SpecificKey;
use parking_lot::Mutex;
use std::sync::Arc;

static FIRST: SpecificKey<Value> = SpecificKey::new();
static SECOND: SpecificKey<Value> = SpecificKey::new();

/// The names of what was destroyed or finalized, in this order.
type Ended = Arc<Mutex<Vec<&'static str>>>;

/// Writes down when it is dropped, and leaves the group then.
struct Value {
    name: &'static str,
    ended: Ended,
    _membership: Membership,
}

impl Drop for Value {
    fn drop(&mut self) {
        self.ended.lock().push(self.name);
    }
}

/// What a job of `queue` finds.
fn found(queue: &Queue, key: &'static SpecificKey<Value>) -> Option<&'static str> {
    queue.exec_sync(|| Queue::current_specific(key).map(|value| value.name))
}

#[test]
fn values_under_keys_are_found_replaced_removed_and_destroyed_once() {
    let runtime = runtime();
    let (group, ended) = (Group::new(), Ended::default());
    let value = |name| Value { name, ended: Arc::clone(&ended), _membership: group.enter() };
    let target = runtime.concurrent("com.example.target");
    let queue = runtime.queue("com.example.queue").target(&target).build().unwrap();
    let finalized = value("finalizer");
    queue.set_finalizer(move || drop(finalized));

    // Before its first job, from outside and from a job of its own, and from a job of the target.
    drop(queue.set_specific(&FIRST, value("first of the queue")));
    queue.exec_sync(|| drop(queue.set_specific(&SECOND, value("second of the queue"))));
    target.exec_sync(|| drop(target.set_specific(&SECOND, value("second of the target"))));
    assert_eq!(found(&queue, &FIRST), Some("first of the queue"));
    assert_eq!(found(&queue, &SECOND), Some("second of the queue"));
    assert_eq!((found(&target, &FIRST), found(&target, &SECOND)), (None, Some("second of the target")));
    assert_eq!(queue.specific(&FIRST).map(|value| value.name), Some("first of the queue"));
    assert!(target.specific(&FIRST).is_none());
    assert_eq!(*ended.lock(), [""; 0]);

    // Replaced from a job of another queue, and removed from one of its own.
    target.exec_sync(|| drop(queue.set_specific(&FIRST, value("first again"))));
    assert_eq!(*ended.lock(), ["first of the queue"]);
    assert_eq!(found(&queue, &FIRST), Some("first again"));
    queue.exec_sync(|| drop(queue.remove_specific(&SECOND)));
    assert_eq!(*ended.lock(), ["first of the queue", "second of the queue"]);
    assert_eq!(found(&queue, &SECOND), Some("second of the target"));
    assert!(queue.specific(&SECOND).is_none());

    drop(target.remove_specific(&SECOND));
    drop((queue, target));
    group.wait_timeout(GENEROUS).unwrap();
    let expected = ["first of the queue", "second of the queue", "second of the target", "finalizer", "first again"];
    assert_eq!(*ended.lock(), expected);
    finish(&runtime);
}
