//! A seed is a schedule.

use super::programs::orders;
use concourse::{Runtime, Sim};
use std::collections::HashSet;

#[test]
fn a_seed_gives_the_same_schedule_every_time() {
    for seed in [0, 1, 42, u64::MAX] {
        let (first, trace) = Sim::seeded(seed).record(orders);
        let (again, same) = Sim::seeded(seed).record(orders);
        assert_eq!(first.unwrap(), again.unwrap());
        assert_eq!(trace.to_string(), same.to_string(), "seed {seed}");
        assert_eq!((&trace, trace.digest()), (&same, same.digest()));
    }
}

#[test]
fn other_seeds_give_other_schedules() {
    let digests: HashSet<u64> = (0..50).map(|seed| Sim::seeded(seed).record(orders).1.digest()).collect();
    assert_eq!(digests.len(), 50);
}

#[test]
fn a_trace_names_its_threads_and_every_step() {
    let threads = Runtime::builder().threads(1).name("crew");
    let (_, trace) = Sim::seeded(3).runtime(threads).record(|runtime| runtime.serial("q").exec_async(|| ()));
    assert_eq!(trace.threads, ["program", "crew-0"]);
    let text = trace.to_string();
    assert_eq!(text.lines().count(), trace.steps.len());
    assert!(text.contains("program has submitted a job") && text.contains("crew-0 has ended"), "{text}");
}
