//! Concurrent queues: width, barriers, readers.

mod blocked;

use blocked::GENEROUS;
use blocked::spawn_blocked;
use concourse::Event;
use concourse::Group;
use concourse::Queue;
use concourse::Runtime;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::Barrier;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

fn runtime(threads: usize) -> Runtime {
    Runtime::builder().threads(threads).build().unwrap()
}

/// How many are inside at the same time, and how many were at most.
#[derive(Default)]
struct Crowd {
    inside: AtomicUsize,
    most: AtomicUsize,
    visits: AtomicUsize,
}

impl Crowd {
    fn visit(&self) {
        self.most.fetch_max(self.inside.fetch_add(1, SeqCst) + 1, SeqCst);
        thread::yield_now();
        self.inside.fetch_sub(1, SeqCst);
        self.visits.fetch_add(1, SeqCst);
    }
}

#[test]
fn a_width_is_reached_and_never_exceeded() {
    const WIDTH: usize = 3;
    let runtime = runtime(4);
    let queue = runtime.queue("three at most").concurrent().width(WIDTH).build().unwrap();
    // As many as the width are inside together, or these jobs would wait for each other for ever.
    let (group, all_inside) = (Group::new(), Arc::new(Barrier::new(WIDTH)));
    for _ in 0..WIDTH {
        let all_inside = Arc::clone(&all_inside);
        group.exec_async(&queue, move || _ = all_inside.wait());
    }
    group.wait_timeout(GENEROUS).unwrap();
    let crowd = Arc::new(Crowd::default());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..250 {
                    let own = Arc::clone(&crowd);
                    group.exec_async(&queue, move || own.visit());
                    // Sync calls count too.
                    queue.exec_sync(|| crowd.visit());
                }
            });
        }
    });
    group.wait();
    assert_eq!(crowd.visits.load(SeqCst), 2_000);
    assert!(crowd.most.load(SeqCst) <= WIDTH, "{} at the same time", crowd.most.load(SeqCst));
}

#[test]
fn a_width_of_one_keeps_the_order() {
    let runtime = runtime(4);
    let queue = runtime.queue("one").concurrent().width(1).build().unwrap();
    let next = Arc::new(AtomicUsize::new(0));
    for number in 0..5_000 {
        let next = Arc::clone(&next);
        queue.exec_async(move || {
            if next.load(Relaxed) == number {
                next.store(number + 1, Relaxed);
            }
        });
    }
    assert_eq!(queue.barrier_sync(|| next.load(Relaxed)), 5_000);
}

#[test]
fn a_width_puts_readers_in_line_however_it_was_given() {
    for is_built_in in [true, false] {
        let runtime = Runtime::builder().threads(1).max_threads(1).build().unwrap();
        // The only thread is busy.
        let (blocked, free) = (Event::new(), Event::new());
        let (tell, wait) = (blocked.clone(), free.clone());
        runtime.serial("elsewhere").exec_async(move || {
            tell.set();
            wait.wait();
        });
        blocked.wait_timeout(GENEROUS).unwrap();
        let queue = runtime.queue("queue").concurrent();
        let queue = if is_built_in { queue.width(1).build().unwrap() } else { queue.build().unwrap() };
        queue.set_width(1).unwrap();
        let ran = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&ran);
        queue.exec_async(move || _ = count.fetch_add(1, SeqCst));
        assert_eq!(queue.exec_sync(|| ran.load(SeqCst)), 1, "the call overtook the job before it");
        free.set();
    }
}

#[test]
fn a_width_changes_while_the_queue_works() {
    let runtime = runtime(4);
    let queue = runtime.queue("breathing").concurrent().width(1).build().unwrap();
    let (group, started) = (Group::new(), Arc::new(AtomicUsize::new(0)));
    let both = Arc::new(Barrier::new(2));
    for _ in 0..2 {
        let (both, started) = (Arc::clone(&both), Arc::clone(&started));
        group.exec_async(&queue, move || {
            started.fetch_add(1, SeqCst);
            both.wait();
        });
    }
    while started.load(SeqCst) == 0 {
        thread::yield_now();
    }
    // The first waits for the second, which the width holds back.
    assert_eq!(started.load(SeqCst), 1);
    queue.set_width(2).unwrap();
    group.wait_timeout(GENEROUS).unwrap();
    queue.set_width(1).unwrap();
    let crowd = Arc::new(Crowd::default());
    for _ in 0..500 {
        let crowd = Arc::clone(&crowd);
        group.exec_async(&queue, move || crowd.visit());
    }
    group.wait();
    assert_eq!((crowd.visits.load(SeqCst), crowd.most.load(SeqCst)), (500, 1));
}

