//! `sema`: a semaphore of 1 is a lock around a counter that is not protected otherwise, in 10,000 iterations. The
//! original iterates with `apply`, and here each iteration is a job.

use crate::add_in_two_steps;
use crate::timed::GENEROUS;
use crate::timed::finish;
use concourse::Group;
use concourse::Qos;
use concourse::Runtime;
use concourse::Semaphore;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

#[test]
fn a_semaphore_of_one_is_a_lock() {
    let runtime = Runtime::builder().threads(4).build().unwrap();
    let (global, group) = (runtime.global(Qos::Default), Group::new());
    let shared = Arc::new((Semaphore::new(1), AtomicUsize::new(0)));
    for _ in 0..10_000 {
        let shared = Arc::clone(&shared);
        group.exec_async(&global, move || {
            let (semaphore, counter) = &*shared;
            semaphore.wait();
            add_in_two_steps(counter);
            semaphore.signal();
        });
    }
    group.wait_timeout(GENEROUS).unwrap();
    let (semaphore, counter) = &*shared;
    assert_eq!((counter.load(Ordering::Relaxed), semaphore.available()), (10_000, 1));
    finish(&runtime);
}
