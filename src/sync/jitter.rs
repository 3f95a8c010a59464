//! Pauses at state transitions, for a build that is to meet in minutes what a busy machine meets in months.
//!
//! A thread that is interrupted between two steps of a protocol stays away for milliseconds, in which everybody else goes
//! on: periods end, deadlines pass, turns come and go. The model checkers know every order of steps, and no time. Here
//! some of the transitions take as long as a thread may be away.

use super::{AtomicU64, Ordering, yield_now};
use std::time::{Duration, Instant};

/// Of so many transitions about one takes longer.
const RARITY: u64 = 150;
/// It takes less than this.
const LONGEST: Duration = Duration::from_millis(4);

/// Which transition of the process this is.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// Passes a transition. A pause keeps the thread running: tests take one that sleeps for one that waits.
pub(super) fn pass() {
    // Relaxed: it is a number, and orders nothing.
    let number = mixed(COUNT.fetch_add(1, Ordering::Relaxed));
    if number.is_multiple_of(RARITY) {
        let (start, pause) = (Instant::now(), LONGEST.mul_f64((number >> 11) as f64 / (1_u64 << 53) as f64));
        while start.elapsed() < pause {
            yield_now();
        }
    }
}

/// A number that looks random: the finalizer of Sebastiano Vigna's `SplitMix64`.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}
