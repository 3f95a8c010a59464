//! Sync calls through chains of targets, where threads that hold a part of the chain meet threads that wait for it.

mod blocked;

use blocked::GENEROUS;
use blocked::spawn_blocked;
use concourse::Event;
use concourse::Queue;
use concourse::Runtime;
use std::thread::JoinHandle;

/// A thread that is inside of `queue` until it is let go.
fn visitor(queue: &Queue) -> (JoinHandle<()>, Event) {
    let (inside, go) = (Event::new(), Event::new());
    let (queue, tell, wait) = (queue.clone(), inside.clone(), go.clone());
    let thread = spawn_blocked(move || {
        queue.exec_sync(|| {
            tell.set();
            wait.wait();
        });
    });
    inside.wait_timeout(GENEROUS).unwrap();
    (thread, go)
}

/// A job of `holder` that waits to be let go, and then calls `sync`; and what it sets when it has returned.
fn job_that_syncs(holder: &Queue, sync: impl FnOnce() + Send + 'static) -> (Event, Event) {
    let (started, go, done) = (Event::new(), Event::new(), Event::new());
    let (tell, wait, end) = (started.clone(), go.clone(), done.clone());
    holder.exec_async(move || {
        tell.set();
        wait.wait();
        sync();
        end.set();
    });
    started.wait_timeout(GENEROUS).unwrap();
    (go, done)
}

