//! The seeded numbers that make every choice of a simulation.

/// SplitMix64: a counter and a mixer. It is not for secrets; any two seeds give unrelated sequences, and no seed is bad.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        // The high half of the product is below the bound; that some results are one in 2^64 likelier decides nothing.
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use super::Random;

    #[test]
    fn a_seed_gives_the_published_sequence() {
        let mut random = Random::seeded(1_234_567);
        let first = [random.next(), random.next(), random.next()];
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn every_number_below_the_bound_comes_up() {
        let mut random = Random::seeded(0);
        for bound in 1..9 {
            let mut seen = vec![false; bound];
            (0..1_000).for_each(|_| seen[random.below(bound)] = true);
            assert_eq!(seen, vec![true; bound]);
        }
    }
}
