//! State that only its queue can touch.

use concourse::Group;
use concourse::Isolated;
use concourse::Queue;
use concourse::Runtime;
use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::Barrier;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

fn queues(runtime: &Runtime) -> [Queue; 2] {
    [runtime.serial("serial"), runtime.concurrent("concurrent")]
}

#[test]
fn accesses_come_in_order_and_none_is_lost() {
    let runtime = Runtime::builder().threads(4).build().unwrap();
    for queue in queues(&runtime) {
        let state = Isolated::new(queue, Vec::new());
        for number in 0..1_000 {
            state.exec_async(move |numbers| numbers.push(number));
        }
        assert!(state.read(|numbers| numbers.iter().copied().eq(0..1_000)));
        assert_eq!(state.write(std::mem::take).len(), 1_000);
        assert!(state.exec_sync(|numbers| numbers.is_empty()));
    }
}

#[test]
fn writers_from_many_threads_are_alone() {
    let runtime = Runtime::builder().threads(4).build().unwrap();
    for queue in queues(&runtime) {
        // A cell is not `Sync`: one thread at a time may look at it.
        let state = Isolated::new(queue, Cell::new(0));
        let group = Group::new();
        let crowd = runtime.global(concourse::Qos::Default);
        for _ in 0..64 {
            let state = state.clone();
            group.exec_async(&crowd, move || {
                for _ in 0..100 {
                    state.exec_sync(|count| count.set(count.get() + 1));
                    state.exec_async(|count| count.set(count.get() + 1));
                }
            });
        }
        group.wait();
        assert_eq!(state.exec_sync(|count| count.get()), 64 * 200);
    }
}

#[test]
fn readers_of_a_concurrent_queue_meet() {
    let runtime = Runtime::builder().threads(2).build().unwrap();
    let state = Isolated::new(runtime.concurrent("read"), 7);
    let (meeting, seen) = (Arc::new(Barrier::new(3)), Arc::new(AtomicUsize::new(0)));
    for _ in 0..2 {
        let (meeting, seen) = (Arc::clone(&meeting), Arc::clone(&seen));
        state.read_async(move |value| {
            meeting.wait();
            seen.fetch_add(*value, SeqCst);
        });
    }
    assert_eq!(
        state.read(|value| {
            meeting.wait();
            *value
        }),
        7
    );
    state.write(|value| *value += 1);
    assert_eq!(seen.load(SeqCst), 14);
    assert_eq!(state.read(|value| *value), 8);
}

#[test]
fn states_of_one_queue_change_together() {
    let runtime = Runtime::builder().build().unwrap();
    let queue = runtime.serial("accounts");
    let [from, to] = [100_u64, 0].map(|balance| Isolated::new(queue.clone(), balance));
    assert_eq!(from.queue(), to.queue());
    from.exec_async(|balance| *balance -= 30);
    to.exec_async(|balance| *balance += 30);
    assert_eq!([from.read(|balance| *balance), to.read(|balance| *balance)], [70, 30]);
}

#[test]
fn a_second_access_from_inside_one_panics_before_there_is_a_second_reference() {
    let runtime = Runtime::builder().build().unwrap();
    for queue in queues(&runtime) {
        let state = Isolated::new(queue, 1);
        let again = catch_unwind(AssertUnwindSafe(|| {
            state.exec_sync(|outer| {
                *outer = 2;
                state.exec_sync(|inner| *inner = 3);
            });
        }));
        let message = again.unwrap_err();
        assert!(message.downcast_ref::<String>().unwrap().contains("would never return"));
        // The state is as the panic has left it, and usable.
        assert_eq!(state.read(|value| *value), 2);
    }
}

#[test]
fn the_value_goes_with_the_last_handle_or_the_last_job() {
    let runtime = Runtime::builder().build().unwrap();
    let value = Arc::new(());
    let state = Isolated::new(runtime.serial("held"), Arc::clone(&value));
    let guard = state.queue().suspend_guard().unwrap();
    let other = state.clone();
    state.exec_async(|_| ());
    drop(state);
    drop(guard);
    other.exec_sync(|_| ());
    assert_eq!(Arc::strong_count(&value), 2);
    drop(other);
    assert_eq!(Arc::strong_count(&value), 1);
}
