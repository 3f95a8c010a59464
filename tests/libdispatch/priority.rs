//! `priority` and `priority2`: as many jobs of each class, all of which only compute, until half of them are done. The
//! number is exact, and of the classes two apart the more urgent one has done at least as much. `priority2` submits to
//! concurrent queues of the classes.
//!
//! The original fails on Linux, where root queues are thread pools of equal standing. Here the upper half of the classes
//! has done nearly everything, as classes are served in strict order, but for turns that keep the others from starving.

use crate::timed::GENEROUS;
use concourse::Dispatch;
use concourse::Event;
use concourse::Group;
use concourse::Qos;
use concourse::Runtime;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

const CLASSES: [Qos; 4] = [Qos::Background, Qos::Utility, Qos::Default, Qos::UserInitiated];

fn half_of_all(runtime: &Runtime, threads: usize, queues: [impl Dispatch; 4]) {
    let each = 32 * threads;
    let half = each * 4 / 2;
    let done: Arc<[AtomicUsize; 4]> = Arc::default();
    let (all_done, ended, group) = (Arc::new(AtomicUsize::new(0)), Event::new(), Group::new());
    let go = Event::new();
    for _ in 0..threads {
        let gate = go.clone();
        group.exec_async(&runtime.global(Qos::UserInteractive), move || gate.wait());
    }
    for _ in 0..each {
        for (class, queue) in queues.iter().enumerate() {
            let (done, all_done, ended) = (Arc::clone(&done), Arc::clone(&all_done), ended.clone());
            group.exec_async(queue, move || {
                for step in 0..100_000 {
                    black_box(step);
                }
                // Who comes after the first half does not count any more.
                let place = all_done.fetch_add(1, SeqCst);
                if place < half {
                    done[class].fetch_add(1, SeqCst);
                }
                if place + 1 == half {
                    ended.set();
                }
            });
        }
    }
    go.set();
    ended.wait_timeout(GENEROUS).unwrap();
    group.wait_timeout(GENEROUS).unwrap();
    let done = done.each_ref().map(|count| count.load(SeqCst));
    assert_eq!(all_done.load(SeqCst), 4 * each);
    assert_eq!(done.iter().sum::<usize>(), half);
    assert!(done[3] >= done[1] && done[2] >= done[0], "{done:?}");
    // Here it is more than a tendency: the upper half goes before the lower one, but for turns out of order.
    assert!(done[3] + done[2] >= half - half / 20 - threads, "{done:?}");
}

fn runtime() -> (Runtime, usize) {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    (Runtime::builder().threads(threads).max_threads(threads).build().unwrap(), threads)
}

#[test]
fn when_half_of_all_jobs_are_done_the_urgent_ones_are_ahead() {
    let (runtime, threads) = runtime();
    half_of_all(&runtime, threads, CLASSES.map(|qos| runtime.global(qos)));
}

#[test]
fn when_half_of_all_jobs_are_done_the_urgent_queues_are_ahead() {
    let (runtime, threads) = runtime();
    let build = |qos| runtime.queue("of a class").concurrent().qos(qos).build().unwrap();
    half_of_all(&runtime, threads, CLASSES.map(build));
}
