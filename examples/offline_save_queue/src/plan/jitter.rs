//! Delays with chance in them, so that many who failed together do not come back together.

use std::time::Duration;

/// Anything from nothing to `most`.
pub(super) fn full(most: Duration, rng: &mut fastrand::Rng) -> Duration {
    most.mul_f64(rng.f64())
}

/// Anything from half of `most` to `most`.
pub(super) fn half(most: Duration, rng: &mut fastrand::Rng) -> Duration {
    most / 2 + full(most / 2, rng)
}
