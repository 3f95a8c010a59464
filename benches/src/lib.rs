//! Criterion benches of `concourse`, one concept per file in `benches/`; this is what they share.
//!
//! A bench checks its own answer before it reports a time: see [`checked`]. Its id reads `area/case/threads`, and the
//! first lines of its file say what the number is for.

use std::time::{Duration, Instant};

/// Times `run`, and panics unless it gave the `expected` answer: a bench that computes something else is no faster.
///
/// Made for criterion's `iter_custom`, where one call does all iterations and counts what it did.
///
/// ```
/// let time = concourse_benches::checked(5_050, || (1..=100).sum::<u64>());
/// assert!(time.as_secs() < 60);
/// ```
pub fn checked(expected: u64, run: impl FnOnce() -> u64) -> Duration {
    let start = Instant::now();
    let answer = run();
    let time = start.elapsed();
    assert_eq!(answer, expected, "the bench does not do what it measures");
    time
}

/// Runs `work` on `threads` threads at once, each with its own number, and returns the sum of what they return.
pub fn on_threads(threads: usize, work: impl Fn(usize) -> u64 + Sync) -> u64 {
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..threads).map(|number| scope.spawn(move || work(number))).collect();
        threads.into_iter().map(|thread| thread.join().expect("the work does not panic")).sum()
    })
}

#[cfg(test)]
mod tests {
    #[test]
    #[should_panic(expected = "does not do what it measures")]
    fn a_wrong_answer_is_no_time() {
        super::checked(2, || 1);
    }
}
