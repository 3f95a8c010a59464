//! Demo 7. In libdispatch a barrier behind 20,000 jobs that wait on another queue finds 0 to 892 of them done.

use crate::GENEROUS;
use crate::demos::limit;
use crate::demos::limit::Limited;
use crate::demos::limit::Way;
use crate::finish;
use crate::runtime;
use concourse::Event;
use concourse::Group;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

#[test]
fn the_limit_is_never_passed_and_nothing_is_lost() {
    const JOBS: usize = 20_000;
    for way in [Way::Receiver, Way::Caller, Way::Width] {
        for limit in [1, 3] {
            let runtime = runtime();
            let outturn = limit::run(&runtime, way, limit, JOBS).unwrap();
            assert!((1..=limit).contains(&outturn.at_once), "{way:?}: {outturn}");
            assert_eq!(outturn.in_the_end, JOBS);
            if way != Way::Receiver {
                assert_eq!(outturn.before_the_barrier, JOBS, "{way:?}");
            }
            finish(&runtime);
        }
    }
}

#[test]
fn a_barrier_does_not_wait_for_jobs_that_wait_for_a_permit_elsewhere_but_for_all_that_a_width_holds_back() {
    const JOBS: usize = 100;
    for (way, before_the_barrier) in [(Way::Receiver, 1), (Way::Width, JOBS)] {
        let runtime = runtime();
        let limited = Limited::new(&runtime, way, 1).unwrap();
        let (begun, go) = (Event::new(), Event::new());
        let (done, seen, group) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Group::new());
        for _ in 0..JOBS {
            let (begun, go, done, member) = (begun.clone(), go.clone(), Arc::clone(&done), group.enter());
            limited.exec_async(move || {
                begun.set();
                go.wait_timeout(GENEROUS).unwrap();
                done.fetch_add(1, SeqCst);
                drop(member);
            });
        }
        // The first job runs, and keeps the only permit until the barrier is in line.
        begun.wait_timeout(GENEROUS).unwrap();
        let (before, store, member) = (Arc::clone(&done), Arc::clone(&seen), group.enter());
        limited.queue.barrier_async(move || {
            store.store(before.load(SeqCst), SeqCst);
            drop(member);
        });
        go.set();
        group.wait_timeout(GENEROUS).unwrap();
        assert_eq!((seen.load(SeqCst), done.load(SeqCst)), (before_the_barrier, JOBS), "{way:?}");
        finish(&runtime);
    }
}