fn join(threads: impl IntoIterator<Item = JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_job_of_a_target_passes_a_caller_that_waits_behind_the_target_s_barrier() {
    let runtime = Runtime::builder().threads(4).build().unwrap();
    let root = runtime.concurrent("root");
    let child = runtime.queue("child").target(&root).build().unwrap();
    let (visitor, leave) = visitor(&child);
    let waits = child.clone();
    let waits = spawn_blocked(move || waits.exec_sync(|| ()));
    let syncs = child.clone();
    let (go, done) = job_that_syncs(&root, move || syncs.exec_sync(|| ()));
    root.barrier_async(|| ());
    leave.set(); // It is the caller's turn at the child, and the barrier stands between it and the root.
    go.set();
    done.wait_timeout(GENEROUS).unwrap();
    join([visitor, waits]);
    root.barrier_sync(|| ());
}

#[test]
fn a_sibling_s_job_passes_a_writer_that_waits_behind_the_target_s_barrier() {
    let runtime = Runtime::builder().threads(4).build().unwrap();
    let root = runtime.concurrent("root");
    let child = runtime.queue("child").concurrent().target(&root).build().unwrap();
    let sibling = runtime.queue("sibling").target(&root).build().unwrap();
    let (visitor, leave) = visitor(&child);
    let waits = child.clone();
    let waits = spawn_blocked(move || waits.barrier_sync(|| ()));
    let syncs = child.clone();
    let (go, done) = job_that_syncs(&sibling, move || syncs.exec_sync(|| ()));
    root.barrier_async(|| ());
    leave.set();
    go.set();
    done.wait_timeout(GENEROUS).unwrap();
    join([visitor, waits]);
    root.barrier_sync(|| ());
}

#[test]
fn jobs_that_use_up_a_target_s_width_pass_a_caller_that_waits_for_it() {
    let runtime = Runtime::builder().threads(4).build().unwrap();
    let root = runtime.queue("root").concurrent().width(2).build().unwrap();
    let child = runtime.queue("child").target(&root).build().unwrap();
    let (visitor, leave) = visitor(&child);
    let waits = child.clone();
    let waits = spawn_blocked(move || waits.exec_sync(|| ()));
    let syncs = child.clone();
    let (go, done) = job_that_syncs(&root, move || syncs.exec_sync(|| ()));
    let (second_done, tell, syncs, wait) = (Event::new(), Event::new(), child.clone(), go.clone());
    let end = second_done.clone();
    root.exec_async(move || {
        tell.set();
        wait.wait();
        syncs.exec_sync(|| ());
        end.set();
    });
    leave.set(); // The second job takes the place of the visitor, or the caller does.
    go.set();
    done.wait_timeout(GENEROUS).unwrap();
    second_done.wait_timeout(GENEROUS).unwrap();
    join([visitor, waits]);
}

#[test]
fn a_job_in_the_middle_of_a_chain_passes_a_caller_that_waits_for_the_root() {
    let runtime = Runtime::builder().threads(4).build().unwrap();
    let root = runtime.serial("root");
    let middle = runtime.queue("middle").concurrent().target(&root).build().unwrap();
    let child = runtime.queue("child").target(&middle).build().unwrap();
    let guard = child.suspend_guard().unwrap();
    let waits = child.clone();
    let waits = spawn_blocked(move || waits.exec_sync(|| ()));
    let syncs = child.clone();
    let (go, done) = job_that_syncs(&middle, move || syncs.exec_sync(|| ()));
    drop(guard);
    go.set();
    done.wait_timeout(GENEROUS).unwrap();
    join([waits]);
}

#[test]
fn a_job_of_a_suspended_target_may_sync_onto_a_child_with_jobs_ahead() {
    for concurrent in [false, true] {
        let runtime = Runtime::builder().threads(1).build().unwrap();
        let root = runtime.concurrent("root");
        let child = runtime.queue("child").target(&root);
        let child = if concurrent { child.concurrent() } else { child }.build().unwrap();
        let (suspends, syncs, resumes) = (root.clone(), child.clone(), root.clone());
        let other = runtime.serial("other");
        let (go, done) = job_that_syncs(&root, move || {
            suspends.suspend().unwrap();
            syncs.exec_async(|| ());
            other.exec_async(move || resumes.resume().unwrap());
            // What it runs belongs to a job that has started.
            syncs.barrier_sync(|| ());
        });
        go.set();
        done.wait_timeout(GENEROUS).unwrap();
        child.barrier_sync(|| root.assert_current());
    }
}

#[test]
fn a_job_waits_for_no_token_behind_a_barrier_that_waits_for_the_job() {
    let runtime = Runtime::builder().threads(4).build().unwrap();
    let root = runtime.concurrent("root");
    let child = runtime.queue("child").concurrent().target(&root).build().unwrap();
    let syncs = child.clone();
    let (go, done) = job_that_syncs(&root, move || syncs.barrier_sync(|| ()));
    root.barrier_async(|| ());
    let guard = root.suspend_guard().unwrap();
    child.exec_async(|| ());
    go.set();
    drop(guard);
    done.wait_timeout(GENEROUS).unwrap();
    root.barrier_sync(|| ());
}

#[test]
fn a_caller_below_a_target_that_was_suspended_meanwhile_needs_no_worker() {
    for concurrent in [false, true] {
        let runtime = Runtime::builder().threads(1).max_threads(1).build().unwrap();
        let root = runtime.serial("root");
        let child = runtime.queue("child").target(&root);
        let child = if concurrent { child.concurrent() } else { child }.build().unwrap();
        // The only thread waits for what the caller does after its call.
        let free = Event::new();
        let wait = free.clone();
        let (go, _) = job_that_syncs(&runtime.serial("elsewhere"), move || wait.wait());
        go.set();
        let held = Event::new();
        let guard = child.suspend_guard().unwrap();
        child.barrier_async({
            let (root, held) = (root.clone(), held.clone());
            move || {
                root.suspend().unwrap();
                held.set();
            }
        });
        child.barrier_async(|| ());
        let caller = child.clone();
        let caller = spawn_blocked(move || caller.exec_sync(|| ()));
        drop(guard);
        held.wait_timeout(GENEROUS).unwrap();
        root.resume().unwrap();
        join([caller]);
        free.set();
    }
}

#[test]
fn a_body_that_another_thread_runs_sees_what_its_caller_holds_and_gives_its_panic_back() {
    let runtime = Runtime::builder().threads(2).build().unwrap();
    let root = runtime.serial("root");
    let child = runtime.queue("child").target(&root).build().unwrap();
    let held = runtime.serial("held by the caller");
    let guard = child.suspend_guard().unwrap();
    let (callers, child_of_callers, held_by_caller) = (child.clone(), child.clone(), held.clone());
    let caller = spawn_blocked(move || {
        held_by_caller.exec_sync(|| {
            callers.exec_sync(|| {
                child_of_callers.assert_current();
                held_by_caller.assert_current();
                assert!(held_by_caller.try_exec_sync(|| ()).is_err());
                assert_eq!(Queue::current().as_ref(), Some(&child_of_callers));
            });
        });
    });
    let panics = child.clone();
    let panics = spawn_blocked(move || panics.exec_sync(|| panic!("in a lent body")));
    drop(guard);
    caller.join().unwrap();
    assert_eq!(panics.join().unwrap_err().downcast_ref::<&str>(), Some(&"in a lent body"));
    assert_eq!(held.exec_sync(|| child.exec_sync(|| 3)), 3);
}