#[test]
fn a_width_that_shrinks_holds_for_what_starts_afterwards() {
    let runtime = runtime(4);
    let queue = runtime.queue("shrinking").concurrent().width(4).build().unwrap();
    let group = Group::new();
    let crowd = Arc::new(Crowd::default());
    for round in 0..200 {
        let width = 1 + round % 4;
        // With nothing running and nothing in line the new width is the only one.
        queue.set_width(width).unwrap();
        crowd.most.store(0, SeqCst);
        for _ in 0..8 {
            let crowd = Arc::clone(&crowd);
            group.exec_async(&queue, move || crowd.visit());
        }
        group.wait();
        queue.barrier_sync(|| ());
        assert!(crowd.most.load(SeqCst) <= width);
    }
    assert_eq!(crowd.visits.load(SeqCst), 1_600);
}

#[test]
fn a_barrier_waits_for_what_is_before_it_and_holds_back_what_is_behind() {
    const READERS: usize = 7;
    let runtime = runtime(4);
    let queue = runtime.concurrent("barriers");
    let (read, alone) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mistakes = Arc::new(AtomicUsize::new(0));
    for round in 0..300 {
        for _ in 0..READERS {
            let (read, alone, mistakes) = (Arc::clone(&read), Arc::clone(&alone), Arc::clone(&mistakes));
            queue.exec_async(move || {
                // Every barrier before it has been, none behind it.
                if alone.load(Relaxed) != round {
                    mistakes.fetch_add(1, SeqCst);
                }
                read.fetch_add(1, Relaxed);
            });
        }
        let (read, own, mistakes) = (Arc::clone(&read), Arc::clone(&alone), Arc::clone(&mistakes));
        let barrier = move || {
            if read.load(Relaxed) != READERS * (round + 1) {
                mistakes.fetch_add(1, SeqCst);
            }
            own.store(round + 1, Relaxed);
        };
        if round % 3 == 0 { queue.barrier_sync(barrier) } else { queue.barrier_async(barrier) }
    }
    queue.barrier_sync(|| ());
    assert_eq!((alone.load(Relaxed), mistakes.load(SeqCst)), (300, 0));
}

#[test]
fn a_reader_may_read_again_even_if_a_barrier_waits() {
    let runtime = runtime(2);
    let queue = runtime.concurrent("again");
    let order = Arc::new(AtomicUsize::new(0));
    let (writer, nested) = queue.exec_sync(|| {
        let writer = spawn_blocked({
            let (queue, order) = (queue.clone(), Arc::clone(&order));
            move || queue.barrier_sync(|| order.fetch_add(1, SeqCst))
        });
        let nested = queue.exec_sync(|| queue.exec_sync(|| order.fetch_add(1, SeqCst)));
        (writer, nested)
    });
    assert_eq!((nested, writer.join().unwrap()), (0, 1));
}

#[test]
fn a_barrier_in_a_job_of_the_queue_panics_and_names_it() {
    let runtime = runtime(1);
    let queue = runtime.concurrent("com.example.cache");
    for inside in [false, true] {
        let attempt = || catch_unwind(AssertUnwindSafe(|| queue.barrier_sync(|| ()))).unwrap_err();
        let panic = if inside { queue.barrier_sync(attempt) } else { queue.exec_sync(attempt) };
        assert!(panic.downcast_ref::<String>().unwrap().contains("\"com.example.cache\""));
    }
    let (told, refused) = (Event::new(), Arc::new(AtomicUsize::new(0)));
    queue.exec_async({
        let (queue, told, refused) = (queue.clone(), told.clone(), Arc::clone(&refused));
        move || {
            let unwound = catch_unwind(AssertUnwindSafe(|| queue.barrier_sync(|| ())));
            refused.fetch_add(usize::from(unwound.is_err()), SeqCst);
            told.set();
        }
    });
    told.wait_timeout(GENEROUS).unwrap();
    assert_eq!(refused.load(SeqCst), 1);
    assert_eq!(queue.barrier_sync(|| 5), 5);
}

