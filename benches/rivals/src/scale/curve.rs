//! What a curve is.

use crate::row::Sample;
use std::time::Duration;

/// The cost of an operation as something grows.
pub(crate) struct Curve {
    pub(super) name: &'static str,
    /// What is done and what is measured, in a sentence or two.
    pub(super) what: &'static str,
    /// What grows.
    pub(super) axis: &'static str,
    /// How far, in ascending order.
    pub(super) points: &'static [u64],
    /// How many operations a measurement does, if there is not more of what grows.
    pub(super) operations: u64,
    pub(super) growth: Growth,
    /// About how many bytes one more of what grows takes, from which follows where the caches end. 0 if it does not matter.
    pub(super) footprint: u64,
    /// What a sample holds, in nanoseconds per operation.
    pub(super) metrics: &'static [&'static str],
    pub(super) contenders: &'static [Contender],
}

/// What the total cost of the work is, that is to grow no more than linearly.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Growth {
    /// There are more operations: it is their number times what one costs.
    Operations,
    /// Each operation has more to do: it is what one costs.
    Depth,
}

/// One way to do the work.
pub(super) struct Contender {
    pub(super) name: &'static str,
    /// Measures one point. Panics if the answer is wrong.
    pub(super) run: fn(Load) -> Sample,
}

/// One point of a curve.
#[derive(Clone, Copy)]
pub(super) struct Load {
    /// How much there is of what grows.
    pub(super) amount: u64,
    pub(super) operations: u64,
}

impl Load {
    /// The mean time per operation of `round`, which does one operation of each and returns how long each part took. It is
    /// done once to warm up, and as often as makes up the operations, up to a thousand times.
    pub(super) fn rounds<const PARTS: usize>(self, mut round: impl FnMut() -> [Duration; PARTS]) -> Sample {
        round();
        let rounds = (self.operations / self.amount).clamp(1, 1_000);
        let mut sum = [Duration::ZERO; PARTS];
        for _ in 0..rounds {
            sum.iter_mut().zip(round()).for_each(|(sum, time)| *sum += time);
        }
        sum.iter().map(|time| time.as_nanos() as f64 / (rounds * self.amount) as f64).collect()
    }
}

impl Curve {
    /// Where it is measured: only the first points of many if it is to be quick.
    pub(super) fn points(&self, quick: bool) -> &'static [u64] {
        if quick { &self.points[..self.points.len().min(4)] } else { self.points }
    }

    /// How many operations are asked of a point.
    pub(super) fn operations(&self, quick: bool) -> u64 {
        if quick { self.operations.min(2_000) } else { self.operations }
    }
}
