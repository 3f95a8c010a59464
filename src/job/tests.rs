//! Jobs and contained panics.

use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn a_job_is_four_words() {
    assert_eq!(size_of::<Job>(), 32);
}

#[test]
fn a_job_runs_or_drops_its_captures_exactly_once() {
    let count = Arc::new(AtomicUsize::new(0));
    let big = [1_u64; 9];
    let (c, d) = (Arc::clone(&count), Arc::clone(&count));
    Job::new(move || _ = c.fetch_add(1, Ordering::Relaxed)).run();
    Job::new(move || _ = d.fetch_add(big.iter().sum::<u64>() as usize, Ordering::Relaxed)).run();
    assert_eq!(count.load(Ordering::Relaxed), 10);
    let c = Arc::clone(&count);
    drop(Job::new(move || drop(c)));
    let c = Arc::clone(&count);
    drop(Job::barrier(move || drop((c, big))));
    assert_eq!(Arc::strong_count(&count), 1);
}

#[test]
fn a_job_keeps_an_overaligned_closure_aligned() {
    #[repr(align(32))]
    struct Wide(u8);
    let wide = Wide(7);
    Job::new(move || {
        let wide = wide;
        assert_eq!((&raw const wide).addr() % 32, 0);
        assert_eq!(wide.0, 7);
    })
    .run();
}

#[test]
fn a_panicking_payload_is_buried() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("drop of a payload");
        }
    }
    contain(|| std::panic::panic_any(Bomb)).unwrap_err().bury();
    assert_eq!(contain::<()>(|| panic!("text {}", 1)).unwrap_err().message(), "text 1");
}