#[test]
fn a_panic_in_a_reader_or_a_barrier_leaves_the_queue_whole() {
    let runtime = runtime(2);
    let queue = runtime.concurrent("panicking");
    for _ in 0..50 {
        queue.exec_async(|| std::panic::resume_unwind(Box::new("a reader")));
        queue.barrier_async(|| std::panic::resume_unwind(Box::new("a barrier")));
    }
    assert_eq!(queue.barrier_sync(|| 1), 1);
    assert_eq!(queue.exec_sync(|| 2), 2);
}

#[test]
fn jobs_of_a_concurrent_queue_overlap_up_to_the_hard_limit() {
    let runtime = Runtime::builder().threads(1).max_threads(4).build().unwrap();
    let queue = runtime.concurrent("all at once");
    // Each waits for all the others, in waits of the runtime's own.
    let (group, arrived, all) = (Group::new(), Arc::new(AtomicUsize::new(0)), Event::new());
    for _ in 0..4 {
        let (arrived, all) = (Arc::clone(&arrived), all.clone());
        group.exec_async(&queue, move || {
            if arrived.fetch_add(1, SeqCst) == 3 {
                all.set();
            }
            all.wait();
        });
    }
    group.wait_timeout(GENEROUS).unwrap();
}

#[test]
fn pending_jobs_and_barriers_are_cancelled_and_readers_keep_their_place() {
    let runtime = runtime(1);
    let queue: Queue = runtime.concurrent("cancelled");
    let (begun, go) = (Event::new(), Event::new());
    queue.barrier_async({
        let (begun, go) = (begun.clone(), go.clone());
        move || {
            begun.set();
            go.wait();
        }
    });
    begun.wait();
    let ran = Arc::new(AtomicUsize::new(0));
    let add = || {
        let ran = Arc::clone(&ran);
        move || _ = ran.fetch_add(1, SeqCst)
    };
    (0..10).for_each(|_| queue.exec_async(add()));
    let reader = spawn_blocked({
        let (queue, add) = (queue.clone(), add());
        move || queue.exec_sync(add)
    });
    (0..10).for_each(|_| queue.barrier_async(add()));
    assert_eq!(queue.cancel_pending(), 20);
    assert_eq!(queue.cancel_pending(), 0);
    // The captures are gone: what is left is ours, `add`'s and the reader's.
    assert_eq!(Arc::strong_count(&ran), 2);
    go.set();
    reader.join().unwrap();
    queue.exec_async(add());
    queue.barrier_sync(|| ());
    assert_eq!(ran.load(SeqCst), 2);
}

/// Calls a function when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn cancellations_that_meet_are_all_served() {
    let runtime = runtime(1);
    let queue = runtime.concurrent("cancelled thrice");
    queue.suspend().unwrap();
    let (begun, go, served) = (Event::new(), Event::new(), Group::new());
    let slow = OnDrop({
        let (begun, go) = (begun.clone(), go.clone());
        move || {
            begun.set();
            go.wait();
        }
    });
    queue.exec_async(move || drop(slow));
    let cancel = || {
        let (queue, member) = (queue.clone(), served.enter());
        spawn_blocked(move || {
            let count = queue.cancel_pending();
            drop(member);
            count
        })
    };
    let first = cancel();
    begun.wait();
    // The first is dropping, the second has nothing before it but that, the third stands behind a reader.
    let second = cancel();
    let reader = spawn_blocked({
        let queue = queue.clone();
        move || queue.exec_sync(|| ())
    });
    queue.exec_async(|| ());
    let third = cancel();
    go.set();
    served.wait_timeout(GENEROUS).unwrap();
    assert_eq!([first, second, third].map(|cancel| cancel.join().unwrap()), [1, 0, 1]);
    queue.resume().unwrap();
    reader.join().unwrap();
}
