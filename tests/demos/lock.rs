//! Demo 6.

use crate::demos::lock;
use crate::demos::lock::Counted;
use crate::finish;
use crate::runtime;
use concourse::Semaphore;

const JOBS: usize = 100_000;

#[test]
fn a_semaphore_of_one_keeps_all_others_from_the_list_and_the_barrier_counts_everything() {
    let runtime = runtime();
    let counted = lock::run(&runtime, JOBS, Some(Semaphore::new(1))).unwrap();
    assert_eq!(counted, Counted { appended: JOBS, turned_away: 0 });
    finish(&runtime);
}

#[test]
fn without_the_semaphore_whoever_meets_another_is_turned_away_and_the_barrier_comes_last_all_the_same() {
    let runtime = runtime();
    let Counted { appended, turned_away } = lock::run(&runtime, JOBS, None).unwrap();
    assert_eq!(appended + turned_away, JOBS);
    finish(&runtime);
}
