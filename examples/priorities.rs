//! Five classes of urgency on one thread: what is more urgent goes first, and nothing starves.
//!
//! While the only thread is busy, jobs of all classes line up, the least urgent first. When the thread is free it takes
//! them the other way round. Then urgent jobs keep coming and never end; the background queue gets its turn nevertheless.

use concourse::Event;
use concourse::GlobalQueue;
use concourse::Group;
use concourse::Qos;
use concourse::Runtime;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

const CLASSES: [Qos; 5] = [Qos::Background, Qos::Utility, Qos::Default, Qos::UserInitiated, Qos::UserInteractive];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = Runtime::builder().threads(1).max_threads(1).build()?;
    let (everything, go) = (Group::new(), Event::new());

    let gate = go.clone();
    everything.exec_async(&runtime.global(Qos::Default), move || gate.wait());
    for qos in CLASSES {
        // The class belongs to the queue, and all jobs of the queue have it.
        let queue = runtime.queue("a queue").qos(qos).build()?;
        for number in 1..=2 {
            everything.exec_async(&queue, move || println!("{qos:?}, job {number}"));
        }
    }
    go.set();
    everything.wait();

    let (flood, over) = (Flood::default(), Event::new());
    flood.go_on(&runtime.global(Qos::UserInteractive), &over);
    let (jobs, end) = (Arc::clone(&flood.jobs), over.clone());
    runtime.queue("clean-up").qos(Qos::Background).build()?.exec_async(move || {
        println!("Background, after {} urgent jobs of a flood without end", jobs.load(Ordering::Relaxed));
        end.set();
    });
    over.wait();
    Ok(())
}

/// Jobs that each submit the next one.
#[derive(Clone, Default)]
struct Flood {
    jobs: Arc<AtomicU32>,
}

impl Flood {
    fn go_on(&self, queue: &GlobalQueue, over: &Event) {
        let (flood, next, over) = (self.clone(), queue.clone(), over.clone());
        queue.exec_async(move || {
            flood.jobs.fetch_add(1, Ordering::Relaxed);
            if !over.is_set() {
                flood.go_on(&next, &over);
            }
        });
    }
}
