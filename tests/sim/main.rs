//! Whole programs in a simulation: the same again from a seed, in virtual time, with every deadlock reported.
//!
//! `CONCOURSE_SEEDS` says how many seeds each program runs with; 200 if it is not set.

mod bounded;
mod deadlocks;
mod endings;
mod missed;
mod operations;
mod pace;
mod ports;
mod programs;
mod replay;
mod streams;
mod time;
mod tokens;

use concourse::sim::{Cause, Deadlock, Failure};
use concourse::{Runtime, Sim};

/// The seeds that a program is to hold under.
fn seeds() -> std::ops::Range<u64> {
    0..std::env::var("CONCOURSE_SEEDS").map_or(200, |count| count.parse().expect("CONCOURSE_SEEDS is a number"))
}

/// Runs the program with every seed, on more or fewer threads, and fails with the first failure.
fn hold<T: Send + 'static>(program: fn(&Runtime) -> T) -> Vec<T> {
    let crews = [(1, 1), (2, 2), (2, 8)].into_iter().cycle();
    let runs = seeds().zip(crews).map(|(seed, (threads, max_threads))| {
        let crew = Runtime::builder().threads(threads).max_threads(max_threads);
        Sim::seeded(seed).runtime(crew).run(program).unwrap_or_else(|failure| panic!("{threads} threads, {failure}"))
    });
    runs.collect()
}

/// The first deadlock that a seed leads the program into.
fn deadlock<T: Send + 'static>(program: fn(&Runtime) -> T) -> (u64, Deadlock) {
    let failure = (0..10_000).find_map(|seed| Sim::seeded(seed).run(program).err());
    match failure.expect("one seed in ten thousand finds it") {
        Failure { seed, cause: Cause::Deadlock(deadlock), .. } => (seed, deadlock),
        other => panic!("{other}"),
    }
}
