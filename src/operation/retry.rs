//! How often an operation that fails is tried again, and when.

use std::num::NonZeroU32;
use std::time::Duration;

/// How often an operation is attempted, and how long it pauses in between.
///
/// The pause doubles from attempt to attempt, up to the longest. So that operations that have failed together do not come
/// back together, each waits for some part of the second half of its pause; which part follows from the seed of its
/// [queue](crate::OperationQueueBuilder::seed), its place in the queue and the attempt. A pause takes no place among
/// those that run.
///
/// An attempt that returns an error or [takes too long](crate::OperationBuilder::timeout) is followed by another one; a
/// panic or a cancellation is not.
///
/// ```
/// use concourse::Retry;
/// use std::time::Duration;
///
/// let retry = Retry::up_to(5).pause(Duration::from_millis(50)).longest_pause(Duration::from_secs(1));
/// # drop(retry);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    attempts: NonZeroU32,
    pause: Duration,
    longest: Duration,
    jitter: bool,
}

impl Retry {
    /// So many attempts in all, with pauses from 100 ms to 30 s. At least one.
    pub fn up_to(attempts: u32) -> Self {
        Self {
            attempts: NonZeroU32::new(attempts).unwrap_or(NonZeroU32::MIN),
            pause: Duration::from_millis(100),
            longest: Duration::from_secs(30),
            jitter: true,
        }
    }

    /// How long the pause before the second attempt is.
    #[must_use]
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// How long a pause gets.
    #[must_use]
    pub fn longest_pause(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    /// Waits for the whole of each pause.
    #[must_use]
    pub fn without_jitter(mut self) -> Self {
        self.jitter = false;
        self
    }

    /// The pause after so many failed attempts; none if that was the last.
    pub(super) fn pause_after(&self, attempt: u32, seed: u64) -> Option<Duration> {
        if attempt >= self.attempts.get() {
            return None;
        }
        let doubled = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        let pause = self.pause.saturating_mul(doubled).min(self.longest);
        if !self.jitter {
            return Some(pause);
        }
        let part = mix(seed.wrapping_add(u64::from(attempt))) >> 32;
        let half = pause / 2;
        let nanos = half.as_nanos().saturating_mul(u128::from(part)) >> 32;
        Some(half + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }
}

/// Any number, made of another one: the finalizer of the generator SplitMix64.
pub(super) fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn pauses_double_up_to_the_longest_and_end_with_the_attempts() {
        let retry = Retry::up_to(6).pause(10 * MS).longest_pause(50 * MS).without_jitter();
        let pauses: Vec<_> = (1..=6).map(|attempt| retry.pause_after(attempt, 0)).collect();
        assert_eq!(pauses, [Some(10 * MS), Some(20 * MS), Some(40 * MS), Some(50 * MS), Some(50 * MS), None]);
        assert_eq!(Retry::up_to(0).pause_after(1, 0), None);
        assert_eq!(Retry::up_to(u32::MAX).without_jitter().pause_after(1_000, 0), Some(Duration::from_secs(30)));
    }

    #[test]
    fn jitter_stays_in_the_second_half_and_follows_from_the_seed() {
        let retry = Retry::up_to(2).pause(1_000 * MS);
        let pauses: Vec<_> = (0..1_000).map(|seed| retry.pause_after(1, seed).unwrap()).collect();
        assert!(pauses.iter().all(|pause| (500 * MS..=1_000 * MS).contains(pause)));
        assert!(pauses.iter().any(|pause| *pause < 600 * MS) && pauses.iter().any(|pause| *pause > 900 * MS));
        assert_eq!(retry.pause_after(1, 7), retry.pause_after(1, 7));
        let longest = Retry::up_to(2).pause(Duration::MAX).longest_pause(Duration::MAX);
        assert!(longest.pause_after(1, 3).unwrap() >= Duration::MAX / 2);
    }
}
